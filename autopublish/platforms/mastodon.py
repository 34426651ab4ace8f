"""Mastodon: posts on one account of any Mastodon server, or of Pleroma, Akkoma, GoToSocial or Pixelfed.

Setup: in the web page of your server, Preferences > Development > New application. Give it a name, tick the scopes
`read:accounts`, `read:statuses`, `write:statuses` and `write:media` and nothing else, submit, open the application once
more and copy "Your access token". Give the server's address as `server` and the token as `access_token`. The token
works until you revoke it there. Posting costs nothing.

Or leave `access_token` out: `autopublish accounts login NAME` makes an application on your server, and you say yes in
a browser.

What is posted: the text with its link and hashtags and the article's picture with its alt text, within the limits that
the server states. What Mastodon does not take for a link, such as a host in a very new domain, counts in full. Without
a picture the server itself draws a card from the page behind the link. `visibility` says who sees it (`public`,
`unlisted`, `private` for followers, `direct`), `content_warning` hides it behind a line that counts towards the length,
`sensitive` blurs the picture, `language` (two letters) takes the place of the article's. `@name` in a title mentions
nobody, and `#tag` there is no hashtag.

The relatives: Pleroma, Akkoma and GoToSocial take longer posts and count every link in full; posts go there as plain
text, so that no title is read as Markdown. Pixelfed takes posts with a picture only (an article without one is
HELD `picture`), shows no cards, knows no `direct`, and its tokens expire after about a year.

Unknown outcome: after a timeout, a broken connection or a server's error the account's own posts are read, ten minutes
later, for the article's link. If the post is there, that is it. If it is absent twice, the same bytes go again under
the same `Idempotency-Key`: Mastodon remembers it for an hour and gives the first post back. Some of its relatives
ignore it, which is why the look comes first. Before the first send of an article that waited, the posts are read too.

Sources: https://docs.joinmastodon.org/methods/statuses/, https://docs.joinmastodon.org/methods/media/,
https://docs.joinmastodon.org/methods/instance/, https://docs.joinmastodon.org/api/rate-limits/,
https://docs.gotosocial.org/en/latest/api/swagger/, https://docs-develop.pleroma.social/backend/development/API/differences_in_mastoapi_responses/.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from itertools import pairwise
from math import isqrt
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

from pydantic import AfterValidator, HttpUrl, SecretStr

from autopublish.articles import leads_to, normalise_link
from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotReady,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import Identity, MediaLimits, Picture, Post, Receipt, Stage
from autopublish.platforms._base import Platform, ReadBack
from autopublish.platforms._http import LONGEST_WAIT, Answer, Http, evidence, file_of, multipart
from autopublish.platforms._json import mapping_of, value_of
from autopublish.platforms._login import CodeLogin
from autopublish.text import TextLimits, characters, clean, graphemes, html_to_text, shorten, unlinked

# --- what the documentation says -------------------------------------------------------------------------------------

#: What a server takes that does not say: https://docs.joinmastodon.org/user/posting/#text
_LENGTH: Final = 500
#: What any link counts on Mastodon itself: https://docs.joinmastodon.org/user/posting/#links
_URL_LENGTH: Final = 23
#: https://docs.joinmastodon.org/user/posting/#media
_IMAGE_BYTES: Final = 16_777_216
_IMAGE_PIXELS: Final = 33_177_600
_ALT_LENGTH: Final = 1_500
_PICTURES: Final = 4
#: Larger ones are made smaller by the server in any case (8.3 million pixels): https://docs.joinmastodon.org/user/posting/#images
_SIDE: Final = 2_000
#: Picture types that are sent if the server takes them.
_TYPES: Final = ("image/jpeg", "image/png", "image/webp")
#: What a server may state at most and is believed.
_MOST_LENGTH: Final = 100_000
_MOST_BYTES: Final = 10**12

#: An upload in work is asked about again after this time; images take a second or two.
_UPLOAD_WAIT: Final = timedelta(seconds=5)
#: A post whose picture the server still works on may go again after this time.
_PROCESSING_WAIT: Final = timedelta(seconds=10)
#: A limit of which the server does not say when it ends; its windows are of 5 min, 30 min and 3 h.
_LIMITED_WAIT: Final = timedelta(minutes=5)
#: One question about limits may take so long: none is worth the whole time of a post.
_LIMITS_DEADLINE: Final = timedelta(seconds=20)

# Half of what may be asked for: some servers take posts of many thousand characters, and an answer has an end.
_PAGE: Final = 20
_PAGES: Final = 20
#: Clocks differ: a look that `publish` makes goes back a little further than the post.
_LOOK_BACK: Final = timedelta(hours=1)

# Words of the servers' own refusals, in lower case.
_AUTH: Final = re.compile(r"scope|invalid ability|disabled|suspended|pending approval|confirmed e-?mail|access token")
_EMPTY: Final = re.compile(r"empty statuses are not allowed")
_USED_KEY: Final = re.compile(r"duplicate idempotency key")
_MEDIA: Final = re.compile(r"\bmedia|\battach|\bmime\b|\bimage|record not found")
_MEDIA_GONE: Final = re.compile(r"not found|already (?:been )?(?:attached|used|associated)|does not exist")
_MEDIA_IN_WORK: Final = re.compile(r"not (?:yet )?(?:been )?(?:finished )?process(?:ing|ed)|still (?:being )?process")
_LOGIN_PAGE: Final = re.compile(r"<input\b[^>]*\btype\s*=\s*[\"']?password", re.IGNORECASE)
_LOGIN_PATH: Final = re.compile(r"/(?:auth/sign_in|login|oauth/authorize)/?")
#: What to change, by what a refusal speaks of.
_HINTS: Final = (
    (re.compile(r"visibility"), "choose another `visibility` for this account"),
    (re.compile(r"\blanguage"), "set the account's `language` to two letters that the server knows, such as en"),
)

# Ruby before 3.4, under Mastodon, counts the consonants that a virama joins apart; libraries of Unicode 15.1 and later
# (GB9c of https://www.unicode.org/reports/tr29/) count them as one.
_CONJUNCT: Final = re.compile(
    "[\u094d\u09cd\u0acd\u0b4d\u0c4d\u0d4d\u1039\u17d2\u1a60\u1b44\u1bab\ua9c0\uaaf6][\u0300-\u036f\u200d\u093c\u09bc]*(?=\\w)"
)

_HREF: Final = re.compile(r"""\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"https?://\S+", re.IGNORECASE)
_URL_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)

