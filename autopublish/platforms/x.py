"""X (Twitter): posts on one account, paid for one by one.

Setup: log in at https://console.x.com with the account that posts, open a developer account, buy some credits and make
an app. In its user authentication settings choose the type "Web App, Automated App or Bot", the permission "Read and
write" (X wants some callback address too) and save; only then generate, under "Keys and tokens", the API key and
secret (`consumer_key`, `consumer_secret`) and the access token and secret (`access_token`, `access_token_secret`). They
work until they are revoked or generated anew. A token from before the permission was changed stays read-only. X asks
that an account with automatic posts bears the label "Automated" and names in its bio who runs it.

Or leave `access_token` and `access_token_secret` out: `autopublish accounts login NAME` fetches them, by a number that
X shows you, for whichever account says yes in the browser.

What it costs: X takes $0.20 for a post with a link and $0.015 for one without, $0.005 for the alt text of a picture,
and nothing for what it refuses. 30 articles a day are $6. `at_most: [4/hour, $20/month]` holds the account to a sum: a
post that would go beyond it waits. The sum is reckoned with `post_price`, `link_price` and `alt_text_price`; what X
asks for now stands in its console. A look at the account's own posts costs $0.001 for each post that is read, and
`check` $0.01 for who is logged in. Whether uploads cost anything is not known.

What is posted: the text with its link and hashtags, and the article's picture with its alt text. A post with a picture
shows that and no card; `pictures: none` leaves the card that X draws from the page. The text may have 280 characters,
where letters of most scripts count one, Han, kana and emoji two, and each link 23; `length` is for accounts with
Premium. Names, tags and addresses in a title (`@name`, `#tag`, `$TAG`, `example.com`) are broken by an invisible
character: they call nobody, and do not become links, which would cost.

Unknown outcome: X knows no keys. After a timeout, a broken connection or a server's error the account's own posts are
read, ten minutes later, for the article's link. If the post is there, that is it; if it is absent twice, the same
bytes go again. X refuses a text that it has already, without saying where: then the posts are read too. Before the
first send of an article that waited, they are read as well.

Without credits the account is blocked until a person bought some, as it is where the app lacks a permission or X
suspended the account; the reason says which. `server` is another address of the API, and `fields_parameter` the name
under which it is asked for the links of posts (`tweet.fields`, or `post.fields` in newer descriptions).

Sources: https://docs.x.com/x-api/posts/create-post, https://docs.x.com/x-api/media/upload-media,
https://docs.x.com/x-api/media/create-media-metadata, https://docs.x.com/x-api/users/get-posts,
https://docs.x.com/x-api/getting-started/pricing, https://docs.x.com/fundamentals/counting-characters,
https://docs.x.com/x-api/fundamentals/rate-limits, https://docs.x.com/x-api/fundamentals/response-codes-and-errors,
https://github.com/twitter/twitter-text (links, mentions, hashtags, cashtags).
"""

from __future__ import annotations

import base64
import html
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import requests
from pydantic import Field, HttpUrl, SecretStr
from requests.structures import CaseInsensitiveDict

from autopublish.articles import leads_to, normalise_link
from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotReady,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import Identity, MediaLimits, Picture, Post, Receipt, Stage
from autopublish.platforms._base import Platform, ReadBack
from autopublish.platforms._http import LONGEST_WAIT, Answer, Http, content_of, evidence
from autopublish.platforms._json import mapping_of, object_of
from autopublish.platforms._login import PinLogin
from autopublish.text import WORD_JOINER, TextLimits, clean, shorten, weighted

# --- what the documentation says -------------------------------------------------------------------------------------

#: https://docs.x.com/fundamentals/counting-characters
_LENGTH: Final = 280
_URL_LENGTH: Final = 23
#: https://docs.x.com/x-api/media/quickstart/best-practices
_IMAGE_BYTES: Final = 5_000_000
_PICTURES: Final = 4
#: https://docs.x.com/x-api/media/create-media-metadata
_ALT_LENGTH: Final = 1_000
#: An upload is kept for a day where its answer does not tell: https://docs.x.com/x-api/media/introduction
_UPLOAD_KEPT: Final = timedelta(hours=24)
#: It is not used in its last minutes.
_UPLOAD_MARGIN: Final = timedelta(minutes=30)
_UPLOAD_WAIT: Final = timedelta(seconds=5)

