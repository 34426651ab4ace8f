"""A newsroom's folder as its users have it: one configuration, local feeds, and the command.

desk = Desk(tmp_path)
desk.configure(PAGE)
desk.show("one")
desk("run").out
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from autopublish.cli import main
from autopublish.models import Delivery
from autopublish.store import Store, open_store
from tests.bench.newsroom import SITE, News, document
from tests.servers.pds import FakePds

FEED = "  news:\n    url: ./feed.xml\n"
PAGE = "  page:\n    platform: page\n    folder: out\n    title: News\n"

#: Where the secret of `sky` is expected.
SECRET = "DESK_APP_PASSWORD"

_PATIENCE_SECONDS = 30


def sky(pds: FakePds, *, name: str = "sky") -> str:
    """An account on the server."""
    return (
        f"  {name}:\n    platform: bluesky\n    service: {pds.url}\n    identifier: {pds.handle}\n"
        f"    app_password: env:{SECRET}\n    allow_private: yes\n"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)


class Desk:
    """The folder; called with the words of a command it runs that command in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "autopublish.yaml"
        self.environment: dict[str, str | None] = {"AUTOPUBLISH_CONFIG": str(self.file), SECRET: FakePds.password}
        self._shown: defaultdict[str, list[News]] = defaultdict(list)
        # Later ones are dated later, and none lies ahead.
        self._next_date = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)

    # --- what it has -------------------------------------------------------------------------------------------------

    def configure(self, *accounts: str, feeds: str = FEED, more: str = "") -> None:
        """The configuration names these feeds and accounts."""
        self.file.write_text(f"{more}feeds:\n{feeds}accounts:\n{''.join(accounts)}")

    def show(self, *names: str, feed: str = "feed.xml", title: str = "", categories: tuple[str, ...] = ()) -> None:
        """The feed shows these articles on top of what it showed."""
        for name in names:
            one = News(name=name, published=self._next_date, title=title, categories=categories)
            self._shown[feed].insert(0, one)
            self._next_date += timedelta(seconds=1)
        (self.folder / feed).write_bytes(document(self._shown[feed]))

    def retitle(self, name: str, title: str, *, feed: str = "feed.xml") -> None:
        """An editor gives an article another title."""
        shown = [replace(one, title=title) if one.name == name else one for one in self._shown[feed]]
        self._shown[feed] = shown
        (self.folder / feed).write_bytes(document(shown))

    # --- the command -------------------------------------------------------------------------------------------------

    def __call__(self, *words: str) -> Said:
        done = CliRunner(env=self.environment).invoke(main, words, catch_exceptions=False)
        return Said(code=done.exit_code, out=done.stdout, err=done.stderr)

    def process(self, *words: str) -> Said:
        """The command in a process of its own."""
        done = subprocess.run(
            self.line(*words),
            env=self.variables(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_SECONDS,
            check=False,
        )
        return Said(code=done.returncode, out=done.stdout, err=done.stderr)

    def line(self, *words: str) -> list[str]:
        """What starts the command."""
        return [sys.executable, "-m", "autopublish", *words]

    def variables(self) -> dict[str, str]:
        """The environment of a process."""
        ours = {**os.environ, **self.environment}
        return {name: value for name, value in ours.items() if value is not None}

    # --- what came of it ---------------------------------------------------------------------------------------------

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store, between commands."""
        with closing(open_store(f"sqlite:///{self.folder / 'autopublish.db'}")) as store:
            yield store

    def row(self, name: str, account: str) -> Delivery:
        """The delivery of an article on an account."""
        found = self.find_row(name, account)
        assert found is not None, f"no delivery of {name} on {account}"
        return found

    def find_row(self, name: str, account: str) -> Delivery | None:
        """The delivery of an article on an account if there is one."""
        with self.store() as store:
            (article,) = store.articles_like(f"{SITE}/{name}/")
            return next((row for row in store.deliveries_of(article.id) if row.account == account), None)

    def change(self, row: Delivery, **values: Any) -> Delivery:
        """The store holds a delivery with these values instead."""
        after = replace(row, **values)
        with self.store() as store:
            assert store.change(row, after)
        return after

    def end_waits(self) -> None:
        """No account waits before it tries again."""
        with self.store() as store:
            for standing in store.standings().values():
                rested = replace(standing, not_before=None, probe_at=None)
                store.save_standing(standing, rested, now=datetime.now(UTC))

    def pages(self, folder: str = "out") -> set[str]:
        """The names of the articles that a page of posts shows."""
        posts = (json.loads(file.read_text()) for file in (self.folder / folder / "posts").glob("*.json"))
        return {name for post in posts for name in self._names() if f"{SITE}/{name}/" in json.dumps(post)}

    def _names(self) -> set[str]:
        return {one.name for shown in self._shown.values() for one in shown}

    def tree(self) -> Mapping[str, tuple[int, bytes]]:
        """Every file below the folder with the time of its last change and its content; folders with their time."""
        return {
            str(path.relative_to(self.folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
            for path in sorted(self.folder.rglob("*"))
        }


def seen_on(pds: FakePds) -> list[str]:
    """The names of the articles that a reader of the account sees, the newest key first."""
    links = (line for post in pds.visible() for line in post.text.split() if line.startswith(SITE))
    return [link.rstrip("/").rpartition("/")[2] for link in links]
