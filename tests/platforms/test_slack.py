"""Slack against a strict workspace on loopback, by a bot and through an incoming webhook."""

from __future__ import annotations

import dataclasses
import json
import subprocess
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
    NotSent,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
    Undecided,
)
from autopublish.models import (
    Account,
    AccountState,
    Article,
    Identity,
    OnUnknown,
    Post,
    ReadBack,
    Receipt,
    Stage,
    State,
)
from autopublish.platforms._http import Http
from autopublish.platforms.slack import Slack, escaped
from autopublish.posts import compose
from autopublish.text import clean
from tests.bench.world import World
from tests.desk import Desk
from tests.platforms.contract import Bench, Contract, Network, Shown
from tests.platforms.test_on_the_line import Line, open_line, patient
from tests.servers.scripted import Fault, Made, Then
from tests.servers.slack import FakeSlack, Message, shown

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = "fedcba9876543210fedcba9876543210"
PUBLISHED = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
CREATED = PUBLISHED + timedelta(minutes=3)
SINCE = PUBLISHED - timedelta(hours=1)
LINK = "https://news.example/2026/11/jembatan_mahakam_dibuka/?id=7&page=2"


def article(**words: Any) -> Article:
    said = {"title": "T", "link": LINK, **words}
    return Article(id="a", feed="f", origin="o", published=PUBLISHED, first_seen=PUBLISHED, **said)


def composed(platform: Slack, *, template: str = "", **words: Any) -> Post:
    account = Account(name="s", platform="slack", template=template or "{{ title }}\n\n{{ link }}\n#Kaltim")
    return compose(article(**words), account, platform.limits, picture=None, now=CREATED)


@pytest.fixture
def server() -> Iterator[FakeSlack]:
    with FakeSlack() as one:
        one.clock = lambda: CREATED
        yield one


@pytest.fixture
def client() -> Iterator[net.Client]:
    with closing(net.Client(user_agent="autopublish-tests")) as one:
        yield one


@pytest.fixture
def bot(server: FakeSlack, client: net.Client) -> Slack:
    return adapter(client, **by_bot(server))


@pytest.fixture
def webhook(server: FakeSlack, client: net.Client) -> Slack:
    return adapter(client, **by_webhook(server))


def by_bot(server: FakeSlack) -> dict[str, Any]:
    return {"server": server.url, "token": server.token, "channel": server.channel}


def by_webhook(server: FakeSlack) -> dict[str, Any]:
    return {"webhook_url": server.webhook_url}


def adapter(client: net.Client, /, **values: Any) -> Slack:
    http = Http(client, allow_private=True)
    http.deadline = timedelta(seconds=2)
    return Slack(Slack.Settings.model_validate(values), http)


def published(platform: Slack, post: Post | None = None, *, key: str = KEY) -> Receipt:
    post = post or composed(platform, title="Jembatan")
    return platform.publish(post, platform.stage(post, Stage()), key=key)


def seen(server: FakeSlack) -> Message:
    (message,) = server.visible()
    return message


