"""The month of the benchmarks: days that jump are whole days, and what grows is found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from benchmarks.month import Life, Look, faults, live, report
from benchmarks.world import World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as servers:
        yield servers


# --- living ----------------------------------------------------------------------------------------------------------


def test_a_day_that_jumps_has_all_its_minutes_polls_posts_and_copies(world: World, folder: Path) -> None:
    life = live(world, folder, days=1, articles=2)

    start, evening = life.looks
    assert (start.day, start.polls, start.posts) == (0, 1, 0)
    assert evening.waits - evening.rings >= 1440, "each minute, and what was planned"
    assert evening.rings in range(280, 290), "at each poll that is not due in a whole minute"
    assert evening.polls in range(280, 290), "each five minutes"
    assert evening.posts == 10, "each article once on each account"
    assert len(evening.copies) == 2, "of the day on which it started, and of that on which it ended"
    assert evening.log_bytes < 6_000_000
    assert evening.others - start.others == set()


@pytest.mark.long  # `python -m benchmarks.month` does it for thirty days, and CI runs that
@pytest.mark.parametrize("articles", [0, 20], ids=["at rest", "with news"])
def test_three_days_of_a_daemon_make_nothing_grow(articles: int, world: World, tmp_path: Path) -> None:
    life = live(world, tmp_path, days=3, articles=articles)

    assert faults(life) == []
    assert life.looks[-1].cpu_seconds - life.looks[0].cpu_seconds < 30, "ten seconds a day"


# --- judging ---------------------------------------------------------------------------------------------------------

_SIZES: Mapping[str, int] = MappingProxyType(
    {
        "autopublish.db": 200_000,
        "autopublish.db-wal": 4_120_000,
        "autopublish.db.d/marker": 69,
        **{f"autopublish.db.d/copies/2026-11-{day}.db": 200_000 for day in range(20, 27)},
    }
)


def look(day: int, **values: Any) -> Look:
    """How a daemon stands that grows in nothing, but for these values."""
    sound = Look(
        day=day,
        cpu_seconds=1.0 + day,
        wall_seconds=1.0,
        resident_bytes=60_000_000,
        open_files=11,
        threads=6,
        written_bytes=20_000_000 * day,
        waits=1440 * day,
        rings=288 * day,
        sizes=dict(_SIZES),
        polls=288,
        posts=0,
    )
    return replace(sound, **values)


def lived(last: Look, *, articles: int = 0) -> Life:
    """Ten days, at the end of which it stands so."""
    return Life(days=10, articles=articles, looks=(look(0), look(1), look(8), last))


def with_sizes(**sizes: int) -> Look:
    """The tenth day with files of other sizes."""
    names = {"db": "autopublish.db", "log": "autopublish.db-wal"}
    return replace(look(10), sizes={**_SIZES, **{names[name]: size for name, size in sizes.items()}})


def with_files(*names: str) -> Look:
    """The tenth day with more files."""
    return replace(look(10), sizes={**_SIZES, **dict.fromkeys((f"autopublish.db.d/{name}" for name in names), 100)})


def without_copies() -> Look:
    """The tenth day with the store alone."""
    return replace(look(10), sizes={name: size for name, size in _SIZES.items() if "copies" not in name})


@pytest.mark.parametrize(
    ("life", "words"),
    [
        (lived(look(10, resident_bytes=64_000_000)), "4,000,000 bytes of memory more than after day 8"),
        (lived(look(10, resident_bytes=69_000_000), articles=10), "9,000,000 bytes of memory more"),
        (lived(look(10, threads=15, open_files=20)), "15 threads"),
        (lived(look(10, open_files=16)), "5 open files more"),
        (lived(with_sizes(db=204_096)), "4,096 bytes of the store more"),
        (lived(with_sizes(db=2_000_001), articles=10), "1,800,001 bytes of the store more"),
        (lived(with_sizes(log=7_000_000)), "7,000,000 bytes of the store's log"),
        (lived(with_files("copies/2026-11-28.db")), "8 copies"),
        (lived(without_copies()), "0 copies of the store after 10 days"),
        (lived(with_files("0123456789abcdef.lock")), "files that were not there .*0123456789abcdef.lock"),
        (lived(with_files(*(f"pictures/notes/{number}.json" for number in range(11)))), "11 files of pictures"),
    ],
    ids=[
        "memory",
        "memory with news",
        "threads",
        "files",
        "store",
        "store beyond its news",
        "log",
        "copies",
        "no copies",
        "locks",
        "pictures",
    ],
)
def test_what_grows_in_a_month_is_found(life: Life, words: str) -> None:
    (found,) = faults(life)

    assert re.search(words, found)


@pytest.mark.parametrize(
    "life",
    [
        lived(look(10)),
        lived(look(10, open_files=14, threads=7, resident_bytes=65_000_000)),
        lived(with_sizes(db=1_900_000), articles=10),
        lived(with_files("pictures/notes/one.json")),
    ],
    ids=["nothing", "a thread more with its connection", "a store with its news", "a picture of the day"],
)
def test_what_a_month_explains_is_no_fault(life: Life) -> None:
    assert faults(life) == []


def test_the_report_has_the_days_and_what_they_come_to() -> None:
    text = report(lived(with_sizes(db=1_100_000), articles=10))

    lines = text.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["start", "1", "8", "10"]
    assert "10.0 s for 10 days: 1.00 s a day" in text
    assert "written: 20.0 MB a day" in text
    assert "an article with 5 posts: 10.0 KB of the store" in text
