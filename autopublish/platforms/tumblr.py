"""Tumblr: posts with a link card and tags on one blog.

Setup: register an application at https://www.tumblr.com/oauth/apps (any redirect address will do) and let it have your
blog by OAuth 2 with the scopes `write` and `offline_access`: https://www.tumblr.com/docs/en/api/v2#oauth2-authorization
tells how. Give the access token as `access_token` and the blog's name as `blog`. Tumblr lets an access token work for
42 minutes; after that the account is blocked until it has another one, and nothing is lost. Posting costs nothing.

Better: leave `access_token` out and give the application's key and secret as `client_id` and `client_secret`. With
`http://127.0.0.1:8976/` as its redirect address, `autopublish accounts login NAME` fetches tokens, which are renewed by
themselves from then on.

What is posted: each line of the text as a paragraph, the title as a heading (`heading: no` leaves it plain), the
article's picture with its alt text, and a card that leads to the article. A line with the link alone becomes that card,
and a link elsewhere works where it stands. Hashtags become the post's tags: a line of hashtags alone is not shown once
more as text. The text may hold 4,096 characters. No markup is read, and `@name` or `#tag` in a title lead nowhere. The
address of the article is also the post's source. Tumblr lets through 250 posts in a day; its documentation does not say
how large a picture may be, so that it is kept below 10 MB.

Unknown outcome: Tumblr knows no keys. After a timeout, a broken connection or a server's error the blog's own posts are
read, ten minutes later, for the article's link. If the post is there, that is it. If it is absent twice, the same bytes
go once more. Before the first send of an article that waited, the posts are read too.

Sources: https://www.tumblr.com/docs/en/api/v2, https://www.tumblr.com/docs/npf,
https://github.com/tumblr/docs/blob/master/api.md#posts---createreblog-a-post-neue-post-format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, HttpUrl, SecretStr

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
from autopublish.models import Credentials, Identity, MediaLimits, Picture, Post, Receipt, Span, SpanKind, Stage
from autopublish.platforms._base import Card, Platform, ReadBack
from autopublish.platforms._http import LONGEST_WAIT, Answer, Upload, evidence, file_of, multipart, token_in
from autopublish.platforms._json import mapping_of, object_of, text_in
from autopublish.platforms._login import CodeLogin, renewed
from autopublish.text import TextLimits, characters, clean

# --- what the documentation says -------------------------------------------------------------------------------------

#: https://www.tumblr.com/docs/npf#post-content-limits: characters of one paragraph, and paragraphs of a post.
_LENGTH: Final = 4_096
_BLOCKS: Final = 1_000
_ALT_LENGTH: Final = 4_096
#: Not in the documentation; 20 MB is what people speak of.
_IMAGE_BYTES: Final = 10_000_000
_TAG_LENGTH: Final = 100

# Codes of https://www.tumblr.com/docs/en/api/v2#error-codes-and-what-they-mean
_INVALID: Final = 8001
_INVALID_MEDIA: Final = 8005
#: Posts of a day, uploads of a day, queue full.
_LIMITS: Final = frozenset({8004, 8022, 8023})

#: A limit without a word on its end.
_LIMITED_WAIT: Final = timedelta(hours=1)

_PAGE: Final = 20
_PAGES: Final = 20

_BLOG: Final = re.compile(
    r"(?:https?://)?(?:www\.tumblr\.com/(?:blog/)?([a-z0-9-]{1,60})|([a-z0-9-]{1,60})\.tumblr\.com"
    r"|((?:[a-z0-9-]{1,63}\.)+[a-z]{2,63})|([a-z0-9-]{1,60}))/?",
    re.IGNORECASE,
)
_ID: Final = re.compile(r"[0-9]{1,20}")


def _checked_blog(value: str) -> str:
    """The blog's name, or its host where it has one of its own."""
    found = _BLOG.fullmatch(value.strip())
    if found is None:
        raise ValueError("expected the blog's name, such as kaltimnews")
    return next(str(name) for name in found.groups() if name).lower()


