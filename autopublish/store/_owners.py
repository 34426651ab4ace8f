"""Leases: which process works on which feed or account, so that several may work on one store.

A lease is a row that names its owner, and the owner a locked file that the kernel frees at its death: nothing expires,
so that a process that was stopped for an hour still holds what it held, and what a dead one held is free at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from threading import Lock

from autopublish.errors import StoreError
from autopublish.store import _lock
from autopublish.store._codec import micros
from autopublish.store._sqlite import Database


@contextmanager
def own(database: Database, folder: Path, kind: str, now: datetime) -> Iterator[Owner]:
    """A process of this kind works on the store; in the end it holds no lease."""
    with _lock.be_owner(folder, kind, now) as name:
        owner = Owner(database, folder, name, now)
        try:
            yield owner
        finally:
            # A store that fails in the end keeps no lease alive: without its file its owner is dead.
            with suppress(StoreError):
                owner.give_all_back()


class Owner:
    """The leases of one process; safe to share between threads."""

    def __init__(self, database: Database, folder: Path, name: str, since: datetime) -> None:
        self._database = database
        self._folder = folder
        self._name = name
        self._since = since
        self._held: set[tuple[str, str]] = set()
        self._lock = Lock()

    def take(self, verb: str, subjects: Iterable[str]) -> dict[str, str]:
        """Every subject is ours, except those given: by subject, what the living process that has it says of itself."""
        with self._lock:
            wanted = [subject for subject in subjects if (verb, subject) not in self._held]
        if not wanted:
            return {}
        others: dict[str, str] = {}
        values = {"verb": verb, "owner": self._name, "now": micros(self._since)}
        with self._database.write() as tx:
            for subject in wanted:
                tx.run("lease_take", **values, subject=subject)
            rows = tx.rows("leases_of_others", verb=verb, owner=self._name)
            found = {row["subject"]: row["owner"] for row in rows}
            words = {name: _lock.holder_of(self._folder, name) for name in set(found.values())}
            for subject in set(wanted) & set(found):
                holder = words[found[subject]]
                if holder is None:
                    tx.run("lease_take_over", **values, subject=subject, dead=found[subject])
                else:
                    others[subject] = holder
        with self._lock:
            self._held.update((verb, subject) for subject in wanted if subject not in others)
        return others

    def give_back(self, verb: str, subjects: Iterable[str]) -> None:
        """None of these is ours any more."""
        with self._lock:
            held = [subject for subject in subjects if (verb, subject) in self._held]
            self._held.difference_update((verb, subject) for subject in held)
        if held:
            with self._database.write() as tx:
                for subject in held:
                    tx.run("lease_give_back", verb=verb, subject=subject, owner=self._name)

    def holds(self, verb: str, subject: str) -> bool:
        """Whether the store says that it is still ours."""
        with self._database.read() as tx:
            row = tx.row("lease_owner", verb=verb, subject=subject)
        return row is not None and row["owner"] == self._name

    def give_all_back(self) -> None:
        """Nothing is ours any more."""
        with self._lock:
            held, self._held = self._held, set()
        if held:
            with self._database.write() as tx:
                tx.run("leases_give_back", owner=self._name)
