"""Mastodon and its relatives against a strict server of each kind on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from autopublish import net
from autopublish.errors import (
    AlreadyPosted,
    ComposeError,
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
from autopublish.models import Account, Article, Identity, Picture, Post, Receipt, Stage
from autopublish.platforms._http import Http
from autopublish.platforms.mastodon import Mastodon, counted, link_length
from autopublish.posts import compose
from autopublish.text import characters, graphemes, html_to_text
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.servers.mastodon import FakeMastodon, Family, Fault, Made, Status, Then

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "fedcba9876543210fedcba9876543210"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3, microseconds=123_456)
NOW = CREATED + timedelta(seconds=1)
LINK = "https://news.example/2026/11/jembatan-mahakam-dibuka/?id=7&page=2"
TEXT = f"Jembatan “Mahakam” & IKN 👨‍👩‍👧‍👦\n\n{LINK}\n#Kaltim #IKN"
JPEG = b"\xff\xd8\xff\xe0" + b"a picture" * 20
POST = Post(text=TEXT, link=LINK, title="Jembatan", languages=("id-ID",), created_at=CREATED, published=PUBLISHED)


def picture(folder: Path, content: bytes = JPEG, *, alt: str = "A bridge") -> Picture:
    digest = hashlib.sha256(content).hexdigest()
    path = folder / digest
    path.write_bytes(content)
    return Picture(
        path=str(path), sha256=digest, type="image/jpeg", width=120, height=63, size_bytes=len(content), alt=alt
    )


def at(moment: datetime) -> Callable[[], datetime]:
    return lambda: moment


def started(family: Family = Family.MASTODON, **changes: Any) -> FakeMastodon:
    made = FakeMastodon(family, **changes)
    made.clock = at(NOW)
    return made


@pytest.fixture
def server() -> Iterator[FakeMastodon]:
    with started() as one:
        yield one


@pytest.fixture(params=list(Family), ids=[family.value for family in Family])
def relative(request: pytest.FixtureRequest) -> Iterator[FakeMastodon]:
    with started(request.param) as one:
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def mastodon(server: FakeMastodon, client: net.Client) -> Mastodon:
    return adapter(server, client)


@pytest.fixture
def pictured(tmp_path: Path) -> Post:
    return dataclasses.replace(POST, picture=picture(tmp_path))


def adapter(server: FakeMastodon, client: net.Client, /, **settings: Any) -> Mastodon:
    values = {"server": server.url, "access_token": server.token, **settings}
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Mastodon(Mastodon.Settings.model_validate(values), http)


def published(platform: Mastodon, post: Post = POST, *, key: str = KEY) -> Receipt:
    return platform.publish(post, platform.stage(post, Stage()), key=key)


def refusal(status: int, words: str, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, body=json.dumps({"error": words}).encode(), headers=named)


def page(status: int, words: str, **headers: str) -> Fault:
    body = f"<!DOCTYPE html><html><head><style>@media print {{}}</style></head><body><h1>{words}</h1></body></html>"
    named = {"Content-Type": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Fault(status=status, body=body.encode(), headers=named)


# --- the contract test's part ----------------------------------------------------------------------------------------

_LOGIN = b'<html><body><form action="/login"><input name="password" type="password"></form></body></html>'
_ECHO = f'{{"error":"Odd","message":"you said Bearer {FakeMastodon.token} and {FakeMastodon.token}"}}'.encode()
_LIMIT = refusal(429, "Too many requests", X_RateLimit_Reset="2026-11-24T09:00:00.000000Z")

#: Failure -> the call that fails, how, and what `publish` raises.
FAILURES: dict[str, tuple[str, Fault, type[DeliveryError]]] = {
    "upload-silent": ("media", Fault(then=Then.SILENCE), OutcomeUnknown),
    "upload-reset": ("media", Fault(then=Then.RESET), OutcomeUnknown),
    "upload-refused": ("media", refusal(422, "Validation failed: File content type is invalid"), MediaRejected),
    "upload-too-big": ("media", page(413, "Request Entity Too Large"), MediaRejected),
    "upload-unauthorised": ("media", refusal(401, "The access token is invalid"), Unauthorized),
    "upload-out-of-scope": ("media", refusal(403, "This action is outside the authorized scopes"), Unauthorized),
    "upload-limited": ("media", _LIMIT, RateLimited),
    "upload-down": ("media", Fault(status=503), OutcomeUnknown),
    "upload-not-json": ("media", page(200, "Welcome"), OutcomeUnknown),
    "upload-without-id": ("media", Fault(status=200, body=b'{"url":"x"}'), OutcomeUnknown),
    "upload-echoes": ("media", Fault(status=418, body=_ECHO), OutcomeUnknown),
    "too-long": ("publish", refusal(422, "Validation failed: Text character limit of 500 exceeded"), Rejected),
    "too-long-400": ("publish", refusal(400, "status too long"), Rejected),
    "too-long-html": ("publish", page(422, "Text character limit of 500 exceeded"), Rejected),
    "media-refused": ("publish", refusal(422, "Validation failed: Cannot attach a video"), MediaRejected),
    "media-gone": ("publish", refusal(422, "Media 7 not found or already attached to another post"), MediaRejected),
    "media-gone-404": ("publish", refusal(404, "Record not found"), MediaRejected),
    "unauthorised": ("publish", refusal(401, "The access token is invalid"), Unauthorized),
    "out-of-scope": ("publish", refusal(403, "This action is outside the authorized scopes"), Unauthorized),
    "disabled": ("publish", refusal(403, "Your login is currently disabled"), Unauthorized),
    "unlisted-403": ("publish", refusal(403, "This action is not allowed"), OutcomeUnknown),
    "empty-status": ("publish", refusal(403, "Empty statuses are not allowed"), Rejected),
    "used-key": ("publish", refusal(400, "Duplicate idempotency key"), AlreadyPosted),
    "limited": ("publish", _LIMIT, RateLimited),
    "login-redirect": ("publish", page(302, "Found", Location="https://elsewhere.example/login"), Unauthorized),
    "login-page": ("publish", Fault(status=200, body=_LOGIN), Unauthorized),
    "redirect": ("publish", page(307, "Moved", Location="http://127.0.0.1:9/api/v1/statuses"), OutcomeUnknown),
    "no-endpoint": ("publish", page(404, "The page you were looking for was not found"), OutcomeUnknown),
    "unlisted-409": ("publish", refusal(409, "Conflict"), OutcomeUnknown),
    "500": ("publish", Fault(), OutcomeUnknown),
    "502": ("publish", page(502, "Bad gateway"), OutcomeUnknown),
    "503": ("publish", page(503, "Unavailable"), OutcomeUnknown),
    "503-with-wait": ("publish", page(503, "Unavailable", Retry_After="30"), OutcomeUnknown),
    "504": ("publish", Fault(status=504, body=b""), OutcomeUnknown),
    "reset": ("publish", Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": ("publish", Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": ("publish", Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": ("publish", Fault(then=Then.GARBAGE), OutcomeUnknown),
    "not-json": ("publish", page(200, "Welcome"), OutcomeUnknown),
    "without-id": ("publish", Fault(status=200, body=b"{}"), OutcomeUnknown),
    "a-list": ("publish", Fault(status=200, body=b'[{"id":"1"}]'), OutcomeUnknown),
    "huge": ("publish", Fault(status=200, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": ("publish", Fault(status=418, body=_ECHO), OutcomeUnknown),
    "echoes-in-success": ("publish", Fault(status=200, body=_ECHO), OutcomeUnknown),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with started() as server, closing(net.Client(user_agent="autopublish-tests")) as client:

        def fail(name: str) -> None:
            call, fault, _ = FAILURES[name]
            server.script(call, fault)

        yield Bench(
            make=lambda: adapter(server, client),
            post=dataclasses.replace(POST, picture=picture(folder)),
            sent=lambda: [call.body for call in server.called("publish")],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=html_to_text(server.visible()[0].content), pinged=server.visible()[0].mentions),
            secrets=(server.token,),
            network=Network(
                unplug=server.stop,
                silence=lambda: server.script("publish", Fault(then=Then.SILENCE)),
                fail=fail,
                answer=lambda fault: server.script("publish", fault),
            ),
        )


CONTRACT = Contract(bench=bench, failures={name: error for name, (_, _, error) in FAILURES.items()})


# --- settings and login ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param({"server": "mastodon.example"}, "server", id="no address"),
        pytest.param({"visibility": "friends"}, "visibility", id="visibility"),
        pytest.param({"language": "id-ID"}, "two letters", id="language with region"),
        pytest.param({"language": "xx"}, "two letters", id="no language"),
        pytest.param({"server": "https://m.example/@kaltim"}, "address alone", id="address of a profile"),
        pytest.param({"server": "https://m.example/?a=1"}, "address alone", id="address with a query"),
        pytest.param({"server": "https://m.example/#a"}, "address alone", id="address with a fragment"),
        pytest.param({"server": "https://me:secret@m.example"}, "address alone", id="address with a password"),
        pytest.param({"content_warning": " \u200b "}, "some words", id="an empty warning"),
    ],
)
def test_settings_that_no_server_takes_are_refused_at_once(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Mastodon.Settings.model_validate({"server": "https://m.example", "access_token": "x"} | wrong)


def test_whoami_names_the_account_with_its_server(mastodon: Mastodon, server: FakeMastodon) -> None:
    host = server.url.removeprefix("http://")
    assert mastodon.whoami() == Identity(id=server.account, name=f"kaltim@{host}", url=f"{server.url}/@kaltim")


def test_an_account_whose_name_is_no_text_has_another(mastodon: Mastodon, server: FakeMastodon) -> None:
    body = {"id": "7", "acct": "\ud800", "username": "kaltim", "url": "https://m.example/\ud800"}
    server.script("whoami", Fault(status=200, body=json.dumps(body).encode()))
    found = mastodon.whoami()
    assert (found.name.partition("@")[0], found.url) == ("kaltim", None)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(401, "The access token is invalid"), Unauthorized, id="401"),
        pytest.param(refusal(403, "This action is outside the authorized scopes"), Unauthorized, id="scopes"),
        pytest.param(refusal(403, "Your login is currently disabled"), Unauthorized, id="disabled"),
        pytest.param(refusal(422, "This method requires an authenticated user"), Unauthorized, id="no user"),
        pytest.param(page(302, "Found", Location="/auth/sign_in"), Unauthorized, id="login"),
        pytest.param(Fault(status=200, body=_LOGIN), Unauthorized, id="login page"),
        pytest.param(page(403, "Checking your browser"), OutcomeUnknown, id="a wall before the server"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="html"),
        pytest.param(Fault(status=200, body=b"{}"), OutcomeUnknown, id="no id"),
        pytest.param(page(404, "Not found"), OutcomeUnknown, id="another server"),
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(refusal(429, "Too many requests"), RateLimited, id="429"),
    ],
)
def test_only_a_refused_login_blocks_the_account(
    mastodon: Mastodon, server: FakeMastodon, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("whoami", fault)
    with pytest.raises(error):
        mastodon.whoami()


@pytest.mark.parametrize("token", ["with blank", "with\nline: break", "dengan—é", " "])
def test_what_can_be_no_token_is_told_and_not_sent(client: net.Client, server: FakeMastodon, token: str) -> None:
    with pytest.raises(Unauthorized, match="copy it again"):
        adapter(server, client, access_token=token).whoami()
    assert server.calls == []


def test_blanks_around_token_and_address_do_no_harm(client: net.Client, server: FakeMastodon) -> None:
    platform = adapter(server, client, access_token=f" {server.token}\n", server=f"  {server.url}/ ")
    assert platform.whoami().id == server.account


def test_a_content_warning_is_one_clean_line(client: net.Client, server: FakeMastodon) -> None:
    published(adapter(server, client, content_warning=" Politik\n\x00dalam\u202e negeri "))
    assert server.visible()[0].warning == "Politik dalam negeri"


def test_a_server_that_moved_is_named_and_nothing_is_sent(mastodon: Mastodon, server: FakeMastodon) -> None:
    moved = Fault(status=301, headers={"Location": "https://new.example/somewhere?a=1"})
    server.script("nodeinfo", moved)
    server.script("instance", moved, moved)
    server.script("whoami", moved)
    with pytest.raises(NotSent, match=r"the server is at https://new\.example now; change `server`"):
        mastodon.learn_limits()
    with pytest.raises(OutcomeUnknown, match=r"new\.example"):
        mastodon.whoami()


def test_a_wrong_address_is_suspected_where_there_is_no_account(mastodon: Mastodon, server: FakeMastodon) -> None:
    server.script("whoami", page(404, "Not found"))
    with pytest.raises(OutcomeUnknown, match="is `server` the address"):
        mastodon.whoami()


def test_no_part_of_a_token_is_left_where_words_are_cut(client: net.Client, server: FakeMastodon) -> None:
    server.token = "canaryTOKEN-0a1b2c3d"  # of this one alone
    server.script("whoami", refusal(418, "odd " * 46 + server.token))
    with pytest.raises(OutcomeUnknown) as raised:
        adapter(server, client).whoami()
    assert "canary" not in str(raised.value)


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "length", "url_length", "counts", "alt"),
    [
        pytest.param(Family.MASTODON, 500, 23, counted, 1500, id="mastodon"),
        pytest.param(Family.OLD, 500, 23, counted, 1500, id="old mastodon"),
        pytest.param(Family.PLEROMA, 5000, None, counted, 1500, id="pleroma"),
        pytest.param(Family.GOTOSOCIAL, 5000, None, characters, 5000, id="gotosocial"),
        pytest.param(Family.PIXELFED, 500, None, characters, 1000, id="pixelfed"),
    ],
)
def test_a_server_states_its_own_limits(
    client: net.Client, family: Family, length: int, url_length: int | None, counts: Callable[[str], int], alt: int
) -> None:
    with started(family) as server:
        platform = adapter(server, client)
        platform.learn_limits()
        limits, media = platform.limits, platform.media
        assert media is not None
        assert (limits.length, limits.url_length, limits.count, media.alt_length) == (length, url_length, counts, alt)
        assert (media.types, media.size_bytes, media.side) == (("image/jpeg", "image/png"), 16_777_216, 2000)


def test_a_server_is_asked_each_time_and_not_by_whom_nothing_is_to_be_composed(
    mastodon: Mastodon, server: FakeMastodon
) -> None:
    assert server.calls == []
    mastodon.learn_limits()
    server.documents["/api/v2/instance"] = {"configuration": {"statuses": {"max_characters": 900}}}
    mastodon.learn_limits()
    assert mastodon.limits.length == 900


@pytest.mark.parametrize("family", [Family.MASTODON, Family.GOTOSOCIAL])
def test_a_server_that_shows_nothing_to_strangers_is_asked_with_the_token(client: net.Client, family: Family) -> None:
    with started(family, length=1234) as server:
        server.is_secure = True
        platform = adapter(server, client)
        platform.learn_limits()
        assert platform.limits.length == 1234
        assert all("authorization" not in call.headers for call in server.called("nodeinfo"))


LACKING = [
    pytest.param(page(200, "Welcome"), id="html"),
    pytest.param(page(404, "Not found"), id="404"),
    pytest.param(refusal(400, "Bad request"), id="400"),
    pytest.param(refusal(403, "Forbidden"), id="403"),
    pytest.param(Fault(status=200, body=b'{"configuration":'), id="broken"),
    pytest.param(Fault(status=200, body=b"[]"), id="a list"),
    pytest.param(Fault(status=200, body=b'{"configuration":7}'), id="nonsense"),
    pytest.param(Fault(status=502), id="502"),
    pytest.param(Fault(then=Then.CUT), id="cut"),
    pytest.param(Fault(then=Then.SILENCE), id="silence"),
]


@pytest.mark.parametrize("fault", LACKING)
def test_an_endpoint_that_a_server_lacks_is_passed_over(client: net.Client, fault: Fault) -> None:
    with started(length=700) as server:
        server.script("instance", fault)
        platform = adapter(server, client)
        platform.learn_limits()
        assert platform.limits.length == 700
        assert [call.path for call in server.called("instance")] == ["/api/v2/instance", "/api/v1/instance"]


@pytest.mark.parametrize("fault", LACKING)
def test_a_server_without_any_description_has_the_documented_limits(client: net.Client, fault: Fault) -> None:
    with started(version="4.5.0") as server:
        server.script("instance", fault, page(404, "Not found"))
        platform = adapter(server, client)
        platform.learn_limits()
        limits = platform.limits
        assert (limits.length, limits.url_length, limits.link_length) == (500, 23, link_length)


@pytest.mark.parametrize("fault", LACKING)
def test_without_nodeinfo_the_version_tells_what_the_server_is(client: net.Client, fault: Fault) -> None:
    with started(Family.PLEROMA) as server:
        server.script("nodeinfo", fault)
        published(adapter(server, client))
        assert json.loads(server.called("publish")[0].body)["content_type"] == "text/plain"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=502), NotSent, id="502"),
        pytest.param(page(503, "Unavailable"), NotSent, id="503"),
        pytest.param(Fault(then=Then.GARBAGE), NotSent, id="garbage"),
        pytest.param(Fault(then=Then.CUT), NotSent, id="cut"),
    ],
)
def test_a_server_that_answers_nothing_could_not_be_asked(
    mastodon: Mastodon, server: FakeMastodon, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("nodeinfo", fault)
    server.script("instance", fault, fault)
    with pytest.raises(error):
        mastodon.learn_limits()
    assert len(server.calls) == 3
    assert mastodon.limits.length == 500


@pytest.mark.parametrize("name", ["nodeinfo", "instance"])
def test_a_limit_on_questions_is_waited_for(mastodon: Mastodon, server: FakeMastodon, name: str) -> None:
    server.script(name, refusal(429, "Too many requests", Retry_After="40"))
    with pytest.raises(RateLimited) as raised:
        mastodon.learn_limits()
    assert raised.value.wait == timedelta(seconds=40)


def test_a_token_that_is_refused_where_limits_stand_blocks_the_account(
    mastodon: Mastodon, server: FakeMastodon
) -> None:
    server.is_secure = server.is_revoked = True
    with pytest.raises(Unauthorized):
        mastodon.learn_limits()


def test_where_nothing_listens_only_one_question_is_asked(mastodon: Mastodon, server: FakeMastodon) -> None:
    server.stop()
    with pytest.raises(NotSent, match="refused"):
        mastodon.learn_limits()


def test_questions_about_limits_leave_the_deadline_of_a_post_as_it_is(mastodon: Mastodon) -> None:
    mastodon.http.deadline = timedelta(seconds=60)
    mastodon.learn_limits()
    assert mastodon.http.deadline == timedelta(seconds=60)


ABSURD = [-1, 0, "500", 500.5, None, True, [], 10**20]


@pytest.mark.parametrize("value", ABSURD, ids=repr)
def test_a_limit_that_cannot_be_meant_falls_back_to_the_documented_one(
    mastodon: Mastodon, server: FakeMastodon, value: object
) -> None:
    statuses = dict.fromkeys(("max_characters", "characters_reserved_per_url", "max_media_attachments"), value)
    media = dict.fromkeys(("image_size_limit", "image_matrix_limit", "description_limit"), value)
    media["supported_mime_types"] = value
    server.documents["/api/v2/instance"] = {"configuration": {"statuses": statuses, "media_attachments": media}}
    mastodon.learn_limits()
    assert (mastodon.limits.length, mastodon.limits.url_length) == (500, 23)
    assert mastodon.media is not None
    assert dataclasses.astuple(mastodon.media) == (("image/jpeg", "image/png"), 16_777_216, 2000, 4, 1500)


def test_smaller_limits_of_pictures_are_kept_and_larger_ones_bounded(mastodon: Mastodon, server: FakeMastodon) -> None:
    media = {"image_size_limit": 99_000_000, "image_matrix_limit": 1_000_000, "supported_mime_types": ["image/webp"]}
    server.documents["/api/v2/instance"] = {"configuration": {"media_attachments": media}}
    mastodon.learn_limits()
    assert mastodon.media is not None
    assert (mastodon.media.size_bytes, mastodon.media.side) == (16_777_216, 1000)
    assert "image/jpeg" in mastodon.media.types


@pytest.mark.fault("H12")
@pytest.mark.parametrize(
    "href", ["https://elsewhere.example/nodeinfo/2.0", "nodeinfo/2.0", "https://[", 7, "//elsewhere.example/x"]
)
def test_h12_nodeinfo_on_another_host_is_not_asked(mastodon: Mastodon, server: FakeMastodon, href: object) -> None:
    link = {"rel": "http://nodeinfo.diaspora.software/ns/schema/2.1", "href": href}
    server.documents["/.well-known/nodeinfo"] = {"links": [5, {"rel": "x", "href": "/y"}, link]}
    mastodon.learn_limits()
    assert [call.path for call in server.calls] == ["/.well-known/nodeinfo", "/api/v2/instance"]


def test_nodeinfo_of_a_server_below_a_path_is_asked_there(client: net.Client, server: FakeMastodon) -> None:
    link = {"rel": "http://nodeinfo.diaspora.software/ns/schema/2.0", "href": f"{server.url}/social/nodeinfo/2.0"}
    server.script("other", Fault(status=200, body=json.dumps({"links": [link]}).encode()))
    adapter(server, client, server=f"{server.url}/social").learn_limits()
    assert [call.path for call in server.calls][:2] == ["/social/.well-known/nodeinfo", "/social/nodeinfo/2.0"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param("mastodon", False, id="mastodon"),
        pytest.param("hometown", False, id="a fork"),
        pytest.param("akkoma", True, id="akkoma"),
        pytest.param("gotosocial", True, id="gotosocial"),
        pytest.param("something-new", False, id="unknown"),
    ],
)
def test_only_who_reads_markup_is_told_that_the_text_is_plain(
    mastodon: Mastodon, server: FakeMastodon, name: str, told: bool
) -> None:
    server.documents["/nodeinfo/2.0"] = {"software": {"name": name}}
    options = mastodon.stage(POST, Stage()).data["options"]
    assert options.get("content_type") == ("text/plain" if told else None)


def test_a_fork_that_lists_kinds_of_text_is_told_that_it_is_plain(mastodon: Mastodon, server: FakeMastodon) -> None:
    statuses = {"supported_mime_types": ["text/plain", "text/markdown"]}
    server.documents["/api/v2/instance"] = {"configuration": {"statuses": statuses}}
    assert mastodon.stage(POST, Stage()).data["options"]["content_type"] == "text/plain"


# --- counting and other people's words -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "length"),
    [
        pytest.param("", 0, id="nothing"),
        pytest.param("Jembatan\n\nbaru", 14, id="lines"),
        pytest.param("👨‍👩‍👧‍👦🇮🇩👍🏽", 3, id="emoji"),
        pytest.param("e\u0301", 1, id="mark"),
        pytest.param("क्षेत्र", 4, id="conjuncts, as older servers have them"),
    ],
)
def test_text_is_counted_as_the_server_does(server: FakeMastodon, text: str, length: int) -> None:
    assert (counted(text), server.count(text)) == (length, length)


#: Links as `safe_link` leaves them, and how much of each Mastodon takes for one.
LINKS = [
    pytest.param("https://kaltim.id/2026/11/jembatan-mahakam-dibuka/?id=7&page=2#atas", 67, id="all of it"),
    pytest.param("https://www.kaltim.co.id:8443/x", 31, id="port"),
    pytest.param("https://xn--e1afmkfd.xn--p1ai/x", 31, id="a host in another script"),
    pytest.param("https://kaltim.id/wiki/IKN_(kota_(baru))", 40, id="brackets in brackets"),
    pytest.param("https://kaltim.id/wiki/IKN_(kota/baru/yang/tidak/ditutup", 27, id="a bracket that nothing closes"),
    pytest.param("https://kaltim.id/a(((b)))/panjang-sekali-judulnya", 19, id="brackets too deep"),
    pytest.param("https://kaltim.id/~redaksi~", 26, id="tilde"),
    pytest.param("https://kaltim.id/akhir...", 23, id="full stops"),
    pytest.param("https://kaltim.id/akhir.?id=7&page=2", 23, id="a query after a full stop"),
    pytest.param("https://kaltim.id/?id=(7)", 24, id="a query that ends with a bracket"),
    pytest.param("https://kaltim.id?id=7", 22, id="a query without a path"),
    pytest.param("https://kaltim.id#atas", 17, id="a fragment without a path"),
]
#: Of these nobody can say: newer versions may know the host.
UNSURE = [
    pytest.param("https://kaltim.id./2026/11/jembatan-mahakam-dibuka/", id="a full stop after the host"),
    pytest.param("https://link.amazon/2026/11/jembatan-mahakam-dibuka/", id="a new domain"),
    pytest.param("https://www.news.amazon/2026/11/jembatan-mahakam/", id="a new domain with an old one in it"),
    pytest.param("http://10.0.0.7:8080/2026/11/jembatan-mahakam-dibuka/", id="a number"),
    pytest.param("http://localhost/2026/11/jembatan-mahakam-dibuka/", id="a name without a domain"),
    pytest.param("https://k.test/x", id="a short one"),
]


@pytest.mark.parametrize(("link", "taken"), LINKS)
def test_only_what_mastodon_takes_for_a_link_counts_as_one(server: FakeMastodon, link: str, taken: int) -> None:
    assert link_length(link, 23) == 23 + len(link) - taken == server.count(f"Baca {link}") - 5


@pytest.mark.parametrize("link", UNSURE)
def test_a_link_that_may_be_none_counts_the_longest_way(server: FakeMastodon, link: str) -> None:
    assert link_length(link, 23) >= max(server.count(link), 23)


@pytest.mark.parametrize("link", [pytest.param(case.values[0], id=str(case.id)) for case in LINKS + UNSURE])
def test_a_post_with_any_link_fits_and_is_found_again(server: FakeMastodon, client: net.Client, link: str) -> None:
    platform = adapter(server, client, content_warning="Politik")
    platform.learn_limits()
    account = Account(name="m", platform="mastodon", template="{{ text }} {{ link }}")
    whole = dataclasses.replace(article(text="kata https://éa.id " * 100), link=link)
    post = compose(whole, account, platform.limits, picture=None, now=CREATED)
    assert platform.limits.length - post.length < 60
    assert look(platform, post) is None
    receipt = published(platform, post)
    assert look(platform, post) == receipt.remote_id


def test_a_content_warning_that_leaves_no_room_is_named_where_the_post_does_not_fit(
    server: FakeMastodon, client: net.Client
) -> None:
    platform = adapter(server, client, content_warning="P" * 600)
    platform.learn_limits()
    account = Account(name="m", platform="mastodon", template="{{ title }} {{ link }}")
    with pytest.raises(ComposeError, match="takes 0, since `content_warning` takes 600 of 500"):
        compose(article(), account, platform.limits, picture=None, now=CREATED)


@pytest.mark.parametrize(
    ("scopes", "missing"),
    [
        pytest.param({"read", "write", "follow"}, (), id="all"),
        pytest.param({"read:accounts", "read:statuses", "write:media", "write:statuses"}, (), id="each by name"),
        pytest.param({"write:statuses", "read:accounts"}, ("write:media", "read:statuses"), id="two"),
        pytest.param({"read"}, ("write:statuses", "write:media"), id="only to read"),
    ],
)
def test_the_scopes_that_a_token_lacks_are_named(
    mastodon: Mastodon, server: FakeMastodon, scopes: set[str], missing: tuple[str, ...]
) -> None:
    server.scopes = frozenset(scopes)
    found = mastodon.permissions()
    assert found is not None
    assert tuple(one.partition(" (")[0] for one in found) == missing


@pytest.mark.parametrize("status", [None, 401, 403, 404], ids=["older", "refused", "needs a scope", "no such call"])
def test_a_server_that_names_no_scopes_leaves_them_open(
    mastodon: Mastodon, server: FakeMastodon, status: int | None
) -> None:
    server.names_scopes = False
    if status is not None:
        server.script("application", refusal(status, "no"))
    assert mastodon.permissions() is None


WORDS = "Jembatan Mahakam dibuka kembali 👨‍👩‍👧‍👦 setelah perbaikan क्षेत्र "


@pytest.mark.parametrize("warning", [None, "Politik"])
def test_a_post_that_fills_all_the_room_is_taken(
    relative: FakeMastodon, client: net.Client, tmp_path: Path, warning: str | None
) -> None:
    platform = adapter(relative, client, content_warning=warning)
    platform.learn_limits()
    account = Account(name="m", platform="mastodon", template="{{ text }} {{ link }}")
    post = compose(article(text=WORDS * 200), account, platform.limits, picture=picture(tmp_path), now=CREATED)
    assert platform.limits.length - post.length < 60
    published(platform, post)
    (status,) = relative.visible()
    assert (status.text, status.warning) == (post.text, warning or "")


def article(**words: Any) -> Article:
    return Article(
        id="a", feed="f", origin="o", link=LINK, published=PUBLISHED, first_seen=PUBLISHED, **{"title": "T", **words}
    )


TITLES = [
    "@gubernur: kata @walikota@news.example dan @ibu_kota",
    "Kata (@gubernur), “@walikota” dan.@wakil =@x /@y ＠z @",
    "@",
    "#banjir di #Samarinda, ＃tagar #",
    "**tebal** [x](https://a.example) <b>&amp; `kode` _miring_ :senyum:",
]


@pytest.mark.fault("H05")
@pytest.mark.parametrize("title", TITLES)
def test_h05_words_of_others_mention_nobody_and_make_no_hashtag(
    relative: FakeMastodon, client: net.Client, tmp_path: Path, title: str
) -> None:
    platform = adapter(relative, client)
    platform.learn_limits()
    template = "{{ title }}{{ author }} {{ summary }} {{ categories | join(' ') }}\n{{ link }} #Kaltim"
    words = article(title=title, author=title, summary=title, text=title, categories=(title,))
    account = Account(name="m", platform="mastodon", template=template)
    post = compose(words, account, platform.limits, picture=picture(tmp_path), now=CREATED)
    published(platform, post)
    (status,) = relative.visible()
    assert (status.mentions, status.hashtags) == ((), ("Kaltim",))


@pytest.mark.fault("H06")
@pytest.mark.parametrize("title", TITLES)
def test_h06_a_reader_sees_the_title_as_it_is_written(
    relative: FakeMastodon, client: net.Client, tmp_path: Path, title: str
) -> None:
    platform = adapter(relative, client)
    platform.learn_limits()
    account = Account(name="m", platform="mastodon", template="{{ title }}\n\n{{ link }}")
    post = compose(article(title=title), account, platform.limits, picture=picture(tmp_path), now=CREATED)
    published(platform, post)
    assert html_to_text(relative.visible()[0].content).split("\n")[0] == title


def test_a_mention_in_the_operators_own_template_works_and_a_mail_address_stays_whole(
    mastodon: Mastodon, server: FakeMastodon
) -> None:
    account = Account(name="m", platform="mastodon", template="{{ title }} via @redaksi {{ link }}")
    post = compose(article(title="Surat ke warga@news.example"), account, mastodon.limits, picture=None, now=CREATED)
    published(mastodon, post)
    (status,) = server.visible()
    assert (status.mentions, "warga@news.example" in status.text) == (("redaksi",), True)


# --- the status ------------------------------------------------------------------------------------------------------


def test_the_request_is_exactly_this(mastodon: Mastodon, server: FakeMastodon, pictured: Post) -> None:
    stage = mastodon.stage(pictured, Stage())
    receipt = mastodon.publish(pictured, stage, key=KEY)
    (status,) = server.visible()
    assert receipt == Receipt(remote_id=status.id, url=f"{server.url}/@kaltim/{status.id}")
    (call,) = server.called("publish")
    assert (call.headers["authorization"], call.headers["idempotency-key"]) == (f"Bearer {server.token}", KEY)
    assert json.loads(call.body) == {
        "status": TEXT, "visibility": "public", "language": "id", "media_ids": [stage.data["media"]]
    }  # fmt: skip


def test_what_the_account_wants_goes_with_the_post(client: net.Client, server: FakeMastodon) -> None:
    wanted = {"visibility": "unlisted", "language": "EN", "content_warning": "Politik", "sensitive": True}
    published(adapter(server, client, **wanted))
    (status,) = server.visible()
    assert (status.visibility, status.language, status.warning, status.sensitive) == ("unlisted", "en", "Politik", True)


@pytest.mark.parametrize(
    ("tags", "language"),
    [
        pytest.param(("id-ID", "en"), "id", id="region"),
        pytest.param(("pt_BR",), "pt", id="underscore"),
        pytest.param(("x-klingon", "en"), "en", id="the first that is one"),
        pytest.param(("xx", "indonesian", ""), None, id="none"),
        pytest.param((), None, id="not told"),
    ],
)
def test_only_a_language_that_servers_know_is_named(
    mastodon: Mastodon, server: FakeMastodon, tags: tuple[str, ...], language: str | None
) -> None:
    published(mastodon, dataclasses.replace(POST, languages=tags))
    assert server.visible()[0].language == language


def test_each_relative_takes_the_post_and_gives_its_own_kind_of_id(
    relative: FakeMastodon, client: net.Client, pictured: Post
) -> None:
    receipt = published(adapter(relative, client), pictured)
    (status,) = relative.visible()
    assert (receipt.remote_id, status.text) == (status.id, TEXT)


@pytest.mark.parametrize(
    ("body", "receipt"),
    [
        pytest.param(
            {"id": "1", "url": None, "uri": "https://m.example/s/1"}, ("1", "https://m.example/s/1"), id="uri"
        ),
        pytest.param({"id": 7, "url": "https://m.example/7"}, ("7", "https://m.example/7"), id="a number"),
        pytest.param({"id": "AzFlake1", "url": "javascript:x"}, ("AzFlake1", None), id="no address"),
        pytest.param({"id": "7", "url": "https://m.example/\ud800"}, ("7", None), id="an address that is no text"),
    ],
)
def test_a_receipt_has_the_id_as_text_and_an_address_for_people(
    mastodon: Mastodon, server: FakeMastodon, body: dict[str, object], receipt: tuple[str, str | None]
) -> None:
    server.script("publish", Fault(status=200, body=json.dumps(body).encode()))
    found = published(mastodon)
    assert (found.remote_id, found.url) == receipt


@pytest.mark.fault("D11")
def test_d11_the_bytes_of_a_resend_depend_on_nothing_but_the_attempt(
    relative: FakeMastodon, client: net.Client, pictured: Post
) -> None:
    platform = adapter(relative, client)
    stage = platform.stage(pictured, Stage())
    stored = Stage(data=json.loads(json.dumps(dict(stage.data))))
    relative.script("publish", Fault())
    with pytest.raises(OutcomeUnknown):
        platform.publish(pictured, stage, key=KEY)
    relative.calls.clear()
    other = adapter(relative, client, visibility="unlisted", language="en", content_warning="CW", sensitive=True)
    relative.script("publish", Fault())
    with pytest.raises(OutcomeUnknown):
        other.publish(pictured, stored, key=KEY)
    (call,) = relative.calls
    assert json.loads(call.body) == {
        "status": TEXT, **stage.data["options"], "media_ids": [stage.data["media"]]
    }  # fmt: skip
    assert stage.data["options"]["visibility"] == "public"


def test_only_pixelfed_posts_nothing_without_a_picture(relative: FakeMastodon, client: net.Client) -> None:
    platform = adapter(relative, client)
    platform.learn_limits()
    assert platform.needs_picture is (relative.rules.name == "pixelfed")


def test_an_upload_that_the_server_dropped_meanwhile_is_made_again(
    relative: FakeMastodon, client: net.Client, pictured: Post
) -> None:
    stage = adapter(relative, client).stage(pictured, Stage())
    relative._uploads.clear()
    again = adapter(relative, client).stage(pictured, stage)
    assert again.data["media"] in relative._uploads


@pytest.mark.fault("D17")
@pytest.mark.parametrize("speaks_html", [False, True], ids=["json", "html"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"text": "x" * 6000}, "limit of", id="too long"),
        pytest.param({"text": ""}, "blank", id="empty"),
    ],
)
def test_d17_refused_content_is_refused_with_the_servers_words(
    relative: FakeMastodon, client: net.Client, tmp_path: Path, speaks_html: bool, change: dict[str, str], words: str
) -> None:
    if not change["text"] and relative.rules.demands_picture:
        change, words = {"text": TEXT}, "picture only"
    post = dataclasses.replace(POST, **change)  # type: ignore[arg-type] # only texts
    if relative.rules.demands_picture and change["text"] != TEXT:
        post = dataclasses.replace(post, picture=picture(tmp_path))
    platform = adapter(relative, client)
    stage = platform.stage(post, Stage())
    relative.speaks_html = speaks_html
    with pytest.raises(Rejected, match=words):
        platform.publish(post, stage, key=KEY)
    assert relative.visible() == []


def test_a_visibility_that_the_server_lacks_is_refused_with_what_to_change(client: net.Client, pictured: Post) -> None:
    with started(Family.PIXELFED) as server, pytest.raises(Rejected, match="choose another `visibility`"):
        published(adapter(server, client, visibility="direct"), pictured)


# --- limits of the server --------------------------------------------------------------------------------------------

_DATE = format_datetime(NOW, usegmt=True)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        pytest.param({"X_RateLimit_Reset": "2026-11-24T07:05:01.500000Z"}, timedelta(seconds=120.5), id="iso"),
        pytest.param({"X_RateLimit_Reset": "2026-11-24T08:05:01+01:00"}, timedelta(seconds=120), id="offset"),
        pytest.param({"X_RateLimit_Reset": "1795503901"}, timedelta(seconds=120), id="epoch"),
        pytest.param({"X_RateLimit_Reset": "2026-11-24T07:00:00Z"}, timedelta(seconds=1), id="past"),
        pytest.param({"X_RateLimit_Reset": "2036-11-24T07:00:00Z"}, timedelta(days=7), id="years ahead"),
        pytest.param({"X_RateLimit_Reset": "soon", "Retry_After": "40"}, timedelta(seconds=40), id="garbage"),
        pytest.param({"X_RateLimit_Reset": "2026-11-24T07:05:01"}, timedelta(minutes=5), id="no offset"),
        pytest.param({"X_RateLimit_Reset": "2026-11-24T07:05:01Z", "Date": "now"}, timedelta(minutes=5), id="no date"),
        pytest.param({"Retry_After": "40"}, timedelta(seconds=40), id="retry-after"),
        pytest.param({}, timedelta(minutes=5), id="not said"),
    ],
)
def test_a_limit_is_waited_for_by_the_servers_own_clock(
    mastodon: Mastodon, server: FakeMastodon, headers: dict[str, str], wait: timedelta
) -> None:
    stage = mastodon.stage(POST, Stage())
    server.script("publish", refusal(429, "Too many requests", **{"Date": _DATE.replace("04", "03"), **headers}))
    with pytest.raises(RateLimited) as raised:
        mastodon.publish(POST, stage, key=KEY)
    assert raised.value.wait == wait


def test_the_servers_own_limit_ends_when_it_says(mastodon: Mastodon, server: FakeMastodon) -> None:
    server.limits["publish"], server.limit_ends = 1, NOW + timedelta(hours=2)
    published(mastodon)
    with pytest.raises(RateLimited) as raised:
        published(mastodon, key=OTHER_KEY)
    assert raised.value.wait is not None
    assert timedelta(hours=2) <= raised.value.wait <= timedelta(hours=2, seconds=1)
    server.clock = at(NOW + raised.value.wait)
    published(mastodon, key=OTHER_KEY)
    assert len(server.visible()) == 2


@pytest.mark.parametrize(
    ("family", "headers", "error"),
    [
        pytest.param(Family.GOTOSOCIAL, {"Retry_After": "30"}, RateLimited, id="the throttle of gotosocial"),
        pytest.param(Family.GOTOSOCIAL, {}, OutcomeUnknown, id="gotosocial without a time"),
        pytest.param(Family.PLEROMA, {"Retry_After": "30"}, OutcomeUnknown, id="another server"),
    ],
)
def test_only_a_throttle_that_stands_before_the_post_is_a_limit(
    client: net.Client, family: Family, headers: dict[str, str], error: type[DeliveryError]
) -> None:
    with started(family) as server:
        platform = adapter(server, client)
        stage = platform.stage(POST, Stage())
        server.script("publish", page(503, "Unavailable", **headers))
        with pytest.raises(error):
            adapter(server, client).publish(POST, stage, key=KEY)


# --- pictures --------------------------------------------------------------------------------------------------------


def test_a_picture_is_uploaded_once_with_its_type_name_and_alt_text(
    relative: FakeMastodon, client: net.Client, pictured: Post
) -> None:
    platform = adapter(relative, client)
    stage = platform.stage(pictured, Stage())
    assert adapter(relative, client).stage(pictured, stage) == stage
    assert relative.upload(stage.data["media"]) == ("image/jpeg", "A bridge")
    asked = [call.path for call in relative.called("media")]
    assert asked == ["/api/v2/media"] if relative.rules.has_v2_media else ["/api/v2/media", "/api/v1/media"]
    assert b'filename="picture.jpg"' in relative.called("media")[-1].body
    assert JPEG in relative.called("media")[-1].body


def test_another_picture_is_uploaded_anew(mastodon: Mastodon, server: FakeMastodon, tmp_path: Path) -> None:
    first = mastodon.stage(dataclasses.replace(POST, picture=picture(tmp_path)), Stage())
    other = dataclasses.replace(POST, picture=picture(tmp_path, JPEG + b"another"))
    second = mastodon.stage(other, first)
    assert first.data["media"] != second.data["media"]
    assert "media" not in mastodon.stage(POST, second).data


def test_an_alt_text_is_cut_to_what_the_server_takes(client: net.Client, tmp_path: Path) -> None:
    with started(alt_length=40) as server:
        platform = adapter(server, client)
        platform.learn_limits()
        post = dataclasses.replace(POST, picture=picture(tmp_path, alt="Jembatan Mahakam 👨‍👩‍👧‍👦 " * 20))
        _, alt = server.upload(platform.stage(post, Stage()).data["media"])
        assert alt.endswith("…")
        assert 20 < len(alt) <= 40


def test_a_picture_without_alt_text_has_none(mastodon: Mastodon, server: FakeMastodon, tmp_path: Path) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path, alt=""))
    mastodon.stage(post, Stage())
    assert b"description" not in server.called("media")[0].body


def test_a_picture_in_work_is_polled_and_never_uploaded_twice(
    server: FakeMastodon, client: net.Client, pictured: Post
) -> None:
    server.processing = 2
    stage = Stage()
    for _ in range(2):
        with pytest.raises(NotReady) as raised:
            adapter(server, client).stage(pictured, stage)
        assert raised.value.wait > timedelta(0)
        assert isinstance(raised.value.stage, Stage)
        stage = Stage(data=json.loads(json.dumps(dict(raised.value.stage.data))))
    stage = adapter(server, client).stage(pictured, stage)
    adapter(server, client).publish(pictured, stage, key=KEY)
    assert [call.name for call in server.calls if call.name in ("media", "poll", "publish")] == [
        "media", "poll", "poll", "publish"
    ]  # fmt: skip
    assert server.visible()[0].media == (stage.data["media"],)


def in_work(mastodon: Mastodon, post: Post) -> Stage:
    with pytest.raises(NotReady) as raised:
        mastodon.stage(post, Stage())
    assert isinstance(raised.value.stage, Stage)
    return raised.value.stage


def test_a_picture_that_the_server_cannot_make_is_refused(
    mastodon: Mastodon, server: FakeMastodon, pictured: Post
) -> None:
    server.processing = None
    with pytest.raises(MediaRejected, match="thumbnail"):
        mastodon.stage(pictured, in_work(mastodon, pictured))


def test_a_picture_that_is_gone_before_it_was_ready_is_uploaded_again(
    mastodon: Mastodon, server: FakeMastodon, pictured: Post
) -> None:
    server.processing = 1
    stage = in_work(mastodon, pictured)
    server.forget_uploads()
    server.processing = 0
    assert mastodon.stage(pictured, stage).data["media"] != stage.data["media"]


@pytest.mark.parametrize("fault", [Fault(status=502), Fault(then=Then.CUT), page(200, "Welcome")])
def test_a_poll_that_fails_loses_no_upload(
    mastodon: Mastodon, server: FakeMastodon, pictured: Post, fault: Fault
) -> None:
    server.processing = 1
    stage = in_work(mastodon, pictured)
    server.script("poll", fault)
    with pytest.raises((OutcomeUnknown, NotReady)):
        mastodon.stage(pictured, stage)
    assert mastodon.stage(pictured, stage).data["ready"] is True
    assert len(server.called("media")) == 1


def test_a_picture_whose_file_is_gone_is_refused(mastodon: Mastodon, pictured: Post) -> None:
    assert pictured.picture is not None
    Path(pictured.picture.path).unlink()
    with pytest.raises(MediaRejected, match="cannot be read"):
        mastodon.stage(pictured, Stage())


@pytest.mark.parametrize(
    ("polls", "error", "wait"),
    [
        pytest.param(refusal(206, "x"), RateLimited, timedelta(seconds=10), id="still in work"),
        pytest.param(None, MediaRejected, None, id="ready after all"),
        pytest.param(refusal(422, "Error processing"), MediaRejected, None, id="failed"),
        pytest.param(Fault(status=502), MediaRejected, None, id="not told"),
    ],
)
def test_a_post_sent_before_its_picture_was_ready_made_nothing(
    mastodon: Mastodon,
    server: FakeMastodon,
    pictured: Post,
    polls: Fault | None,
    error: type[DeliveryError],
    wait: timedelta | None,
) -> None:
    stage = mastodon.stage(pictured, Stage())
    server.script("publish", refusal(422, "Cannot attach files that have not finished processing. Try again!"))
    server.script("poll", polls)
    with pytest.raises(error) as raised:
        mastodon.publish(pictured, stage, key=KEY)
    assert getattr(raised.value, "wait", None) == wait
    assert server.visible() == []


# --- unknown outcomes ------------------------------------------------------------------------------------------------

BROKEN = [
    pytest.param(then, made, id=f"{then.value}, made {made.value}")
    for then in (Then.SILENCE, Then.RESET, Then.GARBAGE, Then.ANSWER, Then.CUT)
    for made in (Made.NEVER, Made.AT_ONCE)
]


@pytest.mark.fault("D02")
@pytest.mark.fault("D03")
@pytest.mark.fault("D05")
@pytest.mark.parametrize(("then", "made"), BROKEN)
def test_d02_d03_d05_a_look_shows_whether_a_broken_call_made_the_post(
    relative: FakeMastodon, client: net.Client, pictured: Post, then: Then, made: Made
) -> None:
    platform = adapter(relative, client)
    stage = platform.stage(pictured, Stage())
    relative.script("publish", Fault(then=then, made=made))
    with pytest.raises(OutcomeUnknown):
        platform.publish(pictured, stage, key=KEY)
    found = adapter(relative, client).find(pictured, stage, key=KEY, since=PUBLISHED)
    assert [status.id for status in relative.visible()] == ([found.remote_id] if found else [])
    assert (found is not None) is (made is Made.AT_ONCE)


def test_the_same_key_again_gives_the_first_post_where_it_is_honoured(mastodon: Mastodon, server: FakeMastodon) -> None:
    first = published(mastodon)
    assert published(mastodon) == first
    assert len(server.visible()) == 1


@pytest.mark.fault("D07")
def test_d07_a_repeat_that_is_answered_with_500_is_unknown_and_found(mastodon: Mastodon, server: FakeMastodon) -> None:
    first = published(mastodon)
    server.fails_repeats = True
    with pytest.raises(OutcomeUnknown):
        published(mastodon)
    assert mastodon.find(POST, Stage(), key=KEY, since=PUBLISHED) == first


@pytest.mark.fault("D07")
@pytest.mark.parametrize("family", [Family.MASTODON, Family.GOTOSOCIAL])
def test_d07_a_used_picture_leads_to_the_post_that_has_it(client: net.Client, pictured: Post, family: Family) -> None:
    with started(family, remembers=None) as server:
        platform = adapter(server, client)
        stage = platform.stage(pictured, Stage())
        first = platform.publish(pictured, stage, key=KEY)
        with pytest.raises(AlreadyPosted) as raised:
            platform.publish(pictured, stage, key=KEY)
        assert (raised.value.receipt, raised.value.ours) == (first, True)
        assert len(server.visible()) == 1


def test_a_picture_that_the_server_dropped_is_refused_where_no_post_has_it(
    mastodon: Mastodon, server: FakeMastodon, pictured: Post
) -> None:
    stage = mastodon.stage(pictured, Stage())
    server.forget_uploads()
    with pytest.raises(MediaRejected, match="not found"):
        mastodon.publish(pictured, stage, key=KEY)


@pytest.mark.fault("D07")
def test_d07_a_dropped_picture_and_a_post_made_by_hand_are_not_ours(
    mastodon: Mastodon, server: FakeMastodon, pictured: Post
) -> None:
    stage = mastodon.stage(pictured, Stage())
    server.forget_uploads()
    by_hand = server.post_by_hand(f"Baca {LINK}")
    with pytest.raises(AlreadyPosted) as raised:
        mastodon.publish(pictured, stage, key=KEY)
    assert raised.value.receipt is not None
    assert (raised.value.receipt.remote_id, raised.value.ours) == (by_hand.id, False)


@pytest.mark.parametrize("fault", [Fault(status=502), Fault(then=Then.CUT), Fault(status=200, body=b"{}")])
def test_a_dropped_picture_is_unknown_where_the_posts_cannot_be_read(
    mastodon: Mastodon, server: FakeMastodon, pictured: Post, fault: Fault
) -> None:
    stage = mastodon.stage(pictured, Stage())
    server.forget_uploads()
    server.script("find", fault)
    with pytest.raises(OutcomeUnknown):
        mastodon.publish(pictured, stage, key=KEY)


@pytest.mark.fault("D07")
def test_d07_a_key_that_pixelfed_knows_is_a_post_only_if_it_can_be_seen(client: net.Client, pictured: Post) -> None:
    with started(Family.PIXELFED) as server:
        platform = adapter(server, client)
        stage = platform.stage(pictured, Stage())
        too_long = dataclasses.replace(pictured, text="x" * 501)
        with pytest.raises(Rejected):
            platform.publish(too_long, stage, key=KEY)
        with pytest.raises(AlreadyPosted) as raised:
            platform.publish(pictured, stage, key=KEY)
        assert (raised.value.receipt, raised.value.ours) == (None, False)
        first = platform.publish(pictured, stage, key=OTHER_KEY)
        with pytest.raises(AlreadyPosted) as raised:
            platform.publish(pictured, stage, key=OTHER_KEY)
        assert (raised.value.receipt, raised.value.ours) == (first, True)
        server.script("find", Fault(status=502))
        with pytest.raises(AlreadyPosted) as raised:
            platform.publish(pictured, stage, key=OTHER_KEY)
        assert (raised.value.receipt, raised.value.ours) == (None, False)


@pytest.mark.fault("D06")
@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"id":', b'{"id":null}', b'{"id":""}', b"[]", b'{"id":true}', b'{"id":"\\ud800"}']
)
def test_d06_a_success_without_an_id_is_unknown_and_found_later(
    mastodon: Mastodon, server: FakeMastodon, body: bytes
) -> None:
    stage = mastodon.stage(POST, Stage())
    server.script("publish", Fault(made=Made.AT_ONCE, status=200, body=body))
    with pytest.raises(OutcomeUnknown):
        mastodon.publish(POST, stage, key=KEY)
    found = mastodon.find(POST, stage, key=KEY, since=CREATED)
    assert found is not None
    assert found.remote_id == server.visible()[0].id


def test_the_guard_is_asked_for_the_post_and_for_nothing_before(
    mastodon: Mastodon, server: FakeMastodon, pictured: Post
) -> None:
    asked: list[int] = []

    def guard() -> None:
        asked.append(len(server.calls))
        raise RuntimeError("the lease is lost")

    mastodon.http.guard = guard
    stage = mastodon.stage(pictured, Stage())
    assert asked == []
    with pytest.raises(NotSent):
        mastodon.publish(pictured, stage, key=KEY)
    assert (len(asked), server.called("publish")) == (1, [])


# --- find ------------------------------------------------------------------------------------------------------------

WRITTEN = "http://NEWS.example:80/2026/11/jembatan-mahakam-dibuka?id=7&page=2&utm_source=x#top"


def look(platform: Mastodon, post: Post = POST, *, since: datetime = PUBLISHED) -> str | None:
    found = platform.find(post, Stage(), key=None, since=since)
    return found.remote_id if found else None


@pytest.mark.fault("D23")
def test_d23_a_post_made_by_hand_is_found_by_its_link(relative: FakeMastodon, client: net.Client) -> None:
    by_hand = relative.post_by_hand(f"Baca ini: {WRITTEN}")
    relative.post_by_hand("Selamat pagi")
    assert look(adapter(relative, client)) == by_hand.id


def shown(**entry: Any) -> Fault:
    """The account's list as a server might show it."""
    status = {"id": "1", "created_at": "2026-11-24T07:01:00.000Z", "content": "", "url": "https://m.example/1"}
    return Fault(status=200, body=json.dumps([status | entry]).encode())


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"content": f"<p><a href='{LINK.replace('&', '&amp;')}'>x</a></p>"}, id="single quotes"),
        pytest.param({"content": f'<a HREF = "{LINK.replace("&", "&#38;")}">x</a>'}, id="entities"),
        pytest.param({"content": f"<p>({LINK.replace('&', '&amp;')}).</p>"}, id="text"),
        pytest.param({"card": {"url": LINK}}, id="card"),
        pytest.param({"card": {"url": LINK}, "created_at": "soon"}, id="no time"),
        pytest.param({"card": {"url": LINK}, "id": 1}, id="a number as id"),
        pytest.param({"card": {"url": f"{LINK}#komentar"}}, id="a place on the page"),
    ],
)
def test_a_link_is_found_wherever_a_server_shows_it(
    mastodon: Mastodon, server: FakeMastodon, entry: dict[str, Any]
) -> None:
    server.script("find", shown(**entry))
    assert look(mastodon) == "1"


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param({"content": '<a href="https://news.example/other/">x</a>'}, id="another page"),
        pytest.param({"card": {"url": LINK}, "reblog": {"id": "2"}}, id="a boost"),
        pytest.param({"card": {"url": LINK}, "in_reply_to_id": "2"}, id="a reply"),
        pytest.param({"card": {"url": LINK}, "created_at": "2026-11-24T06:00:00Z"}, id="older"),
        pytest.param({"content": None, "card": 7}, id="nonsense"),
    ],
)
def test_what_is_not_the_post_is_not_it(mastodon: Mastodon, server: FakeMastodon, entry: dict[str, Any]) -> None:
    server.script("find", shown(**entry), Fault(status=200, body=b"[]"))
    assert look(mastodon) is None


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        pytest.param("https://news.example/blog/#entry-2", "https://news.example/blog/#entry-1", id="places on a page"),
        pytest.param("https://news.example/", "https://news.example/", id="a link that names no article"),
    ],
)
def test_another_article_behind_the_same_address_is_not_the_post(
    mastodon: Mastodon, server: FakeMastodon, ours: str, other: str
) -> None:
    server.post_by_hand(f"Kabar pertama\n\n{other}")
    second = dataclasses.replace(POST, text=f"Kabar kedua\n\n{ours}", link=ours)
    assert look(mastodon, second) is None
    receipt = published(mastodon, second)
    assert look(mastodon, second) == receipt.remote_id


