"""A strict receiver of Standard Webhooks on loopback.

    with FakeReceiver() as server:
        server.address, server.secret               # what an account's settings need
        server.script("event", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                            # the judge: what the receiver made, one for each id

It verifies signatures by an implementation of its own, refuses events that are not exactly as they are documented, and
takes an id once.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import jsonschema

from tests.servers.scripted import Call, Reply, Scripted, as_json

_TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}


def _object(**properties: Any) -> dict[str, Any]:
    """Exactly these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


#: What the user's page says of an event.
SCHEMA: Mapping[str, Any] = _object(
    type={"const": "article.published"},
    timestamp=_TIME,
    data=_object(
        key={"type": "string", "pattern": "^[0-9a-f]{32}$"},
        article=_object(
            url={"type": ["string", "null"], "pattern": "^https?://[!-~]+$"},
            title=_TEXT,
            summary=_TEXT,
            published=_TIME,
            languages=_TEXTS,
        ),
        post=_object(
            text={"type": "string", "minLength": 1},
            hashtags={"type": "array", "items": {"type": "string", "pattern": r"^[^#\s]+$"}},
            shortened=_TEXTS,
        ),
    ),
)


class FakeReceiver(Scripted):
    """The server; attributes are set before or between calls."""

    path = "/hooks/autopublish"
    secret = "whsec_Y2FuYXJ5LXNlY3JldC0wYTFiMmMzZDRlNWY2YTdi"

    def __init__(self) -> None:
        super().__init__()
        #: Secrets that it verifies with.
        self.secrets = [self.secret]
        #: Demanded beside the signature.
        self.token: str | None = None
        #: An id that it knows is answered so, and not with 200.
        self.repeat_status = 200
        #: It remembers no ids: each event that is taken is made.
        self.forgets = False
        #: What an answer to a taken event holds.
        self.answer: Reply = Reply(status=204)
        self._made: list[tuple[str, dict[str, Any]]] = []

    @property
    def address(self) -> str:
        """Where it takes events."""
        return f"{self.url}{self.path}"

    def visible(self) -> list[dict[str, Any]]:
        """What it made of events: their data, the newest first."""
        with self._lock:
            return [data for _, data in reversed(self._made)]

    def named(self, call: Call) -> str:
        return {"POST": "event", "OPTIONS": "options"}.get(call.method, "other")

    def reply(self, call: Call) -> Reply:
        if call.path != self.path:
            return Reply(status=404)
        if call.name == "options":
            return Reply(status=204, headers={"Allow": "POST, OPTIONS"})
        if call.name != "event":
            return Reply(status=405, headers={"Allow": "POST, OPTIONS"})
        if call.headers.get("content-type") != "application/json":
            return as_json({"error": "not JSON"}, status=415)
        if not self._is_authentic(call):
            return as_json({"error": "the signature is wrong"}, status=401)
        event = json.loads(call.body)
        if wrong := self._wrong(call, event):
            return as_json({"error": wrong}, status=422)
        return self._taken(call.headers["webhook-id"], event["data"])

    def _is_authentic(self, call: Call) -> bool:
        if self.token is not None and call.headers.get("authorization") != f"Bearer {self.token}":
            return False
        head = f"{call.headers['webhook-id']}.{call.headers['webhook-timestamp']}.".encode()
        right = {signature(secret, head + call.body) for secret in self.secrets}
        return bool(right & set(call.headers["webhook-signature"].split(" ")))

    def _wrong(self, call: Call, event: Any) -> str | None:
        """What is not as it is documented."""
        try:
            jsonschema.validate(event, SCHEMA)
        except jsonschema.ValidationError as error:
            return error.message
        if event["data"]["key"] != call.headers["webhook-id"] or "." in call.headers["webhook-id"]:
            return "the webhook-id is not the key"
        if not re.fullmatch(r"\d+", call.headers["webhook-timestamp"]):
            return "the webhook-timestamp is no number"
        at = datetime.fromtimestamp(int(call.headers["webhook-timestamp"]), UTC)
        if event["timestamp"] != at.isoformat().replace("+00:00", "Z"):
            return "the webhook-timestamp is not the time of the event"
        return "more than 20 kB" if len(call.body) > 20_000 else None

    def _taken(self, key: str, data: dict[str, Any]) -> Reply:
        if not self.forgets and any(known == key for known, _ in self._made):
            return self.answer if self.repeat_status == 200 else Reply(status=self.repeat_status)
        self._made.append((key, data))
        return self.answer


def signature(secret: str, content: bytes) -> str:
    """What the standard calls `v1`: HMAC by hand (RFC 2104), so that no mistake is made twice."""
    key = base64.b64decode(secret.removeprefix("whsec_")).ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + content).digest()
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()
    return f"v1,{base64.b64encode(outer).decode()}"
