"""The browser's way back to this machine: a port of loopback that takes one code, for one login.

https://www.rfc-editor.org/rfc/rfc8252#section-7.3. The state tells the answer to our question from any other page's.
"""

from __future__ import annotations

import hmac
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from autopublish.errors import LoginError

#: How long a person may take.
PATIENCE_SECONDS = 600.0
_DONE = b"<!doctype html><title>autopublish</title><p>This page may be closed. The terminal says what came of it."


class Redirect:
    """A server on loopback until the login is over."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    @property
    def address(self) -> str:
        """What the network sends the browser to."""
        return f"http://127.0.0.1:{self._server.server_port}/"

    def wait(self, patience_seconds: float = PATIENCE_SECONDS) -> str:
        """The code that came with our state; what comes without it is refused and does not end the wait.

        Raises:
            LoginError: the person or the network refused, or nobody came in time.
        """
        try:
            return code_in(self._server.found.get(timeout=patience_seconds))
        except queue.Empty:
            words = "nobody came back from the browser in time; with --paste the code can be typed"
            raise LoginError(words) from None


def code_in(params: Mapping[str, str]) -> str:
    """The code that the network gave.

    Raises:
        LoginError: it gave none, and says why.
    """
    code = params.get("code", "").removesuffix("#_")  # Meta's networks append that
    if code:
        return code
    said = " ".join(params[name] for name in ("error", "error_description") if params.get(name))
    raise LoginError(f"the network gave no code: {said[:200] or 'it does not say why'}")


def is_ours(params: Mapping[str, str], state: str) -> bool:
    """Whether it answers our question."""
    return hmac.compare_digest(params.get("state", "").encode(), state.encode())


@contextmanager
def listening(port: int, state: str) -> Iterator[Redirect]:
    """The way back for what answers this state, open while the context is.

    Raises:
        LoginError: another program has the port.
    """
    try:
        server = _Server(("127.0.0.1", port), state)
    except OSError as error:
        words = f"the port {port} of this machine cannot be used ({error.strerror}): name another one by --port"
        raise LoginError(words) from error
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Redirect(server)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    #: Another program must not share the port and take the code.
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], state: str) -> None:
        #: What is waited for; None: it came.
        self.state: str | None = state
        super().__init__(address, _Handler)
        self.found: queue.Queue[Mapping[str, str]] = queue.Queue()


class _Handler(BaseHTTPRequestHandler):
    #: Browsers open connections in advance, on which nothing may ever come.
    timeout = 10
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        params = dict(parse_qsl(parts.query))
        state = self.server.state
        is_good = parts.path == "/" and state is not None and is_ours(params, state)
        if is_good:
            self.server.state = None  # one answer for one question
        self.send_response(200 if is_good else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        # The address of this page holds the code.
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(_DONE if is_good else b"")
        if is_good:
            self.server.found.put(params)

    def log_message(self, *_: object) -> None:
        """Nothing is logged: the address holds a code."""
