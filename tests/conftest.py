"""What many tests share."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from autopublish.disk import LITTLE_BYTES
from tests.bench.clock import Clock
from tests.bench.network import Network
from tests.bench.world import World, assert_invariants
from tests.desk import PAGE, Desk
from tests.servers.feed_site import FeedSite
from tests.servers.pds import FakePds

#: A file system in memory, where the system has one.
_MEMORY = Path("/dev/shm")

# Hundreds of tests start the program: compiled anew each time, it would cost several times what they look at.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_finish() -> None:
    """No collection of garbage looks through thousands of collected tests again: each full one took 250 ms."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a world keeps its files: in memory if possible, where a killed process leaves the same as on a disk."""
    # Containers often have 64 MB there, and the program sends nothing where little is free.
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > 3 * LITTLE_BYTES):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="autopublish-", dir=_MEMORY) as made:
        yield Path(made)


@pytest.fixture
def clock(folder: Path) -> Clock:
    """A clock that the test moves."""
    return Clock(folder / "clock")


@pytest.fixture
def network(clock: Clock) -> Iterator[Network]:
    """Networks that fail by script and keep the list of visible posts."""
    with Network(clock) as one:
        yield one


@pytest.fixture
def unjudged_world(folder: Path, network: Network, clock: Clock) -> World:
    """A world for tests that must show a double."""
    return World(folder, network, clock)


@pytest.fixture
def world(unjudged_world: World) -> Iterator[World]:
    """A world in which, at the end of each test, nothing is lost and nothing doubled."""
    yield unjudged_world
    assert_invariants(unjudged_world)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder with a page of posts, and a feed that shows one article."""
    folder = tmp_path / "desk"
    folder.mkdir()
    made = Desk(folder)
    made.configure(PAGE)
    made.show("zero")
    return made


@pytest.fixture
def pds() -> Iterator[FakePds]:
    """A Bluesky server."""
    with FakePds() as server:
        yield server


@pytest.fixture
def site() -> Iterator[FeedSite]:
    """A site that answers by script."""
    with FeedSite() as one:
        yield one