#: GoToSocial refuses what is no language: https://id.loc.gov/vocabulary/iso639-1.html
_ISO_639_1: Final = re.compile(
    "a[abefkmnrsvyz]|b[aeghimnors]|c[aehorsuvy]|d[aevz]|e[elnostu]|f[afijory]|g[adlnuv]|h[aeiortuyz]|i[adegikostu]|j[av]"
    "|k[agijklmnorsuvwy]|l[abgintouv]|m[ghiklnrsty]|n[abdeglnorvy]|o[cjmrs]|p[ailst]|qu|r[mnouw]|s[acdegiklmnoqrstuvw]"
    "|t[aeghiklnorstwy]|u[gkrz]|v[eio]|w[ao]|xh|y[io]|z[ahu]"
)


def counted(text: str) -> int:
    """How many characters Mastodon counts: extended grapheme clusters, those of older libraries where they differ.

    Source: https://github.com/mastodon/mastodon/blob/main/app/validators/status_length_validator.rb
    """
    return graphemes(text) + len(_CONJUNCT.findall(text))


# Top-level domains that every version of the library in Mastodon knows, beside those of countries and in punycode. It
# makes no link of others: https://github.com/mastodon/mastodon/issues/40040
_DOMAIN: Final = re.compile(
    "academy|aero|africa|agency|app|art|asia|audio|band|bar|berlin|best|biz|blog|blue|business|cafe|capital|care"
    "|careers|cat|center|chat|church|city|cloud|club|coffee|com|community|company|coop|cool|country|courses|dance"
    "|date|deals|democrat|design|dev|digital|direct|directory|earth|edu|education|email|energy|events|exchange"
    "|expert|express|family|fans|farm|fashion|film|finance|fit|foundation|fun|fund|fyi|gallery|games|garden|gift"
    "|global|gold|gov|graphics|green|group|guide|guru|haus|health|help|host|house|info|ink|institute|int"
    "|international|jobs|kitchen|land|law|legal|life|link|live|london|love|management|market|marketing|media|mil"
    "|mobi|moe|money|movie|museum|nagoya|name|net|network|news|ngo|ninja|nyc|observer|one|ong|online|org|paris"
    "|partners|parts|party|photo|photography|photos|pics|place|plus|post|press|pro|productions|properties|pub"
    "|radio|red|report|republican|review|reviews|rip|rocks|run|sale|school|science|services|shop|show|site|social"
    "|software|solar|solutions|space|store|stream|studio|style|support|sydney|systems|team|tech|technology|tel"
    "|tickets|tips|today|tokyo|tools|top|tours|town|toys|trade|training|travel|university|vacations|video|vip"
    "|vision|vote|voyage|watch|website|wiki|win|work|works|world|wtf|xxx|xyz|zone",
    re.IGNORECASE,
)
_HOST: Final = re.compile(r"https?://([a-z0-9._-]*)(?::[0-9]+)?", re.IGNORECASE)
_KNOWN_HOST: Final = re.compile(
    r"(?:[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.(?:[a-z]{2}|xn--[a-z0-9-]+|([a-z]+))",
    re.IGNORECASE,
)
_GENERAL: Final = r"[^\s<>()?]"
_PATH: Final = re.compile(rf"/(?:{_GENERAL}++|\((?:{_GENERAL}++|{_GENERAL}*+\({_GENERAL}++\){_GENERAL}*+)\))*+")
#: No path ends so.
_AFTER_PATH: Final = "!*\"'「」;:=,.$%[]~&|@"
_QUERY: Final = re.compile(r"\?[a-z0-9!?*'();:&=+$/%#\[\]_.,~|@^-]*[a-z0-9_&=#/-]", re.IGNORECASE)


def link_length(link: str, reserved: int) -> int:
    """How many characters Mastodon counts of a link at most: `reserved` for as much as it takes for a link.

    The rest counts as written. Where the host may be none to it, all may, and the piece that it takes may be short.
    Source: https://github.com/mastodon/mastodon/blob/main/config/initializers/twitter_regex.rb
    """
    host = _HOST.match(link)
    if host is None:
        return len(link)
    known = _KNOWN_HOST.fullmatch(host[1])
    if known is None or (known[1] and not _DOMAIN.fullmatch(known[1])):
        shortest = host.start(1) + len(".".join(host[1].split(".")[:2]))
        return len(link) + max(reserved - shortest, 0)
    return reserved + len(link) - _end_of_link(link, host.end())


