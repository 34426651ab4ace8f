"""A strict Discord on loopback: one server with two channels and a thread, one webhook and one bot.

    with FakeDiscord() as server:
        server.webhook_url, server.url, server.token    # what an account's settings need
        server.script("send", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                                # the judge: what readers of all channels see

It refuses what the real one ignores: unknown keys, a webhook's call without `wait`, a post that leaves mentions open.
It reads Markdown by rules of its own. Only bots have a `nonce`, which counts for five minutes.

Sources: https://discord.com/developers/docs/resources/webhook, https://discord.com/developers/docs/resources/message,
https://support.discord.com/hc/en-us/articles/210298617.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email import message_from_bytes
from email.message import Message as Mail
from io import BytesIO
from typing import Any

from PIL import Image

from tests.servers.scripted import Call, Reply, Scripted, as_json

_EPOCH = datetime.fromisoformat("2015-01-01T00:00:00+00:00")
_FIELDS = {"content", "embeds", "allowed_mentions", "attachments", "flags"}
_EMBED_FIELDS = {"url", "title", "description", "image"}
_NONCE_LASTS = timedelta(minutes=5)


# --- Markdown --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shown:
    """What a reader sees of Markdown."""

    text: str = ""
    #: What formats, one word each.
    markup: list[str] = field(default_factory=list)
    #: Whom it names.
    mentions: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    #: Those whose page is shown.
    previews: list[str] = field(default_factory=list)


_BLOCKS = (
    ("heading", re.compile(r"(?m)^(?:-#|#{1,3})[ \t]+(?=\S)")),
    ("quote", re.compile(r"(?m)^(?:>>>|>)[ \t]")),
    ("list", re.compile(r"(?m)^[ \t]*(?:[-*+]|\d{1,10}\.)[ \t]+(?=\S)")),
)
_PAIRS = {"**": "bold", "__": "underline", "~~": "strike", "||": "spoiler", "*": "italic", "_": "italic", "`": "code"}
_INLINE = (
    ("escape", re.compile(r"\\([^0-9A-Za-z\s])")),
    ("mention", re.compile(r"<(?:@[!&]?|#|/[^:>]+:|a?:\w+:|t:|id:)[^>\s]*>|@everyone|@here")),
    ("angle", re.compile(r"<(https?://[^\s>]+)>")),
    # The address may hold escapes.
    ("masked", re.compile(r"\[([^\]]+)\]\((https?\\?:\\?/\\?/[^\s)]+)\)")),
    ("url", re.compile(r"https?://[^\s<]+[^<.,:;\"'\]\s]")),
    ("emoji", re.compile(r":[^\s:]+:")),
    ("pair", re.compile(r"(\*\*|__|~~|\|\||[*_`])(?=\S)(.+?)\1(?!\w)")),
)


def shown(source: str) -> Shown:
    """The Markdown as a reader sees it."""
    found, at = Shown(), 0
    while at < len(source):
        at = _block(source, at, found) if at == 0 or source[at - 1] == "\n" else at
        at = _step(source, at, found)
    return found


def _block(source: str, at: int, found: Shown) -> int:
    for name, pattern in _BLOCKS:
        if match := pattern.match(source, at):
            found.markup.append(name)
            return match.end()
    return at


def _step(source: str, at: int, found: Shown) -> int:
    for name, pattern in _INLINE:
        if match := pattern.match(source, at):
            _inline(name, match, found)
            return match.end()
    found.text += source[at : at + 1]
    return at + 1


def _inline(name: str, match: re.Match[str], found: Shown) -> None:
    match name:
        case "escape":
            found.text += match[1]
        case "mention":
            found.mentions.append(match[0])
        case "angle":
            found.text += match[1]
            found.links.append(match[1])
        case "url":
            found.text += match[0]
            found.links.append(match[0])
            found.previews.append(match[0])
        case "masked":
            found.markup.append("masked link")
            found.text += match[1]
            found.links.append(match[2])
        case "emoji":
            found.markup.append("emoji")
        case _:
            found.markup.append(_PAIRS[match[1]])
            found.text += match[2]


# --- messages --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as a reader finds it."""

    id: str
    channel: str
    #: Id of the bot or webhook, or of a person.
    author: str
    content: str
    at: datetime
    shown: Shown
    embeds: tuple[Mapping[str, Any], ...] = ()
    #: Format, width, height and alt text of each file.
    files: tuple[tuple[str, int, int, str], ...] = ()
    silent: bool = False
    #: Pages that Discord itself shows below.
    cards: tuple[str, ...] = ()
    nonce: str | None = None

    @property
    def text(self) -> str:
        return self.shown.text


