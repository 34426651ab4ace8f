"""A strict server with LinkedIn's API on loopback for one member and one page.

    with FakeLinkedIn() as server:
        server.url, server.token                    # what an account's settings need
        server.script("publish", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                            # the judge: what readers see

It refuses what the real one ignores: unknown keys, headers and parameters. It reads the format of commentary by a
parser of its own, which cuts a text off at a sign that should have been escaped, as the real one does without a word.
No key exists; an identical post is refused with the URN of the first.

Sources: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api,
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/little-text-format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.servers.scripted import Call, Reply, Scripted, as_json

_RESERVED = set("\\|{}@[]()<>#*_~")
_TAG = re.compile(r"\{hashtag\|(?:\\#|#|\uff03)\|((?:\\.|[^\\|{}@\[\]()<>#*~])+)\}")
_POST_KEYS = {
    "author", "commentary", "visibility", "distribution", "content", "lifecycleState", "isReshareDisabledByAuthor"
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A post as a reader finds it."""

    urn: str
    author: str
    text: str
    at: datetime
    visibility: str
    hashtags: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    #: Address, title, description and whether it has a picture.
    card: tuple[str, str, str, bool] | None = None
    #: The alt text of a picture without a card.
    alt: str | None = None


@dataclass(slots=True)
class _Refused(Exception):
    status: int
    words: str
    code: str = ""
    input_code: str = ""
    body: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.body = {"message": self.words, "status": self.status}
        if self.code:
            self.body["code"] = self.code
        if self.input_code:
            error = {"description": "Duplicate post is detected", "input": {}, "code": self.input_code}
            self.body["errorDetails"] = {"inputErrors": [error]}


