"""The big switch inside its transactions: what a person stopped, and which deliveries that concerns."""

from __future__ import annotations

from collections.abc import Iterator

from autopublish.models import Delivery, Stop
from autopublish.redaction import redact
from autopublish.store._codec import delivery_of, micros, time_of
from autopublish.store._sqlite import Row, Transaction

_EVERYTHING, _CATEGORY = "everything", "category"


def everything(tx: Transaction) -> Stop | None:
    """The stop of everything; None: there is none."""
    row = tx.row("switch_get", kind=_EVERYTHING, name="")
    return None if row is None else _stop_of(row)


def categories(tx: Transaction) -> tuple[Stop, ...]:
    """The stops of categories, the oldest first."""
    return tuple(_stop_of(row) for row in tx.rows("switches_of", kind=_CATEGORY))


def category(tx: Transaction, key: str) -> Stop | None:
    """The stop of one category; None: there is none."""
    row = tx.row("switch_get", kind=_CATEGORY, name=key)
    return None if row is None else _stop_of(row)


def add(tx: Transaction, stop: Stop, key: str = "") -> None:
    """The stop is in force, or the one that was there before; `key` is what the category is known by."""
    tx.run(
        "switch_add",
        kind=_EVERYTHING if stop.category is None else _CATEGORY,
        name=key,
        words=stop.category or "",
        who=stop.who,
        since=micros(stop.since),
        why=stop.why and redact(stop.why),
    )


def end(tx: Transaction, stop: Stop, key: str = "") -> None:
    """The stop is over."""
    tx.run("switch_end", kind=_EVERYTHING if stop.category is None else _CATEGORY, name=key)


def going(tx: Transaction) -> Iterator[Delivery]:
    """What would go by itself on any account."""
    return (delivery_of(row) for row in tx.rows("deliveries_all_ready"))


def held_for(tx: Transaction, reason: str) -> Iterator[Delivery]:
    """What is HELD for exactly this reason, oldest article first."""
    return (delivery_of(row) for row in tx.rows("deliveries_held_for", reason=redact(reason)))


def _stop_of(row: Row) -> Stop:
    since = time_of(row["since"])
    assert since is not None  # the column takes no NULL
    return Stop(who=row["who"], since=since, why=row["why"], category=row["words"] or None)
