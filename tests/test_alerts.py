"""Alerts as an operator meets them: in the file, by the commands, from `run` and from a daemon, as mail in a box."""

from __future__ import annotations

import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from autopublish import alerts
from autopublish.app import End, build
from autopublish.config import load
from autopublish.errors import ConfigError
from autopublish.models import Account, AccountState, AlertKind, Article, Cause, Identity, Tell, Urgency
from autopublish.posts import admits
from tests.desk import FEED, PAGE, Desk, sky
from tests.servers.feed_site import Answer, FeedSite
from tests.servers.mail import Letter, MailServer
from tests.servers.pds import FakePds
from tests.servers.wire import Wire, always, answer
from tests.test_cli import HEAVY, loaded_by
from tests.test_daemon import daemon

PATIENCE_SECONDS = 20.0
CANARY = "c4nary-0f-a-channel"
CAUSE = Cause(kind=AlertKind.PROGRAM, words="something is wrong", urgency=Urgency.NOW)
FULL = """
alerts:
  webhook:
    url: env:ALERT_URL
  mail:
    to: desk@news.example
    server: smtp.news.example
    user: bot
    password: env:SMTP_PASSWORD
  command: /bin/true
  ping:
    url: env:PING_URL
  tell: all
"""


@pytest.fixture
def post() -> Iterator[MailServer]:
    """A mail server on this machine."""
    with MailServer() as server:
        yield server


def by_mail(server: MailServer, *more: str) -> str:
    """The section that tells by mail."""
    lines = ["to: desk@news.example", f"server: {server.address}", "security: none"]
    return "alerts:\n  mail:\n" + "".join(f"    {line}\n" for line in lines) + "".join(f"  {line}\n" for line in more)


def wait_for_letters(server: MailServer, count: int) -> list[Letter]:
    """So many letters have come."""
    ends = time.monotonic() + PATIENCE_SECONDS
    while len(server.letters) < count:
        assert time.monotonic() < ends, f"only {len(server.letters)} letters came"
        time.sleep(0.02)
    return server.letters


def find(desk: Desk, cause: Cause = CAUSE, *, ago: timedelta = timedelta(0)) -> None:
    """The cause was found."""
    with desk.store() as store:
        store.find(cause, datetime.now(UTC) - ago)


# --- in the file -----------------------------------------------------------------------------------------------------


def test_the_channels_are_those_of_the_file_in_its_order(desk: Desk) -> None:
    desk.configure(PAGE, more=FULL)
    found = load(desk.file).alerts
    assert list(found.channels) == ["webhook", "mail", "command"]
    assert (found.tell, found.every) == (Tell.ALL, timedelta(minutes=5))
    assert found.channels["command"] == ("/bin/true",)


def test_a_file_without_alerts_tells_nobody(desk: Desk) -> None:
    assert not load(desk.file).alerts.channels
    desk.configure(PAGE, more="alerts:\n")
    assert not load(desk.file).alerts.channels


def problems(desk: Desk, more: str, *accounts: str) -> str:
    """What is wrong with a file that says this."""
    desk.configure(*(accounts or (PAGE,)), more=more)
    with pytest.raises(ConfigError) as told:
        load(desk.file)
    return "\n".join(str(problem) for problem in told.value.problems)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("alerts: mail\n", r":1:9: alerts: expected keys below it"),
        ("alerts:\n  mial:\n    to: a@b.example\n", r':2:3: alerts.mial: unknown key; did you mean "mail"\?'),
        ("alerts:\n  mail:\n    to: a@b.example\n", r"alerts.mail.server: this key is required"),
        ("alerts:\n  account: pag\n", r':2:12: alerts.account: there is no account "pag"; did you mean "page"\?'),
        ("alerts:\n  ping:\n    url: env:X\n    every: 10s\n", r"alerts.ping.every: expected at least 1m"),
        ("alerts:\n  tell: some\n", r"alerts.tell: expected"),
        ("alerts:\n  command: []\n", r"alerts.command: expected"),
        (
            "alerts:\n  mail:\n    to: a@b.example\n    server: h\n    user: u\n",
            r"alerts.mail: .*expected both user and password",
        ),
    ],
    ids=["no-keys", "unknown", "missing", "no-account", "too-often", "tell", "no-command", "half-a-login"],
)
def test_what_is_wrong_with_it_is_told_with_its_place(more: str, words: str, desk: Desk) -> None:
    assert re.search(words, problems(desk, more))


