"""The program as its users have it: a YAML file, an environment with the secret, a command in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

_SHARED = """\
store: sqlite:///autopublish.db

defaults:
  template: |
    {{ title }}

    {{ link }}
    {{ hashtags }}
  hashtags:
    from: [categories, tags]
    most: 3
    aliases: { "Ibu Kota Nusantara (IKN)": IKN }

"""


class Login(Protocol):
    """What a person writes into a configuration to post on an account of some network."""

    @property
    def account(self) -> dict[str, str]:
        """The account's own keys in the configuration."""

    @property
    def environment(self) -> dict[str, str]:
        """Where the configuration says that its secrets are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """What a run says of one feed."""

    feed: str
    status: str
    new: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a run says of one delivery that it moved."""

    account: str
    part: int
    state: str
    url: str | None
    text: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The object that `run --json` prints."""

    polled: tuple[Polled, ...]
    deliveries: tuple[Change, ...]
    counts: Mapping[str, int]


class Program:
    """One installation: its configuration and its store lie in one folder."""

    def __init__(self, folder: Path, *, feeds: Mapping[str, str], login: Login) -> None:
        self._file = folder / "autopublish.yaml"
        entries = {name: {"url": url, "allow_private": True} for name, url in feeds.items()}
        accounts = {"newsroom": {**login.account, "allow_private": True}}
        self._file.write_text(_SHARED + yaml.safe_dump({"feeds": entries, "accounts": accounts}))
        self._environment = {
            **os.environ,
            **login.environment,
            # Containers have no machine id of their own to be recognised by.
            "AUTOPUBLISH_INSTANCE": "realworld",
        }

    def run(self) -> Report:
        """One run came to its end without anything that a person must look at."""
        done = subprocess.run(
            self._words, env=self._environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return _report(json.loads(done.stdout))

    def start(self) -> subprocess.Popen[bytes]:
        """A run is at work in the process that is returned."""
        return subprocess.Popen(
            self._words, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def run_until(self, done: Callable[[], bool], *, seconds: float) -> list[Report]:
        """Runs followed each other, as from cron, until `done()` or the time was up; their reports are returned."""
        deadline = time.monotonic() + seconds
        reports = [self.run()]
        while not done() and time.monotonic() < deadline:
            time.sleep(1)
            reports.append(self.run())
        return reports

    @property
    def _words(self) -> list[str]:
        return [sys.executable, "-m", "autopublish", "run", "--config", str(self._file), "--json"]


def _report(answer: dict[str, Any]) -> Report:
    return Report(
        polled=tuple(
            Polled(feed=entry["feed"], status=entry["status"], new=entry["new"], reason=entry["reason"])
            for entry in answer["polled"]
        ),
        deliveries=tuple(
            Change(
                account=entry["account"],
                part=entry["part"],
                state=entry["state"],
                url=entry["url"],
                text=entry["text"],
                reason=entry["reason"],
            )
            for entry in answer["deliveries"]
        ),
        counts=answer["counts"],
    )
