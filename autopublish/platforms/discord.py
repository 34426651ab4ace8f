"""Discord: posts in one channel, through a webhook of the channel or by a bot of your own.

Setup: with a webhook or with a bot. A webhook is the shorter way: in the channel's settings, Integrations > Webhooks >
New Webhook, give it name and picture, Copy Webhook URL, and put that address where only the program finds it, as
`webhook_url`. Whoever knows it may post there. It works until the webhook is deleted. `thread` is the id of a thread or
of a forum's post; without it a forum takes nothing.

A bot can also look up what it posted: at https://discord.com/developers/applications make a New Application, press
Reset Token under Bot, and put the token where only the program finds it, as `token`. Under OAuth2 > URL Generator tick
`bot`, then View Channels, Send Messages, Embed Links, Attach Files and Read Message History; open the address and add
the bot to your server. Give the channel's id as `channel` (Settings > Advanced > Developer Mode, then Copy Channel ID).
With both, the webhook posts and the bot looks; its Message Content Intent must be on then. Posting costs nothing.

What is posted: the text with its link and hashtags, up to 2,000 characters. `card` says what stands below: `ours`
(title, summary and picture of the article), `network` (what Discord finds on the page) or `none` (the picture alone).
Pictures go with their alt text. `silent` sends without a notification. Titles look as they were written: Markdown,
links, emoji codes and mentions in them are escaped, and no post calls anybody, `@everyone` included. Markdown of the
template itself works.

Unknown outcome: with a bot, after a timeout, a broken connection or a server's error the channel is read, ten minutes
later, for the article's link in the account's own posts. If it is there, that is it; if it is absent twice, the same
bytes go again, under the same `nonce`, which Discord knows for a few minutes. A webhook cannot read: its post waits for
you as NEEDS_REVIEW: look at the channel, then `deliveries resolve ID --posted URL`, `--absent` or `--drop`.
`on_unknown: resend` or `drop` decides for you; a post that is sent again may be there twice.

Not verified against Discord itself: whether a picture inside a card shows its alt text.

Sources: https://discord.com/developers/docs/resources/webhook#execute-webhook,
https://discord.com/developers/docs/resources/message#create-message,
https://discord.com/developers/docs/topics/opcodes-and-status-codes#json,
https://discord.com/developers/docs/topics/rate-limits, https://support.discord.com/hc/en-us/articles/210298617.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, HttpUrl, SecretStr, model_validator

from autopublish.articles import leads_to, normalise_link
from autopublish.errors import (
    DeliveryError,
    MediaRejected,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import Identity, MediaLimits, Picture, Post, Receipt, SpanKind, Stage
from autopublish.platforms._base import Card, Platform, ReadBack
from autopublish.platforms._http import LONGEST_WAIT, Answer, Http, evidence, file_of, filename_of, multipart
from autopublish.platforms._json import mapping_of, text_in, value_of
from autopublish.text import WORD_JOINER, TextLimits, clean, shorten, utf16_units

# --- what the documentation says -------------------------------------------------------------------------------------

#: https://discord.com/developers/docs/resources/message#create-message; counted in the widest way.
_LENGTH: Final = 2_000
#: https://discord.com/developers/docs/resources/message#embed-object-embed-limits
_CARD_TITLE: Final = 256
_CARD_SUMMARY: Final = 1_000
#: A link between `<` and `>` makes no card of its own: https://support.discord.com/hc/en-us/articles/206342858
_BRACKETS: Final = 2
#: https://discord.com/developers/docs/reference#uploading-files
_FILE_BYTES: Final = 10_000_000
#: https://discord.com/developers/docs/resources/message#attachment-object
_ALT_LENGTH: Final = 1_024
#: https://discord.com/developers/docs/resources/message#create-message
_NONCE_LENGTH: Final = 25
#: https://discord.com/developers/docs/resources/message#message-object-message-flags
_NO_CARDS: Final = 1 << 2
_SILENT: Final = 1 << 12
#: Messages in one answer (at most 100 are allowed, and an answer has an end), and how many answers are looked through.
_PAGE: Final = 50
_PAGES: Final = 20
#: Milliseconds at the first second of 2015, from which ids count: https://discord.com/developers/docs/reference#snowflakes
_EPOCH: Final = 1_420_070_400_000

_WEBHOOK: Final = re.compile(r"(https?://[^\s/?#@]+)/api/(?:v\d{1,2}/)?webhooks/(\d{1,20})/([\w-]{8,200})/?", re.ASCII)
_TOKEN: Final = re.compile("[!-~]+")
_ID: Final = re.compile(r"(?:https?://[\w.]+/channels/\d{1,20}/)?(\d{15,20})", re.ASCII)
_URL: Final = re.compile(r"https?://[^\s<>]+", re.IGNORECASE)

# Codes of Discord's own refusals, before anything is made:
# https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
_AUTH: Final = frozenset(
    {10003, 10004, 10015, 40001, 40002, 40333, 50001, 50008, 50013, 50014, 50027, 50083, 160005}
    | {220001, 220002, 220003, 220004}
)
_HINTS: Final = {
    40333: "Discord blocks the address of this machine",
    50008: "the channel takes no text",
    220001: "a forum needs `thread`: the id of one of its posts",
}
_INVALID: Final = frozenset({20009, 50006, 50035, 50109, 200000, 200001, 240000})
_TOO_LARGE: Final = frozenset({40005, 50045, 50046, 50138})
_LIMITED: Final = frozenset({20016, 20028, 20029})
_GONE: Final = 10008
_HIDDEN: Final = (
    "the bot may not read the channel: it lacks Read Message History or, for a webhook, Message Content Intent"
)
_ABOUT_FILES: Final = frozenset({"attachments", "files", "embeds"})

# What Markdown, mentions, emoji codes and links begin with. Signs that mean something only at the start of a line are
# escaped only there; at the end of words another may follow. https://support.discord.com/hc/en-us/articles/210298617
_SIGN: Final = re.compile(
    r"[\\*_~`|<>\[\]]|#(?=[#\s]|\Z)|:(?=\S|\Z)|(?m:(?<=^)[-+](?=\s|$))|(?m:(?<=^)\d{1,9}\.(?=\s|$))"
)
_EVERYONE: Final = re.compile(r"@(?=everyone|here|\Z)")


def escaped(text: str) -> str:
    """The text as Markdown that shows just this: nothing in it formats, links, mentions or becomes a picture."""
    signs = _SIGN.sub(lambda sign: f"{sign[0][:-1]}\\{sign[0][-1]}", text)
    return _EVERYONE.sub(f"@{WORD_JOINER}", signs)


def _bracketed(link: str, brackets: int) -> int:
    return utf16_units(link) + brackets


# --- settings --------------------------------------------------------------------------------------------------------


class LinkCard(StrEnum):
    """What stands below the text."""

    #: Title, summary and picture of the article, as the feed has them.
    OURS = "ours"
    #: What Discord finds on the page behind the link.
    NETWORK = "network"
    #: The picture alone.
    NONE = "none"


def _checked_id(value: object) -> object:
    """The id of a channel or thread as text; its address tells it too."""
    said = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    found = _ID.fullmatch(said)
    if found is None:
        raise ValueError("expected the id of a channel or thread: 15 to 20 digits (Copy Channel ID)")
    return found[1]


_Id = Annotated[str, BeforeValidator(_checked_id)]


class Discord(Platform):
    """One channel."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: The webhook's address, which is a secret.
        webhook_url: SecretStr | None = None
        #: The bot's token; beside a webhook, what its posts are looked up with.
        token: SecretStr | None = None
        #: The id of the channel that a bot posts in.
        channel: _Id | None = None
        #: The id of a thread, or of a forum's post, that a webhook posts in.
        thread: _Id | None = None
        #: What stands below the text: ours (title, summary, picture), network (the page's) or none (the picture alone).
        card: LinkCard = LinkCard.OURS
        #: Whether posts come without a notification.
        silent: bool = False
        #: Address of the API for bots.
        server: HttpUrl = HttpUrl("https://discord.com/api/v10")

        @model_validator(mode="after")
        def _leads_somewhere(self) -> Self:
            is_webhook, is_bot = self.webhook_url is not None, self.webhook_url is None and self.token is not None
            if is_bot and self.channel is None:
                raise ValueError("`token` without `webhook_url` wants `channel`")
            if (self.channel is not None and not is_bot) or (self.thread is not None and not is_webhook):
                raise ValueError("`channel` is for a bot without a webhook, `thread` for a webhook")
            return self

    settings: Settings
    card = Card.OURS
    limits = TextLimits(length=_LENGTH, count=utf16_units, neutralise=escaped)
    media: MediaLimits | None = MediaLimits(size_bytes=_FILE_BYTES, alt_length=_ALT_LENGTH)
    # A nonce counts for "the past few minutes" only, which is less than `settle`:
    # https://discord.com/developers/docs/resources/message#create-message
    key_window = None
    # With a bot; a webhook reads nothing but messages whose id it knows:
    # https://discord.com/developers/docs/resources/webhook#get-webhook-message
    read_back = ReadBack.STRONG
    settle = timedelta(minutes=10)

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(settings, http)
        if settings.token is None:
            self.read_back = ReadBack.NONE
        if settings.card is LinkCard.OURS:
            self.limits = replace(type(self).limits, url_length=_BRACKETS, link_length=_bracketed)
        elif settings.card is LinkCard.NETWORK:
            self.media = None
        self._known: Mapping[str, Any] | None = None

    # --- who and where -----------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The channel or thread that is posted in: another webhook or bot may take over, but not move elsewhere.

        Raises:
            DeliveryError: Unauthorized if the webhook is gone or the bot may not see the channel.
        """
        found = self._ask()
        channel, guild = self._channel(found), _id(found.get("guild_id"))
        url = f"https://discord.com/channels/{guild}/{channel}" if guild else None
        name = text_in(found, "name") or channel
        return Identity(id=channel, name=name if self._is_webhook else f"#{name}", url=url)

    def permissions(self) -> tuple[str, ...] | None:
        """Whether a bot may read what it posted; None where that cannot be told, which includes all webhooks.

        Raises:
            DeliveryError: Discord could not be asked.
        """
        if self._is_webhook:
            return None
        channel = self._there()
        if not channel.get("last_message_id"):
            return None
        return () if self._page(self._channel(channel), None) else ("the right Read Message History in the channel",)

    def _ask(self) -> Mapping[str, Any]:
        """The webhook, or the bot's channel."""
        url = self._base if self._is_webhook else f"{self._base}/channels/{self.settings.channel}"
        return mapping_of(self._asked(url))

    def _there(self) -> Mapping[str, Any]:
        """What `_ask` said the first time."""
        if self._known is None:
            self._known = self._ask()
        return self._known

    def _channel(self, found: Mapping[str, Any]) -> str:
        """The id of the thread or channel that is posted in."""
        channel = self.settings.thread or _id(found.get("channel_id" if self._is_webhook else "id"))
        if channel is None:
            raise OutcomeUnknown("the channel was described without its id")
        return channel

    def _asked(self, url: str, **params: str) -> object:
        """The answer to a question, in JSON.

        Raises:
            DeliveryError: Unauthorized for every refusal of Discord's own; else it could not be asked.
        """
        is_of_webhook = self._is_webhook and url == self._base
        answer = self.http.ask("GET", url, params=params, headers={} if is_of_webhook else self._bot())
        body = value_of(answer)
        if answer.ok and isinstance(body, dict | list):
            return body
        error = self._refusal(answer)
        raise Unauthorized(str(error)) if isinstance(error, Rejected) else error

    # --- publishing --------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """How the post is sent is fixed, and the server that its address needs is known; nothing is uploaded.

        Raises:
            DeliveryError: Unauthorized if nothing could be posted either.
        """
        guild = stage.data["guild"] if "guild" in stage.data else _id(self._there().get("guild_id"))
        return Stage(data={**self._plan(), "guild": guild})

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """One message is sent, with the picture as a file of it.

        Raises:
            DeliveryError: MediaRejected if Discord takes the text, but not this picture.
        """
        message = self._message(post, {**self._plan(), **stage.data}, key)
        url = (
            f"{self._base}?wait=true" if self._is_webhook else f"{self._base}/channels/{self.settings.channel}/messages"
        )
        if self.settings.thread:
            url = f"{url}&thread_id={self.settings.thread}"
        headers = {} if self._is_webhook else self._bot()
        if "attachments" in message and post.picture is not None:
            body, kind = _form(message, post.picture)
            answer = self.http.send("POST", url, headers={**headers, **kind}, data=body)
        else:
            answer = self.http.send("POST", url, headers=headers, json=message)
        if not answer.ok:
            raise self._refusal(answer, with_picture="attachments" in message)
        # Without `wait` a webhook answers 204, and nobody knows whether the message was saved.
        receipt = _receipt(mapping_of(value_of(answer)), stage.data.get("guild"))
        if receipt is None:
            raise OutcomeUnknown(f"success without the id of the message; {self._words(answer)}")
        return receipt

    def _plan(self) -> dict[str, Any]:
        """How a post is sent, beside its text and picture; kept with the stage, so that a resend is the same."""
        return {"card": self.settings.card.value, "silent": self.settings.silent}

    def _message(self, post: Post, plan: Mapping[str, Any], key: str) -> dict[str, Any]:
        """The message as https://discord.com/developers/docs/resources/message#create-message has it."""
        card, picture = LinkCard(plan["card"]), post.picture
        message: dict[str, Any] = {
            "content": _content(post, bracketed=card is LinkCard.OURS),
            "allowed_mentions": {"parse": []},
        }
        flags = (_SILENT if plan["silent"] else 0) | (_NO_CARDS if card is LinkCard.NONE else 0)
        if flags:
            message["flags"] = flags
        if card is LinkCard.NETWORK:
            picture = None
        if card is LinkCard.OURS and post.link is not None:
            message["embeds"] = [_embed(post, picture)]
        if picture is not None:
            described = {"description": picture.alt} if picture.alt else {}
            message["attachments"] = [{"id": 0, "filename": filename_of(picture), **described}]
        if not self._is_webhook:
            message |= {"nonce": key[:_NONCE_LENGTH], "enforce_nonce": True}
        return message

    # --- looking -----------------------------------------------------------------------------------------------------

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """The newest of the account's own messages with the link, or with the text where none names the article alone.

        Raises:
            Undecided: there are more messages since then than are looked through, or the bot may not read them.
            DeliveryError: the look failed; it proves nothing.
        """
        if self.settings.token is None:
            raise Undecided("a webhook cannot look up what it posted: that takes a bot's `token` as well")
        there, author, before, is_hidden = self._there(), self._author(), None, False
        channel = self._channel(there)
        for _ in range(_PAGES):
            page = self._page(channel, before)
            own = [message for message in page if _is_by(message, author) and _made_at(message) >= since]
            if found := next((message for message in own if _carries(message, post, key)), None):
                return _receipt({"channel_id": channel, **found}, _id(there.get("guild_id")))
            is_hidden = is_hidden or any(not (one.get("content") or one.get("embeds")) for one in own)
            if not page or _made_at(page[-1]) < since:
                if is_hidden or (not page and before is None and self._has_messages(channel)):
                    raise Undecided(_HIDDEN)
                return None
            before = str(page[-1]["id"])
        raise Undecided(f"more than {_PAGES * _PAGE} messages since {since:%Y-%m-%d %H:%M}")

    def _author(self) -> str:
        """The id under which our messages stand."""
        if self._is_webhook:
            return self._webhook[2]
        author = _id(mapping_of(self._asked(f"{self._api}/users/@me")).get("id"))
        if author is None:
            raise OutcomeUnknown("the bot was described without its id")
        return author

    def _page(self, channel: str, before: str | None) -> Sequence[Mapping[str, Any]]:
        """Messages of the channel before one of them, the newest first."""
        params = {"limit": str(_PAGE)} | ({"before": before} if before else {})
        page = self._asked(f"{self._api}/channels/{channel}/messages", **params)
        if not isinstance(page, list) or any(_id(mapping_of(message).get("id")) is None for message in page):
            raise OutcomeUnknown("the list of messages cannot be read")
        return sorted(page, key=lambda message: int(message["id"]), reverse=True)

    def _has_messages(self, channel: str) -> bool:
        """Whether a channel that shows none has some: a bot that may not read the history sees an empty list.

        Source: https://discord.com/developers/docs/resources/message#get-channel-messages
        """
        return bool(mapping_of(self._asked(f"{self._api}/channels/{channel}")).get("last_message_id"))

    # --- taking away -------------------------------------------------------------------------------------------------

    def delete(self, receipt: Receipt) -> None:
        """The message is not there any more; a webhook and a bot may take away what is their own.

        Raises:
            DeliveryError: Unauthorized if it is not ours; else it could not be taken away.
        """
        channel, _, message = receipt.remote_id.partition("/")
        if not (_id(channel) and _id(message)):
            raise Rejected("this is no post of Discord")
        base = self._base if self._is_webhook else f"{self._base}/channels/{channel}"
        params = {"thread_id": self.settings.thread} if self.settings.thread else {}
        headers = {} if self._is_webhook else self._bot()
        answer = self.http.ask("DELETE", f"{base}/messages/{message}", params=params, headers=headers)
        if answer.ok or (answer.status == 404 and _code(answer) == _GONE):
            return
        raise self._refusal(answer)

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _refusal(self, answer: Answer, *, with_picture: bool = False) -> DeliveryError:
        """What an answer without success says of the message.

        Source: https://discord.com/developers/docs/topics/opcodes-and-status-codes#json
        """
        words, code = self._words(answer), _code(answer)
        if answer.status == 429:
            return RateLimited(words, wait=_wait(answer))
        if answer.status == 401:
            return Unauthorized(words)
        if with_picture and (answer.status == 413 or _is_about_files(answer, code)):
            return MediaRejected(words)
        if not 400 <= answer.status < 500:
            return OutcomeUnknown(words)
        if code in _LIMITED:
            return RateLimited(words, wait=_wait(answer))
        if code in _AUTH:
            return Unauthorized(f"{_HINTS[code]}; {words}" if code in _HINTS else words)
        return Rejected(words) if code in _INVALID else OutcomeUnknown(words)

    # --- requests ----------------------------------------------------------------------------------------------------

    @property
    def _is_webhook(self) -> bool:
        return self.settings.webhook_url is not None

    @property
    def _webhook(self) -> re.Match[str]:
        """The parts of the webhook's address.

        Raises:
            Unauthorized: it is none.
        """
        address = self.settings.webhook_url.get_secret_value().strip() if self.settings.webhook_url else ""
        found = _WEBHOOK.fullmatch(address.partition("?")[0])
        if found is None:
            raise Unauthorized(
                "`webhook_url` is not what Discord gives (https://discord.com/api/webhooks/...): copy it again"
            )
        return found

    @property
    def _api(self) -> str:
        return str(self.settings.server).rstrip("/")

    @property
    def _base(self) -> str:
        """The address of the webhook, or of the API for bots."""
        if not self._is_webhook:
            return self._api
        host, number, secret = self._webhook.groups()
        return f"{host}/api/v10/webhooks/{number}/{secret}"

    @property
    def _token(self) -> str:
        return self.settings.token.get_secret_value().strip().removeprefix("Bot ") if self.settings.token else ""

    def _bot(self) -> dict[str, str]:
        """The headers of a bot's request.

        Raises:
            Unauthorized: the token can be none.
        """
        if not _TOKEN.fullmatch(self._token):
            if self.settings.token is None:
                raise Unauthorized(
                    "there is neither `webhook_url` nor `token`: `autopublish platforms discord` says more"
                )
            raise Unauthorized("the token is not one that Discord gives to bots: copy it again (Bot > Reset Token)")
        return {"Authorization": f"Bot {self._token}"}

    def _words(self, answer: Answer) -> str:
        """The status and Discord's words, without our secrets even if they repeat them."""
        body = answer.body
        for secret in (self._token, self._webhook[3] if self._is_webhook else ""):
            body = body.replace(secret.encode(), "…".encode()) if secret else body
        return evidence(replace(answer, body=body))


