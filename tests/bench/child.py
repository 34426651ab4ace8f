"""Runs of the program in a process of its own, which dies where it is told to.

The process is forked from a helper that has imported everything, so that one costs a few milliseconds.
"""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401
import multiprocessing
from collections.abc import Callable
from contextlib import closing
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from PIL import Image

import autopublish.feeds.xmlfeed
import autopublish.pipeline._drain  # noqa: F401
from autopublish.net import Client
from autopublish.posts import check_template
from autopublish.store import Store, _store, open_store
from tests.bench import runner
from tests.bench.points import PointedDatabase, PointedHttp, Points
from tests.bench.runner import Setup

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "tests.bench.child"])

# Loaded by the helper, so that no child pays for what the program loads late: the imports above that nothing here uses,
# and what a first use brings in.
Image.init()
assert check_template("{{ title }}") is None

#: More runs than any scenario takes.
MOST_RUNS = 60
#: By the real clock; only a broken test comes near it.
PATIENCE_SECONDS = 60


def start(setup: Setup, log: Path, *, die_at: int | None = None) -> ForkServerProcess:
    """A process that runs until all is quiet, moving the clock, or dies at the point of this number."""
    process = _CONTEXT.Process(target=_run_until_quiet, args=(setup, log, die_at))
    process.start()
    return process


def start_work(path: Path, work: Callable[[Store], object], log: Path, *, die_at: int) -> ForkServerProcess:
    """A process that does this work on the store at `path`, or dies at the point of this number."""
    process = _CONTEXT.Process(target=_work, args=(path, work, log, die_at))
    process.start()
    return process


def end_of(process: ForkServerProcess) -> int:
    """How the process ended: 0, or the negative number of the signal that killed it."""
    process.join(PATIENCE_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError("the child did not end")
    code = process.exitcode
    process.close()
    return code


def _pointed(log: Path, die_at: int | None) -> Points:
    """The points of this process, which every store that it opens passes from now on."""
    points = Points(log, die_at=die_at)
    PointedDatabase.points = points
    _store.Database = PointedDatabase  # type: ignore[attr-defined] # its driver, in this process alone
    return points


def _work(path: Path, work: Callable[[Store], object], log: Path, die_at: int) -> None:
    _pointed(log, die_at)
    with closing(open_store(f"sqlite:///{path}")) as store:
        work(store)


def _run_until_quiet(setup: Setup, log: Path, die_at: int | None) -> None:
    points = _pointed(log, die_at)

    def http(client: Client) -> PointedHttp:
        return PointedHttp(client, points)

    for _ in range(MOST_RUNS):
        runner.run(setup, edge=points, http=http)
        if not runner.move_to_work(setup):
            return
    raise AssertionError("it never gets quiet")
