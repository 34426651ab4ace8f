"""A strict server with X's API on loopback for one account and its app.

    with FakeX() as server:
        server.url, server.keys                     # what an account's settings need
        server.script("publish", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        server.visible()                            # the judge: what readers of the account see
        server.billed                               # and what X takes for it

It checks every signature (OAuth 1.0a, RFC 5849), each field and parameter. It counts, links, calls and bills by rules
of its own, after those of twitter-text; every name that ends in two letters or more is a host to it.

Sources: https://docs.x.com/x-api/posts/create-post, https://github.com/twitter/twitter-text,
https://docs.x.com/x-api/getting-started/pricing, https://www.rfc-editor.org/rfc/rfc5849#section-3.4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import html
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from io import BytesIO
from typing import Any
from urllib.parse import quote, unquote

import regex
from PIL import Image, UnidentifiedImageError

from tests.servers.scripted import Call, Reply, Scripted, as_json

_PROBLEMS = "https://api.twitter.com/2/problems/"
#: What a path is made of, and what it ends with; a host may stand without a scheme.
_PATH = r"(?:/(?:[a-z0-9!*';:=+,.$/%#\[\]_~@|&\u2013-]|\([a-z0-9!*';:=+,.$/%#\[\]_~@|&-]*\))*(?<=[a-z0-9=_#/+)-]))?"
_QUERY = r"(?:\?[a-z0-9!?*'@();:&=+$/%#\[\]_.,~|-]*[a-z0-9_&=#/-])?"
_ACCENTS = r"\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u02bb\u0300-\u036f\u1e00-\u1eff"
_END = r"(?:xn--[a-z0-9-]+|[^\W\d_](?:[^\W\d_]|[\u0900-\u0dff])+)(?![a-z0-9@+-])"
_HOST = rf"(?:[a-z0-9{_ACCENTS}][a-z0-9_{_ACCENTS}-]*\.)+{_END}"
_URL = re.compile(
    rf"(?<![a-z0-9@\uff20$#\uff03])(?:https?://{_HOST}(?::\d+)?{_PATH}{_QUERY}|(?<![-_./]){_HOST}(?:{_PATH}{_QUERY}))",
    re.IGNORECASE,
)
_MENTION = re.compile(r"(?:(?<![a-zA-Z0-9_!#$%&*@\uff20])|(?<=RT)|(?<=rt))[@\uff20]([a-zA-Z0-9_]{1,20})")
_HASHTAG = regex.compile(
    r"(?<![\p{L}\p{M}\p{Nd}_&])[#\uff03](?![\ufe0f\u20e3])"
    r"([\p{L}\p{M}\p{Nd}_\u200c\u200d\u00b7\u30fb]*[\p{L}\p{M}][\p{L}\p{M}\p{Nd}_\u200c\u200d\u00b7\u30fb]*)"
)
_CASHTAG = re.compile(r"(?<![^\s])\$([a-z]{1,6}(?:[._][a-z]{1,2})?)(?=$|[\s.,;:!?)\"'])", re.IGNORECASE)
_EMOJI = regex.compile(r"\p{Emoji_Presentation}|\p{Emoji}\ufe0f|\p{Regional_Indicator}{2}|[0-9#*]\ufe0f?\u20e3")
_LIGHT = ((0, 4351), (8192, 8205), (8208, 8223), (8242, 8247))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tweet:
    """A post as a reader finds it."""

    id: str
    text: str
    at: datetime
    links: tuple[str, ...] = ()
    mentions: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    cashtags: tuple[str, ...] = ()
    #: Format of its picture, and its alt text.
    picture: tuple[str, str] | None = None


@dataclass(slots=True)
class _Upload:
    format: str
    expires: datetime
    alt: str = ""
    #: How often it is said to be in work before it is done.
    in_work: int = 0
    fails: bool = False


class _Refused(Exception):
    def __init__(self, status: int, kind: str, title: str, detail: str, **rest: object) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"title": title, "detail": detail, "type": kind, "status": status, **rest}


def _invalid(message: str) -> _Refused:
    detail = "One or more parameters to your request was invalid."
    return _Refused(400, f"{_PROBLEMS}invalid-request", "Invalid Request", detail, errors=[{"message": message}])


def _forbidden(detail: str) -> _Refused:
    return _Refused(403, "about:blank", "Forbidden", detail)


class FakeX(Scripted):
    """The server; attributes are set before or between calls."""

    keys: Mapping[str, str] = {
        "consumer_key": "canaryKEYx1a2b3c4d5e6f7g8",
        "consumer_secret": "canarySECRETx9z8y7x6w5v4u3t2s1r0",
        "access_token": "1490000000000000001-canaryTOKENq1w2e3r4",
        "access_token_secret": "canaryTOKENSECRETp0o9i8u7y6t5",
    }
    account = "1490000000000000001"
    username = "kaltimnews"

    def __init__(self) -> None:
        super().__init__()
        self.length = 280
        self.is_revoked = False
        self.access = "read-write"
        #: Credits in dollars; None: as many as one likes.
        self.credits: Decimal | None = None
        self.refuses_duplicates = True
        #: How late a post stands in the account's list.
        self.lag = timedelta(0)
        self.in_work = 0
        self.fails_uploads = False
        self.fields_parameter = "tweet.fields"
        self.page = 100
        self.billed = Decimal(0)
        self._tweets: list[Tweet] = []
        self._uploads: dict[str, _Upload] = {}
        self._nonces: set[str] = set()
        self._count = 1_990_000_000_000_000_000

    # --- what a test looks at and sets ---

    def visible(self) -> list[Tweet]:
        """The account's posts, the newest first."""
        with self._lock:
            return self._tweets[::-1]

    def post_by_hand(self, text: str) -> Tweet:
        """A person posts in the app, which is not billed."""
        with self._lock:
            return self._made(text, None)

    def forget_uploads(self) -> None:
        """No upload is known any more."""
        self._uploads.clear()

    # --- requests ---

    def named(self, call: Call) -> str:
        named = {
            ("POST", "/2/tweets"): "publish",
            ("POST", "/2/media/upload"): "upload",
            ("GET", "/2/media/upload"): "status",
            ("POST", "/2/media/metadata"): "describe",
            ("GET", "/2/users/me"): "whoami",
            ("GET", f"/2/users/{self.account}/tweets"): "find",
        }
        if call.method == "DELETE" and re.fullmatch(r"/2/tweets/\d+", call.path):
            return "delete"
        return named.get((call.method, call.path), "other")

    def reply(self, call: Call) -> Reply:
        told = {"x-access-level": self.access, "x-rate-limit-limit": "100", "x-rate-limit-remaining": "99"}
        told["x-rate-limit-reset"] = str(int(self.clock().timestamp()) + 900)
        try:
            self._check_signature(call)
            if self.credits is not None and self.credits <= 0:
                raise _Refused(402, f"{_PROBLEMS}credits", "CreditsDepleted", "Your enrolled account has no credits.")
            status, answer = getattr(self, f"_{call.name}")(call)
        except _Refused as refused:
            kind = {"Content-Type": "application/problem+json"}
            return as_json(refused.body, status=refused.status, headers={**kind, **told})
        return as_json(answer, status=status, headers=told)

    def _bill(self, dollars: str) -> None:
        self.billed += Decimal(dollars)
        if self.credits is not None:
            self.credits -= Decimal(dollars)

    def _other(self, call: Call) -> tuple[int, object]:
        raise _Refused(404, "about:blank", "Not Found", f"no {call.method} {call.path}")

    def _whoami(self, call: Call) -> tuple[int, object]:
        _check_names(call.params, set())
        self._bill("0.010")
        return 200, {"data": {"id": self.account, "name": "Kaltim News", "username": self.username}}

    # --- signatures ---

    def _check_signature(self, call: Call) -> None:
        scheme, _, rest = call.headers.get("authorization", "").partition(" ")
        given = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', rest)}
        is_signed = scheme == "OAuth" and hmac.compare_digest(given.pop("oauth_signature", ""), self._sign(call, given))
        is_ours = (given.get("oauth_consumer_key"), given.get("oauth_token")) == (
            self.keys["consumer_key"],
            self.keys["access_token"],
        )
        is_new = given.get("oauth_nonce") not in self._nonces
        self._nonces.add(given.get("oauth_nonce", ""))
        if self.is_revoked or not (is_signed and is_ours and is_new and given.get("oauth_timestamp", "").isdecimal()):
            raise _Refused(401, "about:blank", "Unauthorized", "Unauthorized")

    def _sign(self, call: Call, given: Mapping[str, str]) -> str:
        """The signature that the request must bear, by RFC 5849."""
        pairs = sorted((_quoted(name), _quoted(value)) for name, value in (*given.items(), *call.params.items()))
        parameters = "&".join(f"{name}={value}" for name, value in pairs)
        base = "&".join(map(_quoted, (call.method, f"http://{call.headers['host']}{call.path}", parameters)))
        key = f"{_quoted(self.keys['consumer_secret'])}&{_quoted(self.keys['access_token_secret'])}"
        return base64.b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()).decode()

    # --- uploads ---

    def _upload(self, call: Call) -> tuple[int, object]:
        body = _document(call, {"media": str, "media_category": str})
        if body.get("media_category") != "tweet_image":
            raise _invalid("media_category must be one of tweet_image, tweet_gif, tweet_video")
        try:
            content = base64.b64decode(body["media"], validate=True)
            with Image.open(BytesIO(content)) as image:
                image.load()
                kind = str(image.format)
        except (KeyError, binascii.Error, UnidentifiedImageError, OSError):
            raise _invalid("media type unrecognized.") from None
        if kind not in ("JPEG", "PNG", "GIF", "WEBP") or len(content) > 5_242_880:
            raise _invalid("media is too large or of a wrong type")
        expires = self.clock() + timedelta(days=1)
        self._count += 1
        upload = _Upload(format=kind, expires=expires, in_work=self.in_work, fails=self.fails_uploads)
        self._uploads[str(self._count)] = upload
        data = {"id": str(self._count), "media_key": f"3_{self._count}", "expires_after_secs": 86_400}
        if upload.in_work or upload.fails:
            data["processing_info"] = {"state": "pending", "check_after_secs": 3}
        return 200, {"data": data}

    def _known(self, media: object) -> _Upload:
        upload = self._uploads.get(str(media)) if isinstance(media, str) else None
        if upload is None or upload.expires <= self.clock():
            raise _invalid("Your media IDs are invalid.")
        return upload

    def _status(self, call: Call) -> tuple[int, object]:
        _check_names(call.params, {"command", "media_id"})
        upload = self._known(call.params.get("media_id"))
        data: dict[str, Any] = {"id": call.params["media_id"], "processing_info": {"state": "succeeded"}}
        if upload.in_work > 1:
            upload.in_work -= 1
            data["processing_info"] = {"state": "in_progress", "check_after_secs": 3}
        elif upload.fails:
            data["processing_info"] = {"state": "failed", "error": {"message": "InvalidMedia"}}
        else:
            upload.in_work = 0
        return 200, {"data": data}

    def _describe(self, call: Call) -> tuple[int, object]:
        body = _document(call, {"id": str, "metadata": dict})
        upload = self._known(body.get("id"))
        alt = body.get("metadata", {}).get("alt_text", {})
        if set(body["metadata"]) != {"alt_text"} or set(alt) != {"text"} or not 1 <= len(alt["text"]) <= 1000:
            raise _invalid("alt_text must have 1 to 1000 characters")
        upload.alt = alt["text"]
        self._bill("0.005")
        return 200, {"data": {"id": body["id"]}}

    # --- posts ---

    def _publish(self, call: Call) -> tuple[int, object]:
        body = _document(call, {"text": str, "media": dict})
        upload = self._attached(body.get("media"))
        if self.access == "read":
            detail = "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint."
            raise _Refused(403, f"{_PROBLEMS}oauth1-permissions", "Forbidden", detail)
        text = unicodedata.normalize("NFC", body.get("text", ""))
        if not text.strip() and upload is None:
            raise _invalid("text must not be empty")
        if weight(text) > self.length:
            raise _forbidden("You are not permitted to perform this action.")
        if len(_CASHTAG.findall(text)) > 1:
            raise _forbidden("Your post contains more than the maximum of one cashtag.")
        if self.refuses_duplicates and any(tweet.text == text for tweet in self._tweets):
            raise _forbidden("You are not allowed to create a Tweet with duplicate content.")
        self._bill("0.200" if _links(text) else "0.015")
        tweet = self._made(text, upload)
        return 201, {"data": {"id": tweet.id, "text": tweet.text, "edit_history_tweet_ids": [tweet.id]}}

    def _attached(self, media: Any) -> _Upload | None:
        if media is None:
            return None
        ids = media.get("media_ids")
        if set(media) != {"media_ids"} or not isinstance(ids, list) or len(ids) != 1:
            raise _invalid("media_ids must have 1 to 4 ids")
        upload = self._known(ids[0])
        if upload.in_work:
            raise _invalid("media is still processing")
        return upload

    def _made(self, text: str, upload: _Upload | None) -> Tweet:
        self._count += 1
        outside = _URL.sub(lambda link: " " * len(link[0]), text)
        tweet = Tweet(
            id=str(self._count),
            text=text,
            at=self.clock(),
            links=_links(text),
            mentions=tuple(_MENTION.findall(outside)),
            hashtags=tuple(_HASHTAG.findall(outside)),
            cashtags=tuple(_CASHTAG.findall(outside)),
            picture=(upload.format, upload.alt) if upload else None,
        )
        self._tweets.append(tweet)
        return tweet

    def _delete(self, call: Call) -> tuple[int, object]:
        number = call.path.rpartition("/")[2]
        found = [tweet for tweet in self._tweets if tweet.id == number]
        if not found:
            raise _Refused(404, f"{_PROBLEMS}resource-not-found", "Not Found Error", f"Could not find tweet {number}.")
        self._tweets.remove(found[0])
        self._bill("0.010")
        return 200, {"data": {"deleted": True}}

    def _find(self, call: Call) -> tuple[int, object]:
        names = {"max_results", "start_time", "exclude", self.fields_parameter, "pagination_token"}
        _check_names(call.params, names)
        asked = call.params.get("max_results", "10")
        if not asked.isdecimal() or not 5 <= int(asked) <= 100:
            raise _invalid("max_results must be between 5 and 100")
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", call.params.get("start_time", "")):
            raise _invalid("start_time must be a time in RFC 3339")
        since, until = datetime.fromisoformat(call.params["start_time"]), self.clock() - self.lag
        shown = [tweet for tweet in self._tweets[::-1] if since <= tweet.at <= until]
        start = int(call.params.get("pagination_token", "t0").removeprefix("t"))
        count = min(int(asked), self.page)
        page = shown[start : start + count]
        self._bill(str(Decimal("0.001") * len(page)))
        meta: dict[str, Any] = {"result_count": len(page)}
        if start + count < len(shown):
            meta["next_token"] = f"t{start + count}"
        fields = set(call.params.get(self.fields_parameter, "").split(","))
        body: dict[str, Any] = {"meta": meta}
        if page:
            body["data"] = [_shown(tweet, fields) for tweet in page]
        return 200, body