def test_a_fragment_that_only_counts_readers_names_no_place(mastodon: Mastodon, server: FakeMastodon) -> None:
    by_hand = server.post_by_hand("https://news.example/blog/")
    link = "https://news.example/blog/#xtor=RSS-1"
    assert look(mastodon, dataclasses.replace(POST, text=link, link=link)) == by_hand.id


def test_posts_of_many_thousand_characters_do_not_fail_a_look(mastodon: Mastodon, server: FakeMastodon) -> None:
    by_hand = server.post_by_hand(LINK)
    for number in range(45):
        server.post_by_hand("kata " * 6_000, at=PUBLISHED + timedelta(minutes=5 + number))
    assert look(mastodon) == by_hand.id


def test_a_post_without_a_link_is_found_by_its_text(relative: FakeMastodon, client: net.Client, tmp_path: Path) -> None:
    text = "Selamat pagi & “salam” @\u2060redaksi\n\n#Kaltim <3"
    plain = dataclasses.replace(POST, text=text, link=None, picture=picture(tmp_path))
    platform = adapter(relative, client)
    relative.post_by_hand("Selamat pagi & salam")
    assert look(platform, plain) is None
    receipt = published(platform, plain)
    assert look(platform, plain) == receipt.remote_id


def test_a_post_of_this_very_moment_is_found_though_servers_know_only_milliseconds(
    mastodon: Mastodon, server: FakeMastodon
) -> None:
    server.clock = at(CREATED)
    receipt = published(mastodon)
    assert look(mastodon, since=CREATED) == receipt.remote_id