class FakeLinkedIn(Scripted):
    """The server; attributes are set before or between calls."""

    token = "AQVcanaryTOKENx1a2b3c4d5e6f7g8h9i0j1k2l3"
    client_id = "86canaryclient"
    client_secret = "WPLcanarySECRET9z8y7x"
    member = "Ab_c-12"
    page = "5515715"
    version = "202608"

    def __init__(self) -> None:
        super().__init__()
        self.is_revoked = False
        self.versions = {"202608", "202609"}
        self.role = "ADMINISTRATOR"
        self.scope = "openid,profile,w_member_social"
        self.token_ends = 1_800_000_000
        self.refuses_duplicates = True
        #: Where uploads go; None: here.
        self.upload_url: str | None = None
        self.images_in_work = False
        self._images: dict[str, bytes | None] = {}
        self._bodies: dict[str, bytes] = {}
        self._posts: list[Share] = []
        self._count = 7_295_588_489_876_647_000

    # --- what a test looks at and sets ---

    def visible(self) -> list[Share]:
        """All posts, the newest first."""
        with self._lock:
            return self._posts[::-1]

    @property
    def uploads(self) -> list[bytes]:
        """The pictures that came."""
        return [content for content in self._images.values() if content is not None]

    # --- requests ---

    def named(self, call: Call) -> str:
        named = {
            ("POST", "/rest/posts"): "publish",
            ("POST", "/rest/images"): "begin",
            ("GET", "/v2/userinfo"): "whoami",
            ("GET", "/rest/organizationAcls"): "roles",
            ("POST", "/oauth/v2/introspectToken"): "introspect",
        }
        if call.method == "DELETE" and call.path.startswith("/rest/posts/"):
            return "delete"
        if call.method == "PUT" and call.path.startswith("/upload/"):
            return "upload"
        return named.get((call.method, call.path), "other")

    def reply(self, call: Call) -> Reply:
        try:
            if call.name == "other":
                raise _Refused(404, "No virtual resource found")
            if call.name != "introspect":
                self._check_headers(call)
            answer: Reply = getattr(self, f"_{call.name}")(call)
        except _Refused as refused:
            return as_json(refused.body, status=refused.status)
        return answer

    def _check_headers(self, call: Call) -> None:
        if self.is_revoked or call.headers.get("authorization") != f"Bearer {self.token}":
            raise _Refused(401, "The token used in the request has expired", "EXPIRED_ACCESS_TOKEN")
        if call.path.startswith("/rest/"):
            version = call.headers.get("linkedin-version")
            if version is None:
                raise _Refused(400, "A version must be present", "VERSION_MISSING")
            if version not in self.versions:
                raise _Refused(426, f"Requested version {version} is not active", "NONEXISTENT_VERSION")
            if call.headers.get("x-restli-protocol-version") != "2.0.0":
                raise _Refused(400, "no protocol version")

    def _whoami(self, call: Call) -> Reply:
        _check_params(call)
        return as_json({"sub": self.member, "name": "Ani Wijaya", "locale": "id_ID"})

    def _roles(self, call: Call) -> Reply:
        if dict(call.params) != {"q": "roleAssignee", "state": "APPROVED", "count": "100"}:
            raise _Refused(400, f"unknown parameters {dict(call.params)}", "PARAM_INVALID")
        role = {
            "role": self.role,
            "state": "APPROVED",
            "organization": f"urn:li:organization:{self.page}",
            "roleAssignee": f"urn:li:person:{self.member}",
        }
        return as_json({"elements": [role], "paging": {"count": 100, "start": 0}})

    def _introspect(self, call: Call) -> Reply:
        form = dict(parse_qsl(call.body.decode(), strict_parsing=True))
        wanted = {"client_id": self.client_id, "client_secret": self.client_secret, "token": self.token}
        if form != wanted:
            return as_json({"error": "invalid_client"}, status=401)
        return as_json({"active": True, "status": "active", "scope": self.scope, "expires_at": self.token_ends})

    # --- pictures ---

    def _begin(self, call: Call) -> Reply:
        if dict(call.params) != {"action": "initializeUpload"}:
            raise _Refused(400, "unknown action")
        if set(_json(call)) != {"initializeUploadRequest"} or set(_json(call)["initializeUploadRequest"]) != {"owner"}:
            raise _Refused(400, "unknown fields", "INVALID_VALUE_FOR_FIELD")
        self._check_author(_json(call)["initializeUploadRequest"]["owner"])
        number = self._number()
        self._images[f"urn:li:image:C{number}"] = None
        url = f"{self.upload_url or self.url}/upload/{number}"
        return as_json({"value": {"uploadUrl": url, "image": f"urn:li:image:C{number}"}})

    def _upload(self, call: Call) -> Reply:
        urn = f"urn:li:image:C{call.path.rpartition('/')[2]}"
        if urn not in self._images or self._images[urn] is not None:
            raise _Refused(400, "this upload is not known or done")
        if not call.body.startswith((b"\xff\xd8", b"\x89PNG")):
            raise _Refused(415, "no picture")
        self._images[urn] = call.body
        return Reply(status=201)

    # --- posts ---

    def _number(self) -> int:
        self._count += 11
        return self._count

    def _check_author(self, author: object) -> None:
        if author not in (f"urn:li:person:{self.member}", f"urn:li:organization:{self.page}"):
            raise _Refused(403, "Not enough permissions to access: posts.CREATE", "ACCESS_DENIED")

    def _publish(self, call: Call) -> Reply:
        _check_params(call)
        body = _json(call)
        if unknown := set(body) - _POST_KEYS:
            raise _Refused(400, f"unknown fields {sorted(unknown)}", "INVALID_VALUE_FOR_FIELD")
        self._check_author(body.get("author"))
        if body["lifecycleState"] != "PUBLISHED" or body["visibility"] not in ("PUBLIC", "CONNECTIONS"):
            raise _Refused(422, "odd state or visibility", "INVALID_VALUE_FOR_FIELD")
        if body["distribution"]["feedDistribution"] != "MAIN_FEED" or body["isReshareDisabledByAuthor"] is not False:
            raise _Refused(422, "odd distribution")
        text, hashtags, mentions = read(body["commentary"])
        if len(text) > 3_000:
            raise _Refused(400, "ERROR :: /commentary :: length exceeded", "FIELD_LENGTH_TOO_LONG")
        card, alt = self._content(body.get("content", {}))
        for urn, earlier in self._bodies.items():
            if self.refuses_duplicates and earlier == call.body:
                raise _Refused(422, f"Exception: Content is a duplicate of {urn}", "", "DUPLICATE_POST")
        urn = f"urn:li:share:{self._number()}"
        self._bodies[urn] = call.body
        rest: dict[str, Any] = {"visibility": body["visibility"], "hashtags": hashtags, "mentions": mentions}
        share = Share(urn=urn, author=body["author"], text=text, at=self.clock(), card=card, alt=alt, **rest)
        self._posts.append(share)
        return Reply(status=201, headers={"X-RestLi-Id": urn})

    def _content(self, content: Mapping[str, Any]) -> tuple[tuple[str, str, str, bool] | None, str | None]:
        if not content:
            return None, None
        if set(content) == {"article"}:
            card = content["article"]
            if not {"source", "title"} <= set(card) <= {"source", "title", "description", "thumbnail"}:
                raise _Refused(422, "ERROR :: /content/article :: fields", "MISSING_FIELD")
            if not card["title"] or len(card["title"]) > 400:
                raise _Refused(422, "ERROR :: /content/article/title :: length", "FIELD_LENGTH_TOO_LONG")
            has_picture = "thumbnail" in card and self._picture(card["thumbnail"], "/content/article/thumbnail")
            return (card["source"], card["title"], card.get("description", ""), has_picture), None
        if set(content) != {"media"} or not {"id"} <= set(content["media"]) <= {"id", "altText"}:
            raise _Refused(422, "ERROR :: /content :: fields")
        self._picture(content["media"]["id"], "/content/media/id")
        return None, content["media"].get("altText", "")

    def _picture(self, urn: str, place: str) -> bool:
        if self._images.get(urn) is None:
            raise _Refused(400, f"ERROR :: {place} :: {urn} does not exist", "INVALID_VALUE_FOR_FIELD")
        if self.images_in_work:
            self.images_in_work = False
            raise _Refused(400, f"ERROR :: {place} :: {urn} is not ready, its status is PROCESSING")
        return True

    def _delete(self, call: Call) -> Reply:
        if call.headers.get("x-restli-method") != "DELETE" or ":" in call.path:
            raise _Refused(400, "Syntax exception in path variables", "ILLEGAL_ARGUMENT")
        urn = unquote(call.path.rpartition("/")[2])
        self._posts = [share for share in self._posts if share.urn != urn]
        return Reply(status=204)