@pytest.mark.fault("H09")
@pytest.mark.parametrize(
    "more",
    [
        f"alerts:\n  webhook:\n    url: https://hooks.example/{CANARY}\n",
        f"alerts:\n  ping:\n    url: {CANARY}\n",
        f"alerts:\n  mail:\n    to: a@b.example\n    server: h\n    user: u\n    password: {CANARY}\n",
    ],
    ids=["webhook", "ping", "mail"],
)
def test_h09_a_secret_in_the_file_itself_is_refused_and_never_shown(more: str, desk: Desk) -> None:
    told = problems(desk, more)
    assert "never the secret itself" in told
    assert CANARY not in told


def test_an_account_for_alerts_that_takes_articles_is_a_warning(desk: Desk) -> None:
    desk.configure(PAGE, more="alerts:\n  account: page\n")
    (warning,) = load(desk.file).warnings
    assert '"page" also takes articles' in str(warning)
    desk.configure(PAGE + "    feeds: none\n", more="alerts:\n  account: page\n")
    assert load(desk.file).warnings == ()


def test_config_check_resolves_the_secrets_of_channels(desk: Desk) -> None:
    desk.configure(PAGE, more=FULL)
    desk.environment |= {"ALERT_URL": "https://hooks.example/x", "SMTP_PASSWORD": None, "PING_URL": ""}
    said = desk("config", "check", "--json")
    assert said.code == 2
    assert set(said.json()["secrets"]) == {"alerts.mail", "alerts.ping"}
    assert "alerts.mail.password: env:SMTP_PASSWORD is not set" in said.json()["secrets"]["alerts.mail"]
    desk.environment |= {"SMTP_PASSWORD": CANARY, "PING_URL": "https://ping.example/x"}
    assert desk("config", "check").code == 0


def test_check_says_of_each_channel_whether_it_has_what_it_needs_and_sends_nothing(
    desk: Desk, post: MailServer
) -> None:
    desk.configure(PAGE, more=by_mail(post, "command: /no/such/pager", "webhook: {url: env:ALERT_URL}"))
    desk.environment["ALERT_URL"] = f"not-an-address-{CANARY}"
    said = desk("check", "--json")
    found = {one["name"]: one for one in said.json()["findings"] if one["subject"] == "alerts"}
    assert {name: one["verdict"] for name, one in found.items()} == {
        "mail": "ok",
        "command": "wrong",
        "webhook": "wrong",
    }
    assert "there is no such program" in found["command"]["words"]
    assert CANARY not in said.out + said.err
    assert (said.code, post.connections) == (1, 0)


# --- an account that takes no articles -------------------------------------------------------------------------------


def test_an_account_that_takes_no_articles_gets_none_and_why_says_so(desk: Desk, pds: FakePds) -> None:
    desk.configure(PAGE, sky(pds) + "    feeds: none\n", feeds=FEED + "    first_run: all\n")
    assert desk("run").code == 0
    assert pds.visible() == []
    assert desk.find_row("zero", "sky") is None
    assert "sky: not posted: the account takes no articles (`feeds: none`)" in desk("why", "zero").out
    assert "sky" not in desk("preview").out


def test_what_waited_for_an_account_that_takes_none_any_more_is_filtered() -> None:
    account = Account(name="a", platform="p", template="t", takes_articles=False)
    now = datetime(2026, 11, 24, tzinfo=UTC)
    article = Article(id="1", feed="f", origin="o", link=None, title="T", published=now, first_seen=now)
    assert admits(article, account, ("news",)) == "feeds"
    assert admits(article, replace(account, takes_articles=True), ("news",)) is None