def refusal(error: str, *, status: int = 200, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Fault(status=status, body=json.dumps({"ok": False, "error": error}).encode(), headers=named)


def page(status: int, words: str, **headers: str) -> Fault:
    named = {"Content-Type": "text/html", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Fault(status=status, body=f"<html><body><h1>{words}</h1></body></html>".encode(), headers=named)


def word(status: int, said: str) -> Fault:
    return Fault(status=status, body=said.encode(), headers={"Content-Type": "text/plain"})


# --- the contract test's part ----------------------------------------------------------------------------------------

_ECHO = json.dumps({"ok": False, "error": f"odd {FakeSlack.token} {FakeSlack.hook_secret}"}).encode()

#: What goes wrong in both ways, and what `publish` raises.
NETWORK_FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    "limited-html": (page(429, "Too Many Requests", Retry_After="7"), RateLimited),
    "400-of-something-else": (page(400, "Bad Request"), OutcomeUnknown),
    "403-of-something-else": (page(403, "Checking your browser"), OutcomeUnknown),
    "404-of-something-else": (page(404, "Not found"), OutcomeUnknown),
    "redirect": (page(307, "Moved", Location="http://127.0.0.1:9/"), OutcomeUnknown),
    "500": (word(500, "rollup_error"), OutcomeUnknown),
    "502": (page(502, "Bad Gateway"), OutcomeUnknown),
    "504": (Fault(status=504, body=b""), OutcomeUnknown),
    "reset": (Fault(then=Then.RESET), OutcomeUnknown),
    "reset-while-reading": (Fault(then=Then.RESET_READING), OutcomeUnknown),
    "cut": (Fault(then=Then.CUT, made=Made.AT_ONCE), OutcomeUnknown),
    "garbage": (Fault(then=Then.GARBAGE), OutcomeUnknown),
    "a-page": (page(200, "Welcome"), OutcomeUnknown),
    "empty": (Fault(status=200, body=b""), OutcomeUnknown),
    "no-content": (Fault(status=204, body=b""), OutcomeUnknown),
    "a-list": (Fault(status=200, body=b"[]"), OutcomeUnknown),
    "huge": (Fault(status=200, body=b" " * 1_500_000), OutcomeUnknown),
    "echoes": (Fault(status=418, body=_ECHO), OutcomeUnknown),
    "echoes-in-success": (Fault(status=200, body=_ECHO), OutcomeUnknown),
}
BOT_FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    **NETWORK_FAILURES,
    **{
        error: (refusal(error), Unauthorized)
        for error in (
            "invalid_auth",
            "not_authed",
            "token_revoked",
            "token_expired",
            "account_inactive",
            "missing_scope",
            "not_in_channel",
            "channel_not_found",
            "is_archived",
            "restricted_action",
            "restricted_action_read_only_channel",
            "ekm_access_denied",
            "org_login_required",
        )
    },
    **{
        error: (refusal(error), Rejected)
        for error in ("msg_too_long", "no_text", "invalid_blocks", "msg_blocks_too_long", "invalid_arguments")
    },
    **{
        error: (refusal(error), OutcomeUnknown)
        for error in ("internal_error", "fatal_error", "service_unavailable", "request_timeout", "brand_new_error")
    },
    "limited": (refusal("ratelimited", status=429, Retry_After="30"), RateLimited),
    "flood": (refusal("rate_limited"), RateLimited),
    "refusal-in-500": (refusal("no_text", status=500), OutcomeUnknown),
    "token-in-500": (refusal("invalid_auth", status=500), OutcomeUnknown),
    "unlike-itself": (Fault(status=200, body=b'{"ok":true,"error":"no_text"}'), OutcomeUnknown),
    "error-without-no": (Fault(status=200, body=b'{"error":"invalid_auth"}'), OutcomeUnknown),
    "without-time-stamp": (Fault(status=200, body=b'{"ok":true,"channel":"C0123456789"}'), OutcomeUnknown),
    "time-stamp-of-another-kind": (Fault(status=200, body=b'{"ok":true,"channel":"C0","ts":17.5}'), OutcomeUnknown),
}
WEBHOOK_FAILURES: dict[str, tuple[Fault, type[DeliveryError]]] = {
    **NETWORK_FAILURES,
    "invalid-token": (word(403, "invalid_token"), Unauthorized),
    "prohibited": (word(403, "action_prohibited"), Unauthorized),
    "no-service": (word(404, "no_service"), Unauthorized),
    "no-team": (word(404, "no_team\n"), Unauthorized),
    "archived": (word(410, "channel_is_archived"), Unauthorized),
    "invalid-payload": (word(400, "invalid_payload"), Rejected),
    "no-text": (word(400, "no_text"), Rejected),
    "limited": (word(429, "rate_limited"), RateLimited),
    "refusal-in-500": (word(500, "no_service"), OutcomeUnknown),
    "brand-new-word": (word(400, "brand_new_word"), OutcomeUnknown),
    "a-longer-ok": (word(200, "ok, queued"), OutcomeUnknown),
    "accepted": (word(202, "ok"), OutcomeUnknown),
}


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with FakeSlack() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        server.clock = lambda: CREATED
        yield Bench(
            make=lambda: adapter(client, **by_bot(server)),
            post=composed(adapter(client, **by_bot(server)), title="Jembatan “Mahakam” & *IKN* 👨‍👩‍👧‍👦"),
            sent=lambda: [call.body for call in server.sends],
            visible=lambda: len(server.visible()),
            seen=lambda: Shown(text=seen(server).text, pinged=tuple(seen(server).shown.mentions)),
            secrets=(server.token,),
            network=Network(
                unplug=server.stop,
                silence=lambda: server.script("send", Fault(then=Then.SILENCE)),
                fail=lambda name: server.script("send", BOT_FAILURES[name][0]),
                answer=lambda fault: server.script("send", fault),
            ),
        )


CONTRACT = Contract(bench=bench, failures={name: error for name, (_, error) in BOT_FAILURES.items()})


@pytest.mark.fault("H09")
@pytest.mark.parametrize("failure", WEBHOOK_FAILURES)
def test_h09_each_failure_of_a_webhook_has_its_error_and_tells_no_secret(
    webhook: Slack, server: FakeSlack, failure: str
) -> None:
    fault, error = WEBHOOK_FAILURES[failure]
    server.script("send", fault)
    with pytest.raises(error) as raised:
        published(webhook)
    assert type(raised.value) is error
    assert server.hook_secret not in f"{raised.value!s} {raised.value!r} {raised.value.__cause__!r}"


