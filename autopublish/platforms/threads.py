"""Threads: posts with a link card on one account of threads.com.

Setup: at https://developers.facebook.com create an app with the use case "Access the Threads API"; it has a Threads app
id and secret of its own. Add your account as a Threads Tester (App roles), accept it in Threads under Settings >
Website permissions > Invites, and generate a token for it in the app's settings (User Token Generator) with
`threads_basic`, `threads_content_publish` and, for taking posts away, `threads_delete`. Give it as `access_token`. Your
own account needs no review by Meta. A token works for 60 days; `check` says until when. Posting costs nothing.

Or leave `access_token` out and give the app's own `client_id` and `client_secret`: with an https address that the app
lists under Redirect Callback URLs (it may lead nowhere), `autopublish accounts login NAME --redirect https://...`
fetches a token, which is then renewed by itself.

What is posted: the text, with a card that Threads itself draws from the page behind the link. Threads takes a picture
from a public address only, and a post with a picture has no card, so that posts have none. A post has one topic: the
first of its hashtags, or `topic` for every post. Other `#words` are plain text there, which is why the example has
`most: 1`. The text may hold 500 characters, of which an emoji counts as many as it has bytes in UTF-8, and a link every
one of its characters; Meta does not say how it counts other scripts, and each of their characters counts one here.
`@name` in a title mentions nobody, and `#tag` there is no topic. More than five links in one post are refused. Where
Threads cannot read the page behind the link, the post goes without a card. Meta lets through 250 posts in 24 hours.

Unknown outcome: a post is made invisibly first, as a container, and then published. After a timeout, a broken
connection or a server's error the account's own posts are read, five minutes later, for the article's link, and the
container is asked whether it was published. If it was not, twice, the same container is published once more: it becomes
one post at most. One that expired (after a day) is made anew.

Sources: https://developers.facebook.com/docs/threads/posts, https://developers.facebook.com/docs/threads/reference/publishing,
https://developers.facebook.com/docs/threads/troubleshooting, https://developers.facebook.com/docs/threads/get-started/long-lived-tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import quote

from pydantic import AfterValidator, HttpUrl, SecretStr, StringConstraints

from autopublish.articles import leads_to, normalise_link
from autopublish.errors import (
    DeliveryError,
    NotReady,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    StageExpired,
    Unauthorized,
    Undecided,
)
from autopublish.models import FOREVER, Credentials, Identity, Post, Receipt, SpanKind, Stage
from autopublish.platforms._base import Platform, ReadBack
from autopublish.platforms._http import Answer, evidence, token_in
from autopublish.platforms._json import mapping_of, object_of, text_in
from autopublish.platforms._login import CodeLogin, Exchange, credentials_of
from autopublish.text import WORD_JOINER, TextLimits, clean

# --- what the documentation says -------------------------------------------------------------------------------------

#: https://developers.facebook.com/docs/threads/overview#limitations
_LENGTH: Final = 500
#: Characters of a topic, none of which is `.` or `&`: https://developers.facebook.com/docs/threads/create-posts/topics
_TOPIC_LENGTH: Final = 50

#: A container in work is asked about again after this time.
_CONTAINER_WAIT: Final = timedelta(seconds=10)
#: One that cannot be published for so long is made anew.
_CONTAINER_AGE: Final = timedelta(minutes=10)
#: A limit without a word on its end: those of calls move by the hour, that of posts is of a day.
_CALLS_WAIT: Final = timedelta(minutes=15)
_POSTS_WAIT: Final = timedelta(hours=1)
#: A question beside the post may take so long: it is worth no more.
_SIDE_DEADLINE: Final = timedelta(seconds=15)
#: Clocks differ: a look that `publish` makes goes back a little further than the post.
_LOOK_BACK: Final = timedelta(hours=1)

_PAGE: Final = 50
_PAGES: Final = 10

# Codes of https://developers.facebook.com/docs/graph-api/guides/error-handling and
# https://developers.facebook.com/docs/threads/troubleshooting
_AUTH_CODES: Final = frozenset({10, 102, 190, *range(200, 300)})
#: The account is restricted or blocked.
_AUTH_SUBCODES: Final = frozenset({2207051, 4279013})
_LIMIT_CODES: Final = frozenset({4, 17, 32, 613, 80016})
_INVALID: Final = 100
#: Nothing has this id, or nothing that we may see.
_NO_OBJECT: Final = 33
#: The container is not known where it is published: it was made a moment ago.
_NOT_KNOWN_YET: Final = 4279009
#: The page behind the link could not be read.
_NO_CARD: Final = 4279047
_NO_CARD_WORDS: Final = re.compile(r"link_attachment", re.IGNORECASE)
#: A container that became a post has no status any more.
_NO_STATUS: Final = re.compile(r"nonexist\w* field \(status\)", re.IGNORECASE)
#: What the token must be allowed to do, and for what.
_NEEDED_SCOPES: Final = {
    "threads_basic": "who is logged in, and whether a post is there",
    "threads_content_publish": "posts",
}

_EMOJI: Final = re.compile(
    "[\u00a9\u00ae\u200d\u203c\u2049\u20e3\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u297f"
    "\u2b00-\u2bff\u3030\u303d\u3297\u3299\ufe0f\U00010000-\U0010ffff]+"
)
# In the widest reading: a mention begins where no letter or digit stands before it, a topic may have any characters; at
# the end of words that others may follow as well.
_SIGN: Final = re.compile(
    r"(?<![A-Za-z0-9])[@\uff20](?=[\w.]|\Z)|(?<![A-Za-z0-9_/])[#\uff03](?=[^\s" + WORD_JOINER + r"]|\Z)"
)
_URL_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
_ID: Final = re.compile(r"[0-9]{1,40}")

Asked = TypeVar("Asked")


def counted(text: str) -> int:
    """How many characters Threads counts at most: an emoji as many as it has bytes in UTF-8.

    Source: https://developers.facebook.com/docs/threads/reference/publishing (parameter `text`)
    """
    return len(text) + sum(len(match[0].encode()) - len(match[0]) for match in _EMOJI.finditer(text))


def unlinked(text: str) -> str:
    """The text, in which Threads finds no mention and no topic; a reader sees the same."""
    return _SIGN.sub(rf"\g<0>{WORD_JOINER}", text)


def _checked_topic(value: str) -> str:
    topic = clean(value).removeprefix("#")
    if not _is_topic(topic):
        raise ValueError("expected 1 to 50 characters without `.` and `&`, such as Kaltim")
    return topic


def _is_topic(value: str) -> bool:
    return 0 < len(value) <= _TOPIC_LENGTH and not set(value) & set(".&")


class _Status(StrEnum):
    """How a container stands; the words are Meta's.

    Source: https://developers.facebook.com/docs/threads/troubleshooting#publishing-does-not-return-a-media-id
    """

    IN_PROGRESS = "IN_PROGRESS"
    #: It may be published.
    FINISHED = "FINISHED"
    PUBLISHED = "PUBLISHED"
    #: It was not published, and will not be.
    EXPIRED = "EXPIRED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    """What Meta says is wrong."""

    code: int
    subcode: int
    words: str


class Threads(Platform):
    """One account; each post is a container that is published."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: A token of the account (User Token Generator in the app's settings).
        access_token: SecretStr | None = None
        #: One topic for every post; by default the first hashtag of each.
        topic: Annotated[str, AfterValidator(_checked_topic)] | None = None
        #: The number and the secret of your own app, for `autopublish accounts login`.
        client_id: str | None = None
        client_secret: SecretStr | None = None
        #: Where a person logs in.
        login_server: HttpUrl = HttpUrl("https://threads.net")
        #: Address and version of the API.
        server: HttpUrl = HttpUrl("https://graph.threads.net")
        version: Annotated[str, StringConstraints(pattern=r"^v[0-9]+\.[0-9]+$")] = "v1.0"

    settings: Settings
    # https://developers.facebook.com/docs/threads/get-started/get-long-lived-tokens
    login = CodeLogin(
        authorize="{login_server}/oauth/authorize",
        redeem="{server}/oauth/access_token",
        scopes=("threads_basic", "threads_content_publish", "threads_delete"),
        scope_separator=",",
        pkce=False,
        exchange=Exchange(
            url="{server}/access_token", grant_type="th_exchange_token", fields={"client_secret": "client_secret"}
        ),
    )
    limits = TextLimits(length=_LENGTH, count=counted, hashtag_length=_TOPIC_LENGTH, neutralise=unlinked)
    # A picture is fetched from a public address by Meta, which an article's fitted picture does not have, and takes the
    # place of the card: https://developers.facebook.com/docs/threads/posts#step-1--create-a-threads-media-container
    media = None
    # A container becomes one post: https://developers.facebook.com/docs/threads/troubleshooting
    key_window = FOREVER
    # https://developers.facebook.com/docs/threads/retrieve-and-discover-posts/retrieve-posts
    read_back = ReadBack.STRONG
    # A container is published within minutes or not at all: the page on troubleshooting asks once a minute, for five.
    settle = timedelta(minutes=5)

    # --- who ---------------------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The account's id, its name, and until when the token works.

        Raises:
            DeliveryError: Unauthorized if the token is refused; else Threads could not be asked.
        """
        profile = self._asked("me", fields="id,username")
        account, name = _id(profile.get("id")), text_in(profile, "username")
        if account is None:
            raise OutcomeUnknown("the account was described without its id")
        url = f"https://www.threads.com/@{quote(name)}" if name else None
        return Identity(id=account, name=f"@{name}" if name else account, url=url, expires=self._expires())

    def permissions(self) -> tuple[str, ...] | None:
        """The permissions that the token lacks; None: Threads does not tell."""
        scopes = self._token_facts().get("scopes")
        if not isinstance(scopes, list):
            return None
        return tuple(f"{name} ({purpose})" for name, purpose in _NEEDED_SCOPES.items() if name not in scopes)

    def _expires(self) -> datetime | None:
        """The earlier end of token and access to data; None where Threads does not say."""
        facts = self._token_facts()
        ends = [facts.get(name) for name in ("expires_at", "data_access_expires_at")]
        seconds = [end for end in ends if isinstance(end, int) and not isinstance(end, bool) and 0 < end < 2**33]
        return datetime.fromtimestamp(min(seconds), UTC) if seconds else None

    def _token_facts(self) -> Mapping[str, Any]:
        """What Threads says of the token; nothing where it does not.

        Source: https://developers.facebook.com/docs/threads/get-started/long-lived-tokens
        """
        asked = self._or_none(lambda: self._asked("debug_token", input_token=self._token))
        return mapping_of((asked or {}).get("data"))

    # --- staging -----------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """The post is made as a container, which nobody sees and which may be published.

        Raises:
            DeliveryError: NotReady, with what is done so far, while Threads works on it; Rejected if it fails without a
                card as well.
        """
        form = self._form(post)
        made = stage if self._may_keep(stage, form, post) else self._made(form, form, post)
        ready = self._ready(made) or self._ready(self._made(form, _without_card(form), post))
        if ready is None:
            raise Rejected("Threads could not make the post: its container cannot be published")
        return ready

    def _ready(self, made: Stage) -> Stage | None:
        """A container that may be published; None if it never may.

        Raises:
            DeliveryError: NotReady while Threads works on it.
        """
        match self._status(_container_of(made) or ""):
            case _Status.FINISHED | _Status.PUBLISHED:
                return made
            case _Status.IN_PROGRESS:
                raise NotReady("Threads still works on the post", wait=_CONTAINER_WAIT, stage=made)
            case _:
                return None

    def _may_keep(self, stage: Stage, form: Mapping[str, str], post: Post) -> bool:
        """Whether an earlier container is of this very post, and young enough to be waited for."""
        since = _time(stage.data.get("since"))
        is_young = since is not None and post.created_at - since < _CONTAINER_AGE
        return is_young and _container_of(stage) is not None and stage.data.get("form") == _digest(form)

    def _made(self, form: Mapping[str, str], sent: Mapping[str, str], post: Post) -> Stage:
        """A new container of `sent`, known by the whole form."""
        data = {"container": self._create(sent), "form": _digest(form), "since": post.created_at.isoformat()}
        return Stage(data=data)

    def _create(self, form: Mapping[str, str]) -> str:
        """The id of a new container.

        Raises:
            DeliveryError: Rejected, Unauthorized or RateLimited; else it is not known, and nothing is visible.
        """
        answer = self._asked_for(form)
        if _is_about_card(answer) and "link_attachment" in form:
            answer = self._asked_for(_without_card(form))
        container = _id(object_of(answer).get("id")) if answer.ok else None
        if container is not None:
            return container
        if answer.ok:
            raise OutcomeUnknown(f"the container was made without an id; {self._words(answer)}")
        raise self._refusal(answer)

    def _asked_for(self, form: Mapping[str, str]) -> Answer:
        return self.http.ask("POST", self._url("me/threads"), headers=self._headers(), data=form)

    def _form(self, post: Post) -> dict[str, str]:
        """The fields of a container. https://developers.facebook.com/docs/threads/reference/publishing"""
        form = {"media_type": "TEXT", "text": post.text}
        if post.link is not None:
            form["link_attachment"] = post.link
        if topic := self.settings.topic or _topic_of(post):
            form["topic_tag"] = topic
        return form

    def _status(self, container: str) -> _Status:
        """How a container stands.

        Raises:
            DeliveryError: Threads did not say.
        """
        answer = self._get(container, fields="status,error_message")
        refusal = _refusal_of(answer)
        if refusal is not None and refusal.code == _INVALID and _NO_STATUS.search(refusal.words):
            return _Status.PUBLISHED
        if not answer.ok:
            raise self._refusal(answer)
        status = text_in(object_of(answer), "status")
        if status not in tuple(_Status):
            raise OutcomeUnknown(f"the container's status cannot be read; {self._words(answer)}")
        return _Status(status)

    # --- publishing --------------------------------------------------------------------------------------------------

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """The container is published. One that failed is made anew without a card, and that one is published.

        Raises:
            DeliveryError: StageExpired if the container is too old; the outcome is unknown where Threads does not know
                it yet: it is published later.
        """
        container = _container_of(stage) or self._first(post)
        answer = self._published(container)
        if not answer.ok and (instead := self._instead(answer, post, container)) is not None:
            container, answer = instead, self._published(instead)
        if not answer.ok:
            return self._looked_after(answer, post, container)
        made = _id(object_of(answer).get("id"))
        if made is None:
            raise OutcomeUnknown(f"success without the id of the post; {self._words(answer)}")
        return Receipt(remote_id=made, url=self._permalink(made))

    def _published(self, container: str) -> Answer:
        """The answer to the irreversible call."""
        url, headers = self._url("me/threads_publish"), self._headers()
        return self.http.send("POST", url, headers=headers, data={"creation_id": container})

    def _first(self, post: Post) -> str:
        """The container of a post that was not staged; without one, nothing was posted."""
        try:
            return self._create(self._form(post))
        except OutcomeUnknown as error:
            raise NotSent(str(error)) from error

    def _instead(self, answer: Answer, post: Post, container: str) -> str | None:
        """A new container in place of one that was refused and will never be a post; None if that is not sure.

        Raises:
            StageExpired: it was not published within a day.
        """
        refusal, form = _refusal_of(answer), self._form(post)
        if refusal is None or _is_of_account(refusal):
            return None
        if refusal.subcode == _NO_CARD:
            return self._or_none(lambda: self._create(_without_card(form)))
        match self._or_none(lambda: self._status(container)):
            case _Status.EXPIRED:
                raise StageExpired(f"its container has expired; {self._words(answer)}")
            case _Status.ERROR:
                return self._or_none(lambda: self._create(_without_card(form)))
            case _:
                return None

    def _looked_after(self, answer: Answer, post: Post, container: str) -> Receipt:
        """The receipt of a container that was refused because it is a post already.

        Raises:
            DeliveryError: what the refusal says of the post otherwise.
        """
        refusal, words = _refusal_of(answer), self._words(answer)
        if refusal is None or _is_of_account(refusal):
            raise self._account_refusal(answer)
        match self._or_none(lambda: self._status(container)):
            case _Status.PUBLISHED:
                receipt = self._or_none(lambda: self._search(post, post.created_at - _LOOK_BACK))
                if receipt is not None:
                    return receipt
            case _Status.FINISHED if refusal.code == _INVALID:
                raise Rejected(words)
        raise OutcomeUnknown(words)

    def _permalink(self, made: str) -> str | None:
        """Where people find a post; None where Threads does not say, since its number does not tell."""
        facts = self._or_none(lambda: object_of(self._get(made, fields="permalink")))
        return _address(facts or {})

    # --- looking -----------------------------------------------------------------------------------------------------

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """The newest of the account's posts with the link, or with the text where none names the article alone.

        Raises:
            Undecided: the container was published and its post is not in the list, or the account has more posts since
                then than are looked through.
            DeliveryError: the look failed; it proves nothing.
        """
        found = self._search(post, since)
        container = _container_of(stage)
        if found is not None or key is None or container is None:
            return found
        status = self._status(container)
        if status in (_Status.PUBLISHED, _Status.IN_PROGRESS):
            raise Undecided(f"the container is {status.value}, and its post is not in the list")
        return None

    def _search(self, post: Post, since: datetime) -> Receipt | None:
        """The post in the account's list; None if all back to `since` were seen and it is not among them."""
        since = since.replace(microsecond=0)
        after: str | None = None
        for _ in range(_PAGES):
            page = self._page(since, after)
            entries = list(_entries(page))
            for entry in entries:
                made = _id(entry.get("id"))
                if made is not None and _made_at(entry) >= since and _carries(entry, post):
                    return Receipt(remote_id=made, url=_address(entry))
            after = text_in(mapping_of(mapping_of(page.get("paging")).get("cursors")), "after")
            if not after or not entries:
                return None
        raise Undecided(f"more than {_PAGE * _PAGES} posts since {since:%Y-%m-%d %H:%M}")

    def _page(self, since: datetime, after: str | None) -> Mapping[str, Any]:
        """Posts of the account since a time, the newest first."""
        params = {
            "fields": "id,text,permalink,timestamp,link_attachment_url",
            "limit": str(_PAGE),
            "since": str(int(since.timestamp())),
        }
        return self._asked("me/threads", **params, **({"after": after} if after else {}))

    # --- taking away -------------------------------------------------------------------------------------------------

    def delete(self, receipt: Receipt) -> None:
        """The post is not there any more; the token needs `threads_delete`, and Meta lets through 100 in 24 hours.

        Source: https://developers.facebook.com/docs/threads/posts/delete-posts

        Raises:
            DeliveryError: it could not be taken away.
        """
        made = _id(receipt.remote_id)
        if made is None:
            raise Rejected("this is no post of Threads")
        answer = self.http.ask("DELETE", self._url(made), headers=self._headers())
        if answer.ok and object_of(answer).get("success") is True:
            return
        if answer.ok:
            raise OutcomeUnknown(f"the answer cannot be read; {self._words(answer)}")
        # The same words stand for what is gone and for what the token may not touch: only the owner can see that.
        if not (_is_gone(answer) and _is_gone(self._get(made, fields="id"))):
            raise self._refusal(answer)

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _refusal(self, answer: Answer) -> DeliveryError:
        """What an answer without success says where nothing can have been posted."""
        refusal = _refusal_of(answer)
        if refusal is not None and refusal.code == _INVALID:
            return Rejected(self._words(answer))
        return self._account_refusal(answer)

    def _account_refusal(self, answer: Answer) -> DeliveryError:
        """What an answer without success says of the account; where it says nothing of it, the outcome is unknown."""
        refusal, words = _refusal_of(answer), self._words(answer)
        if refusal is None:
            return self._unnamed(answer.status, words, answer.retry_after())
        if refusal.code in _LIMIT_CODES:
            return RateLimited(words, wait=answer.retry_after() or self._wait())
        if _is_of_account(refusal):
            return Unauthorized(words)
        return OutcomeUnknown(words)

    def _unnamed(self, status: int, words: str, wait: timedelta | None) -> DeliveryError:
        """What an answer says in which Meta names no code."""
        if status == 401:
            return Unauthorized(words)
        return RateLimited(words, wait=wait or _CALLS_WAIT) if status == 429 else OutcomeUnknown(words)

    def _wait(self) -> timedelta:
        """How long a limit without a word on its end is waited out: longer where it is the one of posts.

        Source: https://developers.facebook.com/docs/threads/troubleshooting#retrieve-publishing-quota-limit
        """
        fields = {"fields": "quota_usage,config"}
        page = self._or_none(lambda: self._asked("me/threads_publishing_limit", **fields)) or {}
        for entry in _entries(page):
            used, most = entry.get("quota_usage"), mapping_of(entry.get("config")).get("quota_total")
            if isinstance(used, int) and isinstance(most, int) and used >= most:
                return _POSTS_WAIT
        return _CALLS_WAIT

    def refresh(self) -> Credentials:
        """The token for 60 days more, if it is a day old at least and has not ended.

        Source: https://developers.facebook.com/docs/threads/get-started/long-lived-tokens#refresh-a-long-lived-token

        Raises:
            DeliveryError: Unauthorized if only a new login helps.
        """
        params = {"grant_type": "th_refresh_token", "access_token": self._token}
        url = f"{str(self.settings.server).rstrip('/')}/refresh_access_token"
        return credentials_of(self.http.send("GET", url, params=params))

    # --- requests ----------------------------------------------------------------------------------------------------

    @property
    def _token(self) -> str:
        """The token.

        Raises:
            Unauthorized: there is none, or it can be none.
        """
        missing = "no access token: make one in the app's settings (User Token Generator), or log in"
        return token_in(self.settings.access_token, missing=missing)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _url(self, path: str) -> str:
        return f"{str(self.settings.server).rstrip('/')}/{self.settings.version}/{path}"

    def _get(self, path: str, **params: str) -> Answer:
        return self.http.ask("GET", self._url(path), headers=self._headers(), params=params)

    def _asked(self, path: str, **params: str) -> Mapping[str, Any]:
        """What Threads shows there.

        Raises:
            DeliveryError: Unauthorized or RateLimited; else it did not say.
        """
        answer = self._get(path, **params)
        if not answer.ok:
            raise self._account_refusal(answer)
        return answer.json()

    def _or_none(self, asked: Callable[[], Asked]) -> Asked | None:
        """The answer to a question beside the post; None if there is none soon."""
        deadline = self.http.deadline
        self.http.deadline = min(deadline, _SIDE_DEADLINE)
        try:
            return asked()
        except DeliveryError:
            return None
        finally:
            self.http.deadline = deadline

    def _words(self, answer: Answer) -> str:
        """Status and Meta's words, without our token even if they repeat it."""
        refusal = _refusal_of(answer)
        said = refusal.words.encode() if refusal is not None else answer.body
        # Before anything is cut off: a part of it is secret as well.
        return evidence(replace(answer, body=said.replace(self._token.encode(), "…".encode())))