def test_no_feed_may_be_called_none(desk: Desk) -> None:
    desk.configure(PAGE, feeds=FEED.replace("news:", "none:"))
    with pytest.raises(ConfigError, match=r"feeds\.none: .*use another name"):
        load(desk.file)


# --- by the commands -------------------------------------------------------------------------------------------------


def test_a_test_says_of_each_channel_whether_it_took_the_notice(desk: Desk, post: MailServer) -> None:
    desk.configure(PAGE, more=by_mail(post, "command: [/bin/sh, -c, 'echo no pager >&2; exit 4']"))
    said = desk("alerts", "test")
    assert said.code == 1
    assert said.out == "mail: taken\ncommand: not taken: /bin/sh: ended with 4: no pager\n"
    (letter,) = post.letters
    assert letter.mail["Subject"] == "autopublish: this is a test: alerts reach you here"
    assert str(desk.file) in letter.body
    one = desk("alerts", "test", "mail")
    assert (one.code, one.out, len(post.letters)) == (0, "mail: taken\n", 2)


def test_a_test_calls_the_monitor_and_never_shows_its_address(desk: Desk) -> None:
    with Wire(always(answer(200))) as wire:
        desk.configure(PAGE, more="alerts:\n  ping: {url: env:PING_URL, allow_private: yes}\n")
        desk.environment["PING_URL"] = f"{wire.url}/{CANARY}"
        assert desk("alerts", "test").out == "ping: taken\n"
        assert f"GET /{CANARY} ".encode() in wire.requests[0]
    said = desk("-vv", "alerts", "test")
    assert said.code == 1
    assert "ping: not taken: the monitor did not answer" in said.out
    assert CANARY not in said.out + said.err


def test_a_test_of_a_channel_that_is_not_there_is_wrong_usage(desk: Desk, post: MailServer) -> None:
    assert desk("alerts", "test").err.startswith("no channel is configured")
    desk.configure(PAGE, more=by_mail(post))
    said = desk("alerts", "test", "webhook")
    assert (said.code, post.letters) == (2, [])
    assert 'there is no channel "webhook"; it has mail' in said.err


def test_what_is_open_is_listed_by_alerts_and_by_status(desk: Desk) -> None:
    desk("run")
    assert desk("alerts", "list").out == "nothing is open\n"
    find(desk)
    assert re.search(r"^\d{4}-.+  not yet  something is wrong$", desk("alerts", "list").out, re.MULTILINE)
    (one,) = desk("alerts", "list", "--json").json()
    assert set(one) == {"id", "kind", "subject", "words", "urgent", "since", "told", "tellings", "over"}
    assert (one["kind"], one["words"], one["urgent"], one["told"]) == ("program", "something is wrong", True, None)
    assert "open alerts:\n  something is wrong\n" in desk("status").out
    assert desk("status", "--json").json()["alerts"] == [one]


def test_credentials_that_end_in_some_months_are_no_open_alert(desk: Desk) -> None:
    desk("run")
    for days in (13, 60):
        ends = datetime.now(UTC) + timedelta(days=days)
        words = f"the credentials of page end in {days} d"
        find(desk, Cause(kind=AlertKind.EXPIRY, subject="page", detail=ends.isoformat(), words=words))
    assert [one["words"] for one in desk("alerts", "list", "--json").json()] == ["the credentials of page end in 13 d"]


# --- from a run ------------------------------------------------------------------------------------------------------


def test_a_run_tells_what_is_due_and_the_next_one_does_not(desk: Desk, post: MailServer) -> None:
    desk.configure(PAGE, more=by_mail(post))
    desk("run")
    find(desk)
    assert (desk("run").err, desk("run").err) == ("", "")
    (letter,) = post.letters
    assert letter.mail["Subject"] == "autopublish: something is wrong"
    (one,) = desk("alerts", "list", "--json").json()
    assert (one["tellings"], one["told"] is None) == (1, False)