# --- what is sent ----------------------------------------------------------------------------------------------------


def _content(post: Post, *, bracketed: bool) -> str:
    """The text, in which our link makes no card of its own if it is bracketed."""
    text = post.text
    for span in reversed(post.spans if bracketed else ()):
        if span.kind is SpanKind.LINK:
            text = f"{text[: span.start]}<{text[span.start : span.end]}>{text[span.end :]}"
    return text


def _embed(post: Post, picture: Picture | None) -> dict[str, Any]:
    """Our card. https://discord.com/developers/docs/resources/message#embed-object"""
    title, summary = _within(post.title, _CARD_TITLE), _within(post.summary, _CARD_SUMMARY)
    embed: dict[str, Any] = {"url": post.link, "title": title or post.link}
    if summary:
        embed["description"] = summary
    if picture is not None:
        embed["image"] = {"url": f"attachment://{filename_of(picture)}"}
    return embed


def _within(text: str, length: int) -> str:
    return escaped(shorten(text, lambda kept: utf16_units(escaped(kept)) <= length))


def _form(message: Mapping[str, Any], picture: Picture) -> tuple[bytes, dict[str, str]]:
    """The form of a message with its picture. https://discord.com/developers/docs/reference#uploading-files

    Raises:
        MediaRejected: the picture cannot be read; nothing was sent.
    """
    upload = file_of(picture)
    return multipart({"files[0]": upload}, {"payload_json": json.dumps(message, separators=(",", ":"))})


