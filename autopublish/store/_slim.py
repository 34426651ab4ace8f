"""Slimming: what is over for long holds no bodies any more. Identity, keys, receipts and history stay for good."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from autopublish.store._codec import micros
from autopublish.store._sqlite import Database, Row, Transaction

#: So many rows are looked at in one transaction.
ROWS_AT_A_TIME = 100


def slim(database: Database, before: datetime, budget_seconds: float) -> int:
    """Articles first seen, and attempts ended, before a time hold no bodies; gives how many rows were slimmed.

    It goes on where it ended the last time, and ends when all was seen or the time is over.
    """
    # Half of the time each: in a large store the one kind would never leave any to the other.
    articles = _slim_kind(database, "articles", _slim_article, before, budget_seconds / 2)
    return articles + _slim_kind(database, "attempts", _slim_attempt, before, budget_seconds / 2)


def _slim_kind(
    database: Database, kind: str, slim_row: Callable[[Transaction, Row], bool], before: datetime, seconds: float
) -> int:
    until = time.monotonic() + seconds
    slimmed, is_over = 0, False
    while not is_over and time.monotonic() < until:
        count, is_over = _batch(database, kind, slim_row, before)
        slimmed += count
    return slimmed


def _batch(
    database: Database, kind: str, slim_row: Callable[[Transaction, Row], bool], before: datetime
) -> tuple[int, bool]:
    with database.write() as tx:
        mark = tx.row("meta_get", name=f"slim {kind}")
        after = mark["value"] if mark else ""
        rows = tx.rows(f"{kind}_to_slim", before=micros(before), after=after, most=ROWS_AT_A_TIME)
        count = sum(slim_row(tx, row) for row in rows)
        is_over = len(rows) < ROWS_AT_A_TIME
        tx.run("meta_set", name=f"slim {kind}", value="" if is_over else rows[-1]["id"])
    return count, is_over


def _slim_article(tx: Transaction, row: Row) -> bool:
    raw: dict[str, Any] = json.loads(row["data"] or "{}")
    if not raw.get("text") and not raw.get("summary"):
        return False
    tx.run("article_slim", id=row["id"], was=row["data"], data=_text({**raw, "text": "", "summary": ""}))
    return True


def _slim_attempt(tx: Transaction, row: Row) -> bool:
    raw: dict[str, Any] = json.loads(row["post"] or "{}")
    if not raw.get("text"):
        return False
    tx.run("attempt_slim", id=row["id"], post=_text({**raw, "text": "", "summary": "", "spans": [], "picture": None}))
    return True


def _text(raw: dict[str, Any]) -> str:
    return json.dumps(raw, ensure_ascii=False, separators=(",", ":"))
