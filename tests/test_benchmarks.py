"""The benchmarks measure work that was done: tiny sizes, and nothing said about time."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from benchmarks.contestants import Contestant, Interpreter, Ours, Task, Yardstick
from benchmarks.measure import Command, RunFailed, measure
from benchmarks.process import running
from benchmarks.report import table, verdict
from benchmarks.scenarios import SCENARIOS, Bench, Row, Sizes, busy_run, day_at_rest, idle_run, percentile
from benchmarks.world import World

TINY = Sizes(
    feeds=3,
    burst=4,
    remembered=50,
    remembered_little=20,
    latencies=2,
    runs=1,
    runs_of_many=1,
    transactions=3,
    rest_seconds=0.2,
)
HERE = Interpreter.current()
#: A script that ends in order when it is asked to.
STOPS = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as servers:
        yield servers


@pytest.fixture
def bench(world: World, tmp_path: Path) -> Bench:
    return Bench(world=world, interpreter=HERE, sizes=TINY, cache=tmp_path / "cache")


def ready(contestant: Contestant, world: World, folder: Path, *, feeds: int) -> Command:
    """What runs a program that knows what is there."""
    folder.mkdir()
    command = contestant.set_up(Task(folder=folder, url=world.url, feeds=world.feeds(feeds)))
    measure(contestant.first(command))
    world.seen()
    return command


# --- scenarios -------------------------------------------------------------------------------------------------------


@pytest.mark.long  # `python -m benchmarks --quick` does the same, and CI runs it
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name != "daemon"])
def test_a_scenario_gives_a_figure_for_all_that_it_compares(name: str, bench: Bench) -> None:
    rows = SCENARIOS[name](bench)

    figures = [row.median for row in rows]
    assert len(rows) >= 2
    assert all(figure is not None for figure in figures)
    assert any(row.bar is not None for row in rows)


def test_a_daemon_at_rest_asks_for_nothing_but_its_feed_and_is_measured_while_it_lives(bench: Bench) -> None:
    start, memory, cpu = SCENARIOS["daemon"](bench)

    assert start.median is not None
    assert start.median > 50, "it cannot start in less"
    assert memory.median is not None
    assert memory.peak_mb is not None
    assert 20 < memory.median <= memory.peak_mb
    assert [row.bar for row in (start, memory, cpu)] == [None, 80.0, 10.0]
    assert (cpu.median, cpu.note) == (None, "too short to tell"), "no poll falls into a moment"


def test_a_day_at_rest_is_extrapolated_and_says_how() -> None:
    row = day_at_rest(0.0167, 300.0, 1)

    assert row.median == pytest.approx(4.8096)
    assert "16.7 ms of CPU in 300 s with 1 poll, x 86,400 / 300 = 4.81 s a day. Extrapolated" in row.remark
    assert verdict(row) == "held"


def test_the_yardstick_makes_the_same_posts_as_the_program(world: World, tmp_path: Path) -> None:
    world.open(feeds=2)
    ours, yardstick = (
        ready(contestant, world, tmp_path / contestant.name, feeds=2) for contestant in (Ours(HERE), Yardstick(HERE))
    )
    world.publish(feeds=2, count=3)

    _, by_us = busy_run(_bench(world, tmp_path), ours, posts=6)
    _, by_yardstick = busy_run(_bench(world, tmp_path), yardstick, posts=6)

    assert {post.text for post in by_us.posted} == {post.text for post in by_yardstick.posted}


@pytest.mark.parametrize("contestant", [Ours(HERE), Yardstick(HERE)], ids=["autopublish", "yardstick"])
def test_a_run_with_nothing_new_is_answered_304_and_posts_nothing(
    contestant: Contestant, world: World, tmp_path: Path
) -> None:
    world.open(feeds=2)
    command = ready(contestant, world, tmp_path / "own", feeds=2)

    measure(command)

    seen = world.seen()
    assert sorted(one.target for one in seen.feeds(304)) == ["/feed/0/", "/feed/1/"]
    assert (seen.feeds(200), seen.posted) == ((), ())


def test_a_run_that_posts_less_than_it_must_gives_no_figure(world: World, tmp_path: Path) -> None:
    world.open(feeds=1)
    command = ready(Yardstick(HERE), world, tmp_path / "own", feeds=1)

    with pytest.raises(RunFailed, match="0 posts of 1"):
        busy_run(_bench(world, tmp_path), command, posts=1)


def test_an_idle_run_that_posts_gives_no_figure(world: World, tmp_path: Path) -> None:
    world.open(feeds=1)
    command = ready(Yardstick(HERE), world, tmp_path / "own", feeds=1)
    world.publish(feeds=1, count=1)

    with pytest.raises(RunFailed, match="1 posts of nothing new"):
        idle_run(_bench(world, tmp_path), command, feeds=1)


def _bench(world: World, folder: Path) -> Bench:
    return Bench(world=world, interpreter=HERE, sizes=TINY, cache=folder)


# --- measuring -------------------------------------------------------------------------------------------------------


def test_a_command_that_fails_gives_no_figure_but_its_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "print('out of paper'); raise SystemExit(3)"]

    with pytest.raises(RunFailed, match=r"ended with 3:\nout of paper"):
        measure(Command(argv=argv, folder=tmp_path, environment={}))


def test_the_memory_of_a_command_is_its_own_and_its_time_that_of_its_children_too(tmp_path: Path) -> None:
    work = "sum(range(3_000_000))"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], check=True)"
    ballast = bytearray(100_000_000)
    ballast[::4096] = b"\1" * len(ballast[::4096])

    sample = measure(Command(argv=[sys.executable, "-c", child], folder=tmp_path, environment={}))
    bare = measure(Command(argv=[sys.executable, "-c", "pass"], folder=tmp_path, environment={}))

    assert sample.cpu_seconds > bare.cpu_seconds
    assert max(sample.peak_mb, bare.peak_mb) < 90


def test_a_process_that_stays_is_measured_from_outside(tmp_path: Path) -> None:
    work = "import time; sum(range(3_000_000)); print('done', flush=True); time.sleep(60)"
    command = Command(argv=[sys.executable, "-c", f"{STOPS}; {work}"], folder=tmp_path, environment={})

    with running(command) as process:
        while "done" not in process.told():
            process.demand_alive()
        assert process.cpu_seconds() > 0.01
        assert 2 < process.resident_mb() <= process.peak_mb()


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "raise SystemExit(3)"), (STOPS.replace("0", "3"), "time.sleep(60)")],
    ids=["by itself", "when asked"],
)
def test_a_process_that_should_stay_and_fails_gives_its_words(before: str, after: str, tmp_path: Path) -> None:
    script = f"{before}\nimport time\nprint('out of paper', flush=True)\n{after}"
    argv = [sys.executable, "-c", script]

    def stay() -> None:
        with running(Command(argv=argv, folder=tmp_path, environment={})) as process:
            while "out of paper" not in process.told() or not before:
                process.demand_alive()

    with pytest.raises(RunFailed, match=r"ended with 3:\nout of paper"):
        stay()


@pytest.mark.parametrize(
    ("values", "part", "found"),
    [([1.0], 0.95, 1.0), ([3.0, 1.0, 2.0], 0.5, 2.0), (list(map(float, range(1, 101))), 0.95, 95.0), ([1, 2], 0, 1)],
    ids=["one", "in the middle", "of a hundred", "the least"],
)
def test_a_percentile_is_a_value_that_was_measured(values: list[float], part: float, found: float) -> None:
    assert percentile(values, part) == found


# --- the servers -----------------------------------------------------------------------------------------------------


def ask(url: str, method: str, body: Mapping[str, str] | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """One request and its answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, parts.path, content, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_network_makes_one_post_of_two_requests_with_one_key(world: World) -> None:
    world.open(feeds=1)
    headers = {"Authorization": "Bearer one", "Idempotency-Key": "key"}

    answers = [ask(f"{world.url}/api/v1/statuses", "POST", {"status": text}, headers) for text in ("first", "second")]

    assert answers[0] == answers[1]
    assert [(post.account, post.text) for post in world.seen().posted] == [("one", "first")]