def _end_of_link(link: str, end: int) -> int:
    """Where Mastodon sees a link end whose host ends at `end`."""
    if path := _PATH.match(link, end):
        end += len(path[0].rstrip(_AFTER_PATH))
        if end < path.end():
            return end
    query = _QUERY.match(link, end)
    return query.end() if query else end


def longest_length(link: str, reserved: int) -> int:
    """What a link counts at most where nobody knows how the server counts."""
    return max(len(link), reserved)


class Software(StrEnum):
    """What runs a server, as far as it matters."""

    #: And its forks.
    MASTODON = "mastodon"
    #: And Akkoma.
    PLEROMA = "pleroma"
    GOTOSOCIAL = "gotosocial"
    PIXELFED = "pixelfed"
    #: Not known, or not told.
    OTHER = "other"


_NAMES: Final = {
    "mastodon": Software.MASTODON,
    "hometown": Software.MASTODON,
    "pleroma": Software.PLEROMA,
    "akkoma": Software.PLEROMA,
    "gotosocial": Software.GOTOSOCIAL,
    "pixelfed": Software.PIXELFED,
}
#: They read text as Markdown or HTML where the account's setting says so, unless they are told that it is plain.
_MARKS_UP: Final = frozenset({Software.PLEROMA, Software.GOTOSOCIAL})
#: They count every link as it is written, whatever they state.
_COUNTS_LINKS: Final = frozenset({Software.PLEROMA, Software.GOTOSOCIAL, Software.PIXELFED})


class Visibility(StrEnum):
    """Who sees a post; the words are Mastodon's: https://docs.joinmastodon.org/entities/Status/#visibility"""

    PUBLIC = "public"
    #: Everybody, and not in public timelines.
    UNLISTED = "unlisted"
    #: Followers.
    PRIVATE = "private"
    #: Only who is mentioned, so nobody else.
    DIRECT = "direct"


def _checked_language(value: str) -> str:
    tag = value.strip().lower()
    if not _ISO_639_1.fullmatch(tag):
        raise ValueError("expected a language of ISO 639-1: two letters, such as id or en")
    return tag


def _checked_server(value: HttpUrl) -> HttpUrl:
    if value.username or value.password or value.query or value.fragment or "/@" in (value.path or ""):
        raise ValueError("expected the server's address alone, such as https://mastodon.example")
    return value


def _checked_warning(value: str) -> str:
    warning = clean(value)
    if not warning:
        raise ValueError("expected some words; leave it out for a post without a warning")
    return warning


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """What a server said of itself."""

    software: Software = Software.OTHER
    #: It is told that the text is plain.
    is_told_plain: bool = False


@dataclass(slots=True)
class _Asked:
    """What came of the questions to a server so far."""

    #: Whether one of them was answered, if only by a refusal.
    answered: bool = False
    failures: list[str] = field(default_factory=list)


#: What a token must be allowed to do, and for what. https://docs.joinmastodon.org/api/oauth-scopes/
_NEEDED_SCOPES = {
    "write:statuses": "posts",
    "write:media": "pictures",
    "read:accounts": "who is logged in",
    "read:statuses": "whether a post is there",
}


