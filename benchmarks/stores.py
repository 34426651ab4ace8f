"""Stores that remember the articles of years: made by the store's own tables, statements and codec, and kept.

    python -I stores.py FOLDER COUNT

prints the path of one. It runs with the program that is measured, whose tables they are.

Keys are spread evenly over their space and made in their order. So the trees are as deep and as wide as with keys by
chance, and a million articles take a minute instead of an hour.
"""

from __future__ import annotations

import hashlib
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from autopublish.models import (
    AliasKind,
    Article,
    Attempt,
    Delivery,
    Evidence,
    Post,
    Receipt,
    Stage,
    State,
)
from autopublish.store import open_store
from autopublish.store._codec import article_values, attempt_values, delivery_values, micros
from autopublish.store._statements import migrations, statements

#: The feed and the account whose history it is, as `contestants` names them; the feed's id is the store's own.
FEED, ACCOUNT, KEY = "feed-0", "account-0", "f" * 16
#: Each article is so much younger than the one before it; the youngest is a day old.
_APART = timedelta(minutes=20)
_AGE = timedelta(days=1)
#: Rows of one transaction.
_TOGETHER = 20_000

_TITLE = "Harbour district opens a reading room"
_TEXT = (
    "The decision follows a year of talks with residents, who had asked for it in three hearings and a petition. " * 9
)

Rows = dict[str, list[Mapping[str, object]]]


def filled(cache: Path, count: int) -> Path:
    """The file of a store that remembers so many articles, each posted to one account; made if it is not there."""
    form = hashlib.sha256("".join(step.checksum for step in migrations()).encode()).hexdigest()[:12]
    path = cache / f"remembers-{count}-{form}.db"
    if path.exists():
        return path
    cache.mkdir(parents=True, exist_ok=True)
    for other in cache.glob(f"remembers-{count}-*.db"):
        other.unlink()  # of another form of the tables
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    open_store(f"sqlite:///{unfinished}").close()
    with sqlite3.connect(unfinished) as connection:
        _fill(connection, count, datetime.now(UTC).replace(microsecond=0))
    connection.close()
    unfinished.rename(path)
    return path


def _fill(connection: sqlite3.Connection, count: int, now: datetime) -> None:
    connection.execute("PRAGMA journal_mode=OFF")
    connection.execute("PRAGMA synchronous=OFF")
    sql = statements()
    first_run = '{"kind":"none","count":0,"since":null}'
    settings = f'{{"name":"{FEED}","url":"http://before.example/","every":300000000,"first_run":{first_run}}}'
    connection.execute(
        sql["feed_add"],
        {"id": KEY, "name": FEED, "position": 0, "url": "http://before.example/", "settings": settings},
    )
    for first in range(0, count, _TOGETHER):
        rows = _rows(first, min(first + _TOGETHER, count), count, now)
        for statement, values in rows.items():
            connection.executemany(sql[statement], values)
        connection.commit()


def _rows(first: int, end: int, count: int, now: datetime) -> Rows:
    rows: Rows = {}
    for number in range(first, end):
        for statement, values in _history(number, count, now):
            rows.setdefault(statement, []).append(values)
    return rows


def _history(number: int, count: int, now: datetime) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Everything that one posted article leaves in the store."""
    name = f"{number * (16**32 // count):032x}"
    link = f"http://before.example/{number:09d}/an-article-with-a-title/"
    time = now - _AGE - _APART * (count - number)
    article = Article(
        id=name, feed=KEY, origin=name, link=link, title=f"{_TITLE} {number}", summary=_TEXT[:100], text=_TEXT,
        categories=("Culture", "Harbour district"), published=time, stated=time, first_seen=time, feeds=(FEED,),
    )  # fmt: skip
    yield "article_add", article_values(article, lambda _name: KEY) | {
        "feed": KEY, "origin": name, "first_seen": micros(time)
    }  # fmt: skip
    scopes = ((AliasKind.GUID, KEY), (AliasKind.GUID_URL, "before.example"), (AliasKind.LINK, ""))
    for kind, scope in scopes:
        yield "alias_add", {"kind": kind.value, "scope": scope, "digest": name, "article": name}
    receipt = Receipt(remote_id=str(number), url=f"http://n.example/@newsroom/{number}")
    delivery = Delivery(
        id=name * 2, article=name, account=ACCOUNT, state=State.POSTED, published=time, due=time, created=time,
        changed=time, last_tried=time, receipt=receipt, frozen=name,
    )  # fmt: skip
    yield "delivery_add", delivery_values(delivery)
    yield "delivery_change", delivery_values(delivery) | {"was_changed": micros(time), "was_state": "POSTED"}
    yield "attempt_add", attempt_values(_attempt(delivery, article))
    for place, what in enumerate(("READY -> SENDING", "SENDING -> POSTED")):
        yield "event_add", {
            "id": f"{micros(time):016x}{place:08x}{number % 16**8:08x}", "at": micros(time), "subject": "delivery",
            "subject_id": delivery.id, "actor": "autopublish", "what": what, "why": None,
        }  # fmt: skip


def _attempt(delivery: Delivery, article: Article) -> Attempt:
    time = delivery.changed
    text = f"{article.title}\n\n{article.link}\n#Culture #HarbourDistrict"
    post = Post(
        text=text, link=article.link, title=article.title, summary=article.summary, created_at=time, published=time,
        length=len(text), room=500,
    )  # fmt: skip
    return Attempt(
        id=article.id, delivery=delivery.id, account=ACCOUNT, key=article.id, generation=0, post=post, stage=Stage(),
        started=time, deadline=time, key_since=time, finished=time, outcome=Evidence.POSTED,
    )  # fmt: skip


if __name__ == "__main__":
    print(filled(Path(sys.argv[1]), int(sys.argv[2])))
