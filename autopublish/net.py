"""The network under feeds, pictures and platforms: one connection class that knows whether a byte has left.

Every call checks the address that it really connects to, ends at its deadline, reads a bounded body and marks the
moment before the first byte of the request leaves. That mark alone tells "not sent" from "may be live": the exception
classes of the libraries below occur on both sides of it. This module knows no feed, no platform and no status but
redirects.
"""

from __future__ import annotations

import contextlib
import heapq
import http.client
import ipaddress
import itertools
import os
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from requests.models import PreparedRequest
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3 import HTTPConnectionPool, HTTPResponse, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError, ProtocolError
from urllib3.util import Url, parse_url

from autopublish.errors import NetworkError

#: How long one address may take to accept, and the TLS handshake after it.
CONNECT_SECONDS: Final = 10.0
#: Hosts whose idle connections are kept, and how many for each.
_KEPT_HOSTS: Final = 16
_KEPT_PER_HOST: Final = 4
#: So many servers are remembered by what they told of the time.
_TOLD_HOSTS: Final = 32
_BLOCK_BYTES: Final = 65_536
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PERMANENT: Final = frozenset({301, 308})
#: Not carried to another origin by a redirect: https://www.rfc-editor.org/rfc/rfc9110#section-15.4
_PRIVATE_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_ENCODINGS: Final = "gzip, deflate"
_SEND_LIMIT_BYTES: Final = 1_000_000

DEADLINE_PASSED: Final = "deadline passed"
_CUT_OFF: Final = "cut off, since the program ends"

_NO_DELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
#: Closing aborts instead of lingering, and what stays unacknowledged for 30 s ends the connection: without both the
#: kernel delivers a request long after the program gave it up or was killed. https://www.rfc-editor.org/rfc/rfc5482
_SEND_OPTIONS: Final = (
    _NO_DELAY,
    (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 30_000),
)

_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One whole answer, whatever its status."""

    status: int
    #: Looked up without regard to case.
    headers: Mapping[str, str] = field(repr=False)
    #: Inflated, within the bounds of the call.
    body: bytes = field(repr=False)
    #: Where it finally came from, without a fragment.
    url: str = field(repr=False)
    #: `get` only: the final URL if there was at least one hop and every hop was 301 or 308.
    permanent_url: str | None = field(default=None, repr=False)
    #: `get` only: the URLs that redirected, the one asked first.
    hops: tuple[str, ...] = field(default=(), repr=False)
    #: `get` only: why the body is not whole, by the framing's own evidence.
    cut_short: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The time that a server told with its last answer, as it stood there."""

    date: str
    #: For how many seconds a cache had kept the answer. https://www.rfc-editor.org/rfc/rfc9111#section-5.1
    age: str
    #: When it came, in the seconds of `time.monotonic`.
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ask:
    """What is asked, and how large the answer may be."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    limit_bytes: int


class _Stopped(Exception):
    """We ended the call ourselves; the text is the reason, `__cause__` what a guard raised."""


class _Call:
    """One exchange: when it must end, whether its first byte has left, and the socket that the watchdog may end."""

    def __init__(self, *, ends: float, allow_private: bool, guard: Callable[[], None] | None = None) -> None:
        #: In the seconds of `time.monotonic`.
        self.ends = ends
        self.allow_private = allow_private
        self.started = False
        #: Why we ended it, if we did.
        self.ended: str | None = None
        self.reused = False
        self.answered = False
        self.finished = False
        self._guard = guard
        self._handle: socket.socket | None = None
        self._lock = threading.Lock()

    def seconds_left(self) -> float:
        """The seconds until the deadline, more than 0.

        Raises:
            _Stopped: the deadline has passed, or the call was ended.
        """
        left = self.ends - time.monotonic()
        if left <= 0 or self.ended:
            raise _Stopped(self.ended or DEADLINE_PASSED)
        return left

    def attach(self, sock: socket.socket) -> None:
        """Whatever happens to `sock`, the watchdog can end it and nothing else.

        The handle is a duplicate: a descriptor that the library closes may belong to another connection a moment later.
        """
        if self._handle is None:
            # Its kind is told, or three more calls would ask the kernel for it.
            self._handle = socket.socket(sock.family, sock.type, sock.proto, fileno=os.dup(sock.fileno()))

    def mark_first_byte(self) -> None:
        """The call is marked as started, after the guard let it through.

        Raises:
            _Stopped: the guard refused or the deadline has passed; nothing was sent.
        """
        if self.started:
            return
        if self._guard is not None:
            try:
                self._guard()
            except Exception as error:
                raise _Stopped("stopped before the first byte") from error
        self.seconds_left()
        self.started = True

    def end(self, why: str) -> None:
        """Reads and writes of the call end at once, unless it is over."""
        with self._lock:
            if self.finished:
                return
            self.ended = self.ended or why
            if self._handle is not None:
                with contextlib.suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """The watchdog no longer touches the call's socket."""
        with self._lock:
            self.finished = True
            if self._handle is not None:
                self._handle.close()
                self._handle = None


