"""A strict Bot API server on loopback with one bot and a few chats.

    with FakeTelegram() as server:
        server.url, server.token                    # what an account's settings need
        server.script("sendMessage", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                            # the judge: what readers of all chats see

It refuses what the real one ignores: unknown fields and keys. It counts UTF-16 code units, and finds links, mentions,
hashtags, cashtags and commands by rules of its own, after those of TDLib. A key does not exist: each call that is taken
makes one more message.

Sources: https://core.telegram.org/bots/api, https://github.com/tdlib/td/blob/master/td/telegram/MessageEntity.cpp.
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

_SENT_FIELDS = {"chat_id", "disable_notification", "protect_content", "message_thread_id"}
_FIELDS: Mapping[str, set[str]] = {
    "getMe": set(),
    "getChat": {"chat_id"},
    "getChatMember": {"chat_id", "user_id"},
    "sendMessage": _SENT_FIELDS | {"text", "entities", "link_preview_options"},
    "sendPhoto": _SENT_FIELDS | {"photo", "caption", "caption_entities"},
    "deleteMessage": {"chat_id", "message_id"},
}
_PREVIEW_KEYS = {"url": str, "is_disabled": bool, "prefer_large_media": bool, "prefer_small_media": bool}

_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?(?:[/?#][^\s<>\"]*)?")
# A letter, a digit or `_` before the sign, and none of these begins there.
_MENTION = re.compile(r"(?<!\w)@([A-Za-z0-9_]{2,32})(?!\w)")
_HASHTAG = re.compile("(?<![\\w\u200c\u00b7\u0d80-\u0dff])#([\\w\u200c\u00b7\u0d80-\u0dff]{1,256})")
_CASHTAG = re.compile(r"(?<![\w$])\$(1INCH|[A-Z]{1,8})(?![\w$])")
_COMMAND = re.compile(r"(?<![\w/<>])/([A-Za-z0-9_]{1,64})(?![\w/<>])")
#: TDLib drops these: bidirectional overrides, and marks that draw lines through other text.
_DROPPED = re.compile("[\u2028-\u202e\u0333\u033f\u030a\r]")


@dataclass(slots=True)
class Chat:
    """A channel or group, and what the bot may do there."""

    id: int
    #: channel, supergroup, group or private
    type: str = "channel"
    title: str = "Kaltim News"
    username: str = ""
    #: The bot's place there; empty: none.
    status: str = "administrator"
    can_post: bool = True
    #: What the chat lets its members do.
    members_write: bool = True
    takes_photos: bool = True
    #: The supergroup that it became.
    moved_to: int | None = None
    topics: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as a reader finds it."""

    id: int
    chat: int
    text: str
    at: datetime
    #: Format, width and height of the picture.
    photo: tuple[str, int, int] | None = None
    #: The address whose page is shown below.
    preview: str | None = None
    is_large: bool = False
    bold: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    cashtags: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    silent: bool = False
    protected: bool = False
    topic: int | None = None


class _Refused(Exception):
    def __init__(self, status: int, description: str, **parameters: int) -> None:
        super().__init__(description)
        self.status = status
        self.description = description
        self.parameters = parameters


@dataclass(slots=True)
class _Form:
    """The fields of one request."""

    values: dict[str, Any] = field(default_factory=dict)
    photo: bytes | None = None


