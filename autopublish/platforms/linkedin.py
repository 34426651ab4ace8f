"""LinkedIn: posts with a link card by a member, or on the page of an organisation.

Setup: at https://www.linkedin.com/developers/apps create an app (LinkedIn wants it tied to a page) and add the products
"Share on LinkedIn" and "Sign In with LinkedIn using OpenID Connect", which are granted at once. Under Tools > OAuth
Token Tools make a token with `openid`, `profile` and `w_member_social` and give it as `access_token`. For the page of
an organisation LinkedIn first checks the organisation and the app ("Community Management API"); the token then needs
`w_organization_social` and `rw_organization_admin`, its member must administer the page, and `organization` is the
page's number (it stands in the address of the page's admin view). A token works for 60 days and a person has to make
the next one; with `client_id` and `client_secret` of the app, `check` says until when, and you are told ahead of time.
Posting costs nothing.

Or leave `access_token` out: with `client_id`, `client_secret` and `http://127.0.0.1:8976/` among the app's redirect
addresses, `autopublish accounts login NAME` fetches a token. Where LinkedIn gives the app refresh tokens, it is renewed
by itself for a year.

What is posted: the text with its hashtags, and a card with title, summary and picture of the article. LinkedIn reads no
page by itself, so that all of the card comes from the feed. LinkedIn shows no description of a card's picture; an
article without a link has its picture as such, with its alt text. The text may hold 3,000 characters, counted as UTF-16
has them, which is never less than LinkedIn counts. Signs that LinkedIn reads as markup are escaped: `@name` in a title
mentions nobody, and `#tag` there is no hashtag. `visibility` says who sees the posts (`public` or `connections`).
`version` is the month of LinkedIn's API; each works for a year at least, and once it is over the account is blocked and
the reason says so. LinkedIn limits the posts of a day, by its own clock (UTC), and does not say to how many.

Unknown outcome: LinkedIn knows no keys, and a member's posts cannot be read. After a timeout, a broken connection or a
server's error the very same bytes go once more, ten minutes later: if the first call made the post, LinkedIn refuses
the second as a duplicate and names the first, which is then taken for the post. If that is not clear either, the post
waits for you as NEEDS_REVIEW. An article that LinkedIn calls a duplicate at its first send is HELD: somebody posted it.

Sources: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api,
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/images-api,
https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/little-text-format,
https://learn.microsoft.com/en-us/linkedin/marketing/versioning,
https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import quote, urlsplit

from pydantic import BeforeValidator, HttpUrl, SecretStr, StringConstraints

from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from autopublish.models import Credentials, Identity, MediaLimits, Picture, Post, Receipt, Span, SpanKind, Stage
from autopublish.platforms._base import Card, Platform, ReadBack
from autopublish.platforms._http import Answer, content_of, evidence, token_in
from autopublish.platforms._json import mapping_of, object_of, text_in
from autopublish.platforms._login import CodeLogin, renewed
from autopublish.text import WORD_JOINER, TextLimits, utf16_units

# --- what the documentation says -------------------------------------------------------------------------------------

_LENGTH: Final = 3_000
#: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/images-api: fewer than 36,152,320
#: pixels; the size of a file is not limited there.
_IMAGE_BYTES: Final = 8_000_000
_IMAGE_SIDE: Final = 4_000
_ALT_LENGTH: Final = 4_086
_TITLE_LENGTH: Final = 400

#: A limit without a word on its end that is not one of a day.
_LIMITED_WAIT: Final = timedelta(minutes=15)

#: Signs that mean something in commentary, each as it is escaped.
#: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/little-text-format#text
_RESERVED: Final = re.compile(r"[\\|{}@\[\]()<>#*_~]")
#: Their full-width forms, which cannot be escaped.
_FULL_WIDTH: Final = re.compile("[\uff03\uff20](?!" + WORD_JOINER + ")")

_ORGANIZATION: Final = re.compile(
    r"(?:urn:li:organization:|(?:https?://)?(?:www\.)?linkedin\.com/company/)?([0-9]{1,20})(?:/.*)?"
)
_POST: Final = re.compile(r"urn:li:(?:share|ugcPost|activity):[0-9]{1,40}")
_DUPLICATE: Final = re.compile(rf"duplicate of\s+({_POST.pattern})", re.IGNORECASE)
_IMAGE: Final = re.compile(r"urn:li:image:[\w-]{1,200}")
_MEMBER: Final = re.compile(r"[\w-]{1,100}")
_HEADER_OF_ID: Final = "x-restli-id"

# What LinkedIn itself says of a request that it did not carry out, in the codes of
# https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/error-handling and of the page of posts.
_DUPLICATE_CODES: Final = frozenset({"DUPLICATE_POST"})
_REFUSED_CODES: Final = frozenset({"FIELD_LENGTH_TOO_LONG", "INVALID_VALUE_FOR_FIELD"})
_VERSION_CODES: Final = frozenset({"VERSION_MISSING", "NONEXISTENT_VERSION"})
_ABOUT_MEDIA: Final = re.compile(r"thumbnail|urn:li:image|\bimage\b|/content/media", re.IGNORECASE)
#: LinkedIn still works on the picture.
_IN_WORK: Final = re.compile(r"not (?:yet )?(?:ready|available|processed)|processing|waiting_upload", re.IGNORECASE)
_OF_A_DAY: Final = re.compile(r"\bday\b", re.IGNORECASE)

#: Who may post on a page: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/organizations/organization-access-control-by-role
_ROLES: Final = frozenset(
    {"ADMINISTRATOR", "CONTENT_ADMINISTRATOR", "CONTENT_ADMIN", "DIRECT_SPONSORED_CONTENT_POSTER"}
)


class Visibility(StrEnum):
    """Who sees a post."""

    PUBLIC = "public"
    #: Members whom the author knows.
    CONNECTIONS = "connections"


def _checked_organization(value: object) -> object:
    """The number of a page; its URN and the address of its admin view tell it too."""
    said = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    found = _ORGANIZATION.fullmatch(said)
    if found is None:
        raise ValueError("expected the page's number, such as 5515715; it stands in the address of its admin view")
    return found[1]


def unlinked(text: str) -> str:
    """The text, in which full-width signs begin no mention and no hashtag; plain ones are escaped when it is sent."""
    return _FULL_WIDTH.sub(rf"\g<0>{WORD_JOINER}", text)


class LinkedIn(Platform):
    """One member, or one organisation's page."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: A token of the member (Tools > OAuth Token Tools of your app).
        access_token: SecretStr | None = None
        #: The number of an organisation's page; without it the member posts.
        organization: Annotated[str, BeforeValidator(_checked_organization)] | None = None
        #: Who sees the posts: public or connections.
        visibility: Visibility = Visibility.PUBLIC
        #: The app's own, to see when the token ends and for `autopublish accounts login`.
        client_id: str | None = None
        client_secret: SecretStr | None = None
        #: What renews the token, which LinkedIn gives to few apps.
        refresh_token: SecretStr | None = None
        #: Month of the API.
        version: Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}(?:0[1-9]|1[0-2])$")] = "202608"
        #: Addresses of the API and of the login.
        server: HttpUrl = HttpUrl("https://api.linkedin.com")
        login_server: HttpUrl = HttpUrl("https://www.linkedin.com")

    settings: Settings
    # https://learn.microsoft.com/en-us/linkedin/shared/authentication/authorization-code-flow
    login = CodeLogin(
        authorize="{login_server}/oauth/v2/authorization",
        redeem="{login_server}/oauth/v2/accessToken",
        scopes=("openid", "profile", "w_member_social"),
        more_scopes={"organization": ("w_organization_social", "rw_organization_admin")},
        pkce=False,
        also=("refresh_token",),
    )
    card = Card.OURS
    limits = TextLimits(length=_LENGTH, count=utf16_units, hashtag_length=100, neutralise=unlinked)
    media = MediaLimits(size_bytes=_IMAGE_BYTES, side=_IMAGE_SIDE, alt_length=_ALT_LENGTH)
    # Reading a member's posts is closed (`r_member_social`), and an identical post is refused with the first one's URN:
    # https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api
    key_window = None
    read_back = ReadBack.BY_ANSWER
    settle = timedelta(minutes=10)

    _member: str | None = None

    # --- who ---------------------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The author's URN, its name, and until when the token works.

        Raises:
            DeliveryError: Unauthorized if the token is refused or its member may not post on the page; else LinkedIn
                could not be asked.
        """
        number = self.settings.organization
        if number is None:
            return replace(self._person(), expires=self._expires())
        urn = f"urn:li:organization:{number}"
        if urn not in set(self._pages_of_ours()):
            raise Unauthorized(
                f"the token's member may not post on the page {number}: make them an administrator of it"
            )
        url = f"https://www.linkedin.com/company/{number}/"
        return Identity(id=urn, name=f"page {number}", url=url, expires=self._expires())

    def permissions(self) -> tuple[str, ...] | None:
        """The permission to post if the token lacks it; None: LinkedIn tells it to the app alone."""
        given = re.findall(r"\w+", text_in(self._token_facts(), "scope"))
        needed = "w_member_social" if self.settings.organization is None else "w_organization_social"
        return (() if needed in given else (f"{needed} (posts)",)) if given else None

    def _person(self) -> Identity:
        """The member. https://learn.microsoft.com/en-us/linkedin/consumer/integrations/self-serve/sign-in-with-linkedin-v2"""
        profile = self._shown("/v2/userinfo")
        sub, name = text_in(profile, "sub"), text_in(profile, "name")
        if not _MEMBER.fullmatch(sub):
            raise OutcomeUnknown("the member was described without an id")
        self._member = f"urn:li:person:{sub}"
        return Identity(id=self._member, name=name or sub)

    def _pages_of_ours(self) -> Iterator[str]:
        """URNs of the pages that the member may post on."""
        page = self._shown("/rest/organizationAcls", q="roleAssignee", state="APPROVED", count="100")
        roles = page.get("elements")
        for role in map(mapping_of, roles if isinstance(roles, list) else ()):
            if role.get("role") in _ROLES and role.get("state") == "APPROVED":
                yield text_in(role, "organization") or text_in(role, "organizationTarget")

    def _expires(self) -> datetime | None:
        end = self._token_facts().get("expires_at")
        is_time = isinstance(end, int) and not isinstance(end, bool) and 0 < end < 2**33
        return datetime.fromtimestamp(end, UTC) if is_time and isinstance(end, int) else None

    def _token_facts(self) -> Mapping[str, Any]:
        """What LinkedIn tells the app of the token; nothing without the app's secret or where it does not answer.

        Source: https://learn.microsoft.com/en-us/linkedin/shared/authentication/token-introspection
        """
        secret = self.settings.client_secret
        if self.settings.client_id is None or secret is None:
            return {}
        form = {
            "client_id": self.settings.client_id,
            "client_secret": secret.get_secret_value().strip(),
            "token": self._token,
        }
        url = f"{str(self.settings.login_server).rstrip('/')}/oauth/v2/introspectToken"
        try:
            answer = self.http.ask("POST", url, data=form)
        except (NotSent, OutcomeUnknown):
            return {}
        return object_of(answer) if answer.ok else {}

    def _shown(self, path: str, **params: str) -> Mapping[str, Any]:
        """What LinkedIn shows there.

        Raises:
            DeliveryError: Unauthorized or RateLimited; else it did not say.
        """
        answer = self.http.ask("GET", self._url(path), headers=self._headers(), params=params)
        if not answer.ok:
            raise self._account_refusal(answer)
        return answer.json()

    # --- staging -----------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """Author and audience are fixed, so that a resend has the same bytes, and the picture is uploaded unseen.

        Raises:
            DeliveryError: MediaRejected if LinkedIn does not take the picture.
        """
        data = {"author": self._author(stage), "visibility": self.settings.visibility.value.upper()}
        if post.picture is None:
            return Stage(data=data)
        image = stage.data.get("image") if stage.data.get("sha256") == post.picture.sha256 else None
        image = image or self._uploaded(post.picture, data["author"])
        return Stage(data={**data, "image": image, "sha256": post.picture.sha256})

    def _author(self, stage: Stage) -> str:
        """The URN of who posts, as an earlier call of `stage` knew it."""
        if known := text_in(stage.data, "author"):
            return known
        if self.settings.organization is not None:
            return f"urn:li:organization:{self.settings.organization}"
        return self._member or self._person().id

    def _uploaded(self, picture: Picture, owner: str) -> str:
        """The URN of the uploaded picture.

        Raises:
            DeliveryError: MediaRejected if the picture cannot be had or is refused.
        """
        content = content_of(picture)
        begin = {"initializeUploadRequest": {"owner": owner}}
        url = self._url("/rest/images?action=initializeUpload")
        answer = self.http.ask("POST", url, headers=self._headers(), json=begin)
        if not answer.ok:
            raise self._account_refusal(answer)
        value = mapping_of(object_of(answer).get("value"))
        image, there = text_in(value, "image"), text_in(value, "uploadUrl")
        if not _IMAGE.fullmatch(image) or not self._is_linkedins(there):
            raise OutcomeUnknown(f"the upload was begun without a place for it; {self._words(answer)}")
        # The token goes along: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/images-api
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": picture.type}
        done = self.http.ask("PUT", there, headers=headers, data=content)
        if not done.ok:
            raise self._upload_refusal(done)
        return image

    def _is_linkedins(self, url: str) -> bool:
        """Whether the token may go there: to the API's own host, or to another one of linkedin.com."""
        try:
            there, here = urlsplit(url), urlsplit(str(self.settings.server))
            host, ours = there.hostname or "", here.hostname or ""
        except ValueError:
            return False
        is_near = host == ours or (ours.endswith(".linkedin.com") and host.endswith(".linkedin.com"))
        return there.scheme == here.scheme and is_near and "@" not in there.netloc

    def _upload_refusal(self, answer: Answer) -> DeliveryError:
        if answer.status in (400, 413, 415, 422):
            return MediaRejected(self._words(answer))
        return self._account_refusal(answer)

    # --- publishing --------------------------------------------------------------------------------------------------

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """One post is asked for.

        Raises:
            DeliveryError: AlreadyPosted, with the first one, if LinkedIn has an identical post.
        """
        body = self._post(post, stage)
        answer = self.http.send("POST", self._url("/rest/posts"), headers=self._headers(), json=body)
        if answer.status != 201:
            raise self._refusal(answer, has_picture="image" in stage.data)
        urn = answer.headers.get(_HEADER_OF_ID, "").strip()
        if not _POST.fullmatch(urn):
            raise OutcomeUnknown(f"success without the id of the post; {self._words(answer)}")
        return _receipt(urn)

    def _post(self, post: Post, stage: Stage) -> dict[str, Any]:
        """A post.

        Source: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api
        """
        try:
            author = self._author(stage)
        except OutcomeUnknown as error:
            raise NotSent(str(error)) from error
        content = _content(post, stage)
        return {
            "author": author,
            "commentary": commentary(post.text, post.spans),
            "visibility": text_in(stage.data, "visibility") or self.settings.visibility.value.upper(),
            "distribution": {
                "feedDistribution": "MAIN_FEED",
                "targetEntities": [],
                "thirdPartyDistributionChannels": [],
            },
            **({"content": content} if content else {}),
            "lifecycleState": "PUBLISHED",
            "isReshareDisabledByAuthor": False,
        }

    # --- taking away -------------------------------------------------------------------------------------------------

    def delete(self, receipt: Receipt) -> None:
        """The post is not there any more.

        Source: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/posts-api#delete-posts

        Raises:
            DeliveryError: it could not be taken away.
        """
        if not _POST.fullmatch(receipt.remote_id):
            raise Rejected("this is no post of LinkedIn")
        url = self._url(f"/rest/posts/{quote(receipt.remote_id, safe='')}")
        answer = self.http.ask("DELETE", url, headers={**self._headers(), "X-RestLi-Method": "DELETE"})
        if answer.status == 204 or (answer.status == 404 and _is_linkedins_own(answer)):
            return
        raise OutcomeUnknown(self._words(answer)) if answer.ok else self._account_refusal(answer)

    # --- refusals ----------------------------------------------------------------------------------------------------

    def _refusal(self, answer: Answer, *, has_picture: bool) -> DeliveryError:
        """What an answer without success says of the post."""
        words, said, codes = self._words(answer), _said(answer), _codes(answer)
        if answer.status not in (400, 422) or not _is_linkedins_own(answer):
            return self._account_refusal(answer)
        if answer.status == 422 and (codes & _DUPLICATE_CODES or _DUPLICATE.search(said)):
            first = _DUPLICATE.search(said)
            return AlreadyPosted(words, receipt=_receipt(first[1]) if first else None)
        if has_picture and _ABOUT_MEDIA.search(said):
            # Uploads take some seconds, and a member's token cannot ask how they stand: the same bytes go once more.
            return OutcomeUnknown(words) if _IN_WORK.search(said) else MediaRejected(words)
        if codes & _VERSION_CODES:
            return self._account_refusal(answer)
        return Rejected(words) if answer.status == 422 or codes & _REFUSED_CODES else OutcomeUnknown(words)

    def _account_refusal(self, answer: Answer) -> DeliveryError:
        """What an answer says of the account; where it says nothing of it, the outcome is unknown."""
        words = self._words(answer)
        match answer.status:
            case 401:
                return Unauthorized(words)
            case 403 if _is_linkedins_own(answer):
                return Unauthorized(words)
            case 426:
                return Unauthorized(f"{words}; LinkedIn ended this version of its API: set `version` to a newer month")
            case 400 if _codes(answer) & _VERSION_CODES:
                return Unauthorized(f"{words}; set `version` to a month that LinkedIn knows")
            case 429:
                return RateLimited(words, wait=_wait(answer))
            case _:
                return OutcomeUnknown(words)

    # --- requests ----------------------------------------------------------------------------------------------------

    def can_refresh(self) -> bool:
        """Only where LinkedIn gave the app a refresh token."""
        given = self.settings
        return None not in (given.refresh_token, given.client_id, given.client_secret)

    def refresh(self) -> Credentials:
        """A new token by the refresh token, which ends a year after the login all the same.

        Source: https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens

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
        url = f"{str(given.login_server).rstrip('/')}/oauth/v2/accessToken"
        return renewed(before, self.http.send("POST", url, data=form), also=("refresh_token",))

    @property
    def _token(self) -> str:
        """The token.

        Raises:
            Unauthorized: there is none, or it can be none.
        """
        missing = "no access token: make one under Tools > OAuth Token Tools of your app, or log in"
        return token_in(self.settings.access_token, missing=missing)

    def _headers(self) -> dict[str, str]:
        """What each call carries. https://learn.microsoft.com/en-us/linkedin/marketing/versioning"""
        return {
            "Authorization": f"Bearer {self._token}",
            "LinkedIn-Version": self.settings.version,
            "X-Restli-Protocol-Version": "2.0.0",
        }

    def _url(self, path: str) -> str:
        return f"{str(self.settings.server).rstrip('/')}{path}"

    def _words(self, answer: Answer) -> str:
        """Status and LinkedIn's words, without our token even if they repeat it."""
        # Before anything is cut off: a part of it is secret as well.
        return evidence(replace(answer, body=answer.body.replace(self._token.encode(), "…".encode())))


