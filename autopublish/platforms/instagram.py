"""Instagram: pictures with a caption on a professional account (business or creator).

Setup: 1. Make the account a professional one in Instagram's settings. 2. On developers.facebook.com make an app with
the use case "Manage messaging & content on Instagram" and add the permissions `instagram_business_basic` and
`instagram_business_content_publish`. 3. Add the account as an Instagram Tester (App roles), and accept that in
Instagram (Settings > Website permissions > Tester invites). 4. Publish the app; whether posts of one that is not
published are seen by all, Meta does not say. No review is needed for your own account. 5. "Generate token" beside the
account gives the `access_token` and the account's number, the `user_id`. The token ends after 60 days. An account that
is tied to a Facebook Page works with the Page's token as well: `server: https://graph.facebook.com`, the permissions
`instagram_basic` and `instagram_content_publish`, and the number that Facebook names in
`PAGE?fields=instagram_business_account`. Posting costs nothing.

Or leave `access_token` out and give the app's `app_id` and `app_secret` (Instagram's own, beside "Business login
settings"): with an https address that is listed there (it may lead nowhere), `autopublish accounts login NAME
--redirect https://...` fetches a token, which is then renewed by itself.

What is posted: the article's picture with its alt text, and the text as its caption. There are no posts without a
picture, and no link in a caption can be clicked: leave `{{ link }}` out of the template, and say where it stands ("link
in our bio"). Instagram fetches the picture itself from a public address, and takes JPEG only, up to 8 MB, between 4:5
and 1.91:1. The article's own picture is used from where the site has it, if it is so. Others need a folder that a web
server of yours shows: a JPEG of each picture is put into `public_folder`, with white at its sides where its shape is
another, and Instagram is told its address below `public_url`. What is older than a day you may remove there.
`default_picture` is the address of a JPEG for articles without a usable picture; without it they are HELD `picture`
until you approve or cancel them, or an edit of the article brings a picture. A caption has up to 2,200 characters,
counted as UTF-16 has them, which is never less than Instagram counts. Instagram takes five hashtags: further ones are
left out. `@name` and `#tag` in a title lead nowhere.

How many posts a day an account may make (50 or 100) Instagram is asked before each; beyond it the account waits.

Unknown outcome: a post is prepared first, which nobody sees, and published in a second step, which Instagram does once.
After a timeout, a broken connection or a server's error it is asked five minutes later whether that was done. If it was
not, it is done then, and nothing is posted twice. What was prepared lasts a day; if the account could not work for that
long, Instagram says so, which proves that it was not published, and it is prepared anew unless it has become too old
(`max_age`). A post cannot be taken away from here: what the documentation says of that differs.

Sources: https://developers.facebook.com/docs/instagram-platform/content-publishing/,
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media/,
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-container,
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media_publish/,
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/content_publishing_limit/,
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/error-codes/.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, HttpUrl, SecretStr, model_validator

from autopublish.articles import leads_to
from autopublish.errors import (
    DeliveryError,
    MediaRejected,
    NotReady,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    StageExpired,
    Unauthorized,
    Undecided,
)
from autopublish.models import FOREVER, Credentials, Identity, MediaLimits, Picture, Post, Receipt, SpanKind, Stage
from autopublish.platforms._base import Card, Platform, ReadBack
from autopublish.platforms._graph import (
    VERSION,
    Graph,
    Refusal,
    checked_number,
    entries_of,
    id_of,
    links_in,
    next_of,
    refusal_of,
    time_of,
)
from autopublish.platforms._http import Answer, Http
from autopublish.platforms._json import object_of
from autopublish.platforms._login import CodeLogin, Exchange, credentials_of
from autopublish.text import TextLimits, clean, unlinked, utf16_units

# --- what the documentation says -------------------------------------------------------------------------------------

#: https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user/media/
_LENGTH: Final = 2_200
_ALT_LENGTH: Final = 1_000
_PICTURE_BYTES: Final = 8_000_000
#: Wider ones are made smaller by Instagram.
_SIDE: Final = 10_000
#: Width by height: 4:5 to 1.91:1.
_SHAPES: Final = (0.8, 1.91)
#: Announced in December 2025; what the API does with more is not documented. https://routenote.com/blog/Instagram-hashtags
_HASHTAGS: Final = 5

#: What is prepared is asked about again after this time; a picture takes some seconds.
_WORK_WAIT: Final = timedelta(seconds=10)
#: When the quota of a day is used up, it comes back post by post.
_QUOTA_WAIT: Final = timedelta(hours=1)
#: A block for pace or policy; nobody says when it ends.
_BLOCK_WAIT: Final = timedelta(hours=6)
#: So often one picture is prepared; Instagram allows 400 a day.
_MOST_CONTAINERS: Final = 3
_PAGE: Final = 50
_PAGES: Final = 20

# Subcodes of https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/error-codes/
_CAPTION: Final = frozenset({2207010})
_MEDIA: Final = frozenset({2207004, 2207005, 2207009, 2207023, 2207026, 2207028, 2207052})
_MEDIA_CODES: Final = frozenset({352, 36000, 36001, 36003})
#: The container is not known yet.
_NOT_THERE_YET: Final = frozenset({2207006, 2207008})
_RESTRICTED: Final = (25, 2207050)
#: "Action blocked"; the post may be there all the same: https://github.com/gitroomhq/postiz-app/issues/1681
_ACTION_BLOCKED: Final = 2207051
_SUBCODE: Final = re.compile(r"\b2207[0-9]{3}\b")

_ID: Final = re.compile(r"[0-9_]{1,100}")
_TO_GET_ONE: Final = (
    "there is no `access_token`: `autopublish platforms instagram` tells how to get one, which lasts 60 days"
)
_NO_PICTURE: Final = (
    "Instagram takes posts with a picture only, and this article has none that it can fetch (a JPEG at a public "
    "address): set `default_picture`, or `public_folder` and `public_url`"
)


class Condition(StrEnum):
    """How far a container is; the words are Instagram's."""

    #: Ready to be published.
    FINISHED = "FINISHED"
    IN_PROGRESS = "IN_PROGRESS"
    PUBLISHED = "PUBLISHED"
    #: It will never be ready.
    ERROR = "ERROR"
    #: Not published within a day.
    EXPIRED = "EXPIRED"


