"""What many tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.clock import Clock
from tests.bench.network import Network
from tests.bench.world import World, assert_invariants


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    """A clock that the test moves."""
    return Clock(tmp_path / "clock")


@pytest.fixture
def network(clock: Clock) -> Iterator[Network]:
    """Networks that fail by script and keep the list of visible posts."""
    with Network(clock) as one:
        yield one


@pytest.fixture
def unjudged_world(tmp_path: Path, network: Network, clock: Clock) -> World:
    """A world for tests that must show a double."""
    return World(tmp_path, network, clock)


@pytest.fixture
def world(unjudged_world: World) -> Iterator[World]:
    """A world in which, at the end of each test, nothing is lost and nothing doubled."""
    yield unjudged_world
    assert_invariants(unjudged_world)