@pytest.mark.fault("D16")
def test_d16_a_run_whose_account_is_blocked_mails_it_and_later_that_it_is_over(
    desk: Desk, post: MailServer, pds: FakePds
) -> None:
    desk.configure(sky(pds), more=by_mail(post))
    desk("run")
    desk.environment["DESK_APP_PASSWORD"] = "wrong-password-of-the-desk"
    desk.show("one")
    desk("run")
    (letter,) = post.letters
    assert letter.mail["Subject"].startswith("autopublish: sky posts nothing: ")
    assert "Put credentials that work in place" in letter.body
    assert "wrong-password-of-the-desk" not in letter.raw.decode()
    desk.environment["DESK_APP_PASSWORD"] = FakePds.password
    desk.end_waits()
    desk("run")
    with desk.store() as store:
        assert store.standing("sky").state is AccountState.ACTIVE
        assert [alert.over is not None for alert in store.alerts()] == [True]


@pytest.mark.fault("F09")
def test_f09_a_run_whose_feed_is_gone_mails_it(desk: Desk, post: MailServer, site: FeedSite) -> None:
    site.script("/feed/", Answer(status=410))
    feeds = f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n"
    desk.configure(PAGE, feeds=feeds, more=by_mail(post))
    desk("run")
    (letter,) = post.letters
    assert letter.mail["Subject"].startswith("autopublish: the feed news is gone for good, its site says (410)")


@pytest.mark.fault("F05")
def test_f05_a_site_that_asks_for_a_pause_of_more_than_a_day_is_told(
    desk: Desk, post: MailServer, site: FeedSite
) -> None:
    site.script("/feed/", Answer(status=503, headers={"Retry-After": "172800"}))
    feeds = f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n"
    desk.configure(PAGE, feeds=feeds, more=by_mail(post))
    desk("run")
    desk("run")
    (letter,) = post.letters
    assert re.match(r"the feed news was told to wait until \d{4}-\d\d-\d\d \d\d:\d\d UTC, and does: ", letter.body)


@pytest.mark.fault("F13")
def test_f13_a_document_that_is_too_long_is_told_once_with_how_many_were_not_read(desk: Desk, post: MailServer) -> None:
    desk.configure(PAGE, more=by_mail(post))
    items = "".join(
        f"<item><title>T{n}</title><link>https://n.example/{n}</link><guid>g{n}</guid></item>" for n in range(6000)
    )
    head = '<rss version="2.0"><channel><title>T</title><link>https://n.example/</link>'
    (desk.folder / "feed.xml").write_text(f"{head}{items}</channel></rss>")
    desk("run")
    desk("run")
    (letter,) = post.letters
    assert re.match(r"the feed news is not read whole: .*\d{4}", letter.body)


@pytest.mark.fault("D13")
def test_d13_an_account_that_is_told_to_wait_for_hours_is_told(desk: Desk, post: MailServer, pds: FakePds) -> None:
    desk.configure(sky(pds), more=by_mail(post))
    desk("run")
    with desk.store() as store:
        standing = store.standing("sky")
        now = datetime.now(UTC)
        for hours in (1, 3):
            waits = replace(standing, not_before=now + timedelta(hours=hours), reason="429: daily limit")
            store.save_standing(store.standing("sky"), waits, now=now)
    desk("run")
    (letter,) = post.letters
    assert re.match(r"sky was told to wait until .* UTC, and does: 429: daily limit", letter.body)


def test_a_run_that_has_nothing_to_tell_imports_no_more_than_before(desk: Desk, post: MailServer) -> None:
    with Wire(always(answer(200))) as wire:
        ping = "ping: {url: env:PING_URL, allow_private: yes, every: 1h}"
        desk.configure(PAGE, more=by_mail(post, ping))
        desk.environment["PING_URL"] = wire.url
        desk("run")
        assert len(wire.requests) == 1
        loaded = loaded_by(desk, "run")
        assert "autopublish.telling" in loaded
        assert loaded & (HEAVY | {"smtplib", "autopublish.channels.mail"}) == set()
        assert (len(wire.requests), post.letters) == (1, [])