class Tumblr(Platform):
    """One blog."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: An access token of OAuth 2 with the scope `write`.
        access_token: SecretStr | None = None
        #: The blog's name, such as kaltimnews.
        blog: Annotated[str, AfterValidator(_checked_blog)]
        #: Whether the article's title is a heading.
        heading: bool = True
        #: The key and the secret of your own application, for `autopublish accounts login`.
        client_id: str | None = None
        client_secret: SecretStr | None = None
        #: What renews the token, as a login gives it.
        refresh_token: SecretStr | None = None
        #: Address of the API.
        server: HttpUrl = HttpUrl("https://api.tumblr.com")
        #: Where a person logs in.
        login_server: HttpUrl = HttpUrl("https://www.tumblr.com")

    settings: Settings
    # https://www.tumblr.com/docs/en/api/v2#oauth2-authorization
    login = CodeLogin(
        authorize="{login_server}/oauth2/authorize",
        redeem="{server}/v2/oauth2/token",
        scopes=("basic", "write", "offline_access"),
        pkce=False,
        also=("refresh_token",),
    )
    # The answer holds a new refresh token: https://www.tumblr.com/docs/en/api/v2#v2oauth2token---token-exchange
    refreshes_once = True
    card = Card.OURS
    limits = TextLimits(length=_LENGTH, count=characters, hashtag_length=_TAG_LENGTH)
    media = MediaLimits(size_bytes=_IMAGE_BYTES, side=2_000, alt_length=_ALT_LENGTH)
    # No call takes a key: https://www.tumblr.com/docs/en/api/v2
    key_window = None
    # https://www.tumblr.com/docs/en/api/v2#posts--retrieve-published-posts
    read_back = ReadBack.STRONG
    settle = timedelta(minutes=10)

    # --- who ---------------------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The blog's lasting id, its name and its address.

        Raises:
            DeliveryError: Unauthorized if the token is refused or its user has no such blog; else Tumblr could not be
                asked.
        """
        user = mapping_of(self._asked("/v2/user/info").get("user"))
        blogs = user.get("blogs")
        for blog in map(mapping_of, blogs if isinstance(blogs, list) else ()):
            name, url = text_in(blog, "name"), text_in(blog, "url")
            hosts = {found for found in (name.lower(), _name_in(url)) if found}
            if name and self.settings.blog in hosts:
                return Identity(id=text_in(blog, "uuid") or name, name=name, url=url or self._page())
        raise Unauthorized(f"the token's user has no blog {self.settings.blog}")

    # --- publishing --------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """How the post looks is fixed, so that a resend has the same bytes; Tumblr keeps no picture without a post."""
        return Stage(data={"heading": self.settings.heading})

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """One post is asked for, with its picture in the same call.

        Raises:
            DeliveryError: MediaRejected if Tumblr does not take the picture, or it cannot be read.
        """
        url, body = self._url(f"/v2/blog/{self.settings.blog}/posts"), self._post(post, stage)
        if post.picture is None:
            answer = self.http.send("POST", url, headers=self._headers(), json=body)
        else:
            form, kind = _form(body, post.picture)
            answer = self.http.send("POST", url, headers=self._headers() | kind, data=form)
        if not answer.ok:
            raise self._refusal(answer, has_picture=post.picture is not None)
        made = mapping_of(object_of(answer).get("response"))
        number = _id(made.get("id_string")) or _id(made.get("id"))
        if number is None:
            raise OutcomeUnknown(f"success without the id of the post; {self._words(answer)}")
        return self._receipt(number)

    def _post(self, post: Post, stage: Stage) -> dict[str, Any]:
        """A post in the Neue Post Format. https://www.tumblr.com/docs/npf"""
        heading = stage.data.get("heading", self.settings.heading) is True
        body: dict[str, Any] = {"content": content(post, heading=heading), "state": "published"}
        if tags := _tags(post):
            body["tags"] = ",".join(tags)
        if post.link is not None:
            body["source_url"] = post.link
        return body

    def _receipt(self, number: str) -> Receipt:
        return Receipt(remote_id=number, url=f"{self._page()}/{number}")

    def _page(self) -> str:
        """Where posts of the blog stand."""
        blog = self.settings.blog
        return f"https://{blog}/post" if "." in blog else f"https://www.tumblr.com/{blog}"

    # --- looking -----------------------------------------------------------------------------------------------------

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """The newest of the blog's posts with the link, or with the text where none names the article alone.

        Raises:
            Undecided: the blog has more posts since then than are looked through.
            DeliveryError: the look failed; it proves nothing.
        """
        since = since.replace(microsecond=0)
        for page in range(_PAGES):
            posts = self._posts(page * _PAGE)
            for entry in posts:
                number = _id(entry.get("id_string")) or _id(entry.get("id"))
                if number is not None and _made_at(entry) >= since and _carries(entry, post):
                    return self._receipt(number)
            # All of the page: a post that is pinned stands before newer ones.
            if all(_made_at(entry) < since for entry in posts):
                return None
        raise Undecided(f"more than {_PAGES * _PAGE} posts since {since:%Y-%m-%d %H:%M}")

    def _posts(self, offset: int) -> Sequence[Mapping[str, Any]]:
        """Posts of the blog, the newest first but for one that is pinned."""
        params = {"npf": "true", "limit": str(_PAGE), "offset": str(offset)}
        posts = self._asked(f"/v2/blog/{self.settings.blog}/posts", **params).get("posts")
        if not isinstance(posts, list):
            raise OutcomeUnknown("the list of posts cannot be read")
        return [mapping_of(entry) for entry in posts]

    # --- taking away -------------------------------------------------------------------------------------------------

    def delete(self, receipt: Receipt) -> None:
        """The post is not there any more.

        Source: https://www.tumblr.com/docs/en/api/v2#postdelete--delete-a-post

        Raises:
            DeliveryError: it could not be taken away.
        """
        number = _id(receipt.remote_id)
        if number is None:
            raise Rejected("this is no post of Tumblr")
        url = self._url(f"/v2/blog/{self.settings.blog}/post/delete")
        answer = self.http.ask("POST", url, headers=self._headers(), data={"id": number})
        is_gone = _is_tumblrs_own(answer) and answer.status in (200, 404)
        if not is_gone:
            raise OutcomeUnknown(self._words(answer)) if answer.ok else self._account_refusal(answer)

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _refusal(self, answer: Answer, *, has_picture: bool) -> DeliveryError:
        """What an answer without success says of the post."""
        words, codes = self._words(answer), _codes(answer)
        if answer.status == 413 and has_picture:
            return MediaRejected(words)
        if answer.status == 400 and _is_tumblrs_own(answer):
            if _INVALID_MEDIA in codes:
                return MediaRejected(words) if has_picture else Rejected(words)
            if _INVALID in codes:
                return Rejected(words)
        return self._account_refusal(answer)

    def _account_refusal(self, answer: Answer) -> DeliveryError:
        """What an answer says of the account; where it says nothing of it, the outcome is unknown."""
        words = self._words(answer)
        match answer.status:
            case 401:
                return Unauthorized(words)
            case 429:
                return RateLimited(words, wait=_wait(answer) or answer.retry_after() or _LIMITED_WAIT)
            case 403 if _codes(answer) & _LIMITS:
                return RateLimited(words, wait=self._wait_of_a_day())
            case 403 if _is_tumblrs_own(answer):
                return Unauthorized(words)
            case 404 if _is_tumblrs_own(answer):
                return Unauthorized(f"{words}; is {self.settings.blog} the blog's name?")
            case _:
                return OutcomeUnknown(words)

    def _wait_of_a_day(self) -> timedelta:
        """How long until Tumblr begins its next day, by its own clock; an hour where it does not say.

        Source: https://www.tumblr.com/docs/en/api/v2#userlimits--get-a-users-limits
        """
        try:
            answer = self.http.ask("GET", self._url("/v2/user/limits"), headers=self._headers())
        except DeliveryError:
            return _LIMITED_WAIT
        limits = mapping_of(mapping_of(mapping_of(object_of(answer).get("response")).get("user")).get("posts"))
        reset, now = _moment(limits.get("reset_at")), _date(answer.headers.get("Date", ""))
        if reset is None or now is None or reset <= now:
            return _LIMITED_WAIT
        return min(reset - now, LONGEST_WAIT)

    # --- requests ----------------------------------------------------------------------------------------------------

    def _asked(self, path: str, **params: str) -> Mapping[str, Any]:
        """What Tumblr shows there.

        Raises:
            DeliveryError: Unauthorized or RateLimited; else it did not say.
        """
        answer = self.http.ask("GET", self._url(path), headers=self._headers(), params=params)
        if not answer.ok:
            raise self._account_refusal(answer)
        return mapping_of(answer.json().get("response"))

    def can_refresh(self) -> bool:
        """Where a login gave a refresh token."""
        given = self.settings
        return None not in (given.refresh_token, given.client_id, given.client_secret)

    def refresh(self) -> Credentials:
        """A new token, and a new refresh token in the place of the one that is used up.

        Source: https://www.tumblr.com/docs/en/api/v2#v2oauth2token---token-exchange

        Raises:
            DeliveryError: Unauthorized if only a new login helps.
        """
        given = self.settings
        if given.refresh_token is None or given.client_secret is None or not given.client_id:
            raise Unauthorized("there is no refresh token: log in anew")
        before = {"refresh_token": given.refresh_token.get_secret_value()}
        form = {
            "grant_type": "refresh_token",
            **before,
            "client_id": given.client_id,
            "client_secret": given.client_secret.get_secret_value(),
        }
        answer = self.http.send("POST", self._url("/v2/oauth2/token"), data=form)
        return renewed(before, answer, also=("refresh_token",))

    @property
    def _token(self) -> str:
        """The token.

        Raises:
            Unauthorized: there is none, or it can be none.
        """
        missing = "no access token: let your application have the blog by OAuth 2, or log in"
        return token_in(self.settings.access_token, missing=missing)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token}"}

    def _url(self, path: str) -> str:
        return f"{str(self.settings.server).rstrip('/')}{path}"

    def _words(self, answer: Answer) -> str:
        """Status and Tumblr's words, without our token even if they repeat it."""
        said = "; ".join(_reasons(answer)).encode() or answer.body
        # Before anything is cut off: a part of it is secret as well.
        return evidence(replace(answer, body=said.replace(self._token.encode(), "…".encode())))


