"""A strict server with the Mastodon API on loopback for one account: Mastodon, an old one, or one of the relatives.

    with FakeMastodon(Family.GOTOSOCIAL) as server:
        server.url, server.token                    # what an account's settings need
        server.script("publish", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                            # the judge: what readers of the account see

It refuses what the real ones ignore: unknown keys, parameters and form fields. It counts, links and mentions by rules
of its own. Time is `clock`, which a test may move.

Sources: https://docs.joinmastodon.org/methods/statuses/, https://docs.joinmastodon.org/methods/media/,
https://github.com/mastodon/mastodon/blob/main/app/validators/status_length_validator.rb.
"""

from __future__ import annotations

import html
import json
import re
import threading
import unicodedata
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from email.utils import format_datetime
from enum import StrEnum
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.servers.wire import Peer, Wire, answer


class Family(StrEnum):
    """What the server is."""

    MASTODON = "mastodon"
    #: Mastodon before `/api/v2/media` and `/api/v2/instance`, which says little of itself.
    OLD = "old mastodon"
    PLEROMA = "pleroma"
    GOTOSOCIAL = "gotosocial"
    PIXELFED = "pixelfed"


class Made(StrEnum):
    """Whether the faulty call makes the post."""

    NEVER = "never"
    AT_ONCE = "at once"
    #: `after` the call, by the server's clock.
    LATE = "late"


class Then(StrEnum):
    """What the client gets of a faulty call."""

    #: Nothing at all, until the client leaves.
    SILENCE = "silence"
    RESET = "reset"
    #: A reset when half of the request's body was read; nothing is made.
    RESET_READING = "reset while reading"
    #: The answer of the fault's `status` and `body`.
    ANSWER = "answer"
    #: Half of the right answer's body, then the end of the connection.
    CUT = "cut"
    #: Bytes that are no HTTP.
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one call goes wrong."""

    then: Then = Then.ANSWER
    made: Made = Made.NEVER
    after: timedelta = timedelta(0)
    status: int = 500
    body: bytes = b'{"error":"Internal server error"}'
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it came."""

    #: `nodeinfo`, `instance`, `whoami`, `media`, `poll`, `publish`, `find`, or `other`.
    name: str
    method: str
    path: str
    #: By names in lower case.
    headers: Mapping[str, str]
    params: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A post as a reader finds it."""

    id: str
    text: str
    #: As the server renders it.
    content: str
    at: datetime
    visibility: str
    #: Ids of its pictures.
    media: tuple[str, ...] = ()
    #: Names that were told of it.
    mentions: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    language: str | None = None
    warning: str = ""
    sensitive: bool = False
    key: str | None = None
    pinned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How a server behaves when nothing is wrong."""

    name: str
    version: str
    length: int = 500
    #: What a link counts; None: as it is written.
    link_length: int | None = None
    counts_graphemes: bool = True
    has_v2_instance: bool = True
    has_v2_media: bool = True
    #: The limits of statuses and pictures are stated.
    states_limits: bool = True
    #: Its answer to what it will not make.
    refusal: int = 422
    visibilities: tuple[str, ...] = ("public", "unlisted", "private", "direct")
    takes_content_type: bool = False
    remembers: timedelta | None = timedelta(hours=1)
    #: A key is kept before what is sent under it is judged, and a used one is refused.
    burns_keys: bool = False
    demands_picture: bool = False
    alt_length: int = 1500
    count: int = 4
    id_of: Callable[[int], str] = lambda number: str(115_000_000_000_000_000 + number)


_ULID = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _ulid(number: int) -> str:
    return "01KAVK" + "".join(_ULID[number >> shift & 31] for shift in range(95, -1, -5))