def test_a_run_that_has_nothing_to_tell_and_nobody_to_call_loads_no_teller(desk: Desk, post: MailServer) -> None:
    desk.configure(PAGE, more=by_mail(post))
    desk("run")
    assert "autopublish.telling" not in loaded_by(desk, "run")
    find(desk)
    assert "autopublish.telling" in loaded_by(desk, "run")


def test_a_run_says_once_that_its_alerts_reach_nobody(desk: Desk) -> None:
    desk.configure(PAGE, more="alerts:\n  command: /bin/false\n")
    desk("run")
    find(desk)
    said = [desk("run") for _ in range(3)]
    assert said[0].err.startswith("alerts cannot be told: command: /bin/false: ended with 1.")
    assert [one.err for one in said[1:]] == ["", ""]
    assert [one.code for one in said] == [0, 0, 0]


@pytest.mark.fault("S01")
def test_s01_a_run_whose_store_is_no_store_any_more_tells_it_once_an_hour(desk: Desk, post: MailServer) -> None:
    desk.configure(PAGE, more=by_mail(post))
    desk("run")
    (desk.folder / "autopublish.db").write_bytes(b"no store " * 2000)
    said = [desk("run"), desk("run"), desk.process("daemon")]
    assert [one.code for one in said] == [2, 2, 2]
    (letter,) = post.letters
    assert "autopublish.db" in letter.mail["Subject"]
    assert "This comes from autopublish on" in letter.body


@pytest.mark.fault("S10")
def test_s10_a_run_tells_that_the_copies_of_the_store_are_old(desk: Desk, post: MailServer) -> None:
    desk.configure(PAGE, more=by_mail(post))
    desk("run")
    for copy in (desk.folder / "autopublish.db.d" / "copies").glob("*.db"):
        copy.unlink()
    with desk.store() as store:
        (feed,) = store.feeds()
        store.save_feeds([replace(feed, first_try=datetime.now(UTC) - timedelta(hours=27))])
    # It was looked for within the hour.
    desk("run")
    assert desk("alerts", "list", "--json").json() == []
    with desk.store() as store:
        store.keep_note("looked around", (datetime.now(UTC) - timedelta(hours=2)).isoformat())
    desk("run")
    (found,) = desk("alerts", "list", "--json").json()
    assert found["kind"] == "copy"
    assert "was never made" in found["words"]


def test_a_run_that_stays_tells_while_it_waits(desk: Desk, post: MailServer) -> None:
    desk.configure(PAGE + "    delay: 2h\n", more=by_mail(post))
    desk("run")
    desk.show("one")
    find(desk)
    now: list[datetime] = [datetime.now(UTC)]
    told_at: list[timedelta] = []
    began = now[0]

    def wait(_: threading.Condition, seconds: float) -> None:
        told_at.extend([now[0] - began] * (len(post.letters) - len(told_at)))
        now[0] += timedelta(seconds=seconds)

    with closing(build(desk.file, clock=lambda: now[0], wait=wait)) as app:
        app.run(end=End.WHEN_QUIET)
    assert now[0] - began >= timedelta(hours=2)
    assert len(told_at) == 1
    assert told_at[0] < timedelta(minutes=2)


def test_alerts_go_to_a_private_account_under_one_key(desk: Desk, pds: FakePds) -> None:
    desk.configure(PAGE, sky(pds) + "    feeds: none\n", more="alerts:\n  account: sky\n")
    desk("run")
    find(desk, replace(CAUSE, words="something is wrong, tell @all"))
    desk("run")
    (post,) = pds.visible()
    assert post.text.startswith("something is wrong, tell @")
    with desk.store() as store:
        standing = store.standing("sky")
        store.save_standing(standing, replace(standing, state=AccountState.PAUSED, reason="ada"), now=datetime.now(UTC))
    said = desk("alerts", "test")
    assert (said.code, said.out) == (1, "account: not taken: sky is PAUSED: ada\n")
    assert len(pds.visible()) == 1


