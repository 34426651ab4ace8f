"""A strict Slack on loopback: one workspace, one channel, one app with a bot and an incoming webhook.

    with FakeSlack() as server:
        server.webhook_url, server.url, server.token    # what an account's settings need
        server.script("send", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                                # the judge: what readers of the channel see

It refuses what the real one ignores: unknown keys, what finds names in a text. It reads text by rules of its own. There
are no keys: each call that is taken makes one more message.

Sources: https://docs.slack.dev/reference/methods/chat.postMessage, https://docs.slack.dev/messaging/formatting-message-text,
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.servers.scripted import Call, Reply, Scripted, as_json

_TEXT_FIELDS: Mapping[str, type] = {"text": str, "mrkdwn": bool, "unfurl_links": bool, "unfurl_media": bool}
_POST_FIELDS: Mapping[str, type] = {**_TEXT_FIELDS, "channel": str, "metadata": dict}
_HISTORY_PARAMS = {"channel", "oldest", "inclusive", "include_all_metadata", "limit", "cursor"}


# --- text ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shown:
    """What a reader sees of a text."""

    text: str = ""
    #: What formats, one word each.
    markup: list[str] = field(default_factory=list)
    #: Whom it calls.
    mentions: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)


_ENTITIES = {"&amp;": "&", "&lt;": "<", "&gt;": ">"}
_PARTS = re.compile(
    r"(?P<entity>&(?:amp|lt|gt);)|<(?P<control>[^<>\n]+)>|(?P<url>https?://(?:[^\s<>&|]|&amp;)+)"
    r"|(?P<emoji>:[a-z0-9_+'-]+:)|(?P<call>@(?:channel|here|everyone)\b)"
    r"|(?P<pair>(?<!\w)(?P<sign>[*_~`])(?=\S)[^\n]*?(?<=\S)(?P=sign)(?!\w))|(?P<quote>^(?:&gt;|>))",
    re.MULTILINE,
)


def shown(source: str, *, mrkdwn: bool) -> Shown:
    """The text as a reader sees it; without `mrkdwn` nothing is bold or quoted, and all else stays."""
    found, at = Shown(), 0
    while match := _PARTS.search(source, at):
        found.text += source[at : match.start()]
        at = match.start() + _part(match, found, mrkdwn=mrkdwn)
    found.text += source[at:]
    return found


def _part(match: re.Match[str], found: Shown, *, mrkdwn: bool) -> int:
    """How many characters the part takes; it is noted."""
    kind, whole = match.lastgroup if match.lastgroup != "sign" else "pair", match[0]
    if kind in ("pair", "quote") and not mrkdwn:
        found.text += whole[0]
        return 1
    match kind:
        case "entity":
            found.text += _ENTITIES[whole]
        case "url":
            found.links.append(whole.replace("&amp;", "&"))
            found.text += found.links[-1]
        case "control":
            (found.mentions if match["control"][0] in "@!#" else found.links).append(match["control"])
        case "call":
            # `link_names` is off, so that it is a word; but nobody should depend on it.
            found.mentions.append(whole)
            found.text += whole
        case _:
            found.markup.append(str(kind))
    return len(whole)


# --- messages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as a reader finds it."""

    ts: str
    #: Id of the bot or webhook, or of a person.
    author: str
    source: str
    at: datetime
    shown: Shown
    #: Pages that are shown below.
    previews: tuple[str, ...] = ()
    metadata: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        return self.shown.text


class _Refused(Exception):
    """An error by its name."""


