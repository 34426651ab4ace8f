"""The least that the work takes: a poster of the standard library alone, with nothing of what makes one safe.

    python yardstick.py FILE

FILE is JSON: `store`, a path; `feeds`, addresses; `statuses`, where to post; `token`. It does what a run does, visibly
the same: a conditional GET of each feed over one kept connection, expat, SQLite with WAL and synchronous=FULL, two
commits for each post, one idempotency key, a post of title, link and hashtags. The first run records what is there.
It retries nothing, bounds nothing, checks no address, recovers nothing, and knows one form of feed.
"""

import hashlib
import http.client
import json
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from xml.parsers import expat

TABLES = """
CREATE TABLE IF NOT EXISTS feeds (url TEXT PRIMARY KEY, etag TEXT, modified TEXT, polled REAL);
CREATE TABLE IF NOT EXISTS articles (guid TEXT PRIMARY KEY, state TEXT NOT NULL, url TEXT);
"""


class Items:
    """The items of one document: guid, title, link and categories of each."""

    FIELDS = frozenset(("guid", "title", "link", "category"))

    def __init__(self, body: bytes) -> None:
        self.found: list[dict[str, list[str]]] = []
        self._item: dict[str, list[str]] | None = None
        self._field = ""
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.Parse(body, True)  # noqa: FBT003 (expat's own)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        if name == "item":
            self._item = {}
        elif self._item is not None and name in self.FIELDS:
            self._field = name
            self._item.setdefault(name, []).append("")

    def _end(self, name: str) -> None:
        self._field = ""
        if name == "item" and self._item is not None:
            self.found.append(self._item)
            self._item = None

    def _text(self, data: str) -> None:
        if self._item is not None and self._field:
            self._item[self._field][-1] += data


class Poster:
    """One run."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = settings
        self._store = sqlite3.connect(settings["store"], isolation_level=None)
        self._store.execute("PRAGMA journal_mode=WAL")
        self._store.execute("PRAGMA synchronous=FULL")
        self._store.executescript(TABLES)
        self._kept: dict[tuple[str, str], http.client.HTTPConnection] = {}

    def run(self, feeds: list[str]) -> None:
        """Poll each feed, post what is new, and note when it was polled."""
        now = time.time()
        for url in feeds:
            self._poll(url)
        with self._commit():
            self._store.executemany("UPDATE feeds SET polled = ? WHERE url = ?", ((now, url) for url in feeds))

    def _poll(self, url: str) -> None:
        row = self._store.execute("SELECT etag, modified FROM feeds WHERE url = ?", (url,)).fetchone()
        headers = {"If-None-Match": row[0], "If-Modified-Since": row[1]} if row else {}
        reply, body = self._ask("GET", url, headers)
        if reply.status == 304:
            return
        validators = (url, reply.headers["ETag"], reply.headers["Last-Modified"])
        new = [item for item in reversed(Items(body).found) if not self._knows(item)]
        if row is None or not new:
            self._record(new, validators)
            return
        for item in new:
            self._post(item, validators if item is new[-1] else None)

    def _knows(self, item: dict[str, list[str]]) -> bool:
        found = self._store.execute("SELECT 1 FROM articles WHERE guid = ?", (item["guid"][0],)).fetchone()
        return found is not None

    def _record(self, items: list[dict[str, list[str]]], validators: tuple[str, str, str]) -> None:
        """What a first poll shows is known from now on."""
        with self._commit():
            rows = ((item["guid"][0],) for item in items)
            self._store.executemany("INSERT INTO articles (guid, state) VALUES (?, 'known')", rows)
            self._validate(validators)

    def _validate(self, validators: tuple[str, str, str]) -> None:
        self._store.execute("INSERT OR REPLACE INTO feeds (url, etag, modified) VALUES (?, ?, ?)", validators)

    def _post(self, item: dict[str, list[str]], validators: tuple[str, str, str] | None) -> None:
        guid = item["guid"][0]
        with self._commit():
            self._store.execute("INSERT INTO articles (guid, state) VALUES (?, 'sending')", (guid,))
        token = self._settings["token"]
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": hashlib.sha256(f"{guid} {token}".encode()).hexdigest(),
        }
        _, answer = self._ask(
            "POST", self._settings["statuses"], headers, json.dumps({"status": text_of(item)}).encode()
        )
        with self._commit():
            place = json.loads(answer)["url"]
            self._store.execute("UPDATE articles SET state = 'posted', url = ? WHERE guid = ?", (place, guid))
            if validators is not None:
                self._validate(validators)

    def _ask(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        parts = urlsplit(url)
        connection = self._kept.get((method, parts.netloc))
        if connection is None:
            connection = self._kept[method, parts.netloc] = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.request(method, parts.path, body, headers)
        reply = connection.getresponse()
        content = reply.read()
        if reply.status not in (200, 304):
            raise SystemExit(f"{method} {url}: {reply.status}")
        return reply, content

    @contextmanager
    def _commit(self) -> Iterator[None]:
        self._store.execute("BEGIN IMMEDIATE")
        yield
        self._store.execute("COMMIT")


def text_of(item: dict[str, list[str]]) -> str:
    """The post: title, link, hashtags."""
    tags = ("#" + "".join(word[:1].upper() + word[1:] for word in name.split()) for name in item.get("category", ()))
    return f"{item['title'][0]}\n\n{item['link'][0]}\n{' '.join(tags)}"


def main() -> None:
    """Do one run."""
    with open(sys.argv[1], encoding="utf-8") as file:
        settings = json.load(file)
    Poster(settings).run(settings["feeds"])


if __name__ == "__main__":
    main()