# --- what is sent ----------------------------------------------------------------------------------------------------


def content(post: Post, *, heading: bool) -> list[dict[str, Any]]:
    """The post as blocks: its paragraphs, the picture after the first one, and the card of its link."""
    paragraphs = list(_paragraphs(post))
    if heading and paragraphs and paragraphs[0]["text"] == post.title:
        paragraphs[0]["subtype"] = "heading1"
    blocks = [*paragraphs[:1], *_images(post.picture), *paragraphs[1:]]
    if post.link is not None:
        card = {"type": "link", "url": post.link, "title": post.title, "description": post.summary}
        blocks.append({name: value for name, value in card.items() if value})
    return blocks or [{"type": "text", "text": post.text.strip()}]


def _paragraphs(post: Post) -> Iterator[dict[str, Any]]:
    """Each line that says more than the card and the tags, with its links.

    A block is one paragraph: https://www.tumblr.com/docs/npf#content-block-type-text
    """
    start = 0
    lines = post.text.split("\n")
    # Two blocks are kept free for picture and card; nobody writes that many lines.
    if len(lines) > _BLOCKS - 2:
        lines = [*lines[: _BLOCKS - 3], " ".join(lines[_BLOCKS - 3 :])]
    for line in lines:
        text = line.strip()
        begin = start + len(line) - len(line.lstrip())
        spans = [span for span in post.spans if begin <= span.start < span.end <= begin + len(text)]
        start += len(line) + 1
        if not text or _says_no_more(text, begin, spans, post.link):
            continue
        links = [_format(span, begin) for span in spans if span.kind is SpanKind.LINK]
        yield {"type": "text", "text": text} | ({"formatting": links} if links else {})