# --- what a message holds --------------------------------------------------------------------------------------------


def _receipt(message: Mapping[str, Any], guild: str | None) -> Receipt | None:
    """The receipt for a message; None if it has no id or no channel."""
    channel, number = _id(message.get("channel_id")), _id(message.get("id"))
    if channel is None or number is None:
        return None
    url = f"https://discord.com/channels/{guild}/{channel}/{number}" if guild else None
    return Receipt(remote_id=f"{channel}/{number}", url=url)


def _is_by(message: Mapping[str, Any], author: str) -> bool:
    """Whether a message is that of a webhook or a bot."""
    return author in (message.get("webhook_id"), mapping_of(message.get("author")).get("id"))


def _made_at(message: Mapping[str, Any]) -> datetime:
    """When a message was made: its id says so. https://discord.com/developers/docs/reference#snowflakes"""
    return datetime.fromtimestamp(((int(message["id"]) >> 22) + _EPOCH) / 1000, UTC)


def _carries(message: Mapping[str, Any], post: Post, key: str | None) -> bool:
    """Whether a message is of this post: under its key, with its link, or, where none names the article, its text."""
    if key is not None and message.get("nonce") == key[:_NONCE_LENGTH]:
        return True
    if post.link is None or normalise_link(post.link) is None:
        said = clean(text_in(message, "content"))
        return said in {clean(_content(post, bracketed=bracketed)) for bracketed in (True, False)}
    wanted = post.link
    return any(leads_to(link, wanted) for link in _links(message))


