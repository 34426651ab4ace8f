"""Telegram: posts in one channel or group, sent by a bot of your own.

Setup: in Telegram, write `/newbot` to @BotFather, choose a name, and put the token that it gives you (`123456:ABC...`)
where only the program finds it. Add the bot to the channel as an administrator with the right "Post messages", or to
the group as a member. Give the channel's public name as `chat` (`@kaltimnews`). A private channel or group has a number
only (`-100...`): give that, or the link of one of its posts (Copy link, `https://t.me/c/1234567890/5`). `check` says
what the bot lacks. The token works until /revoke. Posting costs nothing.

What is posted: the text with its link and hashtags. With `picture: auto` the article's picture stands above it as long
as the text fits the 1,024 characters of a caption; a longer text goes without, as a message of up to 4,096 characters
with a preview of the link. `picture: always` shortens every text to a caption instead, and `picture: never` sends
messages only. `preview` says how the page behind the link is shown below a message: `large`, `small` or `none`. It is
always the article's page, whatever other addresses stand in a title. `bold_first_line` makes the first line bold,
`silent` sends without a sound, `protected` keeps readers from forwarding and saving, `topic` is the number of a topic
in a group, `server` is for a Bot API server of your own. Telegram has no alt text for pictures. No markup is read, so
that a title with `*`, `<` or `&` looks as it was written; `@name`, `#tag`, `/command` and `$TAG` in a title lead
nowhere and tell nobody. Characters are counted as UTF-16 has them, which is never less than Telegram counts.

A group that becomes a supergroup gets another number: the account is blocked, and the reason names it.

Unknown outcome: Telegram knows no keys, and a bot cannot read what it sent. After a timeout, a broken connection or a
server's error nobody can tell whether the post is there, and it waits for you as NEEDS_REVIEW: look at the channel,
then `deliveries resolve ID --posted URL`, `--absent` or `--drop`. `on_unknown: resend` or `drop` decides for you; a
post that is sent again may be there twice.

Sources: https://core.telegram.org/bots/api#sendmessage, https://core.telegram.org/bots/api#sendphoto,
https://core.telegram.org/bots/api#making-requests, https://core.telegram.org/bots/faq#broadcasting-to-users,
https://github.com/tdlib/telegram-bot-api/issues/126 (no keys), https://github.com/tdlib/td/blob/master/td/telegram/MessageEntity.cpp.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, HttpUrl, SecretStr

from autopublish.errors import (
    DeliveryError,
    MediaRejected,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from autopublish.models import Identity, MediaLimits, Picture, Post, Receipt, Stage
from autopublish.platforms._base import Platform, ReadBack
from autopublish.platforms._http import LONGEST_WAIT, Answer, Http, evidence, file_of, multipart
from autopublish.platforms._json import mapping_of, object_of, text_in, whole_of
from autopublish.text import WORD_JOINER, TextLimits, utf16_units

# --- what the documentation says -------------------------------------------------------------------------------------

#: https://core.telegram.org/bots/api#sendmessage and #sendphoto, both after the entities are parsed.
_LENGTH: Final = 4096
_CAPTION_LENGTH: Final = 1024
#: https://core.telegram.org/bots/api#sendphoto: 10 MB, both sides together 10,000, one side 20 times the other.
_PHOTO_BYTES: Final = 10_000_000
_SIDES: Final = 10_000
_RATIO: Final = 20
#: The part of a token before the colon is the bot's own number. https://core.telegram.org/bots/api#authorizing-your-bot
_TOKEN: Final = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{8,200}")
_CHAT_NAME: Final = re.compile(r"(?:(?:https?://)?t\.me/|@)?([A-Za-z][A-Za-z0-9_]{3,31})")
_CHAT_NUMBER: Final = re.compile(r"-?[0-9]{1,19}")
#: https://core.telegram.org/api/links#message-links
_POST_LINK: Final = re.compile(r"(?:https?://)?t\.me/(?:c/([0-9]{1,16})|([A-Za-z]\w{3,31}))/[0-9/]+", re.ASCII)

# What becomes a mention, a hashtag, a cashtag or a command, in the widest reading of
# https://github.com/tdlib/td/blob/master/td/telegram/MessageEntity.cpp; at the end of words that another may follow.
_SIGN: Final = re.compile(
    r"(?<!\w)(?:[@\uff20](?=\w|\Z)|[#\uff03](?=[\w\u00b7\u200c\u0d80-\u0dff]*[^\W\d_]|\Z)|\$(?=1?[A-Z]|\Z))"
    r"|(?<![\w/<>])/(?=[A-Za-z0-9_]|\Z)"
)

# Words of Telegram's own refusals, in lower case; all say that nothing was sent.
_MEDIA: Final = re.compile(
    r"photo|image_process_failed|caption is too long|caption_too_long|file must be non-empty|file is too big"
    r"|wrong (?:file|type|remote)|media_|chat_send_media_forbidden"
)
_AUTH: Final = re.compile(
    r"chat not found|chat_id is empty|not enough rights|need administrator rights|have no rights|chat_admin_required"
    r"|write_forbidden|send_plain_forbidden|channel_private|peer_id_invalid|inaccessible|not a member|user_banned"
    r"|topic_closed|topic_deleted|topic closed|thread not found|chat_restricted"
)
_GONE: Final = re.compile(r"message to delete not found|message_id_invalid")
_TOO_OLD: Final = re.compile(r"message can't be deleted")


def unlinked(text: str) -> str:
    """The text, in which Telegram finds no mention, hashtag, cashtag or command; a reader sees the same.

    Letters and their marks are put together where Unicode has one character for both: Telegram drops some marks, the
    ring of an å among them.
    """
    return _SIGN.sub(rf"\g<0>{WORD_JOINER}", unicodedata.normalize("NFC", text))


# --- settings --------------------------------------------------------------------------------------------------------


class PictureUse(StrEnum):
    """What gives way where a text is too long for the caption of a picture."""

    #: The picture: the text goes as a message with a preview of its link.
    AUTO = "auto"
    #: The text: every text fits a caption.
    ALWAYS = "always"
    #: No pictures at all.
    NEVER = "never"


class Preview(StrEnum):
    """How the page behind the link is shown below a message without a picture of its own."""

    LARGE = "large"
    SMALL = "small"
    NONE = "none"


def _checked_chat(value: object) -> object:
    """A public name with `@`, or the number of a chat as text; the address of the chat or of a post tells it too."""
    said = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if _CHAT_NUMBER.fullmatch(said):
        return said
    if post := _POST_LINK.fullmatch(said):
        return f"-100{post[1]}" if post[1] else f"@{post[2]}"
    name = _CHAT_NAME.fullmatch(said)
    if name is None:
        raise ValueError("expected the public name of a channel or group like @kaltimnews, or its number like -100123")
    return f"@{name[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """How a post is sent, beside its text, its picture and its chat; kept with the stage.

    A resend does not depend on what the configuration says by then.
    """

    is_photo: bool
    options: Mapping[str, Any]


class Telegram(Platform):
    """One bot in one channel or group."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: The bot's token, from @BotFather.
        token: SecretStr
        #: The channel's or group's public name with @, or its number.
        chat: Annotated[str, BeforeValidator(_checked_chat)]
        #: What gives way where a text is too long for a caption: auto (the picture), always (the text), never (none).
        picture: PictureUse = PictureUse.AUTO
        #: How the page behind the link is shown: large, small or none.
        preview: Preview = Preview.LARGE
        #: Whether the first line of each post is bold.
        bold_first_line: bool = False
        #: Whether posts come without a sound.
        silent: bool = False
        #: Whether readers may neither forward nor save posts.
        protected: bool = False
        #: Number of a topic in a group.
        topic: Annotated[int, Field(ge=1)] | None = None
        #: Address of the Bot API server.
        server: HttpUrl = HttpUrl("https://api.telegram.org")

    settings: Settings
    look = "telegram"
    limits = TextLimits(length=_LENGTH, count=utf16_units, neutralise=unlinked)
    # Telegram makes smaller ones of what is larger; no picture has an alt text.
    media: MediaLimits | None = MediaLimits(size_bytes=_PHOTO_BYTES, side=2560, alt_length=0)
    # https://github.com/tdlib/telegram-bot-api/issues/126: no method takes a key, and a bot reads no history.
    key_window = None
    read_back = ReadBack.NONE

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(settings, http)
        if settings.picture is PictureUse.ALWAYS:
            self.limits = replace(type(self).limits, length=_CAPTION_LENGTH)
        elif settings.picture is PictureUse.NEVER:
            self.media = None

    # --- who and where -----------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The chat that is posted in: its number, its name, and its page where it has one.

        The chat and not the bot: another bot may take over a channel, but another channel is another account.

        Raises:
            DeliveryError: Unauthorized if the token is refused or the bot may not post there; else Telegram could not
                be asked.
        """
        chat, member = self._there()
        number, name = chat["id"], text_in(chat, "username")
        if lack := _lack(chat, member):
            raise Unauthorized(f"{lack} ({text_in(chat, 'title') or number})")
        title = f"@{name}" if name else text_in(chat, "title") or str(number)
        return Identity(id=str(number), name=title, url=f"https://t.me/{name}" if name else None)

    def permissions(self) -> tuple[str, ...]:
        """The right to send pictures, where the group keeps it from the bot; without the right to write `whoami` fails.

        Raises:
            DeliveryError: Telegram could not be asked.
        """
        if self.media is None or _may(*self._there(), "can_send_photos"):
            return ()
        return ("the right to send pictures to the group",)

    def _there(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """The chat, with its number, and the bot's place in it.

        Raises:
            DeliveryError: Unauthorized if Telegram does not show them to the bot; else it could not be asked.
        """
        bot = self._asked("getMe")
        chat = self._asked("getChat", chat_id=_chat_id(self.settings.chat))
        number = whole_of(chat.get("id"))
        if number is None:
            raise OutcomeUnknown("the chat was described without its number")
        if chat.get("type") == "private":
            return chat, {"status": "creator"}  # a person has no members
        return chat, self._asked("getChatMember", chat_id=number, user_id=whole_of(bot.get("id")))

    def _asked(self, method: str, **fields: object) -> Mapping[str, Any]:
        """The result of a method that changes nothing.

        Raises:
            DeliveryError: Unauthorized for every refusal of Telegram's own; else it could not be asked.
        """
        answer = self.http.ask("POST", self._url(method), json=fields)
        result = _result(answer)
        if isinstance(result, dict):
            return result
        error = self._refusal(answer, is_photo=False)
        raise Unauthorized(str(error)) if isinstance(error, Rejected) else error

    # --- publishing --------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """How the post is sent is fixed; nothing is uploaded, since Telegram keeps no picture without a message."""
        plan = self._plan(post)
        return Stage(data={"is_photo": plan.is_photo, "options": plan.options})

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """One message is sent, with the picture as its content or with a preview of the link.

        Raises:
            DeliveryError: MediaRejected if Telegram takes the text alone, but not with this picture.
        """
        plan = self._plan_of(post, stage)
        url = self._url("sendPhoto" if plan.is_photo else "sendMessage")
        if plan.is_photo and post.picture is not None:
            body, kind = self._photo(post, post.picture, plan)
            answer = self.http.send("POST", url, headers=kind, data=body)
        else:
            fields = {"chat_id": _chat_id(self.settings.chat), "text": post.text, **plan.options}
            answer = self.http.send("POST", url, json=fields)
        result = _result(answer)
        if result is None:
            raise self._refusal(answer, is_photo=plan.is_photo)
        return self._receipt(result)

    def _plan(self, post: Post) -> _Plan:
        settings, is_photo = self.settings, _fits_caption(post)
        options: dict[str, Any] = {}
        if not is_photo:
            options["link_preview_options"] = _preview(post.link, settings.preview)
        if settings.bold_first_line:
            bold = {"type": "bold", "offset": 0, "length": utf16_units(post.text.partition("\n")[0])}
            options["caption_entities" if is_photo else "entities"] = [bold]
        if settings.silent:
            options["disable_notification"] = True
        if settings.protected:
            options["protect_content"] = True
        if settings.topic is not None:
            options["message_thread_id"] = settings.topic
        return _Plan(is_photo=is_photo, options=options)

    def _plan_of(self, post: Post, stage: Stage) -> _Plan:
        """How the post is sent, as an earlier `stage` fixed it."""
        options = stage.data.get("options")
        if not isinstance(options, Mapping):
            return self._plan(post)
        return _Plan(is_photo=stage.data.get("is_photo") is True, options=options)

    def _photo(self, post: Post, picture: Picture, plan: _Plan) -> tuple[bytes, dict[str, str]]:
        """The form of a picture with its caption, and the header that names its kind.

        Raises:
            MediaRejected: the picture cannot be read; nothing was sent.
        """
        file = file_of(picture)
        fields = {"chat_id": self.settings.chat, "caption": post.text}
        # What is no text is written as JSON: https://core.telegram.org/bots/api#making-requests
        fields |= {name: json.dumps(value, separators=(",", ":")) for name, value in plan.options.items()}
        return multipart({"photo": file}, fields)

    def _receipt(self, result: object) -> Receipt:
        """The receipt for a message; its number counts within its chat.

        Raises:
            OutcomeUnknown: the message has no number.
        """
        message = mapping_of(result)
        chat, number = mapping_of(message.get("chat")), whole_of(message.get("message_id"))
        if number is None or number < 1:
            raise OutcomeUnknown("success without the number of the message")
        where = whole_of(chat.get("id")) or self.settings.chat
        return Receipt(remote_id=f"{where}/{number}", url=_permalink(text_in(chat, "username"), str(where), number))

    # --- taking away -------------------------------------------------------------------------------------------------

    def delete(self, receipt: Receipt) -> None:
        """The message is not there any more; Telegram allows it for 48 hours.

        Source: https://core.telegram.org/bots/api#deletemessage

        Raises:
            DeliveryError: Rejected if it is too old or not ours to take away.
        """
        chat, _, number = receipt.remote_id.rpartition("/")
        if not chat or not number.isdecimal():
            raise Rejected("this is no post of Telegram")
        fields = {"chat_id": _chat_id(chat), "message_id": int(number)}
        answer = self.http.ask("POST", self._url("deleteMessage"), json=fields)
        if _result(answer) is True or (answer.status == 400 and _GONE.search(_said(answer))):
            return
        if _result(answer) is not None:
            raise OutcomeUnknown(f"the answer cannot be read; {self._words(answer)}")
        raise self._refusal(answer, is_photo=False)

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _refusal(self, answer: Answer, *, is_photo: bool) -> DeliveryError:
        """What an answer without a result says of the post."""
        words = self._words(answer)
        match answer.status:
            case 429:
                return RateLimited(words, wait=_wait(answer))
            case 401:
                return Unauthorized(words)
            case 413 if is_photo:
                return MediaRejected(words)
            case 400 | 403 | 404 if _is_telegrams(answer):
                return _refused(answer, words, is_photo=is_photo)
            case _:
                return OutcomeUnknown(words)

    # --- requests ----------------------------------------------------------------------------------------------------

    @property
    def _token(self) -> str:
        return self.settings.token.get_secret_value().strip()

    def _url(self, method: str) -> str:
        """The address of a method, which holds the token.

        Raises:
            Unauthorized: the token can be none.
        """
        if not _TOKEN.fullmatch(self._token):
            raise Unauthorized("the token is not one that @BotFather gives (123456:ABC...): copy it again")
        return f"{str(self.settings.server).rstrip('/')}/bot{self._token}/{method}"

    def _words(self, answer: Answer) -> str:
        """The status and Telegram's words, without our token even if they repeat it."""
        said = text_in(object_of(answer), "description").encode(errors="replace") or answer.body
        # Before anything is cut off: a part of it is secret as well.
        for secret in (self._token, self._token.partition(":")[2]):
            said = said.replace(secret.encode(), "…".encode())
        return evidence(replace(answer, body=said))


