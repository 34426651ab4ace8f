"""The listener: `/health` and `/metrics` over HTTP, for this machine alone.

One thread takes connections for as long as the daemon lives; each is answered in a thread of its own, of which there
are few, and has a few seconds in all. Whatever it is sent, the daemon goes on. It reads the store and writes nothing.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from autopublish.errors import ExtraMissing, StoreError
from autopublish.pipeline import tell_bug
from autopublish.redaction import redact, redact_all

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from autopublish.app import App
    from autopublish.config import Address

log = logging.getLogger(__name__)

#: A connection is over after so long, whatever has come by then.
MOST_SECONDS = 5.0
#: So many connections at once; further ones are closed unread.
MOST_AT_ONCE = 4
#: No request is longer; what scrapers send has some hundred bytes.
MOST_BYTES = 8192
#: How long the end waits for what is being answered.
_LAST_SECONDS = 1.0
#: A page of the web whose name was made to stand for this machine comes with that name: it may read nothing here.
_LOCAL = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is answered."""

    status: HTTPStatus = HTTPStatus.OK
    type: str = _TEXT
    body: bytes


Pages = Mapping[str, Callable[[], Page]]


class Listener:
    """Answers at one address at a time; `tell` is called with what the operator should read.

    Its methods are to be called by one thread at a time.
    """

    def __init__(self, app: App, *, tell: Callable[[str], None]) -> None:
        self._app = app
        self._tell = tell
        self._server: _Server | None = None
        #: Why the address could not be had, as it was told last.
        self._told: str | None = None

    def listen(self, address: Address | None) -> None:
        """It answers at this address and no other; at none with None.

        An address that cannot be had is told once, and tried again with the next call.
        """
        if self._server is not None and self._server.address == address:
            return
        self.close()
        if address is None:
            return
        try:
            self._server = _Server(address, {"/health": self._health, "/metrics": self._metrics})
        except OSError as error:
            self._tell_once(f"nothing listens at {address}: {error.strerror}. All else works; it is tried each minute")
            return
        self._told = None
        self._server.begin()
        self._tell(f"listens at http://{address}/health and /metrics")

    def close(self) -> None:
        """It answers nothing any more."""
        if self._server is not None:
            self._server.end()
            self._server = None

    def _tell_once(self, words: str) -> None:
        if self._told != words:
            self._told = words
            self._tell(words)

    def _health(self) -> Page:
        try:
            health = self._app.health()
        finally:
            self._app.store.let_go()
        status = HTTPStatus.OK if health.is_well else HTTPStatus.SERVICE_UNAVAILABLE
        text = json.dumps(redact_all(health.document()), ensure_ascii=False, indent=2)
        return Page(status=status, type="application/json", body=f"{text}\n".encode())

    def _metrics(self) -> Page:
        try:
            body = self._app.metrics()
        except ExtraMissing as error:
            return _page_of_words(HTTPStatus.NOT_FOUND, str(error))
        except StoreError as error:
            return _page_of_words(HTTPStatus.SERVICE_UNAVAILABLE, redact(str(error)))
        finally:
            self._app.store.let_go()
        # https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
        return Page(type="text/plain; version=0.0.4; charset=utf-8", body=body)


def _page_of_words(status: HTTPStatus, words: str) -> Page:
    return Page(status=status, body=f"{words}\n".encode())


class _Server(TCPServer):
    """One address, and the connections to it that are being answered."""

    # After a restart, connections of before may still be remembered by the kernel.
    allow_reuse_address = True
    request_queue_size = 2 * MOST_AT_ONCE

    def __init__(self, address: Address, pages: Pages) -> None:
        self.address = address
        self.pages = pages
        self._ending = Event()
        self._lock = Lock()
        self._open: dict[socket.socket, Thread] = {}
        self._thread = Thread(target=self._serve, name="autopublish-listener", daemon=True)
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        super().__init__((address.host, address.port), _Handler)

    def begin(self) -> None:
        """Connections are taken from now on."""
        self._thread.start()

    def end(self) -> None:
        """No connection is taken any more, and those that were are cut."""
        self._ending.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for the next one
        self.shutdown()
        self.server_close()
        with self._lock:
            left = dict(self._open)
        for connection in left:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        until = time.monotonic() + _LAST_SECONDS
        for thread in (self._thread, *left.values()):
            thread.join(max(until - time.monotonic(), 0))

    def _serve(self) -> None:
        # What ends it wakes it, so that at rest it costs nothing.
        self.serve_forever(poll_interval=3600.0)

    # --- as TCPServer calls them -------------------------------------------------------------------------------------

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            # Most often no file is left to open, and the next call would fail at once, too.
            self._ending.wait(1)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = Thread(target=self._answer, args=(request, client_address), name="autopublish-page", daemon=True)
        with self._lock:
            has_room = len(self._open) < MOST_AT_ONCE and not self._ending.is_set()
            if has_room:
                self._open[request] = thread
        if not has_room:
            self.shutdown_request(request)
            return
        try:
            thread.start()
        except RuntimeError:  # no thread is left, and the next one may find one
            self._forget(request)
            raise

    def _answer(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except Exception:  # noqa: BLE001 - of this connection alone
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)
            self._forget(request)

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            self._open.pop(request, None)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: what comes over a connection that breaks is nobody's matter here."""


class _Handler(BaseHTTPRequestHandler):
    """One connection with one request."""

    server: _Server

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._until = time.monotonic() + MOST_SECONDS
        self.rfile = io.BufferedReader(_Bounded(self.connection, self._until))

    def do_GET(self) -> None:
        self._send(self._page())

    def _page(self) -> Page:
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or not _LOCAL.fullmatch(hosts[0].strip()):
            return _page_of_words(HTTPStatus.MISDIRECTED_REQUEST, "this is for the machine itself: ask 127.0.0.1")
        make = self.server.pages.get(self.path.partition("?")[0])
        if make is None:
            return _page_of_words(HTTPStatus.NOT_FOUND, "here are /health and /metrics")
        try:
            return make()
        except Exception as error:  # noqa: BLE001 - a failure of ours ends nothing but this answer
            tell_bug(log, "a page failed", error)
            return _page_of_words(HTTPStatus.INTERNAL_SERVER_ERROR, "the program failed: please report it")

    def _send(self, page: Page) -> None:
        self.connection.settimeout(max(self._until - time.monotonic(), 0.1))
        self.send_response(page.status)
        self.send_header("Content-Type", page.type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        # A browser shows it to no page of another site, and takes it for nothing but what it is.
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        if page.status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    # --- as BaseHTTPRequestHandler calls them ------------------------------------------------------------------------

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """The request is refused in words of ours, which repeat nothing of it."""
        # 501 is its word for any method but GET, which is a known one more often than not.
        status = HTTPStatus.METHOD_NOT_ALLOWED if code == HTTPStatus.NOT_IMPLEMENTED else HTTPStatus(code)
        self._send(_page_of_words(status, status.phrase))

    def version_string(self) -> str:
        return "autopublish"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of its contract
        """Nothing: a scrape each few seconds is no event."""


class _Bounded(io.RawIOBase):
    """What comes on a connection up to a time and a length; the timeout of a socket counts anew with each byte."""

    def __init__(self, connection: socket.socket, until: float) -> None:
        self._connection = connection
        self._until = until
        self._left = MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if not self._left:
            raise ConnectionError("what is asked is too long")
        self._connection.settimeout(left)
        count = self._connection.recv_into(memoryview(buffer)[: self._left])
        self._left -= count
        return count