class Instagram(Platform):
    """One professional account."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: The account's number.
        user_id: Annotated[str, BeforeValidator(checked_number), Field(pattern=r"^[0-9]{1,40}$")]
        #: The account's token, or that of its Facebook Page.
        access_token: SecretStr | None = None
        #: The app's number and secret, for an app that demands signed requests and for `autopublish accounts login`.
        app_id: Annotated[str, BeforeValidator(checked_number), Field(pattern=r"^[0-9]{1,40}$")] | None = None
        app_secret: SecretStr | None = None
        #: A folder that a web server shows, for pictures that Instagram cannot take from the site, and its address.
        public_folder: Path | None = None
        public_url: HttpUrl | None = None
        #: Address of a JPEG for articles without a usable picture.
        default_picture: HttpUrl | None = None
        #: Version of the Graph API.
        version: Annotated[str, Field(pattern=rf"^{VERSION}$")] = "v26.0"
        #: Address of the Graph API.
        server: HttpUrl = HttpUrl("https://graph.instagram.com")
        #: Where a person logs in, and where that becomes a token.
        login_server: HttpUrl = HttpUrl("https://www.instagram.com")
        token_server: HttpUrl = HttpUrl("https://api.instagram.com")

        @model_validator(mode="after")
        def _folder_has_its_address(self) -> Self:
            if (self.public_folder is None) is not (self.public_url is None):
                raise ValueError("expected `public_folder` and `public_url` together, or neither")
            return self

    settings: Settings
    # https://developers.facebook.com/docs/instagram-platform/instagram-api-with-instagram-login/business-login
    login = CodeLogin(
        authorize="{login_server}/oauth/authorize",
        redeem="{token_server}/oauth/access_token",
        scopes=("instagram_business_basic", "instagram_business_content_publish"),
        scope_separator=",",
        client_id="app_id",
        client_secret="app_secret",  # noqa: S106 - the name of a setting
        pkce=False,
        exchange=Exchange(
            url="{server}/access_token", grant_type="ig_exchange_token", fields={"client_secret": "app_secret"}
        ),
    )
    card = Card.NONE
    limits = TextLimits(length=_LENGTH, count=utf16_units, neutralise=unlinked)
    media = MediaLimits(types=("image/jpeg",), size_bytes=_PICTURE_BYTES, side=_SIDE, alt_length=_ALT_LENGTH)
    # A container is published once, and tells whether it was.
    # https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-container
    key_window = FOREVER
    read_back = ReadBack.STRONG
    # Instagram advises to ask for no longer than five minutes.
    # https://developers.facebook.com/docs/instagram-platform/content-publishing/
    settle = timedelta(minutes=5)

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(settings, http)
        self.needs_picture = settings.default_picture is None
        self._graph = Graph(
            http,
            server=str(settings.server),
            version=settings.version,
            token=settings.access_token,
            app_secret=settings.app_secret,
            without_token=_TO_GET_ONE,
        )

    @property
    def _user(self) -> str:
        return self.settings.user_id

    # --- who and what ------------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The account's number and name.

        Raises:
            DeliveryError: Unauthorized if the token is dead or does not see the account; else it could not be asked.
        """
        answer = self._graph.ask("GET", self._user, params={"fields": "id,username"})
        name = object_of(answer).get("username")
        refusal = refusal_of(answer)
        if refusal is not None and refusal.is_not_seen:
            raise Unauthorized(f"{self._graph.words(answer)}; is `user_id` the number of the token's own account?")
        if not answer.ok or not isinstance(name, str) or not re.fullmatch(r"[\w.]{1,100}", name):
            raise self._graph.look_error(answer)
        return Identity(id=self._user, name=f"@{name}", url=f"https://www.instagram.com/{name}/")

    def can_refresh(self) -> bool:
        """Only a token of Instagram's own is renewed, not that of a Facebook Page."""
        return "graph.facebook." not in str(self.settings.server)

    def refresh(self) -> Credentials:
        """The token for 60 days more, if it is a day old at least and has not ended.

        Source: https://developers.facebook.com/docs/instagram-platform/reference/refresh_access_token

        Raises:
            DeliveryError: Unauthorized if only a new login helps.
        """
        params = {"grant_type": "ig_refresh_token", "access_token": self._graph.token}
        url = f"{str(self.settings.server).rstrip('/')}/refresh_access_token"
        return credentials_of(self.http.send("GET", url, params=params))

    def permissions(self) -> tuple[str, ...]:
        """The right to publish, if the token lacks it; without the right to read `whoami` fails.

        Raises:
            DeliveryError: it could not be asked.
        """
        try:
            self._left_today()
        except Unauthorized as error:
            return (f"the right to publish ({error})",)
        return ()

    def _left_today(self) -> int | None:
        """How many posts the account may still make by Instagram's own count; None if it does not say.

        Raises:
            DeliveryError: it could not be asked.
        """
        params = {"fields": "quota_usage,config"}
        answer = self._graph.ask("GET", f"{self._user}/content_publishing_limit", params=params)
        data = object_of(answer).get("data")
        if not answer.ok or not isinstance(data, list):
            raise self._graph.look_error(answer)
        told = data[0] if data and isinstance(data[0], dict) else {}
        used, config = told.get("quota_usage"), told.get("config")
        total = config.get("quota_total") if isinstance(config, dict) else None
        return total - used if isinstance(total, int) and isinstance(used, int) else None

    # --- staging -----------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """A container with picture and caption is ready, which nobody sees before it is published.

        Raises:
            DeliveryError: NotReady, with what is done so far, while Instagram works on it; MediaRejected if it does not
                take the picture; Rejected if there is none.
        """
        try:
            return self._staged(self._fields(post), stage)
        except MediaRejected as error:
            if post.picture is None:
                raise Rejected(f"`default_picture` is not taken: {error}") from error
            raise

    def _staged(self, fields: Mapping[str, str], stage: Stage) -> Stage:
        """A container of these fields that is ready; the one of an earlier call if it is good for that."""
        made_of = sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
        done = stage.data if stage.data.get("made_of") == made_of else {}
        container, tries = str(done.get("container") or ""), int(done.get("tries") or 0)
        condition, why = self._condition(container) if container else (Condition.EXPIRED, "")
        if condition is Condition.ERROR:
            _check_hope(why, tries)
        if condition in (Condition.ERROR, Condition.EXPIRED):
            container, tries = self._make(fields), tries + 1
            condition = self._condition_at_first(container)
        made = Stage(data={"made_of": made_of, "container": container, "tries": tries})
        if condition in (Condition.FINISHED, Condition.PUBLISHED):
            return made
        raise NotReady("Instagram still works on the picture", wait=_WORK_WAIT, stage=made)

    def _fields(self, post: Post) -> dict[str, str]:
        """What the container is made of."""
        fields = {"image_url": self._address(post.picture), "caption": caption_of(post)}
        if post.picture is not None and post.picture.alt:
            fields["alt_text"] = post.picture.alt
        return fields

    def _address(self, picture: Picture | None) -> str:
        """Where Instagram finds the picture.

        Raises:
            DeliveryError: MediaRejected if it is not one that Instagram takes; Rejected if there is none at all.
        """
        if picture is None:
            if self.settings.default_picture is None:
                raise Rejected(_NO_PICTURE)
            return str(self.settings.default_picture)
        if self.settings.public_folder is not None:
            return self._shown(picture, self.settings.public_folder)
        if not _is_in_shape(picture):
            shape = f"{picture.width / picture.height:.2f}:1"
            raise MediaRejected(
                f"the picture's shape is {shape}; Instagram takes 4:5 to 1.91:1, and there is no `public_folder`"
            )
        if picture.url is None:
            raise MediaRejected("the site has no JPEG of at most 8 MB of the picture, and there is no `public_folder`")
        return picture.url

    def _shown(self, picture: Picture, folder: Path) -> str:
        """The address of the picture in the folder that a web server shows; it is there, in a shape that is taken.

        Raises:
            MediaRejected: it cannot be read, or not be put there.
        """
        is_in_shape = _is_in_shape(picture)
        name = f"{picture.sha256}{'' if is_in_shape else '-framed'}.jpg"
        try:
            if not (folder / name).exists():
                content = Path(picture.path).read_bytes()
                _put(folder / name, content if is_in_shape else _framed(content))
        except OSError as error:
            raise MediaRejected(f"the picture cannot be put into `public_folder`: {error.strerror or error}") from error
        return f"{str(self.settings.public_url).rstrip('/')}/{name}"

    def _make(self, fields: Mapping[str, str]) -> str:
        """The number of a new container.

        Raises:
            DeliveryError: RateLimited if the account has made all posts that it may; MediaRejected; Rejected.
        """
        left: int | None = None
        with suppress(NotSent, OutcomeUnknown):
            left = self._left_today()
        if left is not None and left <= 0:
            raise RateLimited("the account has made as many posts as it may in 24 hours", wait=_QUOTA_WAIT)
        answer = self._graph.ask("POST", f"{self._user}/media", json=fields)
        container = id_of(answer)
        if container is None:
            raise self._refusal(answer)
        return container

    def _condition(self, container: str) -> tuple[Condition, str]:
        """How far the container is, and why if it came to nothing.

        Raises:
            DeliveryError: Instagram could not be asked.
        """
        answer = self._graph.ask("GET", container, params={"fields": "status_code,status"})
        refusal = refusal_of(answer)
        if refusal is not None and (refusal.is_not_seen or refusal.subcode in _NOT_THERE_YET):
            # Also said now and then of one that is there: https://github.com/gitroomhq/postiz-app/issues/1562
            return Condition.IN_PROGRESS, self._graph.words(answer)
        told = object_of(answer)
        if not answer.ok or not isinstance(told.get("status_code"), str):
            raise self._graph.look_error(answer)
        is_known = told["status_code"] in tuple(Condition)
        condition = Condition(told["status_code"]) if is_known else Condition.IN_PROGRESS
        return condition, clean(str(told.get("status") or condition.value))[:200]

    def _condition_at_first(self, container: str) -> Condition:
        """How far a new container is; an answer that fails loses nothing."""
        try:
            return self._condition(container)[0]
        except (NotSent, OutcomeUnknown):
            return Condition.IN_PROGRESS

    # --- publishing --------------------------------------------------------------------------------------------------

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """The container is published, which Instagram does once however often this is called.

        After a refusal the container is asked: one that was published by an earlier call gives its receipt. One that
        is said not to be available (9007) tells later what became of it, and is published then.

        Raises:
            DeliveryError: StageExpired if the container is too old.
        """
        container = str(stage.data.get("container") or "")
        if not container:
            raise Rejected("nothing was prepared for this post: `autopublish deliveries retry` does")
        answer = self._graph.send(f"{self._user}/media_publish", {"creation_id": container})
        media = id_of(answer)
        if media is not None:
            return Receipt(remote_id=media, url=self._permalink(media))
        error, refusal = self._refusal(answer), refusal_of(answer)
        if refusal is not None and refusal.subcode == _ACTION_BLOCKED:
            error = OutcomeUnknown(str(error))
        if isinstance(error, Unauthorized | RateLimited):
            raise error
        return self._published_before(container, post, error)

    def _published_before(self, container: str, post: Post, error: DeliveryError) -> Receipt:
        """The receipt of a container that was published although the answer is none.

        Raises:
            DeliveryError: `error` if that is not known; StageExpired or MediaRejected if it never can be.
        """
        try:
            condition, why = self._condition(container)
        except DeliveryError:
            raise error from None
        match condition:
            case Condition.PUBLISHED:
                return self._receipt(container, post, post.created_at - timedelta(hours=1))
            case Condition.EXPIRED:
                raise StageExpired(f"what was prepared has expired; {error}")
            case Condition.ERROR:
                raise MediaRejected(f"{why}; {error}")
            case _:
                raise error

    def _permalink(self, media: str) -> str | None:
        """Where people find a post; None if that could not be read."""
        with suppress(DeliveryError):
            return _web(object_of(self._graph.ask("GET", media, params={"fields": "permalink"})).get("permalink"))
        return None

    def _refusal(self, answer: Answer) -> DeliveryError:
        """What an answer without an id says of the container or the post."""
        words, refusal = self._graph.words(answer), refusal_of(answer)
        if answer.ok:
            return OutcomeUnknown(f"success without an id; {words}")
        own = _refused(refusal, words) if refusal is not None else None
        return own or self._graph.shared_error(answer) or OutcomeUnknown(words)

    # --- looking -----------------------------------------------------------------------------------------------------

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """What the container says, if there is one; else the newest of the account's own posts with the caption.

        Raises:
            Undecided: the container is in work or not shown, and no post is there.
            DeliveryError: the look failed; it proves nothing.
        """
        container = str(stage.data.get("container") or "")
        if not container:
            return self._listed(post, since)
        condition, why = self._condition(container)
        match condition:
            case Condition.PUBLISHED:
                return self._receipt(container, post, since)
            case Condition.IN_PROGRESS:
                found = self._listed(post, since)
                if found is None:
                    raise Undecided(f"Instagram does not say whether it was published: {why}")
                return found
            case _:
                return None

    def _receipt(self, container: str, post: Post, since: datetime) -> Receipt:
        """The receipt of a published container; it bears the container's number where no post can be told to be it."""
        found: Receipt | None = None
        with suppress(DeliveryError):
            found = self._listed(post, since)
        return found or Receipt(remote_id=container)

    def _listed(self, post: Post, since: datetime) -> Receipt | None:
        """The newest post of the account with the caption, or with the article's link in it.

        Raises:
            DeliveryError: Undecided if there are more posts than are looked through; else the look failed.
        """
        since, after = since.replace(microsecond=0), None
        for _ in range(_PAGES):
            answer = self._look(after)
            entries = entries_of(answer)
            for entry in entries:
                if _made_at(entry) >= since and _carries(entry, post):
                    return Receipt(remote_id=str(entry["id"]), url=_web(entry.get("permalink")))
            after = next_of(answer)
            if after is None or (entries and max(map(_made_at, entries)) < since):
                return None
        raise Undecided(f"more than {_PAGES * _PAGE} posts since {since:%Y-%m-%d %H:%M}")

    def _look(self, after: str | None) -> Answer:
        """One page of the account's posts, the newest first; each has its number."""
        params = {"fields": "id,caption,permalink,timestamp", "limit": str(_PAGE)}
        answer = self._graph.ask("GET", f"{self._user}/media", params=params | ({"after": after} if after else {}))
        is_list = isinstance(object_of(answer).get("data"), list)
        if not answer.ok or not is_list or not all(_ID.fullmatch(str(entry.get("id"))) for entry in entries_of(answer)):
            raise self._graph.look_error(answer)
        return answer


