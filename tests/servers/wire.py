"""A server that plays one script per connection, byte by byte, over plain TCP or TLS.

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.write(answer(200, b"hello"))

    with Wire(script) as wire:
        ...  # ask wire.url

What a script raises because the client went away is part of the play; anything else fails the test when the server
stops.
"""

from __future__ import annotations

import contextlib
import functools
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import trustme

#: How long a script waits at most for what the client must do; only a broken test comes near it.
PATIENCE_SECONDS = 20.0


class Peer:
    """The server's end of one connection."""

    def __init__(self, wire: Wire, sock: socket.socket) -> None:
        self.wire = wire
        self.sock = sock
        self._buffer = bytearray()

    def read_head(self) -> bytes:
        """The request up to its blank line, or what came of it before the client closed or the server was stopped."""
        while b"\r\n\r\n" not in self._buffer and self._await() and self._fill():
            pass
        end = self._buffer.find(b"\r\n\r\n")
        return self._take(end + 4 if end >= 0 else len(self._buffer))

    def read_request(self) -> bytes:
        """The next whole request; it is noted in `wire.requests`. Empty if the client closed instead."""
        head = self.read_head()
        request = head + self.read(_length_of(head))
        if request:
            self.wire.requests.append(request)
        return request

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer only if the client closed."""
        while len(self._buffer) < count and self._fill():
            pass
        return self._take(count)

    def _await(self) -> bool:
        """Whether there is something to read or the client closed; False once the server is stopped."""
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return True
        while not self.wire.stopping.is_set():
            if select.select([self.sock], [], [], 0.02)[0]:
                return True
        return False

    def _fill(self) -> bool:
        block = self.sock.recv(65_536)
        self._buffer += block
        return bool(block)

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def write(self, data: bytes) -> None:
        self.sock.sendall(data)

    def write_under_tls(self, data: bytes) -> None:
        """The bytes go out as they are, past the TLS layer."""
        socket.socket.sendall(self.sock, data)

    def drip(self, data: bytes, *, every_seconds: float = 0.05) -> None:
        """The bytes go out one by one, until the server is stopped or the client goes away."""
        for byte in data:
            if self.wire.stopping.wait(every_seconds):
                return
            self.write(bytes([byte]))

    def hold(self) -> None:
        """Nothing is read or written until the server is stopped."""
        self.wire.stopping.wait(PATIENCE_SECONDS)

    def await_sign(self) -> None:
        """The test has set `wire.sign`."""
        self.wire.sign.wait(PATIENCE_SECONDS)

    def reset(self) -> None:
        """The connection ends with a reset instead of a close."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


Script = Callable[[Peer], None]


class Wire:
    """A listening server that runs `script` for each connection, in a thread of its own."""

    def __init__(
        self, script: Script, *, tls: ssl.SSLContext | None = None, scheme: str | None = None, host: str = "127.0.0.1"
    ) -> None:
        self._script = script
        self._tls = tls
        self._threads: list[threading.Thread] = []
        self._faults: list[Exception] = []
        self._lock = threading.Lock()
        self.stopping = threading.Event()
        #: For the test to give its script a sign, see `Peer.await_sign`.
        self.sign = threading.Event()
        #: How many connections were accepted so far.
        self.connections = 0
        #: What `Peer.read_request` read, in order.
        self.requests: list[bytes] = []
        self._listener = socket.create_server((host, 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"{scheme or ('https' if tls else 'http')}://{host}:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_SECONDS)
        self._listener.close()
        if error is None and self._faults:
            raise self._faults[0]

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._play, sock)

    def _play(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE_SECONDS)
        try:
            with contextlib.suppress(OSError):
                if self._tls is not None:
                    sock = self._tls.wrap_socket(sock, server_side=True)
                self._script(Peer(self, sock))
        except Exception as error:
            with self._lock:
                self._faults.append(error)
        finally:
            sock.close()


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 answer with its length; a header of the same name replaces ours."""
    fields = {"Content-Length": str(len(body)), **(headers or {})}
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def always(reply: bytes) -> Script:
    """Each request of each connection is read whole and answered with the same bytes."""

    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.write(reply)

    return script


def routes(replies: Mapping[str, bytes]) -> Script:
    """Each request is answered by its target (path and query), with 404 where there is none."""

    def script(peer: Peer) -> None:
        while request := peer.read_request():
            target = request.split(b" ", 2)[1].decode()
            peer.write(replies.get(target, answer(404)))

    return script


@functools.cache
def authority() -> trustme.CA:
    """The certificate authority of the test run."""
    return trustme.CA()


def trust_file(folder: Path) -> str:
    """The path of a file with the authority's certificate."""
    path = folder / "authority.pem"
    authority().cert_pem.write_to_path(path)
    return str(path)


def server_tls(*names: str, issuer: trustme.CA | None = None) -> ssl.SSLContext:
    """A server's context with a certificate for `names`, by default for loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (issuer or authority()).issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    return context


def _length_of(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0