def test_the_network_refuses_who_has_no_token(world: World) -> None:
    world.open(feeds=1)

    assert ask(f"{world.url}/api/v1/statuses", "POST", {"status": "text"}, {})[0] == 401
    assert world.seen().posted == ()


def test_the_site_shows_what_is_published_and_no_more_than_its_window(world: World) -> None:
    world.open(feeds=1, window=3)
    before = ask(f"{world.url}/feed/0/", "GET", None, {})[1]
    world.publish(feeds=1, count=2)
    after = ask(f"{world.url}/feed/0/", "GET", None, {})[1]

    assert [(text.count(b"<item>"), b" 0-3<" in text, b" 0-5<" in text) for text in (before, after)] == [
        (3, True, False),
        (3, True, True),
    ]


# --- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Row(scenario="s", program="p", median=9.0, ratio=3.8, bar=3.8), "held"),
        (Row(scenario="s", program="p", median=9.0, ratio=5.7, bar=3.8), "missed by 50%"),
        (Row(scenario="s", program="p", median=3.0, bar=4.0), "held"),
        (Row(scenario="s", program="p", median=6.0, bar=4.0), "missed by 50%"),
        (Row(scenario="s", program="p", median=6.0, ratio=2.0), ""),
        (Row(scenario="s", program="p", bar=80.0, note="not yet"), "not yet"),
    ],
    ids=["ratio held", "ratio missed", "figure held", "figure missed", "no bar", "nothing measured"],
)
def test_a_verdict_says_whether_the_bar_is_held(row: Row, words: str) -> None:
    assert verdict(row) == words


def test_the_table_names_a_scenario_once() -> None:
    rows = [
        Row(scenario="one", program="yardstick", median=50.0, least=48.0, ratio=1.0),
        Row(scenario="one", program="autopublish", median=190.0, least=185.0, ratio=3.8, bar=3.8),
    ]

    lines = table(rows).splitlines()

    assert [line.split()[0] for line in lines] == ["scenario", "one", "autopublish"]
    assert "3.80x" in lines[2]
    assert lines[2].endswith("held")
