"""A server on loopback that answers by rules of its own and fails by script, for one kind of network.

    class FakeX(Scripted):
        def named(self, call): ...     # what the script calls this request
        def reply(self, call): ...     # the right answer, with its effect

    with FakeX() as server:
        server.script("publish", Fault(made=Made.AT_ONCE, then=Then.SILENCE))

Time is `clock`, which a test may move.
"""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Self
from urllib.parse import parse_qsl, urlsplit

from tests.servers.mastodon import Call, Fault, Made, Then
from tests.servers.wire import Peer, Wire, answer

__all__ = ["Call", "Fault", "Made", "Reply", "Scripted", "Then", "as_json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def as_json(value: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer in JSON."""
    kind = {"Content-Type": "application/json"}
    return Reply(
        status=status, body=json.dumps(value, ensure_ascii=False).encode(), headers={**kind, **(headers or {})}
    )


class Scripted(ABC):
    """The server; a context manager."""

    def __init__(self) -> None:
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.calls: list[Call] = []
        #: Set when a call was read, made as its fault says, and is not answered.
        self.fell_silent = threading.Event()
        self._faults: defaultdict[str, deque[Fault | None]] = defaultdict(deque)
        self._lock = threading.RLock()
        self._wire = Wire(self._serve)
        self._is_up = False

    @abstractmethod
    def named(self, call: Call) -> str:
        """What `script` and `called` know this request by; its body is not read yet."""

    @abstractmethod
    def reply(self, call: Call) -> Reply:
        """What the server answers, with its effect; one call at a time."""

    def __enter__(self) -> Self:
        self._wire.__enter__()
        self._is_up = True
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Nothing listens any more."""
        if self._is_up:
            self._is_up = False
            self._wire.__exit__(None, None, None)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self._wire.url

    def script(self, name: str, *faults: Fault | None) -> None:
        """The next calls of a name go wrong in this order; None is a call that goes right."""
        with self._lock:
            self._faults[name].extend(faults)

    def called(self, name: str) -> list[Call]:
        """The calls of a name so far, also those that went wrong."""
        with self._lock:
            return [call for call in self.calls if call.name == name]

    def _serve(self, peer: Peer) -> None:
        while head := peer.read_head():
            call, length = self._parsed(head)
            with self._lock:
                fault = self._faults[call.name].popleft() if self._faults[call.name] else None
            if fault is not None and fault.then is Then.RESET_READING:
                peer.read(length // 2)
                peer.reset()
                return
            call = replace(call, body=peer.read(length))
            if len(call.body) < length:
                return  # the client gave up: a server does not act on half a request
            with self._lock:
                self.calls.append(call)
                made = self.reply(call) if fault is None or fault.made is Made.AT_ONCE else None
            if fault is not None and not self._fail(peer, fault, made):
                return
            if fault is None and made is not None:
                self._send(peer, made)

    def _fail(self, peer: Peer, fault: Fault, made: Reply | None) -> bool:
        match fault.then:
            case Then.SILENCE:
                self.fell_silent.set()
                peer.read(1)
            case Then.RESET:
                peer.reset()
            case Then.GARBAGE:
                peer.write(b"\x16\x03\x01 no http\r\n\r\n")
            case Then.CUT:
                body = made.body if made else fault.body
                peer.write(answer(200, body)[: -max(len(body) // 2, 1)])
            case _:
                self._send(peer, Reply(status=fault.status, body=fault.body, headers=fault.headers))
                return True
        return False

    def _send(self, peer: Peer, reply: Reply) -> None:
        date = format_datetime(self.clock().astimezone(UTC).replace(microsecond=0), usegmt=True)
        peer.write(answer(reply.status, reply.body, {"Date": date, **reply.headers}))

    def _parsed(self, head: bytes) -> tuple[Call, int]:
        first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        parts = urlsplit(target)
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        call = Call(
            name="", method=method, path=parts.path, headers=headers, params=dict(parse_qsl(parts.query)), body=b""
        )
        return replace(call, name=self.named(call)), int(headers.get("content-length", "0"))