#: Each post is paid for once, however many come in one answer.
_PAGE: Final = 100
_PAGES: Final = 8

# What X sees in words, in the widest reading of https://github.com/twitter/twitter-text/blob/master/js/src/regexp/: a
# mention (a mail address too, since `RT@name` is one), a hashtag that is no keycap, a cashtag. At the end of one value
# another may follow.
_SIGN: Final = re.compile(
    r"[@\uff20](?=\w|\Z)"
    r"|(?<![A-Za-z0-9_])[#\uff03](?=[^\s!-/:-@\[-^`{-~\ufe0f\u20e3\u2060]|\Z)"
    r"|(?<![A-Za-z0-9])\$(?=[A-Za-z]|\Z)"
)
# A dot that may stand in the name of a host, after a letter or its mark: domains end in two letters or more, in some
# scripts a letter and its mark.
_IN_HOST: Final = r"[\w\u0300-\u036f-]"
_END_OF_HOST: Final = r"(?:[^\W\d_](?:[^\W\d_]|[^\x00-\u02ff\u2000-\u206f\s])|xn--)"
_DOT: Final = re.compile(rf"(?:(?<={_IN_HOST})|\A)\.(?={_END_OF_HOST}|[^\W\d_]?\Z)", re.IGNORECASE)
#: What X may take for a link, and bill as one.
_MAY_BE_LINK: Final = re.compile(rf"https?://|{_IN_HOST}\.{_END_OF_HOST}", re.IGNORECASE)
#: As much of an address as X is sure to take for a link.
_TAKEN: Final = re.compile(
    r"https?://(?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?\.)+(?:xn--[a-z0-9-]+|[a-z]{2,})(?![a-z0-9@+-])(?::\d+)?"
    r"(?:/(?:[a-z0-9!*';:=+,.$/%#\[\]_~@|&-]*[a-z0-9=_#/+-])?)?(?:\?[a-z0-9!?*'@();:&=+$/%#\[\]_.,~|-]*[a-z0-9_&=#/-])?",
    re.IGNORECASE,
)


def unlinked(text: str) -> str:
    """The text, in which X finds no mention, hashtag, cashtag or link; a reader sees the same.

    Letters and their marks are put together first, as X does before it looks.
    """
    return _DOT.sub(rf"{WORD_JOINER}\g<0>", _SIGN.sub(rf"\g<0>{WORD_JOINER}", unicodedata.normalize("NFC", text)))


def link_length(link: str, reserved: int) -> int:
    """How many characters X counts of a link at most: `reserved` for as much as it takes for a link, the rest as it is.

    Where it may see none, a piece of it may still be one. A domain newer than X's list is counted as written there.
    """
    taken = _TAKEN.match(link)
    return reserved + len(link) - (taken.end() if taken else 0)


