"""Metrics: what stands in the tables is what a scraper reads, in names and units that it knows, at little cost."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from autopublish import __version__
from autopublish.app import look
from autopublish.errors import ExtraMissing
from autopublish.health import LAST_TICK, Health
from autopublish.metrics import exposition
from autopublish.models import (
    AccountState,
    AlertKind,
    Cause,
    Evidence,
    Feed,
    FeedSettings,
    Identity,
    Standing,
    State,
)
from autopublish.store import Measures
from autopublish.store._measure import LAG_ARTICLES
from autopublish.store._statements import statements
from tests.bench.network import Call, Say, Step
from tests.bench.world import World
from tests.desk import PAGE, Desk

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
README = (Path(__file__).parent.parent / "README.md").read_text()
NOTHING = Measures(feeds=(), standings=(), deliveries={}, held={}, due_since={}, failed={}, lags={}, alerts={})

#: The value of each line by its name and its labels in the order of their names.
Lines = Mapping[tuple[str, ...], float]


def families(text: bytes) -> list[Metric]:
    """The metrics as Prometheus's own parser reads them."""
    return list(text_string_to_metric_families(text.decode()))


def lines(text: bytes) -> Lines:
    """Each line."""
    return {
        (
            sample.name.removeprefix("autopublish_"),
            *(sample.labels[name] for name in sorted(sample.labels)),
        ): sample.value
        for family in families(text)
        for sample in family.samples
    }


def standing(**values: object) -> Standing:
    """An account that may send."""
    known: dict[str, object] = {"account": "sky", "platform": "bluesky", "created": NOW, "active_since": NOW}
    return Standing(**{**known, **values})  # type: ignore[arg-type] # of a standing, as the tests below write it


def full() -> Measures:
    """Something of everything."""
    settings = FeedSettings(name="news", url="https://news.example/feed/")
    feed = Feed(id="f", settings=settings, last_try=NOW, last_good=NOW - HOUR, newest=NOW - 2 * HOUR, failures=2)
    ends = Identity(id="1", name="sky", expires=NOW + timedelta(days=9))
    return Measures(
        feeds=(feed,),
        standings=(standing(identity=ends, not_before=NOW + MINUTE, failures=3),),
        deliveries={("sky", State.POSTED): 7, ("gone", State.HELD): 1, ("sky", State.READY): 2},
        held={("gone", "account removed"): 1},
        due_since={("sky", State.READY): NOW - MINUTE},
        failed={("sky", Evidence.REFUSED): 4},
        lags={"news": timedelta(seconds=90)},
        alerts={AlertKind.AWAY: 1},
    )


# --- the text --------------------------------------------------------------------------------------------------------

LINES = {
    "version": (("info", __version__), 1),
    "well": (("well",), 1),
    "tick": (("last_tick_timestamp_seconds",), (NOW - MINUTE).timestamp()),
    "alert": (("alerts", "away"), 1),
    "alert-of-none": (("alerts", "disk"), 0),
    "feed-asked": (("feed_last_try_timestamp_seconds", "news"), NOW.timestamp()),
    "feed-good": (("feed_last_good_timestamp_seconds", "news"), (NOW - HOUR).timestamp()),
    "feed-newest": (("feed_newest_article_timestamp_seconds", "news"), (NOW - 2 * HOUR).timestamp()),
    "feed-failures": (("feed_failures", "news"), 2),
    "feed-gone": (("feed_gone", "news"), 0),
    "feed-lag": (("feed_lag_seconds", "news"), 90),
    "ready": (("deliveries", "sky", "READY"), 2),
    "none-in-review": (("deliveries", "sky", "NEEDS_REVIEW"), 0),
    "former-account": (("deliveries", "gone", "HELD"), 1),
    "held": (("held_deliveries", "gone", "account removed"), 1),
    "due": (("due_since_timestamp_seconds", "sky", "READY"), (NOW - MINUTE).timestamp()),
    "posts": (("posts_total", "sky"), 7),
    "no-posts": (("posts_total", "gone"), 0),
    "refused": (("failed_attempts", "sky", "refused"), 4),
    "all-sent": (("failed_attempts", "sky", "not sent"), 0),
    "active": (("account_state", "sky", "ACTIVE"), 1),
    "not-paused": (("account_state", "sky", "PAUSED"), 0),
    "in-a-row": (("account_failures", "sky"), 3),
    "waits": (("account_waits_until_timestamp_seconds", "sky"), (NOW + MINUTE).timestamp()),
    "token": (("token_expires_timestamp_seconds", "sky"), (NOW + timedelta(days=9)).timestamp()),
}


@pytest.mark.parametrize(("line", "value"), LINES.values(), ids=LINES)
def test_each_figure_has_its_line(line: tuple[str, ...], value: float) -> None:
    assert lines(exposition(full(), Health(tick=NOW - MINUTE)))[line] == value


