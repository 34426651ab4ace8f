"""Bluesky: posts with a link card on one account of bsky.social or any other AT Protocol server.

Setup: in Bluesky, Settings > Privacy and security > App passwords > Add app password. Give `identifier` (the handle
without `@`, or the DID) and the app password as `app_password`, never the account's own password. An account on a
server of its own also names it as `service`.

Or leave `app_password` out: `autopublish accounts login NAME` asks for it and keeps it sealed.

What is posted: the text with working links and hashtags, and a card with title, summary and picture of the article. A
handle in a title stays plain text: nobody is mentioned. The text may hold 300 characters as people see them (three are
kept back, since servers count new emoji differently) and 3,000 bytes.

Unknown outcome: each post has a record key of its own, made from the article. After a timeout, a broken connection or a
server's error the same record is sent once more under that key, and the server keeps one of them, so a post is neither
lost nor doubled. Before the first send of an article that waited, the account's own posts are searched for its link.

Sources: https://docs.bsky.app/docs/advanced-guides/posts (facets, cards, blobs),
https://atproto.com/specs/record-key#record-key-type-tid (keys), https://docs.bsky.app/docs/advanced-guides/rate-limits,
https://github.com/bluesky-social/atproto/tree/main/lexicons (com.atproto.repo, com.atproto.server, app.bsky.feed.post).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import AfterValidator, HttpUrl, SecretStr

from autopublish.articles import leads_to, normalise_link
from autopublish.errors import (
    AlreadyPosted,
    DeliveryError,
    MediaRejected,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import FOREVER, Identity, MediaLimits, Picture, Post, Receipt, Span, SpanKind, Stage
from autopublish.platforms._base import Card, Platform, ReadBack
from autopublish.platforms._http import LONGEST_WAIT, Answer, content_of, evidence
from autopublish.platforms._json import mapping_of, text_in
from autopublish.platforms._login import PasswordLogin
from autopublish.redaction import redact
from autopublish.text import TextLimits, graphemes

_COLLECTION = "app.bsky.feed.post"
#: Digits of a TID, in the order of their value. https://atproto.com/specs/tid
_TID_DIGITS = "234567abcdefghijklmnopqrstuvwxyz"
_TID = re.compile(r"[234567a-j][234567a-z]{12}", re.ASCII)
_AT_URI = re.compile(rf"at://(did:[a-z0-9]+:[A-Za-z0-9._:%-]+)/{re.escape(_COLLECTION)}/([A-Za-z0-9._:~-]+)")
_DID = re.compile(r"did:[a-z]+:[A-Za-z0-9._:%-]*[A-Za-z0-9._-]")
# https://atproto.com/specs/handle
_HANDLE = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# The `langtag` of RFC 5646, section 2.1, without grandfathered tags.
_LANGUAGE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4}|[a-z]{5,8})(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*(?:-[0-9a-wyz](?:-[a-z0-9]{2,8})+)*(?:-x(?:-[a-z0-9]{1,8})+)?",
    re.IGNORECASE | re.ASCII,
)
_URL_IN_TEXT = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)

# Error names of the lexicons and of the server's source that say for sure that nothing was created. A name that stands
# in none of these lists leaves the outcome unknown.
_MEDIA_REFUSALS = frozenset({"BlobNotFound", "BlobTooLarge", "InvalidMimeType", "InvalidBlob"})
_REFUSALS = frozenset({"InvalidRequest"})
_AUTH_REFUSALS = frozenset(
    {"ExpiredToken", "InvalidToken", "AccountTakedown", "AccountDeactivated", "AccountSuspended", "RepoDeactivated"}
)
# An `InvalidRequest` that ends in the picture's place in the record, as
# "blob too big (maximum 1000000, got 1200000) at $.record.embed.external.thumb"; other places may quote anything.
_ABOUT_MEDIA = re.compile(r" at \$\.record\.embed\.(?:external\.thumb|images\[\d+\]\.image)(?:\.\w+)?$", re.ASCII)

_PAGE = 100
_PAGES = 10


def _checked_identifier(value: str) -> str:
    """A handle in lower case without `@`, or a DID."""
    name = value.strip().removeprefix("@")
    if _DID.fullmatch(name):
        return name
    if not _HANDLE.fullmatch(name.lower()):
        raise ValueError("expected a handle like news.example or a DID like did:plc:...")
    return name.lower()


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class _Session:
    """A login that lives as long as the adapter; it is never stored."""

    did: str
    handle: str
    #: The server that holds the account's records.
    pds: str
    access: str = field(repr=False)
    refresh: str = field(repr=False)


class Bluesky(Platform):
    """One account; logs in once, when something is to be sent, looked up or shown."""

    class Settings(Platform.Settings):
        """The account's part of the YAML."""

        #: The account's own server.
        service: HttpUrl = HttpUrl("https://bsky.social")
        #: The handle without @, such as news.example, or the DID.
        identifier: Annotated[str, AfterValidator(_checked_identifier)]
        #: An app password (Settings > Privacy and security > App passwords), never the account's own.
        app_password: SecretStr | None = None

    settings: Settings
    login = PasswordLogin(
        gives=("app_password",),
        where="Bluesky's Settings > Privacy and security > App passwords; never the account's own",
    )
    look = "bluesky"
    card = Card.OURS
    # 300 graphemes and 3,000 bytes by the lexicon app.bsky.feed.post; three graphemes less, since libraries of another
    # Unicode version count new emoji differently.
    limits = TextLimits(length=297, count=graphemes, size_bytes=3000, hashtag_length=64)
    # A card's picture may have 1,000,000 bytes (lexicon app.bsky.embed.external) and has no alt text.
    media = MediaLimits(types=("image/jpeg", "image/png"), size_bytes=950_000, side=2000, alt_length=0)
    # A record key is taken for good: putRecord with `swapRecord: null` creates only where nothing stands.
    # https://github.com/bluesky-social/atproto/blob/main/lexicons/com/atproto/repo/putRecord.json
    key_window = FOREVER
    read_back = ReadBack.BY_KEY
    settle = timedelta(0)

    _session: _Session | None = None

    def whoami(self) -> Identity:
        """The account's DID, which outlives its handle, and the handle.

        Raises:
            DeliveryError: Unauthorized if the credentials are refused; NotSent or RateLimited if they were not judged.
        """
        session = self._logged_in()
        return Identity(id=session.did, name=session.handle, url=f"https://bsky.app/profile/{session.did}")

    def stage(self, post: Post, stage: Stage) -> Stage:
        """The picture is uploaded and its reference kept; nothing is visible, the same bytes give the same reference.

        Raises:
            DeliveryError: MediaRejected if the server does not take the picture.
        """
        if post.picture is None or stage.data.get("sha256") == post.picture.sha256:
            return stage
        return Stage(data={"blob": self._upload(post.picture), "sha256": post.picture.sha256})

    def publish(self, post: Post, stage: Stage, *, key: str) -> Receipt:
        """The record stands under the key made from `key`, once, however often this is called.

        The login comes before the irreversible call, so that its failures are never an unknown outcome. The server
        drops a picture that no record names after a while: when it says so, the same bytes are uploaded again and the
        same record is sent once more.

        Raises:
            DeliveryError: AlreadyPosted if another record stands under the key. It is ours if a look at it shows the
                post's link (or, where there is none, its text): a copy of our store composed it at another time.
        """
        rkey = record_key(post, key)
        record = make_record(post, stage)
        answer = self._put(rkey, record)
        if _error_name(answer) == "BlobNotFound" and post.picture is not None:
            self._upload(post.picture)
            answer = self._put(rkey, record)
        if answer.ok:
            return _receipt(answer.json().get("uri"), rkey)
        if answer.status == 400 and _error_name(answer) == "InvalidSwap":
            raise self._clash(post, rkey, self._evidence(answer))
        raise self._refusal(answer)

    def find(self, post: Post, stage: Stage, *, key: str | None, since: datetime) -> Receipt | None:
        """The post under the key, else the newest of the account's posts with its link, back to `since`.

        Raises:
            Undecided: another record stands under the key, or the account has more posts since then than are looked
                through.
            DeliveryError: the look failed; it proves nothing.
        """
        if key is None:
            return self._find_by_link(post, since)
        rkey = record_key(post, key)
        record = self._record(rkey)
        if record is None:
            return self._find_by_link(post, since)
        if not _carries(record, post):
            raise Undecided(f"another record stands under the key {rkey}")
        return _receipt(f"at://{self._logged_in().did}/{_COLLECTION}/{rkey}", rkey)

    def delete(self, receipt: Receipt) -> None:
        """The record is not there any more; where there is none, the server says the same.

        Source: https://docs.bsky.app/docs/api/com-atproto-repo-delete-record

        Raises:
            DeliveryError: it could not be taken away.
        """
        match = _AT_URI.fullmatch(receipt.remote_id)
        if match is None or match[1] != self._logged_in().did:
            raise Rejected("this is no post of the account")
        answer = self._delete_once(self._logged_in(), match[2])
        if _error_name(answer) == "ExpiredToken":
            answer = self._delete_once(self._renewed(), match[2])
        if not answer.ok:
            raise self._refusal(answer)

    def _delete_once(self, session: _Session, rkey: str) -> Answer:
        body = {"repo": session.did, "collection": _COLLECTION, "rkey": rkey}
        url = f"{session.pds}/xrpc/com.atproto.repo.deleteRecord"
        return self.http.ask("POST", url, headers=_bearer(session.access), json=body)

    # --- records ---

    def _put(self, rkey: str, record: Mapping[str, Any]) -> Answer:
        """The answer to putRecord, to a second one where the login had expired, which proves that nothing was made."""
        answer = self._put_once(self._logged_in(), rkey, record)
        if _error_name(answer) == "ExpiredToken":
            answer = self._put_once(self._renewed(), rkey, record)
        return answer

    def _put_once(self, session: _Session, rkey: str, record: Mapping[str, Any]) -> Answer:
        body = {"repo": session.did, "collection": _COLLECTION, "rkey": rkey, "swapRecord": None, "record": record}
        url = f"{session.pds}/xrpc/com.atproto.repo.putRecord"
        return self.http.send("POST", url, headers=_bearer(session.access), json=body)

    def _record(self, rkey: str) -> Mapping[str, Any] | None:
        """The record under a key; None if there is none.

        Raises:
            DeliveryError: the look failed.
        """
        session = self._logged_in()
        answer = self.http.ask(
            "GET",
            f"{session.pds}/xrpc/com.atproto.repo.getRecord",
            params={"repo": session.did, "collection": _COLLECTION, "rkey": rkey},
        )
        if answer.status == 400 and _error_name(answer) == "RecordNotFound":
            return None
        if not answer.ok:
            raise self._refusal(answer)
        return mapping_of(answer.json().get("value"))

    def _find_by_link(self, post: Post, since: datetime) -> Receipt | None:
        # The list is sorted by record key. Ours hold the article's publication time, which may be long before `since`.
        oldest = min(since, post.published) - timedelta(seconds=2)
        since = since.replace(microsecond=0)  # a record's own time is cut to milliseconds
        cursor: str | None = None
        for _ in range(_PAGES):
            page = self._page(cursor)
            for uri, record in _records_of(page):
                rkey = uri.rpartition("/")[2]
                if _made_at(rkey, record) >= since and _carries(record, post):
                    return _receipt(uri, rkey)
                if (time := key_time(rkey)) is not None and time < oldest:
                    return None
            cursor = text_in(page, "cursor")
            if not cursor:
                return None
        raise Undecided(f"more than {_PAGE * _PAGES} posts since {oldest:%Y-%m-%d %H:%M}")

    def _page(self, cursor: str | None) -> dict[str, Any]:
        session = self._logged_in()
        params = {"repo": session.did, "collection": _COLLECTION, "limit": str(_PAGE)}
        answer = self.http.ask(
            "GET",
            f"{session.pds}/xrpc/com.atproto.repo.listRecords",
            params=params | ({"cursor": cursor} if cursor else {}),
        )
        if not answer.ok:
            raise self._refusal(answer)
        return answer.json()

    def _clash(self, post: Post, rkey: str, words: str) -> AlreadyPosted:
        """What the server's refusal to overwrite comes to: a look at the record under the key decides whose it is."""
        receipt = _receipt(f"at://{self._logged_in().did}/{_COLLECTION}/{rkey}", rkey)
        try:
            record = self._record(rkey)
        except DeliveryError as error:
            return AlreadyPosted(f"{words}; the record there could not be read: {error}")
        if record is None or not _carries(record, post):
            return AlreadyPosted(f"{words}; {receipt.url} stands there")
        return AlreadyPosted(words, receipt=receipt, ours=True)

    # --- pictures ---

    def _upload(self, picture: Picture) -> dict[str, Any]:
        """The reference to the uploaded picture, as the record takes it.

        Raises:
            DeliveryError: MediaRejected if the picture cannot be had or is refused.
        """
        content = content_of(picture)
        answer = self._upload_once(self._logged_in(), picture.type, content)
        if _error_name(answer) == "ExpiredToken":
            answer = self._upload_once(self._renewed(), picture.type, content)
        if answer.ok:
            return _blob(answer)
        if answer.status == 413 or (answer.status == 400 and _error_name(answer) in _MEDIA_REFUSALS | _REFUSALS):
            raise MediaRejected(self._evidence(answer))
        raise _before_the_call(self._refusal(answer))

    def _upload_once(self, session: _Session, media_type: str, content: bytes) -> Answer:
        headers = _bearer(session.access) | {"Content-Type": media_type}
        return self._ask_first(f"{session.pds}/xrpc/com.atproto.repo.uploadBlob", headers=headers, data=content)

    # --- login ---

    def _logged_in(self) -> _Session:
        if self._session is None:
            self._session = self._created()
        return self._session

    def _created(self) -> _Session:
        """A new login.

        Raises:
            DeliveryError: NotSent, RateLimited or Unauthorized; nothing was posted in any case.
        """
        answer = self._ask_first(
            f"{self._service}/xrpc/com.atproto.server.createSession",
            json={
                "identifier": self.settings.identifier,
                "password": self._password,
            },
        )
        if not answer.ok:
            raise self._login_refusal(answer)
        return self._session_of(answer)

    def _renewed(self) -> _Session:
        """The login after a refresh, or a new one where the refresh is refused.

        Raises:
            DeliveryError: NotSent, RateLimited or Unauthorized; nothing was posted in any case.
        """
        old = self._logged_in()
        # The server that gave the token renews it: behind an entryway that is not the one with the records.
        url = f"{self._service}/xrpc/com.atproto.server.refreshSession"
        answer = self._ask_first(url, headers=_bearer(old.refresh))
        if answer.ok:
            self._session = self._session_of(answer)
        elif answer.status in (400, 401, 403):
            self._session = self._created()
        else:
            raise self._login_refusal(answer)
        return self._session

    def _session_of(self, answer: Answer) -> _Session:
        try:
            body = answer.json()
        except OutcomeUnknown as error:
            raise NotSent(f"login: {error}") from error
        if body.get("active") is False:
            raise Unauthorized(f"login: the account is {text_in(body, 'status')[:40] or 'not active'}")
        did, access, refresh = (text_in(body, name) for name in ("did", "accessJwt", "refreshJwt"))
        if not (_DID.fullmatch(did) and access and refresh):
            raise NotSent("login: the answer holds no session")
        session = _Session(
            did=did,
            handle=text_in(body, "handle") or did,
            pds=_pds_of(body.get("didDoc"), self._service) or self._service,
            access=access,
            refresh=refresh,
        )
        redact.know(session, (access, refresh))
        return session

    @property
    def _password(self) -> str:
        """The app password.

        Raises:
            Unauthorized: there is none.
        """
        secret = self.settings.app_password
        if secret is None:
            raise Unauthorized("no app password: name it in the file, or log in")
        return secret.get_secret_value()

    @property
    def _service(self) -> str:
        return str(self.settings.service).rstrip("/")

    def _ask_first(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        data: bytes | None = None,
    ) -> Answer:
        """The answer to a call that comes before the irreversible one: without an answer, nothing was posted."""
        try:
            return self.http.ask("POST", url, headers=headers, json=json, data=data)
        except OutcomeUnknown as error:
            raise NotSent(str(error)) from error

    # --- refusals ---

    def _refusal(self, answer: Answer) -> DeliveryError:
        """What an answer without success says of the post."""
        words, name = self._evidence(answer), _error_name(answer)
        if answer.status == 429:
            return RateLimited(words, wait=_retry_after(answer))
        if answer.status in (401, 403) or (answer.status == 400 and name in _AUTH_REFUSALS):
            return Unauthorized(words)
        if answer.status != 400:
            return OutcomeUnknown(words)
        if name in _MEDIA_REFUSALS or (name in _REFUSALS and _ABOUT_MEDIA.search(_message(answer))):
            return MediaRejected(words)
        return Rejected(words) if name in _REFUSALS else OutcomeUnknown(words)

    def _login_refusal(self, answer: Answer) -> DeliveryError:
        if answer.status == 429:
            return RateLimited(f"login: {self._evidence(answer)}", wait=_retry_after(answer))
        if answer.status in (400, 401, 403):
            return Unauthorized(f"login: {self._evidence(answer)}")
        return NotSent(f"login: {self._evidence(answer)}")

    def _evidence(self, answer: Answer) -> str:
        """Status and the server's words, without our secrets even if the server repeats them."""
        words = evidence(answer)
        secrets = [self._password]
        if self._session is not None:
            secrets += [self._session.access, self._session.refresh]
        for secret in filter(None, secrets):
            words = words.replace(secret, "…")
        return words