RULES: Mapping[Family, Rules] = {
    Family.MASTODON: Rules(name="mastodon", version="4.5.0", link_length=23),
    Family.OLD: Rules(
        name="mastodon", version="2.9.3", link_length=23, has_v2_instance=False, has_v2_media=False, states_limits=False
    ),
    Family.PLEROMA: Rules(
        name="akkoma",
        version="2.7.2 (compatible; Akkoma 3.15.0)",
        length=5000,
        has_v2_instance=False,
        states_limits=False,
        takes_content_type=True,
        refusal=400,
        id_of=lambda number: f"AzFlake{number:011d}",
    ),
    Family.GOTOSOCIAL: Rules(
        name="gotosocial",
        version="0.20.1+git-deadbee",
        length=5000,
        counts_graphemes=False,
        takes_content_type=True,
        refusal=400,
        remembers=None,
        alt_length=5000,
        count=6,
        id_of=_ulid,
    ),
    Family.PIXELFED: Rules(
        name="pixelfed",
        version="3.5.3 (compatible; Pixelfed 0.12.4)",
        counts_graphemes=False,
        visibilities=("public", "unlisted", "private"),
        burns_keys=True,
        demands_picture=True,
        alt_length=1000,
    ),
}

_KEYS = {"status", "visibility", "language", "spoiler_text", "sensitive", "media_ids"}
_SCOPES = {
    "whoami": "read:accounts",
    "find": "read:statuses",
    "publish": "write:statuses",
    "delete": "write:statuses",
    "media": "write:media",
    "poll": "write:media",
}
_ALL_SCOPES = frozenset(_SCOPES.values())
_URL = re.compile(r"https?://[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d+)?[^\s<>\"]*", re.IGNORECASE)
# https://github.com/mastodon/mastodon/blob/main/app/models/account.rb (MENTION_RE), in the widest reading.
_MENTION = re.compile(r"(?<![A-Za-z0-9])[@＠]([a-z0-9_]+(?:[a-z0-9_.-]+[a-z0-9_]+)?)(?:@[\w.-]+\w)?", re.IGNORECASE)
_HASHTAG = re.compile(r"(?<![\w/])[#＃](\w*[^\W\d_]\w*)")


