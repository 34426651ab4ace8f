"""Webhooks against a strict receiver on loopback."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
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
    AlreadyPosted,
    DeliveryError,
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import Account, AccountState, Article, Post, Receipt, Span, SpanKind, Stage, State
from autopublish.platforms._http import Http
from autopublish.platforms.webhook import Webhook, make_event
from autopublish.posts import compose
from autopublish.text import clean
from tests.bench.world import World
from tests.desk import Desk
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_on_the_line import MINUTE, Line, open_line, patient
from tests.platforms.test_telegram import kill_in_call
from tests.servers.scripted import Fault, Made, Reply, Then, as_json
from tests.servers.webhook import SCHEMA, FakeReceiver

KEY = "0123456789abcdef0123456789abcdef"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3, microseconds=123_456)
LINK = "https://news.example/2026/11/jembatan-mahakam-dibuka/?id=7&page=2"
TEXT = f"Jembatan “Mahakam” & <IKN>\n\n{LINK}\n#Kaltim"
POST = Post(
    text=TEXT,
    link=LINK,
    title="Jembatan “Mahakam” & <IKN>",
    summary="Gubernur membuka jembatan.",
    spans=(
        Span(kind=SpanKind.LINK, start=28, end=28 + len(LINK), value=LINK),
        Span(kind=SpanKind.HASHTAG, start=len(TEXT) - 7, end=len(TEXT), value="Kaltim"),
    ),
    languages=("id-ID",),
    created_at=CREATED,
    published=PUBLISHED,
    shortened=("title",),
)
OLD_SECRET = "whsec_b2xkLWNhbmFyeS1zZWNyZXQtN2I2YTVmNGUzZDJj"
TOKEN = "canary-token-4f2a"


@pytest.fixture
def server() -> Iterator[FakeReceiver]:
    with FakeReceiver() as one:
        one.clock = lambda: CREATED
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def webhook(server: FakeReceiver, client: net.Client) -> Webhook:
    return adapter(server, client)


def adapter(server: FakeReceiver, client: net.Client, /, **values: Any) -> Webhook:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Webhook(settings_of(server, **values), http)


def settings_of(server: FakeReceiver, /, **values: Any) -> Webhook.Settings:
    return Webhook.Settings.model_validate({"url": server.address, "secret": server.secret, **values})


def published(platform: Webhook, post: Post = POST, *, key: str = KEY) -> Receipt:
    return platform.publish(post, platform.stage(post, Stage()), key=key)


def refusal(status: int, words: str = "no", **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, body=json.dumps({"error": words}).encode(), headers=named)


# --- the contract test's part ----------------------------------------------------------------------------------------

_ECHO = f'{{"error":"you said Bearer {TOKEN} and {FakeReceiver.secret} and {OLD_SECRET}"}}'

#: Failure -> how the call goes wrong, and what `publish` raises.
FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "400": (refusal(400, "title is missing"), Rejected),
    "413": (Fault(status=413, body=b""), Rejected),
    "415": (refusal(415), Rejected),
    "422": (refusal(422), Rejected),
    "401": (refusal(401, "the signature is wrong"), Unauthorized),
    "403": (refusal(403), Unauthorized),
    "404": (Fault(status=404, body=b"<h1>Not found</h1>"), Unauthorized),
    "405": (refusal(405), Unauthorized),
    "410": (refusal(410), Unauthorized),
    "301": (refusal(301, Location="https://www.news.example/hooks"), Unauthorized),
    "307": (refusal(307, Location="http://127.0.0.1:9/"), Unauthorized),
    "308-to-nowhere": (refusal(308), Unauthorized),
    "302": (refusal(302, Location="https://elsewhere.example/done"), OutcomeUnknown),
    "303": (refusal(303, Location="https://elsewhere.example/done"), OutcomeUnknown),
    "408": (refusal(408), RateLimited),
    "425": (refusal(425), RateLimited),
    "429": (refusal(429, Retry_After="7"), RateLimited),
    "409": (refusal(409), AlreadyPosted),
    "unlisted-402": (refusal(402), OutcomeUnknown),
    "unlisted-418": (refusal(418), OutcomeUnknown),
    "500": (Fault(), OutcomeUnknown),
    "502": (Fault(status=502, body=b"<h1>Bad gateway</h1>"), OutcomeUnknown),
    "503-with-wait": (refusal(503, Retry_After="30"), OutcomeUnknown),
    "504": (Fault(status=504, body=b""), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": (Fault(then=Then.CUT, body=b"thank you very much", made=Made.NEVER), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "huge": (Fault(status=200, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": (Fault(status=418, body=_ECHO.encode()), OutcomeUnknown),
    "echoes-in-a-refusal": (Fault(status=400, body=_ECHO.encode()), Rejected),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeReceiver() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        yield Bench(
            make=lambda: adapter(server, client, token=TOKEN, previous_secret=OLD_SECRET),
            post=POST,
            sent=lambda: [call.body for call in server.called("event")],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=server.visible()[0]["post"]["text"]),
            secrets=(server.secret, OLD_SECRET, TOKEN),
            network=Network(
                unplug=server.stop,
                silence=lambda: server.script("event", Fault(then=Then.SILENCE)),
                fail=lambda name: server.script("event", FAILURES[name][0]),
                answer=lambda fault: server.script("event", fault),
            ),
        )


CONTRACT = Contract(
    bench=bench, failures={name: error for name, (_, error) in FAILURES.items()}, shows_posts=False, reads_answer=False
)


# --- settings and who it is ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param({"url": "cms.example/hooks"}, "url", id="no scheme"),
        pytest.param({"url": "ftp://cms.example/"}, "url", id="another scheme"),
        pytest.param({"url": "https://me:canary@cms.example/"}, "without a user", id="a password"),
        pytest.param({"url": "https://cms.example/#hooks"}, "without a fragment", id="a fragment"),
        pytest.param({"length": 99}, "length", id="too short"),
        pytest.param({"length": 5001}, "length", id="too long"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(
    server: FakeReceiver, wrong: Mapping[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words) as raised:
        settings_of(server, **wrong)
    assert "canary" not in str(raised.value)


def test_whoami_shows_the_host_and_never_the_path_which_may_be_a_secret(webhook: Webhook, server: FakeReceiver) -> None:
    found = webhook.whoami()
    assert found.name == server.url.removeprefix("http://")
    assert "hooks" not in str(found)
    assert (server.called("event"), server.visible()) == ([], [])


def test_another_address_is_another_identity(server: FakeReceiver, client: net.Client) -> None:
    there = adapter(server, client, url=f"{server.url}/hooks/elsewhere").whoami()
    here = adapter(server, client).whoami()
    assert there.id != here.id
    assert there.name == here.name


@pytest.mark.parametrize("status", [200, 401, 403, 404, 405, 500, 501])
def test_any_answer_to_a_harmless_question_says_that_the_receiver_is_there(
    webhook: Webhook, server: FakeReceiver, status: int
) -> None:
    server.script("options", Fault(status=status))
    assert webhook.whoami().id


def test_a_receiver_that_wants_no_more_is_told_before_anything_is_sent(webhook: Webhook, server: FakeReceiver) -> None:
    server.script("options", Fault(status=410))
    with pytest.raises(Unauthorized, match="wants no more"):
        webhook.whoami()


def test_a_receiver_that_is_away_is_not_taken_for_there(webhook: Webhook, server: FakeReceiver) -> None:
    server.stop()
    with pytest.raises(NotSent):
        webhook.whoami()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"secret": "whsec_kein base64!"}, "`secret`", id="no base64"),
        pytest.param({"secret": "whsec_c2hvcnQ="}, "`secret`", id="too short"),
        pytest.param({"secret": "whsec_" + "QUFB" * 22}, "`secret`", id="too long"),
        pytest.param({"secret": "whsec_sécrèt"}, "`secret`", id="letters"),
        pytest.param({"previous_secret": "whsec_"}, "`previous_secret`", id="the old one is empty"),
        pytest.param({"token": "two words"}, "`token`", id="token with a blank"),
        pytest.param({"token": "a\nX-Evil: 1"}, "`token`", id="token with a line break"),
    ],
)
def test_secrets_that_can_be_none_block_the_account_and_are_not_shown(
    server: FakeReceiver, client: net.Client, values: Mapping[str, str], words: str
) -> None:
    platform = adapter(server, client, **values)
    for call in (platform.whoami, lambda: published(platform)):
        with pytest.raises(Unauthorized, match=words) as raised:
            call()
        assert not [value for value in values.values() if value != "whsec_" and value in str(raised.value)]
    assert server.calls == []


# --- the event -------------------------------------------------------------------------------------------------------


def test_an_event_holds_article_and_post(webhook: Webhook, server: FakeReceiver) -> None:
    assert published(webhook) == Receipt(remote_id=KEY)
    assert server.visible() == [
        {
            "key": KEY,
            "article": {
                "url": LINK,
                "title": "Jembatan “Mahakam” & <IKN>",
                "summary": "Gubernur membuka jembatan.",
                "published": "2026-11-24T07:00:00Z",
                "languages": ["id-ID"],
            },
            "post": {"text": TEXT, "hashtags": ["Kaltim"], "shortened": ["title"]},
        }
    ]
    (call,) = server.called("event")
    assert call.headers["webhook-timestamp"] == str(int(CREATED.timestamp()))


def test_every_key_of_an_event_is_explained_on_the_users_page() -> None:
    page = sys.modules[Webhook.__module__].__doc__ or ""

    def keys(schema: Any) -> set[str]:
        found = schema.get("properties", {}) if isinstance(schema, dict) else {}
        return set(found).union(*(keys(one) for one in found.values()))

    for key in keys(SCHEMA):
        assert key in page, key


def test_an_article_without_link_and_words_is_an_event_as_well(webhook: Webhook, server: FakeReceiver) -> None:
    bare = Post(text="Kabar", link=None, title="Kabar", created_at=CREATED, published=PUBLISHED)
    published(webhook, bare)
    (data,) = server.visible()
    assert (data["article"]["url"], data["post"]["hashtags"]) == (None, [])


def test_the_signature_is_that_of_the_standard(server: FakeReceiver, client: net.Client) -> None:
    # Worked out with the standard's own library, `standardwebhooks` 1.1.0.
    platform = adapter(server, client, secret="whsec_YXV0b3B1Ymxpc2gtdGVzdC1zZWNyZXQtMzJieXRlcyE=")
    body = '{"type":"post.published","timestamp":"2026-11-24T07:00:00Z","data":{"title":"Grüße"}}'.encode()
    at = datetime.fromtimestamp(1795503600, UTC)
    assert platform._signed("msg_1", at, body) == {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1795503600",
        "webhook-signature": "v1,OaM57GMNwaUqFgO9TccAsVlm4JA2nhY96sHUaNYSjkE=",
    }


def test_while_secrets_change_a_receiver_may_know_either(server: FakeReceiver, client: net.Client) -> None:
    platform = adapter(server, client, previous_secret=OLD_SECRET)
    for number, known in enumerate(([OLD_SECRET], [server.secret])):
        server.secrets = known
        published(platform, key=f"{number:032x}")
    assert len(server.visible()) == 2


def test_an_event_that_somebody_changed_is_not_taken(webhook: Webhook, server: FakeReceiver) -> None:
    server.secrets = [OLD_SECRET]
    with pytest.raises(Unauthorized, match="does not take the signature"):
        published(webhook)
    assert server.visible() == []


def test_a_token_goes_along_where_there_is_one(server: FakeReceiver, client: net.Client) -> None:
    server.token = TOKEN
    with pytest.raises(Unauthorized):
        published(adapter(server, client))
    published(adapter(server, client, token=f" {TOKEN}\n"))
    assert len(server.visible()) == 1


def test_a_secret_may_lack_its_prefix_and_have_blanks_around_it(server: FakeReceiver, client: net.Client) -> None:
    published(adapter(server, client, secret=f" {server.secret.removeprefix('whsec_')}\n"))
    assert len(server.visible()) == 1


@pytest.mark.parametrize(
    ("reply", "url"),
    [
        pytest.param(Reply(status=204), None, id="nothing"),
        pytest.param(Reply(status=200, body=b"ok"), None, id="text"),
        pytest.param(Reply(status=200, body=b"[1]"), None, id="a list"),
        pytest.param(as_json({"url": "https://cms.example/7"}), "https://cms.example/7", id="url"),
        pytest.param(
            as_json({"id": 7}, status=201, headers={"Location": "https://cms.example/8"}),
            "https://cms.example/8",
            id="location",
        ),
        pytest.param(as_json({"url": "javascript:alert(1)"}), None, id="another scheme"),
        pytest.param(as_json({"url": "https://cms.example/a b"}), None, id="a blank"),
        pytest.param(as_json({"url": f"https://cms.example/{'x' * 3000}"}), None, id="too long"),
        pytest.param(as_json({"url": "https://[x"}), None, id="broken"),
        pytest.param(as_json({"url": 7}), None, id="a number"),
        pytest.param(Reply(status=202, headers={"Location": "/relative"}), None, id="relative"),
    ],
)
def test_any_success_is_a_receipt_with_the_address_that_the_receiver_names(
    webhook: Webhook, server: FakeReceiver, reply: Reply, url: str | None
) -> None:
    server.answer = reply
    assert published(webhook) == Receipt(remote_id=KEY, url=url)


# --- limits and other people's words ---------------------------------------------------------------------------------


def article(**words: Any) -> Article:
    return Article(
        id="a", feed="f", origin="o", link=LINK, published=PUBLISHED, first_seen=PUBLISHED, **{"title": "T", **words}
    )


@pytest.mark.parametrize("length", [100, 3000, 5000])
@pytest.mark.parametrize("word", ["Jembatan ", "漢字 ", "👨‍👩‍👧‍👦 ", 'kata"\\" '])
def test_a_post_that_fills_all_the_room_is_taken(
    server: FakeReceiver, client: net.Client, length: int, word: str
) -> None:
    platform = adapter(server, client, length=length)
    account = Account(name="w", platform="webhook", template="{{ text }} {{ link }}")
    words = article(text=word * 5000, summary=word * 500, title=word * 500)
    post = compose(words, account, platform.limits, picture=None, now=CREATED)
    assert post.length == len(post.text) <= length
    assert post.length > length - 60 or len(post.text.encode()) > 11_900
    published(platform, post)
    assert server.visible()[0]["post"]["text"] == post.text


_TITLES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=80).filter(lambda title: bool(clean(title)))


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeReceiver, net.Client]]:
    """One server for many examples."""
    with FakeReceiver() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        yield server, client


@pytest.mark.fault("H06")
@settings(deadline=None, max_examples=60)
@given(title=_TITLES, number=st.integers(min_value=0, max_value=2**128 - 1))
def test_h06_a_receiver_reads_any_title_as_it_is_written(
    shared: tuple[FakeReceiver, net.Client], title: str, number: int
) -> None:
    server, client = shared
    server.forgets = True
    platform = adapter(server, client)
    account = Account(name="w", platform="webhook", template="{{ title }}\n\n{{ link }}")
    post = compose(article(title=title), account, platform.limits, picture=None, now=CREATED)
    published(platform, post, key=f"{number:032x}")
    data = server.visible()[0]
    assert data["article"]["title"] == clean(title)
    assert data["post"]["text"] == post.text


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize(
    "title", ["@everyone <!channel> #banjir", "</script><b>&amp;</b> **x** {{ 7 * 7 }}", "a\"b\\c'd ${x} %s"]
)
def test_h05_h06_signs_of_other_networks_are_sent_as_they_are(
    webhook: Webhook, server: FakeReceiver, title: str
) -> None:
    account = Account(name="w", platform="webhook", template="{{ title }}")
    published(webhook, compose(article(title=title), account, webhook.limits, picture=None, now=CREATED))
    (data,) = server.visible()
    assert (data["post"]["text"], data["article"]["title"]) == (title, title)


def test_the_same_post_and_key_make_the_same_bytes() -> None:
    assert make_event(POST, KEY) == make_event(dataclasses.replace(POST), KEY)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D13")
@pytest.mark.parametrize(("headers", "wait"), [({"Retry_After": "37"}, timedelta(seconds=37)), ({}, None)])
@pytest.mark.parametrize("status", [408, 425, 429])
def test_d13_patience_lasts_as_long_as_the_receiver_says(
    webhook: Webhook, server: FakeReceiver, status: int, headers: dict[str, str], wait: timedelta | None
) -> None:
    server.script("event", refusal(status, **headers))
    with pytest.raises(RateLimited) as raised:
        published(webhook)
    assert raised.value.wait == wait


@pytest.mark.fault("H12")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_h12_a_redirect_is_not_followed_and_no_secret_goes_elsewhere(
    server: FakeReceiver, client: net.Client, status: int
) -> None:
    with FakeReceiver() as elsewhere:
        server.script("event", refusal(status, Location=elsewhere.address))
        server.script("options", refusal(status, Location=elsewhere.address))
        platform = adapter(server, client, token=TOKEN)
        platform.whoami()
        with pytest.raises(DeliveryError) as raised:
            published(platform)
        assert elsewhere.calls == []
        if status in (301, 307, 308):
            assert elsewhere.url.removeprefix("http://") in str(raised.value)


@pytest.mark.fault("D07")
def test_d07_a_conflict_proves_no_event_of_ours(webhook: Webhook, server: FakeReceiver) -> None:
    server.script("event", refusal(409, Location="https://cms.example/7"))
    with pytest.raises(AlreadyPosted) as raised:
        published(webhook)
    assert raised.value.receipt == Receipt(remote_id=KEY, url="https://cms.example/7")
    assert not raised.value.ours


def test_nothing_can_be_looked_up_or_taken_away(webhook: Webhook, server: FakeReceiver) -> None:
    receipt = published(webhook)
    with pytest.raises(Undecided):
        webhook.find(POST, Stage(), key=KEY, since=PUBLISHED)
    with pytest.raises(NotImplementedError):
        webhook.delete(receipt)


# --- on the line -----------------------------------------------------------------------------------------------------


def webhook_line(world: World, server: FakeReceiver, **values: Any) -> Line:
    server.clock = world.clock
    return open_line(
        world,
        "webhook",
        lambda http: Webhook(settings_of(server, **values), patient(http)),
        texts=lambda: [data["post"]["text"] for data in server.visible()],
        sends=lambda: len(server.called("event")),
        post_by_hand=lambda _text: None,
        fail_look=lambda: None,
    )


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-reset": Fault(then=Then.RESET, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-then-303": Fault(status=303, made=Made.AT_ONCE),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-502": Fault(status=502),
    "never-made-reset": Fault(then=Then.RESET_READING),
    "never-made-418": Fault(status=418),
}


@pytest.mark.fault("D02")
@pytest.mark.fault("D03")
@pytest.mark.fault("D05")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d02_d03_d05_d09_a_lost_answer_ends_with_one_post(
    unjudged_world: World, server: FakeReceiver, fault: Fault
) -> None:
    line = webhook_line(unjudged_world, server)
    server.script("event", fault)
    line.show("one")
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)
    assert line.sends() == (1 if fault.then is Then.RESET_READING else 2)
    calls = server.called("event")
    assert len({(call.body, call.headers["webhook-id"], call.headers["webhook-signature"]) for call in calls}) == 1


@pytest.mark.fault("D11")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d11_after_a_run_was_killed_in_its_call_the_same_event_goes_again(
    desk: Desk, server: FakeReceiver, made: Made
) -> None:
    desk.configure(
        f"  hook:\n    platform: webhook\n    url: {server.address}\n    secret: env:HOOK_SECRET\n"
        "    allow_private: yes\n"
    )
    desk.environment["HOOK_SECRET"] = server.secret
    desk("run")
    desk.show("one")
    server.script("event", Fault(then=Then.SILENCE, made=made))
    kill_in_call(desk, server)
    desk("run")
    desk.end_waits()
    desk("run")
    first, again = server.called("event")
    assert (first.body, first.headers["webhook-id"]) == (again.body, again.headers["webhook-id"])
    assert (desk.row("one", "hook").state, len(server.visible())) == (State.POSTED, 1)


@pytest.mark.fault("D07")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
def test_d07_a_conflict_after_a_lost_answer_is_evidence_and_on_a_first_call_a_clash(
    unjudged_world: World, server: FakeReceiver, made: Made
) -> None:
    line = webhook_line(unjudged_world, server)
    server.repeat_status = 409
    server.script("event", Fault(status=502, made=Made.AT_ONCE) if made is Made.AT_ONCE else refusal(409))
    line.show("one")
    line.world.until_quiet()
    row = line.row("one")
    if made is Made.AT_ONCE:
        assert (row.state, line.seen("one")) == (State.POSTED, 1)
    else:
        assert (row.state, row.reason, line.seen("one")) == (State.HELD, "clash", 0)


@pytest.mark.fault("D08")
def test_d08_hours_later_the_same_event_still_goes_under_its_id(unjudged_world: World, server: FakeReceiver) -> None:
    line = webhook_line(unjudged_world, server)
    server.script("event", Fault(status=502, made=Made.AT_ONCE), *[Fault(status=503)] * 8)
    line.show("one")
    line.world.until_quiet(most=60)
    assert line.world.clock() > line.row("one").created + 60 * MINUTE
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 10)


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
def test_d14_d16_a_refused_signature_blocks_the_account_and_loses_nothing(
    unjudged_world: World, server: FakeReceiver
) -> None:
    line = webhook_line(unjudged_world, server)
    server.secrets = [OLD_SECRET]
    line.show("one", "two")
    line.world.run()
    assert line.world.standing("webhook").state is AccountState.AUTH_BLOCKED
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.READY, State.READY, 1)
    server.secrets = [server.secret]
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two")) == (1, 1)


@pytest.mark.fault("D17")
def test_d17_a_refused_event_stops_no_other(unjudged_world: World, server: FakeReceiver) -> None:
    line = webhook_line(unjudged_world, server)
    server.script("event", refusal(422, "title is too odd"))
    line.show("one")
    line.world.run()
    line.show("two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("two").state) == (State.REJECTED, State.POSTED)
    assert "title is too odd" in (line.row("one").reason or "")


@pytest.mark.fault("D13")
def test_d13_patience_holds_the_account_and_costs_no_event(unjudged_world: World, server: FakeReceiver) -> None:
    line = webhook_line(unjudged_world, server)
    server.script("event", refusal(429, Retry_After="900"))
    line.show("one", "two")
    line.world.run()
    assert line.world.standing("webhook").not_before == line.world.clock() + timedelta(minutes=15)
    line.world.until_quiet()
    assert (line.sends(), line.seen("one"), line.seen("two")) == (3, 1, 1)


def test_an_article_that_waited_goes_although_nothing_can_be_looked_up(
    unjudged_world: World, server: FakeReceiver
) -> None:
    line = webhook_line(unjudged_world, server)
    line.world.change_account("webhook", delay=timedelta(hours=2))
    line.show("one")
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 1)