# --- the record: a pure function of post, stage and key --------------------------------------------------------------


def record_key(post: Post, key: str) -> str:
    """The TID of a post: second of the article's publication, microseconds and clock id from `key`.

    It is earlier than `post.created_at` in any case, and the same in every copy of the store that knows the article.
    """
    second = max(0, min(int(post.published.timestamp()), int(post.created_at.timestamp()) - 1))
    rest, microseconds = divmod(int(key, 16), 1_000_000)
    value = (second * 1_000_000 + microseconds) << 10 | rest % 1024
    return "".join(_TID_DIGITS[value >> shift & 31] for shift in range(60, -1, -5))


def key_time(rkey: str) -> datetime | None:
    """The time in a record key; None if it is no TID."""
    if not _TID.fullmatch(rkey):
        return None
    value = 0
    for digit in rkey:
        value = value << 5 | _TID_DIGITS.index(digit)
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=value >> 10)


def make_record(post: Post, stage: Stage) -> dict[str, Any]:
    """The record of a post, as app.bsky.feed.post has it."""
    created = post.created_at.astimezone(UTC).isoformat(timespec="milliseconds")
    record: dict[str, Any] = {
        "$type": _COLLECTION,
        "text": post.text,
        "createdAt": created.removesuffix("+00:00") + "Z",
    }
    if languages := [tag for tag in dict.fromkeys(post.languages) if _LANGUAGE.fullmatch(tag)][:3]:
        record["langs"] = languages
    if facets := list(_facets(post)):
        record["facets"] = facets
    if embed := _embed(post, stage):
        record["embed"] = embed
    return record