@pytest.mark.fault("O07")
def test_o07_alerts_go_to_no_account_but_the_one_that_is_pinned(desk: Desk, pds: FakePds) -> None:
    desk.configure(PAGE, sky(pds) + "    feeds: none\n", more="alerts:\n  account: sky\n")
    desk("run")

    def pin(identity: str) -> None:
        with desk.store() as store:
            standing = store.standing("sky")
            pinned = replace(standing, identity=Identity(id=identity, name="desk"), fingerprint="of other secrets")
            store.save_standing(standing, pinned, now=datetime.now(UTC))

    pin("did:plc:another")
    said = desk("alerts", "test")
    assert said.out == "account: not taken: sky: the credentials belong to another account than before\n"
    assert pds.visible() == []
    pin(pds.did)
    assert desk("alerts", "test").code == 0
    assert len(pds.visible()) == 1, "the secrets were renewed, and the account is the same"


@pytest.mark.fault("H09")
def test_h09_no_secret_of_a_channel_is_in_logs_output_or_store(desk: Desk, post: MailServer) -> None:
    post.refusals["AUTH"] = f"535 {CANARY}-mail refused"
    with Wire(always(answer(500, CANARY.encode()))) as wire:
        desk.configure(
            PAGE,
            more=(
                "alerts:\n"
                f"  webhook: {{url: env:ALERT_URL, allow_private: yes, secret: env:ALERT_SECRET}}\n"
                f"  mail: {{to: a@b.example, server: '{post.address}', security: none}}\n"
                "  ping: {url: env:PING_URL, allow_private: yes}\n"
            ),
        )
        post.refusals["MAIL"] = f"550 {CANARY}-of-somebody"
        desk.environment |= {
            "ALERT_URL": f"{wire.url}/{CANARY}-hook",
            "ALERT_SECRET": "whsec_YzRuYXJ5LTBmLWEtY2hhbm5lbC1zZWNyZXQ=",
            "PING_URL": f"{wire.url}/{CANARY}-ping",
        }
        desk("run")
        find(desk)
        said = desk("-vv", "run")
        tested = desk("-vv", "alerts", "test")
        shown = said.out + said.err + tested.out + tested.err + desk("alerts", "list").out + desk("check").out
    for secret in (f"{CANARY}-hook", f"{CANARY}-ping", "YzRuYXJ5LTBmLWEtY2hhbm5lbC1zZWNyZXQ="):
        assert secret not in shown
        assert all(secret.encode() not in path.read_bytes() for path in desk.folder.rglob("*") if path.is_file())
    assert "HTTP 500" in shown


# --- from a daemon ---------------------------------------------------------------------------------------------------


@pytest.mark.fault("O01")
def test_o01_a_daemon_whose_file_is_broken_mails_line_and_column_and_that_it_is_over(
    desk: Desk, post: MailServer
) -> None:
    desk.configure(PAGE, more=by_mail(post))
    good = desk.file.read_text()
    with daemon(desk) as running:
        running.until("at work")
        desk.file.write_text(good.replace("platform: page", "platform: pag"))
        (letter,) = wait_for_letters(post, 1)
        assert re.match(
            r"the configuration is wrong, and the one of before stays in force: \S+autopublish\.yaml:\d+:\d+: "
            r"accounts\.page\.platform: unknown platform; did you mean \"page\"\?",
            letter.body,
        )
        desk.file.write_text(good)
        running.until("the configuration was read again")
        assert running.end() == 0
    with desk.store() as store:
        (alert,) = store.alerts()
        assert (alert.cause.kind, alert.over is not None) == (AlertKind.CONFIGURATION, True)


@pytest.mark.fault("D16")
def test_d16_a_daemon_mails_at_once_that_an_account_is_blocked(desk: Desk, post: MailServer, pds: FakePds) -> None:
    desk.configure(sky(pds), more=by_mail(post), feeds=FEED + "    first_run: all\n")
    desk.environment["DESK_APP_PASSWORD"] = "not-the-password"
    with daemon(desk, minute=3600) as running:
        (letter,) = wait_for_letters(post, 1)
        assert letter.mail["Subject"].startswith("autopublish: sky posts nothing: ")
        assert running.end() == 0


