"""Servers for the session, and for each test an emptied site, a new account, a new store."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from tests.realworld.program import Program
from tests.realworld.servers._install import Unavailable
from tests.realworld.servers.bluesky import Login, Pds
from tests.realworld.servers.browser import Browser
from tests.realworld.servers.mastodon import MastodonMock
from tests.realworld.servers.wordpress import Draft, WordPress


def _give_up(reason: Unavailable) -> NoReturn:
    """Skipping is for machines that cannot install servers; where they are required it would hide that nothing ran."""
    if os.environ.get("AUTOPUBLISH_TEST_REQUIRE_SERVERS"):
        pytest.fail(str(reason), pytrace=False)
    pytest.skip(str(reason))


@contextlib.contextmanager
def _running(server: WordPress | Pds | MastodonMock) -> Iterator[None]:
    """The server answers inside and has ended afterwards, whatever happens."""
    try:
        try:
            server.start()
        except Unavailable as reason:
            _give_up(reason)
        yield
    finally:
        server.stop()


@pytest.fixture(scope="session")
def wordpress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WordPress]:
    """A WordPress that answers."""
    server = WordPress(tmp_path_factory.mktemp("wordpress"))
    with _running(server):
        yield server


@pytest.fixture(scope="session")
def pds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pds]:
    """A PDS that answers."""
    server = Pds(tmp_path_factory.mktemp("pds"))
    with _running(server):
        yield server


@pytest.fixture
def mastodon(tmp_path: Path) -> Iterator[MastodonMock]:
    """An emulated Mastodon that answers, without posts."""
    server = MastodonMock(tmp_path)
    with _running(server):
        yield server


@pytest.fixture(scope="session")
def browser() -> Browser:
    """A browser that can be started."""
    try:
        return Browser()
    except Unavailable as reason:
        _give_up(reason)


@pytest.fixture
def site(wordpress: WordPress) -> WordPress:
    """The site with one old article, since the first poll of a feed is its first with items."""
    wordpress.clear()
    wordpress.publish(Draft(title="Berita lama", date=datetime.now(UTC) - timedelta(days=2)))
    return wordpress


@pytest.fixture
def login(pds: Pds) -> Login:
    """A new account on the PDS, without posts."""
    return pds.new_login()


@pytest.fixture
def program(site: WordPress, login: Login, tmp_path: Path) -> Program:
    """The program with the site's main feed and the account, and no store yet."""
    return Program(tmp_path, feeds={"kaltim": site.feed}, login=login)
