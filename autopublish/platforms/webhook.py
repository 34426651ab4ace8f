"""Webhook: each article as a signed JSON event to an address of your own.

Setup: give the receiver's address as `url`. Make a secret with `echo "whsec_$(openssl rand -base64 32)"`, put it where
only the program finds it, name that place as `secret`, and give the same secret to the receiver. For a new one, name
the old one as `previous_secret` for a while: each event then bears both signatures. A receiver that wants a token as
well gets `token` as `Authorization: Bearer`. One in your own network needs `allow_private: yes`. It costs nothing.

What is posted: a POST with `Content-Type: application/json` and the headers of Standard Webhooks. `webhook-id` is the
key of the post, the same however often it is sent. `webhook-timestamp` is the time when the post was composed, in
seconds since 1970. `webhook-signature` is `v1,` and the HMAC-SHA256 of `webhook-id.webhook-timestamp.body` in base64.
The body holds plain text, in which nothing was escaped or made harmless:

    type                  article.published
    timestamp             when the post was composed, as 2026-11-24T07:03:00Z
    data.key              the webhook-id
    data.article          url (or null), title, summary, published, languages (BCP 47)
    data.post             text (at most `length` characters), hashtags (without #), shortened (what gave way to fit)

Pictures are not sent: the page at `url` has them. Keys may be added later: a receiver passes over those that it does
not know.

What to answer: 2xx when the event is taken, whatever the body; a `url` in a JSON object there, or a `Location`, becomes
the address of the post. 400, 413, 415 and 422 refuse this event for good. 401, 403, 404, 405, 410 and an address that
has moved (301, 307, 308, which are not followed) stop the account until somebody mends it; what waits is kept. 408, 425
and 429 ask for patience, with Retry-After. 409 says that the post is there already.

Unknown outcome: after a timeout, a broken connection, a server's error or any other answer the same bytes are sent
again under the same id, also hours later, until there is an answer. So a receiver must remember ids for good and answer
2xx to one that it knows, and must not refuse an old `webhook-timestamp`: the signature covers it, and the id keeps
copies out. What a receiver has made cannot be looked up, nor taken away from here.

Sources: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md,
https://www.rfc-editor.org/rfc/rfc9110#section-15.
"""

from __future__ import annotations

import binascii
import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, HttpUrl, SecretStr

from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import FOREVER, Identity, Post, Receipt, SpanKind, Stage
from autopublish.platforms._base import Card, Platform, ReadBack
from autopublish.platforms._http import Answer, Http, evidence
from autopublish.text import TextLimits, characters

#: How many bytes of a secret the standard allows.
_SECRET_BYTES: Final = range(24, 65)
#: Receivers want no more than 20 kB, by the standard's advice: so much text fits with all else, and with its escapes.
_LENGTH: Final = 3_000
_MOST_LENGTH: Final = 5_000
_SIZE_BYTES: Final = 12_000
_TOKEN: Final = re.compile("[!-~]+")
#: The longest address of a post that is kept.
_URL_LENGTH: Final = 2_000

#: The event was not taken and never will be: what is wrong is the event itself.
_REFUSED: Final = frozenset({400, 413, 415, 422})
#: Not taken, and no other event would be: a person mends the account or the receiver.
_STOPPED: Final = {
    401: "the receiver does not take the signature or the token",
    403: "the receiver does not take the signature or the token",
    404: "nothing receives events at `url`",
    405: "nothing receives events at `url`",
    410: "the receiver wants no more events",
}
_MOVED: Final = frozenset({301, 307, 308})
#: Not taken yet.
_LATER: Final = frozenset({408, 425, 429})


def _checked_url(value: HttpUrl) -> HttpUrl:
    if value.username or value.password or value.fragment:
        raise ValueError("expected an address without a user and without a fragment; `token` is for credentials")
    return value