# --- settings and login ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param({"token": "t"}, "both `token` and `channel`", id="a bot without a channel"),
        pytest.param({"channel": FakeSlack.channel}, "both `token` and `channel`", id="a channel without a bot"),
        pytest.param({"token": "t", "channel": "#berita"}, "View channel details", id="a name"),
        pytest.param({"token": "t", "channel": 7}, "View channel details", id="no text"),
        pytest.param({"webhook_url": "w", "server": "slack"}, "server", id="no address"),
    ],
)
def test_settings_that_lead_nowhere_are_refused_at_once(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Slack.Settings.model_validate(values)


def test_without_a_webhook_and_a_token_the_account_is_blocked_in_words_that_help(client: net.Client) -> None:
    platform = adapter(client)
    for ask in (platform.whoami, platform.permissions, lambda: published(platform)):
        with pytest.raises(Unauthorized, match="neither `webhook_url` nor `token`"):
            ask()
    with pytest.raises(Unauthorized, match="neither `webhook_url` nor `token`"):
        platform.publish(composed(platform), Stage(), key=KEY)


def test_two_ways_at_once_are_told_before_anything_is_asked(server: FakeSlack, client: net.Client) -> None:
    platform = adapter(client, **by_bot(server), **by_webhook(server))
    for ask in (platform.whoami, platform.permissions, lambda: published(platform), lambda: find(platform)):
        with pytest.raises(Unauthorized, match="leave one of them out"):
            ask()
    assert server.calls == []


@pytest.mark.parametrize("written", [" C0123456789 ", "https://kaltim.slack.com/archives/C0123456789"])
def test_a_channel_is_known_by_its_id_or_address(server: FakeSlack, client: net.Client, written: str) -> None:
    assert adapter(client, **{**by_bot(server), "channel": written}).settings.channel == server.channel


def test_whoami_names_workspace_and_channel_and_posts_nothing(bot: Slack, webhook: Slack, server: FakeSlack) -> None:
    url = "https://kaltim.slack.com/archives/C0123456789"
    assert bot.whoami() == Identity(id="T0123456789/C0123456789", name="Kaltim C0123456789", url=url)
    assert webhook.whoami() == Identity(id="T0123456789/B0987654321", name="webhook B0987654321")
    assert server.visible() == []


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"webhook_url": "https://kaltim.slack.com/archives/C0123456789"}, id="no webhook"),
        pytest.param({"webhook_url": "env:SLACK"}, id="a reference"),
        pytest.param({"token": "two words", "channel": FakeSlack.channel}, id="a token with blanks"),
        pytest.param({"token": "t\u00f6ken", "channel": FakeSlack.channel}, id="a token with odd letters"),
    ],
)
def test_credentials_that_can_be_none_are_told_before_anything_is_asked(
    client: net.Client, values: dict[str, Any]
) -> None:
    platform = adapter(client, **values)
    with pytest.raises(Unauthorized, match="copy it again"):
        platform.whoami()
    with pytest.raises(Unauthorized, match="copy it again"):
        platform.publish(composed(platform), Stage(), key=KEY)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(refusal("invalid_auth"), Unauthorized, id="token"),
        pytest.param(refusal("invalid_arguments"), Unauthorized, id="another refusal"),
        pytest.param(Fault(status=401, body=b"{}"), Unauthorized, id="401"),
        pytest.param(refusal("internal_error"), OutcomeUnknown, id="trouble"),
        pytest.param(page(404, "Not Found"), OutcomeUnknown, id="not Slack"),
        pytest.param(page(200, "Welcome"), OutcomeUnknown, id="html"),
        pytest.param(Fault(status=200, body=b'{"ok":true}'), OutcomeUnknown, id="nobody"),
        pytest.param(page(302, "Found", Location="https://elsewhere.example/"), OutcomeUnknown, id="redirect"),
        pytest.param(refusal("ratelimited", status=429, Retry_After="3"), RateLimited, id="429"),
    ],
)
def test_only_refusals_of_slacks_own_block_the_account(
    bot: Slack, server: FakeSlack, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("auth.test", fault)
    with pytest.raises(error):
        bot.whoami()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(word(404, "no_service"), Unauthorized, id="gone"),
        pytest.param(word(410, "channel_is_archived"), Unauthorized, id="archived"),
        pytest.param(page(404, "Not Found"), OutcomeUnknown, id="not Slack"),
        pytest.param(word(500, "rollup_error"), OutcomeUnknown, id="500"),
        pytest.param(word(200, "ok"), OutcomeUnknown, id="taken"),
        pytest.param(word(429, "rate_limited"), RateLimited, id="429"),
    ],
)
def test_a_webhook_that_is_gone_is_known_before_anything_is_posted(
    webhook: Slack, server: FakeSlack, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script("probe", fault)
    with pytest.raises(error):
        webhook.whoami()


@pytest.mark.parametrize("said", ["no_text", "invalid_payload", "missing_text_or_fallback_or_attachments"])
def test_a_webhook_that_refuses_an_empty_message_is_there(webhook: Slack, server: FakeSlack, said: str) -> None:
    server.script("probe", word(400, said))
    assert webhook.whoami().id == "T0123456789/B0987654321"


@pytest.mark.parametrize(
    ("scopes", "history", "lack"),
    [
        pytest.param({"chat:write", "channels:history"}, True, (), id="all"),
        pytest.param({"chat:write", "groups:history"}, True, (), id="a private channel"),
        pytest.param({"chat:write"}, False, (), id="history is not wanted"),
        pytest.param({"chat:write"}, True, ("channels:history",), id="no history"),
        pytest.param({"files:write"}, True, ("chat:write", "channels:history"), id="neither"),
        pytest.param(set(), True, None, id="not named"),
    ],
)
def test_a_check_says_which_scopes_are_missing(
    server: FakeSlack, client: net.Client, scopes: set[str], history: bool, lack: tuple[str, ...] | None
) -> None:
    server.scopes = scopes
    told = adapter(client, **by_bot(server), history=history).permissions()
    assert (told if told is None else tuple(one.partition(" ")[0] for one in told)) == lack


def test_a_webhook_has_no_scopes(webhook: Slack, server: FakeSlack) -> None:
    assert (webhook.permissions(), server.calls) == (None, [])


# --- publishing ------------------------------------------------------------------------------------------------------


def test_a_post_of_a_bot_has_its_text_and_its_page(bot: Slack, server: FakeSlack) -> None:
    receipt = published(bot, composed(bot, title="Jembatan & jalan"))
    message = seen(server)
    assert message.text == f"Jembatan & jalan\n\n{LINK}\n#Kaltim"
    assert (message.shown.links, message.previews) == ([LINK], (LINK,))
    url = f"https://kaltim.slack.com/archives/{server.channel}/p{message.ts.replace('.', '')}"
    assert receipt == Receipt(remote_id=f"{server.channel}/{message.ts}", url=url)


def test_a_post_of_a_webhook_is_known_by_its_key_alone(webhook: Slack, server: FakeSlack) -> None:
    assert published(webhook) == Receipt(remote_id=KEY)
    assert (seen(server).text, seen(server).previews) == (f"Jembatan\n\n{LINK}\n#Kaltim", (LINK,))


@pytest.mark.parametrize("way", [by_bot, by_webhook])
def test_the_page_behind_the_link_may_be_left_out(server: FakeSlack, client: net.Client, way: Any) -> None:
    published(adapter(client, **way(server), preview=False))
    assert (seen(server).previews, seen(server).shown.links) == ((), [LINK])


def test_a_resend_is_what_its_stage_fixed_whatever_the_configuration_says(
    server: FakeSlack, client: net.Client, bot: Slack
) -> None:
    post = composed(bot)
    stage = bot.stage(post, Stage())
    bot.publish(post, stage, key=KEY)
    changed = adapter(client, **by_bot(server), preview=False)
    changed.publish(post, stage, key=KEY)
    one, two = server.sends
    assert one.body == two.body


def test_a_post_that_is_composed_anew_looks_as_configured_now_and_asks_for_nothing_known(
    server: FakeSlack, client: net.Client, bot: Slack
) -> None:
    stage = bot.stage(composed(bot), Stage())
    calls = len(server.calls)
    changed = adapter(client, **by_bot(server), preview=False).stage(composed(bot), stage)
    assert (changed.data, len(server.calls)) == ({**stage.data, "preview": False}, calls)


def test_a_workspace_without_a_page_leaves_a_receipt_without_one(bot: Slack, server: FakeSlack) -> None:
    server.script("auth.test", Fault(status=200, body=b'{"ok":true,"team_id":"T1","url":"javascript:1"}'))
    assert published(bot).url is None


# --- counting and other people's words -------------------------------------------------------------------------------


@pytest.mark.parametrize("template", ["{{ text }} {{ link }}", "{{ link }} {{ text }} {{ link }}"])
@pytest.mark.parametrize("way", [by_bot, by_webhook])
def test_a_post_that_fills_all_the_room_is_taken(
    server: FakeSlack, client: net.Client, way: Any, template: str
) -> None:
    platform = adapter(client, **way(server))
    post = composed(platform, template=template, text="Jembatan 👨‍👩‍👧‍👦 & <Mahakam> 🇮🇩 dibuka: @here " * 200)
    assert platform.limits.length - post.length < 60
    published(platform, post)
    assert len(server.visible()) == 1


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[FakeSlack, net.Client]]:
    """One workspace for many examples."""
    with FakeSlack() as server, closing(net.Client(user_agent="autopublish-tests")) as client:
        yield server, client