# --- what is sent ----------------------------------------------------------------------------------------------------


def commentary(text: str, spans: tuple[Span, ...] = ()) -> str:
    """The text as LinkedIn reads it: its own hashtags work, and all else is plain.

    A sign that is not escaped cuts the text off there, and the post is made all the same.
    Source: https://learn.microsoft.com/en-us/linkedin/marketing/community-management/shares/little-text-format
    """
    parts, done = [], 0
    for span in sorted(spans, key=lambda span: span.start):
        if span.kind is not SpanKind.HASHTAG or not done <= span.start < span.end <= len(text):
            continue
        parts += [_escaped(text[done : span.start]), f"{{hashtag|\\#|{_escaped(span.value)}}}"]
        done = span.end
    return "".join([*parts, _escaped(text[done:])])


def _escaped(text: str) -> str:
    return _RESERVED.sub(r"\\\g<0>", text)


def _content(post: Post, stage: Stage) -> dict[str, Any] | None:
    """The link's card; a picture alone where there is no link."""
    image = stage.data.get("image") if post.picture is not None else None
    if post.link is not None:
        card = {"source": post.link, "title": (post.title or post.text.strip() or post.link)[:_TITLE_LENGTH]}
        card |= {"description": post.summary} if post.summary else {}
        return {"article": card | ({"thumbnail": image} if image else {})}
    if post.picture is None or not image:
        return None
    return {"media": {"id": image} | ({"altText": post.picture.alt} if post.picture.alt else {})}


