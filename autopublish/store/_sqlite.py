"""The SQLite driver: begin modes, pragmas, one connection a thread, errors in words.

WAL with synchronous=FULL: what is committed before a call survives a power loss. The standard driver begins a
transaction only at the first write, so that a read before it stands outside; here `write` and `read` begin themselves.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from autopublish.errors import StoreError, StoreLocked, StoreLost
from autopublish.store._statements import Migration, statements

#: How long a statement waits for another writer.
BUSY_SECONDS = 10

Row = Mapping[str, Any]


class Transaction:
    """Named statements inside one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._sql = statements()

    def rows(self, statement: str, /, **values: object) -> Sequence[Row]:
        """All rows of a statement."""
        cursor = self._connection.execute(self._sql[statement], values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, statement: str, /, **values: object) -> Row | None:
        """The first row of a statement, None if there is none."""
        found = self.rows(statement, **values)
        return found[0] if found else None

    def run(self, statement: str, /, **values: object) -> None:
        """Run a statement that gives nothing back."""
        self._connection.execute(self._sql[statement], values)


class Database:
    """One SQLite file."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        #: Which file was opened, whatever its name stands for later.
        self._file: os.stat_result | None = None

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._connect()
            self._local.connection = connection
            with self._lock:
                self._opened.append(connection)
                if self._file is None and self.path.exists():
                    self._file = self.path.stat()
        return connection

    def _connect(self) -> sqlite3.Connection:
        if self._read_only:
            return sqlite3.connect(
                self._read_only_uri(), uri=True, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False
            )
        # check_same_thread is off for `close` alone: each thread has a connection of its own.
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_SECONDS, check_same_thread=False)
        try:
            if _may_be_ours(connection):
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _read_only_uri(self) -> str:
        """Without a log nobody writes, and only `immutable` keeps SQLite from making files of its own.

        With a log, `readonly_shm` keeps it from marking its place in the log's index; a log without an index (a copy
        of two files of the three) cannot be read unless SQLite makes one.
        Source: https://www.sqlite.org/wal.html#read_only_databases
        """
        log, index = Path(f"{self.path}-wal"), Path(f"{self.path}-shm")
        if not log.exists() or not log.stat().st_size:
            mode = "mode=ro&immutable=1"
        else:
            mode = "mode=ro&readonly_shm=1" if index.exists() else "mode=ro"
        return f"{self.path.absolute().as_uri()}?{mode}"

    def write(self) -> AbstractContextManager[Transaction]:
        """A transaction that holds the write lock from its first statement on."""
        return self._transaction("BEGIN IMMEDIATE")

    def read(self) -> AbstractContextManager[Transaction]:
        """A transaction that sees one state of the store."""
        return self._transaction("BEGIN")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        with self._in_words():
            connection = self._connection()
            try:
                connection.execute(begin)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                    raise
                connection.execute(begin)  # once more: the wait of ten seconds may just have missed
        try:
            with self._in_words():
                yield Transaction(connection)
                connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def demand_in_place(self) -> None:
        """The store's name still stands for the file that was opened.

        Raises:
            StoreLost: somebody deleted, moved or replaced it: what is written would be lost with it.
        """
        try:
            is_there = self._file is None or os.path.samestat(self._file, self.path.stat())
        except OSError:
            is_there = False
        if not is_there:
            raise StoreLost(
                f"the store {self.path} was deleted, moved or replaced while the program was at work: nothing more is "
                "sent. Put it back, or start the program again, which then sends nothing before a person looked"
            )

    def version(self) -> int:
        """The number of the last migration applied; 0 for a new file."""
        with self._in_words():
            connection = self._connection()
            has = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").fetchone()
            if not has:
                return 0
            row = connection.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone()
            return int(row[0]) if row else 0

    def checksums(self) -> dict[str, str]:
        """The migrations that were applied, with the checksum that each had then."""
        with self._in_words():
            rows = self._connection().execute("SELECT name, value FROM meta WHERE name LIKE 'migration %'").fetchall()
        return {name.removeprefix("migration "): value for name, value in rows}

    def is_empty(self) -> bool:
        """Whether the file holds no table at all."""
        with self._in_words():
            return self._connection().execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None

    def migrate(self, step: Migration) -> None:
        """Apply one step, whole or not at all; a step that another process applied meanwhile is left alone."""
        with self._in_words():
            connection = self._connection()
            connection.execute("BEGIN IMMEDIATE")
            try:
                if self.version() < step.number:
                    for statement in step.statements:
                        connection.execute(statement)
                    connection.execute(
                        "INSERT INTO meta (name, value) VALUES ('schema', ?) "
                        "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                        (str(step.number),),
                    )
                    connection.execute(
                        "INSERT INTO meta (name, value) VALUES (?, ?)", (f"migration {step.name}", step.checksum)
                    )
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def problems(self, pragma: str) -> tuple[str, ...]:
        """What SQLite finds wrong with the file by `quick_check` or `integrity_check`; empty if it is sound."""
        try:
            with self._in_words():
                found = [str(row[0]) for row in self._connection().execute(f"PRAGMA {pragma}(20)")]
        except StoreError as error:
            cause = error.__cause__
            code = getattr(cause, "sqlite_errorcode", None) or 0
            if code & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
            return (str(cause),)
        return () if found == ["ok"] else tuple(line for text in found for line in text.splitlines())

    def let_go(self) -> None:
        """This thread's connection is closed, if it had one."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            return
        self._local.connection = None
        with self._lock:
            if connection in self._opened:
                self._opened.remove(connection)
                connection.close()

    def close(self) -> None:
        """Close every thread's connection."""
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()
        self._local = threading.local()

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _KINDS.get(_code_of(error), StoreError)(self._explain(error)) from error

    def _explain(self, error: sqlite3.Error) -> str:
        explain = _WORDS.get(_code_of(error))
        if explain is not None:
            return explain(self.path)
        return f"the store {self.path} cannot be used: {error}"