#: What the token may, in each answer to a request that it signed: https://github.com/xdevplatform/open-evolution/issues/21
_ACCESS: Final = "x-access-level"
_READ_ONLY: Final = (
    'the app or its token may not write: set the app to "Read and write", then generate the access token anew'
)
#: The words of a refusal (403) that is on X's own list, what it means, and what to do; the first that fits counts.
_FORBIDDEN: Final[tuple[tuple[re.Pattern[str], type[DeliveryError], str], ...]] = (
    (re.compile(r"duplicate content|status is a duplicate"), AlreadyPosted, ""),
    (
        # https://github.com/plhery/node-twitter-api-v2/issues/493
        re.compile(r"oauth1-permissions|app permissions|read-only"),
        Unauthorized,
        _READ_ONLY,
    ),
    (
        re.compile(r"client-forbidden|client-not-enrolled|unsupported-authentication|not permitted to access"),
        Unauthorized,
        "X does not let this app post: look at its plan, its project and its access in the console",
    ),
    (
        re.compile(r"suspended"),
        Unauthorized,
        "X suspended the account or the app: log in at x.com and look",
    ),
    (re.compile(r"\blocked\b"), Unauthorized, "X locked the account: log in at x.com and unlock it"),
    (re.compile(r"your account is not permitted"), Unauthorized, "log in at x.com and see what it says"),
    (re.compile(r"cashtag"), Rejected, "X takes one cashtag ($TICKER) in a post"),
    (re.compile(r"invalid url"), Rejected, ""),
    (re.compile(r"too long|bit shorter"), Rejected, "is `length` more than this account may post?"),
    (
        re.compile(r"(?:permitted|allowed) to perform this action"),
        Rejected,
        "X does not say why: the text may be too long for this account, or the app may lack a permission",
    ),
)
_CAPPED: Final = re.compile(r"usage-capped|usagecap|creditsdepleted")
_NO_MONEY: Final = (
    "X wants money before it takes more: buy credits or raise the spending limit at https://console.x.com"
)
_NOT_LOGGED_IN: Final = (
    'there is no access token: generate one with its secret in the X console (your app > "Keys and tokens"), and name '
    "where they are as access_token and access_token_secret"
)

Price = Annotated[Decimal, Field(ge=0, le=100)]


class _Session(requests.Session):
    """What tweepy takes for its connection: one call to the account's own server over ours, and its answer."""

    def __init__(self, server: str, exchange: Callable[..., Answer]) -> None:
        super().__init__()
        self.trust_env = False
        self.headers = CaseInsensitiveDict()
        self.answer: Answer | None = None
        self._server = server
        self._exchange = exchange

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """The request, signed for the account's own server: tweepy knows one only."""
        request.url = self._server + urlsplit(str(request.url)).path
        return super().prepare_request(request)

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        """One call, nothing followed or repeated.

        tweepy hears of a success, whatever came: its errors lose what the answer says, and some answers make it fail.
        """
        headers = {name: value for name, value in request.headers.items() if name.lower() != "user-agent"}
        self.answer = self._exchange(str(request.method), str(request.url), headers=headers, data=request.body)
        response = requests.Response()
        response.status_code, response.raw = 200, BytesIO(self.answer.body)
        return response


