"""What an adapter asks the network with: answers as values, failures as the reaction that they need.

Reading and staging may reuse a connection; the irreversible call goes over a fresh one, once, and knows whether its
first byte has left. This module knows no platform: a status is a fact here, and its meaning the adapter's.
"""

from __future__ import annotations

import json as json_codec
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit, urlunsplit

from autopublish import net
from autopublish.errors import (
    DeliveryError,
    MediaRejected,
    NetworkError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Unauthorized,
)
from autopublish.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import SecretStr

    from autopublish.models import Picture

#: The longest Retry-After that is believed.
LONGEST_WAIT: Final = timedelta(days=7)
#: How many characters of a body become evidence, and how many are looked at for it.
_EVIDENCE_LENGTH: Final = 200
_EVIDENCE_LOOK: Final = 4_000
#: What a platform may quote of our request: markup around it, queries, credentials, and anything long without a blank.
_QUOTED: Final = (
    (re.compile(r"<[^<>]*>"), " "),
    (re.compile(r"\?[^\s\"'<>]+"), "?…"),
    (re.compile(r"(?i)\b(bearer|basic|oauth)\s+[^\s\"',]+"), r"\1 …"),
    (re.compile(r"(?i)((?:token|secret|password|key|signature)[\"']?\s*[:=]\s*[\"']?)[^\s\"',&}]+"), r"\1…"),
    (re.compile(r"\bbot\d+:[\w-]+"), "bot…"),
    (re.compile(r"[^\s\"',]{40,}"), "…"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A platform's whole answer to one request, whatever its status."""

    status: int
    #: Looked up without regard to case.
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    url: str = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the status is a success."""
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            OutcomeUnknown: it is none.
        """
        try:
            value = json_codec.loads(self.body)
        except (ValueError, RecursionError):
            raise OutcomeUnknown(f"no JSON in the answer; {evidence(self)}") from None
        if not isinstance(value, dict):
            raise OutcomeUnknown(f"no JSON object in the answer; {evidence(self)}")
        return value

    def retry_after(self) -> timedelta | None:
        """How long Retry-After asks us to stay away, by the server's own clock, at most 7 days; None without it.

        Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
        """
        stated = self.headers.get("Retry-After", "").strip()
        if re.fullmatch(r"[0-9]{1,20}", stated):
            return timedelta(seconds=min(int(stated), int(LONGEST_WAIT.total_seconds())))
        until, now = _date(stated), _date(self.headers.get("Date", ""))
        if until is None or now is None:
            return None
        return min(max(until - now, timedelta(0)), LONGEST_WAIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One part of a form with a kind of its own: a file, or where there is no `filename`, a field."""

    content: bytes = field(repr=False)
    #: What the server may call it; it is never a path.
    filename: str | None = None
    #: Media type.
    type: str


class Http:
    """The network for one account: requests in an adapter's words."""

    def __init__(self, client: net.Client, *, allow_private: bool = False) -> None:
        self._client = client
        self._allow_private = allow_private
        #: Called just before the first byte of `send`; what it raises stops the call. Set by the pipeline.
        self.guard: Callable[[], None] | None = None
        self.deadline = timedelta(seconds=60)

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: object = None,
        data: bytes | Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a request that may be repeated: reading and staging.

        Raises:
            NotSent: no byte of the request had left.
            OutcomeUnknown: it had, and no whole answer came.
        """
        return self._exchange(self._client.request, method, _with_params(url, params), headers, _body(json, data))

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: object = None,
        data: bytes | Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to the irreversible call: one request over a fresh connection, past the guard.

        Raises:
            NotSent: no byte of the request had left.
            OutcomeUnknown: it had, and no whole answer came.
        """
        call = partial(self._client.send, guard=self.guard)
        return self._exchange(call, method, _with_params(url, params), headers, _body(json, data))

    def _exchange(
        self,
        call: Callable[..., net.Reply],
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        content: tuple[bytes | None, dict[str, str]],
    ) -> Answer:
        body, described = content
        try:
            reply = call(
                method,
                url,
                headers={**described, **(headers or {})},
                body=body,
                deadline=self.deadline,
                allow_private=self._allow_private,
            )
        except NetworkError as error:
            raise _failure(error) from error
        return Answer(status=reply.status, headers=reply.headers, body=reply.body, url=reply.url)


def content_of(picture: Picture) -> bytes:
    """The picture's bytes.

    Raises:
        MediaRejected: it cannot be read; nothing was sent.
    """
    try:
        return Path(picture.path).read_bytes()
    except OSError as error:
        raise MediaRejected(f"the picture cannot be read: {error.strerror}") from error


def filename_of(picture: Picture) -> str:
    """What a server may call the picture, by its type: `picture.jpg`."""
    return f"picture.{picture.type.rpartition('/')[2].replace('jpeg', 'jpg')}"


def file_of(picture: Picture) -> Upload:
    """The picture as a form carries it.

    Raises:
        MediaRejected: it cannot be read; nothing was sent.
    """
    return Upload(content=content_of(picture), filename=filename_of(picture), type=picture.type)


def token_in(secret: SecretStr | None, *, missing: str) -> str:
    """The access token of a setting.

    Raises:
        Unauthorized: there is none, which is told as `missing`, or it can be none.
    """
    token = secret.get_secret_value().strip() if secret is not None else ""
    if not token:
        raise Unauthorized(missing)
    if not re.fullmatch("[!-~]+", token):
        raise Unauthorized("the access token has blanks, line breaks or letters that no token has: copy it again")
    return token


def multipart(files: Mapping[str, Upload], fields: Mapping[str, str] | None = None) -> tuple[bytes, dict[str, str]]:
    """The bytes of a form with files (RFC 7578) and the header that names their kind, for `ask` and `send`.

    The boundary is made from what the form holds, so that the same arguments give the same bytes.
    """
    from urllib3.fields import RequestField
    from urllib3.filepost import encode_multipart_formdata

    parts = [RequestField.from_tuples(name, value) for name, value in (fields or {}).items()]
    for name, file in files.items():
        part = RequestField(name, file.content, filename=file.filename)
        part.make_multipart(content_type=file.type)
        parts.append(part)
    digest = sha256()
    for part in parts:
        for piece in (part.render_headers(), part.data):
            digest.update(sha256(piece if isinstance(piece, bytes) else piece.encode()).digest())
    body, kind = encode_multipart_formdata(parts, boundary=digest.hexdigest()[:40])
    return body, {"Content-Type": kind}


def error_from(answer: Answer) -> DeliveryError:
    """What an answer without success means where the platform's own list does not know better."""
    if answer.status == 401:
        return Unauthorized(evidence(answer))
    if answer.status == 429:
        return RateLimited(evidence(answer), wait=answer.retry_after())
    return OutcomeUnknown(evidence(answer))


def evidence(answer: Answer) -> str:
    """The status and the start of the body on one line, without what the platform may have quoted of our request."""
    # Before anything is cut: half a secret would not be found any more.
    text = redact(_words(redact(answer.body.decode(errors="replace"))[:_EVIDENCE_LOOK]))
    for pattern, instead in _QUOTED:
        text = pattern.sub(instead, text)
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    if len(text) > _EVIDENCE_LENGTH:
        text = text[: _EVIDENCE_LENGTH - 1] + "…"
    return f"status {answer.status}: {text}" if text else f"status {answer.status}"


def _words(text: str) -> str:
    """What an error in JSON says to people; any other text as it is."""
    try:
        body = json_codec.loads(text)
    except (ValueError, RecursionError):
        return text
    names = ("error", "error_description", "message", "detail") if isinstance(body, dict) else ()
    said = [value for name in names if isinstance(value := body.get(name), str) and value]
    return ": ".join(said) or text


def _failure(error: NetworkError) -> DeliveryError:
    words = redact(str(error))
    return OutcomeUnknown(words) if error.started else NotSent(words)


def _with_params(url: str, params: Mapping[str, str] | None) -> str:
    if not params:
        return url
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, urlencode(params)) if part)
    return urlunsplit(parts._replace(query=query))


def _body(json: object, data: bytes | Mapping[str, str] | None) -> tuple[bytes | None, dict[str, str]]:
    """The bytes of a request and the header that names their kind; the same arguments give the same bytes."""
    if json is not None:
        text = json_codec.dumps(json, allow_nan=False, separators=(",", ":"))
        return text.encode(), {"Content-Type": "application/json"}
    if isinstance(data, Mapping):
        return urlencode(data).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    return data, {}


def _date(header: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)