def test_the_lines_above_are_of_every_metric() -> None:
    names = {family.name.removeprefix("autopublish_") for family in families(exposition(full(), Health(tick=NOW)))}
    assert names == {line[0].removesuffix("_total") for line, _ in LINES.values()}


def test_a_program_that_is_not_well_says_so() -> None:
    assert lines(exposition(NOTHING, Health(problems=("no name",))))[("well",)] == 0


def test_a_time_that_never_was_has_no_line() -> None:
    feed = Feed(id="f", settings=FeedSettings(name="news", url="https://news.example/feed/"))
    found = lines(exposition(replace(NOTHING, feeds=(feed,), standings=(standing(),)), Health()))
    assert [line for line in found if line[0].endswith("_timestamp_seconds")] == []
    assert found["feed_failures", "news"] == 0


def test_a_former_account_has_no_state() -> None:
    found = lines(exposition(full(), Health()))
    assert {line[1] for line in found if line[0] == "account_state"} == {"sky"}


def test_names_units_and_words_are_those_that_prometheus_asks_for() -> None:
    # https://prometheus.io/docs/practices/naming/, as `promtool check metrics` has it.
    for family in families(exposition(full(), Health(tick=NOW))):
        assert re.fullmatch(r"autopublish(?:_[a-z]+)+", family.name)
        assert family.type in ("gauge", "counter")
        assert re.fullmatch(r"[A-Z].+\.", family.documentation)
        assert len({frozenset(sample.labels) for sample in family.samples}) == 1
        assert all(sample.name.endswith("_total") is (family.type == "counter") for sample in family.samples)
        assert not re.search(r"_(?:days|minutes|hours|count|sum|bucket)(?:_|$)", family.name)


def test_no_metric_has_two_lines_with_the_same_labels() -> None:
    text = exposition(full(), Health(tick=NOW)).decode()
    shown = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(shown) == len(set(shown)) == len(lines(text.encode()))


def test_the_readme_explains_each_metric_with_its_labels_and_no_other() -> None:
    section = README.partition("### Watch it from outside\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^\| `(\w+)` \|([^|]*)\|", section, re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    shown = {
        sample.name.removeprefix("autopublish_"): set(sample.labels)
        for family in families(exposition(full(), Health(tick=NOW)))
        for sample in family.samples
    }
    assert told == shown


def test_the_alerts_of_the_readme_ask_for_metrics_that_exist() -> None:
    asked = set(re.findall(r"autopublish_([a-z_]+)(?= [=<>]| - |\{| >)", README))
    assert len(asked) == 3
    assert asked <= {line[0] for line, _ in LINES.values()}


# --- what the store says ---------------------------------------------------------------------------------------------


def measured(world: World) -> Measures:
    """What the store of a world holds."""
    with world.store() as store:
        return store.measure()


@pytest.fixture
def open_world(world: World) -> World:
    """A world with one account, whose feed was read once."""
    world.add_account("keyed")
    world.open_site()
    return world


def test_posts_are_counted_by_account(open_world: World) -> None:
    open_world.show_more(open_world.news("a"), open_world.news("b"))
    open_world.run()
    found = measured(open_world)
    assert found.deliveries == {("keyed", State.POSTED): 2}
    assert (found.held, found.due_since, found.failed) == ({}, {}, {})


def test_what_is_held_is_counted_by_its_reason_and_what_waits_by_its_due_time(open_world: World) -> None:
    open_world.change_account("keyed", burst=1)
    open_world.pause("keyed")
    open_world.show_more(*(open_world.news(name) for name in "abc"))
    open_world.run()
    assert measured(open_world).due_since == {("keyed", State.READY): open_world.clock()}
    at = open_world.clock()
    open_world.clock.move(minutes=5)
    open_world.resume("keyed")
    open_world.run()
    found = measured(open_world)
    assert found.held == {("keyed", "burst"): 2}
    assert found.deliveries == {("keyed", State.HELD): 2, ("keyed", State.POSTED): 1}
    assert found.due_since == {("keyed", State.HELD): at}


def test_what_a_reason_says_after_its_colon_is_no_label(open_world: World) -> None:
    open_world.change_account("keyed", template="{{ title.nothing.at.all }} {{ link }}")
    open_world.show_more(open_world.news("a"))
    open_world.run()
    assert measured(open_world).held == {("keyed", "template"): 1}


def test_attempts_that_made_no_post_are_counted_as_they_ended(open_world: World) -> None:
    open_world.network.script("keyed", Call.PUBLISH, Step(say=Say.REFUSED))
    open_world.show_more(open_world.news("a"))
    open_world.run()
    assert measured(open_world).failed == {("keyed", Evidence.REFUSED): 1}


def test_the_lag_of_a_feed_is_that_of_articles_after_its_first_poll(open_world: World) -> None:
    assert measured(open_world).lags == {}
    open_world.show_more(*(open_world.news(str(lag), ago=lag * MINUTE) for lag in (3, 1, 2)))
    open_world.run()
    assert measured(open_world).lags == {"news": 2 * MINUTE}


def test_the_lag_of_a_feed_is_that_of_its_newest_articles(open_world: World) -> None:
    open_world.show_more(open_world.news("late", ago=5 * HOUR))
    open_world.run()
    assert measured(open_world).lags == {"news": 5 * HOUR}
    open_world.show_more(*(open_world.news(f"early{number}", ago=MINUTE) for number in range(LAG_ARTICLES)))
    open_world.run()
    assert measured(open_world).lags == {"news": MINUTE}


def test_alerts_are_counted_as_long_as_their_cause_stands(open_world: World) -> None:
    assert measured(open_world).alerts == {}
    with open_world.store() as store:
        store.find(Cause(kind=AlertKind.DISK, words="nearly full"), NOW)
    assert measured(open_world).alerts == {AlertKind.DISK: 1}
    with open_world.store() as store:
        store.clear(AlertKind.DISK, "", NOW)
    assert measured(open_world).alerts == {}


PLANS = {
    "measure_deliveries": "SCAN deliveries USING COVERING INDEX deliveries_work",
    "measure_waiting": "SEARCH deliveries USING INDEX deliveries_work (state=?)",
    "measure_failed": "SCAN attempts USING COVERING INDEX attempts_failed",
    "measure_lag": "SEARCH articles USING INDEX articles_feed (feed=?)",
}


@pytest.mark.parametrize(("name", "plan"), PLANS.items(), ids=PLANS)
def test_no_scrape_reads_a_table_from_end_to_end(desk: Desk, name: str, plan: str) -> None:
    desk("run")
    with closing(sqlite3.connect(desk.folder / "autopublish.db")) as connection:
        values = dict.fromkeys(("feed", "most"), 1)
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements()[name]}", values)]
    assert steps[0] == plan