# --- what is sent ----------------------------------------------------------------------------------------------------


def _fits_caption(post: Post) -> bool:
    """Whether the post has a picture that Telegram takes, and a text that fits below it."""
    picture = post.picture
    if picture is None or utf16_units(post.text) > _CAPTION_LENGTH:
        return False
    sides = sorted((picture.width, picture.height))
    return sum(sides) <= _SIDES and sides[1] <= sides[0] * _RATIO


def _preview(link: str | None, preview: Preview) -> dict[str, Any]:
    """The page that is shown below the text: that of the article, or none.

    Source: https://core.telegram.org/bots/api#linkpreviewoptions
    """
    if link is None or preview is Preview.NONE:
        return {"is_disabled": True}
    return {"url": link, f"prefer_{preview.value}_media": True}


def _chat_id(chat: str) -> str | int:
    return chat if chat.startswith("@") else int(chat)


def _permalink(name: str, chat: str, number: int) -> str | None:
    """Where people find a message: everybody by the chat's name, members by its number; basic groups have no pages.

    Source: https://core.telegram.org/api/links#message-links
    """
    if name or chat.startswith("@"):
        return f"https://t.me/{name or chat[1:]}/{number}"
    return f"https://t.me/c/{chat[4:]}/{number}" if chat.startswith("-100") and len(chat) > len("-100") else None