#: Whatever may stand in a title, signs that mean something to Slack more often than elsewhere.
_TITLES = st.text(
    st.one_of(st.sampled_from("&<>;*_~`:@!#|/\\-+123 aéampltghttps漢👍🏽\u200d"), st.characters(codec="utf-8")),
    min_size=1,
    max_size=80,
)


@settings(deadline=None, max_examples=60)
@given(text=_TITLES, times=st.integers(1, 600))
def test_whatever_is_composed_is_not_too_long(shared: tuple[FakeSlack, net.Client], text: str, times: int) -> None:
    server, client = shared
    platform = adapter(client, **by_bot(server))
    post = composed(platform, template="{{ text }} {{ link }}", text=f"{text} " * times)
    published(platform, post)
    assert post.length == platform.limits.count(server.visible()[0].source)


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@settings(deadline=None, max_examples=150)
@given(title=_TITLES.filter(lambda title: bool(clean(title))))
def test_h05_h06_any_title_is_read_as_it_is_written_and_calls_nobody(
    shared: tuple[FakeSlack, net.Client], title: str
) -> None:
    server, client = shared
    platform = adapter(client, **by_bot(server))
    published(platform, composed(platform, template="{{ title }}\n{{ link }}\n{{ title }}{{ title }}", title=title))
    message = server.visible()[0]
    wanted = f"{clean(title)}\n{LINK}\n{clean(title)}{clean(title)}"
    assert message.text.replace("\u2060", "").strip() == wanted.replace("\u2060", "").strip()
    assert (message.shown.markup, message.shown.mentions, message.shown.links) == ([], [], [LINK])