class X(Platform):
    """One account, with the keys of an app of its own (OAuth 1.0a)."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: The API key of an app of your own (https://console.x.com).
        consumer_key: SecretStr
        #: Its secret.
        consumer_secret: SecretStr
        #: The access token of the account that posts, generated after the app was set to "Read and write".
        access_token: SecretStr | None = None
        #: Its secret.
        access_token_secret: SecretStr | None = None
        #: How long a post may be; more than 280 is for accounts with Premium.
        length: Annotated[int, Field(ge=50, le=25_000)] = _LENGTH
        #: What X takes for a post without a link, in dollars, as its console says.
        post_price: Price = Decimal("0.015")
        #: For a post with one.
        link_price: Price = Decimal("0.20")
        #: For the alt text of a picture.
        alt_text_price: Price = Decimal("0.005")
        #: The name under which the links of posts are asked for.
        fields_parameter: Literal["tweet.fields", "post.fields"] = "tweet.fields"
        #: The address of the API.
        server: HttpUrl = HttpUrl("https://api.x.com")

    settings: Settings
    # https://docs.x.com/fundamentals/authentication/oauth-1-0a/pin-based-oauth
    login = PinLogin(
        gives=("access_token", "access_token_secret"),
        request="{server}/oauth/request_token",
        authorize="{server}/oauth/authorize",
        access="{server}/oauth/access_token",
    )
    cost = "$0.20 a post with a link, else $0.015"
    look = "x"
    limits = TextLimits(
        length=_LENGTH, count=weighted, url_length=_URL_LENGTH, link_length=link_length, neutralise=unlinked
    )
    media = MediaLimits(size_bytes=_IMAGE_BYTES, count=_PICTURES, alt_length=_ALT_LENGTH)
    # There are no keys; the account's own posts can be read: https://docs.x.com/x-api/users/get-posts. They come late
    # by up to a minute, and a call that a proxy gave up may be carried out minutes later.
    read_back = ReadBack.STRONG
    settle = timedelta(minutes=10)

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(settings, http)
        self.limits = replace(type(self).limits, length=settings.length)
        self._account_id: str | None = None

    # --- who ---------------------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The account's number and name; X bills it as the reading of one user.

        Raises:
            DeliveryError: Unauthorized if the credentials are refused or may only read; else it could not be asked.
        """
        answer = self._ask(lambda client: client.get_me(user_auth=True))
        user = mapping_of(object_of(answer).get("data"))
        number, name = _number(user.get("id")), user.get("username")
        if not answer.ok or number is None or not isinstance(name, str):
            raise self._look_refusal(answer)
        if answer.headers.get(_ACCESS) == "read":
            raise Unauthorized(_READ_ONLY)
        self._account_id = number
        return Identity(id=number, name=f"@{name}", url=f"https://x.com/{name}")

    # --- what it costs -----------------------------------------------------------------------------------------------

    def price(self, post: Post) -> Decimal:
        """What X takes for the post; what may be a link counts as one. https://docs.x.com/x-api/getting-started/pricing"""
        settings = self.settings
        price = settings.link_price if _MAY_BE_LINK.search(post.text) else settings.post_price
        return price + settings.alt_text_price if post.picture is not None and post.picture.alt else price

    # --- staging -----------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """The picture is uploaded, described and ready; one whose upload X forgets soon is uploaded anew.

        Raises:
            DeliveryError: NotReady, with what is done so far, while X works on it; MediaRejected if X does not take it.
        """
        if post.picture is None:
            return Stage()
        data = dict(stage.data) if _is_kept(stage, post) else self._uploaded(post.picture, post.created_at)
        if data["ready"] is not True:
            data["ready"] = self._is_processed(data)
        if post.picture.alt and data["described"] is not True:
            self._describe(data, post.picture.alt)
        return Stage(data=data)

    def _uploaded(self, picture: Picture, now: datetime) -> dict[str, Any]:
        """What is known of a new upload.

        Raises:
            DeliveryError: MediaRejected if the picture cannot be had or is refused; NotReady if X still works on it.
        """
        content = base64.b64encode(content_of(picture)).decode()
        body = {"media": content, "media_category": "tweet_image"}
        answer = self._ask(lambda client: client.request("POST", "/2/media/upload", json=body, user_auth=True))
        made = mapping_of(object_of(answer).get("data"))
        media = _number(made.get("id"))
        if not answer.ok or media is None:
            raise self._upload_refusal(answer)
        until = now + _seconds(made.get("expires_after_secs"), _UPLOAD_KEPT) - _UPLOAD_MARGIN
        data = {"sha256": picture.sha256, "media": media, "until": until.isoformat(), "ready": True, "described": False}
        data["ready"] = self._is_ready(made, data)
        return data

    def _is_processed(self, data: dict[str, Any]) -> bool:
        """True: an upload that X worked on is done.

        Raises:
            DeliveryError: NotReady while it is not; MediaRejected if X could not make a picture of it.
        """
        params = {"command": "STATUS", "media_id": data["media"]}
        answer = self._ask(lambda client: client.request("GET", "/2/media/upload", params=params, user_auth=True))
        made = mapping_of(object_of(answer).get("data"))
        if not answer.ok or not made:
            raise self._upload_refusal(answer)
        return self._is_ready(made, data)

    def _is_ready(self, made: Mapping[str, Any], data: dict[str, Any]) -> bool:
        """True: an upload may be used. https://docs.x.com/x-api/media/get-media-upload-status

        Raises:
            DeliveryError: NotReady while X works on it; MediaRejected if it failed.
        """
        progress = mapping_of(made.get("processing_info"))
        match progress.get("state", "succeeded"):
            case "succeeded":
                return True
            case "failed":
                raise MediaRejected(
                    f"X could not make a picture of it: {mapping_of(progress.get('error')).get('message')}"
                )
            case _:
                wait = _seconds(progress.get("check_after_secs"), _UPLOAD_WAIT)
                raise NotReady("X still works on the picture", wait=wait, stage=Stage(data={**data, "ready": False}))

    def _describe(self, data: dict[str, Any], words: str) -> None:
        """The upload has its alt text, and `data` says so."""
        text = shorten(words, lambda kept: len(kept) <= _ALT_LENGTH)
        body = {"id": data["media"], "metadata": {"alt_text": {"text": text}}}
        answer = self._ask(lambda client: client.request("POST", "/2/media/metadata", json=body, user_auth=True))
        if not answer.ok:
            raise self._upload_refusal(answer)
        data["described"] = True

    # --- publishing --------------------------------------------------------------------------------------------------

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """One post is asked for; its bytes are those of text and upload. X knows no keys.

        Raises:
            DeliveryError: AlreadyPosted if X has the text already; it does not say where.
        """
        media = [str(stage.data["media"])] if post.picture is not None and "media" in stage.data else None
        answer = self._call(self.http.send, lambda client: client.create_tweet(text=post.text, media_ids=media))
        if not answer.ok:
            raise self._refusal(answer, has_media=media is not None)
        receipt = _receipt(mapping_of(object_of(answer).get("data")))
        if receipt is None:
            raise OutcomeUnknown(f"success without the id of the post; {self._words(answer)}")
        return receipt

    def delete(self, receipt: Receipt) -> None:
        """The post is not there any more; X takes $0.01 for it. https://docs.x.com/x-api/posts/delete-post

        Raises:
            DeliveryError: it could not be taken away.
        """
        if _number(receipt.remote_id) is None:
            raise Rejected("this is no post of X")
        answer = self._ask(lambda client: client.delete_tweet(receipt.remote_id))
        is_gone = answer.status == 404 and "resource-not-found" in _said(answer)
        if is_gone or (answer.ok and mapping_of(object_of(answer).get("data")).get("deleted") is True):
            return
        raise self._refusal(answer, has_media=False)

    # --- looking -----------------------------------------------------------------------------------------------------

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """The newest of the account's own posts with the link, or with the text where none names the article alone.

        Raises:
            Undecided: the account has more posts since then than are looked through.
            DeliveryError: the look failed; it proves nothing.
        """
        params = {
            "max_results": str(_PAGE),
            "start_time": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "exclude": "replies,retweets",
            self.settings.fields_parameter: "created_at,entities,note_tweet",
        }
        for _ in range(_PAGES):
            posts, following = self._page(params)
            for one in posts:
                if _made_at(one) >= since.replace(microsecond=0) and _carries(one, post):
                    return _receipt(one)
            if following is None:
                return None
            params["pagination_token"] = following
        raise Undecided(f"more than {_PAGE * _PAGES} posts since {since:%Y-%m-%d %H:%M}")

    def _page(self, params: Mapping[str, str]) -> tuple[list[Mapping[str, Any]], str | None]:
        """Posts of the account, and what the next page is asked for with."""
        route = f"/2/users/{self._account_id or self.whoami().id}/tweets"
        answer = self._ask(lambda client: client.request("GET", route, params=params, user_auth=True))
        body = object_of(answer)
        meta, posts = mapping_of(body.get("meta")), body.get("data", [])
        # An empty list proves something only if X says that it is empty.
        is_whole = isinstance(posts, list) and meta.get("result_count") == len(posts) and "errors" not in body
        if not answer.ok or not is_whole or any(_receipt(mapping_of(one)) is None for one in posts):
            raise self._look_refusal(answer)
        following = meta.get("next_token")
        return [mapping_of(one) for one in posts], following if isinstance(following, str) else None

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _refusal(self, answer: Answer, *, has_media: bool) -> DeliveryError:
        """What an answer without success says of the post.

        Source: https://docs.x.com/x-api/fundamentals/response-codes-and-errors
        """
        words, said = self._words(answer), _said(answer)
        match answer.status:
            case 402:
                return Unauthorized(f"{_NO_MONEY}; {words}")
            case 403 | 429 if _CAPPED.search(said):
                return Unauthorized(f"{_NO_MONEY}; {words}")
            case 429:
                return RateLimited(words, wait=_wait(answer))
            case 401:
                return Unauthorized(f"{words}; are the four keys and this machine's clock right?")
            case 403:
                return _forbidden(answer, said, words)
            case 400 if has_media and "media" in said:
                return MediaRejected(words)
            case 400 if "invalid-request" in said:
                return Rejected(words)
            case _:
                return OutcomeUnknown(words)

    def _upload_refusal(self, answer: Answer) -> DeliveryError:
        """What a refused upload means; without a word on what is wrong it is tried again."""
        error = self._refusal(answer, has_media=True)
        if isinstance(error, Rejected | AlreadyPosted) or answer.status in (400, 404, 413, 415, 422):
            return MediaRejected(str(error))
        return error

    def _look_refusal(self, answer: Answer) -> DeliveryError:
        """What an answer that is not what was asked for says of the account; no post depends on it."""
        error = self._refusal(answer, has_media=False)
        return error if isinstance(error, RateLimited | Unauthorized) else OutcomeUnknown(str(error))

    # --- requests ----------------------------------------------------------------------------------------------------

    def _ask(self, call: Callable[[Any], object]) -> Answer:
        """The answer to what may be repeated."""
        return self._call(self.http.ask, call)

    def _call(self, exchange: Callable[..., Answer], call: Callable[[Any], object]) -> Answer:
        """The answer to what `call` asks of a tweepy client, over our own connection.

        Raises:
            DeliveryError: Unauthorized if a credential is missing or can be none; NotSent; OutcomeUnknown.
        """
        key, secret, token, token_secret = self._secrets()
        from tweepy import Client

        with _Session(str(self.settings.server).rstrip("/"), exchange) as session:
            client = Client(None, key, secret, token, token_secret, return_type=requests.Response)
            client.session = session
            call(client)
            if session.answer is None:
                raise OutcomeUnknown("tweepy did not ask")
            return session.answer

    def _secrets(self) -> tuple[str, ...]:
        """The four credentials.

        Raises:
            Unauthorized: one is missing, or can be none.
        """
        settings = self.settings
        if settings.access_token is None or settings.access_token_secret is None:
            raise Unauthorized(_NOT_LOGGED_IN)
        kept = (
            settings.consumer_key,
            settings.consumer_secret,
            settings.access_token,
            settings.access_token_secret,
        )
        values = tuple(secret.get_secret_value().strip() for secret in kept)
        if not all(re.fullmatch("[!-~]+", value) for value in values):
            raise Unauthorized("one of the four keys has blanks, line breaks or letters that no key has: copy it again")
        return values

    def _words(self, answer: Answer) -> str:
        """The status and what X says to people, without our credentials even if it repeats them."""
        said = "; ".join(_messages(object_of(answer))).encode(errors="replace") or answer.body
        # Before anything is cut off: a part of it is secret as well.
        for secret in self._secrets():
            said = said.replace(secret.encode(), "…".encode())
        return evidence(replace(answer, body=said))


# --- uploads ---------------------------------------------------------------------------------------------------------


def _is_kept(stage: Stage, post: Post) -> bool:
    """Whether the stage holds an upload of the post's picture that X still knows; a post is composed right before."""
    data = stage.data
    if post.picture is None or data.get("sha256") != post.picture.sha256:
        return False
    return post.created_at < datetime.fromisoformat(data["until"])