def _says_no_more(text: str, begin: int, spans: Sequence[Span], link: str | None) -> bool:
    """Whether a line holds nothing but what stands in the card or in the tags."""
    if text == link:
        return True
    rest = text
    for span in sorted(spans, key=lambda span: span.start, reverse=True):
        if span.kind is SpanKind.HASHTAG and _is_tag(span.value):
            rest = rest[: span.start - begin] + rest[span.end - begin :]
    return not rest.strip()


def _format(span: Span, begin: int) -> dict[str, Any]:
    """What makes a link work; it counts code points. https://www.tumblr.com/docs/npf#inline-format-type-link"""
    return {"type": "link", "start": span.start - begin, "end": span.end - begin, "url": span.value}


def _images(picture: Picture | None) -> Iterator[dict[str, Any]]:
    if picture is not None:
        media = {"type": picture.type, "identifier": "picture", "width": picture.width, "height": picture.height}
        yield {"type": "image", "media": [media]} | ({"alt_text": picture.alt} if picture.alt else {})


def _form(body: Mapping[str, Any], picture: Picture) -> tuple[bytes, dict[str, str]]:
    """The form of a post with its picture, and the header that names its kind.

    Raises:
        MediaRejected: the picture cannot be read; nothing was sent.
    """
    file = file_of(picture)
    words = json.dumps(body, separators=(",", ":")).encode()
    parts = {"json": Upload(content=words, type="application/json")}
    return multipart(parts | {"picture": file})