TITLES = [
    "<!channel> <!here|sini> <@U0123456789> <#C0123456789|umum> @here @channel: banjir",
    "*tebal* _miring_ ~coret~ `kode` ```blok```",
    "> kutipan",
    "&gt; bukan & kutipan &amp;amp;",
    "<https://jahat.example|klik> https://jahat.example/x?a=1&b=2",
    ":smile: pukul 10:30:00 :+1: :100:",
    "A & B <c> \"d\" 'e'",
]


@pytest.mark.fault("H05")
@pytest.mark.fault("H06")
@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("way", [by_bot, by_webhook])
def test_h05_h06_a_title_looks_as_its_site_has_it(server: FakeSlack, client: net.Client, way: Any, title: str) -> None:
    platform = adapter(client, **way(server))
    published(platform, composed(platform, title=title))
    message = seen(server)
    assert message.text.partition("\n")[0].replace("\u2060", "") == title
    assert (message.shown.markup, message.shown.mentions, message.shown.links) == ([], [], [LINK])


@pytest.mark.parametrize("title", TITLES[:-1])
def test_such_titles_would_look_or_do_something_else_as_they_are(title: str) -> None:
    as_it_is = shown(title, mrkdwn=True)
    assert as_it_is.text != title or as_it_is.mentions or as_it_is.links or as_it_is.markup


def test_words_without_signs_stay_as_they_are() -> None:
    said = "Gubernur: “Harga naik 5.000 pada 10:30” (warga@news.example) #Samarinda *baru*!"
    assert escaped(said) == said


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.fault("D13")
@pytest.mark.parametrize("way", ["bot", "webhook"])
@pytest.mark.parametrize(
    ("fault", "wait"),
    [
        pytest.param(refusal("ratelimited", status=429, Retry_After="37"), timedelta(seconds=37), id="told"),
        pytest.param(refusal("ratelimited", status=429, Retry_After="99999999"), timedelta(days=7), id="absurd"),
        pytest.param(refusal("ratelimited", status=429), None, id="not told"),
    ],
)
def test_d13_a_limit_says_how_long_it_lasts(
    request: pytest.FixtureRequest, server: FakeSlack, way: str, fault: Fault, wait: timedelta | None
) -> None:
    server.script("send", fault)
    with pytest.raises(RateLimited) as raised:
        published(request.getfixturevalue(way))
    assert raised.value.wait == wait


@pytest.mark.parametrize(
    ("error", "words"),
    [("not_in_channel", "invite it"), ("missing_scope", "add it under OAuth"), ("token_expired", "Token Rotation off")],
)
def test_a_reason_says_what_to_do(bot: Slack, server: FakeSlack, error: str, words: str) -> None:
    server.script("send", refusal(error))
    with pytest.raises(Unauthorized, match=words) as raised:
        published(bot)
    assert error in str(raised.value)


@pytest.mark.fault("H12")
@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_h12_a_redirect_of_a_post_is_not_followed_and_the_secret_stays_here(
    request: pytest.FixtureRequest, server: FakeSlack, way: str
) -> None:
    with FakeSlack() as elsewhere:
        server.script("send", page(307, "Moved", Location=elsewhere.webhook_url))
        with pytest.raises(OutcomeUnknown) as raised:
            published(request.getfixturevalue(way))
        assert elsewhere.calls == []
        assert server.hook_secret not in str(raised.value)


@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_a_server_that_is_away_is_told_without_the_secret(
    request: pytest.FixtureRequest, server: FakeSlack, way: str
) -> None:
    platform: Slack = request.getfixturevalue(way)
    server.stop()
    with pytest.raises(NotSent) as raised:
        platform.publish(composed(platform), Stage(), key=KEY)
    told = f"{raised.value!s} {raised.value!r} {raised.value.__cause__!s} {raised.value.__cause__!r}"
    assert server.hook_secret not in told
    assert server.token not in told


# --- looking ---------------------------------------------------------------------------------------------------------


def find(platform: Slack, post: Post | None = None, *, key: str | None = KEY, since: datetime = SINCE) -> Any:
    return platform.find(post or composed(platform, title="Jembatan"), Stage(), key=key, since=since)


