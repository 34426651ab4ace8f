"""Points at which the program may die: around every write of the store and every edge of the network.

They are not listed anywhere: `Points` counts what a run passes, so that a new write cannot exist without its test.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from autopublish.net import Client
from autopublish.platforms._http import Answer, Http
from autopublish.store._sqlite import Database, Transaction
from autopublish.store._statements import Migration


class Points:
    """Writes down each point that is passed; at one of them the process is killed."""

    def __init__(self, log: Path, *, die_at: int | None = None) -> None:
        self._log = log
        self._die_at = die_at
        self._count = 0

    def __call__(self, name: str) -> None:
        """The program is at this point."""
        with self._log.open("a") as log:
            log.write(f"{name}\n")
        if self._count == self._die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._count += 1


class PointedDatabase(Database):
    """The driver, with a point before, inside and after each transaction that writes; named after the store's verb."""

    #: Set in the process that is to die; a class, because the store makes its driver itself.
    points: ClassVar[Points]

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        # This frame, contextlib's, and then the verb that opened the transaction.
        verb = sys._getframe(2).f_code.co_name
        self.points(f"{verb}: before")
        with super().write() as transaction:
            yield transaction
            self.points(f"{verb}: written, not committed")
        self.points(f"{verb}: committed")

    def migrate(self, step: Migration) -> None:
        self.points("migrate: before")
        super().migrate(step)
        self.points("migrate: committed")


class PointedHttp(Http):
    """The network, with a point just before the first byte of the irreversible call, past the pipeline's guard."""

    def __init__(self, client: Client, points: Callable[[str], None]) -> None:
        super().__init__(client, allow_private=True)
        self._points = points

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: object = None,
        data: bytes | Mapping[str, str] | None = None,
    ) -> Answer:
        guard = self.guard

        def at_the_first_byte() -> None:
            if guard is not None:
                guard()
            self._points("publish: first byte")

        self.guard = at_the_first_byte
        return super().send(method, url, headers=headers, params=params, json=json, data=data)