class Webhook(Platform):
    """One receiver of events."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: Where events are sent.
        url: Annotated[HttpUrl, AfterValidator(_checked_url)]
        #: What events are signed with: whsec_ and 24 to 64 bytes in base64.
        secret: SecretStr
        #: The secret of before, while the receiver changes over.
        previous_secret: SecretStr | None = None
        #: Sent as `Authorization: Bearer`, for a receiver that wants one.
        token: SecretStr | None = None
        #: Most characters of the text.
        length: Annotated[int, Field(ge=100, le=_MOST_LENGTH)] = _LENGTH

    settings: Settings
    card = Card.OURS
    limits = TextLimits(length=_LENGTH, count=characters, size_bytes=_SIZE_BYTES)
    # A receiver knows an event by its webhook-id:
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#webhook-headers-sending-metadata-to-consumers
    key_window = FOREVER
    read_back = ReadBack.BY_KEY
    settle = timedelta(0)

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(settings, http)
        self.limits = replace(type(self).limits, length=settings.length)

    def whoami(self) -> Identity:
        """The receiver's host; whether it takes our signature, only an event can tell.

        The address itself may be a secret, so that a digest of it stands for it.

        Raises:
            DeliveryError: Unauthorized if a secret is malformed or the receiver wants no more; else it is away.
        """
        self._check_secrets()
        # A safe method: it changes nothing, whatever the answer. https://www.rfc-editor.org/rfc/rfc9110#section-9.3.7
        answer = self.http.ask("OPTIONS", self._url, headers=self._authorization())
        if answer.status == 410:
            raise self._refusal(answer, key="")
        digest = sha256(self._url.encode()).hexdigest()
        return Identity(id=digest[:16], name=urlsplit(self._url).netloc)

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """The receiver has the event under the key, however often this is called.

        Raises:
            DeliveryError: AlreadyPosted if the receiver says that it has the post, which proves no event of ours.
        """
        body = make_event(post, key)
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            **self._authorization(),
            **self._signed(key, post.created_at, body),
        }
        answer = self.http.send("POST", self._url, headers=headers, data=body)
        if not answer.ok:
            raise self._refusal(answer, key=key)
        return Receipt(remote_id=key, url=_address(answer))

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """Nothing can be looked up: the key alone keeps a receiver from taking an event twice.

        Raises:
            Undecided: always.
        """
        raise Undecided("what a webhook's receiver has made cannot be looked up")

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _refusal(self, answer: Answer, *, key: str) -> DeliveryError:
        """What an answer without success says of the event."""
        words, status = self._words(answer), answer.status
        if status in _LATER:
            return RateLimited(words, wait=answer.retry_after())
        if status in _STOPPED:
            return Unauthorized(f"{_STOPPED[status]}; {words}")
        if status in _MOVED:
            return Unauthorized(
                f"the receiver is elsewhere{_host_of(answer)}, and events are not sent after it; {words}"
            )
        if status in _REFUSED:
            return Rejected(words)
        if status == 409:
            return AlreadyPosted(words, receipt=Receipt(remote_id=key, url=_address(answer)))
        return OutcomeUnknown(words)

    def _words(self, answer: Answer) -> str:
        """The status and the receiver's words, without what both of us know."""
        body = answer.body
        for secret in self._secrets():
            body = body.replace(secret.encode(), "…".encode())
        return evidence(replace(answer, body=body))

    # --- credentials -------------------------------------------------------------------------------------------------

    @property
    def _url(self) -> str:
        return str(self.settings.url)

    def _secrets(self) -> Iterator[str]:
        for secret in (self.settings.secret, self.settings.previous_secret, self.settings.token):
            if secret is not None and (value := secret.get_secret_value().strip()):
                yield value

    def _check_secrets(self) -> None:
        """Nothing is wrong with the form of secrets and token.

        Raises:
            Unauthorized: something is.
        """
        self._keys()
        self._authorization()

    def _authorization(self) -> dict[str, str]:
        if self.settings.token is None:
            return {}
        token = self.settings.token.get_secret_value().strip()
        if not _TOKEN.fullmatch(token):
            raise Unauthorized("`token` has blanks, line breaks or letters that no header takes: copy it again")
        return {"Authorization": f"Bearer {token}"}

    def _keys(self) -> list[bytes]:
        """The keys to sign with, the new one first.

        Raises:
            Unauthorized: one is not as the standard has it.
        """
        named = (("secret", self.settings.secret), ("previous_secret", self.settings.previous_secret))
        return [_key(name, secret) for name, secret in named if secret is not None]

    def _signed(self, key: str, at: datetime, body: bytes) -> dict[str, str]:
        """The headers by which a receiver knows the event, and that it is ours.

        The time is that of the post, so that a copy has the same bytes.
        """
        seconds = int(at.timestamp())
        signed = b".".join((key.encode(), str(seconds).encode(), body))
        signatures = (b64encode(hmac.digest(one, signed, "sha256")).decode() for one in self._keys())
        return {
            "webhook-id": key,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
        }


def _key(name: str, secret: SecretStr) -> bytes:
    try:
        key = b64decode(secret.get_secret_value().strip().removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) not in _SECRET_BYTES:
        raise Unauthorized(f"`{name}` is not whsec_ and 24 to 64 bytes in base64: make a new one")
    return key


# --- the event -------------------------------------------------------------------------------------------------------


def make_event(post: Post, key: str) -> bytes:
    """The event as it is sent; its keys are explained in the module's docstring."""
    hashtags = dict.fromkeys(span.value for span in post.spans if span.kind is SpanKind.HASHTAG)
    event = {
        "type": "article.published",
        "timestamp": _iso(post.created_at),
        "data": {
            "key": key,
            "article": {
                "url": post.link,
                "title": post.title,
                "summary": post.summary,
                "published": _iso(post.published),
                "languages": post.languages,
            },
            "post": {"text": post.text, "hashtags": [*hashtags], "shortened": post.shortened},
        },
    }
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# --- reading answers -------------------------------------------------------------------------------------------------


def _address(answer: Answer) -> str | None:
    """Where the receiver says that the post is."""
    try:
        body = answer.json()
    except OutcomeUnknown:
        body = {}
    told = (body.get("url"), answer.headers.get("Location"))
    return next((one for one in told if isinstance(one, str) and _is_web(one)), None)


def _is_web(url: str) -> bool:
    if len(url) > _URL_LENGTH or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _host_of(answer: Answer) -> str:
    """The host that a redirect names, as words to put after others."""
    location = answer.headers.get("Location", "")
    return f" ({urlsplit(location).netloc})" if _is_web(location) else ""