class _Watchdog:
    """One thread that ends every call at its deadline; read timeouts do not bound a head or a body that drips."""

    def __init__(self) -> None:
        self._calls: list[tuple[float, int, _Call]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def watch(self, call: _Call) -> None:
        """The call ends at its deadline if it is not finished by then."""
        with self._changed:
            heapq.heappush(self._calls, (call.ends, next(self._numbers), call))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="autopublish-deadlines", daemon=True)
                self._thread.start()
            elif self._calls[0][2] is call:
                self._changed.notify()

    def end_all(self, why: str) -> None:
        """Every call that runs ends at once."""
        with self._changed:
            running = [call for _, _, call in self._calls]
        for call in running:
            call.end(why)

    def close(self) -> None:
        """The thread has ended; the next `watch` starts another."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            call.end(DEADLINE_PASSED)

    def _next(self) -> _Call | None:
        """Wait for the next call whose deadline has passed; None when the watchdog was closed."""
        with self._changed:
            while self._thread is threading.current_thread():
                while self._calls and self._calls[0][2].finished:
                    heapq.heappop(self._calls)
                wait = self._calls[0][0] - time.monotonic() if self._calls else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._calls)[2]
                self._changed.wait(wait)
        return None


class _Current(threading.local):
    """The call of this thread; the libraries between us and our connection class have no place to hand it through."""

    call: _Call | None = None


_current = _Current()


def _call_of_this_thread() -> _Call:
    call = _current.call
    if call is None:
        raise _Stopped("a connection was used outside of a call")
    return call


# --- addresses -------------------------------------------------------------------------------------------------------


def is_public(address: str) -> bool:
    """Whether the whole internet may be meant: a global unicast address, also inside its IPv6 forms.

    Source: https://www.iana.org/assignments/iana-ipv6-special-registry/, https://www.rfc-editor.org/rfc/rfc6052#section-2.1
    """
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (_ipv4_of_nat64(ip) if ip in _NAT64 else None)
        if inner is None:
            return ip in _GLOBAL_UNICAST and ip.is_global
        ip = inner
    return ip.is_global and not ip.is_multicast


def _ipv4_of_nat64(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)


def _connect(
    host: str, port: int, call: _Call, options: Iterable[tuple[int, int, int | bytes]]
) -> tuple[socket.socket, str]:
    """A socket connected to the first address of `host` that is allowed and accepts, and that address.

    Raises:
        OSError: the name has no address, or none accepted.
        _Stopped: no address is allowed, or the deadline has passed.
    """
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    allowed = [entry for entry in found if call.allow_private or is_public(str(entry[4][0]))]
    if not allowed:
        raise _Stopped("the address is not public; allow_private is off")
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in allowed:
        sock = socket.socket(family, kind, protocol)
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(min(CONNECT_SECONDS, call.seconds_left()))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock, str(address[0])
    raise failure


# --- URLs ------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def _checked(url: str) -> Url:
    """The URL normalised, without its fragment.

    Raises:
        _Stopped: it is no http(s) URL with a host, or it carries credentials.
    """
    try:
        parts = parse_url(url)
    except (HTTPError, ValueError):
        raise _Stopped("not a URL") from None
    if parts.scheme not in ("http", "https"):
        raise _Stopped("only http and https are asked")
    if not parts.host:
        raise _Stopped("the URL has no host")
    if parts.auth is not None:
        raise _Stopped("the URL carries credentials")
    return parts._replace(fragment=None)


def _follow(ask: _Ask, location: str, hops: list[str], redirects: int) -> _Ask:
    """What is asked next, after the last of `hops` redirected to `location`.

    Raises:
        _Stopped: too many hops, a loop, a step from https to http, or a target that may not be asked.
    """
    if len(hops) > redirects:
        raise _Stopped(f"more than {redirects} redirects")
    source = _checked(hops[-1])
    target = _checked(urljoin(hops[-1], _decoded(location)))
    if target.url in hops:
        raise _Stopped("redirects in a loop")
    if source.scheme == "https" and target.scheme == "http":
        raise _Stopped("a redirect from https to http is refused")
    headers = ask.headers
    if (source.scheme, source.netloc) != (target.scheme, target.netloc):
        headers = {name: value for name, value in headers.items() if name.lower() not in _PRIVATE_HEADERS}
    return replace(ask, url=target.url, headers=headers)


def _decoded(location: str) -> str:
    """A Location as its server meant it: http.client reads headers as Latin-1, servers write UTF-8."""
    try:
        return location.encode("latin-1").decode()
    except UnicodeError:
        return location


# --- connections -----------------------------------------------------------------------------------------------------


class _Plain(HTTPConnection):
    """A connection that obeys the call of its thread."""

    def _new_conn(self) -> socket.socket:
        call = _call_of_this_thread()
        try:
            sock, self._peer = _connect(self._dns_host, self.port, call, self.socket_options or ())
        except OSError as error:
            raise NewConnectionError(self, "no connection") from error
        call.attach(sock)
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Connect if need be, then write the request within the time that is left."""
        call = _call_of_this_thread()
        if self.sock is None:
            self.connect()
        else:
            call.reused = True
            call.attach(self.sock)
            if not call.allow_private and not is_public(self._peer):
                raise _Stopped("the address is not public; allow_private is off")
        # urllib3 writes the body under what is here, which would be the connect timeout.
        self.timeout = call.seconds_left()
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        """Mark the call before its first byte."""
        _call_of_this_thread().mark_first_byte()
        super().send(data)


