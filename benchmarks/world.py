"""The servers' process, started and asked: what it publishes, and what it saw."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.servers import Asked, Posted

_ROOT = Path(__file__).parent.parent
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the servers saw since the last question."""

    asked: tuple[Asked, ...]
    posted: tuple[Posted, ...]

    def feeds(self, *statuses: int) -> tuple[Asked, ...]:
        """The feeds that were asked for and answered with one of these."""
        return tuple(one for one in self.asked if one.target.startswith("/feed/") and one.status in statuses)


class World:
    """A site and a network in a process of their own; its CPU is in no figure."""

    def __enter__(self) -> Self:
        # Closed in __exit__: it lives as long as the world.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.servers"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._port = int(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=_PATIENCE_SECONDS)

    @property
    def url(self) -> str:
        """Where the site and the network stand."""
        return f"http://127.0.0.1:{self._port}"

    def feeds(self, count: int) -> tuple[str, ...]:
        """The addresses of the first so many feeds."""
        return tuple(f"{self.url}/feed/{feed}/" for feed in range(count))

    def open(self, *, feeds: int, window: int = 10, keeps: bool = True) -> None:
        """The site has so many feeds, each of which shows so many articles; nothing was seen yet.

        Unless it `keeps` connections, as few do for minutes, each ends with its answer.
        """
        self._tell("open", feeds=feeds, window=window, keeps=keeps)

    def publish(self, *, feeds: int, count: int, at: datetime | None = None) -> Seen:
        """Each of the first so many feeds shows so many new articles, dated `at` or now; gives what was seen."""
        return self._tell("publish", feeds=feeds, count=count, at=at.isoformat() if at else None)

    def seen(self) -> Seen:
        """What was asked and posted since the last question."""
        return self._tell("seen")

    def _tell(self, what: str, **values: int | str | None) -> Seen:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_SECONDS)
        try:
            connection.request("POST", f"/-/{what}", json.dumps(values), {"Content-Type": "application/json"})
            reply = connection.getresponse()
            document = json.loads(reply.read())
        finally:
            connection.close()
        return Seen(
            asked=tuple(Asked(**one) for one in document["asked"]),
            posted=tuple(Posted(**one) for one in document["posted"]),
        )