def _links(message: Mapping[str, Any]) -> Iterator[str]:
    for match in _URL.finditer(text_in(message, "content")):
        yield match[0]
        # What ends a sentence, or is Markdown, may also end a link.
        yield match[0].rstrip(".,;:!?)]}'\"»”…*_~|`")
    embeds = message.get("embeds")
    for embed in embeds if isinstance(embeds, list) else ():
        yield text_in(mapping_of(embed), "url")


# --- reading answers -------------------------------------------------------------------------------------------------


def _code(answer: Answer) -> int | None:
    """Discord's own code of an error: what stands between us and Discord has none."""
    code = mapping_of(value_of(answer)).get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _is_about_files(answer: Answer, code: int | None) -> bool:
    """Whether only the picture is refused: Discord names the part of the form that it does not take."""
    if code == 50035:
        errors = mapping_of(mapping_of(value_of(answer)).get("errors"))
        return bool(errors) and set(errors) <= _ABOUT_FILES
    return code in _TOO_LARGE


def _wait(answer: Answer) -> timedelta | None:
    """How long Discord wants to be left alone. https://discord.com/developers/docs/topics/rate-limits#exceeding-a-rate-limit"""
    seconds = mapping_of(value_of(answer)).get("retry_after")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        return answer.retry_after()
    return min(timedelta(seconds=ceil(seconds)), LONGEST_WAIT)


def _id(value: object) -> str | None:
    """The id, if it is one: a number of 64 bits, as text."""
    return value if isinstance(value, str) and re.fullmatch(r"\d{1,20}", value, re.ASCII) else None