class FakeSlack(Scripted):
    """The server; attributes are set before or between calls."""

    token = "xoxb-canary-1234567890-0a1b2c3d4e5f6a7b8c9d0e1f"
    team = "T0123456789"
    channel = "C0123456789"
    bot = "B0123456789"
    user = "U0123456789"
    hook = "B0987654321"
    hook_secret = "canaryHook0a1b2c3d4e5f6a7b"

    def __init__(self) -> None:
        super().__init__()
        self.is_revoked = False
        self.is_member = True
        self.scopes = {"chat:write", "channels:history"}
        self._messages: list[Message] = []
        self._count = 0

    # --- what a test looks at and sets ---

    @property
    def webhook_url(self) -> str:
        return f"{self.url}/services/{self.team}/{self.hook}/{self.hook_secret}"

    def visible(self) -> list[Message]:
        """All messages, the newest first."""
        with self._lock:
            return self._messages[::-1]

    def post_by_hand(self, text: str, *, author: str = "U0424242424") -> Message:
        """A person, or the bot by other means, writes."""
        with self._lock:
            return self._made(author, {"text": text})

    @property
    def sends(self) -> list[Call]:
        """The calls that may have made a message."""
        return self.called("send")

    # --- requests ---

    def named(self, call: Call) -> str:
        method = call.path.rpartition("/")[2]
        if call.path.startswith("/services/"):
            return "probe" if call.headers.get("content-length") == "2" else "send"
        return "send" if method == "chat.postMessage" else method

    def reply(self, call: Call) -> Reply:
        if call.path.startswith("/services/"):
            return self._hooked(call)
        scopes = {"X-OAuth-Scopes": ",".join(sorted(self.scopes))} if self.scopes else {}
        try:
            return as_json({"ok": True, **self._judged(call)}, headers=scopes)
        except _Refused as refused:
            return as_json({"ok": False, "error": str(refused)}, headers=scopes)

    def _hooked(self, call: Call) -> Reply:
        assert "authorization" not in call.headers
        if call.path != f"/services/{self.team}/{self.hook}/{self.hook_secret}" or self.is_revoked:
            return Reply(status=404, body=b"no_service")
        message = json.loads(call.body)
        if not message:
            return Reply(status=400, body=b"no_text")
        if _wrong(message, _TEXT_FIELDS):
            return Reply(status=400, body=b"invalid_payload")
        self._made(self.hook, message)
        return Reply(body=b"ok")

    def _judged(self, call: Call) -> Mapping[str, Any]:
        if call.headers.get("authorization") != f"Bearer {self.token}":
            raise _Refused("invalid_auth")
        if self.is_revoked:
            raise _Refused("token_revoked")
        if call.method == "POST":
            assert call.headers["content-type"] == "application/json; charset=utf-8"
        match call.path:
            case "/auth.test":
                home = "https://kaltim.slack.com/"
                return {"url": home, "team": "Kaltim", "team_id": self.team, "user_id": self.user, "bot_id": self.bot}
            case "/chat.postMessage":
                return self._post(json.loads(call.body))
            case "/conversations.history":
                return self._history(call.params)
            case "/chat.delete":
                return self._delete(json.loads(call.body))
        raise _Refused("unknown_method")

    def _enter(self, channel: object, scope: str) -> None:
        if channel != self.channel:
            raise _Refused("channel_not_found")
        if self.scopes and scope not in self.scopes:
            raise _Refused("missing_scope")
        if not self.is_member:
            raise _Refused("not_in_channel")

    def _post(self, message: dict[str, Any]) -> Mapping[str, Any]:
        if wrong := _wrong(message, _POST_FIELDS):
            raise _Refused(f"invalid_arguments: {wrong}")
        self._enter(message["channel"], "chat:write")
        metadata = message.get("metadata", {"event_type": "x", "event_payload": {}})
        if set(metadata) != {"event_type", "event_payload"} or not isinstance(metadata["event_payload"], dict):
            raise _Refused("invalid_metadata_format")
        made = self._made(self.bot, message)
        return {"channel": self.channel, "ts": made.ts, "message": self._seen(made)}

    def _history(self, params: Mapping[str, str]) -> Mapping[str, Any]:
        assert set(params) <= _HISTORY_PARAMS
        self._enter(params["channel"], "channels:history")
        limit, start = int(params["limit"]), int(params.get("cursor", "0"))
        assert 1 <= limit <= 999
        found = [one for one in self._messages[::-1] if float(one.ts) >= float(params["oldest"])]
        has_more = len(found) > start + limit
        return {
            "messages": [self._seen(message) for message in found[start : start + limit]],
            "has_more": has_more,
            "response_metadata": {"next_cursor": str(start + limit) if has_more else ""},
        }

    def _seen(self, message: Message) -> Mapping[str, Any]:
        body: dict[str, Any] = {"type": "message", "ts": message.ts, "text": message.source}
        if message.author == self.bot:
            body |= {"bot_id": self.bot, "user": self.user}
        elif message.author == self.hook:
            body |= {"bot_id": self.hook, "subtype": "bot_message"}
        else:
            body["user"] = message.author
        if message.metadata:
            body["metadata"] = message.metadata
        return body

    def _delete(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        assert set(fields) == {"channel", "ts"}
        self._enter(fields["channel"], "chat:write")
        for message in self._messages:
            if message.ts == fields["ts"]:
                if message.author != self.bot:
                    raise _Refused("cant_delete_message")
                self._messages.remove(message)
                return {"channel": self.channel, "ts": message.ts}
        raise _Refused("message_not_found")

    def _made(self, author: str, message: Mapping[str, Any]) -> Message:
        source = message["text"].strip()
        if not source:
            raise _Refused("no_text")
        if sum(2 if ord(char) > 0xFFFF else 1 for char in source) > 4000:
            raise _Refused("msg_too_long")
        self._count += 1
        read = shown(source, mrkdwn=message.get("mrkdwn", True))
        made = Message(
            ts=f"{int(self.clock().timestamp())}.{self._count:06}",
            author=author,
            source=source,
            at=self.clock(),
            shown=read,
            previews=tuple(read.links) if message.get("unfurl_links") else (),
            metadata=message.get("metadata"),
        )
        self._messages.append(made)
        return made


def _wrong(message: Mapping[str, Any], fields: Mapping[str, type]) -> str:
    """The first key that is not known, or is of another kind."""
    return next((name for name, value in message.items() if type(value) is not fields.get(name)), "")
