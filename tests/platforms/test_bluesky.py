"""Bluesky against a strict server of its kind on loopback."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from autopublish import net
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
from autopublish.models import Identity, Picture, Post, Receipt, Span, SpanKind, Stage
from autopublish.platforms._http import Http
from autopublish.platforms.bluesky import Bluesky, key_time, make_record, record_key
from autopublish.redaction import MARK, redact
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.servers import scripted
from tests.servers.pds import FakePds, Fault, Made, Then

KEY = "0123456789abcdef0123456789abcdef"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3, microseconds=123_456)
LINK = "https://news.example/2026/11/grüße/?id=7"
TEXT = f"Grüße 👨‍👩‍👧‍👦 from @editor.example\n{LINK}\n#Kaltim #IKN"
JPEG = b"\xff\xd8\xff\xe0" + b"a picture" * 20


def span(kind: SpanKind, shown: str, value: str, text: str = TEXT) -> Span:
    start = text.index(shown)
    return Span(kind=kind, start=start, end=start + len(shown), value=value)


POST = Post(
    text=TEXT,
    link=LINK,
    title="Grüße",
    summary="The lead.",
    spans=(
        span(SpanKind.HASHTAG, "#Kaltim", "Kaltim"),
        span(SpanKind.HASHTAG, "#IKN", "IKN"),
        span(SpanKind.LINK, LINK, LINK),
    ),
    languages=("id",),
    created_at=CREATED,
    published=PUBLISHED,
)
TID = record_key(POST, KEY)
URI = f"at://{FakePds.did}/app.bsky.feed.post/{TID}"
RECEIPT = Receipt(remote_id=URI, url=f"https://bsky.app/profile/{FakePds.did}/post/{TID}")


def picture(folder: Path, content: bytes = JPEG) -> Picture:
    digest = hashlib.sha256(content).hexdigest()
    path = folder / digest
    path.write_bytes(content)
    return Picture(path=str(path), sha256=digest, type="image/jpeg", width=120, height=63, size_bytes=len(content))


@pytest.fixture
def pds() -> Iterator[FakePds]:
    with FakePds() as server:
        yield server


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def bluesky(pds: FakePds, client: net.Client) -> Bluesky:
    return adapter(pds, client)


def adapter(pds: FakePds, client: net.Client) -> Bluesky:
    settings = {"service": pds.url, "identifier": pds.handle, "app_password": pds.password}
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Bluesky(Bluesky.Settings.model_validate(settings), http)


def refusal(error: str, message: str = "", *, status: int = 400, **headers: str) -> Fault:
    body = json.dumps({"error": error, "message": message}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(then=Then.ANSWER, status=status, body=body, headers=named)


# --- the contract test's part ----------------------------------------------------------------------------------------

_TOO_LONG = "Invalid app.bsky.feed.post record: grapheme too big (maximum 300, got 301) at $.record.text"
_TOO_BIG = (
    "Invalid app.bsky.feed.post record: blob too big (maximum 1000000, got 1000181) at $.record.embed.external.thumb"
)
_ECHO = f'{{"error":"Odd","message":"you said {FakePds.password} access.0.{"s" * 40} refresh.0.{"s" * 40}"}}'.encode()

_OTHER_ID = b'{"uri":"at://did:plc:ifq52y2rbja5zmqyb75gl5en/app.bsky.feed.post/3mexamplekaaa"}'

#: Failure -> the call that fails, how, and what `publish` raises.
FAILURES: dict[str, tuple[str, Fault, type[DeliveryError]]] = {
    "login-refused": ("createSession", refusal("AuthenticationRequired", status=401), Unauthorized),
    "login-malformed": ("createSession", refusal("InvalidRequest", "Missing key"), Unauthorized),
    "login-takedown": ("createSession", refusal("AccountTakedown", status=401), Unauthorized),
    "login-second-factor": ("createSession", refusal("AuthFactorTokenRequired", status=401), Unauthorized),
    "login-limited": ("createSession", refusal("RateLimitExceeded", status=429), RateLimited),
    "login-down": ("createSession", refusal("UpstreamFailure", status=502), NotSent),
    "login-silent": ("createSession", Fault(then=Then.SILENCE), NotSent),
    "login-reset": ("createSession", Fault(then=Then.RESET), NotSent),
    "login-cut": ("createSession", Fault(then=Then.CUT, made=Made.AT_ONCE), NotSent),
    "login-not-json": ("createSession", Fault(then=Then.ANSWER, status=200, body=b"<html>"), NotSent),
    "login-empty": ("createSession", Fault(then=Then.ANSWER, status=200, body=b"{}"), NotSent),
    "login-echoes": ("createSession", Fault(then=Then.ANSWER, status=401, body=_ECHO), Unauthorized),
    "upload-silent": ("uploadBlob", Fault(then=Then.SILENCE), NotSent),
    "upload-refused": ("uploadBlob", refusal("BlobTooLarge", "This file is too large"), MediaRejected),
    "upload-too-big": ("uploadBlob", refusal("PayloadTooLarge", status=413), MediaRejected),
    "upload-down": ("uploadBlob", refusal("InternalServerError", status=500), NotSent),
    "upload-not-json": ("uploadBlob", Fault(then=Then.ANSWER, status=200, body=b"<html>"), NotSent),
    "upload-without-reference": ("uploadBlob", Fault(then=Then.ANSWER, status=200, body=b"{}"), NotSent),
    "text-refused": ("putRecord", refusal("InvalidRequest", _TOO_LONG), Rejected),
    "picture-refused": ("putRecord", refusal("InvalidRequest", _TOO_BIG), MediaRejected),
    "token-refused": ("putRecord", refusal("InvalidToken"), Unauthorized),
    "no-token": ("putRecord", refusal("AuthMissing", status=401), Unauthorized),
    "forbidden": ("putRecord", refusal("AccountNotFound", status=403), Unauthorized),
    "limited": ("putRecord", refusal("RateLimitExceeded", status=429), RateLimited),
    "unlisted-400": ("putRecord", refusal("SomethingNew"), OutcomeUnknown),
    "html-400": ("putRecord", Fault(then=Then.ANSWER, status=400, body=b"<h1>Bad request</h1>"), OutcomeUnknown),
    "unlisted-409": ("putRecord", refusal("InvalidRequest", status=409), OutcomeUnknown),
    "500": ("putRecord", refusal("InternalServerError", status=500), OutcomeUnknown),
    "500-invalid-request": ("putRecord", refusal("InvalidRequest", status=500), OutcomeUnknown),
    "502": ("putRecord", Fault(then=Then.ANSWER, status=502, body=b"<html>Bad gateway</html>"), OutcomeUnknown),
    "503": ("putRecord", refusal("NotEnoughResources", status=503), OutcomeUnknown),
    "504": ("putRecord", Fault(then=Then.ANSWER, status=504, body=b""), OutcomeUnknown),
    "redirect": (
        "putRecord",
        Fault(then=Then.ANSWER, status=307, headers={"Location": "http://127.0.0.1:9/other"}, body=b""),
        OutcomeUnknown,
    ),
    "reset": ("putRecord", Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": ("putRecord", Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": ("putRecord", Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": ("putRecord", Fault(then=Then.GARBAGE), OutcomeUnknown),
    "not-json": ("putRecord", Fault(then=Then.ANSWER, status=200, body=b"created"), OutcomeUnknown),
    "without-id": ("putRecord", Fault(then=Then.ANSWER, status=200, body=b"{}"), OutcomeUnknown),
    "another-id": (
        "putRecord",
        Fault(then=Then.ANSWER, status=200, body=_OTHER_ID),
        OutcomeUnknown,
    ),
    "huge": ("putRecord", Fault(then=Then.ANSWER, status=200, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": ("putRecord", Fault(then=Then.ANSWER, status=400, body=_ECHO), OutcomeUnknown),
}


def as_pds(fault: scripted.Fault) -> Fault:
    """The same fault in the words of this server."""
    return Fault(
        then=Then(fault.then.value),
        made=Made(fault.made.value),
        status=fault.status,
        body=fault.body,
        headers=fault.headers,
    )


def mentioned(record: Mapping[str, Any]) -> tuple[str, ...]:
    """The people whom a record tells of itself."""
    features = [feature for facet in record.get("facets", ()) for feature in facet["features"]]
    return tuple(feature["did"] for feature in features if feature["$type"] == "app.bsky.richtext.facet#mention")


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakePds() as pds, closing(net.Client(user_agent="autopublish-tests")) as client:

        def fail(name: str) -> None:
            call, fault, _ = FAILURES[name]
            pds.script(call, fault)

        yield Bench(
            make=lambda: adapter(pds, client),
            post=dataclasses.replace(POST, picture=picture(folder)),
            sent=lambda: [call.body for call in pds.called("putRecord")],
            visible=lambda: len(pds.visible()),
            seen=lambda: Shown(text=pds.visible()[0].text, pinged=mentioned(pds.visible()[0].record)),
            secrets=(pds.password, f"access.0.{'s' * 40}", f"refresh.0.{'s' * 40}"),
            network=Network(
                unplug=pds.stop,
                silence=lambda: pds.script("putRecord", Fault(then=Then.SILENCE)),
                fail=fail,
                answer=lambda fault: pds.script("putRecord", as_pds(fault)),
            ),
        )


CONTRACT = Contract(bench=bench, failures={name: error for name, (_, _, error) in FAILURES.items()})


# --- settings and login ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        pytest.param("news.example", "news.example", id="handle"),
        pytest.param(" @News.Example ", "news.example", id="as people write it"),
        pytest.param("did:plc:ifq52y2rbja5zmqyb75gl5en", "did:plc:ifq52y2rbja5zmqyb75gl5en", id="did"),
    ],
)
def test_an_identifier_is_read_as_meant(written: str, meant: str) -> None:
    settings = Bluesky.Settings.model_validate({"identifier": written, "app_password": "x"})
    assert settings.identifier == meant
    assert str(settings.service) == "https://bsky.social/"


@pytest.mark.parametrize("written", ["news", "me@news.example", "", "https://bsky.app/profile/news.example"])
def test_what_is_no_handle_is_refused_at_once(written: str) -> None:
    with pytest.raises(ValidationError, match="expected a handle"):
        Bluesky.Settings.model_validate({"identifier": written, "app_password": "x"})


def test_the_tokens_of_a_login_are_known_as_secrets_as_long_as_it_lasts(bluesky: Bluesky) -> None:
    tokens = [f"{kind}.0.{'s' * 40}" for kind in ("access", "refresh")]
    bluesky.whoami()
    assert [redact(f"<{token}>") for token in tokens] == [f"<{MARK}>"] * 2
    bluesky._session = None
    gc.collect()
    assert [redact(token) for token in tokens] == tokens


def test_whoami_names_the_did_and_the_handle(bluesky: Bluesky) -> None:
    assert bluesky.whoami() == Identity(
        id=FakePds.did, name="kaltim.test", url=f"https://bsky.app/profile/{FakePds.did}"
    )


def test_one_login_serves_everything_that_an_adapter_does(bluesky: Bluesky, pds: FakePds) -> None:
    assert pds.calls == []
    bluesky.whoami()
    bluesky.find(POST, Stage(), key=None, since=PUBLISHED)
    bluesky.publish(POST, Stage(), key=KEY)
    assert [call.name for call in pds.calls] == ["createSession", "listRecords", "putRecord"]


def test_an_account_that_is_not_active_is_not_authorised(bluesky: Bluesky, pds: FakePds) -> None:
    pds.active, pds.status = False, "suspended"
    with pytest.raises(Unauthorized, match="suspended"):
        bluesky.publish(POST, Stage(), key=KEY)


def document(endpoint: object, kind: str = "#atproto_pds") -> dict[str, Any]:
    return {"id": FakePds.did, "service": [{"id": "#other"}, {"id": kind, "serviceEndpoint": endpoint}]}


def test_records_go_to_the_server_that_the_login_names(bluesky: Bluesky, pds: FakePds) -> None:
    with FakePds() as home:
        home.trust(pds)
        pds.document = document(home.url)
        assert bluesky.publish(POST, Stage(), key=KEY) == RECEIPT
        assert ([call.name for call in pds.calls], len(home.visible())) == (["createSession"], 1)


def test_an_expired_login_is_renewed_where_it_was_given(bluesky: Bluesky, pds: FakePds) -> None:
    with FakePds() as home:
        home.trust(pds)
        pds.document = document(home.url)
        bluesky.whoami()
        pds.expire_access()
        assert bluesky.publish(POST, Stage(), key=KEY) == RECEIPT
        assert [call.name for call in pds.calls] == ["createSession", "refreshSession"]
        assert [call.name for call in home.calls] == ["putRecord", "putRecord"]


@pytest.mark.fault("H12")
@pytest.mark.parametrize(
    ("service", "endpoint", "used"),
    [
        pytest.param(
            "https://bsky.social", "https://shimeji.host.example/", "https://shimeji.host.example", id="https"
        ),
        pytest.param("https://bsky.social", "http://shimeji.host.example", None, id="plain http"),
        pytest.param("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:2", id="http where asked by http"),
        pytest.param("https://bsky.social", "https://me:pw@host.example", None, id="credentials"),
        pytest.param("https://bsky.social", "https://host.example/?to=x", None, id="query"),
        pytest.param("https://bsky.social", "https://", None, id="no host"),
        pytest.param("https://bsky.social", "https://[", None, id="broken"),
        pytest.param("https://bsky.social", 5, None, id="no text"),
    ],
)
def test_h12_the_token_goes_only_to_a_server_that_can_be_trusted(
    service: str, endpoint: object, used: str | None
) -> None:
    from autopublish.platforms.bluesky import _pds_of

    assert _pds_of(document(endpoint), service) == used
    assert _pds_of(document(endpoint, "#labeler"), service) is None


@pytest.mark.fault("D14")
def test_d14_an_expired_token_is_refreshed_once_and_the_post_made_once(bluesky: Bluesky, pds: FakePds) -> None:
    bluesky.whoami()
    pds.expire_access()
    assert bluesky.publish(POST, Stage(), key=KEY) == RECEIPT
    assert [call.name for call in pds.calls] == ["createSession", "putRecord", "refreshSession", "putRecord"]
    assert len(pds.visible()) == 1


@pytest.mark.fault("D14")
def test_d14_where_the_refresh_has_expired_too_a_new_login_follows(bluesky: Bluesky, pds: FakePds) -> None:
    bluesky.whoami()
    pds.expire_access()
    pds.expire_refresh()
    assert bluesky.publish(POST, Stage(), key=KEY) == RECEIPT
    assert len(pds.called("createSession")) == 2


@pytest.mark.fault("D14")
@pytest.mark.parametrize(
    ("name", "fault", "error"),
    [
        pytest.param("putRecord", refusal("ExpiredToken"), Unauthorized, id="expired again"),
        pytest.param("refreshSession", refusal("UpstreamFailure", status=502), NotSent, id="refresh down"),
        pytest.param("refreshSession", Fault(then=Then.RESET), NotSent, id="refresh broken off"),
        pytest.param("refreshSession", refusal("RateLimitExceeded", status=429), RateLimited, id="refresh limited"),
    ],
)
def test_d14_what_fails_after_the_expiry_leaves_nothing_posted(
    bluesky: Bluesky, pds: FakePds, name: str, fault: Fault, error: type[DeliveryError]
) -> None:
    bluesky.whoami()
    pds.expire_access()
    pds.script(name, *([None] if name == "putRecord" else []), fault)
    with pytest.raises(error):
        bluesky.publish(POST, Stage(), key=KEY)
    assert pds.visible() == []


# --- the record ------------------------------------------------------------------------------------------------------


def test_the_request_is_exactly_this(bluesky: Bluesky, pds: FakePds, tmp_path: Path) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path))
    stage = bluesky.stage(post, Stage())
    assert bluesky.publish(post, stage, key=KEY) == RECEIPT
    uri = "https://news.example/2026/11/gr%C3%BC%C3%9Fe/?id=7"
    (call,) = pds.called("putRecord")
    assert call.headers["Authorization"] == f"Bearer access.0.{'s' * 40}"
    assert json.loads(call.body) == {
        "repo": FakePds.did,
        "collection": "app.bsky.feed.post",
        "rkey": TID,
        "swapRecord": None,
        "record": {
            "$type": "app.bsky.feed.post",
            "text": TEXT,
            "createdAt": "2026-11-24T07:03:00.123Z",
            "langs": ["id"],
            "facets": [
                {
                    "index": {"byteStart": 55, "byteEnd": 97},
                    "features": [{"$type": "app.bsky.richtext.facet#link", "uri": uri}],
                },
                {
                    "index": {"byteStart": 98, "byteEnd": 105},
                    "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "Kaltim"}],
                },
                {
                    "index": {"byteStart": 106, "byteEnd": 110},
                    "features": [{"$type": "app.bsky.richtext.facet#tag", "tag": "IKN"}],
                },
            ],
            "embed": {
                "$type": "app.bsky.embed.external",
                "external": {"uri": uri, "title": "Grüße", "description": "The lead.", "thumb": stage.data["blob"]},
            },
        },
    }


def test_each_facet_covers_the_bytes_of_what_it_names() -> None:
    record, content = make_record(POST, Stage()), TEXT.encode()
    covered = [content[f["index"]["byteStart"] : f["index"]["byteEnd"]].decode() for f in record["facets"]]
    assert covered == [LINK, "#Kaltim", "#IKN"]


@pytest.mark.parametrize(
    "dropped",
    [
        pytest.param(Span(kind=SpanKind.HASHTAG, start=0, end=3, value="a" * 65), id="hashtag of 65"),
        pytest.param(Span(kind=SpanKind.HASHTAG, start=0, end=3, value="👨‍👩‍👧‍👦" * 26), id="hashtag of 650 bytes"),
        pytest.param(Span(kind=SpanKind.HASHTAG, start=0, end=3, value=""), id="empty hashtag"),
        pytest.param(Span(kind=SpanKind.HASHTAG, start=3, end=3, value="x"), id="empty range"),
        pytest.param(Span(kind=SpanKind.HASHTAG, start=-3, end=3, value="x"), id="before the text"),
        pytest.param(Span(kind=SpanKind.HASHTAG, start=7, end=11, value="x"), id="beyond the text"),
        pytest.param(Span(kind=SpanKind.HASHTAG, start=5, end=9, value="x"), id="overlapping"),
        pytest.param(Span(kind=SpanKind.LINK, start=0, end=3, value="javascript:alert(1)"), id="another scheme"),
        pytest.param(Span(kind=SpanKind.LINK, start=0, end=3, value="https://[x"), id="broken link"),
        pytest.param(Span(kind=SpanKind.LINK, start=0, end=3, value="/relative"), id="relative link"),
    ],
)
def test_a_span_that_would_be_refused_or_misplaced_stays_plain_text(dropped: Span) -> None:
    good = Span(kind=SpanKind.HASHTAG, start=4, end=6, value="b")
    post = dataclasses.replace(POST, text="abc #b xyz", spans=(dropped, good))
    assert [f["features"][0]["tag"] for f in make_record(post, Stage())["facets"]] == ["b"]


def test_nobody_is_ever_mentioned() -> None:
    assert "@editor.example" in TEXT
    assert "mention" not in json.dumps(make_record(POST, Stage()))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param(("id", "en-US", "zh-Hant-TW"), ["id", "en-US", "zh-Hant-TW"], id="three"),
        pytest.param(("id", "id", "en", "fr", "de"), ["id", "en", "fr"], id="more, and twice"),
        pytest.param(("id_ID", "", "indonesian language", "en"), ["en"], id="no tags"),
        pytest.param(("id_ID",), None, id="none left"),
        pytest.param((), None, id="none"),
    ],
)
def test_only_languages_that_the_server_takes_are_named(given: tuple[str, ...], kept: list[str] | None) -> None:
    assert make_record(dataclasses.replace(POST, languages=given), Stage()).get("langs") == kept


def test_a_post_without_a_link_shows_its_picture_instead_of_a_card(
    bluesky: Bluesky, pds: FakePds, tmp_path: Path
) -> None:
    shown = dataclasses.replace(picture(tmp_path), alt="A bridge")
    post = dataclasses.replace(POST, link=None, spans=(), picture=shown)
    bluesky.publish(post, bluesky.stage(post, Stage()), key=KEY)
    embed = pds.visible()[0].record["embed"]
    assert embed["$type"] == "app.bsky.embed.images"
    assert (embed["images"][0]["alt"], embed["images"][0]["aspectRatio"]) == ("A bridge", {"width": 120, "height": 63})


def test_a_post_composed_without_its_picture_has_a_card_without_one() -> None:
    stage = Stage(data={"blob": {"$type": "blob"}, "sha256": "x"})
    assert "thumb" not in make_record(POST, stage)["embed"]["external"]


# --- the key ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(0, 2**128, 2**124 + 12_345))
def test_a_key_is_a_tid_of_the_articles_second(number: int) -> None:
    rkey = record_key(POST, f"{number:032x}")
    assert re.fullmatch("[234567a-j][234567a-z]{12}", rkey)
    time = key_time(rkey)
    assert time is not None
    assert PUBLISHED <= time < PUBLISHED + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("published", "created"),
    [
        pytest.param(CREATED + timedelta(days=3), CREATED, id="dated ahead"),
        pytest.param(CREATED.replace(microsecond=0), CREATED, id="in the same second"),
    ],
)
def test_a_key_is_never_later_than_the_post(published: datetime, created: datetime) -> None:
    time = key_time(record_key(dataclasses.replace(POST, published=published, created_at=created), "f" * 32))
    assert time is not None
    assert created - timedelta(seconds=2) < time < created


def test_keys_of_one_second_differ_and_do_not_depend_on_when_the_post_was_composed() -> None:
    keys = [hashlib.sha256(bytes([number])).hexdigest()[:32] for number in range(200)]
    later = dataclasses.replace(POST, created_at=CREATED + timedelta(hours=5))
    assert len({record_key(POST, key) for key in keys}) == 200
    assert [record_key(POST, key) for key in keys] == [record_key(later, key) for key in keys]


@pytest.mark.parametrize("rkey", ["", "self", "zzzzzzzzzzzzz", "3mexamplekaa1"])
def test_what_is_no_key_with_a_time_has_none(rkey: str) -> None:
    assert key_time(rkey) is None


# --- unknown outcomes ------------------------------------------------------------------------------------------------

BROKEN = [
    pytest.param(then, made, id=f"{then.value}, made {made.value}")
    for then in (Then.SILENCE, Then.RESET, Then.GARBAGE, Then.ANSWER)
    for made in (Made.NEVER, Made.AT_ONCE)
]


@pytest.mark.fault("D02")
@pytest.mark.fault("D03")
@pytest.mark.fault("D05")
@pytest.mark.parametrize(("then", "made"), BROKEN)
def test_d02_d03_d05_the_same_bytes_again_leave_one_post(
    pds: FakePds, client: net.Client, then: Then, made: Made
) -> None:
    pds.script("putRecord", Fault(then=then, made=made))
    with pytest.raises(OutcomeUnknown):
        adapter(pds, client).publish(POST, Stage(), key=KEY)
    assert len(pds.visible()) == (1 if made is Made.AT_ONCE else 0)
    assert adapter(pds, client).publish(POST, Stage(), key=KEY) == RECEIPT
    assert len(pds.visible()) == 1
    assert len({call.body for call in pds.called("putRecord")}) == 1


@pytest.mark.fault("D04")
def test_d04_a_post_that_appears_late_is_still_the_only_one(bluesky: Bluesky, pds: FakePds) -> None:
    pds.script("putRecord", Fault(then=Then.SILENCE, made=Made.LATE))
    with pytest.raises(OutcomeUnknown):
        bluesky.publish(POST, Stage(), key=KEY)
    assert bluesky.publish(POST, Stage(), key=KEY) == RECEIPT
    pds.stop()  # waits for the late one
    assert len(pds.visible()) == 1


@pytest.mark.fault("D06")
@pytest.mark.parametrize("then", [Then.CUT, Then.ANSWER])
@pytest.mark.parametrize("body", [b"", b"{}", b'{"uri":', b'{"uri":7}', b"[]"])
def test_d06_a_success_without_an_id_is_unknown_and_found_later(
    bluesky: Bluesky, pds: FakePds, then: Then, body: bytes
) -> None:
    pds.script("putRecord", Fault(then=then, made=Made.AT_ONCE, status=200, body=body))
    with pytest.raises(OutcomeUnknown):
        bluesky.publish(POST, Stage(), key=KEY)
    assert bluesky.find(POST, Stage(), key=KEY, since=CREATED) == RECEIPT


@pytest.mark.fault("D07")
def test_d07_another_copys_record_under_our_key_is_ours(bluesky: Bluesky, pds: FakePds) -> None:
    bluesky.publish(POST, Stage(), key=KEY)
    later = dataclasses.replace(POST, created_at=CREATED + timedelta(hours=1))
    with pytest.raises(AlreadyPosted) as raised:
        bluesky.publish(later, Stage(), key=KEY)
    assert (raised.value.ours, raised.value.receipt) == (True, RECEIPT)
    assert [post.record["createdAt"] for post in pds.visible()] == ["2026-11-24T07:03:00.123Z"]


@pytest.mark.fault("D07")
def test_d07_a_strange_record_under_our_key_is_not_ours(bluesky: Bluesky, pds: FakePds) -> None:
    pds.write(TID, {"$type": "app.bsky.feed.post", "text": "Something else", "createdAt": "2026-11-24T07:00:00Z"})
    with pytest.raises(AlreadyPosted, match=re.escape(str(RECEIPT.url))) as raised:
        bluesky.publish(POST, Stage(), key=KEY)
    assert (raised.value.ours, raised.value.receipt) == (False, None)
    assert pds.visible()[0].text == "Something else"
    with pytest.raises(Undecided):
        bluesky.find(POST, Stage(), key=KEY, since=CREATED)


@pytest.mark.fault("D07")
def test_d07_a_record_that_cannot_be_read_is_not_claimed(bluesky: Bluesky, pds: FakePds) -> None:
    bluesky.publish(POST, Stage(), key=KEY)
    pds.script("getRecord", refusal("UpstreamFailure", status=502))
    with pytest.raises(AlreadyPosted) as raised:
        bluesky.publish(dataclasses.replace(POST, title="Edited"), Stage(), key=KEY)
    assert (raised.value.ours, raised.value.receipt) == (False, None)


@pytest.mark.fault("D07")
@pytest.mark.parametrize("status", [500, 422])
def test_d07_a_used_key_answered_otherwise_is_unknown(bluesky: Bluesky, pds: FakePds, status: int) -> None:
    pds.script("putRecord", refusal("InvalidSwap", status=status))
    with pytest.raises(OutcomeUnknown):
        bluesky.publish(POST, Stage(), key=KEY)


@pytest.mark.fault("D17")
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        pytest.param({"text": "x" * 301, "spans": ()}, Rejected, "maximum 300", id="too long"),
        pytest.param({"text": "👨‍👩‍👧‍👦" * 121, "spans": ()}, Rejected, "maximum 3000", id="too many bytes"),
    ],
)
def test_d17_refused_content_is_refused_with_the_servers_words(
    bluesky: Bluesky, pds: FakePds, change: dict[str, Any], error: type[DeliveryError], words: str
) -> None:
    with pytest.raises(error, match=words):
        bluesky.publish(dataclasses.replace(POST, **change), Stage(), key=KEY)
    assert pds.visible() == []


@pytest.mark.fault("D17")
def test_d17_an_address_that_speaks_of_a_picture_is_not_taken_for_one(bluesky: Bluesky, pds: FakePds) -> None:
    words = 'Invalid uri (got "https://a/blob too big at $.record.embed.external.thumb") at $.record.embed.external.uri'
    pds.script("putRecord", refusal("InvalidRequest", words))
    with pytest.raises(Rejected):
        bluesky.publish(POST, Stage(), key=KEY)


def test_an_outage_leaves_a_post_that_goes_after_it(bluesky: Bluesky, pds: FakePds) -> None:
    bluesky.whoami()
    pds.stop()
    with pytest.raises(NotSent):
        bluesky.publish(POST, Stage(), key=KEY)
    pds.start()
    assert bluesky.publish(POST, Stage(), key=KEY) == RECEIPT


def test_the_guard_is_asked_for_the_post_and_not_for_the_login(bluesky: Bluesky, pds: FakePds) -> None:
    asked: list[int] = []

    def guard() -> None:
        asked.append(len(pds.calls))
        raise RuntimeError("the lease is lost")

    bluesky.http.guard = guard
    with pytest.raises(NotSent):
        bluesky.publish(POST, Stage(), key=KEY)
    assert (asked, pds.called("putRecord")) == ([1], [])


# --- limits of the server --------------------------------------------------------------------------------------------


def test_a_limit_is_waited_for_by_the_servers_own_clock(bluesky: Bluesky, pds: FakePds) -> None:
    pds.clock = lambda: 1_000_000_000.0  # years away from ours
    pds.limits["putRecord"] = 1
    bluesky.publish(POST, Stage(), key=KEY)
    pds.clock = lambda: 1_000_000_100.0
    with pytest.raises(RateLimited) as raised:
        bluesky.publish(POST, Stage(), key=KEY)
    assert raised.value.wait == timedelta(seconds=200)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        pytest.param({}, None, id="not said"),
        pytest.param({"Retry_After": "40"}, timedelta(seconds=40), id="retry-after"),
        pytest.param({"RateLimit_Reset": "soon", "Retry_After": "40"}, timedelta(seconds=40), id="garbage"),
        pytest.param({"RateLimit_Reset": "9" * 30, "Retry_After": "40"}, timedelta(seconds=40), id="no time"),
        pytest.param({"RateLimit_Reset": "99999999999"}, timedelta(days=7), id="years ahead"),
        pytest.param({"RateLimit_Reset": "1"}, timedelta(0), id="long past"),
    ],
)
def test_a_wait_is_bounded_and_garbage_is_none(
    bluesky: Bluesky, pds: FakePds, headers: dict[str, str], wait: timedelta | None
) -> None:
    pds.script("createSession", refusal("RateLimitExceeded", status=429, **headers))
    with pytest.raises(RateLimited) as raised:
        bluesky.whoami()
    assert raised.value.wait == wait


# --- pictures --------------------------------------------------------------------------------------------------------


def test_a_picture_is_uploaded_once_and_again_when_it_is_another(
    bluesky: Bluesky, pds: FakePds, tmp_path: Path
) -> None:
    first = bluesky.stage(dataclasses.replace(POST, picture=picture(tmp_path)), Stage())
    other = dataclasses.replace(POST, picture=picture(tmp_path, JPEG + b"another"))
    second = bluesky.stage(other, bluesky.stage(other, first))
    assert len(pds.called("uploadBlob")) == 2
    assert first.data["blob"] != second.data["blob"]
    assert json.loads(json.dumps(dict(first.data))) == first.data
    assert (pds.called("uploadBlob")[0].body, pds.called("uploadBlob")[0].headers["Content-Type"]) == (
        JPEG,
        "image/jpeg",
    )


def test_an_upload_renews_an_expired_login(bluesky: Bluesky, pds: FakePds, tmp_path: Path) -> None:
    bluesky.whoami()
    pds.expire_access()
    assert bluesky.stage(dataclasses.replace(POST, picture=picture(tmp_path)), Stage()).data["blob"]


def test_a_picture_that_the_server_dropped_is_uploaded_again(bluesky: Bluesky, pds: FakePds, tmp_path: Path) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path))
    stage = bluesky.stage(post, Stage())
    pds.drop_unused_blobs()
    assert bluesky.publish(post, stage, key=KEY) == RECEIPT
    assert pds.visible()[0].record["embed"]["external"]["thumb"] == stage.data["blob"]
    one, two = (call.body for call in pds.called("putRecord"))
    assert one == two


def test_a_dropped_picture_that_is_gone_here_too_is_refused(bluesky: Bluesky, pds: FakePds, tmp_path: Path) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path))
    stage = bluesky.stage(post, Stage())
    pds.drop_unused_blobs()
    Path(post.picture.path if post.picture else "").unlink()
    with pytest.raises(MediaRejected, match="cannot be read"):
        bluesky.publish(post, stage, key=KEY)
    assert pds.visible() == []


def test_a_picture_that_is_dropped_time_and_again_is_refused(bluesky: Bluesky, pds: FakePds, tmp_path: Path) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path))
    pds.script("putRecord", refusal("BlobNotFound"), refusal("BlobNotFound"))
    with pytest.raises(MediaRejected):
        bluesky.publish(post, bluesky.stage(post, Stage()), key=KEY)
    assert len(pds.called("putRecord")) == 2


def test_a_picture_over_the_cards_limit_is_refused_with_the_record(
    bluesky: Bluesky, pds: FakePds, tmp_path: Path
) -> None:
    post = dataclasses.replace(POST, picture=picture(tmp_path, JPEG + b"x" * 1_000_000))
    with pytest.raises(MediaRejected, match="blob too big"):
        bluesky.publish(post, bluesky.stage(post, Stage()), key=KEY)


# --- find ------------------------------------------------------------------------------------------------------------


def foreign(**fields: Any) -> dict[str, Any]:
    record = {"$type": "app.bsky.feed.post", "text": "By hand", "createdAt": "2026-11-24T07:01:00.000Z"}
    return record | fields


def card(uri: str) -> dict[str, Any]:
    return {"$type": "app.bsky.embed.external", "external": {"uri": uri, "title": "", "description": ""}}


WRITTEN = "http://NEWS.example:80/2026/11/gr%C3%BC%C3%9Fe?id=7&utm_source=x#top"


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(foreign(embed=card(WRITTEN)), id="card"),
        pytest.param(
            foreign(embed={"$type": "app.bsky.embed.recordWithMedia", "media": card(WRITTEN)}), id="card and quote"
        ),
        pytest.param(foreign(facets=[{"features": [{"$type": "x"}, {"uri": WRITTEN}]}]), id="link in the text"),
        pytest.param(
            foreign(text="Read this (http://news.example/2026/11/gr%C3%BC%C3%9Fe?id=7)."), id="address in the text"
        ),
    ],
)
def test_a_post_made_by_hand_is_found_by_its_link(bluesky: Bluesky, pds: FakePds, record: dict[str, Any]) -> None:
    pds.write("3mexamplekaaa", record)
    found = bluesky.find(POST, Stage(), key=None, since=PUBLISHED)
    assert found is not None
    assert found.remote_id == f"at://{FakePds.did}/app.bsky.feed.post/3mexamplekaaa"


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(foreign(), id="no link"),
        pytest.param(foreign(embed=card("https://news.example/2026/11/grüße/?id=8")), id="another page"),
        pytest.param(foreign(embed=7, facets=[None, {"features": 5}, {"features": [1]}], text=None), id="nonsense"),
    ],
)
def test_a_post_without_the_link_is_not_it(bluesky: Bluesky, pds: FakePds, record: dict[str, Any]) -> None:
    pds.write("3mexamplekaaa", record)
    assert bluesky.find(POST, Stage(), key=None, since=PUBLISHED) is None


def test_a_post_without_a_link_is_found_by_its_text(bluesky: Bluesky, pds: FakePds) -> None:
    plain = dataclasses.replace(POST, text="Only words", link=None, spans=())
    pds.write("3mexamplekaaa", foreign())
    assert bluesky.find(plain, Stage(), key=None, since=PUBLISHED) is None
    receipt = bluesky.publish(plain, Stage(), key=KEY)
    assert bluesky.find(plain, Stage(), key=None, since=PUBLISHED) == receipt


@pytest.mark.parametrize(
    ("link", "other"),
    [
        pytest.param(f"{LINK}#entry-2", f"{LINK}#entry-1", id="another place on the page"),
        pytest.param(f"{LINK}#entry-2", LINK, id="the page as a whole"),
        pytest.param("https://news.example/", "https://news.example/", id="a link that names no page"),
    ],
)
def test_a_post_of_another_article_with_the_same_page_is_not_it(
    bluesky: Bluesky, pds: FakePds, link: str, other: str
) -> None:
    pds.write("3mexamplekaaa", foreign(text="Another article", embed=card(other)))
    mine = dataclasses.replace(POST, text=f"Mine\n{link}", link=link, spans=())
    assert bluesky.find(mine, Stage(), key=None, since=PUBLISHED) is None
    receipt = bluesky.publish(mine, Stage(), key=KEY)
    assert bluesky.find(mine, Stage(), key=None, since=PUBLISHED) == receipt


def test_a_post_from_before_is_not_the_one_looked_for(bluesky: Bluesky) -> None:
    bluesky.publish(POST, Stage(), key=KEY)
    assert bluesky.find(POST, Stage(), key=None, since=CREATED + timedelta(seconds=1)) is None


def test_a_post_of_this_very_moment_is_found_though_its_record_knows_only_milliseconds(bluesky: Bluesky) -> None:
    assert CREATED.microsecond % 1000
    bluesky.publish(POST, Stage(), key=KEY)
    assert bluesky.find(POST, Stage(), key=None, since=CREATED) == RECEIPT


@pytest.mark.parametrize("created", ["soon", "2026-11-24T07:01:00", None])
def test_a_post_that_does_not_say_when_it_was_made_counts_as_new(
    bluesky: Bluesky, pds: FakePds, created: object
) -> None:
    pds.write("self", foreign(createdAt=created, embed=card(LINK)))
    assert bluesky.find(POST, Stage(), key=None, since=PUBLISHED) is not None


@pytest.mark.fault("D23")
def test_d23_a_post_made_by_hand_is_found_by_its_link_where_nothing_stands_under_the_key(bluesky: Bluesky) -> None:
    by_hand = bluesky.publish(POST, Stage(), key=KEY[::-1])
    assert bluesky.find(POST, Stage(), key=KEY, since=PUBLISHED) == by_hand


def fill(pds: FakePds, count: int, *, step: timedelta) -> None:
    """Posts newer than ours, one every `step`, none of them with its link."""
    for number in range(1, count + 1):
        later = PUBLISHED + number * step
        pds.write(record_key(dataclasses.replace(POST, published=later, created_at=later + step), KEY), foreign())


def test_an_old_article_is_found_behind_pages_of_newer_posts(bluesky: Bluesky, pds: FakePds) -> None:
    fill(pds, 250, step=timedelta(seconds=30))
    bluesky.publish(POST, Stage(), key=KEY)
    assert bluesky.find(POST, Stage(), key=None, since=CREATED - timedelta(seconds=1)) == RECEIPT
    assert [call.params.get("cursor") is None for call in pds.called("listRecords")] == [True, False, False]


def test_a_look_ends_where_older_posts_begin(bluesky: Bluesky, pds: FakePds) -> None:
    fill(pds, 250, step=timedelta(days=-1))
    assert bluesky.find(POST, Stage(), key=None, since=PUBLISHED) is None
    assert len(pds.called("listRecords")) == 1


def test_more_posts_than_are_looked_through_decide_nothing(bluesky: Bluesky, pds: FakePds) -> None:
    fill(pds, 1001, step=timedelta(seconds=2))
    with pytest.raises(Undecided, match="more than 1000"):
        bluesky.find(POST, Stage(), key=None, since=PUBLISHED)


@pytest.mark.parametrize("key", [None, KEY])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(then=Then.SILENCE), (NotSent, OutcomeUnknown), id="silence"),
        pytest.param(refusal("UpstreamFailure", status=502), OutcomeUnknown, id="502"),
        pytest.param(refusal("RateLimitExceeded", status=429), RateLimited, id="429"),
        pytest.param(refusal("InvalidRequest", "Could not find repo"), Rejected, id="no repo"),
        pytest.param(Fault(then=Then.ANSWER, status=200, body=b"<html>"), OutcomeUnknown, id="no json"),
    ],
)
def test_a_look_that_fails_is_no_absence(
    bluesky: Bluesky,
    pds: FakePds,
    key: str | None,
    fault: Fault,
    error: type[DeliveryError] | tuple[type[DeliveryError], ...],
) -> None:
    pds.script("getRecord" if key else "listRecords", fault)
    with pytest.raises(error):
        bluesky.find(POST, Stage(), key=key, since=PUBLISHED)


def test_a_list_that_cannot_be_read_is_no_absence(bluesky: Bluesky, pds: FakePds) -> None:
    pds.script("listRecords", Fault(then=Then.ANSWER, status=200, body=b'{"records":{}}'))
    with pytest.raises(OutcomeUnknown):
        bluesky.find(POST, Stage(), key=None, since=PUBLISHED)
