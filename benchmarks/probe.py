"""The transaction of a poll over given stores, in turn: `python -I probe.py COUNT STORE…` prints JSON.

Each is a document of ten articles of which one is new, decided and saved by the program's own code.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autopublish.articles import candidates, identify, next_feed_state
from autopublish.models import Account, Document, Feed, Item
from autopublish.pipeline._route import route
from autopublish.store import Decision, Known, Store, open_store

_SHOWN = 10


def transaction(store: Store, feed: Feed, document: Document, now: datetime) -> float:
    """The CPU seconds of the transaction that saves what the document shows."""
    found = candidates(document, feed)
    aliases = dict.fromkeys(alias for candidate in found for alias in candidate.aliases)

    def decide(known: Known) -> Decision:
        seen = identify(found, known.articles, known.feed, now)
        accounts = {name: Account(name=name, platform="mastodon", template="") for name in known.standings}
        return route(seen, known, accounts, next_feed_state(known.feed, seen, now), now)

    began = time.thread_time()
    store.save_poll(feed.id, aliases, decide)
    return time.thread_time() - began


def _document(number: int, now: datetime) -> Document:
    """The ten newest of the articles up to this one."""
    numbers = range(number, number - _SHOWN, -1)
    items = (
        Item(
            guid=f"http://probe.example/?p={one}",
            link=f"http://probe.example/{one}/an-article/",
            title=f"Article {one}",
            text="What happened. " * 50,
            categories=("Culture",),
            published=now + timedelta(seconds=one - number),
        )
        for one in numbers
    )
    return Document(title="Probe", items=tuple(items))


def main() -> None:
    """Print the CPU seconds of each transaction, a list for each store."""
    count, paths = int(sys.argv[1]), sys.argv[2:]
    stores = [open_store(f"sqlite:///{Path(path)}") for path in paths]
    times: list[list[float]] = [[] for _ in stores]
    now = datetime.now(UTC)
    for number in range(_SHOWN, count + _SHOWN + 1):
        for store, own in zip(stores, times, strict=True):
            own.append(transaction(store, store.feeds()[0], _document(number, now + timedelta(seconds=number)), now))
    for store in stores:
        store.close()
    print(json.dumps([own[1:] for own in times]))  # the first finds ten articles new, and nothing in the cache


if __name__ == "__main__":
    main()
