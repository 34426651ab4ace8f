"""Threads against a strict server on loopback."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from autopublish import net
from autopublish.errors import (
    DeliveryError,
    NotReady,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    StageExpired,
    Unauthorized,
    Undecided,
)
from autopublish.models import Account, AccountState, Article, Identity, Post, Receipt, Span, SpanKind, Stage, State
from autopublish.platforms._http import Http
from autopublish.platforms.threads import Threads, counted, unlinked
from autopublish.posts import compose
from autopublish.text import clean
from tests.bench.world import World
from tests.desk import Desk
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_on_the_line import Line, open_line, patient
from tests.platforms.test_telegram import kill_in_call, page
from tests.servers.scripted import Fault, Made, Then
from tests.servers.threads import FakeThreads, Thread, count

KEY = "0123456789abcdef0123456789abcdef"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3)
SINCE = PUBLISHED - timedelta(hours=1)
LINK = "https://news.example/2026/11/jembatan-mahakam-dibuka/?id=7&page=2"
TEXT = f"Jembatan “Mahakam” & IKN 👨‍👩‍👧‍👦\n\n{LINK}\n#Kaltim #IKN"
POST = Post(
    text=TEXT,
    link=LINK,
    title="Jembatan",
    spans=(
        Span(kind=SpanKind.HASHTAG, start=TEXT.index("#Kaltim"), end=TEXT.index(" #IKN"), value="Kaltim"),
        Span(kind=SpanKind.HASHTAG, start=TEXT.index("#IKN"), end=len(TEXT), value="IKN"),
    ),
    created_at=CREATED,
    published=PUBLISHED,
)


@pytest.fixture
def server() -> Iterator[FakeThreads]:
    with FakeThreads() as one:
        one.clock = lambda: CREATED
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def threads(server: FakeThreads, client: net.Client) -> Threads:
    return adapter(server, client)


def settings_of(server: FakeThreads, /, **values: Any) -> Threads.Settings:
    return Threads.Settings.model_validate({"server": server.url, "access_token": server.token, **values})


def adapter(server: FakeThreads, client: net.Client, /, **values: Any) -> Threads:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Threads(settings_of(server, **values), http)


def published(platform: Threads, post: Post = POST) -> Receipt:
    return platform.publish(post, platform.stage(post, Stage()), key=KEY)


def seen(server: FakeThreads) -> Thread:
    (post,) = server.visible()
    return post


def refusal(status: int, code: int, words: str, subcode: int = 0, **headers: str) -> Fault:
    """A refusal as Meta words it."""
    error: dict[str, Any] = {"message": words, "type": "OAuthException", "code": code}
    if subcode:
        error["error_subcode"] = subcode
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, body=json.dumps({"error": error}).encode(), headers=named)


# --- the contract test's part ----------------------------------------------------------------------------------------

_ECHO = json.dumps({"error": {"message": f"odd {FakeThreads.token}", "code": 999}}).encode()

#: Failure -> how the publishing call goes wrong, and what `publish` raises.
FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "token-ended": (refusal(401, 190, "Error validating access token: Session has expired"), Unauthorized),
    "token-ended-as-400": (refusal(400, 190, "Error validating access token"), Unauthorized),
    "no-permission": (refusal(403, 10, "(#10) Application does not have permission"), Unauthorized),
    "no-permission-200": (refusal(403, 200, "(#200) Permissions error"), Unauthorized),
    "restricted": (refusal(403, 24, "The user is restricted", 4279013), Unauthorized),
    "blocked": (refusal(400, -1, "We restrict certain activity", 2207051), Unauthorized),
    "401-without-words": (Fault(status=401, body=b""), Unauthorized),
    "limited": (refusal(400, 4, "Application request limit reached"), RateLimited),
    "limited-user": (refusal(403, 17, "User request limit reached"), RateLimited),
    "limited-613": (refusal(400, 613, "Calls to this api have exceeded the rate limit"), RateLimited),
    "limited-by-something-else": (page(429, "Too Many Requests", Retry_After="7"), RateLimited),
    "not-there-yet": (refusal(400, 24, "Media Not Found", 4279009), OutcomeUnknown),
    "bad-field": (refusal(400, 100, "(#100) Param creation_id must be a valid ID"), Rejected),
    "unlisted-code": (refusal(400, 368, "The action attempted has been deemed abusive"), OutcomeUnknown),
    "code-1": (refusal(500, 1, "An unknown error occurred"), OutcomeUnknown),
    "code-2": (refusal(400, 2, "Service temporarily unavailable"), OutcomeUnknown),
    "code-2-with-500": (refusal(503, 2, "Service temporarily unavailable"), OutcomeUnknown),
    "code--1": (refusal(400, -1, "Fatal"), OutcomeUnknown),
    "auth-with-500": (refusal(500, 190, "odd"), OutcomeUnknown),
    "400-of-something-else": (page(400, "Bad Request"), OutcomeUnknown),
    "403-of-something-else": (page(403, "Checking your browser"), OutcomeUnknown),
    "code-of-another-kind": (Fault(status=400, body=b'{"error":{"code":"100","message":"x"}}'), OutcomeUnknown),
    "redirect": (page(307, "Moved", Location="http://127.0.0.1:9/"), OutcomeUnknown),
    "502": (page(502, "Bad Gateway"), OutcomeUnknown),
    "504": (Fault(status=504, body=b""), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": (Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "not-json": (page(200, "Welcome"), OutcomeUnknown),
    "empty": (Fault(status=200, body=b""), OutcomeUnknown),
    "without-id": (Fault(status=200, body=b'{"success":true}'), OutcomeUnknown),
    "id-that-is-none": (Fault(status=200, body=b'{"id":"../me"}'), OutcomeUnknown),
    "huge": (Fault(status=200, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": (Fault(status=418, body=_ECHO), OutcomeUnknown),
    "echoes-in-success": (Fault(status=200, body=_ECHO), OutcomeUnknown),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeThreads() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        server.clock = lambda: CREATED
        yield Bench(
            make=lambda: adapter(server, client),
            post=POST,
            sent=lambda: [call.body for call in server.called("publish")],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=seen(server).text, pinged=seen(server).mentions),
            secrets=(server.token,),
            network=Network(
                unplug=server.stop,
                silence=lambda: server.script("publish", Fault(then=Then.SILENCE)),
                fail=lambda name: server.script("publish", FAILURES[name][0]),
                answer=lambda fault: server.script("publish", fault),
            ),
        )


CONTRACT = Contract(bench=bench, failures={name: error for name, (_, error) in FAILURES.items()})


# --- settings and login ----------------------------------------------------------------------------------------------


def test_whoami_names_the_account_and_the_end_of_its_token(threads: Threads) -> None:
    assert threads.whoami() == Identity(
        id=FakeThreads.account,
        name="@kaltimnews",
        url="https://www.threads.com/@kaltimnews",
        expires=datetime.fromtimestamp(1_800_000_000, UTC),
    )


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(refusal(400, 100, "Invalid parameter"), id="refused"),
        pytest.param(Fault(status=502), id="502"),
        pytest.param(page(200, "Welcome"), id="html"),
        pytest.param(Fault(status=200, body=b'{"data":[]}'), id="no facts"),
        pytest.param(Fault(status=200, body=b'{"data":{"expires_at":0,"scopes":"all"}}'), id="nonsense"),
    ],
)
def test_where_threads_does_not_tell_of_the_token_the_account_is_known_all_the_same(
    threads: Threads, server: FakeThreads, fault: Fault
) -> None:
    server.script("token", fault, fault)
    assert threads.whoami().expires is None
    assert threads.permissions() is None


@pytest.mark.parametrize(
    ("scopes", "lack"),
    [
        pytest.param(["threads_basic", "threads_content_publish"], (), id="nothing"),
        pytest.param(["threads_basic"], ("threads_content_publish (posts)",), id="may not post"),
    ],
)
def test_a_check_says_what_the_token_may_not_do(
    threads: Threads, server: FakeThreads, scopes: list[str], lack: tuple[str, ...]
) -> None:
    server.scopes = scopes
    assert threads.permissions() == lack


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(401, 190, "Session has expired"), Unauthorized, id="ended"),
        pytest.param(refusal(403, 10, "No permission"), Unauthorized, id="no permission"),
        pytest.param(refusal(400, 4, "limit"), RateLimited, id="limited"),
        pytest.param(page(404, "Not Found"), OutcomeUnknown, id="no Threads server"),
        pytest.param(page(302, "Found", Location="https://elsewhere.example/"), OutcomeUnknown, id="redirect"),
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="html"),
        pytest.param(Fault(status=200, body=b'{"username":"x"}'), OutcomeUnknown, id="no id"),
    ],
)
def test_only_refusals_of_metas_own_block_the_account(
    threads: Threads, server: FakeThreads, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("whoami", fault)
    with pytest.raises(error):
        threads.whoami()


@pytest.mark.parametrize("token", [None, "", "  ", "dengan blank", "panjang—é"])
def test_what_can_be_no_token_is_told_and_not_sent(client: net.Client, server: FakeThreads, token: str | None) -> None:
    platform = adapter(server, client, access_token=token)
    for call in (platform.whoami, lambda: published(platform)):
        with pytest.raises(Unauthorized, match="access token"):
            call()
    assert server.calls == []


def test_blanks_around_token_and_address_do_no_harm(client: net.Client, server: FakeThreads) -> None:
    platform = adapter(server, client, access_token=f" {server.token}\n", server=f"{server.url}/")
    assert platform.whoami().name == "@kaltimnews"


@pytest.mark.parametrize("wrong", [{"topic": "a.b"}, {"topic": "x" * 51}, {"topic": " "}, {"version": "1"}], ids=str)
def test_settings_that_threads_does_not_know_are_refused(server: FakeThreads, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        settings_of(server, **wrong)


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_a_post_has_its_text_the_card_of_its_page_and_one_topic(threads: Threads, server: FakeThreads) -> None:
    receipt = published(threads)
    post = seen(server)
    assert (post.text, post.card, post.topic, post.mentions) == (TEXT, LINK, "Kaltim", ())
    assert receipt.remote_id == post.id
    assert receipt.url is not None
    assert receipt.url.startswith("https://www.threads.net/@kaltimnews/post/")


@pytest.mark.parametrize(
    ("topic", "tags", "shown"),
    [
        pytest.param("Berita Kaltim", ("IKN",), "Berita Kaltim", id="of the settings"),
        pytest.param("#Kaltim", ("IKN",), "Kaltim", id="with its sign"),
        pytest.param(None, ("x" * 51, "IKN"), "IKN", id="first that can be one"),
        pytest.param(None, (), None, id="none"),
    ],
)
def test_a_post_has_the_topic_of_the_settings_or_its_first_hashtag(
    server: FakeThreads, client: net.Client, topic: str | None, tags: tuple[str, ...], shown: str | None
) -> None:
    spans = tuple(Span(kind=SpanKind.HASHTAG, start=0, end=1, value=tag) for tag in tags)
    published(adapter(server, client, topic=topic), dataclasses.replace(POST, text=f"Berita {LINK}", spans=spans))
    assert seen(server).topic == shown


def test_another_address_in_a_title_gets_no_card(threads: Threads, server: FakeThreads) -> None:
    published(threads, dataclasses.replace(POST, text=f"https://evil.example/ {TEXT}"))
    assert seen(server).card == LINK


def test_where_the_page_cannot_be_read_the_post_goes_without_a_card(threads: Threads, server: FakeThreads) -> None:
    server.unreadable = {LINK}
    published(threads, dataclasses.replace(POST, text="Berita"))
    assert (seen(server).text, seen(server).card) == ("Berita", None)
    assert len(server.called("publish")) == 1


def test_where_the_page_cannot_be_read_late_one_post_goes_without_a_card(threads: Threads, server: FakeThreads) -> None:
    server.unreadable_late = {LINK}
    published(threads, dataclasses.replace(POST, text="Berita"))
    assert (seen(server).text, seen(server).card, server.containers) == ("Berita", None, 2)


def test_a_receipt_lacks_its_page_where_threads_does_not_tell(threads: Threads, server: FakeThreads) -> None:
    server.script("post", Fault(status=502))
    assert published(threads) == Receipt(remote_id=seen(server).id)


# --- containers ------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D19")
def test_d19_a_container_in_work_is_waited_for_and_made_once(threads: Threads, server: FakeThreads) -> None:
    server.in_work = 1
    with pytest.raises(NotReady) as raised:
        threads.stage(POST, Stage())
    assert isinstance(raised.value.stage, Stage)
    stage = threads.stage(POST, Stage(data=json.loads(json.dumps(dict(raised.value.stage.data)))))
    threads.publish(POST, stage, key=KEY)
    assert (server.containers, len(server.visible())) == (1, 1)


@pytest.mark.fault("D19")
def test_d19_a_container_that_expired_before_the_post_is_made_anew(threads: Threads, server: FakeThreads) -> None:
    stage = threads.stage(POST, Stage())
    server.clock = lambda: CREATED + timedelta(hours=25)
    fresh = threads.stage(POST, stage)
    assert (fresh.data["container"] != stage.data["container"], server.containers) == (True, 2)


@pytest.mark.fault("D19")
def test_d19_a_container_that_expired_before_a_resend_says_so_and_a_new_one_is_one_post(
    threads: Threads, server: FakeThreads
) -> None:
    stage = threads.stage(POST, Stage())
    server.clock = lambda: CREATED + timedelta(hours=25)
    with pytest.raises(StageExpired, match="has expired"):
        threads.publish(POST, stage, key=KEY)
    assert (server.visible(), server.containers) == ([], 1)
    threads.publish(POST, threads.stage(POST, Stage()), key=KEY)
    assert (seen(server).text, server.containers) == (TEXT, 2)


def test_a_post_that_was_composed_anew_gets_a_container_of_its_own(threads: Threads, server: FakeThreads) -> None:
    stage = threads.stage(POST, Stage())
    post = dataclasses.replace(POST, text="Berita")
    threads.publish(post, threads.stage(post, stage), key=KEY)
    assert seen(server).text == "Berita"


def test_a_container_that_cannot_be_published_for_long_is_made_anew(threads: Threads, server: FakeThreads) -> None:
    stage = threads.stage(POST, Stage())
    soon = dataclasses.replace(POST, created_at=CREATED + timedelta(minutes=9))
    late = dataclasses.replace(POST, created_at=CREATED + timedelta(minutes=10))
    assert threads.stage(soon, stage) == stage
    assert threads.stage(late, stage) != stage
    assert server.containers == 2


@pytest.mark.fault("D19")
def test_d19_a_container_that_fails_for_its_card_is_made_without_one(threads: Threads, server: FakeThreads) -> None:
    server.breaks = True
    published(threads, dataclasses.replace(POST, text="Berita"))
    assert (seen(server).card, server.containers) == (None, 2)


@pytest.mark.fault("D19")
def test_d19_a_container_without_a_card_in_work_is_waited_for(threads: Threads, server: FakeThreads) -> None:
    server.script("status", Fault(status=200, body=b'{"status":"ERROR"}'))
    server.in_work = 1
    with pytest.raises(NotReady) as raised:
        threads.stage(POST, Stage())
    assert isinstance(raised.value.stage, Stage)
    assert threads.stage(POST, raised.value.stage) == raised.value.stage
    assert server.containers == 2


@pytest.mark.fault("D19")
def test_d19_a_container_that_failed_before_it_was_published_is_made_without_a_card(
    threads: Threads, server: FakeThreads
) -> None:
    stage = threads.stage(POST, Stage())
    server.script("publish", refusal(400, 100, "odd"))
    server.script("status", Fault(status=200, body=b'{"status":"ERROR"}'))
    threads.publish(dataclasses.replace(POST, text="Berita"), stage, key=KEY)
    assert (seen(server).card, server.containers) == (None, 2)


@pytest.mark.fault("D19")
def test_d19_a_container_that_fails_twice_is_refused(threads: Threads, server: FakeThreads) -> None:
    server.script("status", *[Fault(status=200, body=b'{"status":"ERROR","error_message":"UNKNOWN"}')] * 2)
    with pytest.raises(Rejected, match="cannot be published"):
        threads.stage(POST, Stage())


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal(400, 100, "THREADS_API__LINK_LIMIT_EXCEEDED"), Rejected, id="links"),
        pytest.param(refusal(401, 190, "Session has expired"), Unauthorized, id="ended"),
        pytest.param(refusal(400, 4, "limit"), RateLimited, id="limited"),
        pytest.param(refusal(500, 2, "away"), OutcomeUnknown, id="500"),
        pytest.param(Fault(then=Then.SILENCE), OutcomeUnknown, id="silence"),
        pytest.param(Fault(status=200, body=b"{}"), OutcomeUnknown, id="no id"),
        pytest.param(Fault(status=200, body=b"<html>"), OutcomeUnknown, id="html"),
    ],
)
def test_a_container_that_is_not_made_says_why_and_shows_nothing(
    threads: Threads, server: FakeThreads, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("create", fault)
    with pytest.raises(error):
        threads.stage(POST, Stage())
    assert server.visible() == []


@pytest.mark.parametrize(
    "fault", [Fault(status=502), Fault(status=200, body=b'{"status":"DRAFT"}'), Fault(status=200, body=b"{}")]
)
def test_a_container_whose_status_is_not_told_is_not_published(
    threads: Threads, server: FakeThreads, fault: Fault
) -> None:
    server.script("status", fault)
    with pytest.raises(OutcomeUnknown):
        threads.stage(POST, Stage())


def test_a_container_that_is_not_known_yet_is_published_later(threads: Threads, server: FakeThreads) -> None:
    server.races = 1
    stage = threads.stage(POST, Stage())
    with pytest.raises(OutcomeUnknown):
        threads.publish(POST, stage, key=KEY)
    assert threads.find(POST, stage, key=KEY, since=SINCE) is None
    threads.publish(POST, stage, key=KEY)
    assert (len(server.visible()), server.containers) == (1, 1)


def test_a_post_that_was_not_staged_is_not_sent_where_no_container_comes(threads: Threads, server: FakeThreads) -> None:
    server.script("create", Fault(status=502))
    with pytest.raises(NotSent):
        threads.publish(POST, Stage(), key=KEY)
    assert server.called("publish") == []


@pytest.mark.fault("D09")
@pytest.mark.parametrize("loses_status", [False, True])
@pytest.mark.parametrize(
    "answer", [refusal(400, 24, "Media Not Found", 4279009), refusal(400, 100, "odd"), refusal(400, 368, "odd")]
)
def test_d09_an_error_although_the_post_is_live_ends_with_its_receipt(
    threads: Threads, server: FakeThreads, answer: Fault, loses_status: bool
) -> None:
    server.loses_status = loses_status
    server.script("publish", dataclasses.replace(answer, made=Made.AT_ONCE))
    assert published(threads).remote_id == seen(server).id


@pytest.mark.fault("D09")
def test_d09_a_live_post_that_is_not_seen_yet_stays_unknown(threads: Threads, server: FakeThreads) -> None:
    server.script("publish", dataclasses.replace(refusal(400, 100, "odd"), made=Made.AT_ONCE))
    server.script("find", Fault(status=502))
    with pytest.raises(OutcomeUnknown):
        published(threads)


@pytest.mark.fault("D09")
def test_d09_a_refusal_whose_container_cannot_be_asked_stays_unknown(threads: Threads, server: FakeThreads) -> None:
    stage = threads.stage(POST, Stage())
    server.script("publish", refusal(400, 100, "odd"))
    server.script("status", Fault(status=502), Fault(status=502))
    with pytest.raises(OutcomeUnknown):
        threads.publish(POST, stage, key=KEY)


@pytest.mark.fault("D16")
def test_d16_a_token_that_ended_asks_nothing_more(threads: Threads, server: FakeThreads) -> None:
    stage = threads.stage(POST, Stage())
    server.script("publish", refusal(401, 190, "Session has expired"))
    asked = len(server.calls)
    with pytest.raises(Unauthorized):
        threads.publish(POST, stage, key=KEY)
    assert [call.name for call in server.calls[asked:]] == ["publish"]


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D13")
@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        pytest.param(refusal(400, 4, "limit", Retry_After="37"), timedelta(seconds=37), id="told"),
        pytest.param(refusal(400, 4, "limit"), timedelta(minutes=15), id="calls"),
        pytest.param(page(429, "Too Many"), timedelta(minutes=15), id="not Meta's"),
    ],
)
def test_d13_a_limit_says_how_long_it_lasts(
    threads: Threads, server: FakeThreads, fault: Fault, wait: timedelta
) -> None:
    server.script("publish", fault)
    with pytest.raises(RateLimited) as raised:
        published(threads)
    assert raised.value.wait == wait


@pytest.mark.fault("D13")
def test_d13_the_limit_of_posts_is_waited_out_by_the_hour(threads: Threads, server: FakeThreads) -> None:
    server.most_posts = 1
    published(threads)
    with pytest.raises(RateLimited) as raised:
        published(threads, dataclasses.replace(POST, text="Berita"))
    assert raised.value.wait == timedelta(hours=1)


# --- counting and other people's words -------------------------------------------------------------------------------


def article(**words: Any) -> Article:
    return Article(
        id="a", feed="f", origin="o", link=LINK, published=PUBLISHED, first_seen=PUBLISHED, **{"title": "T", **words}
    )


def composed(platform: Threads, template: str = "{{ title }}\n\n{{ link }}", **words: Any) -> Post:
    account = Account(name="t", platform="threads", template=template)
    return compose(article(**words), account, platform.limits, picture=None, now=CREATED)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        pytest.param("Kaltim", 6, id="ASCII"),
        pytest.param("Żółć“—”", 7, id="letters and signs"),
        pytest.param("日本語", 3, id="Han"),
        pytest.param("👍", 4, id="emoji"),
        pytest.param("👨‍👩‍👧‍👦", 25, id="family"),
        pytest.param("🇮🇩", 8, id="flag"),
        pytest.param("❤️", 6, id="heart"),
    ],
)
def test_an_emoji_counts_as_many_characters_as_it_has_bytes(text: str, length: int) -> None:
    assert (counted(text), count(text)) == (length, length)


@settings(max_examples=300)
@given(st.text(st.one_of(st.sampled_from("👍❤️1️⃣🏽👩‍🚀aé漢©ℹ→⌚☂🀄"), st.characters(codec="utf-8"))))
def test_no_text_counts_less_here_than_there(text: str) -> None:
    assert counted(text) >= count(text)


def test_a_post_that_fills_all_the_room_is_taken(threads: Threads, server: FakeThreads) -> None:
    post = composed(threads, title="Jembatan 👨‍👩‍👧‍👦 Mahakam 🇮🇩 dibuka @kembali " * 30)
    assert 500 - post.length < 60
    published(threads, post)
    assert seen(server).text == post.text


@pytest.mark.parametrize(("length", "is_taken"), [(500, True), (501, False)])
def test_the_edge_is_where_threads_has_it(threads: Threads, server: FakeThreads, length: int, is_taken: bool) -> None:
    post = dataclasses.replace(POST, text="x" * length)
    assert threads.limits.fits(post.text) is is_taken
    if is_taken:
        published(threads, post)
    else:
        with pytest.raises(Rejected, match="500 characters"):
            published(threads, post)
    assert len(server.visible()) == is_taken


#: Whatever may stand in a title, signs that mean something to Threads more often than elsewhere.
_TITLES = st.text(
    st.one_of(st.sampled_from("@#＠＃_1Ab.&/( "), st.characters(codec="utf-8")), min_size=1, max_size=80
).filter(lambda title: bool(clean(title)))


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeThreads, net.Client]]:
    """One server for many examples."""
    with FakeThreads() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        server.most_posts = 100_000
        yield server, client


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@settings(deadline=None, max_examples=60)
@given(title=_TITLES)
def test_h05_h06_any_title_is_read_as_it_is_written_and_calls_nobody(
    shared: tuple[FakeThreads, net.Client], title: str
) -> None:
    server, client = shared
    platform = adapter(server, client)
    post = composed(platform, "{{ title }}{{ title }}\n{{ link }}", title=title)
    published(platform, post)
    shown = server.visible()[0]
    assert (shown.text, shown.mentions, shown.topic) == (post.text, (), None)


TITLES = [
    "@gubernur: kata @walikota dan (@ibu_kota)",
    "#banjir di #Samarinda, #1 dan C# dan #日本",
    "*tebal* _miring_ `kode` [x](https://a.example) <b>&amp;</b>",
    'kutip "ini" dan \\n serta %20 + & = ;',
]


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize("title", TITLES)
def test_h05_h06_a_title_looks_as_its_site_has_it(threads: Threads, server: FakeThreads, title: str) -> None:
    published(threads, composed(threads, title=title))
    assert seen(server).text.partition("\n")[0].replace("\u2060", "") == title
    assert (seen(server).mentions, seen(server).topic) == ((), None)


def test_a_mail_address_stays_whole_and_the_operators_own_words_work(threads: Threads, server: FakeThreads) -> None:
    title = "Surat ke warga@news.example"
    published(threads, composed(threads, "{{ title }} via @redaksi {{ link }}", title=title))
    assert title in seen(server).text
    assert seen(server).mentions == ("redaksi",)


def test_what_was_made_harmless_stays_as_it_is() -> None:
    once = unlinked("@a #b #1 #")
    assert unlinked(once) == once


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_text", [False, True])
def test_a_post_is_found_by_its_link_or_without_one_by_its_text(
    threads: Threads, server: FakeThreads, by_text: bool
) -> None:
    post = dataclasses.replace(POST, text="Tanpa alamat", link=None) if by_text else POST
    assert threads.find(post, Stage(), key=None, since=SINCE) is None
    made = server.post_by_hand("Tanpa alamat" if by_text else f"Baca {LINK}&utm_source=x.")
    found = threads.find(post, Stage(), key=None, since=SINCE)
    assert found is not None
    assert found.remote_id == made.id


def test_a_look_goes_through_all_pages(threads: Threads, server: FakeThreads) -> None:
    server.page = 2
    server.post_by_hand(f"Baca {LINK}")
    for number in range(5):
        server.post_by_hand(f"Lain {number}")
    assert threads.find(POST, Stage(), key=None, since=SINCE) is not None
    assert threads.find(dataclasses.replace(POST, link=f"{LINK}0"), Stage(), key=None, since=SINCE) is None


def test_what_is_older_is_not_found(threads: Threads, server: FakeThreads) -> None:
    server.post_by_hand(f"Baca {LINK}")
    assert threads.find(POST, Stage(), key=None, since=CREATED + timedelta(seconds=1)) is None


def test_more_posts_than_are_looked_through_decide_nothing(threads: Threads, server: FakeThreads) -> None:
    server.page = 1
    for number in range(12):
        server.post_by_hand(f"Lain {number}")
    with pytest.raises(Undecided):
        threads.find(POST, Stage(), key=None, since=SINCE)


@pytest.mark.parametrize("loses_status", [False, True])
def test_a_published_container_is_never_absent(threads: Threads, server: FakeThreads, loses_status: bool) -> None:
    server.loses_status = loses_status
    stage = threads.stage(POST, Stage())
    receipt = threads.publish(POST, stage, key=KEY)
    threads.delete(receipt)
    with pytest.raises(Undecided, match="PUBLISHED"):
        threads.find(POST, stage, key=KEY, since=SINCE)


def test_a_container_that_waits_or_expired_was_not_published(threads: Threads, server: FakeThreads) -> None:
    stage = threads.stage(POST, Stage())
    assert threads.find(POST, stage, key=KEY, since=SINCE) is None
    server.clock = lambda: CREATED + timedelta(hours=25)
    assert threads.find(POST, stage, key=KEY, since=SINCE) is None


@pytest.mark.parametrize(
    ("call", "fault", "error"),
    [
        pytest.param("find", Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param("find", Fault(status=200, body=b"{}"), OutcomeUnknown, id="no list"),
        pytest.param("find", refusal(401, 190, "ended"), Unauthorized, id="ended"),
        pytest.param("status", Fault(status=502), OutcomeUnknown, id="container 502"),
    ],
)
def test_a_look_that_fails_proves_nothing(
    threads: Threads, server: FakeThreads, call: str, fault: Fault, error: type[DeliveryError]
) -> None:
    stage = threads.stage(POST, Stage())
    server.script(call, fault)
    with pytest.raises(error):
        threads.find(POST, stage, key=KEY, since=SINCE)


# --- taking away -----------------------------------------------------------------------------------------------------


def test_a_post_is_taken_away_and_again_without_harm(threads: Threads, server: FakeThreads) -> None:
    receipt = published(threads)
    threads.delete(receipt)
    assert server.visible() == []
    threads.delete(receipt)


def test_a_token_that_may_not_delete_leaves_the_post(threads: Threads, server: FakeThreads) -> None:
    server.scopes = ["threads_basic", "threads_content_publish"]
    receipt = published(threads)
    with pytest.raises(Unauthorized):
        threads.delete(receipt)
    assert len(server.visible()) == 1


def test_what_is_said_to_be_gone_and_can_be_seen_is_not_gone(threads: Threads, server: FakeThreads) -> None:
    receipt = published(threads)
    server.script("delete", refusal(400, 100, "does not exist, or cannot be loaded", 33))
    with pytest.raises(Rejected):
        threads.delete(receipt)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(Fault(status=200, body=b'{"success":false}'), OutcomeUnknown, id="no yes"),
        pytest.param(refusal(400, 4, "limit"), RateLimited, id="limited"),
    ],
)
def test_only_what_threads_says_is_gone_is_gone(
    threads: Threads, server: FakeThreads, fault: Fault, error: type[DeliveryError]
) -> None:
    receipt = published(threads)
    server.script("delete", fault)
    with pytest.raises(error):
        threads.delete(receipt)


@pytest.mark.parametrize("remote_id", ["", "me", "1/2", "https://www.threads.net/@k/post/x"])
def test_what_is_no_post_of_threads_is_not_asked_for(threads: Threads, server: FakeThreads, remote_id: str) -> None:
    with pytest.raises(Rejected, match="no post of Threads"):
        threads.delete(Receipt(remote_id=remote_id))
    assert server.calls == []


@pytest.mark.fault("H12")
def test_h12_a_redirect_of_a_post_is_not_followed_and_the_token_stays_here(
    threads: Threads, server: FakeThreads
) -> None:
    with FakeThreads() as elsewhere:
        server.script("publish", page(307, "Moved", Location=f"{elsewhere.url}/v1.0/me/threads_publish"))
        with pytest.raises(OutcomeUnknown) as raised:
            published(threads)
        assert elsewhere.calls == []
        assert server.token not in str(raised.value)


# --- on the line -----------------------------------------------------------------------------------------------------


def threads_line(world: World, server: FakeThreads, **values: Any) -> Line:
    server.clock = world.clock
    return open_line(
        world,
        "threads",
        lambda http: Threads(settings_of(server, **values), patient(http)),
        texts=lambda: [post.text for post in server.visible()],
        sends=lambda: len(server.called("publish")),
        post_by_hand=server.post_by_hand,
        fail_look=lambda: server.script("find", Fault(status=502)),
    )


def test_articles_are_posted_once(unjudged_world: World, server: FakeThreads) -> None:
    line = threads_line(unjudged_world, server)
    line.show("one", "two")
    line.world.until_quiet()
    line.world.run()
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.POSTED, State.POSTED, 2)
    receipts = {receipt.remote_id for name in ("one", "two") if (receipt := line.row(name).receipt)}
    assert receipts == {post.id for post in server.visible()}


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-then-cut": Fault(then=Then.CUT, made=Made.AT_ONCE),
    "made-without-id": Fault(status=200, body=b"{}", made=Made.AT_ONCE),
    "made-then-unlisted": dataclasses.replace(refusal(418, 999, "odd"), made=Made.AT_ONCE),
    "never-made-race": refusal(400, 24, "Media Not Found", 4279009),
    "never-made-502": Fault(status=502),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-reset": Fault(then=Then.RESET_READING),
}


@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d05_d06_d09_a_lost_answer_ends_with_one_post(unjudged_world: World, server: FakeThreads, fault: Fault) -> None:
    line = threads_line(unjudged_world, server)
    server.script("publish", fault)
    line.show("one")
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one"), server.containers) == (State.POSTED, 1, 1)
    receipt = line.row("one").receipt
    assert receipt is not None
    assert receipt.remote_id == seen(server).id
    line.show("two")
    line.world.until_quiet()
    assert line.seen("two") == 1


@pytest.mark.fault("D07")
@pytest.mark.fault("D08")
def test_d07_d08_a_resend_that_waits_for_more_than_a_day_is_one_post(
    unjudged_world: World, server: FakeThreads
) -> None:
    line = threads_line(unjudged_world, server)
    line.world.change_account("threads", max_age=None)
    server.script("publish", Fault(status=502))
    line.show("one")
    line.world.run()
    server.script("find", *[Fault(status=503)] * 3)
    line.world.clock.move(hours=20)
    line.world.run()
    line.world.clock.move(hours=6)
    server._faults.clear()
    line.world.until_quiet()
    assert (line.seen("one"), line.row("one").state) == (1, State.POSTED)


@pytest.mark.fault("D11")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d11_a_run_that_was_killed_in_its_call_is_looked_up_and_never_doubled(
    desk: Desk, server: FakeThreads, made: Made
) -> None:
    server.clock = lambda: datetime.now(UTC)
    desk.configure(
        f"  th:\n    platform: threads\n    server: {server.url}\n    access_token: env:TH_TOKEN\n"
        "    allow_private: yes\n"
    )
    desk.environment["TH_TOKEN"] = server.token
    desk("run")
    desk.show("one")
    server.script("publish", Fault(then=Then.SILENCE, made=made))
    kill_in_call(desk, server)
    desk("run")
    row = desk.row("one", "th")
    assert (row.state, row.reason) == (State.VERIFYING, "the program ended during the call")
    for _ in range(3):
        desk.change(row, look_at=datetime.now(UTC) - timedelta(minutes=2))
        desk.end_waits()
        desk("run")
        row = desk.row("one", "th")
        if row.state is State.POSTED:
            break
    assert (row.state, len(server.visible()), server.containers) == (State.POSTED, 1, 1)
    assert len(server.called("publish")) == (1 if made is Made.AT_ONCE else 2)


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
def test_d14_d16_a_token_that_ended_blocks_the_account_and_loses_nothing(
    unjudged_world: World, server: FakeThreads
) -> None:
    line = threads_line(unjudged_world, server)
    line.show("one")
    line.world.run()
    server.is_revoked = True
    line.show("two")
    line.world.run()
    assert line.world.standing("threads").state is AccountState.AUTH_BLOCKED
    assert line.row("two").state is State.READY
    server.is_revoked = False
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two"), line.row("two").state) == (1, 1, State.POSTED)


@pytest.mark.fault("D17")
def test_d17_a_refused_text_stops_no_other(unjudged_world: World, server: FakeThreads) -> None:
    line = threads_line(unjudged_world, server)
    server.script("create", refusal(400, 100, "THREADS_API__LINK_LIMIT_EXCEEDED"))
    line.show("one")
    line.world.run()
    line.show("two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("two").state) == (State.REJECTED, State.POSTED)
    assert "LINK_LIMIT" in (line.row("one").reason or "")


@pytest.mark.fault("D13")
def test_d13_the_limit_of_posts_holds_the_account_until_it_ends(unjudged_world: World, server: FakeThreads) -> None:
    server.most_posts = 1
    line = threads_line(unjudged_world, server)
    line.world.change_account("threads", max_age=None)
    line.show("one", "two")
    line.world.run()
    assert (len(server.visible()), line.world.standing("threads").not_before) == (
        1,
        line.world.clock() + timedelta(hours=1),
    )
    line.world.until_quiet(most=500)
    assert (line.seen("one"), line.seen("two")) == (1, 1)