def test_who_can_read_is_asked_and_nobody_else(
    server: FakeSlack, client: net.Client, bot: Slack, webhook: Slack
) -> None:
    blind = adapter(client, **by_bot(server), history=False)
    assert [one.read_back for one in (bot, webhook, blind)] == [ReadBack.STRONG, ReadBack.NONE, ReadBack.NONE]
    for platform in (webhook, blind):
        with pytest.raises(Undecided, match="cannot be looked up"):
            find(platform)
    assert server.calls == []


def test_a_post_is_found_by_its_key_whatever_its_text_became(bot: Slack, server: FakeSlack) -> None:
    receipt = published(bot)
    changed = composed(bot, link="https://news.example/lain/")
    assert (find(bot, changed), find(bot, changed, key=OTHER_KEY), find(bot, changed, key=None)) == (
        receipt,
        None,
        None,
    )


@pytest.mark.parametrize("written", ["{}", "Baca <{}>!", "<{}|di sini>", "*{}*", "({}?utm_source=x&amp;utm_medium=y)"])
def test_a_post_of_ours_with_the_link_is_found_however_it_is_written(
    bot: Slack, server: FakeSlack, written: str
) -> None:
    mine = server.post_by_hand(written.format("https://news.example/2026/11/jembatan/"), author=server.bot)
    found = find(bot, composed(bot, link="http://news.example/2026/11/jembatan"), key=None)
    assert found.remote_id == f"{server.channel}/{mine.ts}"


def test_a_link_with_an_ampersand_is_found_as_slack_keeps_it(bot: Slack) -> None:
    receipt = published(bot)
    assert find(bot, key=None) == receipt


def test_a_post_of_others_or_of_another_article_or_of_before_is_not_ours(bot: Slack, server: FakeSlack) -> None:
    server.post_by_hand(LINK)
    server.post_by_hand(LINK, author=server.hook)
    server.post_by_hand("https://news.example/2026/11/lain/", author=server.bot)
    server.clock = lambda: SINCE - timedelta(minutes=1)
    server.post_by_hand(LINK, author=server.bot)
    assert find(bot) is None


def test_a_post_without_a_link_is_known_by_its_text(bot: Slack) -> None:
    post = composed(bot, template="{{ title }}", link=None, title="Tanpa <tautan> & :smile:")
    receipt = published(bot, post)
    assert find(bot, post, key=OTHER_KEY) == receipt
    assert find(bot, dataclasses.replace(post, text="Lain"), key=OTHER_KEY) is None


def test_all_messages_back_to_the_time_are_looked_through(bot: Slack, server: FakeSlack) -> None:
    receipt = published(bot)
    for number in range(120):
        server.post_by_hand(f"kata {number}")
    assert find(bot) == receipt
    assert len(server.called("conversations.history")) == 3


def test_a_channel_with_too_many_messages_proves_nothing(bot: Slack, server: FakeSlack) -> None:
    for number in range(1_001):
        server.post_by_hand(str(number))
    with pytest.raises(Undecided, match="more than 1000 messages"):
        find(bot)


def test_a_list_that_ends_too_early_proves_nothing(bot: Slack, server: FakeSlack) -> None:
    server.script("conversations.history", Fault(status=200, body=b'{"ok":true,"messages":[],"has_more":true}'))
    with pytest.raises(Undecided, match="too early"):
        find(bot)


@pytest.mark.parametrize(
    ("call", "fault", "error"),
    [
        pytest.param("conversations.history", Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param("conversations.history", refusal("missing_scope"), Unauthorized, id="scope"),
        pytest.param("conversations.history", refusal("ratelimited", status=429), RateLimited, id="429"),
        pytest.param("conversations.history", Fault(status=200, body=b'{"ok":true}'), OutcomeUnknown, id="no list"),
        pytest.param(
            "conversations.history",
            Fault(status=200, body=b'{"ok":true,"messages":[{}]}'),
            OutcomeUnknown,
            id="no stamps",
        ),
        pytest.param("auth.test", refusal("invalid_auth"), Unauthorized, id="token"),
    ],
)
def test_a_look_that_fails_is_no_look(
    bot: Slack, server: FakeSlack, call: str, fault: Fault, error: type[DeliveryError]
) -> None:
    server.script(call, fault)
    with pytest.raises(error) as raised:
        find(bot)
    assert type(raised.value) is error


# --- taking away -----------------------------------------------------------------------------------------------------


def test_a_message_is_taken_away_and_again_without_harm(bot: Slack, server: FakeSlack) -> None:
    receipt = published(bot)
    bot.delete(receipt)
    assert server.visible() == []
    bot.delete(receipt)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        pytest.param(Fault(status=502), OutcomeUnknown, id="502"),
        pytest.param(refusal("token_revoked"), Unauthorized, id="token"),
        pytest.param(refusal("cant_delete_message"), Rejected, id="not ours"),
        pytest.param(refusal("ratelimited", status=429), RateLimited, id="429"),
        pytest.param(Fault(status=200, body=b"{}"), OutcomeUnknown, id="nothing"),
        pytest.param(refusal("message_not_found", status=500), OutcomeUnknown, id="trouble"),
    ],
)
def test_only_what_slack_says_is_gone_is_gone(
    bot: Slack, server: FakeSlack, fault: Fault, error: type[DeliveryError]
) -> None:
    receipt = published(bot)
    server.script("chat.delete", fault)
    with pytest.raises(error) as raised:
        bot.delete(receipt)
    assert type(raised.value) is error


