"""Adapters for the bench's networks: one for each way in which an unknown outcome can be resolved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import SecretStr

from autopublish.articles import normalise_link
from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotReady,
    OutcomeUnknown,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import FOREVER, Identity, MediaLimits, Post, ReadBack, Receipt, Stage
from autopublish.platforms._base import Platform
from autopublish.platforms._http import Answer, Http, error_from, evidence
from autopublish.text import TextLimits, characters
from tests.bench.network import Rules

#: Told before and after each call: `publish`, `find`, `stage`, `whoami`.
Edge = Callable[[str], None]


class Networked(Platform):
    """What the bench's adapters share; each class below differs in how an unknown outcome is resolved."""

    class Settings(Platform.Settings):
        """The account on the bench."""

        address: str
        token: SecretStr
        #: How long, by the real clock, an answer is waited for.
        patience_seconds: float = 20.0

    settings: Settings
    limits = TextLimits(length=300, count=characters)
    #: How the network itself behaves.
    rules: ClassVar[Rules] = Rules()
    edge: Edge = staticmethod(lambda _name: None)

    def whoami(self) -> Identity:
        self.edge("whoami: before")
        answer = self.http.ask("GET", f"{self.settings.address}/me", headers=self._headers())
        self.edge("whoami: answered")
        if not answer.ok:
            raise _error(answer)
        value = answer.json()
        return Identity(id=value["id"], name=value["name"])

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        self.edge("publish: before")
        body = {"text": post.text, "link": post.link, "media": stage.data.get("media")}
        headers = {**self._headers(), "Idempotency-Key": key}
        with self._patience():
            answer = self.http.send("POST", f"{self.settings.address}/publish", headers=headers, json=body)
        self.edge("publish: answered")
        if not answer.ok:
            raise _error(answer)
        value = answer.json()
        if "id" not in value:
            raise OutcomeUnknown("success without an id")
        self.edge("publish: after")
        return Receipt(remote_id=value["id"], url=value["url"])

    def _look(self, post: Post, key: str | None) -> Receipt | None:
        self.edge("find: before")
        with self._patience():
            answer = self.http.ask("GET", f"{self.settings.address}/find", headers=self._headers())
        self.edge("find: answered")
        if not answer.ok:
            raise _error(answer)
        value = answer.json()
        wanted = normalise_link(post.link or "")
        for found in value["posts"]:
            if normalise_link(found["link"]) == wanted or (key is not None and found["key"] == key):
                return Receipt(remote_id=found["id"])
        if not value["whole"]:
            raise Undecided("the list ends too early")
        return None

    @contextmanager
    def _patience(self) -> Iterator[None]:
        """A call waits so long by the real clock; the attempt's own deadline, by the bench's clock, stays as it is."""
        deadline = self.http.deadline
        self.http.deadline = timedelta(seconds=self.settings.patience_seconds)
        try:
            yield
        finally:
            self.http.deadline = deadline

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.settings.token.get_secret_value()}"}


def _error(answer: Answer) -> DeliveryError:
    """The bench's page of answers: what it documents as definite, and the common rule for the rest."""
    try:
        value = answer.json()
    except OutcomeUnknown:
        return error_from(answer)
    receipt = Receipt(remote_id=value["id"]) if "id" in value else None
    match answer.status, value.get("error"):
        case 403, "suspended":
            return Unauthorized(evidence(answer))
        case 422, "refused":
            return Rejected(evidence(answer))
        case 422, "picture":
            return MediaRejected(evidence(answer))
        case 409, "duplicate":
            return AlreadyPosted(evidence(answer), receipt=receipt)
        case 409, "key used":
            return AlreadyPosted(evidence(answer), receipt=receipt, ours=True)
        case _:
            return error_from(answer)


class Reading(Networked):
    """A network that shows the account's own posts."""

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        return self._look(post, key)


class Keyed(Reading):
    """It knows our key for good."""

    rules = Rules(remembers=timedelta(days=36500))
    key_window = FOREVER
    read_back = ReadBack.BY_KEY
    settle = timedelta(0)


class Timed(Reading):
    """It knows our key for an hour, of which 50 minutes are relied on."""

    rules = Rules(remembers=timedelta(hours=1))
    key_window = timedelta(minutes=50)
    read_back = ReadBack.STRONG


class Strong(Reading):
    """It knows no key, and what it shows is true."""

    read_back = ReadBack.STRONG


class Pictured(Strong):
    """Takes a picture, which is uploaded before the post."""

    media = MediaLimits(side=500, alt_length=100)

    def stage(self, post: Post, stage: Stage) -> Stage:
        if post.picture is None or "media" in stage.data:
            return stage
        self.edge("stage: before")
        content = Path(post.picture.path).read_bytes()
        answer = self.http.ask("POST", f"{self.settings.address}/media", headers=self._headers(), data=content)
        self.edge("stage: answered")
        if not answer.ok:
            raise _error(answer)
        value = answer.json()
        if answer.status == 202:
            wait = timedelta(seconds=value["wait"])
            raise NotReady("still in work", wait=wait, stage=Stage(data={"upload": value["id"]}))
        return Stage(data={"media": value["id"]})


class Lagging(Reading):
    """Its lists come five minutes late."""

    rules = Rules(lag=timedelta(minutes=5))
    read_back = ReadBack.LAGGING


class ByAnswer(Networked):
    """It shows nothing, but answers an identical post with the first one's id."""

    rules = Rules(refuses_doubles=True)
    read_back = ReadBack.BY_ANSWER


class Blind(Networked):
    """It knows no key and shows nothing."""

    read_back = ReadBack.NONE


#: By what an account of the bench writes under `platform`.
ADAPTERS: dict[str, type[Networked]] = {
    "keyed": Keyed,
    "timed": Timed,
    "strong": Strong,
    "pictured": Pictured,
    "lagging": Lagging,
    "by_answer": ByAnswer,
    "blind": Blind,
}


def adapter(platform: str, http: Http, *, address: str, token: str, patience_seconds: float = 20.0) -> Networked:
    """The adapter of an account on the bench."""
    kind = ADAPTERS[platform]
    settings = kind.Settings(address=address, token=SecretStr(token), patience_seconds=patience_seconds)
    return kind(settings, http)