def _facets(post: Post) -> Iterator[dict[str, Any]]:
    """What makes links and hashtags work: byte ranges in order, inside the text, without overlap; never a mention."""
    free_from = 0
    for span in sorted(post.spans, key=lambda span: span.start):
        feature = _feature(span)
        # The server takes a range beyond the text and shows nonsense.
        if feature is None or not free_from <= span.start < span.end <= len(post.text):
            continue
        free_from = span.end
        start = len(post.text[: span.start].encode())
        index = {"byteStart": start, "byteEnd": start + len(post.text[span.start : span.end].encode())}
        yield {"index": index, "features": [feature]}


def _feature(span: Span) -> dict[str, str] | None:
    if span.kind is SpanKind.LINK:
        uri = _uri(span.value)
        return {"$type": "app.bsky.richtext.facet#link", "uri": uri} if uri else None
    # Lexicon app.bsky.richtext.facet#tag: 64 graphemes, 640 bytes, without the `#`.
    if not span.value or graphemes(span.value) > 64 or len(span.value.encode()) > 640:
        return None
    return {"$type": "app.bsky.richtext.facet#tag", "tag": span.value}


def _embed(post: Post, stage: Stage) -> dict[str, Any] | None:
    """The link's card; a picture alone where there is no link."""
    blob = stage.data.get("blob") if post.picture is not None else None
    uri = _uri(post.link) if post.link else None
    if uri is not None:
        card = {"uri": uri, "title": post.title, "description": post.summary}
        return {"$type": "app.bsky.embed.external", "external": card | ({"thumb": blob} if blob else {})}
    if post.picture is None or not blob:
        return None
    shape = {"width": post.picture.width, "height": post.picture.height}
    image = {"image": blob, "alt": post.picture.alt, "aspectRatio": shape}
    return {"$type": "app.bsky.embed.images", "images": [image]}