# --- what is sent ----------------------------------------------------------------------------------------------------


def _without_card(form: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in form.items() if name != "link_attachment"}


def _topic_of(post: Post) -> str | None:
    """The first hashtag that can be a topic."""
    tags = (span.value for span in post.spans if span.kind is SpanKind.HASHTAG)
    return next((tag for tag in tags if _is_topic(tag)), None)


def _digest(form: Mapping[str, str]) -> str:
    return sha256(json.dumps(form, sort_keys=True).encode()).hexdigest()


def _container_of(stage: Stage) -> str | None:
    return _id(stage.data.get("container"))


# --- reading answers -------------------------------------------------------------------------------------------------


def _refusal_of(answer: Answer) -> _Refusal | None:
    """What Meta itself says is wrong; None if it is not Meta that says no.

    Source: https://developers.facebook.com/docs/graph-api/guides/error-handling
    """
    error = mapping_of(object_of(answer).get("error"))
    code, subcode = error.get("code"), error.get("error_subcode")
    if answer.ok or answer.status >= 500 or not isinstance(code, int) or isinstance(code, bool):
        return None
    said = (text_in(error, name) for name in ("message", "error_user_msg"))
    words = ": ".join(dict.fromkeys(filter(None, said))) or "no reason"
    number = subcode if isinstance(subcode, int) else 0
    return _Refusal(code=code, subcode=number, words=f"{words} (code {code}/{number})")