def fill(server: FakeMastodon, count: int, *, step: timedelta = timedelta(seconds=30), since: datetime = NOW) -> None:
    """Posts without the link, one every `step`."""
    for number in range(1, count + 1):
        server.post_by_hand(f"Berita {number}", at=since + number * step)


def test_an_old_article_is_found_behind_pages_of_newer_posts(relative: FakeMastodon, client: net.Client) -> None:
    by_hand = relative.post_by_hand(LINK)
    fill(relative, 50)
    assert look(adapter(relative, client)) == by_hand.id
    assert ["max_id" in call.params for call in relative.called("find")] == [False, True, True]


def test_a_look_ends_where_older_posts_begin(mastodon: Mastodon, server: FakeMastodon) -> None:
    fill(server, 200, step=timedelta(minutes=-10), since=PUBLISHED)
    assert look(mastodon) is None
    assert len(server.called("find")) == 1


def test_pinned_posts_that_come_first_do_not_end_a_look(relative: FakeMastodon, client: net.Client) -> None:
    for day in range(1, 6):
        relative.post_by_hand("Tentang kami", at=PUBLISHED - timedelta(days=day), pinned=True)
    by_hand = relative.post_by_hand(LINK)
    fill(relative, 60)
    assert look(adapter(relative, client)) == by_hand.id