def _tags(post: Post) -> tuple[str, ...]:
    tags = (span.value for span in post.spans if span.kind is SpanKind.HASHTAG)
    return tuple(dict.fromkeys(filter(_is_tag, tags)))


def _is_tag(value: str) -> bool:
    return 0 < len(value) <= _TAG_LENGTH and "," not in value


# --- what a post holds -----------------------------------------------------------------------------------------------


def _made_at(entry: Mapping[str, Any]) -> datetime:
    """When a post was made; one that does not say counts as new."""
    return _moment(entry.get("timestamp")) or datetime.max.replace(tzinfo=UTC)


def _carries(entry: Mapping[str, Any], post: Post) -> bool:
    """Whether it is this post: it has its link anywhere, or, where none names the article, its text."""
    wanted, blocks = post.link, _blocks(entry)
    if wanted is None or normalise_link(wanted) is None:
        ours = [block.get("text") for block in content(post, heading=False)]
        return [clean(text_in(block, "text")) for block in blocks] == [clean(str(text or "")) for text in ours]
    return any(leads_to(link, wanted) for link in _links(entry, blocks))


def _blocks(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = entry.get("content")
    return [mapping_of(block) for block in found] if isinstance(found, list) else []


def _links(entry: Mapping[str, Any], blocks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Every link of a post: its source, its cards, and what leads somewhere inside its text."""
    yield text_in(entry, "source_url")
    for block in blocks:
        yield text_in(block, "url")
        formats = block.get("formatting")
        for form in formats if isinstance(formats, list) else ():
            yield text_in(mapping_of(form), "url")
        for match in re.finditer(r"https?://[^\s<>\"]+", text_in(block, "text"), re.IGNORECASE):
            # What ends a sentence may also end a link.
            yield match[0]
            yield match[0].rstrip(".,;:!?)]}'\"»”…")


# --- reading answers -------------------------------------------------------------------------------------------------


def _is_tumblrs_own(answer: Answer) -> bool:
    """Whether the answer is that of the API, and not of something before it."""
    return mapping_of(object_of(answer).get("meta")).get("status") == answer.status


def _errors(answer: Answer) -> list[Mapping[str, Any]]:
    errors = object_of(answer).get("errors")
    return [mapping_of(error) for error in errors] if isinstance(errors, list) else []


def _codes(answer: Answer) -> frozenset[int]:
    codes = (error.get("code") for error in _errors(answer))
    return frozenset(code for code in codes if isinstance(code, int))


def _reasons(answer: Answer) -> Iterator[str]:
    for error in _errors(answer):
        if said := " ".join(filter(None, (text_in(error, "title"), text_in(error, "detail")))):
            yield f"{said} ({error['code']})" if isinstance(error.get("code"), int) else said


def _wait(answer: Answer) -> timedelta | None:
    """How long the limit that is used up lasts; the headers count seconds from now.

    Source: https://www.tumblr.com/docs/en/api/v2#rate-limits
    """
    waits = []
    for limit in ("Perhour", "Perday"):
        left, reset = (answer.headers.get(f"X-Ratelimit-{limit}-{name}", "") for name in ("Remaining", "Reset"))
        if left.strip() == "0" and re.fullmatch("[0-9]{1,9}", reset.strip()):
            waits.append(timedelta(seconds=int(reset)))
    return min(max(waits), LONGEST_WAIT) if waits else None


def _moment(value: object) -> datetime | None:
    """A time in seconds since 1970."""
    is_time = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**33
    return datetime.fromtimestamp(value, UTC) if is_time and isinstance(value, int) else None


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _name_in(url: str) -> str | None:
    try:
        return _checked_blog(url)
    except ValueError:
        return None


def _id(value: object) -> str | None:
    """An id as text, whichever way it came."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text if _ID.fullmatch(text) else None