def _seconds(value: object, default: timedelta) -> timedelta:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        return default
    return timedelta(seconds=min(value, int(LONGEST_WAIT.total_seconds())))


# --- what a post holds -----------------------------------------------------------------------------------------------


def _receipt(post: Mapping[str, Any]) -> Receipt | None:
    """The receipt for a post; None if it has no id. The address needs no name, and so no question that costs."""
    number = _number(post.get("id"))
    return None if number is None else Receipt(remote_id=number, url=f"https://x.com/i/web/status/{number}")


def _made_at(post: Mapping[str, Any]) -> datetime:
    """When a post was made; one that does not say counts as new."""
    try:
        made = datetime.fromisoformat(str(post.get("created_at")))
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)
    return made if made.tzinfo is not None else made.replace(tzinfo=UTC)


def _carries(found: Mapping[str, Any], post: Post) -> bool:
    """Whether a post of the account is this one: it has its link, or, where none names the article, its text."""
    # A long post is cut in `text`, and whole in its note.
    whole = mapping_of(found.get("note_tweet"))
    text = str(whole.get("text") or found.get("text") or "")
    wanted = post.link
    if wanted is None or normalise_link(wanted) is None:
        return _bare(html.unescape(text)) == _bare(post.text)
    return any(leads_to(link, wanted) for one in (found, whole) for link in _links(one))