@pytest.mark.parametrize("flagged", [True, False])
def test_a_page_out_of_order_does_not_end_a_look(mastodon: Mastodon, server: FakeMastodon, flagged: bool) -> None:
    pinned = {"pinned": True} if flagged else {}
    times = [(1, "2026-11-20", pinned), (2, "2026-11-19", {}), (3, "2026-11-21", {})]
    first = [{"id": str(n), "created_at": f"{day}T07:00:00Z", **more} for n, day, more in times]
    entry = {"id": "4", "created_at": "2026-11-24T07:01:00Z", "card": {"url": LINK}, "content": ""}
    server.script("find", *(Fault(status=200, body=json.dumps(page).encode()) for page in (first, [entry])))
    assert look(mastodon) == "4"


def test_more_posts_than_are_looked_through_decide_nothing(mastodon: Mastodon, server: FakeMastodon) -> None:
    fill(server, 410)
    with pytest.raises(Undecided, match="more than 400"):
        look(mastodon)


def test_a_server_that_does_not_page_decides_nothing(mastodon: Mastodon, server: FakeMastodon) -> None:
    server.ignores_paging = True
    fill(server, 60)
    with pytest.raises(Undecided, match="repeats itself"):
        look(mastodon)


def test_a_last_post_that_is_shown_again_ends_the_list(mastodon: Mastodon, server: FakeMastodon) -> None:
    server.script("find", shown(), shown())
    assert look(mastodon) is None


