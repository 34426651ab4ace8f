"""The fake site and the fake network, as one process: `python -m benchmarks.servers` prints its port and serves.

The site shows feeds with ETag and Last-Modified and answers 304; the network has the Mastodon API as far as programs
that post text need it, honours Idempotency-Key, and takes webhooks. Paths under `/-/` are for the benchmarks: they
open the site anew, publish articles, and tell who asked for what and when. The process ends when its stdin closes.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.articles import News, document

#: The account that every token stands for.
ME = {"id": "1", "username": "newsroom", "acct": "newsroom", "display_name": "Newsroom", "url": "http://n.example/@n"}
#: Nothing that was published before counts as fresh: validators younger than a few seconds are not trusted by all.
_AGED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request."""

    #: `time.monotonic` when its first byte came.
    at: float
    method: str
    target: str
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes

    def values(self) -> Mapping[str, Any]:
        """The fields of its body, JSON or form."""
        if self.headers.get("content-type", "").startswith("application/json"):
            found: dict[str, Any] = json.loads(self.body or b"{}")
            return found
        return {name: texts[0] for name, texts in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that came, for the benchmarks."""

    at: float
    method: str
    target: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A post that is visible on the network."""

    at: float
    #: The token, or the webhook's path, that it came with.
    account: str
    text: str


def as_json(value: object, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(
        status=status, headers={"Content-Type": "application/json; charset=utf-8"}, body=json.dumps(value).encode()
    )


class Site:
    """Feeds that show their newest articles."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened = datetime.now(UTC)
        self._window = 10
        self._always: Mapping[str, str] = {}
        self._news: dict[int, list[News]] = {}
        self._documents: dict[int, bytes] = {}

    def open(self, feeds: int, window: int, *, keeps: bool) -> None:
        """So many feeds stand there anew, each with as many old articles as it shows.

        Unless it `keeps` connections, each ends with its answer.
        """
        self._opened, self._window = datetime.now(UTC).replace(microsecond=0), window
        self._always = {} if keeps else {"Connection": "close"}
        self._documents.clear()
        self._news = {
            feed: [
                News(site=self._url, feed=feed, number=number, published=self._opened - timedelta(minutes=9 * ago + 9))
                for number, ago in zip(range(1, window + 1), range(window, 0, -1), strict=True)
            ]
            for feed in range(feeds)
        }

    def publish(self, feeds: int, count: int, at: str | None) -> None:
        """Each of the first so many feeds shows so many new articles, dated `at` and later than those before."""
        now = (datetime.fromisoformat(at) if at else datetime.now(UTC)).replace(microsecond=0)
        for feed in range(feeds):
            self._documents.pop(feed, None)
            news = self._news[feed]
            date, first = max(now, news[-1].published + timedelta(seconds=1)), news[-1].number + 1
            for number in range(first, first + count):
                news.append(News(site=self._url, feed=feed, number=number, published=date))
            del news[: -self._window]

    def feed(self, request: Request) -> Answer:
        """The feed's document, or that it is unchanged."""
        feed = int(urlsplit(request.target).path.strip("/").split("/")[1])
        if feed not in self._news:
            return Answer(status=404)
        newest = self._news[feed][-1].number
        changed = self._opened - _AGED + timedelta(seconds=newest)
        validators = {"ETag": f'"{feed}-{newest}"', "Last-Modified": format_datetime(changed, usegmt=True)}
        asked, headers = request.headers, {**validators, **self._always}
        if asked.get("if-none-match", asked.get("if-modified-since")) in validators.values():
            return Answer(status=304, headers=headers)
        if feed not in self._documents:
            self._documents[feed] = document(self._url, feed, self._news[feed][::-1])
        kind = {"Content-Type": "application/rss+xml; charset=UTF-8"}
        return Answer(headers=headers | kind, body=self._documents[feed])


class Network:
    """Posts by account; what comes again under a known key is answered with the first post."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[tuple[str, str], dict[str, Any]] = {}
        self._count = 0
        #: Visible posts, in the order in which they came.
        self.posts: list[Posted] = []

    def post(self, request: Request) -> Answer:
        """A new status: https://docs.joinmastodon.org/methods/statuses/#create"""
        token = _token(request)
        key = (token, request.headers.get("idempotency-key", ""))
        if not token:
            return as_json({"error": "The access token is invalid"}, 401)
        if not key[1] or key not in self._keys:
            self._keys[key] = self._made(request, token, str(request.values()["status"]))
        return as_json(self._keys[key])

    def open(self) -> None:
        """Nothing was ever posted."""
        self._keys.clear()
        self.posts.clear()

    def _made(self, request: Request, account: str, text: str) -> dict[str, Any]:
        self._count += 1
        self.posts.append(Posted(at=request.at, account=account, text=text))
        place = f"{self._url}/@newsroom/{self._count}"
        created = datetime.now(UTC).isoformat()
        return {
            "id": str(self._count),
            "uri": place,
            "url": place,
            "created_at": created,
            "content": f"<p>{text}</p>",
            "visibility": "public",
            "account": ME,
            "media_attachments": [],
            "mentions": [],
            "tags": [],
            "emojis": [],
        }

    def hook(self, request: Request) -> Answer:
        """A message for a webhook: https://discord.com/developers/docs/resources/webhook#execute-webhook"""
        self.posts.append(Posted(at=request.at, account=request.target, text=request.body.decode()))
        return Answer(status=204)

    def instance(self, _request: Request) -> Answer:
        """What the server is: https://docs.joinmastodon.org/entities/V1_Instance/"""
        limits = {"statuses": {"max_characters": 500, "max_media_attachments": 4, "characters_reserved_per_url": 23}}
        about = {"uri": "n.example", "domain": "n.example", "title": "Network", "version": "4.5.0"}
        return as_json({**about, "configuration": limits, "description": "", "languages": ["en"], "rules": []})

    def me(self, request: Request) -> Answer:
        """Who is logged in."""
        return as_json(ME) if _token(request) else as_json({"error": "The access token is invalid"}, 401)


def _token(request: Request) -> str:
    return request.headers.get("authorization", "").removeprefix("Bearer ").strip()


class Servers:
    """Everything that one process serves, and what it saw."""

    def __init__(self, url: str) -> None:
        self.site, self.network = Site(url), Network(url)
        self._asked: list[Asked] = []
        #: By the beginning of the path, the first that fits.
        self._routes: list[tuple[str, Callable[[Request], Answer]]] = [
            ("/-/open", self._open),
            ("/-/publish", self._publish),
            ("/-/seen", self._seen),
            ("/feed/", self.site.feed),
            ("/api/v1/statuses", self.network.post),
            ("/api/v1/accounts/verify_credentials", self.network.me),
            ("/api/v1/accounts/", lambda _request: as_json([])),
            ("/api/v1/instance", self.network.instance),
            ("/api/v2/instance", self.network.instance),
            ("/hook/", self.network.hook),
            ("/20", lambda _request: Answer(headers={"Content-Type": "text/html"}, body=b"<h1>An article</h1>")),
        ]

    def answer(self, request: Request) -> Answer:
        """What the path answers; noted, unless it is the benchmarks that ask."""
        found = next((serve for start, serve in self._routes if request.target.startswith(start)), None)
        answer = found(request) if found else Answer(status=404)
        if not request.target.startswith("/-/"):
            self._asked.append(Asked(at=request.at, method=request.method, target=request.target, status=answer.status))
        return answer

    def _open(self, request: Request) -> Answer:
        self.site.open(**request.values())
        self.network.open()
        return self._seen(request)

    def _publish(self, request: Request) -> Answer:
        self.site.publish(**request.values())
        return self._seen(request)

    def _seen(self, _request: Request) -> Answer:
        """What was asked and posted since the last time."""
        seen = as_json(
            {"asked": [asdict(one) for one in self._asked], "posted": [asdict(one) for one in self.network.posts]}
        )
        self._asked.clear()
        self.network.posts.clear()
        return seen


class Connection(asyncio.Protocol):
    """One connection: requests one after the other."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self._answer = answer
        self._buffer = bytearray()
        self._began = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is whole."""
        if not self._buffer:
            self._began = time.monotonic()
        self._buffer += data
        while request := self._next():
            answer = self._answer(request)
            if self._transport is not None:
                self._transport.write(_bytes_of(answer))
                if answer.headers.get("Connection") == "close":
                    self._transport.close()

    def _next(self) -> Request | None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return None
        first, *lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = end + 4 + int(headers.get("content-length", 0))
        if len(self._buffer) < size:
            return None
        method, target, _ = first.split(" ", 2)
        body = bytes(self._buffer[end + 4 : size])
        del self._buffer[:size]
        return Request(at=self._began, method=method, target=target, headers=headers, body=body)


def _bytes_of(answer: Answer) -> bytes:
    now = format_datetime(datetime.now(UTC), usegmt=True)
    fields = {"Date": now, **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} -", *(f"{name}: {text}" for name, text in fields.items())]
    if answer.status not in (204, 304):
        lines.append(f"Content-Length: {len(answer.body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + answer.body


async def serve() -> None:
    """Serve on a free port of the loopback, which is printed, until stdin closes."""
    loop = asyncio.get_running_loop()
    servers: list[Servers] = []
    server = await loop.create_server(lambda: Connection(servers[0].answer), "127.0.0.1", 0, backlog=128)
    port = server.sockets[0].getsockname()[1]
    servers.append(Servers(f"http://127.0.0.1:{port}"))
    print(port, flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