def _links(found: Mapping[str, Any]) -> Iterator[str]:
    """Where the short links of a post lead."""
    urls = mapping_of(found.get("entities")).get("urls")
    for url in urls if isinstance(urls, list) else ():
        for name in ("expanded_url", "unwound_url", "url"):
            yield str(mapping_of(url).get(name, ""))


def _bare(text: str) -> str:
    """The text without addresses, which X changes, and without blanks and invisible characters."""
    return clean(re.sub(r"https?://\S+", "", unicodedata.normalize("NFC", text)))


# --- reading answers -------------------------------------------------------------------------------------------------


def _forbidden(answer: Answer, said: str, words: str) -> DeliveryError:
    """What a 403 of X's own means: only what is on the list is sure."""
    if answer.headers.get(_ACCESS) == "read":
        said = f"read-only {said}"
    for pattern, error, hint in _FORBIDDEN:
        if pattern.search(said):
            return error(f"{words}; {hint}" if hint else words)
    return OutcomeUnknown(words)


def _messages(body: Mapping[str, Any]) -> Iterator[str]:
    """What an error says to people: its title and detail, then the message of each part."""
    errors = body.get("errors")
    parts = [body.get("title"), body.get("detail")]
    parts += [mapping_of(one).get("message") for one in errors] if isinstance(errors, list) else []
    yield from dict.fromkeys(part for part in parts if isinstance(part, str) and part)