def test_an_empty_list_counts_only_if_the_token_is_good(mastodon: Mastodon, server: FakeMastodon) -> None:
    server.hides_from_strangers = True
    assert look(mastodon) is None
    server.is_revoked = True
    with pytest.raises(Unauthorized):
        look(mastodon)


def test_the_account_is_asked_for_once(mastodon: Mastodon, server: FakeMastodon) -> None:
    server.post_by_hand("Selamat pagi")
    look(mastodon)
    look(mastodon)
    assert len(server.called("whoami")) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(then=Then.SILENCE), (NotSent, OutcomeUnknown), id="silence"),
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(Fault(), OutcomeUnknown, id="500"),
        pytest.param(refusal(404, "Record not found"), OutcomeUnknown, id="404"),
        pytest.param(refusal(429, "Too many requests"), RateLimited, id="429"),
        pytest.param(refusal(401, "The access token is invalid"), Unauthorized, id="401"),
        pytest.param(refusal(403, "This action is outside the authorized scopes"), Unauthorized, id="scopes"),
        pytest.param(page(302, "Found", Location="/login"), Unauthorized, id="login"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="html"),
        pytest.param(Fault(status=200, body=b'{"error":"x"}'), OutcomeUnknown, id="an object"),
        pytest.param(Fault(status=200, body=b"[7]"), OutcomeUnknown, id="no statuses"),
        pytest.param(Fault(status=200, body=b'[{"id":""}]'), OutcomeUnknown, id="no ids"),
        pytest.param(Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown, id="cut"),
    ],
)
def test_a_look_that_fails_is_no_absence(
    mastodon: Mastodon, server: FakeMastodon, fault: Fault, error: type[DeliveryError] | tuple[type[DeliveryError], ...]
) -> None:
    server.script("find", fault)
    with pytest.raises(error):
        look(mastodon)


def test_visible_is_what_a_reader_sees(server: FakeMastodon) -> None:
    made = server.post_by_hand("@walikota lihat #banjir https://news.example/@x")
    assert isinstance(made, Status)
    assert (made.mentions, made.hashtags) == (("walikota",), ("banjir",))
    server.delete(made)
    assert server.visible() == []
    assert graphemes("👨‍👩‍👧‍👦") == server.count("👨‍👩‍👧‍👦") == 1