# --- reading answers -------------------------------------------------------------------------------------------------


def _refused(answer: Answer, words: str, *, is_photo: bool) -> DeliveryError:
    """What a refusal of Telegram's own means: its request was judged, and nothing was sent.

    Source: https://core.telegram.org/api/errors
    """
    said = _said(answer)
    if moved := whole_of(mapping_of(object_of(answer).get("parameters")).get("migrate_to_chat_id")):
        return Unauthorized(
            f"the group has become a supergroup with another number: write `chat: {moved}`, then confirm it with "
            f"`autopublish accounts resume NAME --accept-identity {moved}`"
        )
    if answer.status == 404:
        return Unauthorized(f"{words}; no bot has this token, or `server` is no Bot API server")
    if is_photo and _MEDIA.search(said):
        return MediaRejected(words)
    if answer.status == 403 or _AUTH.search(said):
        return Unauthorized(words)
    return Rejected(f"{words}; Telegram allows it for 48 hours only" if _TOO_OLD.search(said) else words)


def _lack(chat: Mapping[str, Any], member: Mapping[str, Any]) -> str | None:
    """What keeps the bot from posting in the chat.

    Source: https://core.telegram.org/bots/api#chatmember
    """
    status, in_channel = member.get("status"), chat.get("type") == "channel"
    if status == "creator":
        return None
    if in_channel and (status != "administrator" or member.get("can_post_messages") is not True):
        return 'the bot may not post in the channel: make it an administrator with the right "Post messages"'
    if status not in ("administrator", "member", "restricted"):
        return "the bot is not in the group: add it"
    if not _may(chat, member, "can_send_messages"):
        return "the bot may not write in the group: allow its members to, or make it an administrator"
    return None


