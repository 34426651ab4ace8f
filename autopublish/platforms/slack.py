"""Slack: posts in one channel, by the bot of an app of your own, or through an incoming webhook.

Setup: with a bot or with a webhook. A bot can also look up what it posted: at https://api.slack.com/apps make a New App
from scratch in your workspace. Under OAuth & Permissions give it the bot scopes `chat:write` and `channels:history`
(for a private channel `groups:history`), press Install, and put the "Bot User OAuth Token" (`xoxb-...`) where only the
program finds it, as `token`. Invite the bot to the channel (`/invite @name`), and give the channel's id as `channel`
(View channel details, at the end: `C...`). `history: no` leaves out the second scope, and with it the looks. Token
rotation must be off.

For a webhook make the app, switch Incoming Webhooks on, Add New Webhook to Workspace, choose the channel, and put the
address where only the program finds it, as `webhook_url`. Whoever knows it may post there. It works until the app is
removed. Give one of the two. Posting costs nothing; a channel takes about one message a second.

What is posted: the text with its link and hashtags, up to 4,000 characters. Below it Slack shows the page behind the
link with its title and picture, as far as the page names them; `preview: no` leaves that out. Pictures are not
uploaded. Nothing in a post is formatted, and no title calls anybody: `*`, `<!channel>`, `@here` and `:smile:` look as
they were written, and addresses in titles lead nowhere. Posts of a webhook have no address and cannot be taken away.

Unknown outcome: with a bot, after a timeout, a broken connection or a server's error the channel is read, ten minutes
later, for the post's key in its metadata or the article's link in the bot's own posts. If it is there, that is it; if
it is absent twice, the same bytes go again. With a webhook, or with `history: no`, nobody can tell, and the post waits
for you as NEEDS_REVIEW: look at the channel, then `deliveries resolve ID --posted URL`, `--absent` or `--drop`.
`on_unknown: resend` or `drop` decides for you; a post that is sent again may be there twice.

Not verified against Slack itself: how a webhook answers to an empty message, by which `check` sees that it is there.

Sources: https://docs.slack.dev/reference/methods/chat.postMessage, https://docs.slack.dev/apis/web-api/rate-limits,
https://docs.slack.dev/reference/methods/conversations.history, https://docs.slack.dev/messaging/message-metadata,
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
https://docs.slack.dev/messaging/formatting-message-text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, HttpUrl, SecretStr, model_validator

from autopublish.articles import leads_to, normalise_link
from autopublish.errors import DeliveryError, OutcomeUnknown, RateLimited, Rejected, Unauthorized, Undecided
from autopublish.models import Identity, Post, Receipt, SpanKind, Stage
from autopublish.platforms._base import Card, Platform, ReadBack
from autopublish.platforms._http import Answer, Http, evidence
from autopublish.platforms._json import mapping_of, text_in, value_of
from autopublish.text import WORD_JOINER, TextLimits, clean, utf16_units

# --- what the documentation says -------------------------------------------------------------------------------------

#: https://docs.slack.dev/reference/methods/chat.postMessage#truncating; counted in the widest way, with its escapes.
_LENGTH: Final = 4_000
#: Messages in one answer (999 are allowed, and an answer has an end), and how many answers are looked through.
_PAGE: Final = 50
_PAGES: Final = 20
_EVENT: Final = "autopublish"

_WEBHOOK: Final = re.compile(r"https?://[^\s/?#@]+/services/(\w{1,40})/(\w{1,40})/(\w{8,200})/?", re.ASCII)
_TOKEN: Final = re.compile("[!-~]+")
_CHANNEL: Final = re.compile(r"(?:https?://[\w.-]+/archives/)?([CGD][A-Z0-9]{6,20})", re.ASCII)
_TS: Final = re.compile(r"\d{1,12}\.\d{1,9}", re.ASCII)
_HOME: Final = re.compile(r"https?://[\w.:-]{1,253}/", re.ASCII)
_URL: Final = re.compile(r"https?://[^\s<>|]+", re.IGNORECASE)

# Slack's own refusals, before anything is made: https://docs.slack.dev/reference/methods/chat.postMessage#errors
_AUTH: Final = re.compile(
    "access_denied|accesslimited|account_inactive|channel_not_found|deprecated_endpoint|ekm_access_denied"
    "|enterprise_is_restricted|invalid_auth|is_archived|messages_tab_disabled|metadata_must_be_sent_from_app"
    "|missing_scope|no_permission|not_allowed_token_type|not_authed|not_in_channel|org_login_required"
    "|restricted_action(?:_(?:non_threadable|read_only|thread_only)_channel)?|team_access_not_granted|token_expired"
    "|token_revoked|two_factor_setup_required"
)
_INVALID: Final = re.compile(
    "invalid_arguments|invalid_arg_name|invalid_blocks|invalid_json|invalid_metadata_(?:format|schema)|json_not_object"
    "|metadata_too_large|msg_blocks_too_long|msg_too_long|no_text|too_many_attachments"
)
_LIMITED: Final = re.compile("rate_?limited|message_limit_exceeded")
_HINTS: Final = {
    "channel_not_found": "`channel` is not the id of a channel that the bot sees: invite it there",
    "not_in_channel": "the bot is not in the channel: invite it",
    "missing_scope": "the app lacks a scope: add it under OAuth & Permissions and install the app again",
    "token_expired": "the app rotates its tokens: switch Token Rotation off, or make another app",
}
# A webhook says so in one word: https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
_HOOK_AUTH: Final = re.compile(
    "action_prohibited|channel_is_archived|channel_not_found|invalid_token|no_active_hooks|no_service(?:_id)?|no_team"
    "|posting_to_general_channel_denied|team_disabled|user_not_found"
)
_HOOK_INVALID: Final = re.compile("invalid_blocks|invalid_payload|no_text|too_many_attachments")
_WORD: Final = re.compile("[a-z_]{1,60}")
_REFUSALS: Final = frozenset({400, 403, 404, 410})

# What becomes an emoji, a link or a call, at the end of words that another may follow.
_SIGN: Final = re.compile(r":(?=[\w+'-]*(?::|\Z))|:(?=//)|@(?=channel|everyone|here|\Z)")


def escaped(text: str) -> str:
    """The text as Slack shows just this, with nothing in it called, linked or made an emoji.

    Source: https://docs.slack.dev/messaging/formatting-message-text#escaping
    """
    return _SIGN.sub(rf"\g<0>{WORD_JOINER}", html.escape(text, quote=False))


def _written(link: str) -> str:
    return link.replace("&", "&amp;")


def _link_length(link: str, _fixed: int) -> int:
    return utf16_units(_written(link))


def _checked_channel(value: object) -> object:
    """The id of a channel; its address tells it too."""
    found = _CHANNEL.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        raise ValueError("expected the id of a channel, such as C0123456789 (View channel details, at the end)")
    return found[1]


class Slack(Platform):
    """One channel."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: The token of the app's bot (xoxb-...).
        token: SecretStr | None = None
        #: The id of the channel that the bot posts in.
        channel: Annotated[str, BeforeValidator(_checked_channel)] | None = None
        #: The address of an incoming webhook, which is a secret.
        webhook_url: SecretStr | None = None
        #: Whether the page behind the link is shown below a post.
        preview: bool = True
        #: Whether the bot may read the channel, to look up what it posted.
        history: bool = True
        #: Address of Slack's API.
        server: HttpUrl = HttpUrl("https://slack.com/api")

        @model_validator(mode="after")
        def _leads_somewhere(self) -> Self:
            if self.webhook_url is None and (self.token is None) is not (self.channel is None):
                raise ValueError("a bot wants both `token` and `channel`")
            return self

    settings: Settings
    card = Card.NETWORK
    limits = TextLimits(length=_LENGTH, count=utf16_units, neutralise=escaped)
    # https://docs.slack.dev/reference/methods/chat.postMessage has no key; a post's metadata holds ours.
    key_window = None
    # With a bot that may read: https://docs.slack.dev/reference/methods/conversations.history
    read_back = ReadBack.STRONG
    settle = timedelta(minutes=10)

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(settings, http)
        # A link counts with its escapes.
        self.limits = replace(type(self).limits, url_length=0, link_length=_link_length)
        if settings.token is None or not settings.history:
            self.read_back = ReadBack.NONE
        self._known: Mapping[str, Any] | None = None

    # --- who and where -----------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The workspace and the channel that are posted in, or the place of the webhook.

        Raises:
            DeliveryError: Unauthorized if the token is refused or the webhook is gone; else Slack could not be asked.
        """
        if self._is_webhook:
            return self._whose_webhook()
        self._known = None
        found, channel = self._login(), self.settings.channel or ""
        team, home = text_in(found, "team_id"), _home(found)
        if not team:
            raise OutcomeUnknown("the bot was described without its workspace")
        name = f"{text_in(found, 'team') or team} {channel}"
        return Identity(id=f"{team}/{channel}", name=name, url=f"{home}archives/{channel}" if home else None)

    def _whose_webhook(self) -> Identity:
        """Workspace and number of the webhook, if it is there: an empty message is refused, and no other call known."""
        match = self._webhook
        answer = self.http.ask("POST", match[0], json={})
        error = self._hook_refusal(answer)
        is_refused = answer.status == 400 and _WORD.fullmatch(_word(answer)) is not None
        if isinstance(error, Unauthorized | RateLimited) or not is_refused:
            raise error
        return Identity(id=f"{match[1]}/{match[2]}", name=f"webhook {match[2]}")

    def permissions(self) -> tuple[str, ...] | None:
        """The scopes that the app lacks; None where Slack does not name them, which includes all webhooks.

        Raises:
            DeliveryError: Slack could not be asked.
        """
        if self._is_webhook:
            return None
        answer = self.http.ask("POST", self._url("auth.test"), headers=self._bot(), json={})
        self._read(answer)
        # https://docs.slack.dev/authentication/installing-with-oauth
        given = {scope.strip() for scope in answer.headers.get("X-OAuth-Scopes", "").split(",")} - {""}
        if not given:
            return None
        lack = [] if "chat:write" in given else ["chat:write (posts)"]
        if self.settings.history and not given & {"channels:history", "groups:history"}:
            lack.append("channels:history (whether a post is there; or write `history: no`)")
        return tuple(lack)

    def _login(self) -> Mapping[str, Any]:
        """Who the bot is, as it was said first. https://docs.slack.dev/reference/methods/auth.test"""
        if self._known is None:
            self._known = self._read(self.http.ask("POST", self._url("auth.test"), headers=self._bot(), json={}))
        return self._known

    def _read(self, answer: Answer) -> Mapping[str, Any]:
        """What a method answered that changes nothing.

        Raises:
            DeliveryError: Unauthorized for every refusal of a request; else it could not be asked.
        """
        body = mapping_of(value_of(answer))
        if answer.ok and body.get("ok") is True:
            return body
        error = self._refusal(answer)
        raise Unauthorized(str(error)) if isinstance(error, Rejected) else error

    # --- publishing --------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """How the post is sent is fixed, and the workspace's page that its address needs is known.

        Raises:
            DeliveryError: Unauthorized if nothing could be posted either.
        """
        home = stage.data["home"] if "home" in stage.data else self._home()
        return Stage(data={"preview": self.settings.preview, "home": home})

    def _home(self) -> str | None:
        """The address of the workspace's page; a webhook does not know its workspace."""
        return None if self._is_webhook else _home(self._login())

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """One message is sent.

        Raises:
            DeliveryError: the outcome if there is no receipt.
        """
        preview = bool(stage.data.get("preview", self.settings.preview))
        message: dict[str, Any] = {
            "text": _content(post),
            "mrkdwn": False,
            "unfurl_links": preview,
            "unfurl_media": preview,
        }
        if self._is_webhook:
            return self._through_webhook(message, key)
        message |= {
            "channel": self.settings.channel,
            "metadata": {"event_type": _EVENT, "event_payload": {"key": key}},
        }
        answer = self.http.send("POST", self._url("chat.postMessage"), headers=self._bot(), json=message)
        body = mapping_of(value_of(answer))
        if not answer.ok or body.get("ok") is not True:
            raise self._refusal(answer)
        receipt = _receipt(body, text_in(stage.data, "home"))
        if receipt is None:
            raise OutcomeUnknown(f"success without the time stamp of the message; {self._words(answer)}")
        return receipt

    def _through_webhook(self, message: Mapping[str, Any], key: str) -> Receipt:
        """The receipt of a post that has no id but our own key: a webhook says `ok` and no more."""
        answer = self.http.send("POST", self._webhook[0], json=message)
        if answer.status == 200 and _word(answer) == "ok":
            return Receipt(remote_id=key)
        raise self._hook_refusal(answer)

    # --- looking -----------------------------------------------------------------------------------------------------

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """The newest of the bot's own messages with the key or the link, or, where neither can tell, with the text.

        Raises:
            Undecided: nobody may read, or there are more messages since then than are looked through.
            DeliveryError: the look failed; it proves nothing.
        """
        if self._is_webhook or not self.settings.history:
            raise Undecided("what was posted cannot be looked up: that takes a bot's `token`, and `history`")
        login, channel, cursor = self._login(), self.settings.channel, ""
        for _ in range(_PAGES):
            body = self._page(since, cursor)
            for message in _messages(body):
                if _is_by(message, login) and _carries(message, post, key):
                    return _receipt({"channel": channel, **message}, _home(login))
            cursor = text_in(mapping_of(body.get("response_metadata")), "next_cursor")
            if not cursor:
                if body.get("has_more"):
                    raise Undecided("the list of messages ends too early")
                return None
        raise Undecided(f"more than {_PAGES * _PAGE} messages since {since:%Y-%m-%d %H:%M}")

    def _page(self, since: datetime, cursor: str) -> Mapping[str, Any]:
        params = {
            "channel": self.settings.channel or "",
            "oldest": f"{since.timestamp():.6f}",
            "inclusive": "true",
            "include_all_metadata": "true",
            "limit": str(_PAGE),
            **({"cursor": cursor} if cursor else {}),
        }
        headers = {"Authorization": self._bot()["Authorization"]}
        return self._read(self.http.ask("GET", self._url("conversations.history"), headers=headers, params=params))

    # --- taking away -------------------------------------------------------------------------------------------------

    def delete(self, receipt: Receipt) -> None:
        """The message is not there any more. https://docs.slack.dev/reference/methods/chat.delete

        Raises:
            DeliveryError: Rejected if it is not the bot's own; else it could not be taken away.
        """
        channel, _, ts = receipt.remote_id.partition("/")
        if self._is_webhook or not (_CHANNEL.fullmatch(channel) and _TS.fullmatch(ts)):
            raise Rejected("this is no post of a bot on Slack, and what a webhook posted cannot be taken away")
        fields = {"channel": channel, "ts": ts}
        answer = self.http.ask("POST", self._url("chat.delete"), headers=self._bot(), json=fields)
        body = mapping_of(value_of(answer))
        if answer.ok and (body.get("ok") is True or body.get("error") == "message_not_found"):
            return
        if body.get("error") == "cant_delete_message":
            raise Rejected(self._words(answer))
        raise self._refusal(answer)

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _refusal(self, answer: Answer) -> DeliveryError:
        """What an answer of the API without success says of the message; the status is 200 for most errors.

        Source: https://docs.slack.dev/reference/methods/chat.postMessage#errors
        """
        words, body = self._words(answer), mapping_of(value_of(answer))
        error = text_in(body, "error") if body.get("ok") is False else ""
        if answer.status == 429 or (answer.status < 500 and _LIMITED.fullmatch(error)):
            return RateLimited(words, wait=answer.retry_after())
        if answer.status == 401 or (answer.status < 500 and _AUTH.fullmatch(error)):
            return Unauthorized(f"{_HINTS[error]}; {words}" if error in _HINTS else words)
        return Rejected(words) if answer.status < 500 and _INVALID.fullmatch(error) else OutcomeUnknown(words)

    def _hook_refusal(self, answer: Answer) -> DeliveryError:
        """What an answer of a webhook without success says of the message."""
        words, word = self._words(answer), _word(answer)
        if answer.status == 429:
            return RateLimited(words, wait=answer.retry_after())
        if answer.status in _REFUSALS and _HOOK_AUTH.fullmatch(word):
            return Unauthorized(f"the webhook takes nothing any more; {words}")
        return Rejected(words) if answer.status == 400 and _HOOK_INVALID.fullmatch(word) else OutcomeUnknown(words)

    # --- requests ----------------------------------------------------------------------------------------------------

    @property
    def _is_webhook(self) -> bool:
        """Whether a webhook posts.

        Raises:
            Unauthorized: nobody can tell.
        """
        if self.settings.webhook_url is not None and self.settings.token is not None:
            raise Unauthorized("there are both `webhook_url` and `token`: leave one of them out")
        return self.settings.webhook_url is not None

    @property
    def _webhook(self) -> re.Match[str]:
        """The webhook's address and its parts.

        Raises:
            Unauthorized: it is none.
        """
        address = self.settings.webhook_url.get_secret_value().strip() if self.settings.webhook_url else ""
        found = _WEBHOOK.fullmatch(address)
        if found is None:
            raise Unauthorized(
                "`webhook_url` is not what Slack gives (https://hooks.slack.com/services/...): copy it again"
            )
        return found

    def _url(self, method: str) -> str:
        return f"{str(self.settings.server).rstrip('/')}/{method}"

    def _bot(self) -> dict[str, str]:
        """The headers of a bot's request with a body.

        Raises:
            Unauthorized: the token can be none.
        """
        token = self.settings.token.get_secret_value().strip() if self.settings.token else ""
        if not _TOKEN.fullmatch(token):
            if self.settings.token is None:
                raise Unauthorized(
                    "there is neither `webhook_url` nor `token`: `autopublish platforms slack` says more"
                )
            raise Unauthorized("the token is not one that Slack gives to bots (xoxb-...): copy it again")
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json; charset=utf-8"}

    def _words(self, answer: Answer) -> str:
        """The status and Slack's words, without our secrets even if they repeat them."""
        secret = self._webhook[3] if self._is_webhook else self._bot()["Authorization"].removeprefix("Bearer ")
        return evidence(replace(answer, body=answer.body.replace(secret.encode(), "…".encode())))