# --- the command -----------------------------------------------------------------------------------------------------


def test_status_prints_the_metrics_for_a_textfile_and_writes_nothing(desk: Desk) -> None:
    desk("run")
    desk.show("one")
    desk("run")
    before = desk.tree()
    said = desk("status", "--metrics")
    assert (said.code, said.err) == (0, "")
    found = lines(said.out.encode())
    assert found["posts_total", "page"] == 1
    assert found[("well",)] == 1
    assert found["feed_last_good_timestamp_seconds", "news"] == pytest.approx(datetime.now(UTC).timestamp(), abs=60)
    assert desk.tree() == before


def test_status_prints_metrics_of_a_program_that_is_not_well_too(desk: Desk) -> None:
    desk("run")
    with desk.store() as store:
        (was,) = store.standings().values()
        store.save_standing(was, replace(was, state=AccountState.AUTH_BLOCKED, reason="token dead"), now=NOW)
        store.keep_note(LAST_TICK, NOW.isoformat())
    found = lines(desk("status", "--metrics").out.encode())
    assert found[("well",)] == 0
    assert found["account_state", "page", "AUTH_BLOCKED"] == 1
    assert found[("last_tick_timestamp_seconds",)] == NOW.timestamp()


@pytest.mark.parametrize("other", ["--check", "--json"])
def test_metrics_go_with_no_other_form_of_status(desk: Desk, other: str) -> None:
    said = desk("status", "--metrics", other)
    assert (said.code, said.out) == (2, "")
    assert "--metrics goes with neither" in said.err


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is not installed."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "autopublish.metrics")


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_extra_it_is_named_with_what_installs_it(desk: Desk) -> None:
    desk("run")
    said = desk("status", "--metrics")
    assert (said.code, said.out) == (2, "")
    assert "`metrics`" in said.err
    assert "pip install prometheus-client" in said.err
    with closing(look(desk.file)) as app, pytest.raises(ExtraMissing):
        app.metrics()


@pytest.mark.parametrize("words", [["run"], ["status"], ["status", "--check"]], ids=" ".join)
def test_what_asks_for_no_metrics_does_not_pay_for_them(desk: Desk, words: list[str]) -> None:
    desk.configure(PAGE, more="listen: 127.0.0.1:9464\n")
    desk("run")
    script = "import sys\nfrom autopublish.cli import main\ntry: main(sys.argv[1:])\nfinally: print(*sys.modules)"
    line = [sys.executable, "-c", script, *words]
    done = subprocess.run(line, env=desk.variables(), capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "autopublish.app" in loaded
    assert loaded & {"prometheus_client", "http.server", "autopublish.metrics", "autopublish.listener"} == set()