@pytest.mark.parametrize("remote_id", ["", KEY, "C0123456789", "C0123456789/x", "/1.2", "C0123456789/1.2/3"])
@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_what_is_no_post_of_a_bot_is_not_asked_for(
    request: pytest.FixtureRequest, server: FakeSlack, way: str, remote_id: str
) -> None:
    with pytest.raises(Rejected, match="no post of a bot"):
        request.getfixturevalue(way).delete(Receipt(remote_id=remote_id))
    assert server.calls == []


# --- on the line -----------------------------------------------------------------------------------------------------


def slack_line(world: World, slack: FakeSlack, /, **values: Any) -> Line:
    slack.clock = world.clock
    return open_line(
        world,
        "slack",
        lambda http: Slack(Slack.Settings.model_validate(values or by_bot(slack)), patient(http)),
        texts=lambda: [message.text for message in slack.visible()],
        sends=lambda: len(slack.sends),
        post_by_hand=lambda text: slack.post_by_hand(text, author=slack.bot),
        fail_look=lambda: slack.script("conversations.history", Fault(status=502)),
    )


@pytest.mark.parametrize("way", [by_bot, by_webhook])
def test_articles_are_posted_once(unjudged_world: World, server: FakeSlack, way: Any) -> None:
    line = slack_line(unjudged_world, server, **way(server))
    line.show("one", "two")
    line.world.until_quiet()
    line.world.run()
    assert (line.row("one").state, line.row("two").state, line.sends()) == (State.POSTED, State.POSTED, 2)
    assert (line.seen("one"), line.seen("two")) == (1, 1)


LOST = {
    "made-then-silence": Fault(then=Then.SILENCE, made=Made.AT_ONCE),
    "made-then-500": Fault(made=Made.AT_ONCE),
    "made-then-cut": Fault(then=Then.CUT, made=Made.AT_ONCE),
    "made-then-fatal": Fault(status=200, body=b'{"ok":false,"error":"fatal_error"}', made=Made.AT_ONCE),
    "never-made-silence": Fault(then=Then.SILENCE),
    "never-made-502": Fault(status=502),
    "never-made-reset": Fault(then=Then.RESET_READING),
    "unlisted-4xx": Fault(status=418, body=b"{}", made=Made.AT_ONCE),
}


@pytest.mark.fault("D05")
@pytest.mark.fault("D06")
@pytest.mark.fault("D07")
@pytest.mark.fault("D09")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d05_d06_d07_d09_a_lost_answer_of_what_a_bot_can_read_ends_with_one_post(
    unjudged_world: World, server: FakeSlack, fault: Fault
) -> None:
    line = slack_line(unjudged_world, server)
    server.script("send", fault)
    line.show("one")
    line.world.run()
    assert line.row("one").state is State.VERIFYING
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one")) == (State.POSTED, 1)
    came = 0 if fault.then is Then.RESET_READING else 1
    assert line.sends() == came + (1 if fault.made is Made.NEVER else 0)
    assert len({call.body for call in server.sends}) == 1


@pytest.mark.fault("D05")
@pytest.mark.fault("D09")
@pytest.mark.fault("D10")
@pytest.mark.parametrize("way", ["webhook", "blind"])
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST)
def test_d05_d09_d10_a_lost_answer_that_nobody_can_read_waits_for_a_person_and_is_never_sent_again(
    unjudged_world: World, server: FakeSlack, fault: Fault, way: str
) -> None:
    values = by_webhook(server) if way == "webhook" else {**by_bot(server), "history": False}
    line = slack_line(unjudged_world, server, **values)
    server.script("send", fault)
    line.show("one")
    line.world.until_quiet()
    line.world.clock.move(hours=30)
    line.world.run()
    assert line.row("one").state is State.NEEDS_REVIEW
    assert line.seen("one") == (1 if fault.made is Made.AT_ONCE else 0)
    assert line.sends() == (0 if fault.then is Then.RESET_READING else 1)
    line.show("two")
    line.world.until_quiet()
    assert (line.row("two").state, line.seen("two")) == (State.POSTED, 1)


@pytest.mark.fault("D10")
def test_d10_the_written_policy_of_a_webhook_sends_once_more(unjudged_world: World, server: FakeSlack) -> None:
    line = slack_line(unjudged_world, server, **by_webhook(server))
    line.world.change_account("slack", on_unknown=OnUnknown.RESEND)
    server.script("send", Fault(status=502))
    line.show("one")
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 2)
    assert len({call.body for call in server.sends}) == 1