def _may(chat: Mapping[str, Any], member: Mapping[str, Any], right: str) -> bool:
    """Whether the bot has a right of members: its own where it is restricted, else that of all of them.

    Source: https://core.telegram.org/bots/api#chatpermissions
    """
    status = member.get("status")
    if status in ("administrator", "creator"):
        return True
    return (member if status == "restricted" else mapping_of(chat.get("permissions"))).get(right) is not False


def _result(answer: Answer) -> object:
    """What the method gave; None if it gave nothing."""
    body = object_of(answer)
    return body.get("result") if answer.ok and body.get("ok") is True else None


def _is_telegrams(answer: Answer) -> bool:
    """Whether the refusal is that of a Bot API server, and not of something before it."""
    body = object_of(answer)
    return body.get("ok") is False and body.get("error_code") == answer.status


def _said(answer: Answer) -> str:
    return text_in(object_of(answer), "description").lower()


def _wait(answer: Answer) -> timedelta | None:
    """How long Telegram wants to be left alone. https://core.telegram.org/bots/api#responseparameters"""
    seconds = whole_of(mapping_of(object_of(answer).get("parameters")).get("retry_after"))
    if seconds is None or seconds < 0:
        return answer.retry_after()
    return timedelta(seconds=min(seconds, int(LONGEST_WAIT.total_seconds())))