class FakeTelegram(Scripted):
    """The server; attributes are set before or between calls."""

    token = "987654321:AAcanaryTOKEN-0a1b2c3d4e5f6a7b8c9d0"
    bot = 987654321
    channel = -1001234567890

    def __init__(self) -> None:
        super().__init__()
        self.is_revoked = False
        self.chats = {self.channel: Chat(id=self.channel, username="kaltimnews")}
        self._messages: list[Message] = []
        self._count = 40

    # --- what a test looks at and sets ---

    def visible(self) -> list[Message]:
        """All messages, the newest first."""
        with self._lock:
            return self._messages[::-1]

    def add(self, chat: Chat) -> Chat:
        """One more chat."""
        self.chats[chat.id] = chat
        return chat

    @property
    def sends(self) -> list[Call]:
        """The calls that may have made a message."""
        return [call for call in self.calls if call.name in ("sendMessage", "sendPhoto")]

    # --- requests ---

    def named(self, call: Call) -> str:
        return call.path.rpartition("/")[2]

    def reply(self, call: Call) -> Reply:
        try:
            return as_json({"ok": True, "result": self._judged(call)})
        except _Refused as refused:
            body: dict[str, Any] = {"ok": False, "error_code": refused.status, "description": refused.description}
            if refused.parameters:
                body["parameters"] = refused.parameters
            return as_json(body, status=refused.status)

    def _judged(self, call: Call) -> object:
        match = re.fullmatch(r"/bot([^/]*)/(\w+)", call.path)
        if match is None or not re.fullmatch(r"\d+:[\w-]{35}", match[1]):
            raise _Refused(404, "Not Found")
        if self.is_revoked or match[1] != self.token:
            raise _Refused(401, "Unauthorized")
        if match[2] not in _FIELDS or call.method != "POST":
            raise _Refused(404, "Not Found: method not found")
        form = _form(call)
        if unknown := set(form.values) - _FIELDS[match[2]]:
            raise _Refused(400, f"Bad Request: unknown fields {sorted(unknown)}")
        result: object = getattr(self, f"_{match[2].lower()}")(form)
        return result

    def _getme(self, _form: _Form) -> object:
        return {"id": self.bot, "is_bot": True, "first_name": "Kaltim", "username": "kaltim_bot"}

    def _chat(self, form: _Form) -> Chat:
        wanted = form.values.get("chat_id")
        for chat in self.chats.values():
            if wanted == chat.id or (chat.username and str(wanted).lower() == f"@{chat.username}".lower()):
                if chat.moved_to is not None:
                    words = "Bad Request: group chat was upgraded to a supergroup chat"
                    raise _Refused(400, words, migrate_to_chat_id=chat.moved_to)
                return chat
        raise _Refused(400, "Bad Request: chat not found")

    def _getchat(self, form: _Form) -> object:
        chat = self._chat(form)
        if not chat.status and not chat.username:
            raise _Refused(400, "Bad Request: chat not found")
        shown: dict[str, Any] = {"id": chat.id, "type": chat.type, "title": chat.title, "accent_color_id": 5}
        if chat.username:
            shown["username"] = chat.username
        if chat.type in ("group", "supergroup"):
            shown["permissions"] = {"can_send_messages": chat.members_write, "can_send_photos": chat.takes_photos}
        return shown

    def _getchatmember(self, form: _Form) -> object:
        chat = self._chat(form)
        if form.values.get("user_id") != self.bot:
            raise _Refused(400, "Bad Request: user not found")
        if chat.type == "channel" and chat.status != "administrator":
            raise _Refused(400, "Bad Request: member list is inaccessible")
        shown: dict[str, Any] = {"user": {"id": self.bot}, "status": chat.status or "left"}
        if chat.type == "channel":
            shown["can_post_messages"] = chat.can_post
        if chat.status == "restricted":
            shown["can_send_messages"] = chat.members_write
        return shown

    # --- messages ---

    def _sendmessage(self, form: _Form) -> object:
        chat = self._open(form)
        text = _cleaned(form.values.get("text"))
        if not text:
            raise _Refused(400, "Bad Request: message text is empty")
        if _units(text) > 4096:
            raise _Refused(400, "Bad Request: message is too long")
        links = _links(text)
        preview = _preview(form.values.get("link_preview_options", {}), links)
        is_large = form.values.get("link_preview_options", {}).get("prefer_large_media") is True
        return self._made(chat, form, text, form.values.get("entities", []), preview=preview, is_large=is_large)

    def _sendphoto(self, form: _Form) -> object:
        chat = self._open(form)
        if not chat.takes_photos:
            raise _Refused(400, "Bad Request: not enough rights to send photos to the chat")
        if form.photo is None:
            raise _Refused(400, "Bad Request: there is no photo in the request")
        caption = _cleaned(form.values.get("caption", ""))
        if _units(caption) > 1024:
            raise _Refused(400, "Bad Request: message caption is too long")
        return self._made(chat, form, caption, form.values.get("caption_entities", []), photo=_developed(form.photo))

    def _open(self, form: _Form) -> Chat:
        """The chat, if the bot may write there."""
        chat = self._chat(form)
        if chat.type == "channel" and not (chat.status == "administrator" and chat.can_post):
            if chat.status:
                raise _Refused(400, "Bad Request: need administrator rights in the channel chat")
            raise _Refused(403, "Forbidden: bot is not a member of the channel chat")
        if not chat.status:
            raise _Refused(403, f"Forbidden: bot was kicked from the {chat.type} chat")
        if chat.status in ("member", "restricted") and not chat.members_write:
            raise _Refused(400, "Bad Request: not enough rights to send text messages to the chat")
        topic = form.values.get("message_thread_id")
        if topic is not None and topic not in chat.topics:
            raise _Refused(400, "Bad Request: message thread not found")
        return chat

    def _made(self, chat: Chat, form: _Form, text: str, entities: Any, **rest: Any) -> object:
        self._count += 1
        outside = _URL.sub(lambda link: " " * len(link[0]), text)
        hashtags = (tag for tag in _HASHTAG.findall(outside) if any(char.isalpha() for char in tag))
        message = Message(
            id=self._count,
            chat=chat.id,
            text=text,
            at=self.clock(),
            bold=tuple(_bold(text, entities)),
            mentions=tuple(_MENTION.findall(outside)),
            hashtags=tuple(hashtags),
            cashtags=tuple(_CASHTAG.findall(outside)),
            commands=tuple(_COMMAND.findall(outside)),
            links=_links(text),
            silent=_flag(form, "disable_notification"),
            protected=_flag(form, "protect_content"),
            topic=form.values.get("message_thread_id"),
            **rest,
        )
        self._messages.append(message)
        shown: dict[str, Any] = {"id": chat.id, "type": chat.type, "title": chat.title}
        if chat.username:
            shown["username"] = chat.username
        return {"message_id": message.id, "date": int(message.at.timestamp()), "chat": shown}

    def _deletemessage(self, form: _Form) -> object:
        chat, number = self._chat(form), form.values.get("message_id")
        found = [message for message in self._messages if (message.chat, message.id) == (chat.id, number)]
        if not isinstance(number, int) or isinstance(number, bool):
            raise _Refused(400, "Bad Request: message identifier is not specified")
        if not found:
            raise _Refused(400, "Bad Request: message to delete not found")
        if self.clock() - found[0].at > timedelta(hours=48) or not chat.can_post:
            raise _Refused(400, "Bad Request: message can't be deleted")
        self._messages.remove(found[0])
        return True