class Mastodon(Platform):
    """One account on one server; asks the server what it is when a post is to be composed or staged."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: The address of the account's own server, such as https://mastodon.example.
        server: Annotated[HttpUrl, AfterValidator(_checked_server)]
        #: The token of an application of your own (Preferences > Development > New application).
        access_token: SecretStr | None = None
        #: Who sees the posts: public, unlisted, private (followers) or direct.
        visibility: Visibility = Visibility.PUBLIC
        #: Two letters; the article's own by default.
        language: Annotated[str, AfterValidator(_checked_language)] | None = None
        #: A line that hides each post until a reader opens it.
        content_warning: Annotated[str, AfterValidator(_checked_warning)] | None = None
        #: Whether pictures are blurred until a reader opens them.
        sensitive: bool = False

    settings: Settings
    # https://docs.joinmastodon.org/methods/apps/#create, https://docs.joinmastodon.org/methods/oauth/
    login = CodeLogin(
        register="{server}/api/v1/apps",
        authorize="{server}/oauth/authorize",
        redeem="{server}/oauth/token",
        scopes=("read:accounts", "read:statuses", "write:statuses", "write:media"),
    )
    look = "mastodon"
    # Those of a Mastodon that changed nothing, until `learn_limits`.
    limits = TextLimits(
        length=_LENGTH, count=counted, url_length=_URL_LENGTH, link_length=link_length, neutralise=unlinked
    )
    media = MediaLimits(types=_TYPES[:2], size_bytes=_IMAGE_BYTES, side=_SIDE, count=_PICTURES, alt_length=_ALT_LENGTH)
    # The server keeps a key for an hour after its success: https://docs.joinmastodon.org/methods/statuses/#create
    key_window = timedelta(minutes=50)
    # The account's own posts are read from the database that a post is written to before it is answered:
    # https://docs.joinmastodon.org/methods/accounts/#statuses
    read_back = ReadBack.STRONG
    # A server that is overloaded works on a request long after the proxy before it gave up (60 s by default); the
    # latest post that was seen came after 222 s. https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout
    settle = timedelta(minutes=10)

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(settings, http)
        self.limits = self._less_warning(type(self).limits)
        self._server: _Server | None = None
        self._account_id: str | None = None

    # --- the server --------------------------------------------------------------------------------------------------

    def learn_limits(self) -> None:
        """`limits` and `media` are what the server states of itself, documented defaults where it states nothing.

        Raises:
            DeliveryError: NotSent if no question was answered; RateLimited or Unauthorized.
        """
        self._learn()

    def _learn(self) -> _Server:
        """What the server is; `limits` and `media` are its own.

        Raises:
            DeliveryError: NotSent if no question was answered; RateLimited or Unauthorized.
        """
        asked = _Asked()
        with self._quickly():
            name = self._software_name(asked)
            instance = self._instance(asked)
        if not asked.answered:
            raise NotSent(f"the server does not say what it takes: {asked.failures[0]}")
        statuses = mapping_of(mapping_of(instance.get("configuration")).get("statuses"))
        software = _software(name, instance)
        takes_plain = software in _MARKS_UP or "text/plain" in _strings(statuses.get("supported_mime_types"))
        self.limits = self._less_warning(_text_limits(software, instance, statuses))
        self.media = _media_limits(software, instance, statuses)
        self.needs_picture = software is Software.PIXELFED
        self._server = _Server(software=software, is_told_plain=takes_plain)
        return self._server

    def _software_name(self, asked: _Asked) -> str:
        """The name by nodeinfo, which is empty if it does not tell. https://nodeinfo.diaspora.software/protocol.html"""
        links = self._described("/.well-known/nodeinfo", asked).get("links")
        for link in links if isinstance(links, list) else ():
            rel, href = str(mapping_of(link).get("rel", "")), str(mapping_of(link).get("href", ""))
            if re.search(r"/schema/2\.[01]$", rel) and (path := self._path_here(href)):
                return str(mapping_of(self._described(path, asked).get("software")).get("name", "")).lower()
        return ""

    def _path_here(self, href: str) -> str | None:
        """Path and query of an address on this very server; another one is not asked."""
        try:
            parts = urlsplit(href)
        except ValueError:
            return None
        base = urlsplit(self._base)
        path = parts.path.removeprefix(base.path)
        if parts.hostname != base.hostname or not path.startswith("/"):
            return None
        return f"{path}?{parts.query}" if parts.query else path

    def _instance(self, asked: _Asked) -> Mapping[str, Any]:
        """What the server says of its limits, by the second version of the API or by the first; may be nothing."""
        second = self._described("/api/v2/instance", asked, headers=self._headers())
        if isinstance(second.get("configuration"), dict):
            return second
        return self._described("/api/v1/instance", asked, headers=self._headers()) or second

    def _described(self, path: str, asked: _Asked, *, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """The JSON object there; an empty one where the server lacks it or is in trouble.

        Raises:
            DeliveryError: NotSent if nothing seems to listen; RateLimited; Unauthorized where our token was refused.
        """
        try:
            answer = self.http.ask("GET", f"{self._base}{path}", headers=headers)
        except (NotSent, OutcomeUnknown) as error:
            if isinstance(error, NotSent) and not asked.answered:
                raise
            asked.failures.append(str(error))
            return {}
        if answer.status == 429:
            raise RateLimited(self._words(answer), wait=_retry_after(answer))
        if answer.status == 401 and headers:
            raise Unauthorized(self._words(answer))
        if answer.status >= 500 or _elsewhere(answer):
            asked.failures.append(self._words(answer))
            return {}
        asked.answered = True
        return mapping_of(value_of(answer)) if answer.ok else {}

    @contextmanager
    def _quickly(self) -> Iterator[None]:
        """Calls inside end early; the attempt's own deadline stays as it is."""
        deadline = self.http.deadline
        self.http.deadline = min(deadline, _LIMITS_DEADLINE)
        try:
            yield
        finally:
            self.http.deadline = deadline

    def _less_warning(self, limits: TextLimits) -> TextLimits:
        """What is left for the text beside the content warning."""
        warning = self.settings.content_warning
        if not warning:
            return limits
        taken = limits.count(warning)
        return replace(
            limits,
            length=max(limits.length - taken, 0),
            beside=f"since `content_warning` takes {taken} of {limits.length}",
        )

    # --- the account -------------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The account's id on its server, and its name with the server's.

        Raises:
            DeliveryError: Unauthorized if the token is refused; else it could not be asked.
        """
        answer = self.http.ask("GET", f"{self._base}/api/v1/accounts/verify_credentials", headers=self._headers())
        body = mapping_of(value_of(answer))
        account = _id(body.get("id"))
        if not answer.ok or account is None:
            raise self._look_refusal(answer)
        host = urlsplit(self._base).netloc
        name = _id(body.get("acct")) or _id(body.get("username")) or account
        self._account_id = account
        return Identity(id=account, name=name if "@" in name else f"{name}@{host}", url=_address(body))

    def permissions(self) -> tuple[str, ...] | None:
        """The scopes that the token's application lacks; None: an older server, or a relative, does not name them.

        https://docs.joinmastodon.org/methods/apps/#verify_credentials (scopes are named since 4.3.0)
        """
        answer = self.http.ask("GET", f"{self._base}/api/v1/apps/verify_credentials", headers=self._headers())
        if not answer.ok:
            return None
        given = set(_strings(mapping_of(value_of(answer)).get("scopes")))
        if not given:
            return None
        return tuple(
            f"{scope} ({purpose})"
            for scope, purpose in _NEEDED_SCOPES.items()
            if not given & {scope, scope.partition(":")[0]}
        )

    def _account(self) -> str:
        """The account's id."""
        return self._account_id or self.whoami().id

    # --- staging -----------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """Everything but the text that a post is sent with is fixed, and its picture is uploaded and ready.

        Raises:
            DeliveryError: NotReady, with what is done so far, while the server works on the picture; MediaRejected if
                it does not take it.
        """
        server = self._server_at(stage)
        fixed = {"software": server.software.value, "options": self._options(post, server)}
        if post.picture is None:
            return Stage(data=fixed)
        done = stage.data if stage.data.get("sha256") == post.picture.sha256 else {}
        media, ready = _id(done.get("media")), False
        if media is not None:
            # Also one that was ready: servers drop what is in no post after a day.
            media, ready = self._polled(media)
        if media is None:
            media, ready = self._upload(post.picture)
        made = Stage(data={**fixed, "sha256": post.picture.sha256, "media": media, "ready": ready})
        if not ready:
            raise NotReady("the server still works on the picture", wait=_UPLOAD_WAIT, stage=made)
        return made

    def _server_at(self, stage: Stage) -> _Server:
        """What the server is, as an earlier call of `stage` knew it or as it says now.

        Raises:
            DeliveryError: it could not be asked.
        """
        if self._server is None and stage.data.get("software") in tuple(Software):
            is_told_plain = "content_type" in mapping_of(stage.data.get("options"))
            return _Server(software=Software(stage.data["software"]), is_told_plain=is_told_plain)
        return self._server or self._learn()

    def _options(self, post: Post, server: _Server) -> dict[str, Any]:
        """What goes beside text and picture; kept with the stage, so that a resend does not depend on what the server
        or the configuration say by then.
        """
        settings = self.settings
        options: dict[str, Any] = {"visibility": settings.visibility.value}
        if language := settings.language or _language(post.languages):
            options["language"] = language
        if settings.content_warning:
            options["spoiler_text"] = settings.content_warning
        if settings.sensitive:
            options["sensitive"] = True
        if server.is_told_plain:
            options["content_type"] = "text/plain"
        return options

    def _upload(self, picture: Picture) -> tuple[str, bool]:
        """The id of the uploaded picture, and whether it may be used already.

        Raises:
            DeliveryError: MediaRejected if the picture cannot be had or is refused.
        """
        file = file_of(picture)
        limit = self.media.alt_length
        alt = shorten(picture.alt, lambda kept: len(kept) <= limit)
        body, kind = multipart({"file": file}, {"description": alt} if alt else None)
        answer = self._post_media("v2", body, kind)
        if answer.status in (404, 405, 501):
            answer = self._post_media("v1", body, kind)
        if not answer.ok:
            raise self._upload_refusal(answer)
        made = mapping_of(value_of(answer))
        media = _id(made.get("id"))
        if media is None:
            raise OutcomeUnknown(f"the upload was answered without an id; {self._words(answer)}")
        return media, answer.status != 202 and made.get("url") is not None

    def _post_media(self, version: str, body: bytes, kind: dict[str, str]) -> Answer:
        return self.http.ask("POST", f"{self._base}/api/{version}/media", headers=self._headers() | kind, data=body)

    def _polled(self, media: str) -> tuple[str | None, bool]:
        """An upload's id and whether it may be used by now; no id if the server has it no more.

        Raises:
            DeliveryError: MediaRejected if the server could not make a picture of it.
        """
        answer = self._media(media)
        if answer.status == 404:
            return None, False
        if not answer.ok:
            raise self._upload_refusal(answer)
        return media, answer.status != 206 and mapping_of(value_of(answer)).get("url") is not None

    def _media(self, media: str) -> Answer:
        return self.http.ask("GET", f"{self._base}/api/v1/media/{quote(media, safe='')}", headers=self._headers())

    # --- publishing --------------------------------------------------------------------------------------------------

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """One status is asked for, under the key; the bytes are those of post and stage, whatever the server is now.

        Raises:
            DeliveryError: AlreadyPosted if the picture or the key was used before. It is ours if a look shows our
                picture in a status of the account.
        """
        answer = self.http.send(
            "POST",
            f"{self._base}/api/v1/statuses",
            headers=self._headers() | {"Idempotency-Key": key},
            json=self._status(post, stage),
        )
        receipt = _receipt(mapping_of(value_of(answer))) if answer.ok else None
        if receipt is not None:
            return receipt
        if _is_login(answer):
            raise Unauthorized(f"the server asks for a login instead: {self._words(answer)}")
        if answer.ok:
            raise OutcomeUnknown(f"success without the id of the post; {self._words(answer)}")
        raise self._refusal(answer, post, stage)

    def _status(self, post: Post, stage: Stage) -> dict[str, Any]:
        """The status as https://docs.joinmastodon.org/methods/statuses/#create has it."""
        options = mapping_of(stage.data.get("options")) or self._options(post, _Server())
        media = _media_of(post, stage)
        return {"status": post.text, **options, **({"media_ids": [media]} if media else {})}

    def _refusal(self, answer: Answer, post: Post, stage: Stage) -> DeliveryError:
        """What an answer without success says of the post."""
        words, said = self._words(answer), _said(answer)
        match answer.status:
            case 429:
                return RateLimited(words, wait=_retry_after(answer))
            case 401:
                return Unauthorized(words)
            case 403 if _EMPTY.search(said):
                return Rejected(f"this server takes posts with a picture only, and this one has none; {words}")
            case 403 if _AUTH.search(said):
                return Unauthorized(words)
            case 400 | 422 if _USED_KEY.search(said):
                return self._used_key(words, post, stage)
            case 400 | 404 | 422 if _media_of(post, stage) and _MEDIA.search(said):
                return self._media_refusal(words, said, post, stage)
            case 400 | 422:
                # Both are the server's own list of what it will not make: nothing was created.
                return Rejected("; ".join((words, *(hint for about, hint in _HINTS if about.search(said)))))
            case 503 if stage.data.get("software") == Software.GOTOSOCIAL and answer.retry_after() is not None:
                # Its throttle, which stands before everything that makes a post:
                # https://docs.gotosocial.org/en/latest/api/throttling/
                return RateLimited(words, wait=answer.retry_after())
            case _:
                return OutcomeUnknown(words)

    def _media_refusal(self, words: str, said: str, post: Post, stage: Stage) -> DeliveryError:
        """What a refusal that speaks of the picture comes to: nothing was created by this call.

        A picture can be attached once. One that is not found may be gone, and may be in the post that an earlier call
        made: a look tells. One that is still in work is waited for, as a limit is: the account loses ten seconds.
        """
        if _MEDIA_IN_WORK.search(said):
            return self._in_work(words, _media_of(post, stage) or "")
        return self._gone_media(words, post, stage) if _MEDIA_GONE.search(said) else MediaRejected(words)

    def _in_work(self, words: str, media: str) -> DeliveryError:
        try:
            _, ready = self._polled(media)
        except DeliveryError:
            ready = True
        # Only while the server itself says so: one that contradicts itself must not hold up the account.
        return MediaRejected(words) if ready else RateLimited(words, wait=_PROCESSING_WAIT)

    def _gone_media(self, words: str, post: Post, stage: Stage) -> DeliveryError:
        try:
            return self._seen(words, post, stage) or MediaRejected(words)
        except DeliveryError as error:
            return OutcomeUnknown(f"{words}; the account's posts could not be read: {error}")

    def _used_key(self, words: str, post: Post, stage: Stage) -> DeliveryError:
        """Pixelfed keeps a key before it judges what is sent under it, so that a used one proves no post."""
        try:
            return self._seen(words, post, stage) or AlreadyPosted(words)
        except DeliveryError as error:
            return AlreadyPosted(f"{words}; the account's posts could not be read: {error}")

    def _seen(self, words: str, post: Post, stage: Stage) -> AlreadyPosted | None:
        """The post as a look shows it; ours if it has the picture that we uploaded for it."""
        found = self._search(post, post.created_at - _LOOK_BACK)
        if found is None:
            return None
        media = _media_of(post, stage)
        return AlreadyPosted(words, receipt=_receipt(found), ours=media is not None and media in _attached(found))

    # --- looking -----------------------------------------------------------------------------------------------------

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """The newest of the account's own posts with the link, or with the text where none names the article alone.

        Raises:
            Undecided: the account has more posts since then than are looked through, or the list repeats itself.
            DeliveryError: the look failed; it proves nothing.
        """
        found = self._search(post, since)
        return None if found is None else _receipt(found)

    def delete(self, receipt: Receipt) -> None:
        """The status is not there any more.

        Source: https://docs.joinmastodon.org/methods/statuses/#delete

        Raises:
            DeliveryError: it could not be taken away.
        """
        status = _id(receipt.remote_id)
        if status is None:
            raise Rejected("this is no status of the account")
        url = f"{self._base}/api/v1/statuses/{quote(status, safe='')}"
        answer = self.http.ask("DELETE", url, headers=self._headers())
        # The API's own word for what is gone, or was never the account's: readers of the account do not see it.
        is_gone = answer.status in (404, 410) and isinstance(mapping_of(value_of(answer)).get("error"), str)
        if not answer.ok and not is_gone:
            raise self._look_refusal(answer)

    def _search(self, post: Post, since: datetime) -> Mapping[str, Any] | None:
        """The status that carries the post; None if all back to `since` were seen and none does."""
        since = since.replace(microsecond=0)
        seen: set[str] = set()
        before: str | None = None
        for _ in range(_PAGES):
            page = self._page(before)
            if not page:
                if before is None:
                    self.whoami()  # some servers show nothing, instead of refusing, to who is not logged in
                return None
            for status in page:
                if _is_own(status) and _made_at(status) >= since and _carries(status, post):
                    return status
            ids = {_id(status.get("id")) or "" for status in page}
            if ids <= seen and len(page) > 1:
                raise Undecided("the list of posts repeats itself")
            if ids <= seen or _ends_before(page, since):
                return None
            seen |= ids
            before = _id(page[-1].get("id"))
        raise Undecided(f"more than {_PAGES * _PAGE} posts since {since:%Y-%m-%d %H:%M}, or a list without order")

    def _page(self, before: str | None) -> Sequence[Mapping[str, Any]]:
        """The account's statuses before one of them, the newest first as a rule."""
        params = {"limit": str(_PAGE), "exclude_reblogs": "true", "exclude_replies": "true"}
        answer = self.http.ask(
            "GET",
            f"{self._base}/api/v1/accounts/{quote(self._account(), safe='')}/statuses",
            headers=self._headers(),
            params=params | ({"max_id": before} if before else {}),
        )
        statuses = value_of(answer)
        if (
            not answer.ok
            or not isinstance(statuses, list)
            or any(_receipt(mapping_of(one)) is None for one in statuses)
        ):
            raise self._look_refusal(answer)
        return [mapping_of(status) for status in statuses]

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _look_refusal(self, answer: Answer) -> DeliveryError:
        """What an answer that is not what was asked for says of the account; no post depends on it."""
        words, said = self._words(answer), _said(answer)
        if answer.status == 429:
            return RateLimited(words, wait=_retry_after(answer))
        # 422: the token belongs to an application and to no user.
        is_refused = answer.status in (403, 422) and (_AUTH.search(said) or "authenticated user" in said)
        if answer.status == 401 or is_refused or _is_login(answer):
            return Unauthorized(words)
        if answer.status == 404:
            words = f"{words}; is `server` the address of the account's own server?"
        return OutcomeUnknown(f"the server's answer cannot be read; {words}" if answer.ok else words)

    def _upload_refusal(self, answer: Answer) -> DeliveryError:
        """What a refused upload means; without a word on what is wrong the upload is tried again."""
        words = self._words(answer)
        if answer.status in (400, 404, 405, 413, 415, 422, 501):
            return MediaRejected(words)
        return self._look_refusal(answer)

    # --- requests ----------------------------------------------------------------------------------------------------

    @property
    def _base(self) -> str:
        return str(self.settings.server).rstrip("/")

    @property
    def _token(self) -> str:
        """The token; empty where there is none."""
        secret = self.settings.access_token
        return secret.get_secret_value().strip() if secret is not None else ""

    def _headers(self) -> dict[str, str]:
        """What each request to the API carries.

        Raises:
            DeliveryError: Unauthorized if the token can be none.
        """
        if self.settings.access_token is None:
            raise Unauthorized("no access token: make one (Preferences > Development > New application), or log in")
        if not re.fullmatch("[!-~]+", self._token):
            raise Unauthorized("the access token has blanks, line breaks or letters that no token has: copy it again")
        return {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}

    def _words(self, answer: Answer) -> str:
        """Status and the server's words, without our token even if the server repeats it."""
        # Before anything is cut off: a part of it is secret as well.
        token = self._token.encode()
        body = answer.body.replace(token, "…".encode()) if token else answer.body
        words = evidence(replace(answer, body=body))
        elsewhere = _elsewhere(answer)
        return f"{words}: the server is at {elsewhere} now; change `server`" if elsewhere else words


# --- what a server states --------------------------------------------------------------------------------------------


def _software(name: str, instance: Mapping[str, Any]) -> Software:
    """What runs the server, by its nodeinfo's name, else by the version and the source that the instance states."""
    if name:
        return _NAMES.get(name, Software.OTHER)
    told = f"{instance.get('version', '')} {instance.get('source_url', '')}".lower()
    for word, software in _NAMES.items():
        if word in told and software is not Software.MASTODON:
            return software
    is_plain = re.match(r"[1-9]\d*\.\d+\.\d+", told) and "compatible" not in told
    return Software.MASTODON if is_plain else Software.OTHER


def _text_limits(software: Software, instance: Mapping[str, Any], statuses: Mapping[str, Any]) -> TextLimits:
    """How much text the server takes. What is not known to count as Mastodon does is counted the longest way."""
    stated = statuses.get("max_characters", instance.get("max_toot_chars"))
    length = _figure(stated, default=_LENGTH, most=_MOST_LENGTH)
    reserved = _figure(statuses.get("characters_reserved_per_url"), default=0, most=length)
    counts_so = software is Software.MASTODON or (software is Software.OTHER and reserved > 0)
    counts_graphemes = counts_so or software is Software.PLEROMA
    return TextLimits(
        length=length,
        count=counted if counts_graphemes else characters,
        url_length=None if software in _COUNTS_LINKS else reserved or _URL_LENGTH,
        link_length=link_length if counts_so else longest_length,
        neutralise=unlinked,
    )


def _media_limits(software: Software, instance: Mapping[str, Any], statuses: Mapping[str, Any]) -> MediaLimits:
    """What the server takes as a picture."""
    stated = mapping_of(mapping_of(instance.get("configuration")).get("media_attachments"))
    taken = _strings(stated.get("supported_mime_types"))
    types = tuple(kind for kind in _TYPES if kind in taken)
    pixels = _figure(stated.get("image_matrix_limit"), default=_IMAGE_PIXELS, least=10_000, most=_MOST_BYTES)
    size = _figure(stated.get("image_size_limit"), default=_IMAGE_BYTES, least=10_000, most=_MOST_BYTES)
    # Pixelfed's own is 1,000 and not stated: https://github.com/pixelfed/pixelfed/blob/dev/config/pixelfed.php
    alt = 1_000 if software is Software.PIXELFED else _ALT_LENGTH
    return MediaLimits(
        # Pictures of other types are made JPEG, which every server takes.
        types=types if "image/jpeg" in types else _TYPES[:2],
        size_bytes=min(size, _IMAGE_BYTES),
        side=min(_SIDE, isqrt(pixels)),
        count=_figure(statuses.get("max_media_attachments"), default=_PICTURES, most=100),
        alt_length=_figure(stated.get("description_limit"), default=alt, most=_MOST_LENGTH),
    )


def _figure(value: object, *, default: int, most: int, least: int = 1) -> int:
    """The number if it is one that can be meant."""
    if isinstance(value, bool) or not isinstance(value, int):
        return default
    return value if least <= value <= most else default


# --- what a status holds ---------------------------------------------------------------------------------------------


def _language(tags: Sequence[str]) -> str | None:
    """The first of the BCP 47 tags whose language ISO 639-1 knows."""
    found = (tag.replace("_", "-").partition("-")[0].lower() for tag in tags)
    return next((language for language in found if _ISO_639_1.fullmatch(language)), None)


def _media_of(post: Post, stage: Stage) -> str | None:
    """The id of the post's uploaded picture."""
    return _id(stage.data.get("media")) if post.picture is not None else None


def _receipt(status: Mapping[str, Any]) -> Receipt | None:
    """The receipt for a status; None if it has no id. Ids are opaque: numbers, ULIDs, flake ids."""
    remote_id = _id(status.get("id"))
    return None if remote_id is None else Receipt(remote_id=remote_id, url=_address(status))


def _address(entity: Mapping[str, Any]) -> str | None:
    """Where people find it: `url`, else `uri`, which is for servers and often works as well."""
    found = (entity.get(name) for name in ("url", "uri"))
    return next((one for one in found if isinstance(one, str) and _ADDRESS.fullmatch(one) and one.isprintable()), None)


def _attached(status: Mapping[str, Any]) -> set[str | None]:
    media = status.get("media_attachments")
    return {_id(mapping_of(one).get("id")) for one in media} if isinstance(media, list) else set()


def _is_own(status: Mapping[str, Any]) -> bool:
    """Whether it is neither a boost nor a reply, which a server may list although it was asked not to."""
    return not status.get("reblog") and not status.get("in_reply_to_id")


def _made_at(status: Mapping[str, Any]) -> datetime:
    """When a status was made; one that does not say counts as new."""
    return _time(str(status.get("created_at"))) or datetime.max.replace(tzinfo=UTC)


def _ends_before(page: Sequence[Mapping[str, Any]], since: datetime) -> bool:
    """Whether what follows this page is older than `since`: all of it is, and it is in order.

    Some servers put pinned posts first, and nothing promises an order.
    """
    times = [_made_at(status) for status in page if status.get("pinned") is not True]
    is_ordered = all(first >= second for first, second in pairwise(times))
    return bool(times) and is_ordered and max(times) < since


def _carries(status: Mapping[str, Any], post: Post) -> bool:
    """Whether a status is of this post: it has its link anywhere, or, where none names the article, its text."""
    content = str(status.get("content") or "")
    wanted = post.link
    if wanted is None or normalise_link(wanted) is None:
        return _folded(html_to_text(content)) == _folded(post.text)
    return any(leads_to(link, wanted) for link in _links(status, content))


def _links(status: Mapping[str, Any], content: str) -> Iterator[str]:
    """Every link of a status: in its HTML, in the text that a reader sees, and of its card."""
    for match in _HREF.finditer(content):
        yield html.unescape(match[1] or match[2] or "")
    for match in _URL_IN_TEXT.finditer(html_to_text(content)):
        # What ends a sentence may also end a link.
        yield match[0]
        yield match[0].rstrip(".,;:!?)]}'\"»”…")
    yield str(mapping_of(status.get("card")).get("url", ""))


def _folded(text: str) -> str:
    """The text without what servers change: line breaks, blanks and invisible characters."""
    return clean(text)


# --- reading answers -------------------------------------------------------------------------------------------------


def _strings(value: object) -> frozenset[str]:
    return frozenset(one for one in value if isinstance(one, str)) if isinstance(value, list) else frozenset()


def _id(value: object) -> str | None:
    """An id as text, whatever the server makes of it; None if it is none that can be stored and shown."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value and value.isprintable() else None


def _said(answer: Answer) -> str:
    """The words of a refusal in lower case, from JSON or from a page as a reader sees it."""
    body = value_of(answer)
    if isinstance(body, dict):
        return json.dumps(body, ensure_ascii=False).lower()
    return html_to_text(answer.body[:20_000].decode(errors="replace")).lower()


def _is_login(answer: Answer) -> bool:
    """Whether the server wants a login instead of what was asked: then it did nothing else."""
    if 300 <= answer.status < 400:
        return _LOGIN_PATH.fullmatch(urlsplit(answer.headers.get("Location", "")).path) is not None
    return answer.ok and _LOGIN_PAGE.search(answer.body.decode(errors="replace")) is not None


def _elsewhere(answer: Answer) -> str | None:
    """The address of another server that a redirect names; it is never followed with a token."""
    if not 300 <= answer.status < 400 or _is_login(answer):
        return None
    try:
        there, here = urlsplit(answer.headers.get("Location", "")), urlsplit(answer.url)
        is_other = bool(there.hostname) and (there.scheme, there.netloc) != (here.scheme, here.netloc)
    except ValueError:
        return None
    found = f"{there.scheme}://{there.netloc}"
    return found if is_other and re.fullmatch(r"https?://[\w.:-]{1,253}", found) else None


def _retry_after(answer: Answer) -> timedelta:
    """How long the server wants to be left alone, by its own clock.

    Mastodon sends `X-RateLimit-Reset` as ISO 8601 and no Retry-After; its windows are aligned to the clock, so that the
    reset may be near. https://docs.joinmastodon.org/api/rate-limits/
    """
    reset, now = _time(answer.headers.get("X-RateLimit-Reset", "")), _date(answer.headers.get("Date", ""))
    if reset is None or now is None:
        return answer.retry_after() or _LIMITED_WAIT
    return min(max(reset - now, timedelta(seconds=1)), LONGEST_WAIT)


def _time(stated: str) -> datetime | None:
    """A time in ISO 8601 that says its offset, or seconds since 1970."""
    try:
        if re.fullmatch(r"[0-9]{9,11}", stated):
            return datetime.fromtimestamp(int(stated), UTC)
        time = datetime.fromisoformat(stated)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None


def _date(header: str) -> datetime | None:
    try:
        return parsedate_to_datetime(header).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