def _uri(url: str) -> str | None:
    """The URL with spaces and letters outside ASCII percent-encoded; None if it is no http(s) URL."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
        return None
    path, query, fragment = (quote(part, safe="/%:@!$&'()*+,;=?~[]") for part in parts[2:])
    return urlunsplit((parts.scheme, parts.netloc, path, query, fragment))


# --- reading answers -------------------------------------------------------------------------------------------------


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _error_name(answer: Answer) -> str:
    """The `error` of an answer without success; empty if it has none."""
    return "" if answer.ok else _text_of(answer, "error")


def _message(answer: Answer) -> str:
    return _text_of(answer, "message")


def _text_of(answer: Answer, name: str) -> str:
    try:
        return text_in(answer.json(), name)
    except OutcomeUnknown:
        return ""


def _receipt(uri: object, rkey: str) -> Receipt:
    """The receipt for an AT URI; its public page is named by the DID, which outlives the handle."""
    match = _AT_URI.fullmatch(uri) if isinstance(uri, str) else None
    if match is None or match[2] != rkey:
        raise OutcomeUnknown("success without the id of the post")
    return Receipt(remote_id=match[0], url=f"https://bsky.app/profile/{match[1]}/post/{rkey}")


def _blob(answer: Answer) -> dict[str, Any]:
    try:
        blob = answer.json().get("blob")
    except OutcomeUnknown as error:
        raise NotSent(str(error)) from error
    if not isinstance(blob, dict):
        raise NotSent("the upload was answered without a reference")
    return blob


def _before_the_call(error: DeliveryError) -> DeliveryError:
    """The error of a call that comes before the irreversible one: what is unknown there was surely not posted."""
    return NotSent(str(error)) if isinstance(error, OutcomeUnknown) else error


def _retry_after(answer: Answer) -> timedelta | None:
    """How long the server wants to be left alone, by its own clock.

    Bluesky sends `RateLimit-Reset` in seconds since 1970 and no Retry-After.
    """
    reset, date = answer.headers.get("RateLimit-Reset", ""), answer.headers.get("Date", "")
    try:
        wait = timedelta(seconds=int(reset) - int(parsedate_to_datetime(date).timestamp()))
    except (ValueError, OverflowError):
        return answer.retry_after()
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def _pds_of(document: object, service: str) -> str | None:
    """The server with the account's records, as the login's DID document names it; None if it names none to be trusted.

    The token goes there, so it must be https, unless the service itself is reached by http.
    """
    services = mapping_of(document).get("service")
    for entry in services if isinstance(services, list) else ():
        endpoint = mapping_of(entry).get("serviceEndpoint")
        if str(mapping_of(entry).get("id", "")).endswith("#atproto_pds") and isinstance(endpoint, str):
            return _trusted(endpoint, service)
    return None


def _trusted(endpoint: str, service: str) -> str | None:
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        return None
    schemes = {"https", urlsplit(service).scheme}
    if parts.scheme not in schemes or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment:
        return None
    return endpoint.rstrip("/")


def _records_of(page: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    records = page.get("records")
    if not isinstance(records, list):
        raise OutcomeUnknown("the list of posts cannot be read")
    for entry in records:
        yield str(mapping_of(entry).get("uri", "")), mapping_of(mapping_of(entry).get("value"))


def _made_at(rkey: str, record: Mapping[str, Any]) -> datetime:
    """When a post was made: the later of what it says and what its key says, since either may be set back."""
    times = [time for time in (key_time(rkey), _stated_time(record)) if time is not None]
    return max(times, default=datetime.max.replace(tzinfo=UTC))


def _stated_time(record: Mapping[str, Any]) -> datetime | None:
    try:
        stated = datetime.fromisoformat(str(record.get("createdAt")))
    except ValueError:
        return None
    return stated if stated.tzinfo is not None else None


def _carries(record: Mapping[str, Any], post: Post) -> bool:
    """Whether a record is of this post: it has its link anywhere, or, where none names the article, its text."""
    wanted = post.link
    if wanted is None or normalise_link(wanted) is None:
        return record.get("text") == post.text
    return any(leads_to(link, wanted) for link in _links(record))


def _links(record: Mapping[str, Any]) -> Iterator[str]:
    """Every link of a record: its card, beside a quote too, its facets, and what stands in the text."""
    embed = mapping_of(record.get("embed"))
    for card in (embed, mapping_of(embed.get("media"))):
        yield str(mapping_of(card.get("external")).get("uri", ""))
    facets = record.get("facets")
    for facet in facets if isinstance(facets, list) else ():
        features = mapping_of(facet).get("features")
        for feature in features if isinstance(features, list) else ():
            yield str(mapping_of(feature).get("uri", ""))
    for match in _URL_IN_TEXT.finditer(str(record.get("text", ""))):
        # What ends a sentence may also end a link.
        yield match[0]
        yield match[0].rstrip(".,;:!?)]}'\"»”")
