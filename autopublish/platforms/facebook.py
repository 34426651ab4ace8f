"""Facebook: posts on a Page that you run. Personal profiles and groups take no posts from programs.

Setup: 1. On developers.facebook.com make an app with the use case "Manage everything on your Page", as a person who may
create content on the Page. 2. Give the app the address of a privacy policy and publish it (App mode: Live). While it is
not published, Facebook shows the posts to the app's own people alone, calls them public, and tells nobody: look at the
first post in a private window of your browser. No review by Meta is needed for your own Page. 3. In the Graph API
Explorer choose the app and the permissions `pages_show_list`, `pages_manage_posts`, `pages_read_engagement` (and
`business_management` for a Page in a business portfolio) and generate a user token. 4. Make it a long one (about 60
days) in the Access Token Debugger ("Extend Access Token"). 5. Ask the Explorer with the long token for
`me/accounts?fields=id,name,access_token`: `id` is the `page`, and its `access_token` the `page_token`. Made of a long
token it does not end. It dies all the same when that person changes the password, loses the role or the app; a system
user of the business portfolio is safer. With `app_id` and `app_secret` (Settings > Basic) each request is signed
(`appsecret_proof`), and `check` tells when the token ends, which permissions it lacks, and that an app cannot be
published since it names no privacy policy. Whether it is published, Facebook does not tell. Posting costs nothing.

Or leave steps 3 to 5 and `page_token` out: with `app_id`, `app_secret` and an https address that the app lists under
Valid OAuth Redirect URIs (it may lead nowhere), `autopublish accounts login NAME --redirect https://...` does them.

What is posted: the text, and with `post_as: link` a card that Facebook draws of the article's page. `post_as: photo`
posts the article's picture with its alt text instead, without a card (an article without a picture gets the card), so
keep `{{ link }}` in the template. Facebook makes links of addresses and hashtags of `#tag`; nothing else is read as
markup. `#tag` and `@` in a title lead nowhere. Up to 63,206 characters, counted as UTF-16 has them, which is never less
than Facebook counts. How fast a Page may post is not published: `at_most: 12/hour` or less is wise. Since the end of
2025 Facebook tries out a limit of two posts with links a month on some Pages; what it answers then is not known.

Unknown outcome: Facebook knows no keys. After a timeout, a broken connection or a server's error the Page's own posts
are read, ten minutes later, for the article's link. If the post is there, that is it. If it is absent twice, the same
bytes go again. Before the first send of an article that waited, the posts are read too. A post that Facebook calls a
copy of the last one waits for you (HELD `clash`).

`version` is that of the Graph API. Each lives about two years; after that Facebook answers as the oldest one that it
still has, without a word. How long an uploaded picture waits for its post is not documented; one that is gone is left
out.

Sources: https://developers.facebook.com/docs/pages-api/posts/, https://developers.facebook.com/docs/graph-api/reference/page/feed/,
https://developers.facebook.com/docs/graph-api/reference/page/photos/, https://developers.facebook.com/docs/graph-api/reference/page/published_posts/,
https://developers.facebook.com/docs/graph-api/guides/error-handling/, https://developers.facebook.com/docs/graph-api/reference/debug_token/,
https://github.com/searlsco/posse_party/issues/25 (posts of an app that is not published).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, HttpUrl, SecretStr

from autopublish.articles import leads_to, normalise_link
from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    OutcomeUnknown,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import Identity, MediaLimits, Picture, Post, Receipt, SpanKind, Stage
from autopublish.platforms._base import Platform, ReadBack
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
from autopublish.platforms._http import Answer, Http, file_of, multipart
from autopublish.platforms._json import object_of
from autopublish.platforms._login import CodeLogin, Exchange, Pages
from autopublish.text import WORD_JOINER, TextLimits, clean, unlinked, utf16_units

#: Long-standing, and what other schedulers keep to; Meta's pages for developers state none.
_LENGTH: Final = 63_206
#: Subcode 1366046 speaks of 4 MB for JPEG and PNG: https://developers.facebook.com/docs/graph-api/reference/page/photos/
_PHOTO_BYTES: Final = 4_000_000
#: Larger ones are made smaller by Facebook.
_SIDE: Final = 2_048
#: Not documented for `alt_text_custom`.
_ALT_LENGTH: Final = 1_000

_PAGE_OF_POSTS: Final = 25
_PAGES: Final = 40
_POST_ID: Final = re.compile(r"[0-9]{1,40}(?:_[0-9]{1,40})?")
#: `@[123]` names a page or person by number, `@name` by name.
_NUMBERED: Final = re.compile(r"[@\uff20](?=\[)")

#: Refusals of the text or the link, by subcode: content, a link that cannot be scraped or leads to Facebook itself.
_CONTENT: Final = frozenset({1346003, 1404102, 1609005, 1609008})
#: Of the picture.
_MEDIA: Final = frozenset({1366046, 2061006, 1349125})
#: The photo is in a post of the Page already.
_PHOTO_IS_POSTED: Final = 1366051
#: The text is that of the last post.
_SAME_TEXT: Final = 506
_INVALID: Final = 100

#: What a token must be allowed to do, and for what. https://developers.facebook.com/docs/permissions
_NEEDED: Final = {"pages_manage_posts": "posts", "pages_read_engagement": "whether a post is there"}
_TO_GET_ONE: Final = (
    "there is no `page_token`: `autopublish platforms facebook` tells how to get one of the Page, which does not end"
)


_Number = Annotated[str, BeforeValidator(checked_number), Field(pattern=r"^[0-9]{1,40}$")]


def harmless(text: str) -> str:
    """The text, in which Facebook finds no mention and no hashtag; a reader sees the same."""
    return _NUMBERED.sub(rf"\g<0>{WORD_JOINER}", unlinked(text))


class PostAs(StrEnum):
    """What a post shows beside its text."""

    #: The card of the article's page.
    LINK = "link"
    #: The article's picture, if it has one.
    PHOTO = "photo"


class Facebook(Platform):
    """One Page."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: The Page's number.
        page: _Number
        #: The Page's own token.
        page_token: SecretStr | None = None
        #: The app's number and secret, for signed requests and a better `check`.
        app_id: _Number | None = None
        app_secret: SecretStr | None = None
        #: What a post shows beside its text: link (the card of the page) or photo (the article's picture).
        post_as: PostAs = PostAs.LINK
        #: Version of the Graph API.
        version: Annotated[str, Field(pattern=rf"^{VERSION}$")] = "v26.0"
        #: Address of the Graph API.
        server: HttpUrl = HttpUrl("https://graph.facebook.com")
        #: Where a person logs in.
        login_server: HttpUrl = HttpUrl("https://www.facebook.com")

    settings: Settings
    # https://developers.facebook.com/docs/facebook-login/guides/access-tokens/get-long-lived/#get-a-long-lived-page-access-token
    login = CodeLogin(
        gives=("page_token",),
        authorize="{login_server}/{version}/dialog/oauth",
        redeem="{server}/{version}/oauth/access_token",
        scopes=("pages_show_list", "pages_manage_posts", "pages_read_engagement"),
        scope_separator=",",
        client_id="app_id",
        client_secret="app_secret",  # noqa: S106 - the name of a setting
        pkce=False,
        exchange=Exchange(
            url="{server}/{version}/oauth/access_token",
            grant_type="fb_exchange_token",
            parameter="fb_exchange_token",
            fields={"client_id": "app_id", "client_secret": "app_secret"},
        ),
        pages=Pages(url="{server}/{version}/me/accounts", chosen_by="page"),
    )
    look = "facebook"
    limits = TextLimits(length=_LENGTH, count=utf16_units, neutralise=harmless)
    media: MediaLimits | None = MediaLimits(size_bytes=_PHOTO_BYTES, side=_SIDE, alt_length=_ALT_LENGTH)
    # https://developers.facebook.com/docs/graph-api/reference/page/feed/: no call takes a key.
    key_window = None
    # The Page's own posts, for the token that made them.
    # https://developers.facebook.com/docs/graph-api/reference/page/published_posts/
    read_back = ReadBack.STRONG
    # The list may lack a post for some seconds, and an overloaded server make one long after its proxy gave up.
    settle = timedelta(minutes=10)

    def __init__(self, settings: Settings, http: Http) -> None:
        super().__init__(settings, http)
        if settings.post_as is PostAs.LINK:
            self.media = None
        self._graph = Graph(
            http,
            server=str(settings.server),
            version=settings.version,
            token=settings.page_token,
            app_secret=settings.app_secret,
            without_token=_TO_GET_ONE,
        )

    # --- who and what ------------------------------------------------------------------------------------------------

    def whoami(self) -> Identity:
        """The Page that the token belongs to, which is the configured one; with an app, when the token ends.

        Raises:
            DeliveryError: Unauthorized if it is dead or not that of the Page; else Facebook could not be asked.
        """
        answer = self._graph.ask("GET", "me", params={"fields": "id,name"})
        page = id_of(answer)
        if page is None:
            raise self._graph.look_error(answer)
        name = clean(str(object_of(answer).get("name") or page))
        if page != self.settings.page:
            raise Unauthorized(
                f"the token is that of {name} ({page}), not of the Page {self.settings.page}: take the token that "
                f"`me/accounts` names for the Page, or write `page: {page}` if that is the Page"
            )
        return Identity(id=page, name=name, url=f"https://www.facebook.com/{page}", expires=self._expires())

    def permissions(self) -> tuple[str, ...] | None:
        """What token and app lack; None: without the app's own secret Facebook does not tell.

        Raises:
            DeliveryError: Facebook could not be asked.
        """
        app = self._app
        if app is None:
            return None
        scopes = self._described(app)["scopes"]
        given = frozenset(scopes) if isinstance(scopes, list) else frozenset()
        lack = [f"{scope} ({purpose})" for scope, purpose in _NEEDED.items() if scope not in given]
        if not self._names_policy(app):
            lack.append(
                "a privacy policy, without which the app is not published: only the app's own people see its posts"
            )
        return tuple(lack)

    @property
    def _app(self) -> str | None:
        """The app's number, if its secret is known as well."""
        return self.settings.app_id if self.settings.app_secret is not None else None

    def _expires(self) -> datetime | None:
        """When the token ends, as far as it does and Facebook tells."""
        if self._app is None:
            return None
        seconds = self._described(self._app)["expires_at"]
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int) and 0 < seconds < 10**11 else None

    def _described(self, app: str) -> Mapping[str, Any]:
        """What Facebook says of the token. https://developers.facebook.com/docs/graph-api/reference/debug_token/"""
        answer = self._graph.ask_as_app(app, "debug_token", {"input_token": self._graph.token})
        data = object_of(answer).get("data")
        if not answer.ok or not isinstance(data, dict):
            raise self._graph.look_error(answer)
        return {"scopes": [], "expires_at": 0, **data}

    def _names_policy(self, app: str) -> bool:
        """Whether the app names a privacy policy, as each published one must; also if Facebook does not tell.

        Source: https://github.com/facebook/facebook-python-business-sdk/blob/main/facebook_business/adobjects/application.py
        """
        answer = self._graph.ask_as_app(app, app, {"fields": "id,privacy_policy_url"})
        refusal = refusal_of(answer)
        if refusal is not None and refusal.code == _INVALID:
            return True
        if id_of(answer) is None:
            raise self._graph.look_error(answer)
        return bool(object_of(answer).get("privacy_policy_url"))

    # --- publishing --------------------------------------------------------------------------------------------------

    def stage(self, post: Post, stage: Stage) -> Stage:
        """What goes beside the text is fixed, and a picture is uploaded, which nobody sees without a post.

        Raises:
            DeliveryError: MediaRejected if Facebook does not take the picture.
        """
        if post.picture is None or self.settings.post_as is PostAs.LINK:
            return Stage(data={"fields": _link(post)})
        made_of = sha256(f"{post.picture.sha256} {post.picture.alt}".encode()).hexdigest()
        if stage.data.get("made_of") == made_of:
            return stage
        photo = self._upload(post.picture)
        return Stage(data={"fields": {"attached_media": [{"media_fbid": photo}]}, "made_of": made_of})

    def _upload(self, picture: Picture) -> str:
        """The number of an uploaded picture that is in no post.

        Source: https://developers.facebook.com/docs/graph-api/reference/page/photos/#upload

        Raises:
            DeliveryError: MediaRejected if it cannot be read or is refused.
        """
        file = file_of(picture)
        fields = {"published": "false", **({"alt_text_custom": picture.alt} if picture.alt else {})}
        body, kind = multipart({"source": file}, fields)
        answer = self._graph.ask("POST", f"{self.settings.page}/photos", data=body, headers=kind)
        photo = id_of(answer)
        if photo is None:
            raise self._refusal(answer, is_photo=True)
        return photo

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """One post is asked for.

        Raises:
            DeliveryError: AlreadyPosted if Facebook says that it is a copy.
        """
        fields = stage.data.get("fields", _link(post))
        # No `fields` in the address: a post whose description is refused is there all the same.
        answer = self._graph.send(f"{self.settings.page}/feed", {"message": post.text, **fields, "published": True})
        remote_id = id_of(answer)
        if remote_id is None:
            raise self._refusal(answer, is_photo="attached_media" in fields)
        return _receipt(remote_id)

    def _refusal(self, answer: Answer, *, is_photo: bool) -> DeliveryError:
        """What an answer without an id says of the post or of the upload."""
        words, refusal = self._graph.words(answer), refusal_of(answer)
        if answer.ok:
            return OutcomeUnknown(f"success without an id; {words}")
        shared = self._graph.shared_error(answer)
        if shared is not None or refusal is None:
            return shared or OutcomeUnknown(words)
        if refusal.code == _SAME_TEXT or refusal.subcode == _PHOTO_IS_POSTED:
            return AlreadyPosted(words)
        if refusal.is_not_seen:
            return Unauthorized(f"{words}; is `page` the number of the Page, and the token its own?")
        return _refused(refusal, words, is_photo=is_photo)

    # --- looking and taking away -------------------------------------------------------------------------------------

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """The newest of the Page's own posts with the link, or with the text where no post names the article.

        Raises:
            Undecided: the Page has more posts since then than are looked through.
            DeliveryError: the look failed; it proves nothing.
        """
        after: str | None = None
        for _ in range(_PAGES):
            answer = self._look(since, after)
            for entry in entries_of(answer):
                if time_of(entry.get("created_time")) >= since.replace(microsecond=0) and self._carries(entry, post):
                    return _receipt(str(entry["id"]))
            after = next_of(answer)
            if after is None:
                return None
        raise Undecided(f"more than {_PAGES * _PAGE_OF_POSTS} posts since {since:%Y-%m-%d %H:%M}")

    def _look(self, since: datetime, after: str | None) -> Answer:
        """One page of the posts since then, the newest first; each has its number."""
        params = {
            "fields": "id,message,created_time,attachments{unshimmed_url,target}",
            "limit": str(_PAGE_OF_POSTS),
            "since": str(int(since.timestamp())),
            **({"after": after} if after else {}),
        }
        answer = self._graph.ask("GET", f"{self.settings.page}/published_posts", params=params)
        is_list = isinstance(object_of(answer).get("data"), list)
        if not answer.ok or not is_list or any(not _is_post(entry) for entry in entries_of(answer)):
            raise self._graph.look_error(answer)
        return answer

    def _carries(self, entry: Mapping[str, Any], post: Post) -> bool:
        """Whether an entry of the list is of this post."""
        shows_link = self.settings.post_as is PostAs.LINK or any(span.kind is SpanKind.LINK for span in post.spans)
        wanted = post.link
        if wanted is None or normalise_link(wanted) is None or not shows_link:
            return clean(str(entry.get("message") or "")) == clean(post.text)
        return any(leads_to(link, wanted) for link in _links(entry))

    def delete(self, receipt: Receipt) -> None:
        """The post is not there any more.

        Source: https://developers.facebook.com/docs/pages-api/posts/#delete-a-post

        Raises:
            DeliveryError: Rejected if it is no post of Facebook or not one that this app may take away.
        """
        if not _POST_ID.fullmatch(receipt.remote_id):
            raise Rejected("this is no post of Facebook")
        answer = self._graph.ask("DELETE", receipt.remote_id)
        refusal = refusal_of(answer)
        if answer.ok and object_of(answer).get("success") is True:
            return
        if refusal is not None and refusal.is_not_seen:
            self.whoami()  # a token that sees nothing at all gets the same answer
            return
        shared = self._graph.look_error(answer)
        raise Rejected(str(shared)) if refusal is not None and isinstance(shared, OutcomeUnknown) else shared


