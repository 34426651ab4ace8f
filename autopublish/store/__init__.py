"""The store: the truth about feeds, articles and deliveries, in plain SQL.

`open_store(url)` gives a `Store`, whose verbs are those of the domain, each one a transaction. No SQL, row or driver
leaves this package, and every driver's error becomes a StoreError.
"""

from autopublish.store._measure import Measures
from autopublish.store._owners import Owner
from autopublish.store._store import Count, Decision, Event, Known, Start, Store, Work, open_store, path_of

__all__ = [
    "Count",
    "Decision",
    "Event",
    "Known",
    "Measures",
    "Owner",
    "Start",
    "Store",
    "Work",
    "open_store",
    "path_of",
]