def _said(answer: Answer) -> str:
    """The words and kinds of a refusal of X's own in lower case; empty if it is none.

    Source: https://docs.x.com/x-api/fundamentals/response-codes-and-errors (problems have a type, a title, a detail)
    """
    body = object_of(answer)
    kinds = [value for name in ("type", "reason") if isinstance(value := body.get(name), str)]
    return " ".join([*kinds, *_messages(body)]).lower()


def _wait(answer: Answer) -> timedelta | None:
    """How long X wants to be left alone, by its own clock: until the last of the limits that are used up ends.

    Source: https://docs.x.com/x-api/fundamentals/rate-limits
    """
    now = _date(answer.headers.get("Date", ""))
    resets = {
        kind: reset
        for kind in ("x-rate-limit", "x-app-limit-24hour", "x-user-limit-24hour")
        if re.fullmatch(r"[0-9]{9,11}", reset := answer.headers.get(f"{kind}-reset", ""))
    }
    used = [reset for kind, reset in resets.items() if answer.headers.get(f"{kind}-remaining") == "0"]
    if now is None or not resets:
        return answer.retry_after()
    until = datetime.fromtimestamp(max(map(int, used or resets.values())), UTC)
    return min(max(until - now, timedelta(seconds=1)), LONGEST_WAIT)


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _number(value: object) -> str | None:
    """An id as text. https://docs.x.com/fundamentals/x-ids"""
    return value if isinstance(value, str) and re.fullmatch(r"[0-9]{1,20}", value) else None