_KINDS = {
    sqlite3.SQLITE_BUSY: StoreLocked,
    sqlite3.SQLITE_CORRUPT: StoreLost,
    sqlite3.SQLITE_NOTADB: StoreLost,
}


def _code_of(error: sqlite3.Error) -> int:
    """What SQLite itself says is wrong, without its finer distinctions; 0 where it was not asked."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _may_be_ours(connection: sqlite3.Connection) -> bool:
    """Whether the file is new or a store: the database of another program stays in the mode that it has."""
    names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return not names or {"meta", "feeds", "deliveries"} <= names


def _cannot_open(path: Path) -> str:
    folder = path.parent
    if path.is_dir():
        return f"the store {path} is a folder; `store:` must name a file"
    if not folder.is_dir():
        return f"the store {path} cannot be opened: there is no folder {folder}"
    if not os.access(folder, os.W_OK):
        return f"the store {path} cannot be written: the folder {folder} is not writable for this user"
    return f"the store {path} cannot be opened: check that this user may read and write it"


_WORDS: dict[int, Callable[[Path], str]] = {
    sqlite3.SQLITE_CANTOPEN: _cannot_open,
    sqlite3.SQLITE_READONLY: lambda path: (
        f"the store {path} cannot be written: check that this user may write the file and its folder"
    ),
    sqlite3.SQLITE_NOTADB: lambda path: f"{path} is not a store of autopublish: check `store:` in the configuration",
    sqlite3.SQLITE_CORRUPT: lambda path: (
        f"the store {path} is damaged. Keep the file, and put back the newest copy of {path}.d/copies: "
        "`autopublish db restore FILE`"
    ),
    sqlite3.SQLITE_FULL: lambda path: (
        f"the disk that holds the store {path} is full: free some space. The next run looks up what was being sent"
    ),
    sqlite3.SQLITE_BUSY: lambda path: (
        f"the store {path} was locked by another program for more than {BUSY_SECONDS} s; the next run goes on"
    ),
    sqlite3.SQLITE_IOERR: lambda path: (
        f"the disk that holds the store {path} failed or is full. The next run looks up what was being sent"
    ),
    sqlite3.SQLITE_PERM: _cannot_open,
}