def read(commentary: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What a reader sees of a commentary, up to the first sign that is out of place, its hashtags and mentions."""
    shown: list[str] = []
    hashtags: list[str] = []
    mentions: list[str] = []
    place = 0
    while place < len(commentary):
        sign = commentary[place]
        if sign == "\\" and commentary[place + 1 : place + 2] in _RESERVED:
            shown.append(commentary[place + 1])
            place += 2
        elif tag := _TAG.match(commentary, place):
            hashtags.append(re.sub(r"\\(.)", r"\1", tag[1]))
            shown.append(f"#{hashtags[-1]}")
            place = tag.end()
        elif plain := re.match(r"[#\uff03]([^\W_]+)", commentary[place:]):
            hashtags.append(plain[1])
            shown.append(plain[0])
            place += plain.end()
        elif mention := re.match(r"@\[([^\]]*)\]\((urn:li:\w+:\d+)\)", commentary[place:]):
            mentions.append(mention[2])
            shown.append(mention[1])
            place += mention.end()
        elif sign in _RESERVED:
            break
        else:
            shown.append(sign)
            place += 1
    return "".join(shown), tuple(hashtags), tuple(mentions)


def _json(call: Call) -> dict[str, Any]:
    if call.headers.get("content-type") != "application/json":
        raise _Refused(415, "no JSON")
    value = json.loads(call.body)
    if not isinstance(value, dict):
        raise _Refused(400, "no object")
    return value


def _check_params(call: Call) -> None:
    if call.params:
        raise _Refused(400, f"unknown parameters {sorted(call.params)}", "QUERY_PARAM_NOT_ALLOWED")