def test_a_mail_server_that_hangs_holds_up_no_post_and_not_the_end(desk: Desk, post: MailServer) -> None:
    post.refusals["EHLO"] = ""
    desk.configure(PAGE, more=by_mail(post))
    desk("run")
    find(desk)
    with daemon(desk, grace=0.5) as running:
        running.until("at work")
        ends = time.monotonic() + PATIENCE_SECONDS
        while post.connections == 0 and time.monotonic() < ends:
            time.sleep(0.02)
        desk.show("one")
        with desk.store() as store:
            (feed,) = store.feeds()
            store.save_feeds([replace(feed, last_try=datetime.now(UTC) - timedelta(hours=1))])
        running.until("page: posted")
        began = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - began < 10
    assert post.letters == []
    assert desk("alerts", "list", "--json").json()[0]["told"] is None


@pytest.mark.fault("P04")
def test_p04_a_daemon_calls_the_monitor_and_a_dead_one_does_not(desk: Desk) -> None:
    called = threading.Event()

    def note(peer: Any) -> None:
        peer.read_request()
        called.set()
        peer.write(answer(200))

    with Wire(note) as wire:
        desk.configure(PAGE, more="alerts:\n  ping: {url: env:PING_URL, allow_private: yes, every: 1m, method: post}\n")
        desk.environment["PING_URL"] = f"{wire.url}/well"
        with daemon(desk) as running:
            assert called.wait(PATIENCE_SECONDS)
            running.end()
        body = wire.requests[0].partition(b"\r\n\r\n")[2]
        assert json.loads(body)["posted"] == 0
        # Another has been called within the minute.
        assert len(wire.requests) == 1


@pytest.mark.fault("S01")
def test_s01_a_daemon_whose_store_is_spoilt_under_it_tells_it_before_it_ends(desk: Desk, post: MailServer) -> None:
    desk.configure(PAGE, more=by_mail(post))
    with daemon(desk) as running:
        running.until("at work")
        with closing(sqlite3.connect(desk.folder / "autopublish.db")) as connection:
            connection.execute("PRAGMA busy_timeout = 10000")
            connection.execute("DROP TABLE meta")
            connection.commit()
        (letter,) = wait_for_letters(post, 1)[:1]
        assert "meta" in letter.body
        assert running.ended() == 1
    assert len(post.letters) == 1


def test_a_program_that_fails_again_and_again_is_an_alert() -> None:
    cause = alerts.broken_program("poll", "KeyError")
    assert (cause.kind, cause.detail) == (AlertKind.PROGRAM, "poll")
    assert "please report it" in cause.words


def test_every_cause_that_says_what_to_do_names_commands_that_exist() -> None:
    from autopublish.cli import COMMANDS

    makers: tuple[Callable[[], Cause | None], ...] = (
        lambda: alerts.old_copy(None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)),
        lambda: alerts.safe_mode("restored"),
    )
    for make in makers:
        cause = make()
        assert cause is not None
        named = re.findall(r"`autopublish (\w+)", cause.words)
        assert named
        assert set(named) <= set(COMMANDS)


def test_the_example_of_the_readme_is_taken(tmp_path: Path) -> None:
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    example = re.search(r"```yaml\n(alerts:\n.*?)```", readme, re.DOTALL)
    assert example is not None
    desk = Desk(tmp_path)
    desk.configure(PAGE, more=example[1])
    assert list(load(desk.file).alerts.channels) == ["mail", "command"]


def test_the_example_of_the_file_is_taken_without_its_marks(tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "config" / "autopublish.yaml").read_text()
    section = text[text.index("# alerts:\n") :]
    desk = Desk(tmp_path)
    more = re.sub(r"^# ?", "", section, flags=re.MULTILINE).replace("desk-chat", "page")
    desk.configure(PAGE + "    feeds: none\n", more=more)
    found = load(desk.file)
    assert list(found.alerts.channels) == ["mail", "webhook", "command", "account"]
    assert found.warnings == ()