# --- what a message holds --------------------------------------------------------------------------------------------


def _content(post: Post) -> str:
    """The text as it is sent, with our link escaped."""
    text = post.text
    for span in reversed(post.spans):
        if span.kind is SpanKind.LINK:
            text = f"{text[: span.start]}{_written(text[span.start : span.end])}{text[span.end :]}"
    return text


def _receipt(message: Mapping[str, Any], home: str) -> Receipt | None:
    """The receipt for a message, with its page in the workspace; None if it has no time stamp, which is its id."""
    channel, ts = text_in(message, "channel"), text_in(message, "ts")
    if not channel or not _TS.fullmatch(ts):
        return None
    # https://docs.slack.dev/reference/methods/chat.getPermalink
    url = f"{home}archives/{channel}/p{ts.replace('.', '')}" if home else None
    return Receipt(remote_id=f"{channel}/{ts}", url=url)


def _home(login: Mapping[str, Any]) -> str:
    """The workspace's page; empty if it is not told."""
    said = text_in(login, "url")
    return said if _HOME.fullmatch(said) else ""


def _messages(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    messages = body.get("messages")
    if not isinstance(messages, list) or any(not text_in(mapping_of(one), "ts") for one in messages):
        raise OutcomeUnknown("the list of messages cannot be read")
    return messages


def _is_by(message: Mapping[str, Any], login: Mapping[str, Any]) -> bool:
    """Whether a message is the bot's own."""
    names = (("bot_id", "bot_id"), ("user", "user_id"))
    return any(text_in(login, told) and message.get(name) == login[told] for name, told in names)


def _carries(message: Mapping[str, Any], post: Post, key: str | None) -> bool:
    """Whether a message is of this post: under its key, with its link, or, where none names the article, its text."""
    metadata = mapping_of(message.get("metadata"))
    payload = mapping_of(metadata.get("event_payload"))
    if key is not None and (metadata.get("event_type"), payload.get("key")) == (_EVENT, key):
        return True
    wanted, text = post.link, text_in(message, "text")
    if wanted is None or normalise_link(wanted) is None:
        return clean(text) == clean(_content(post))
    return any(leads_to(link, wanted) for link in _links(text))


def _links(text: str) -> Iterator[str]:
    for match in _URL.finditer(text):
        link = html.unescape(match[0])
        yield link
        # What ends a sentence may also end a link.
        yield link.rstrip(".,;:!?)]}'\"»”…*_~`")


# --- reading answers -------------------------------------------------------------------------------------------------


def _word(answer: Answer) -> str:
    """What a webhook says, which is one word."""
    return answer.body[:100].decode(errors="replace").strip()
