"""Commands as their users have them: what is printed where, exit codes, and what a person's decisions come to."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from autopublish.app import RunReport
from autopublish.cli import COMMANDS
from autopublish.cli._common import columns, plain
from autopublish.cli.run import exit_code
from autopublish.models import AccountState, Article, Delivery, Standing, State
from autopublish.pipeline import Changed, Polled, Trouble
from tests.desk import FEED, PAGE, SECRET, Desk, Said, seen_on, sky
from tests.servers.feed_site import Answer, FeedSite
from tests.servers.pds import FakePds, Fault, Made, Then

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
OTHER_FEED = "  other:\n    url: ./other.xml\n"
LOST = Fault(then=Then.ANSWER, status=500)
REFUSED = Fault(then=Then.ANSWER, status=400, body=b'{"error":"InvalidRequest","message":"text is too long"}')
#: Only a broken test comes near it.
PATIENCE_SECONDS = 20


@pytest.fixture(autouse=True)
def quiet_logs() -> Iterator[None]:
    """A command sets levels of logging, which belong to its process; here they are put back."""
    loggers = [logging.getLogger(name) for name in (None, "autopublish", "urllib3")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


def begin(desk: Desk, *accounts: str, feeds: str = FEED, more: str = "") -> None:
    """These accounts are configured, and the first poll is over."""
    desk.configure(*(accounts or (PAGE,)), feeds=feeds, more=more)
    assert desk("run").code == 0


# --- run -------------------------------------------------------------------------------------------------------------


def test_the_first_run_says_that_nothing_is_posted_and_how_to_change_that(desk: Desk) -> None:
    said = desk("run")
    assert (said.code, said.out) == (0, "")
    assert "recorded as known, none posted" in said.err
    assert "first_run" in said.err
    assert desk.pages() == set()


def test_a_run_prints_what_became_of_each_article_on_each_account(desk: Desk, pds: FakePds) -> None:
    begin(desk, PAGE, sky(pds))
    desk.show("one", "two")
    said = desk("run")
    heads, one, two, *homes = said.out.splitlines()
    assert heads.split() == ["article", "page", "sky"]
    assert one.split("  ") == ["Article one", "posted 38/300", "posted 38/297"]
    assert two.split("  ") == ["Article two", "posted 38/300", "posted 38/297"]
    assert [home.partition(": ")[0] for home in homes] == ["page", "sky"]
    assert homes[0].startswith(f"page: file://{desk.folder}/out/index.html")
    assert (said.code, said.err) == (0, "")
    assert (desk.pages(), seen_on(pds)) == ({"one", "two"}, ["two", "one"])


def test_a_run_in_a_pipe_prints_nothing_when_nothing_changed(desk: Desk) -> None:
    begin(desk)
    desk.show("one")
    desk("run")
    assert desk("run") == Said(code=0, out="", err="")


def test_in_a_pipe_what_an_account_waits_for_is_told_with_the_article_and_never_again(desk: Desk) -> None:
    desk.configure(PAGE + "    at_most: 1/hour\n")
    desk("run")
    desk.show("one", "two")
    assert "page: at most as many posts as it may for now" in desk("run").err
    assert desk("run") == Said(code=0, out="", err="")


def test_a_feed_that_cannot_be_read_is_told_once_and_ends_each_run_with_1(desk: Desk) -> None:
    desk.configure(PAGE, feeds=OTHER_FEED + FEED)
    assert "other: cannot be read: no such file" in desk("run").err
    desk.show("one")
    again = desk("run")
    assert (again.code, again.err, desk.pages()) == (1, "", {"one"}), "the other feed goes on"
    assert desk("run") == Said(code=1, out="", err="")


def test_a_feed_that_fails_in_another_way_is_told_again(desk: Desk) -> None:
    desk.configure(PAGE, feeds=OTHER_FEED + FEED)
    desk("run")
    (desk.folder / "other.xml").write_text("no feed at all")
    said = desk("run")
    assert said.code == 1
    assert said.err.startswith("other: ")
    assert "no such file" not in said.err


def test_a_feed_without_articles_is_told_once_until_it_shows_some(desk: Desk) -> None:
    begin(desk)
    feed = desk.folder / "feed.xml"
    full, empty = feed.read_bytes(), re.sub(rb"<item>.*</item>", b"", feed.read_bytes(), flags=re.DOTALL)
    for _ in range(2):
        feed.write_bytes(empty)
        assert "news: the feed shows no article at the moment" in desk("run").err
        assert desk("run") == Said(code=0, out="", err="")
        feed.write_bytes(full)
        assert desk("run") == Said(code=0, out="", err="")


def test_a_feed_that_was_read_in_between_is_told_when_it_fails_anew(desk: Desk) -> None:
    begin(desk)
    feed = desk.folder / "feed.xml"
    away = feed.rename(desk.folder / "away.xml")
    assert "news: cannot be read: no such file" in desk("run").err
    away.rename(feed)
    assert desk("run") == Said(code=0, out="", err="")
    feed.unlink()
    assert "news: cannot be read: no such file" in desk("run").err


@pytest.mark.fault("O03")
def test_o03_a_missing_secret_blocks_one_account_and_is_told_once(desk: Desk, pds: FakePds) -> None:
    begin(desk, PAGE, sky(pds))
    desk.show("one")
    desk.environment[SECRET] = None
    first = desk("run")
    assert first.code == 1
    assert f"{SECRET} is not set" in first.err
    assert desk("run") == Said(code=1, out="", err="")
    assert (desk.pages(), seen_on(pds)) == ({"one"}, [])
    assert desk.row("one", "sky").state is State.READY
    desk.environment[SECRET] = pds.password
    assert desk("run").code == 0
    assert seen_on(pds) == ["one"]


@pytest.mark.fault("D16")
def test_d16_refused_credentials_block_the_account_and_are_told_once(desk: Desk, pds: FakePds) -> None:
    begin(desk, PAGE, sky(pds))
    desk.show("one")
    desk.environment[SECRET] = "wxyz-wxyz-wxyz-wxyz"
    first = desk("run")
    assert first.code == 1
    assert "Invalid identifier or password" in first.err
    assert desk("run") == Said(code=1, out="", err="")
    assert len(pds.called("createSession")) == 1, "what was refused is not tried again at once"
    assert desk.row("one", "sky").state is State.READY
    assert "AUTH_BLOCKED" in desk("status").out


@pytest.mark.fault("D17")
def test_d17_a_refused_post_ends_that_run_with_1_and_the_next_one_with_0(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    pds.script("putRecord", REFUSED)
    desk.show("one", "two")
    said = desk("run")
    assert said.code == 1
    assert "text is too long" in said.err
    assert "autopublish deliveries retry" in said.err
    assert seen_on(pds) == ["two"]
    assert desk("run") == Said(code=0, out="", err="")


def test_an_unknown_outcome_is_no_failure_of_the_run(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    pds.script("putRecord", LOST)
    desk.show("one")
    said = desk("run")
    assert said.code == 0
    assert re.fullmatch(r"verifying, next look \d\d:\d\d", said.out.splitlines()[1].split("  ")[1])


def test_the_next_look_is_told_in_the_time_of_the_operator_everywhere(desk: Desk, pds: FakePds) -> None:
    desk.configure(sky(pds), more="timezone: Asia/Makassar\n")
    desk("run")
    pds.script("putRecord", LOST)
    desk.show("one")
    in_table = re.search(r"next look (\d\d:\d\d)", desk("run").out)
    in_list = re.search(r"next look [\d-]+ (\d\d:\d\d)", desk("deliveries", "list").out)
    assert in_table is not None
    assert in_list is not None
    look_at = desk.row("one", "sky").look_at
    assert look_at is not None
    assert in_table[1] == in_list[1] == f"{look_at.astimezone(ZoneInfo('Asia/Makassar')):%H:%M}"


def report(**parts: Any) -> RunReport:
    """A report of one account that stands well, but for these parts."""
    quiet = RunReport(polled=[], changed=[], troubles=[], recovered=0, standings={"a": standing()}, told=[])
    return replace(quiet, **parts)


def standing(state: AccountState = AccountState.ACTIVE) -> Standing:
    return Standing(account="a", platform="p", created=NOW, active_since=NOW, state=state)


def changed(state: State) -> Changed:
    article = Article(id="1", feed="f", origin="o", link=None, title="One", published=NOW, first_seen=NOW)
    row = Delivery(id="0" * 64, article="1", account="a", state=state, published=NOW, due=NOW, created=NOW, changed=NOW)
    return Changed(delivery=row, article=article)


CODES = {
    "nothing": (report(), 0),
    **{f"polled-{status}": (report(polled=[Polled(feed="f", status=status)]), 0) for status in ("new", "waiting")},
    **{f"polled-{status}": (report(polled=[Polled(feed="f", status=status)]), 1) for status in ("failed", "gone")},
    **{
        f"delivery-{state}": (report(changed=[changed(state)]), int(state in (State.REJECTED, State.NEEDS_REVIEW)))
        for state in State
    },
    "account-active": (report(standings={"a": standing(AccountState.ACTIVE)}), 0),
    "account-paused": (report(standings={"a": standing(AccountState.PAUSED)}), 0),
    "account-blocked": (report(standings={"a": standing(AccountState.AUTH_BLOCKED)}), 1),
    "account-in-safe-mode": (report(standings={"a": standing(AccountState.SAFE_MODE)}), 1),
    "account-waits": (report(troubles=[Trouble(account="a", reason="waits", failed=False)]), 0),
    "account-in-trouble": (report(troubles=[Trouble(account="a", reason="broken")]), 1),
}


@pytest.mark.parametrize(("ended", "code"), CODES.values(), ids=CODES)
def test_the_exit_code_of_a_run_tells_what_needs_a_person(ended: RunReport, code: int) -> None:
    assert exit_code(ended) == code


HOLD = (
    "import sys; from datetime import UTC, datetime; from autopublish.store import open_store\n"
    "store = open_store(sys.argv[1])\n"
    "with store.only_run(datetime.now(UTC)):\n"
    "    print('held', flush=True); sys.stdin.read()\n"
)


@pytest.mark.fault("O06")
@pytest.mark.fault("D12")
def test_o06_d12_a_second_run_says_that_another_is_at_work_and_does_nothing(desk: Desk) -> None:
    begin(desk)
    desk.show("one")
    line = [sys.executable, "-c", HOLD, f"sqlite:///{desk.folder / 'autopublish.db'}"]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        second = desk("run")
        assert (second.code, second.out) == (0, "")
        assert f"another run is at work (pid {first.pid}, since " in second.err
        document = json.loads(desk("run", "--json").out)
        assert document["busy"].startswith(f"another run is at work (pid {first.pid}, ")
        assert (document["polled"], document["deliveries"], document["counts"]["posted"]) == ([], [], 0)
        assert desk.pages() == set()
        first.communicate()
    assert desk("run").code == 0
    assert desk.pages() == {"one"}


def test_a_reader_that_goes_away_ends_the_command_without_a_word(desk: Desk) -> None:
    begin(desk)
    desk.show("one")
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            desk.line("run"), env=desk.variables(), stdout=writing, stderr=subprocess.PIPE, check=False, timeout=30
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    assert desk.row("one", "page").state is State.POSTED


@contextmanager
def run_in_mid_call(desk: Desk, pds: FakePds) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a process of its own waits for the answer to the call that has made the post of `one`."""
    begin(desk, sky(pds))
    pds.script("putRecord", Fault(then=Then.SILENCE, made=Made.AT_ONCE))
    desk.show("one")
    with subprocess.Popen(
        desk.line("run"), env=desk.variables(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            wait_for(lambda: bool(pds.called("putRecord")))
            yield process
        finally:
            process.kill()


@pytest.mark.fault("P01")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_p01_an_interrupted_run_lets_the_call_in_flight_end_and_records_it(
    desk: Desk, pds: FakePds, number: signal.Signals
) -> None:
    with run_in_mid_call(desk, pds) as process:
        process.send_signal(number)
        pds.stop()
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out, err.strip()) == (
        1,
        b"",
        b"stopped; what was being sent has been recorded, and the next run goes on",
    )
    assert desk.row("one", "sky").state is State.VERIFYING
    pds.start()
    desk.end_waits()
    assert desk("run").code == 0
    assert desk.row("one", "sky").state is State.POSTED
    assert seen_on(pds) == ["one"]


@pytest.mark.fault("P01")
def test_p01_what_a_killed_run_left_in_mid_call_is_told_and_looked_up_by_the_next(desk: Desk, pds: FakePds) -> None:
    with run_in_mid_call(desk, pds) as process:
        process.kill()
        process.communicate(timeout=PATIENCE_SECONDS)
    assert desk.row("one", "sky").state is State.SENDING
    said = desk("run")
    assert said.code == 0
    assert "1 delivery was left in the middle of a call" in said.err
    desk.end_waits()
    assert desk("run").code == 0
    assert desk.row("one", "sky").state is State.POSTED
    assert seen_on(pds) == ["one"]


def wait_for(done: Callable[[], bool]) -> None:
    """It has come to pass in another process."""
    end = monotonic() + PATIENCE_SECONDS
    while not done():
        assert monotonic() < end, "it never came to pass"
        sleep(0.01)


def test_what_happens_is_logged_to_stderr_when_asked_for(desk: Desk) -> None:
    begin(desk)
    desk.show("one")
    said = desk.process("-v", "run")
    assert "INFO delivery changed state=POSTED account=page" in said.err
    assert "INFO" not in said.out


# --- without what a run does not need --------------------------------------------------------------------------------

HEAVY = {
    "pydantic",
    "yaml",
    "feedparser",
    "jinja2",
    "tweepy",
    "apscheduler",
    "PIL",
    "rich",
    "regex",
    "concurrent.futures",
    "autopublish.posts",
    "autopublish.deliveries",
    "autopublish.platforms",
}
LOADED = (
    "import sys\nfrom autopublish.cli import main\ntry: main(sys.argv[1:])\nfinally: print(*sys.modules, sep='\\n')\n"
)


def loaded_by(desk: Desk, *words: str) -> set[str]:
    """The modules that a command has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words], env=desk.variables(), capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_a_run_without_news_of_a_local_feed_imports_nothing_heavy(desk: Desk) -> None:
    begin(desk)
    loaded = loaded_by(desk, "run")
    assert "autopublish.pipeline" in loaded
    assert loaded & HEAVY == set()


def test_a_run_whose_site_answers_304_imports_nothing_heavy(desk: Desk, site: FeedSite) -> None:
    body = (desk.folder / "feed.xml").read_bytes()
    site.script("/feed/", Answer(body=body, headers={"ETag": '"1"'}), Answer(status=304))
    begin(desk, feeds=f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n")
    loaded = loaded_by(desk, "run")
    assert site.asked[-1].headers["If-None-Match"] == '"1"'
    assert loaded & HEAVY == set()


def test_help_costs_click_alone(desk: Desk) -> None:
    assert loaded_by(desk, "--help") & (HEAVY | {"requests", "sqlite3", "autopublish.app"}) == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_needs_neither_yaml_nor_pydantic(desk: Desk, command: str) -> None:
    light = {"concurrent.futures", "autopublish.deliveries", "autopublish.platforms"}
    assert loaded_by(desk, command, "--help") & (HEAVY - light) == set()


# --- wrong usage and configuration -----------------------------------------------------------------------------------


def edited(old: str, new: str) -> Callable[[Desk], None]:
    """A change of the configuration."""

    def edit(desk: Desk) -> None:
        before = desk.file.read_text()
        assert old in before
        desk.file.write_text(before.replace(old, new))

    return edit


def from_the_future(desk: Desk) -> None:
    with closing(sqlite3.connect(desk.folder / "autopublish.db")) as store, store:
        store.execute("UPDATE meta SET value = '999' WHERE name = 'schema'")


def in_place_of_a_folder(desk: Desk) -> None:
    (desk.folder / "file").write_text("")
    desk.file.write_text("store: sqlite:///file/autopublish.db\n" + desk.file.read_text())


WRONG = {
    "missing-file": (
        lambda desk: desk.file.unlink(),
        r"autopublish.yaml: there is no such file; `autopublish init` makes one, or name",
    ),
    "bad-yaml": (edited("url: ./feed.xml", "url: [./feed.xml"), r"autopublish.yaml:\d+:\d+: .+"),
    "unknown-key": (edited("    url:", "    ulr: x\n    url:"), r'yaml:3:5: feeds.news.ulr: unknown key; .*"url"'),
    "duplicate-key": (
        edited("    url:", "    url: x\n    url:"),
        r'yaml:4:5: the key "url" stands twice, first in line 3; keep one',
    ),
    "wrong-type": (edited("    url:", "    every: soon\n    url:"), r"yaml:3:12: feeds.news.every: expected a number"),
    "unknown-platform": (edited("platform: page", "platform: pgae"), r'accounts.page.platform: .*"page"'),
    "unknown-variable": (edited("folder:", "template: '{{ titel }}'\n    folder:"), r"accounts.page.template: .*titel"),
    "unknown-feed": (edited("folder:", "feeds: [newz]\n    folder:"), r'accounts.page.feeds: .*"newz".*"news"'),
    "newer-store": (from_the_future, r"made by a newer version of autopublish .*install that version"),
    "store-in-no-folder": (in_place_of_a_folder, r"file/autopublish.db cannot be made: "),
}


@pytest.mark.parametrize("command", ["run", "status", "deliveries approve --account page"])
@pytest.mark.parametrize(("spoil", "words"), WRONG.values(), ids=WRONG)
def test_wrong_input_is_one_clear_message_and_nothing_is_changed(
    desk: Desk, spoil: Callable[[Desk], None], words: str, command: str
) -> None:
    begin(desk)
    spoil(desk)
    desk.show("one")
    before = desk.tree()
    said = desk(*command.split())
    expected = "there is no store at" if spoil is in_place_of_a_folder and command == "status" else words
    assert (said.code, said.out) == (2, "")
    assert re.search(expected, said.err)
    assert len(said.err.splitlines()) == 1
    assert desk.tree() == before


def test_all_that_is_wrong_is_said_at_once(desk: Desk) -> None:
    edited("    url:", "    evry: 5m\n    url:")(desk)
    edited("folder:", "fodler:")(desk)
    said = desk("run")
    assert said.code == 2
    assert [re.search(r"yaml:(\d+):", line) is not None for line in said.err.splitlines()] == [True, True, True]
    assert "evry" in said.err
    assert "fodler" in said.err


USAGE = {
    "unknown-command": ("stauts", "Did you mean 'status'?"),
    "unknown-option": ("run --jsno", "Did you mean '--json'?"),
    "no-article": ("why", "Missing argument 'ARTICLE'"),
    "too-much": ("status more", "unexpected extra argument"),
    "no-such-state": ("deliveries list --state posten", "is not one of"),
    "no-such-platform": ("platforms blusky", "did you mean bluesky?"),
    "nothing-named": ("deliveries approve", "name deliveries by ID"),
    "no-id": ("deliveries cancel what", "what is not an ID"),
    "no-such-id": ("deliveries retry abcdef", "there is no delivery abcdef"),
    "nothing-seen": ("deliveries resolve abcdef", "say one of --posted URL, --absent, --drop"),
    "two-things-seen": ("deliveries resolve abcdef --absent --drop", "say one of --posted URL, --absent, --drop"),
    "no-address": ("deliveries resolve abcdef --posted yes", "--posted takes the address of the post"),
}


@pytest.mark.parametrize(("line", "words"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_told_with_the_remedy_and_changes_nothing(desk: Desk, line: str, words: str) -> None:
    begin(desk)
    before = desk.tree()
    said = desk(*line.split())
    assert (said.code, said.out) == (2, "")
    assert words in said.err
    assert desk.tree() == before


@contextmanager
def somebody_else(folder: Path) -> Iterator[None]:
    """The body runs as a user without rights, who may read the folder."""
    me = os.getuid()
    try:
        if me == 0:
            try:
                os.setresuid(65534, 65534, 0)
            except PermissionError:
                pytest.skip("root without the right to become somebody else")
        yield
    finally:
        if me == 0:
            os.setresuid(0, 0, 0)
        folder.chmod(0o755)


def test_a_folder_that_may_not_be_written_is_told_in_words(desk: Desk) -> None:
    begin(desk)  # what the command imports is loaded while it may be read
    folder = Path(tempfile.mkdtemp(prefix="autopublish-"))
    try:
        guarded = Desk(folder)
        guarded.configure(PAGE)
        guarded.show("zero")
        folder.chmod(0o555)
        with somebody_else(folder):
            said = guarded("run")
        assert (said.code, said.out) == (2, "")
        assert "is not writable for this user" in said.err
        assert len(said.err.splitlines()) == 1
        assert {path.name for path in folder.iterdir()} == {"autopublish.yaml", "feed.xml"}
    finally:
        shutil.rmtree(folder)


# --- a configuration that changes ------------------------------------------------------------------------------------


def test_a_feed_that_is_added_begins_with_a_first_poll(desk: Desk) -> None:
    begin(desk)
    desk.show("old", feed="other.xml")
    desk.configure(PAGE, feeds=FEED + OTHER_FEED)
    assert "other: first poll" in desk("run").err
    desk.show("new", feed="other.xml")
    desk("run")
    assert desk.pages() == {"new"}


def test_an_account_that_is_added_begins_with_the_next_article(desk: Desk, pds: FakePds) -> None:
    begin(desk)
    desk.show("one")
    desk("run")
    desk.configure(PAGE, sky(pds))
    desk("run")
    desk.show("two")
    desk("run")
    assert seen_on(pds) == ["two"]
    assert "sky: not posted: the account was added after this article was first seen" in desk("why", "/one/").out


def test_what_waits_for_a_removed_account_is_held_until_it_is_back(desk: Desk, pds: FakePds) -> None:
    begin(desk, PAGE, sky(pds))
    desk.environment[SECRET] = None
    desk.show("one", "two")
    desk("run")
    desk.configure(PAGE)
    removed = desk("run")
    assert removed.err.splitlines() == [
        "account sky removed: 2 deliveries that waited are HELD; see `autopublish deliveries list --state held`"
    ]
    short = desk.row("one", "sky").id[:8]
    refused = desk("deliveries", "approve", short)
    assert (refused.code, refused.out) == (1, "")
    assert "names no account sky: put it back first" in refused.err
    assert desk.row("one", "sky").state is State.HELD
    assert "sky: held: account removed" in desk("why", "/one/").out
    desk.configure(PAGE, sky(pds))
    desk.environment[SECRET] = pds.password
    assert desk("deliveries", "approve", short).code == 0
    desk("run")
    assert seen_on(pds) == ["one"]


def test_a_store_that_remembers_another_file_adopts_the_one_that_is_named(desk: Desk) -> None:
    begin(desk)
    other = desk.folder / "second.yaml"
    desk.show("old", feed="other.xml")
    other.write_text(f"feeds:\n{OTHER_FEED}accounts:\n{PAGE}")
    said = desk("run", "--config", str(other))
    assert (said.code, said.err.startswith("other: first poll")) == (0, True)
    assert [feed["feed"] for feed in desk("status", "--config", str(other), "--json").json()["feeds"]] == ["other"]


def test_a_file_that_moved_to_another_folder_is_read_anew(desk: Desk) -> None:
    begin(desk, more=f"store: sqlite:///{desk.folder}/autopublish.db\n")
    away = desk.folder.parent / "away"
    away.mkdir()
    desk.file.rename(away / "autopublish.yaml")
    said = desk("run", "--config", str(away / "autopublish.yaml"))
    assert said.code == 1
    assert "news: cannot be read: no such file" in said.err


STORES = {
    "plain": "store: sqlite:///s.db\n",
    "double-quotes": 'store: "sqlite:///s.db"\n',
    "single-quotes": "store: 'sqlite:///s.db'\n",
    "comment-behind": "store: sqlite:///s.db   # keep it\n",
    "comment-before": "# store: sqlite:///autopublish.db\nstore: sqlite:///s.db\n",
    "quoted-key": '"store": sqlite:///s.db\n',
    "wide": "store:      sqlite:///s.db\n",
    "next-line": "store:\n  sqlite:///s.db\n",
    "folded": "store: >-\n  sqlite:///s.db\n",
    "space-before-colon": "store : sqlite:///s.db\n",
    "byte-order-mark": "\ufeffstore: sqlite:///s.db\n",
    "anchor": "store: &place sqlite:///s.db\n",
}


def assert_only_store_is(desk: Desk, name: str, before: bytes) -> None:
    """Two runs and a look have used this store and left the one with the usual name alone."""
    desk("run")
    desk.show("one")
    assert desk("run").code == 0
    assert desk("run") == Said(code=0, out="", err="")
    assert desk("status", "--json").json()["store"] == str(desk.folder / name)
    assert (desk.folder / "autopublish.db").read_bytes() == before
    assert desk.pages() == {"one"}


@pytest.mark.parametrize("line", STORES.values(), ids=STORES)
def test_the_store_is_found_however_its_line_is_written(desk: Desk, line: str) -> None:
    begin(desk)
    before = (desk.folder / "autopublish.db").read_bytes()
    desk.configure(PAGE, more=line)
    assert_only_store_is(desk, "s.db", before)


def test_the_store_is_found_in_flow_style(desk: Desk) -> None:
    begin(desk)
    before = (desk.folder / "autopublish.db").read_bytes()
    desk.file.write_text(
        "{store: 'sqlite:///s.db', feeds: {news: {url: ./feed.xml}},\n"
        " accounts: {page: {platform: page, folder: out, title: News}}}\n"
    )
    assert_only_store_is(desk, "s.db", before)


def test_the_store_is_found_where_its_name_has_a_space(desk: Desk) -> None:
    begin(desk)
    before = (desk.folder / "autopublish.db").read_bytes()
    desk.configure(PAGE, more='store: "sqlite:///my store.db"\n')
    assert_only_store_is(desk, "my store.db", before)


def test_a_folder_with_a_percent_sign_in_its_name_holds_its_own_store(desk: Desk) -> None:
    folder = desk.folder.parent / "100%41"
    desk.folder.rename(folder)
    assert Desk(folder)("run").code == 0
    assert (folder / "autopublish.db").is_file()


# --- preview ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault("O06")
@pytest.mark.parametrize("used", [False, True], ids=["new", "used"])
def test_o06_a_preview_writes_nothing_asks_no_platform_and_blocks_no_later_send(
    desk: Desk, pds: FakePds, used: bool
) -> None:
    desk.configure(PAGE, sky(pds))
    if used:
        desk("run")
    desk.show("one")
    before = desk.tree()
    said = desk("preview")
    assert (said.code, said.err) == (0, "")
    assert "Article one" in said.out
    assert "sky (bluesky), 38 of 297" in said.out
    assert desk.tree() == before
    assert pds.calls == []
    desk("run")
    desk.show("two")
    desk("run")
    assert seen_on(pds) == (["two", "one"] if used else ["two"])


def test_a_preview_needs_nothing_but_an_address(desk: Desk) -> None:
    desk.file.unlink()
    before = desk.tree()
    said = desk("preview", (desk.folder / "feed.xml").as_uri(), "--json")
    (shown,) = said.json()
    assert "bluesky" in {post["platform"] for post in shown["posts"]}
    assert all("https://news.example/zero/" in post["text"] for post in shown["posts"])
    assert desk.tree() == before


def test_a_preview_shows_as_many_articles_as_asked_the_newest_first(desk: Desk) -> None:
    desk.show("one", "two", "three")
    titles = [one["title"] for one in desk("preview", "--newest", "2", "--json").json()]
    assert titles == ["Article three", "Article two"]
    assert len(desk("preview", "--json").json()) == 3


@pytest.mark.parametrize("target", ["news", "https://news.example/zero/", "http://NEWS.example/zero?utm_source=x"])
def test_a_preview_takes_the_name_of_a_feed_or_the_address_of_an_article(desk: Desk, target: str) -> None:
    (shown,) = desk("preview", target, "--json").json()
    assert shown["article"] == "https://news.example/zero/"


def test_a_preview_says_which_rule_keeps_an_article_from_an_account(desk: Desk) -> None:
    desk.configure(PAGE + "    never: { words: [lowongan] }\n")
    desk.show("job", title="Lowongan kerja")
    said = desk("preview", "-n", "1")
    assert said.code == 0
    assert "page: not posted: never.words" in said.out


@pytest.mark.fault("O08")
def test_o08_a_template_that_fails_is_shown_by_preview_and_held_by_run(desk: Desk) -> None:
    begin(desk, PAGE + "    template: '{{ title }} {{ link }} {{ 1 // (title | length - 7) }}'\n")
    desk.show("bare", title="1234567")
    assert "page: held: " in desk("preview", "-n", "1").out
    said = desk("run")
    assert (said.code, desk.row("bare", "page").state) == (0, State.HELD)
    assert "page: 1 post HELD: template: " in said.err


PAGE_WITH_FEED = b'<html><head><link rel="alternate" type="application/rss+xml" href="/hidden.xml"></head></html>'


def test_a_preview_of_a_page_finds_its_feed_and_says_which(desk: Desk, site: FeedSite) -> None:
    document = (desk.folder / "feed.xml").read_bytes()
    site.script("/", Answer(body=PAGE_WITH_FEED, headers={"Content-Type": "text/html"}))
    site.script("/hidden.xml", Answer(body=document))
    feed = f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n"
    desk.configure(PAGE, feeds=feed)
    said = desk("preview", site.url("/"), "--json")
    assert [one["title"] for one in said.json()] == ["Article zero"]
    assert (said.code, said.err) == (0, f"{site.url('/')} is no feed; its feed is {site.url('/hidden.xml')}\n")
    again = desk("preview", site.url("/hidden.xml"))
    assert (again.code, again.err) == (0, ""), "the address of a feed is taken as it is"


@pytest.mark.parametrize("configured", [True, False])
def test_a_preview_of_a_page_without_a_feed_says_what_was_tried(desk: Desk, site: FeedSite, configured: bool) -> None:
    site.script("/", Answer(body=b"<html></html>", headers={"Content-Type": "text/html"}))
    desk.configure(PAGE, feeds=f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n")
    if not configured:
        desk.file.unlink()
    said = desk("preview", site.url("/"))
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("the feed cannot be read: ")
    # Without leave in a configuration no address of the own network is asked.
    assert ("no feed was found" in said.err) is configured
    assert bool(site.asked) is configured


@pytest.mark.parametrize("configured", [True, False])
def test_a_preview_of_what_is_no_address_says_so(desk: Desk, configured: bool) -> None:
    if not configured:
        desk.file.unlink()
    said = desk("preview", "newz")
    assert said.code == 2
    assert "newz: no feed is called so" in said.err
    assert ("did you mean news?" in said.err) is configured


@pytest.mark.parametrize("configured", [True, False])
def test_a_preview_takes_a_site_without_its_scheme_and_the_file_of_a_feed(
    desk: Desk, configured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not configured:
        desk.file.unlink()
    said = desk("preview", "no-such-site.invalid/news")
    assert said.code == 1
    assert said.err.startswith("the feed cannot be read: https://no-such-site.invalid/news: ")
    monkeypatch.chdir(desk.folder)
    assert [one["title"] for one in desk("preview", "feed.xml", "--json").json()] == ["Article zero"]


def test_a_preview_shows_the_article_whose_page_leads_to_the_feed(desk: Desk, site: FeedSite) -> None:
    desk.show("one", "two")
    document = (desk.folder / "feed.xml").read_bytes().replace(b"https://news.example", site.url("").encode())
    site.script("/one/", Answer(body=PAGE_WITH_FEED, headers={"Content-Type": "text/html"}))
    site.script("/hidden.xml", Answer(body=document))
    desk.configure(PAGE, feeds=f"  news:\n    url: {site.url('/feed/')}\n    allow_private: yes\n")
    assert [one["title"] for one in desk("preview", site.url("/one/"), "--json").json()] == ["Article one"]


def test_a_preview_names_the_feed_that_cannot_be_read(desk: Desk, site: FeedSite) -> None:
    site.script("/feed/", Answer(status=503))
    desk.configure(PAGE, feeds=FEED + f"  other:\n    url: {site.url('/feed/')}\n    allow_private: yes\n")
    said = desk("preview")
    assert said.code == 1
    assert said.err == f"the feed cannot be read: {site.url('/feed/')}: HTTP 503\n"


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["words", "json"])
def test_a_preview_of_all_feeds_shows_those_that_can_be_read(desk: Desk, site: FeedSite, form: list[str]) -> None:
    site.script("/feed/", Answer(status=503))
    desk.configure(PAGE, feeds=f"  other:\n    url: {site.url('/feed/')}\n    allow_private: yes\n" + FEED)
    said = desk("preview", *form)
    assert (said.code, "Article zero" in said.out) == (1, True)
    assert said.err == f"the feed cannot be read: {site.url('/feed/')}: HTTP 503\n"


def test_a_preview_needs_the_file_that_is_named(desk: Desk) -> None:
    said = desk("preview", "--config", "no.yaml", (desk.folder / "feed.xml").as_uri())
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("no.yaml: there is no such file")


# --- why and status --------------------------------------------------------------------------------------------------


def test_why_says_until_when_the_rate_windows_keep_an_article_waiting(desk: Desk) -> None:
    begin(desk, PAGE + "    at_most: 1/hour\n")
    desk.show("one", "two")
    desk("run")
    tried = desk.row("one", "page").last_tried
    assert tried is not None
    words = f"waits for its turn, not before {tried + timedelta(hours=1):%Y-%m-%d %H:%M:%S} (at_most)"
    assert f"  page: {words}\n" in desk("why", "two").out
    assert words in desk("deliveries", "list").out


def test_why_says_for_each_account_what_became_of_an_article(desk: Desk, pds: FakePds) -> None:
    slow = "  slow:\n    platform: page\n    folder: slow\n    title: Later\n    delay: 2h\n"
    picky = "  picky:\n    platform: page\n    folder: picky\n    title: Some\n    only: { categories: [Sport] }\n"
    begin(desk, PAGE, slow, picky, sky(pds))
    desk.environment[SECRET] = None
    desk.show("one", categories=("Politics",))
    desk("run")
    out = desk("why", "https://news.example/one/").out
    assert out.startswith("Article one\npublished ")
    assert "\n  page: posted file:///" in out
    assert "\n  slow: waits until 20" in out
    assert "\n  picky: filtered: only.categories" in out
    assert f"\n  sky: waits for its account, which is AUTH_BLOCKED: accounts.sky.app_password: env:{SECRET}" in out
    assert "attempt: posted" in out
    assert "not posted: it was there already when the feed was polled for the first time" in desk("why", "/zero/").out


def test_why_names_the_command_for_what_is_held(desk: Desk) -> None:
    begin(desk, PAGE + "    burst: 1\n")
    desk.show("one", "two")
    desk("run")
    short = desk.row("one", "page").id[:8]
    assert f"page: held: burst; `autopublish deliveries approve {short}`" in desk("why", "/one/").out


def test_why_of_an_account_that_no_run_has_taken_over_yet_says_so(desk: Desk, pds: FakePds) -> None:
    begin(desk)
    desk.show("one")
    desk("run")
    desk.configure(PAGE, sky(pds))
    assert "sky: not posted: the account is new in the configuration" in desk("why", "/one/").out


def test_why_tells_of_every_attempt_and_of_who_decided(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    pds.script("putRecord", REFUSED)
    desk.show("one")
    desk("run")
    assert re.search(r"sky: refused: .*text is too long", desk("why", "/one/").out)
    desk("deliveries", "retry", desk.row("one", "sky").id)
    desk("run")
    out = desk("why", "/one/").out
    assert out.count("attempt: ") == 2
    assert re.search(r"REJECTED -> READY by \S+", out)


@pytest.mark.parametrize("words", ["one", "news.example/one", "http://www.news.example/one?utm_source=x"])
def test_why_takes_a_part_of_the_address(desk: Desk, words: str) -> None:
    begin(desk)
    desk.show("one")
    desk("run")
    said = desk("why", words)
    if "www" in words:
        assert (said.code, said.out) == (1, ""), "another host is another article"
    else:
        assert said.out.startswith("Article one\n")


def test_why_of_an_unknown_article_says_so(desk: Desk) -> None:
    begin(desk)
    said = desk("why", "https://news.example/never/")
    assert (said.code, said.out) == (1, "")
    assert "no article with the address https://news.example/never/ was seen" in said.err


def test_why_of_a_part_that_several_articles_have_lists_them(desk: Desk) -> None:
    desk.show("one")
    begin(desk)
    said = desk("why", "news.example")
    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[1:] == [
        "  https://news.example/one/  Article one",
        "  https://news.example/zero/  Article zero",
    ]


def test_why_takes_no_wildcards(desk: Desk) -> None:
    begin(desk)
    assert desk("why", "news%zero").code == 1
    assert desk("why", "news_example").code == 1


def test_status_shows_feeds_accounts_and_what_needs_a_person(desk: Desk, pds: FakePds) -> None:
    desk.configure(PAGE + "    burst: 1\n", sky(pds), feeds=FEED + OTHER_FEED)
    desk("run")
    desk.environment[SECRET] = None
    desk.show("one", "two", "three")
    desk("run")
    out = desk("status").out
    assert re.search(r"^news +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +good +file:///", out, re.MULTILINE)
    assert re.search(r"^other +never +failed 2 times: no such file", out, re.MULTILINE)
    assert re.search(r"^page +page +News +ACTIVE +1 +0$", out, re.MULTILINE)
    assert re.search(r"^sky +bluesky +not asked yet +AUTH_BLOCKED +0 +3 +accounts.sky", out, re.MULTILINE)
    assert "4 articles known" in out
    assert "page: 2 HELD (burst): autopublish deliveries list" in out


def test_status_before_the_first_run_says_what_makes_the_store(desk: Desk) -> None:
    said = desk("status")
    assert (said.code, said.out) == (2, "")
    assert "there is no store at" in said.err
    assert "`autopublish run` makes it" in said.err


@pytest.mark.parametrize("line", ["status", "why /zero/", "deliveries list --all", "preview", "config check"])
def test_looking_writes_nothing(desk: Desk, line: str) -> None:
    begin(desk)
    before = desk.tree()
    assert desk(*line.split()).code == 0
    assert desk.tree() == before


def test_times_are_shown_in_the_operators_zone(desk: Desk) -> None:
    begin(desk, more="timezone: Asia/Makassar\n")
    (feed,) = desk("status", "--json").json()["feeds"]
    there = datetime.fromisoformat(feed["last_good"]) + timedelta(hours=8)
    assert f"{there:%Y-%m-%d %H:%M:%S}" in desk("status").out


# --- deliveries ------------------------------------------------------------------------------------------------------


def held(desk: Desk, *names: str) -> None:
    """All of these articles but the last are held by the burst rule."""
    begin(desk, PAGE + "    burst: 1\n")
    desk.show(*names)
    assert desk("run").code == 0


def unknown(desk: Desk, pds: FakePds, *, made: Made = Made.NEVER, review: bool = False) -> Delivery:
    """The outcome of the article `one` is unknown."""
    begin(desk, sky(pds))
    pds.script("putRecord", Fault(then=Then.ANSWER, status=500, made=made))
    desk.show("one")
    desk("run")
    row = desk.row("one", "sky")
    assert row.state is State.VERIFYING
    desk.end_waits()
    return desk.change(row, state=State.NEEDS_REVIEW, look_at=None, changed=row.changed) if review else row


@pytest.mark.fault("H15")
def test_h15_a_batch_is_held_told_once_and_let_through_by_one_command(desk: Desk) -> None:
    begin(desk, PAGE + "    burst: 1\n")
    desk.show("one", "two", "three")
    first = desk("run")
    assert (first.code, desk.pages()) == (0, {"three"})
    assert first.err.startswith("page: 2 posts HELD: burst. See `autopublish deliveries list --account page")
    assert desk("run") == Said(code=0, out="", err="")
    said = desk("deliveries", "approve", "--account", "page", "--reason", "burst")
    assert [line.split(": ", 1)[1] for line in said.out.splitlines()] == [
        "let through: Article one",
        "let through: Article two",
    ]
    assert desk("run").code == 0
    assert desk.pages() == {"one", "two", "three"}


def test_a_batch_may_be_cancelled_and_never_goes(desk: Desk) -> None:
    held(desk, "one", "two", "three")
    assert desk("deliveries", "cancel", "--reason", "burst").code == 0
    desk("run")
    assert desk.pages() == {"three"}
    assert desk.row("one", "page").state is State.CANCELLED
    assert "cancelled by " in desk("why", "/one/").out


@pytest.mark.parametrize(
    "words", [("--account", "other"), ("--reason", "stale"), ("--account", "page", "--reason", "x")]
)
def test_a_batch_that_nothing_fits_changes_nothing_and_says_so(desk: Desk, words: Sequence[str]) -> None:
    held(desk, "one", "two")
    said = desk("deliveries", "approve", *words)
    assert said == Said(code=0, out="", err="no delivery fits; nothing was changed\n")
    assert desk.row("one", "page").state is State.HELD


def test_an_id_may_be_its_first_characters_in_either_case(desk: Desk) -> None:
    held(desk, "one", "two")
    row = desk.row("one", "page")
    assert desk("deliveries", "approve", row.id[:8].upper()).code == 0
    assert desk.row("one", "page").state is State.READY
    assert desk("deliveries", "cancel", row.id[:4]).code == 0


def test_the_beginning_of_several_ids_is_refused(desk: Desk) -> None:
    held(desk, "one", "two", "three")
    with closing(sqlite3.connect(desk.folder / "autopublish.db")) as store, store:
        store.execute("UPDATE deliveries SET id = 'abcd' || substr(id, 5) WHERE state = 'HELD'")
    said = desk("deliveries", "approve", "abcd")
    assert (said.code, said.out) == (2, "")
    assert "several deliveries begin with abcd: give more of it" in said.err


def test_one_wrong_id_among_several_changes_none(desk: Desk) -> None:
    held(desk, "one", "two", "three")
    assert desk("deliveries", "approve", desk.row("one", "page").id, "abcdef").code == 2
    assert desk.row("one", "page").state is State.HELD


def test_a_move_that_is_refused_does_not_stop_the_others(desk: Desk) -> None:
    held(desk, "one", "two")
    posted, waiting = desk.row("two", "page"), desk.row("one", "page")
    said = desk("deliveries", "approve", posted.id, waiting.id)
    assert said.code == 1
    assert "it is posted; a second post is never made" in said.err
    assert "let through: Article one" in said.out
    assert desk.row("one", "page").state is State.READY


#: state, command, and what the refusal says to do instead.
REFUSALS = {
    "approve-ready": (State.READY, "approve", "goes by itself; `deliveries cancel` stops it"),
    "approve-review": (State.NEEDS_REVIEW, "approve", "look at the account, then `deliveries resolve`"),
    "approve-rejected": (State.REJECTED, "approve", "it is REJECTED: `deliveries retry`"),
    "retry-held": (State.HELD, "retry", "`deliveries approve` or `deliveries cancel`"),
    "retry-verifying": (State.VERIFYING, "retry", "its outcome is being looked up"),
    "cancel-verifying": (State.VERIFYING, "cancel", "`deliveries resolve` if you know it"),
    "cancel-sending": (State.SENDING, "cancel", "it is being sent"),
    "resolve-held": (State.HELD, "resolve --absent", "`deliveries approve` or `deliveries cancel`"),
    "resolve-cancelled": (State.CANCELLED, "resolve --drop", "it is CANCELLED: `deliveries retry`"),
}


@pytest.mark.parametrize(("state", "command", "words"), REFUSALS.values(), ids=REFUSALS)
def test_a_move_that_does_not_exist_is_refused_with_what_to_do_instead(
    desk: Desk, state: State, command: str, words: str
) -> None:
    held(desk, "one", "two")
    row = desk.change(desk.row("one", "page"), state=state)
    said = desk("deliveries", *command.split(), row.id)
    assert (said.code, said.out) == (1, "")
    assert words in said.err
    assert desk.row("one", "page") == row


@pytest.mark.fault("O05")
@pytest.mark.parametrize("command", ["approve", "retry", "cancel", "resolve --absent", "resolve --drop"])
def test_o05_a_posted_delivery_is_never_sent_again(desk: Desk, pds: FakePds, command: str) -> None:
    begin(desk, sky(pds))
    desk.show("one")
    desk("run")
    row = desk.row("one", "sky")
    said = desk("deliveries", *command.split(), row.id)
    assert (said.code, said.out) == (1, "")
    assert "it is posted; a second post is never made" in said.err
    desk("run")
    assert (desk.row("one", "sky"), len(pds.called("putRecord"))) == (row, 1)


@pytest.mark.parametrize("review", [False, True], ids=["VERIFYING", "NEEDS_REVIEW"])
def test_what_a_person_saw_there_is_posted_and_not_sent_again(desk: Desk, pds: FakePds, review: bool) -> None:
    row = unknown(desk, pds, made=Made.AT_ONCE, review=review)
    said = desk("deliveries", "resolve", row.id[:8], "--posted", "https://bsky.app/profile/a/post/b")
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith("resolved: posted: Article one\n")
    assert desk("run") == Said(code=0, out="", err="")
    assert len(pds.called("putRecord")) == 1
    assert "sky: posted https://bsky.app/profile/a/post/b" in desk("why", "/one/").out


@pytest.mark.parametrize("review", [False, True], ids=["VERIFYING", "NEEDS_REVIEW"])
def test_what_a_person_found_absent_is_sent_anew(desk: Desk, pds: FakePds, review: bool) -> None:
    row = unknown(desk, pds, review=review)
    assert desk("deliveries", "resolve", "--absent", row.id).code == 0
    assert desk("run").code == 0
    assert desk.row("one", "sky").state is State.POSTED
    assert seen_on(pds) == ["one"]


def test_what_a_person_drops_is_left_and_may_not_be_retried_blindly(desk: Desk, pds: FakePds) -> None:
    row = unknown(desk, pds, review=True)
    said = desk("deliveries", "resolve", "--drop", row.id)
    assert said.code == 0
    assert said.out.endswith("an earlier attempt may be live: look at the account\n")
    desk("run")
    assert len(pds.called("putRecord")) == 1
    refused = desk("deliveries", "retry", row.id)
    assert refused.code == 1
    assert "it may be live" in refused.err
    assert "--posted URL or --absent" in refused.err
    assert desk("deliveries", "resolve", "--absent", row.id).code == 0


def test_a_refused_post_is_composed_anew_when_a_person_retries_it(desk: Desk, pds: FakePds) -> None:
    begin(desk, sky(pds))
    pds.script("putRecord", REFUSED)
    desk.show("one")
    desk("run")
    desk.retitle("one", "A shorter title")
    desk("run")
    assert desk("deliveries", "retry", "--account", "sky").code == 0
    assert desk("run").code == 0
    assert pds.visible()[0].text.startswith("A shorter title")


def test_who_decided_is_written_down_even_where_a_user_has_a_number_only(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    held(desk, "one", "two", "three")
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    assert desk("deliveries", "approve", desk.row("one", "page").id).code == 0
    assert desk.row("one", "page").allowed_by == "user 54321"
    assert "HELD -> READY by user 54321" in desk("why", "/one/").out


def test_the_list_shows_what_waits_and_all_of_it_when_asked(desk: Desk) -> None:
    held(desk, "one", "two", "three")
    rows = desk("deliveries", "list").out.splitlines()
    assert rows[0].split() == ["id", "account", "article", "state"]
    assert [re.split(" {2,}", row)[2] for row in rows[1:]] == ["Article one", "Article two"]
    assert "held: burst" in rows[1]
    everything = desk("deliveries", "list", "--all").out
    assert "Article three" in everything
    assert "posted file:///" in everything


def test_the_list_can_be_narrowed(desk: Desk) -> None:
    begin(desk, PAGE + "    burst: 1\n", PAGE.replace("page:", "more:", 1).replace("out", "more"))
    desk.show("one", "two", "three")
    desk("run")

    def ids(*words: str) -> list[tuple[str, str]]:
        return [(row["account"], row["state"]) for row in desk("deliveries", "list", "--json", *words).json()]

    assert ids("--state", "held") == [("page", "HELD")] * 2
    assert ids("--state", "posted", "--account", "page") == [("page", "POSTED")]
    assert ids("--all", "--account", "more") == [("more", "POSTED")] * 3
    assert len(ids("--all", "--most", "4")) == 4
    assert ids("--all", "-n", "1", "--account", "page") == [("page", "POSTED")]
    assert ids("--all", "-n", "1", "--account", "more") == [("more", "POSTED")]
    assert ids("--state", "rejected") == []
    said = desk("deliveries", "list", "--account", "pgae")
    assert (said.code, said.out, said.err) == (2, "", "no account is called pgae; there are more, page\n")


def test_an_empty_list_says_so_beside_stdout(desk: Desk) -> None:
    begin(desk)
    assert desk("deliveries", "list") == Said(code=0, out="", err="nothing waits\n")
    assert desk("deliveries", "list", "--json").json() == []


# --- config and platforms --------------------------------------------------------------------------------------------


def test_a_good_configuration_is_said_to_be_good(desk: Desk, pds: FakePds) -> None:
    desk.configure(PAGE, sky(pds))
    said = desk("config", "check")
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith("autopublish.yaml: good (1 feed, 2 accounts)\n")
    assert pds.calls == []
    assert not (desk.folder / "autopublish.db").exists()


@pytest.mark.fault("O03")
def test_o03_the_check_names_every_secret_that_cannot_be_had(desk: Desk, pds: FakePds) -> None:
    desk.configure(PAGE, sky(pds), sky(pds, name="second").replace(pds.handle, "second.test"))
    desk.environment[SECRET] = ""
    said = desk("config", "check")
    assert (said.code, said.out) == (2, "")
    assert [line.split(": ")[1] for line in said.err.splitlines()] == [
        "accounts.sky.app_password",
        "accounts.second.app_password",
    ]


@pytest.mark.fault("H09")
def test_h09_the_check_shows_no_secret(desk: Desk, pds: FakePds) -> None:
    secret = desk.folder / "secret"
    secret.write_text("correct-horse-battery")
    secret.chmod(0o644)
    desk.configure(sky(pds).replace(f"env:{SECRET}", "file:secret"))
    said = desk("config", "check")
    assert said.code == 0
    assert "warning: " in said.err
    assert "chmod 600" in said.err
    assert "correct-horse" not in said.out + said.err + desk("config", "check", "--json").out


def test_the_platforms_are_listed_and_each_has_its_page(desk: Desk) -> None:
    names = [row["platform"] for row in desk("platforms", "--json").json()]
    assert {"bluesky", "page"} <= set(names)
    rows = desk("platforms").out.splitlines()
    assert [row.split()[0] for row in rows[1:]] == names
    page = desk("platforms", "bluesky").out
    assert page.startswith("Bluesky: ")
    assert page.strip() == desk("platforms", "bluesky", "--json").json()["page"].strip()


def test_what_each_platform_can_do_is_read_from_its_class(desk: Desk) -> None:
    rows = {row["platform"]: row for row in desk("platforms", "--json").json()}
    sky = rows["bluesky"]
    assert (sky["text"], sky["card"], sky["unknown_outcome"]) == (
        "297 characters as seen",
        "ours",
        "sent again under its key",
    )
    toot = rows["mastodon"]
    assert (toot["alt_text"], toot["unknown_outcome"]) == ("1,500", "looked up after 10 min, key for 50 min")
    assert rows["page"]["text"] == "by its settings"
    assert all(row[key] for row in rows.values() for key in row)
    assert "looked up after 10 min" in desk("platforms").out


def test_a_platform_that_does_not_load_hides_no_other_and_keeps_no_preview_from_the_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = desk.folder / "broken-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[autopublish.platforms]\nabsent = no_such_module:One\nnone = pathlib:Path\n"
    )
    monkeypatch.syspath_prepend(str(desk.folder))
    about = {row["platform"]: row["about"] for row in desk("platforms", "--json").json()}
    assert about["absent"] == "does not load: No module named 'no_such_module'"
    assert about["none"].startswith("does not load: the entry point none = pathlib:Path")
    assert about["bluesky"].startswith("Bluesky: ")
    said = desk("platforms", "absent")
    assert (said.code, said.out, said.err) == (2, "", "No module named 'no_such_module'\n")
    desk.file.unlink()
    (shown,) = desk("preview", (desk.folder / "feed.xml").as_uri(), "--json").json()
    assert "bluesky" in {post["platform"] for post in shown["posts"]}


def test_the_version_is_told(desk: Desk) -> None:
    from autopublish import __version__

    assert desk.process("--version").out.endswith(f"autopublish {__version__}\n")


# --- for machines ----------------------------------------------------------------------------------------------------

#: For each command, the keys of its document: those of lists of objects stand behind the list's own.
KEYS = {
    "run": {
        "polled": {"feed", "status", "new", "reason"},
        "deliveries": {
            "id", "article", "title", "account", "part", "occasion", "state", "url", "text", "length", "room", "reason",
        },
        "accounts": {"account", "state", "reason"},
        "counts": {
            "held", "ready", "sending", "verifying", "needs_review", "posted", "rejected", "cancelled", "new",
        },
    },
    "preview": {
        "": {"feed", "article", "title", "published", "posts"},
        "posts": {"account", "platform", "text", "length", "room", "shortened", "reason", "note"},
    },
    "status": {
        "": {"stop", "stopped_categories", "store", "articles", "feeds", "accounts", "deliveries", "alerts"},
        "feeds": {"feed", "url", "last_good", "failures", "not_before", "gone", "reason"},
        "accounts": {"account", "platform", "state", "reason", "not_before", "identity"},
        "deliveries": {"account", "state", "reason", "count"},
    },
    "status --check": {"": {"well", "last_tick", "problems"}},
    "why one": {
        "": {"article", "title", "published", "first_seen", "feeds", "accounts"},
        "accounts": {"account", "state", "reason", "url", "delivery", "due"},
    },
    "deliveries list --all": {
        "": {
            "id", "article", "title", "account", "part", "occasion", "state", "reason", "url", "due", "next_look",
            "allowed_by",
        },
    },
    "alerts list": {},
    "accounts list": {
        "": {"account", "platform", "state", "reason", "not_before", "identity", "posted", "waiting"},
    },
    "check": {"": {"good", "findings"}, "findings": {"subject", "name", "verdict", "words", "remedy"}},
    "db check": {
        "": {"store", "problems", "counts"},
        "counts": {"feeds", "articles", "aliases", "deliveries", "attempts", "events"},
    },
    "config check": {"": {"file", "feeds", "accounts", "warnings", "secrets"}},
    "platforms": {
        "": {"platform", "about", "text", "picture", "alt_text", "card", "edit", "delete", "unknown_outcome", "cost"},
    },
    "platforms page": {"": {"platform", "page"}},
}  # fmt: skip


def keys_in(document: Any) -> dict[str, set[str]]:
    """The keys of the objects in a document, by the key that they stand under."""
    found: dict[str, set[str]] = {}

    def collect(value: Any, under: str) -> None:
        if isinstance(value, dict):
            assert found.setdefault(under, set(value)) == set(value), "objects of one list differ in their keys"
            for key, child in value.items():
                collect(child, key)
        elif isinstance(value, list):
            for child in value:
                collect(child, under)

    collect(document, "")
    return found


@pytest.mark.parametrize("line", KEYS)
def test_each_document_for_machines_has_its_keys_and_nothing_else_is_on_stdout(desk: Desk, line: str) -> None:
    begin(desk)
    desk.show("one")
    if line != "run":
        desk("run")
    said = desk(*line.split(), "--json")
    found = keys_in(said.json())
    if line == "run":
        assert found.pop("") == {"busy", "polled", "deliveries", "accounts", "counts"}
    if line == "config check":
        assert found.pop("secrets") == set()
    assert found == KEYS[line]
    assert (said.code, said.err) == (0, "")


def test_the_document_of_a_run_says_what_changed(desk: Desk, pds: FakePds) -> None:
    begin(desk, PAGE, sky(pds))
    pds.script("putRecord", REFUSED)
    desk.show("one")
    said = desk("run", "--json")
    document = said.json()
    page, sky_row = document["deliveries"]
    assert (said.code, said.err) == (1, "")
    assert document["polled"] == [{"feed": "news", "status": "new", "new": 1, "reason": None}]
    assert (page["account"], page["state"], page["text"]) == (
        "page",
        "POSTED",
        "Article one\n\nhttps://news.example/one/",
    )
    assert page["url"].startswith("file:///")
    assert (sky_row["state"], sky_row["url"]) == ("REJECTED", None)
    assert "text is too long" in sky_row["reason"]
    counts = document["counts"]
    assert {state: count for state, count in counts.items() if count} == {"posted": 1, "rejected": 1, "new": 1}


def test_a_run_without_news_gives_a_whole_document(desk: Desk) -> None:
    begin(desk)
    document = desk("run", "--json").json()
    assert document["polled"] == [{"feed": "news", "status": "nothing new", "new": 0, "reason": None}]
    assert document["deliveries"] == []
    assert set(document["counts"].values()) == {0}
    assert [account["account"] for account in document["accounts"]] == ["page"]


# --- at a terminal ---------------------------------------------------------------------------------------------------

#: Titles and words of a network that would steer a terminal: an introducer of sequences in one byte, a bell, letters
#: that turn the writing round, and markup of the library that draws tables.
HOSTILE = "Red \x9b31malert\x9b0m \u202egnp.exe\u202c [bold]x[/bold] end"
STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_DRAWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
REFUSED_RUDELY = Fault(
    then=Then.ANSWER,
    status=400,
    body=json.dumps({"error": "InvalidRequest", "message": "no\x1b[2J\x07\x9b31m\nnews: forged line"}).encode(),
)


def hostile(desk: Desk, pds: FakePds) -> None:
    begin(desk, PAGE, sky(pds))
    pds.script("putRecord", REFUSED_RUDELY)
    desk.show("bad", title=HOSTILE)


@pytest.mark.fault("F18")
@pytest.mark.fault("H10")
def test_f18_h10_what_steers_a_terminal_never_reaches_it(desk: Desk, pds: FakePds) -> None:
    hostile(desk, pds)
    said = {"-v run": desk.process("-v", "run")}
    for line in ("why bad", "deliveries list", "deliveries list --all", "status", "preview -n 1"):
        said[line] = desk(*line.split())
    said["retry"] = desk("deliveries", "retry", desk.row("bad", "sky").id)
    for line, one in said.items():
        assert "gnp.exe" in one.out or line == "status", "the title is shown"
        assert STEERING.search(one.out + one.err) is None, line
        assert not re.search(r"^news: forged", one.out + one.err, re.MULTILINE), line


def in_terminal(desk: Desk, *words: str, width: int, talk: bool = False) -> str:
    """What a person at a terminal of this width sees on stdout, and on stderr if `talk`."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, width))
    plain_variables = {name: value for name, value in desk.variables().items() if name not in {"COLUMNS", "NO_COLOR"}}
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of ours
        process = subprocess.Popen(
            desk.line(*words),
            env=plain_variables | {"TERM": "xterm-256color"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs if talk else nowhere,
        )
    os.close(theirs)
    seen = bytearray()
    with suppress(OSError):  # Linux ends a terminal without readers so
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    process.wait(PATIENCE_SECONDS)
    return seen.decode()


@pytest.mark.parametrize("width", [50, 100])
@pytest.mark.parametrize("line", ["run", "status", "deliveries list --all", "platforms"])
def test_a_table_at_a_terminal_keeps_to_its_width(desk: Desk, line: str, width: int) -> None:
    begin(desk)
    desk.show("one", title="Gubernur Kaltim meresmikan jembatan yang menghubungkan dua kabupaten di hulu Mahakam")
    if line != "run":
        desk("run")
    lines = _DRAWN.sub("", in_terminal(desk, *line.split(), width=width)).splitlines()
    rows = [row for row in lines if not row.startswith("page: file://")]
    assert any("─" in row for row in rows)
    assert max(columns(row) for row in rows) <= width


def test_a_person_at_a_terminal_sees_progress_and_the_result(desk: Desk) -> None:
    begin(desk)
    desk.show("one")
    seen = _DRAWN.sub("", in_terminal(desk, "run", width=100, talk=True))
    assert "page: posted: Article one" in seen
    assert "Article one" in seen
    assert "posted 38/300" in seen
    assert "Traceback" not in seen
    assert "nothing new" in in_terminal(desk, "run", width=100, talk=True)


def test_a_person_at_a_terminal_is_told_each_time_what_still_fails(desk: Desk) -> None:
    desk.configure(PAGE, feeds=OTHER_FEED + FEED)
    desk("run")
    assert "other: cannot be read: no such file" in in_terminal(desk, "run", width=100, talk=True)


def test_a_person_at_a_terminal_sees_what_a_run_waits_for_and_until_when(desk: Desk) -> None:
    begin(desk, PAGE + "    delay: 3s\n")
    desk.show("one")
    seen = _DRAWN.sub("", in_terminal(desk, "run", "--wait", width=120, talk=True))
    assert re.search(r"page: waits until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC; Ctrl-C ends this", seen)
    assert "posted 38/300" in seen


@pytest.mark.fault("F18")
@pytest.mark.fault("H03")
def test_f18_h03_a_title_is_text_at_a_terminal(desk: Desk, pds: FakePds) -> None:
    hostile(desk, pds)
    table = in_terminal(desk, "run", width=200)
    assert "[bold]x[/bold]" in table
    desk.show("worse", title=HOSTILE)
    talk = in_terminal(desk, "run", width=200, talk=True)
    assert STEERING.search(_DRAWN.sub("", table + talk).replace("\r", "")) is None


def test_plain_leaves_nothing_that_steers_a_terminal() -> None:
    assert plain("a\x1b[2J\x9b31m\u202eb\x07\rc") == "a [2J 31m b  c"


def test_plain_keeps_letters_of_every_script_and_whole_emoji() -> None:
    text = "東京 مسجد \U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301\nnext"
    assert plain(text) == text


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("東京", 4), ("e\u0301", 1), ("", 0)])
def test_columns_are_those_of_a_terminal(text: str, width: int) -> None:
    assert columns(text) == width


def test_a_table_in_a_pipe_is_aligned_by_columns(desk: Desk) -> None:
    begin(desk)
    desk.show("one", title="東京タワー")
    desk.show("two", title="Tower")
    rows = desk("run").out.splitlines()[1:3]
    places = {columns(row[: row.index("posted")]) for row in rows}
    assert len(places) == 1
