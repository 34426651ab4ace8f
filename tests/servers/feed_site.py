"""A site with feeds that answers by script: any status, header, body, cut point, delay, reset or redirect.

    with FeedSite() as site:
        site.script("/feed/", Answer(body=FEED, headers={"ETag": '"1"'}), Answer(status=304))
        ...  # ask site.url("/feed/") twice; site.asked tells when and with which headers

The last answer of a script is given for good; a path without a script is answered with 404.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from requests.structures import CaseInsensitiveDict

from tests.servers.wire import Peer, Wire

#: What a feed's answers say unless their headers say otherwise.
DATE = "Tue, 24 Nov 2026 10:00:00 GMT"
CONTENT_TYPE = "application/rss+xml; charset=UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer of the site."""

    status: int = 200
    #: Added to Date, Content-Type and the framing; an empty value takes a header away.
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: How the end of the body is told: `length`, `chunked`, or `close` (not at all).
    framing: str = "length"
    #: Only so many bytes of the framed body go out, then the connection ends.
    cut_at: int | None = None
    #: It ends with a reset instead of a close.
    reset: bool = False
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request that came."""

    #: Path and query.
    target: str
    #: Looked up without regard to case.
    headers: Mapping[str, str]
    #: `time.monotonic` when it was read.
    at: float


class FeedSite:
    """A listening site; its scripts can be changed while it runs."""

    def __init__(self) -> None:
        self._wire = Wire(self._serve)
        self._scripts: dict[str, list[Answer]] = defaultdict(list)
        self._lock = threading.Lock()
        #: Every request so far, in order.
        self.asked: list[Asked] = []

    def __enter__(self) -> Self:
        self._wire.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.__exit__(kind, error, trace)

    def url(self, path: str) -> str:
        """The address of a path."""
        return self._wire.url + path

    def script(self, path: str, *answers: Answer) -> None:
        """The path is answered so from now on."""
        with self._lock:
            self._scripts[path] = list(answers)

    def _next(self, target: str) -> Answer:
        with self._lock:
            script = self._scripts[target] or [Answer(status=404)]
            return script.pop(0) if len(script) > 1 else script[0]

    def _serve(self, peer: Peer) -> None:
        while request := peer.read_request():
            asked = _parsed(request)
            with self._lock:
                self.asked.append(asked)
            answer = self._next(asked.target)
            if peer.wire.stopping.wait(answer.delay_seconds):
                return
            peer.write(_head(answer))
            body = _framed(answer)
            peer.write(body[: answer.cut_at])
            if answer.reset:
                peer.reset()
            if answer.reset or answer.framing == "close" or answer.cut_at is not None:
                return


def _parsed(request: bytes) -> Asked:
    first, *lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    fields = (line.partition(": ") for line in lines)
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict({name: value for name, _, value in fields})
    return Asked(target=first.split(" ")[1], headers=headers, at=time.monotonic())


def _head(answer: Answer) -> bytes:
    fields = {"Date": DATE, "Content-Type": CONTENT_TYPE}
    if answer.framing == "length" and answer.status != 304:
        fields["Content-Length"] = str(len(answer.body))
    elif answer.framing == "chunked":
        fields["Transfer-Encoding"] = "chunked"
    elif answer.framing == "close":
        fields["Connection"] = "close"
    fields |= answer.headers
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return "\r\n".join([f"HTTP/1.1 {answer.status} Whatever", *lines]).encode("latin-1") + b"\r\n\r\n"


def _framed(answer: Answer) -> bytes:
    if answer.framing != "chunked":
        return answer.body
    half = max(len(answer.body) // 2, 1)
    chunks = [part for part in (answer.body[:half], answer.body[half:]) if part]
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