def _receipt(urn: str) -> Receipt:
    return Receipt(remote_id=urn, url=f"https://www.linkedin.com/feed/update/{urn}/")


# --- reading answers -------------------------------------------------------------------------------------------------


def _is_linkedins_own(answer: Answer) -> bool:
    """Whether the refusal is that of the API, and not of something before it."""
    body = object_of(answer)
    return body.get("status") == answer.status and isinstance(body.get("message"), str)


def _said(answer: Answer) -> str:
    """What it says is wrong, in each place."""
    body = object_of(answer)
    return " ".join((text_in(body, "message"), *(text_in(error, "description") for error in _input_errors(body))))


def _codes(answer: Answer) -> frozenset[str]:
    body = object_of(answer)
    return frozenset((text_in(body, "code"), *(text_in(error, "code") for error in _input_errors(body)))) - {""}


def _input_errors(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    errors = mapping_of(body.get("errorDetails")).get("inputErrors")
    return map(mapping_of, errors if isinstance(errors, list) else ())


def _wait(answer: Answer) -> timedelta:
    """How long a limit lasts: one of a day until midnight in UTC, by the server's own clock.

    Source: https://learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/rate-limits
    """
    if (told := answer.retry_after()) is not None:
        return told
    try:
        now = parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return _LIMITED_WAIT
    if not _OF_A_DAY.search(_said(answer)):
        return _LIMITED_WAIT
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return midnight - now + timedelta(minutes=1)