@dataclass(slots=True)
class _Upload:
    """A picture that was sent."""

    id: str
    type: str
    alt: str
    #: So many questions until it is ready.
    polls_left: int
    is_used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class _Refused(Exception):
    def __init__(self, status: int, words: str, **headers: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class FakeMastodon:
    """The server; a context manager. Attributes are set before or between calls."""

    account = "109302436954721982"
    token = "canaryTOKEN-0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f"

    def __init__(self, family: Family = Family.MASTODON, **changes: Any) -> None:
        self.rules = replace(RULES[family], **changes)
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.scopes = _ALL_SCOPES
        #: As Mastodon does since 4.3.0.
        self.names_scopes = True
        self.is_revoked = False
        #: Nothing is shown without a token.
        self.is_secure = False
        #: Errors are pages for people.
        self.speaks_html = False
        #: A repeat under a known key is answered so, though the first post stands.
        self.fails_repeats = False
        #: So many questions until a picture is ready; None: it never is usable.
        self.processing: int | None = 0
        #: Most calls of a name until `limit_ends`.
        self.limits: dict[str, int] = {}
        self.limit_ends = datetime(2000, 1, 1, tzinfo=UTC)
        #: The instance's documents in place of the right ones, by path.
        self.documents: dict[str, object] = {}
        #: Whatever `max_id` says, the first page comes.
        self.ignores_paging = False
        #: An empty list, instead of a refusal, for a token that is not good.
        self.hides_from_strangers = False
        self.calls: list[Call] = []
        self._statuses: list[Status] = []
        self._coming: list[tuple[datetime, Call]] = []
        self._uploads: dict[str, _Upload] = {}
        self._keys: dict[str, tuple[datetime, str | None]] = {}
        self._faults: defaultdict[str, deque[Fault | None]] = defaultdict(deque)
        self._count = 0
        self._lock = threading.RLock()
        self._wire = Wire(self._serve)
        self._is_up = False

    # --- life ---

    def __enter__(self) -> Self:
        self._wire.__enter__()
        self._is_up = True
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Nothing listens any more."""
        if self._is_up:
            self._is_up = False
            self._wire.__exit__(None, None, None)

    @property
    def url(self) -> str:
        return self._wire.url

    # --- what a test looks at and sets ---

    def visible(self) -> list[Status]:
        """The account's posts, the newest first."""
        with self._lock:
            self._ripen()
            return sorted(self._statuses, key=lambda status: status.at, reverse=True)

    def script(self, name: str, *faults: Fault | None) -> None:
        """The next calls of a name go wrong in this order; None is a call that goes right."""
        with self._lock:
            self._faults[name].extend(faults)

    def called(self, name: str) -> list[Call]:
        """The calls of a name so far, also those that went wrong."""
        with self._lock:
            return [call for call in self.calls if call.name == name]

    def post_by_hand(self, text: str, *, at: datetime | None = None, **rest: Any) -> Status:
        """A person posts there."""
        with self._lock:
            return self._add({"status": text, "visibility": "public"}, at=at, key=None, **rest)

    def delete(self, status: Status) -> None:
        """A person takes a post away, with its pictures."""
        with self._lock:
            self._statuses.remove(status)

    def forget_uploads(self) -> None:
        """Pictures in no post are gone, as they are after a day."""
        with self._lock:
            self._uploads = {name: upload for name, upload in self._uploads.items() if upload.is_used}

    def upload(self, media: str) -> tuple[str, str]:
        """Type and alt text of a picture that was sent."""
        return self._uploads[media].type, self._uploads[media].alt

    # --- one connection ---

    def _serve(self, peer: Peer) -> None:
        while head := peer.read_head():
            call, length = _parsed(head)
            with self._lock:
                fault = self._faults[call.name].popleft() if self._faults[call.name] else None
            if fault is not None and fault.then is Then.RESET_READING:
                peer.read(length // 2)
                peer.reset()
                return
            call = replace(call, body=peer.read(length))
            if len(call.body) < length:
                return  # the client gave up: a server does not act on half a request
            with self._lock:
                self.calls.append(call)
            if not (self._fail(peer, fault, call) if fault else self._send(peer, self._reply(call))):
                return

    def _send(self, peer: Peer, reply: _Reply) -> bool:
        date = format_datetime(self.clock().astimezone(UTC).replace(microsecond=0), usegmt=True)
        headers = {"Date": date, "Content-Type": "application/json; charset=utf-8", **reply.headers}
        peer.write(answer(reply.status, reply.body, headers))
        return True

    def _fail(self, peer: Peer, fault: Fault, call: Call) -> bool:
        made = self._reply(call) if fault.made is Made.AT_ONCE else None
        if fault.made is Made.LATE:
            with self._lock:
                self._coming.append((self.clock() + fault.after, call))
        match fault.then:
            case Then.SILENCE:
                peer.read(1)
            case Then.RESET:
                peer.reset()
            case Then.GARBAGE:
                peer.write(b"\x16\x03\x01 no http\r\n\r\n")
            case Then.CUT:
                body = made.body if made else fault.body
                peer.write(answer(200, body)[: -max(len(body) // 2, 1)])
            case _:
                return self._send(peer, _Reply(status=fault.status, body=fault.body, headers=fault.headers))
        return False

    def _ripen(self) -> None:
        """What was to come by now is there, unless its key was used meanwhile."""
        due = [pair for pair in self._coming if pair[0] <= self.clock()]
        self._coming = [pair for pair in self._coming if pair not in due]
        for at, call in due:
            before = len(self._statuses)
            self._reply(call)
            self._statuses[before:] = [replace(status, at=at) for status in self._statuses[before:]]

    # --- dispatch ---

    def _reply(self, call: Call) -> _Reply:
        """What the server says to a call, with its effect."""
        with self._lock:
            try:
                self._limit(call)
                return self._routed(call)
            except _Refused as refused:
                return self._refusal(refused)

    def _refusal(self, refused: _Refused) -> _Reply:
        if self.speaks_html:
            body = f"<body><h1>{html.escape(refused.words)}</h1></body>"
            page = f"<!DOCTYPE html><html><head><style>@media print {{}}</style></head>{body}</html>"
            kind = {"Content-Type": "text/html; charset=utf-8"}
            return _Reply(status=refused.status, body=page.encode(), headers={**kind, **refused.headers})
        return _Reply(
            status=refused.status, body=json.dumps({"error": refused.words}).encode(), headers=refused.headers
        )

    def _limit(self, call: Call) -> None:
        most = self.limits.get(call.name)
        if most is None or self.clock() >= self.limit_ends:
            return
        if len(self.called(call.name)) > most:
            reset = self.limit_ends.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            raise _Refused(429, "Too many requests", X_RateLimit_Limit=str(most), X_RateLimit_Reset=reset)

    def _routed(self, call: Call) -> _Reply:
        if call.name in ("nodeinfo", "instance"):
            return self._described(call)
        if call.name == "other":
            raise _Refused(404, "Record not found")
        if call.name == "application":
            return self._application(call)
        if call.name == "find" and self.hides_from_strangers and self._is_stranger(call):
            return _json([])
        self._authorise(call)
        expected = {"whoami": "GET", "find": "GET", "poll": "GET", "media": "POST", "publish": "POST"}.get(
            call.name, "DELETE"
        )
        if call.method != expected:
            raise _Refused(404, "Record not found")
        routes: dict[str, Callable[[Call], _Reply]] = {
            "whoami": self._whoami,
            "find": self._listed,
            "poll": self._polled,
            "media": self._uploaded,
            "publish": self._published,
            "delete": self._deleted,
        }
        return routes[call.name](call)

    def _is_stranger(self, call: Call) -> bool:
        return self.is_revoked or call.headers.get("authorization") != f"Bearer {self.token}"

    def _application(self, call: Call) -> _Reply:
        """Any token may ask, whatever its scopes. https://docs.joinmastodon.org/methods/apps/#verify_credentials"""
        if self._is_stranger(call):
            raise _Refused(401, "The access token is invalid")
        scopes = {"scopes": sorted(self.scopes)} if self.names_scopes else {}
        return _json({"id": "1", "name": "autopublish", "website": None, **scopes})

    def _authorise(self, call: Call) -> None:
        if self._is_stranger(call):
            raise _Refused(401, "The access token is invalid")
        if _SCOPES[call.name] not in self.scopes:
            raise _Refused(403, "This action is outside the authorized scopes")

    # --- what it says of itself ---

    def _described(self, call: Call) -> _Reply:
        if call.method != "GET":
            raise _Refused(404, "Record not found")
        if call.name == "instance" and self.is_secure and self._is_stranger(call):
            raise _Refused(401, "This method requires an authenticated user")
        if call.path in self.documents:
            return _json(self.documents[call.path])
        match call.path:
            case "/.well-known/nodeinfo":
                rel = "http://nodeinfo.diaspora.software/ns/schema/2.0"
                return _json({"links": [{"rel": rel, "href": f"{self.url}/nodeinfo/2.0"}]})
            case "/nodeinfo/2.0":
                return _json({"version": "2.0", "software": {"name": self.rules.name, "version": "1"}})
            case "/api/v2/instance" if self.rules.has_v2_instance:
                return _json({"version": self.rules.version, **self._stated()})
            case "/api/v1/instance":
                top = {} if self.rules.length == 500 else {"max_toot_chars": self.rules.length}
                return _json({"version": self.rules.version, **top, **self._stated()})
            case _:
                raise _Refused(404, "Record not found")

    def _stated(self) -> dict[str, Any]:
        if not self.rules.states_limits:
            return {}
        statuses = {"max_characters": self.rules.length, "max_media_attachments": self.rules.count}
        if self.rules.link_length:
            statuses["characters_reserved_per_url"] = self.rules.link_length
        media = {
            "supported_mime_types": ["image/jpeg", "image/png", "image/gif", "video/mp4"],
            "image_size_limit": 16_777_216,
            "image_matrix_limit": 33_177_600,
            "description_limit": self.rules.alt_length,
        }
        return {"configuration": {"statuses": statuses, "media_attachments": media}}

    def _whoami(self, call: Call) -> _Reply:
        name = "kaltim"
        return _json({"id": self.account, "username": name, "acct": name, "url": f"{self.url}/@{name}"})

    # --- pictures ---

    def _uploaded(self, call: Call) -> _Reply:
        if call.path == "/api/v2/media" and not self.rules.has_v2_media:
            raise _Refused(404, "Record not found")
        parts = _form(call)
        if not set(parts) <= {"file", "description"} or "file" not in parts:
            raise _Refused(self.rules.refusal, f"Validation failed: unknown fields {sorted(parts)}")
        content = parts["file"].get_payload(decode=True)
        assert isinstance(content, bytes)
        alt = _text_of(parts["description"]) if "description" in parts else ""
        kind = parts["file"].get_content_type()
        if not parts["file"].get_filename() or kind != _sniffed(content):
            raise _Refused(self.rules.refusal, "Validation failed: File content type is invalid")
        if len(alt) > self.rules.alt_length:
            raise _Refused(self.rules.refusal, "Validation failed: Description is too long")
        self._count += 1
        upload = _Upload(id=self.rules.id_of(self._count), type=kind, alt=alt, polls_left=self.processing or 0)
        self._uploads[upload.id] = upload
        return _json(self._shown_upload(upload), status=202 if self.processing != 0 else 200)

    def _polled(self, call: Call) -> _Reply:
        upload = self._uploads.get(call.path.rpartition("/")[2])
        if upload is None or upload.is_used:
            raise _Refused(404, "Record not found")
        if self.processing is None:
            raise _Refused(422, "Error processing thumbnail for uploaded media")
        upload.polls_left = max(upload.polls_left - 1, 0)
        return _json(self._shown_upload(upload), status=206 if upload.polls_left else 200)

    def _shown_upload(self, upload: _Upload) -> dict[str, Any]:
        ready = upload.polls_left == 0 and self.processing is not None
        return {"id": upload.id, "type": "image", "url": f"{self.url}/m/{upload.id}" if ready else None}

    # --- posts ---

    def _published(self, call: Call) -> _Reply:
        body = self._body(call)
        key = call.headers.get("idempotency-key")
        there = self._known(key)
        if there is not None:
            if self.fails_repeats:
                raise _Refused(500, "Internal server error")
            return _json(self._shown(there))
        if self.rules.burns_keys and key is not None:
            self._keys[key] = (self.clock(), None)
        self._judge(body)
        return _json(self._shown(self._add(body, key=key)))

    def _deleted(self, call: Call) -> _Reply:
        there = [status for status in self._statuses if status.id == call.path.rpartition("/")[2]]
        if not there:
            raise _Refused(404, "Record not found")
        self._statuses.remove(there[0])
        return _json(self._shown(there[0]))

    def _known(self, key: str | None) -> Status | None:
        """The post that was made under a key that is still remembered."""
        at, status_id = self._keys.get(key or "", (None, None))
        if at is None or self.rules.remembers is None or self.clock() - at > self.rules.remembers:
            return None
        if self.rules.burns_keys:
            raise _Refused(400, "Duplicate idempotency key")
        return next((status for status in self._statuses if status.id == status_id), None)

    def _body(self, call: Call) -> dict[str, Any]:
        if call.headers.get("content-type") != "application/json":
            raise _Refused(415, "Unsupported media type")
        body: dict[str, Any] = json.loads(call.body)
        if unknown := set(body) - _KEYS - ({"content_type"} if self.rules.takes_content_type else set()):
            raise _Refused(400, f"unknown parameters: {sorted(unknown)}")
        return body

    def _judge(self, body: Mapping[str, Any]) -> None:
        """Nothing is wrong with what is to be posted."""
        refusal, media = self.rules.refusal, body.get("media_ids", [])
        if self.rules.demands_picture and not media:
            raise _Refused(403, "Empty statuses are not allowed")
        if not body.get("status") and not media:
            raise _Refused(refusal, "Validation failed: Text can't be blank")
        if body.get("visibility") not in self.rules.visibilities:
            raise _Refused(refusal, "Validation failed: Visibility is not included in the list")
        if not re.fullmatch("[a-z]{2}", str(body.get("language", "en"))):
            raise _Refused(refusal, "Validation failed: Language is not known")
        if self.count(str(body.get("spoiler_text", "")) + str(body["status"])) > self.rules.length:
            raise _Refused(refusal, f"Validation failed: Text character limit of {self.rules.length} exceeded")
        if len(media) > self.rules.count:
            raise _Refused(refusal, "Validation failed: Cannot attach more than 4 files")
        for one in media:
            upload = self._uploads.get(one)
            if upload is None or upload.is_used:
                raise _Refused(refusal, f"Validation failed: Media {one} not found or already attached to another post")
            if upload.polls_left:
                raise _Refused(refusal, "Cannot attach files that have not finished processing. Try again in a moment!")

    def count(self, text: str) -> int:
        """How long the server finds a text."""
        links = self._links(text) if self.rules.link_length is not None else []
        words = _outside(text, links)
        length = _graphemes(words) if self.rules.counts_graphemes else len(words)
        return length + len(links) * (self.rules.link_length or 0)

    def _links(self, text: str) -> list[tuple[int, int]]:
        """Where the server sees links: Mastodon in part of what its relatives take for one."""
        if self.rules.name == "mastodon":
            return [(match.start(), _end_of_link(text, match.end())) for match in _KNOWN_HOST.finditer(text)]
        return [match.span() for match in _URL.finditer(text)]

    def _add(self, body: Mapping[str, Any], *, key: str | None, at: datetime | None = None, **rest: Any) -> Status:
        self._count += 1
        text = str(body["status"])
        plain = _URL.sub("", text)
        status = Status(
            id=self.rules.id_of(self._count),
            text=text,
            content=self._rendered(text, str(body.get("content_type", ""))),
            at=at or self.clock(),
            visibility=str(body["visibility"]),
            media=tuple(body.get("media_ids", ())),
            mentions=tuple(_MENTION.findall(plain)),
            hashtags=tuple(_HASHTAG.findall(plain)),
            language=body.get("language"),
            warning=str(body.get("spoiler_text", "")),
            sensitive=body.get("sensitive") is True,
            key=key,
            **rest,
        )
        for media in status.media:
            self._uploads[media].is_used = True
        self._statuses.append(status)
        if key is not None:
            self._keys[key] = (self.clock(), status.id)
        return status

    def _rendered(self, text: str, content_type: str) -> str:
        """HTML as a server makes it: links cut for the eye; marked up where nothing says that it is plain."""
        parts, done = [], 0
        for start, end in self._links(text):
            parts += [html.escape(text[done:start], quote=False), _anchor(text[start:end])]
            done = end
        linked = "".join([*parts, html.escape(text[done:], quote=False)])
        if self.rules.takes_content_type and content_type != "text/plain":
            linked = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", linked)
        tagged = re.sub(r"(?<![\w/&])#(\w+)", r'<a href="/tags/\1" rel="tag">#<span>\1</span></a>', linked)
        return "<p>" + tagged.replace("\n\n", "</p><p>").replace("\n", "<br>") + "</p>"

    def _listed(self, call: Call) -> _Reply:
        if call.path != f"/api/v1/accounts/{self.account}/statuses":
            raise _Refused(404, "Record not found")
        unknown = set(call.params) - {"limit", "max_id", "exclude_reblogs", "exclude_replies"}
        limit = int(call.params.get("limit", "20"))
        if unknown or not 1 <= limit <= 40:
            raise _Refused(400, f"wrong parameters: {dict(call.params)}")
        newest = self.visible()
        pinned = [status for status in newest if status.pinned]
        shown = newest
        if "max_id" in call.params and not self.ignores_paging:
            ids = [status.id for status in newest]
            shown = newest[ids.index(call.params["max_id"]) + 1 :]
        elif pinned:
            shown = [*pinned, *newest]
        return _json([self._shown(status) for status in shown[:limit]])

    def _shown(self, status: Status) -> dict[str, Any]:
        return {
            "id": status.id,
            "created_at": status.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "url": f"{self.url}/@kaltim/{status.id}",
            "uri": f"{self.url}/users/kaltim/statuses/{status.id}",
            "content": status.content,
            "visibility": status.visibility,
            "reblog": None,
            "in_reply_to_id": None,
            "card": None,
            "media_attachments": [{"id": media} for media in status.media],
        }


# What Mastodon takes for a link, in the few top-level domains that tests use:
# https://github.com/mastodon/mastodon/blob/main/config/initializers/twitter_regex.rb
_KNOWN_HOST = re.compile(
    r"(?<![A-Za-z0-9@＠$#＃])https?://(?:[a-z0-9-]+\.)+(?:com|id|org|xn--[a-z0-9-]+)(?![A-Za-z0-9@+-])(?::\d+)?",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\([^\s<>()?]*(?:\([^\s<>()?]+\)[^\s<>()?]*)?\)")


def _end_of_link(text: str, at: int) -> int:
    """Where a link ends whose host ends at `at`: a path with brackets in pairs, then a query, no punctuation last."""
    end = at
    if text[at : at + 1] == "/":
        end = at = at + 1
        while at < len(text) and not text[at].isspace() and text[at] not in "<>)?":
            brackets = _BRACKETS.match(text, at)
            if text[at] == "(" and (brackets is None or brackets[0] == "()"):
                break
            is_last = text[at] not in "!*\"'「」;:=,.$%[]~&|@"
            at = brackets.end() if brackets else at + 1
            end = at if is_last else end
        if end < at:
            return end
    query = re.compile(r"\?\S*[\w&=#/-]").match(text, at)
    return query.end() if query else end


def _outside(text: str, places: Sequence[tuple[int, int]]) -> str:
    """The text without these places."""
    ends = [0, *(end for _, end in places)]
    starts = [*(start for start, _ in places), len(text)]
    return "".join(text[end:start] for end, start in zip(ends, starts, strict=True))


def _anchor(url: str) -> str:
    """A link with the parts that readers are spared."""
    scheme, rest = url.split("://", 1)
    href = html.escape(url)
    shown, hidden = html.escape(rest[:30]), html.escape(rest[30:])
    return (
        f'<a href="{href}" target="_blank" rel="nofollow noopener"><span class="invisible">{scheme}://</span>'
        f'<span class="ellipsis">{shown}</span><span class="invisible">{hidden}</span></a>'
    )


def _graphemes(text: str) -> int:
    """How many characters a reader sees: a mark, a joiner, what follows one, a skin tone, a second flag is none."""
    count, joined, flags = 0, False, 0
    for char in text:
        is_flag = "\U0001f1e6" <= char <= "\U0001f1ff"
        flags = flags + 1 if is_flag else 0
        is_mark = unicodedata.category(char) in ("Mn", "Me", "Mc") or "\U0001f3fb" <= char <= "\U0001f3ff"
        is_second_flag = is_flag and flags % 2 == 0
        if not (is_mark or joined or char == "\u200d" or is_second_flag):
            count += 1
        joined = char == "\u200d"
    return count


def _form(call: Call) -> dict[str, Message]:
    kind = call.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data; boundary="):
        raise _Refused(415, "Unsupported media type")
    whole = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + call.body)
    parts = whole.get_payload()
    assert isinstance(parts, list)
    return {
        str(part.get_param("name", header="content-disposition")): part for part in parts if isinstance(part, Message)
    }


def _text_of(part: Message) -> str:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode()


def _sniffed(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/png" if content.startswith(b"\x89PNG\r\n\x1a\n") else None


_NAMES: Sequence[tuple[str, str]] = (
    (r"/\.well-known/nodeinfo|/nodeinfo/2\.0", "nodeinfo"),
    (r"/api/v[12]/instance", "instance"),
    (r"/api/v1/accounts/verify_credentials", "whoami"),
    (r"/api/v1/apps/verify_credentials", "application"),
    (r"/api/v1/accounts/[^/]+/statuses", "find"),
    (r"/api/v1/statuses", "publish"),
    (r"/api/v1/statuses/[^/]+", "delete"),
    (r"/api/v[12]/media", "media"),
    (r"/api/v1/media/[^/]+", "poll"),
)


def _parsed(head: bytes) -> tuple[Call, int]:
    first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    parts = urlsplit(target)
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    name = next((name for pattern, name in _NAMES if re.fullmatch(pattern, parts.path)), "other")
    call = Call(
        name=name, method=method, path=parts.path, headers=headers, params=dict(parse_qsl(parts.query)), body=b""
    )
    return call, int(headers.get("content-length", "0"))


def _json(value: object, *, status: int = 200) -> _Reply:
    return _Reply(status=status, body=json.dumps(value, ensure_ascii=False).encode())