def _is_of_account(refusal: _Refusal) -> bool:
    """Whether the refusal is of the account or its token, whatever the post is: nothing was posted."""
    return refusal.code in _AUTH_CODES | _LIMIT_CODES or refusal.subcode in _AUTH_SUBCODES


def _is_about_card(answer: Answer) -> bool:
    """Whether only the card's page is at fault."""
    refusal = _refusal_of(answer)
    return refusal is not None and (refusal.subcode == _NO_CARD or _NO_CARD_WORDS.search(refusal.words) is not None)


def _is_gone(answer: Answer) -> bool:
    refusal = _refusal_of(answer)
    return refusal is not None and (refusal.code, refusal.subcode) in ((_INVALID, _NO_OBJECT), (24, _NOT_KNOWN_YET))


def _entries(page: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    entries = page.get("data")
    if not isinstance(entries, list):
        raise OutcomeUnknown("the list cannot be read")
    return map(mapping_of, entries)


def _made_at(entry: Mapping[str, Any]) -> datetime:
    """When a post was made; one that does not say counts as new."""
    return _time(entry.get("timestamp")) or datetime.max.replace(tzinfo=UTC)


def _carries(entry: Mapping[str, Any], post: Post) -> bool:
    """Whether it is this post: it has its link anywhere, or, where none names the article, its text."""
    wanted, text = post.link, text_in(entry, "text")
    if wanted is None or normalise_link(wanted) is None:
        return clean(text) == clean(post.text)
    return any(leads_to(link, wanted) for link in _links(entry, text))


def _links(entry: Mapping[str, Any], text: str) -> Iterator[str]:
    yield text_in(entry, "link_attachment_url")
    for match in _URL_IN_TEXT.finditer(text):
        # What ends a sentence may also end a link.
        yield match[0]
        yield match[0].rstrip(".,;:!?)]}'\"»”…")


def _address(entry: Mapping[str, Any]) -> str | None:
    url = text_in(entry, "permalink")
    return url if re.fullmatch(r"https?://[!-~]+", url) else None


def _time(stated: object) -> datetime | None:
    """A time in ISO 8601 that says its offset."""
    try:
        time = datetime.fromisoformat(stated) if isinstance(stated, str) else None
    except ValueError:
        return None
    return time if time is not None and time.tzinfo is not None else None


def _id(value: object) -> str | None:
    """A number of Meta's as text, whichever way it came."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if _ID.fullmatch(text) else None