# --- what is sent and read -------------------------------------------------------------------------------------------


def _link(post: Post) -> dict[str, Any]:
    """The field of which Facebook makes a card."""
    return {"link": post.link} if post.link else {}


def _receipt(remote_id: str) -> Receipt:
    """The receipt for a post; its number begins with that of its Page."""
    page, _, number = remote_id.partition("_")
    url = f"https://www.facebook.com/{page}/posts/{number}" if number else f"https://www.facebook.com/{page}"
    return Receipt(remote_id=remote_id, url=url)


def _refused(refusal: Refusal, words: str, *, is_photo: bool) -> DeliveryError:
    """What one of the refusals means that Facebook documents; all say that nothing was made."""
    if refusal.subcode in _MEDIA:
        return MediaRejected(words) if is_photo else Rejected(words)
    if refusal.subcode in _CONTENT:
        return Rejected(words)
    if refusal.code == _INVALID:
        # Something is wrong with what was sent: without the picture it will show whether that was it.
        return MediaRejected(words) if is_photo else Rejected(words)
    return OutcomeUnknown(words)


def _is_post(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("id"), str) and _POST_ID.fullmatch(entry["id"]) is not None


def _links(entry: Mapping[str, Any]) -> Iterator[str]:
    """Every link of a post: in its text and on its card. Facebook's own `url` leads there by a detour."""
    yield from links_in(entry.get("message"))
    attachments = entry.get("attachments")
    data = attachments.get("data") if isinstance(attachments, dict) else None
    for attachment in data if isinstance(data, list) else ():
        if isinstance(attachment, dict):
            target = attachment.get("target")
            yield str(attachment.get("unshimmed_url") or "")
            yield str(target.get("url") or "") if isinstance(target, dict) else ""