# --- what is sent ----------------------------------------------------------------------------------------------------


def caption_of(post: Post) -> str:
    """The post's text without the hashtags that are too many for Instagram."""
    text = post.text
    surplus = [span for span in post.spans if span.kind is SpanKind.HASHTAG][_HASHTAGS:]
    for span in reversed(surplus):
        text = text[: span.start].rstrip(" ") + text[span.end :]
    return text.strip()


def _is_in_shape(picture: Picture) -> bool:
    return _SHAPES[0] <= picture.width / picture.height <= _SHAPES[1]


def _framed(content: bytes) -> bytes:
    """The picture on as much white as makes its shape one that Instagram takes."""
    from PIL import Image

    with Image.open(BytesIO(content)) as image:
        width, height = image.size
        paper = Image.new(
            "RGB", (max(width, ceil(height * _SHAPES[0])), max(height, ceil(width / _SHAPES[1]))), "white"
        )
        paper.paste(image.convert("RGB"), ((paper.width - width) // 2, (paper.height - height) // 2))
        file = BytesIO()
        paper.save(file, "JPEG", quality=85, icc_profile=image.info.get("icc_profile"))
    return file.getvalue()


def _put(target: Path, content: bytes) -> None:
    """The file is in place, whole, for everybody to read."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".new")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(draft).chmod(0o644)
        Path(draft).replace(target)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


# --- reading answers -------------------------------------------------------------------------------------------------


def _check_hope(why: str, tries: int) -> None:
    """The picture may still be prepared once more.

    Raises:
        MediaRejected: Instagram does not take it, or has failed on it often enough.
    """
    subcode = _SUBCODE.search(why)
    # What cannot be fetched now may be a moment later.
    is_final = subcode is not None and int(subcode[0]) in _MEDIA - {2207052}
    if is_final or tries >= _MOST_CONTAINERS:
        raise MediaRejected(f"Instagram could make no post of the picture: {why}")


def _refused(refusal: Refusal, words: str) -> DeliveryError | None:
    """What Instagram's own refusals mean; where it is asked to publish, a blocked action may be done all the same."""
    if refusal.subcode == _ACTION_BLOCKED:
        return RateLimited(words, wait=_BLOCK_WAIT)
    if (refusal.code, refusal.subcode) == _RESTRICTED or refusal.is_not_seen:
        return Unauthorized(words)
    if refusal.subcode in _CAPTION:
        return Rejected(words)
    if refusal.subcode in _MEDIA or refusal.code in _MEDIA_CODES:
        return MediaRejected(words)
    return None


def _made_at(entry: Mapping[str, Any]) -> datetime:
    return time_of(entry.get("timestamp"))


def _carries(entry: Mapping[str, Any], post: Post) -> bool:
    """Whether an entry of the list is of this post."""
    caption = str(entry.get("caption") or "")
    if clean(caption) == clean(caption_of(post)):
        return True
    return post.link is not None and any(leads_to(link, post.link) for link in links_in(caption))


def _web(value: object) -> str | None:
    return value if isinstance(value, str) and re.fullmatch(r"https?://[!-~]{1,500}", value) else None