# --- fields ----------------------------------------------------------------------------------------------------------


def _form(call: Call) -> _Form:
    kind = call.headers.get("content-type", "")
    if kind == "application/json":
        values = json.loads(call.body)
        assert isinstance(values, dict)
        return _Form(values=values)
    if not kind.startswith("multipart/form-data; boundary="):
        raise _Refused(400, "Bad Request: unsupported content type")
    form = _Form()
    whole = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + call.body)
    for part in whole.get_payload():
        assert isinstance(part, Mail)
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        name = str(part.get_param("name", header="content-disposition"))
        if name == "photo" and part.get_filename():
            form.values[name] = form.photo = content
        else:
            form.values[name] = _field(name, content.decode())
    return form


def _field(name: str, said: str) -> Any:
    """A field of a form: text as it is, numbers of chats as numbers, all else as JSON."""
    if name == "caption":
        return said
    if name == "chat_id":
        return said if said.startswith("@") else int(said)
    return json.loads(said)


def _flag(form: _Form, name: str) -> bool:
    value = form.values.get(name, False)
    if not isinstance(value, bool):
        raise _Refused(400, f"Bad Request: {name} must be a Boolean")
    return value


def _cleaned(text: object) -> str:
    if not isinstance(text, str):
        raise _Refused(400, "Bad Request: text must be encoded in UTF-8")
    return _DROPPED.sub("", text).strip()


def _units(text: str) -> int:
    return sum(2 if ord(char) > 0xFFFF else 1 for char in text)


def _links(text: str) -> tuple[str, ...]:
    return tuple(match[0].rstrip(".,:;!?)'") for match in _URL.finditer(text))


def _preview(options: Any, links: tuple[str, ...]) -> str | None:
    """The address whose page is shown: the one that is asked for, else the first in the text."""
    if not isinstance(options, dict):
        raise _Refused(400, "Bad Request: can't parse link preview options: expected an Object")
    for key, value in options.items():
        if key not in _PREVIEW_KEYS or not isinstance(value, _PREVIEW_KEYS[key]):
            raise _Refused(400, f"Bad Request: can't parse link preview options: {key}")
    if options.get("is_disabled"):
        return None
    return options.get("url") or (links[0] if links else None)


def _bold(text: str, entities: Any) -> list[str]:
    """The stretches of the text that are bold."""
    if not isinstance(entities, list):
        raise _Refused(400, "Bad Request: can't parse entities: expected an Array")
    encoded, found = text.encode("utf-16-le"), []
    for entity in entities:
        if set(entity) != {"type", "offset", "length"} or entity["type"] != "bold":
            raise _Refused(400, "Bad Request: can't parse MessageEntity")
        start, length = entity["offset"], entity["length"]
        if start < 0 or length < 1 or 2 * (start + length) > len(encoded):
            raise _Refused(400, "Bad Request: ENTITY_BOUNDS_INVALID")
        try:
            found.append(encoded[2 * start : 2 * (start + length)].decode("utf-16-le"))
        except UnicodeDecodeError:
            raise _Refused(400, "Bad Request: entity begins or ends in the middle of a character") from None
    return found


def _developed(content: bytes) -> tuple[str, int, int]:
    """Format and sides of a picture that is taken."""
    if len(content) > 10_000_000:
        raise _Refused(400, "Bad Request: file is too big")
    try:
        with Image.open(BytesIO(content)) as image:
            kind, (width, height) = image.format, image.size
    except OSError:
        raise _Refused(400, "Bad Request: IMAGE_PROCESS_FAILED") from None
    if kind not in ("JPEG", "PNG"):
        raise _Refused(400, "Bad Request: PHOTO_EXT_INVALID")
    if width + height > 10_000 or max(width, height) > 20 * min(width, height):
        raise _Refused(400, "Bad Request: PHOTO_INVALID_DIMENSIONS")
    return kind, width, height