@pytest.mark.fault("D08")
def test_d08_what_cannot_be_read_for_a_day_is_left_to_a_person(unjudged_world: World, server: FakeSlack) -> None:
    line = slack_line(unjudged_world, server)
    server.script("send", Fault(made=Made.AT_ONCE))
    server.script("conversations.history", *[Fault(status=503)] * 200)
    line.show("one")
    line.world.until_quiet(most=200)
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.NEEDS_REVIEW, 1, 1)


@pytest.mark.fault("D09")
def test_d09_an_app_that_may_not_read_blocks_the_account_and_the_scope_mends_it(
    unjudged_world: World, server: FakeSlack
) -> None:
    line = slack_line(unjudged_world, server)
    server.scopes = {"chat:write"}
    server.script("send", Fault(made=Made.AT_ONCE))
    line.show("one")
    line.world.run()
    line.world.clock.move(minutes=12)
    line.world.run()
    assert line.world.standing("slack").state is AccountState.AUTH_BLOCKED
    assert "missing_scope" in (line.world.standing("slack").reason or "")
    server.scopes = {"chat:write", "channels:history"}
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 1)


@pytest.mark.fault("D11")
@pytest.mark.parametrize("made", [Made.AT_ONCE, Made.NEVER])
@pytest.mark.parametrize("way", ["bot", "webhook"])
def test_d11_a_run_that_was_killed_in_its_call_never_doubles(
    desk: Desk, server: FakeSlack, made: Made, way: str
) -> None:
    server.clock = lambda: datetime.now(UTC)
    keys = (
        f"    server: {server.url}\n    token: env:SL_SECRET\n    channel: {server.channel}\n"
        if way == "bot"
        else "    webhook_url: env:SL_SECRET\n"
    )
    desk.configure(f"  sl:\n    platform: slack\n{keys}    allow_private: yes\n")
    desk.environment["SL_SECRET"] = server.token if way == "bot" else server.webhook_url
    desk("run")
    desk.show("one")
    server.script("send", Fault(then=Then.SILENCE, made=made))
    with subprocess.Popen(desk.line("run"), env=desk.variables(), cwd=desk.folder) as process:
        assert server.fell_silent.wait(30)
        process.kill()
    for _ in range(2):
        desk("run")
    assert desk.row("one", "sl").state is (State.VERIFYING if way == "bot" else State.NEEDS_REVIEW)
    assert (len(server.visible()), len(server.sends)) == (1 if made is Made.AT_ONCE else 0, 1)


@pytest.mark.fault("D14")
@pytest.mark.fault("D16")
@pytest.mark.parametrize("way", [by_bot, by_webhook])
def test_d14_d16_a_dead_token_or_webhook_blocks_the_account_and_loses_nothing(
    unjudged_world: World, server: FakeSlack, way: Any
) -> None:
    line = slack_line(unjudged_world, server, **way(server))
    line.show("one")
    line.world.run()
    server.is_revoked = True
    line.show("two")
    line.world.run()
    assert line.world.standing("slack").state is AccountState.AUTH_BLOCKED
    assert line.row("two").state is State.READY
    server.is_revoked = False
    line.world.clock.move(minutes=16)
    line.world.until_quiet()
    assert (line.seen("one"), line.seen("two"), line.row("two").state) == (1, 1, State.POSTED)


@pytest.mark.fault("D17")
def test_d17_a_refused_text_stops_no_other(unjudged_world: World, server: FakeSlack) -> None:
    line = slack_line(unjudged_world, server)
    server.script("send", refusal("msg_too_long"))
    line.show("one")
    line.world.run()
    line.show("two")
    line.world.until_quiet()
    assert (line.row("one").state, line.row("two").state) == (State.REJECTED, State.POSTED)
    assert "msg_too_long" in (line.row("one").reason or "")


@pytest.mark.fault("D13")
@pytest.mark.parametrize("way", [by_bot, by_webhook])
def test_d13_a_limit_holds_the_account_until_it_ends(unjudged_world: World, server: FakeSlack, way: Any) -> None:
    line = slack_line(unjudged_world, server, **way(server))
    server.script("send", refusal("ratelimited", status=429, Retry_After="900"))
    line.show("one", "two")
    line.world.run()
    assert line.sends() == 1
    assert line.world.standing("slack").not_before == line.world.clock() + timedelta(minutes=15)
    line.world.until_quiet()
    assert (line.sends(), line.seen("one"), line.seen("two")) == (3, 1, 1)


@pytest.mark.fault("D23")
def test_d23_what_the_bot_posted_by_other_means_is_found_and_not_sent(unjudged_world: World, server: FakeSlack) -> None:
    line = slack_line(unjudged_world, server)
    line.world.change_account("slack", delay=timedelta(hours=2))
    line.show("one")
    line.world.run()
    line.post_by_hand(f"Baca {line.world.news('one').link}?utm_source=x")
    line.world.clock.move(hours=2)
    line.world.run()
    assert (line.row("one").state, line.seen("one"), line.sends()) == (State.POSTED, 1, 0)