class _Secure(_Plain, HTTPSConnection):
    """The same over TLS."""


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Once(HTTPConnectionPool):
    """A pool that never holds a connection, so that each call gets a fresh one."""

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.close()


class _PlainOnce(_Once, _PlainPool):
    pass


class _SecureOnce(_Once, _SecurePool):
    pass


class _Trust:
    """The one TLS context of a client, made when the first https URL is asked: the CA bundle costs 20 ms."""

    def __init__(self, ca_file: str | None) -> None:
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def context(self) -> ssl.SSLContext:
        with self._lock:
            if self._context is None:
                self._context = ssl.create_default_context(cafile=self._ca_file or DEFAULT_CA_BUNDLE_PATH)
            return self._context


class _Adapter(HTTPAdapter):
    """requests' transport over our connections, used without a Session: no cookies, proxies or netrc by accident."""

    def __init__(self, trust: _Trust, pools: dict[str, type[HTTPConnectionPool]], options: tuple[Any, ...]) -> None:
        self._trust = trust
        self._pools = pools
        self._options = list(options)
        super().__init__(pool_connections=_KEPT_HOSTS, pool_maxsize=_KEPT_PER_HOST)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:  # noqa: FBT001, FBT002 (requests' own)
        super().init_poolmanager(connections, maxsize, block=block, socket_options=self._options, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Leave certificates to the shared context, which requires them; requests would read the bundle again here."""

    # Proxies and cookies are looked for in each of the next three, for a third of the time that an idle poll takes.

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: Any,
        proxies: Any = None,
        cert: Any = None,
    ) -> Any:
        parts = urlsplit(request.url)
        context = {"ssl_context": self._trust.context()} if parts.scheme == "https" else {}
        return self.poolmanager.connection_from_host(
            str(parts.hostname), parts.port, str(parts.scheme), pool_kwargs=context
        )

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        return request.path_url

    def build_response(self, req: PreparedRequest, resp: Any) -> Any:
        """urllib3's answer as it is: nothing here needs more."""
        return resp


# --- bodies ----------------------------------------------------------------------------------------------------------


class _Body:
    """The bytes of one body, inflated as they come and never more than `limit_bytes`."""

    def __init__(self, encoding: str, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._encoding = _known_encoding(encoding)
        self._received = 0
        self._held = b""
        self._inflater: Any = None
        self._inflated = bytearray()

    def add(self, data: bytes) -> None:
        """The data is part of the body.

        Raises:
            _Stopped: the body is larger than the limit, or cannot be inflated.
        """
        self._received += len(data)
        if self._encoding == "":
            self._inflated += data
        else:
            try:
                self._inflate(data)
            except zlib.error as error:
                raise _Stopped(f"broken {self._encoding} body") from error
        if max(self._received, len(self._inflated)) > self._limit_bytes:
            raise _Stopped(f"body larger than {self._limit_bytes} bytes")

    def end(self) -> str | None:
        """Why the body cannot be whole, None if nothing speaks against it."""
        if self._received and self._encoding and not (self._inflater is not None and self._inflater.eof):
            return f"{self._encoding} body ends early"
        return None

    def content(self) -> bytes:
        """What has come so far."""
        return bytes(self._inflated)

    def _inflate(self, data: bytes) -> None:
        data = self._held + data
        self._held = b""
        if self._inflater is None:
            if len(data) < 2:
                self._held = data
                return
            self._inflater = zlib.decompressobj(self._window(data))
        while data and len(self._inflated) <= self._limit_bytes:
            if self._inflater.eof:
                # Further gzip members belong to the body, anything else after its end is padding.
                if not (self._encoding == "gzip" and data.startswith(b"\x1f\x8b")):
                    return
                self._inflater = zlib.decompressobj(self._window(data))
            room = self._limit_bytes + 1 - len(self._inflated)
            self._inflated += self._inflater.decompress(data, room)
            data = self._inflater.unconsumed_tail or self._inflater.unused_data

    def _window(self, head: bytes) -> int:
        if self._encoding == "gzip":
            return 16 + zlib.MAX_WBITS
        # Many servers say deflate and leave the zlib header out: https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.2
        has_header = head[0] & 0x0F == 8 and int.from_bytes(head[:2], "big") % 31 == 0
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


def _known_encoding(header: str) -> str:
    """`gzip`, `deflate`, or nothing for a plain body.

    Raises:
        _Stopped: another encoding, or one inside another.
    """
    names = [name for name in (part.strip().lower() for part in header.split(",")) if name not in ("", "identity")]
    if not names:
        return ""
    if names in (["gzip"], ["x-gzip"]):
        return "gzip"
    if names == ["deflate"]:
        return "deflate"
    raise _Stopped("nested or unknown Content-Encoding")


def _read(raw: HTTPResponse, limit_bytes: int) -> tuple[bytes, str | None]:
    """The body, and why it is not whole if it is not.

    Raises:
        _Stopped: larger than the limit, or not to be inflated.
        HTTPError: the time is over, or TLS broke.
    """
    body = _Body(raw.headers.get("Content-Encoding", ""), limit_bytes)
    if (raw.length_remaining or 0) > limit_bytes:
        raise _Stopped(f"body larger than {limit_bytes} bytes")
    try:
        # Not `read`: it loses what came before a cut.
        while data := raw.read1(_BLOCK_BYTES, decode_content=False):
            body.add(data)
    except ProtocolError as error:
        return body.content(), _reason(error)
    return body.content(), body.end()


# --- errors ----------------------------------------------------------------------------------------------------------

_FAILURES: Final = (RequestException, HTTPError, http.client.HTTPException, OSError, ValueError, _Stopped)
#: Their texts hold the URL with its query, and sometimes a token in its path.
_WORDY: Final = (RequestException, HTTPError)


def _root(error: BaseException) -> BaseException:
    """What the libraries wrapped: the first exception down the chain that is not theirs, else the innermost."""
    while isinstance(error, _WORDY):
        inner = error.__cause__ or error.__context__
        if not isinstance(inner, _FAILURES):
            break
        error = inner
    return error


def _reason(error: BaseException) -> str:
    """The failure in a few words that hold no URL, header or body."""
    root = _root(error)
    if isinstance(root, _Stopped):
        return str(root)
    if isinstance(root, http.client.IncompleteRead):
        return "the body is shorter than it said"
    name = type(root).__name__
    if isinstance(root, ssl.SSLCertVerificationError):
        return f"{name}: {root.verify_message}"
    if isinstance(root, OSError) and not isinstance(root, RequestException) and root.strerror:
        return f"{name}: {root.strerror}"
    if isinstance(root, TimeoutError):
        return "timed out"
    return name


def _cause(error: BaseException) -> BaseException | None:
    """What may stand in a traceback below our error: what a guard raised, or what the operating system said.

    The layers between quote the URL; http.client quotes headers that it refuses and answers that it cannot read.
    """
    root = _root(error)
    if isinstance(root, _Stopped):
        return root.__cause__
    return root if isinstance(root, OSError) and not isinstance(root, _WORDY) else None


def _whole(reply: Reply) -> Reply:
    """The reply, if its body is whole.

    Raises:
        NetworkError: it is not.
    """
    if reply.cut_short is not None:
        raise NetworkError(reply.cut_short, started=True)
    return reply


# --- the client ------------------------------------------------------------------------------------------------------


class Client:
    """All calls of the process to the network; safe to share between threads."""

    def __init__(self, *, user_agent: str, ca_file: str | None = None) -> None:
        #: Who asks, told with each request.
        self.user_agent = user_agent
        self._is_cut_off = False
        self._told: dict[str, Told] = {}
        self._telling = threading.Lock()
        self._watchdog = _Watchdog()
        self._trust = trust = _Trust(ca_file)
        self._kept = _Adapter(trust, {"http": _PlainPool, "https": _SecurePool}, (_NO_DELAY,))
        self._once = _Adapter(trust, {"http": _PlainOnce, "https": _SecureOnce}, _SEND_OPTIONS)

    def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        limit_bytes: int,
        deadline: timedelta = timedelta(seconds=30),
        allow_private: bool = False,
        redirects: int = 5,
    ) -> Reply:
        """What stands at `url` or where it leads; a body that is not whole says so in `cut_short`.

        Raises:
            NetworkError: no whole head came, the body is over `limit_bytes`, or a hop is not allowed.
        """
        ends = time.monotonic() + deadline.total_seconds()
        ask = _Ask(
            method="GET", url=url, headers={"Accept-Encoding": _ENCODINGS, **(headers or {})}, limit_bytes=limit_bytes
        )
        hops: list[str] = []
        permanent = True
        while True:
            reply = self._reuse(ask, _Call(ends=ends, allow_private=allow_private))
            location = reply.headers.get("Location") if reply.status in _REDIRECTS else None
            if location is None:
                return (
                    replace(reply, hops=tuple(hops), permanent_url=reply.url if permanent else None) if hops else reply
                )
            hops.append(reply.url)
            permanent = permanent and reply.status in _PERMANENT
            try:
                ask = _follow(ask, location, hops, redirects)
            except (_Stopped, ValueError, HTTPError) as error:
                raise NetworkError(_reason(error), started=True) from None

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        limit_bytes: int = 1_000_000,
        deadline: timedelta = timedelta(seconds=60),
        allow_private: bool = False,
    ) -> Reply:
        """The answer to one request, redirects included as they are; for calls that may be repeated.

        Raises:
            NetworkError: there is no whole answer.
        """
        call = _Call(ends=time.monotonic() + deadline.total_seconds(), allow_private=allow_private)
        sent = {"Accept-Encoding": _ENCODINGS, **(headers or {})}
        ask = _Ask(method=method, url=url, headers=sent, body=body, limit_bytes=limit_bytes)
        return _whole(self._reuse(ask, call))

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        deadline: timedelta = timedelta(seconds=60),
        allow_private: bool = False,
        guard: Callable[[], None] | None = None,
    ) -> Reply:
        """The answer to the one irreversible call: a fresh connection, one request, nothing repeated or followed.

        `guard` is called just before the first byte; what it raises stops the call with nothing sent.

        Raises:
            NetworkError: there is no whole answer; chained to the guard's exception if that stopped it.
        """
        call = _Call(ends=time.monotonic() + deadline.total_seconds(), allow_private=allow_private, guard=guard)
        sent = {"Accept-Encoding": "identity", **(headers or {})}
        ask = _Ask(method=method, url=url, headers=sent, body=body, limit_bytes=_SEND_LIMIT_BYTES)
        return _whole(self._exchange(self._once, ask, call))

    @contextlib.contextmanager
    def connection(self, host: str, port: int, *, deadline: timedelta, allow_private: bool) -> Iterator[socket.socket]:
        """A socket for another protocol than HTTP, whose reads and writes end at the deadline and by `cut_off`.

        Raises:
            NetworkError: there is no connection, or what was done with it failed as the operating system has it.
        """
        call = _Call(ends=time.monotonic() + deadline.total_seconds(), allow_private=allow_private)
        self._watchdog.watch(call)
        try:
            if self._is_cut_off:
                call.end(_CUT_OFF)
            sock, _ = _connect(host, port, call, (_NO_DELAY,))
            with sock:
                call.attach(sock)
                sock.settimeout(call.seconds_left())
                call.started = True
                yield sock
        except (OSError, _Stopped) as error:
            over = DEADLINE_PASSED if time.monotonic() >= call.ends else None
            raise NetworkError(call.ended or over or _reason(error), started=call.started) from _cause(error)
        finally:
            call.finish()

    def tls(self) -> ssl.SSLContext:
        """The one TLS context of the process, which asks for good certificates."""
        return self._trust.context()

    def told(self) -> Mapping[str, Told]:
        """The time that each server told last, by host and port: of those that told it last, so many as matter."""
        with self._telling:
            return dict(self._told)

    def _hear(self, url: str, headers: Mapping[str, str]) -> None:
        """Remember what the answer tells of the time; nothing of it is read before somebody asks."""
        if (date := headers.get("Date")) is None:
            return
        host = urlsplit(url).netloc
        with self._telling:
            self._told.pop(host, None)
            self._told[host] = Told(date=date, age=headers.get("Age", ""), at=time.monotonic())
            if len(self._told) > _TOLD_HOSTS:
                del self._told[next(iter(self._told))]

    def cut_off(self) -> None:
        """Every call that runs ends at once, in an error that knows whether its first byte had left; none begins."""
        self._is_cut_off = True
        self._watchdog.end_all(_CUT_OFF)

    def close(self) -> None:
        """No idle connection and no thread is left."""
        self._kept.close()
        self._once.close()
        self._watchdog.close()

    def _reuse(self, ask: _Ask, call: _Call) -> Reply:
        """The answer over a kept connection if there is one; a GET over one dropped meanwhile goes over a fresh one.

        Raises:
            NetworkError: there is no whole head, or the body cannot be taken.
        """
        try:
            return self._exchange(self._kept, ask, call)
        except NetworkError:
            if not call.reused or call.answered or ask.method not in ("GET", "HEAD"):
                raise
        return self._exchange(self._once, ask, _Call(ends=call.ends, allow_private=call.allow_private))

    def _exchange(self, adapter: _Adapter, ask: _Ask, call: _Call) -> Reply:
        """One request and its answer.

        Raises:
            NetworkError: there is no whole head, or the body cannot be taken.
        """
        _current.call = call
        try:
            request = self._prepare(ask)
            self._watchdog.watch(call)
            if self._is_cut_off:
                call.end(_CUT_OFF)
            left = call.seconds_left()
            raw: Any = adapter.send(request, stream=True, timeout=(min(CONNECT_SECONDS, left), left))
            call.answered = True
            self._hear(str(request.url), raw.headers)
            with contextlib.closing(raw):
                body, cut_short = _read(raw, ask.limit_bytes)
            if call.ended:
                raise _Stopped(call.ended)
            return Reply(
                status=raw.status,
                headers=raw.headers,
                body=body,
                url=str(request.url),
                cut_short=cut_short,
            )
        except _FAILURES as error:
            over = DEADLINE_PASSED if time.monotonic() >= call.ends else None
            reason = call.ended or over or _reason(error)
            raise NetworkError(reason, started=call.started) from _cause(error)
        finally:
            _current.call = None
            call.finish()

    def _prepare(self, ask: _Ask) -> PreparedRequest:
        """The request as requests' adapter takes it, without a Session's additions.

        Raises:
            _Stopped: the URL may not be asked.
        """
        request = PreparedRequest()
        request.method = ask.method
        request.url = _checked(ask.url).url
        request.headers = CaseInsensitiveDict({"User-Agent": self.user_agent, "Accept": "*/*", **ask.headers})
        request.body = ask.body
        if ask.body is not None:
            request.headers["Content-Length"] = str(len(ask.body))
        elif ask.method not in ("GET", "HEAD"):
            request.headers["Content-Length"] = "0"
        return request