# --- texts -----------------------------------------------------------------------------------------------------------


def _links(text: str) -> tuple[str, ...]:
    return tuple(match[0] for match in _URL.finditer(text))


def weight(text: str) -> int:
    """How many characters X counts: each link 23, an emoji two, most letters one, all else two."""
    without = _URL.sub("x" * 23, unicodedata.normalize("NFC", text))
    return sum(2 if _EMOJI.search(part) else sum(map(_units, part)) for part in regex.findall(r"\X", without))


def _units(char: str) -> int:
    return 1 if any(low <= ord(char) <= high for low, high in _LIGHT) else 2


def _shown(tweet: Tweet, fields: set[str]) -> dict[str, Any]:
    """A post as the list has it: links are short, what HTML knows is escaped, a picture is one more link."""
    urls: list[dict[str, str]] = []

    def short(link: str, expanded: str) -> str:
        urls.append({"url": f"https://t.co/{len(urls):010}", "expanded_url": expanded, "display_url": link[:26]})
        return urls[-1]["url"]

    parts, done = [], 0
    for match in _URL.finditer(tweet.text):
        parts += [html.escape(tweet.text[done : match.start()], quote=False), short(match[0], match[0])]
        done = match.end()
    text = "".join([*parts, html.escape(tweet.text[done:], quote=False)])
    if tweet.picture is not None:
        text += f" {short('pic.x.com', f'https://x.com/kaltimnews/status/{tweet.id}/photo/1')}"
    shown: dict[str, Any] = {"id": tweet.id, "text": text, "edit_history_tweet_ids": [tweet.id]}
    if "created_at" in fields:
        shown["created_at"] = f"{tweet.at:%Y-%m-%dT%H:%M:%S}.000Z"
    if "entities" in fields and urls:
        shown["entities"] = {"urls": urls}
    return shown


# --- fields ----------------------------------------------------------------------------------------------------------


def _quoted(value: str) -> str:
    return quote(value, safe="-._~")


def _check_names(given: Mapping[str, str], known: set[str]) -> None:
    if unknown := set(given) - known:
        raise _invalid(f"The query parameters {sorted(unknown)} are not one of {sorted(known)}")


def _document(call: Call, kinds: Mapping[str, type]) -> dict[str, Any]:
    if call.headers.get("content-type") != "application/json":
        raise _Refused(415, "about:blank", "Unsupported Media Type", "expected application/json")
    try:
        body = json.loads(call.body)
    except ValueError:
        raise _invalid("the body is no JSON") from None
    if not isinstance(body, dict) or set(body) - set(kinds):
        raise _invalid("$: object has unknown properties")
    for name, value in body.items():
        if not isinstance(value, kinds[name]):
            raise _invalid(f"$.{name}: wrong type")
    return body