class _Refused(Exception):
    def __init__(self, status: int, code: int, words: str, errors: Mapping[str, Any] | None = None) -> None:
        super().__init__(words)
        self.status = status
        self.body = {"code": code, "message": words, **({"errors": errors} if errors else {})}


class FakeDiscord(Scripted):
    """The server; attributes are set before or between calls."""

    token = "MTAxMjM0NTY3ODkwMTIzNDU2Nw.GcanaRy.0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a"
    bot = "1012345678901234567"
    guild = "1100000000000000001"
    channel = "1200000000000000002"
    forum = "1200000000000000003"
    thread = "1200000000000000004"
    webhook = "1300000000000000005"
    webhook_token = "canary-webhook_0a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e7f8a9b0c1d2e3f4a5b6c7d8e9f"

    def __init__(self) -> None:
        super().__init__()
        self.is_revoked = False
        self.may_send = True
        self.may_read = True
        #: Whether the bot sees what others wrote (Message Content Intent).
        self.sees_others = True
        #: The channel of the webhook.
        self.hooked = self.channel
        self.nonces = True
        self._messages: list[Message] = []
        self._count = 0

    # --- what a test looks at and sets ---

    @property
    def webhook_url(self) -> str:
        return f"{self.url}/api/webhooks/{self.webhook}/{self.webhook_token}"

    def visible(self) -> list[Message]:
        """All messages, the newest first."""
        with self._lock:
            return self._messages[::-1]

    def post_by_hand(self, content: str, *, author: str = "4242424242424242424", channel: str = "") -> Message:
        """A person, or one of ours by other means, writes."""
        with self._lock:
            return self._made(channel or self.channel, author, {"content": content})

    def remove(self, message: Message) -> None:
        """A person takes a message away."""
        with self._lock:
            self._messages.remove(message)

    @property
    def sends(self) -> list[Call]:
        return self.called("send")

    # --- requests ---

    def named(self, call: Call) -> str:
        if call.path.endswith("/messages"):
            return "send" if call.method == "POST" else "list"
        if "/messages/" in call.path:
            return "delete"
        if "/webhooks/" in call.path:
            return "send" if call.method == "POST" else "webhook"
        return "me" if call.path.endswith("/@me") else "channel"

    def reply(self, call: Call) -> Reply:
        try:
            return self._judged(call)
        except _Refused as refused:
            return as_json(refused.body, status=refused.status)

    def _judged(self, call: Call) -> Reply:
        if match := re.fullmatch(r"/api/v10/webhooks/(\d+)/([\w-]+)(/messages/(\d+))?", call.path):
            return self._hook(call, match)
        if call.headers.get("authorization") != f"Bot {self.token}" or self.is_revoked:
            raise _Refused(401, 0, "401: Unauthorized")
        if call.path == "/users/@me":
            return as_json({"id": self.bot, "username": "kaltim", "bot": True})
        match = re.fullmatch(r"/channels/(\d+)(/messages(?:/(\d+))?)?", call.path)
        if match is None:
            raise _Refused(404, 0, "404: Not Found")
        if match[1] not in (self.channel, self.forum, self.thread):
            raise _Refused(404, 10003, "Unknown Channel")
        return self._of_bot(call, match[1], match[2], match[3])

    def _hook(self, call: Call, match: re.Match[str]) -> Reply:
        if match[1] != self.webhook or self.is_revoked:
            raise _Refused(404, 10015, "Unknown Webhook")
        if match[2] != self.webhook_token:
            raise _Refused(401, 50027, "Invalid Webhook Token")
        assert "authorization" not in call.headers
        if match[4]:
            return self._delete(self.webhook, match[4], call.params.get("thread_id", self.hooked))
        if call.method == "GET":
            return as_json(
                {"id": self.webhook, "type": 1, "name": "Redaksi", "channel_id": self.hooked, "guild_id": self.guild}
            )
        assert call.params.get("wait") == "true"
        assert set(call.params) <= {"wait", "thread_id"}
        channel = call.params.get("thread_id", self.hooked)
        if channel == self.forum:
            raise _Refused(400, 220001, "Webhooks posted to forum channels must have a thread_name or thread_id")
        return self._judge_message(channel, self.webhook, call, _FIELDS)

    def _of_bot(self, call: Call, channel: str, part: str | None, number: str | None) -> Reply:
        if part is None:
            last = [message.id for message in self._messages if message.channel == channel]
            return as_json(
                {
                    "id": channel,
                    "type": 0,
                    "name": "berita",
                    "guild_id": self.guild,
                    "last_message_id": last[-1] if last else None,
                }
            )
        if number:
            return self._delete(self.bot, number, channel)
        if call.method == "GET":
            return self._list(call, channel)
        if not self.may_send:
            raise _Refused(403, 50013, "Missing Permissions")
        return self._judge_message(channel, self.bot, call, _FIELDS | {"nonce", "enforce_nonce"})

    def _list(self, call: Call, channel: str) -> Reply:
        assert set(call.params) <= {"limit", "before"}
        limit, before = int(call.params["limit"]), int(call.params.get("before", 2**63))
        assert 1 <= limit <= 100
        found = [one for one in self._messages[::-1] if one.channel == channel and int(one.id) < before]
        return as_json([self._seen(message) for message in (found if self.may_read else [])[:limit]])

    def _seen(self, message: Message) -> Mapping[str, Any]:
        """The message as the API shows it to the bot."""
        is_own = message.author == self.bot
        shows = is_own or self.sees_others
        body: dict[str, Any] = {
            "id": message.id,
            "channel_id": message.channel,
            "author": {"id": message.author, "username": "x"},
            "content": message.content if shows else "",
            "embeds": [*message.embeds] if shows else [],
            "timestamp": message.at.isoformat(),
        }
        if message.author == self.webhook:
            body["webhook_id"] = self.webhook
        if message.nonce and is_own:
            body["nonce"] = message.nonce
        return body

    def _delete(self, author: str, number: str, channel: str) -> Reply:
        for message in self._messages:
            if (message.id, message.channel) == (number, channel):
                if message.author != author:
                    raise _Refused(403, 50013, "Missing Permissions")
                self._messages.remove(message)
                return Reply(status=204)
        raise _Refused(404, 10008, "Unknown Message")

    # --- sending ---

    def _judge_message(self, channel: str, author: str, call: Call, fields: set[str]) -> Reply:
        message, files = _form(call)
        if unknown := set(message) - fields:
            raise _invalid({name: {"_errors": [{"code": "UNKNOWN"}]} for name in unknown})
        if message.get("allowed_mentions") != {"parse": []}:
            raise _invalid({"allowed_mentions": {"_errors": [{"code": "OPEN"}]}})
        nonce = message.get("nonce")
        if nonce is not None and self.nonces and (known := self._under(author, nonce)):
            assert message.get("enforce_nonce") is True
            return as_json(self._seen(known))
        made = self._made(channel, author, message, files)
        return as_json(self._seen(made) if author == self.bot else self._to_webhook(made))

    def _to_webhook(self, message: Message) -> Mapping[str, Any]:
        return {"id": message.id, "channel_id": message.channel, "content": message.content, "webhook_id": self.webhook}

    def _under(self, author: str, nonce: object) -> Message | None:
        if not isinstance(nonce, str) or len(nonce) > 25:
            raise _invalid({"nonce": {"_errors": [{"code": "NONCE_TYPE_TOO_LONG"}]}})
        recent = (one for one in self._messages if self.clock() - one.at <= _NONCE_LASTS)
        return next((one for one in recent if (one.author, one.nonce) == (author, nonce)), None)

    def _made(
        self, channel: str, author: str, message: Mapping[str, Any], files: Mapping[str, bytes] | None = None
    ) -> Message:
        content = str(message.get("content", "")).strip()
        if not content and not message.get("embeds") and not files:
            raise _Refused(400, 50006, "Cannot send an empty message")
        if _units(content) > 2000:
            raise _invalid({"content": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH"}]}})
        embeds = tuple(_embed(embed, files or {}) for embed in message.get("embeds", ()))
        flags, read = message.get("flags", 0), shown(content)
        if not isinstance(flags, int) or flags & ~(4 | 4096):
            raise _invalid({"flags": {"_errors": [{"code": "BASE_TYPE_CHOICES"}]}})
        self._count += 1
        milliseconds = int((self.clock() - _EPOCH).total_seconds() * 1000)
        made = Message(
            id=str((milliseconds << 22) + self._count),
            channel=channel,
            author=author,
            content=content,
            at=self.clock(),
            shown=read,
            embeds=() if flags & 4 else embeds,
            files=_attached(message.get("attachments", []), files or {}),
            silent=bool(flags & 4096),
            cards=() if flags & 4 else tuple(read.previews),
            nonce=message.get("nonce"),
        )
        self._messages.append(made)
        return made


def _invalid(errors: Mapping[str, Any]) -> _Refused:
    return _Refused(400, 50035, "Invalid Form Body", errors)


def _units(text: str) -> int:
    return sum(2 if ord(char) > 0xFFFF else 1 for char in text)


def _form(call: Call) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The message, and its files by their names."""
    kind = call.headers.get("content-type", "")
    if kind == "application/json":
        return dict(json.loads(call.body)), {}
    assert kind.startswith("multipart/form-data; boundary=")
    message: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for part in message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + call.body).get_payload():
        assert isinstance(part, Mail)
        content, name = part.get_payload(decode=True), part.get_param("name", header="content-disposition")
        assert isinstance(content, bytes)
        if name == "payload_json":
            message = json.loads(content)
        else:
            assert name == f"files[{len(files)}]"
            files[str(part.get_filename())] = content
    return message, files


def _embed(embed: Any, files: Mapping[str, bytes]) -> Mapping[str, Any]:
    if set(embed) - _EMBED_FIELDS or _units(embed["title"]) > 256 or _units(embed.get("description", "")) > 4096:
        raise _invalid({"embeds": {"0": {"title": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH"}]}}}})
    image = embed.get("image")
    if image is not None and image["url"].removeprefix("attachment://") not in files:
        raise _invalid({"embeds": {"0": {"image": {"_errors": [{"code": "URL_TYPE_INVALID_URL"}]}}}})
    found: Mapping[str, Any] = embed
    return found


def _attached(described: Any, files: Mapping[str, bytes]) -> tuple[tuple[str, int, int, str], ...]:
    """The files as they are shown, each described."""
    if [one["filename"] for one in described] != [*files]:
        raise _invalid({"attachments": {"_errors": [{"code": "MISMATCH"}]}})
    found = []
    for one, content in zip(described, files.values(), strict=True):
        if set(one) - {"id", "filename", "description"} or len(one.get("description", "")) > 1024:
            raise _invalid({"attachments": {"0": {"description": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH"}]}}}})
        if len(content) > 10 * 1024 * 1024:
            raise _Refused(413, 40005, "Request entity too large")
        with Image.open(BytesIO(content)) as image:
            found.append((str(image.format), *image.size, one.get("description", "")))
    return tuple(found)
