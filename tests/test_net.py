"""The network: what is true of a request when its answer does not come, and what is never asked at all."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
import time
import traceback
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from autopublish import net
from autopublish.errors import NetworkError
from autopublish.net import Client, Reply
from tests.servers.wire import Peer, Script, Wire, always, answer, routes, server_tls, trust_file

SOON = timedelta(seconds=0.6)
LATE = timedelta(seconds=10)
BIG = b"x" * 5_000_000


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    client = Client(user_agent="autopublish-test/1 (+https://operator.example)", ca_file=trust_file(tmp_path))
    yield client
    client.close()


@pytest.fixture(scope="module")
def tls() -> ssl.SSLContext:
    return server_tls()


# --- sending: one row for each thing that can happen -----------------------------------------------------------------


def read_then(*actions: Callable[[Peer], None]) -> Script:
    """The request is read whole, then the actions follow."""

    def script(peer: Peer) -> None:
        peer.read_request()
        for action in actions:
            action(peer)

    return script


def write(data: bytes) -> Callable[[Peer], None]:
    return lambda peer: peer.write(data)


def drip(data: bytes, *, every_seconds: float = 0.05) -> Callable[[Peer], None]:
    return lambda peer: peer.drip(data, every_seconds=every_seconds)


def close_before_reading(peer: Peer) -> None:
    """Waits for the guard: a quicker reset would end the connection before the call could start."""
    peer.await_sign()


def reset_before_reading(peer: Peer) -> None:
    peer.await_sign()
    peer.reset()


def close_after_head(peer: Peer) -> None:
    peer.read_head()


def reset_after_head(peer: Peer) -> None:
    peer.read_head()
    peer.reset()


def close_in_the_body(peer: Peer) -> None:
    peer.read_head()
    peer.read(1_000_000)


def reset_in_the_body(peer: Peer) -> None:
    close_in_the_body(peer)
    peer.reset()


def refuse_early(peer: Peer) -> None:
    """Too large, said during the upload; the rest is read so that no reset destroys the answer."""
    peer.read_head()
    peer.read(100_000)
    peer.write(answer(413, b"too large", {"Connection": "close"}))
    peer.read(len(BIG))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the server does, and what must be known afterwards."""

    script: Script
    #: A status if an answer comes, else None.
    status: int | None = None
    body: bytes = b"small"
    deadline: timedelta = LATE


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
SENT = {
    "closes before reading": Case(script=close_before_reading),
    "resets before reading": Case(script=reset_before_reading),
    "closes after the head": Case(script=close_after_head, body=BIG),
    "resets after the head": Case(script=reset_after_head, body=BIG),
    "closes after all": Case(script=read_then()),
    "resets after all": Case(script=read_then(Peer.reset)),
    "closes while a large body is written": Case(script=close_in_the_body, body=BIG),
    "resets while a large body is written": Case(script=reset_in_the_body, body=BIG),
    "stalls while a large body is written": Case(script=Peer.hold, body=BIG, deadline=SOON),
    "is silent": Case(script=read_then(Peer.hold), deadline=SOON),
    "drips its head": Case(script=read_then(drip(HEAD * 9)), deadline=SOON),
    "drips its body": Case(
        script=read_then(write(HEAD + b"Content-Length: 99\r\n\r\n"), drip(b"x" * 99)), deadline=SOON
    ),
    "drips a body without length": Case(script=read_then(write(HEAD + b"\r\n"), drip(b"x" * 99)), deadline=SOON),
    "sends headers without end": Case(script=read_then(write(HEAD + b"A: b\r\n" * 1000))),
    "sends less than its length": Case(script=read_then(write(HEAD + b"Content-Length: 99\r\n\r\n{}"))),
    "ends inside a chunk": Case(script=read_then(write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{"))),
    "ends before the last chunk": Case(
        script=read_then(write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"))
    ),
    "sends broken gzip": Case(script=read_then(write(answer(200, b"nonsense", {"Content-Encoding": "gzip"})))),
    "sends more than a platform may": Case(script=read_then(write(answer(200, b"x" * 1_000_001)))),
    "does not speak HTTP": Case(script=read_then(write(b"SSH-2.0-OpenSSH\r\n\r\n"))),
    "cuts a body without length": Case(script=read_then(write(HEAD + b'\r\n{"id')), status=200),
    "cuts its head": Case(script=read_then(write(b"HTTP/1.1 200 OK\r\nContent-Ty")), status=200),
    "redirects": Case(script=read_then(write(answer(307, b"", {"Location": "/elsewhere"}))), status=307),
    "fails": Case(script=read_then(write(answer(503, b"busy"))), status=503),
}


@pytest.mark.fault("D21")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("case", SENT.values(), ids=SENT.keys())
def test_d21_a_sent_request_is_made_once_and_counts_as_started_when_the_server(
    case: Case, secure: bool, client: Client, tls: ssl.SSLContext
) -> None:
    with Wire(case.script, tls=tls if secure else None) as wire:

        def send() -> Reply:
            guard = wire.sign.set
            return client.send(
                "POST", wire.url, body=case.body, deadline=case.deadline, allow_private=True, guard=guard
            )

        if case.status is None:
            with pytest.raises(NetworkError) as caught:
                send()
            assert caught.value.started
        else:
            assert send().status == case.status
        assert wire.connections == 1


def test_a_refusal_during_the_upload_is_the_answer_over_plain_tcp(client: Client) -> None:
    with Wire(refuse_early) as wire:
        assert client.send("POST", wire.url, body=BIG, allow_private=True).status == 413


def read_slowly(peer: Peer) -> None:
    """The body is left lying for longer than a connection may take to open."""
    peer.read_head()
    peer.wire.stopping.wait(0.6)
    peer.read(4 * len(BIG))
    peer.write(answer(201))


def test_a_body_is_written_under_the_deadline_and_not_under_the_connect_timeout(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net, "CONNECT_SECONDS", 0.2)
    with Wire(read_slowly) as wire:
        assert client.send("POST", wire.url, body=4 * BIG, allow_private=True).status == 201


def garble(peer: Peer) -> None:
    peer.read_request()
    peer.write_under_tls(b"\x17\x03\x03\x00\x20" + b"garbage" * 8)


def alert(peer: Peer) -> None:
    peer.read_request()
    peer.write_under_tls(b"\x15\x03\x03\x00\x02\x02\x50")


def wanting_certificates(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server_tls()
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize(
    ("script", "context"),
    [
        pytest.param(garble, server_tls(), id="answers with a broken record"),
        pytest.param(alert, server_tls(), id="answers with an alert"),
        pytest.param(
            always(answer(200)), wanting_certificates(ssl.TLSVersion.TLSv1_3), id="wants a certificate, in TLS 1.3"
        ),
    ],
)
def test_a_tls_failure_after_the_request_was_written_counts_as_started_when_the_server(
    script: Script, context: ssl.SSLContext, client: Client
) -> None:
    with Wire(script, tls=context) as wire:
        with pytest.raises(NetworkError) as caught:
            client.send("POST", wire.url, body=b"small", allow_private=True)
        assert caught.value.started
        assert wire.connections == 1


def speak_plainly(peer: Peer) -> None:
    peer.read(1)
    peer.write(answer(400, b"this is no TLS"))


def old_protocol() -> ssl.SSLContext:
    context = server_tls()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def never_played(peer: Peer) -> None:
    message = "a request came over a bad channel"
    if peer.read(1):
        raise AssertionError(message)


@pytest.mark.fault("D01")
@pytest.mark.fault("F20")
@pytest.mark.parametrize(
    ("script", "context", "words"),
    [
        pytest.param(Peer.reset, None, "Connection reset", id="resets at once"),
        pytest.param(lambda peer: None, None, "EOF|reset", id="closes at once"),
        pytest.param(lambda peer: peer.read(50) and None, None, "EOF", id="closes in the middle"),
        pytest.param(speak_plainly, None, "(?i)wrong.version", id="speaks no TLS"),
        pytest.param(Peer.hold, None, "deadline passed", id="is silent"),
        pytest.param(never_played, server_tls("other.example"), "mismatch", id="has another's certificate"),
        pytest.param(never_played, server_tls(issuer=trustme.CA()), "unable to get local issuer", id="is not trusted"),
        # Builds of OpenSSL differ in what they refuse first: the version, or the signatures that go with it.
        pytest.param(never_played, old_protocol(), "(?i)protocol|sigalg", id="speaks an old version alone"),
        pytest.param(
            never_played, wanting_certificates(ssl.TLSVersion.TLSv1_2), "SSLError", id="wants a certificate, in TLS 1.2"
        ),
    ],
)
def test_d01_f20_a_failed_handshake_counts_as_not_started_when_the_server(
    script: Script, context: ssl.SSLContext | None, words: str, client: Client
) -> None:
    with Wire(script, tls=context, scheme="https") as wire:
        with pytest.raises(NetworkError, match=words) as caught:
            client.send("POST", wire.url, body=b"small", deadline=SOON, allow_private=True)
        assert not caught.value.started
        assert wire.connections == 1


@pytest.mark.fault("D01")
def test_d01_a_name_that_cannot_be_looked_up_counts_as_not_started(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_name(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    with pytest.raises(NetworkError, match="gaierror: Name or service not known") as caught:
        client.send("POST", "https://news.example/", body=b"small")
    assert not caught.value.started


@pytest.mark.fault("D01")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_d01_a_refused_connection_counts_as_not_started(scheme: str, client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NetworkError, match="ConnectionRefusedError: Connection refused") as caught:
        client.send("POST", f"{scheme}://127.0.0.1:{port}/", body=b"small", allow_private=True)
    assert not caught.value.started


@pytest.mark.fault("D01")
def test_d01_a_connection_that_is_never_accepted_counts_as_not_started(client: Client) -> None:
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        with pytest.raises(NetworkError) as caught:
            client.send("POST", url, body=b"small", deadline=SOON, allow_private=True)
    assert not caught.value.started


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_a_deadline_that_passes_before_the_first_byte_counts_as_not_started(
    secure: bool, client: Client, tls: ssl.SSLContext
) -> None:
    with Wire(never_played, tls=tls if secure else None) as wire:
        with pytest.raises(NetworkError, match="deadline passed") as caught:
            client.send(
                "POST",
                wire.url,
                body=b"small",
                deadline=timedelta(seconds=0.3),
                allow_private=True,
                guard=lambda: time.sleep(0.4),
            )
        assert not caught.value.started


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "refusal", [RuntimeError("lease lost"), BrokenPipeError("stop"), TimeoutError("key")], ids=repr
)
def test_whatever_a_guard_raises_stops_the_call_with_nothing_sent(
    refusal: Exception, secure: bool, client: Client, tls: ssl.SSLContext
) -> None:
    def refuse() -> None:
        raise refusal

    with Wire(never_played, tls=tls if secure else None) as wire:
        with pytest.raises(NetworkError) as caught:
            client.send("POST", wire.url, body=b"small", allow_private=True, guard=refuse)
        assert not caught.value.started
        assert caught.value.__cause__ is refusal


def test_the_guard_is_called_once_on_an_open_connection_before_anything_is_sent(client: Client) -> None:
    seen: list[tuple[int, int]] = []
    with Wire(always(answer(201))) as wire:

        def note() -> None:
            seen.append((wire.connections, len(wire.requests)))

        assert client.send("POST", wire.url, body=BIG, allow_private=True, guard=note).status == 201
    assert seen in ([(1, 0)], [(0, 0)])
    assert len(wire.requests) == 1


@pytest.mark.parametrize("value", ["two\r\nlines: yes", "snow☃man"], ids=["line break", "beyond Latin-1"])
def test_a_header_that_cannot_be_written_counts_as_not_started(value: str, client: Client) -> None:
    with Wire(never_played) as wire:
        with pytest.raises(NetworkError) as caught:
            client.send("POST", wire.url, headers={"X-Note": value}, body=b"small", allow_private=True)
        assert not caught.value.started


@pytest.mark.fault("D04")
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_d04_a_sending_socket_aborts_at_its_close_and_gives_up_what_stays_unacknowledged(
    secure: bool, client: Client, tls: ssl.SSLContext
) -> None:
    options: list[object] = []

    def look() -> None:
        call = net._current.call
        assert call is not None
        assert call._handle is not None
        options.append(struct.unpack("ii", call._handle.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)))
        options.append(call._handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
        options.append(call._handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0)

    with Wire(always(answer(200)), tls=tls if secure else None) as wire:
        client.send("POST", wire.url, body=b"small", allow_private=True, guard=look)
    assert options == [(1, 0), 30_000, True]


@pytest.mark.fault("D04")
def test_d04_a_server_that_reads_after_our_deadline_gets_a_reset_and_not_the_request(client: Client) -> None:
    gave_up = threading.Event()
    ends: list[str] = []

    def read_late(peer: Peer) -> None:
        gave_up.wait(10)
        try:
            ends.append(f"read {len(peer.read(len(BIG)))} bytes")
        except ConnectionResetError:
            ends.append("reset")

    with Wire(read_late) as wire:
        with pytest.raises(NetworkError, match="deadline passed"):
            client.send("POST", wire.url, body=BIG, deadline=SOON, allow_private=True)
        gave_up.set()
    assert ends == ["reset"]


# --- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.fault("D21")
def test_d21_every_send_has_a_connection_of_its_own_even_beside_an_idle_one(client: Client) -> None:
    with Wire(always(answer(200))) as wire:
        client.request("POST", wire.url, body=b"upload", allow_private=True)
        client.send("POST", wire.url, body=b"small", allow_private=True)
        client.send("POST", wire.url, body=b"small", allow_private=True)
        assert wire.connections == 3


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"body"),
        answer(304),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        answer(200, gzip.compress(b"body"), {"Content-Encoding": "gzip"}),
    ],
    ids=["with a body", "without", "chunked", "gzip"],
)
def test_reading_keeps_its_connection_over_answers(
    reply: bytes, secure: bool, client: Client, tls: ssl.SSLContext
) -> None:
    with Wire(always(reply), tls=tls if secure else None) as wire:
        for _ in range(3):
            client.get(wire.url, limit_bytes=1000, allow_private=True)
        assert wire.connections == 1


def drop_at_the_second(peer: Peer) -> None:
    """The first connection answers once and drops the next request, as a server does whose idle time has run out."""
    peer.read_request()
    peer.write(answer(200, b"body"))
    if peer.wire.connections > 1:
        peer.hold()
    peer.read_request()


def test_reading_over_a_connection_that_was_dropped_meanwhile_goes_over_a_fresh_one(client: Client) -> None:
    with Wire(drop_at_the_second) as wire:
        client.get(wire.url, limit_bytes=1000, allow_private=True)
        assert client.get(wire.url, limit_bytes=1000, allow_private=True).body == b"body"
        assert wire.connections == 2


def test_an_upload_over_a_connection_that_was_dropped_meanwhile_is_not_repeated(client: Client) -> None:
    with Wire(drop_at_the_second) as wire:
        client.request("POST", wire.url, body=b"first", allow_private=True)
        with pytest.raises(NetworkError) as caught:
            client.request("POST", wire.url, body=b"second", allow_private=True)
        assert caught.value.started
        assert wire.connections == 1


def test_the_bundle_is_read_once_for_ten_connections_and_never_for_plain_ones(
    client: Client, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(self: ssl.SSLContext, *args: Any, **kwargs: Any) -> None:
        loads.append(args)
        load(self, *args, **kwargs)

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    with Wire(always(answer(200))) as wire:
        client.send("POST", wire.url, allow_private=True)
    assert loads == []
    with Wire(always(answer(200)), tls=tls) as wire:
        for _ in range(10):
            client.send("POST", wire.url, allow_private=True)
        assert wire.connections == 10
    assert len(loads) == 1


def test_threads_that_share_a_client_each_get_their_own_answer(client: Client) -> None:
    def echo(peer: Peer) -> None:
        while request := peer.read_request():
            peer.write(answer(200, request.split(b" ")[1]))

    wrong: list[str] = []

    def ask(name: str) -> None:
        for number in range(20):
            path = f"/{name}/{number}"
            if client.get(wire.url + path, limit_bytes=100, allow_private=True).body.decode() != path:
                wrong.append(path)

    with Wire(echo) as wire:
        threads = [threading.Thread(target=ask, args=(name,)) for name in "abcdef"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert len(wire.requests) == 120


def test_the_deadline_of_one_call_leaves_the_others_alone(client: Client) -> None:
    replies: list[Reply] = []
    with Wire(read_then(Peer.hold)) as silent, Wire(read_then(drip(answer(200, b"x" * 5), every_seconds=0.02))) as slow:

        def ask_slow() -> None:
            replies.append(client.get(slow.url, limit_bytes=100, deadline=LATE, allow_private=True))

        thread = threading.Thread(target=ask_slow)
        thread.start()
        with pytest.raises(NetworkError, match="deadline passed"):
            client.get(silent.url, limit_bytes=100, deadline=timedelta(seconds=0.4), allow_private=True)
        thread.join()
    assert [reply.body for reply in replies] == [b"xxxxx"]


def test_a_closed_client_leaves_no_thread_and_no_idle_connection(client: Client) -> None:
    before = threading.active_count()
    left = threading.Event()

    def script(peer: Peer) -> None:
        always(answer(200))(peer)
        left.set()

    with Wire(script) as wire:
        client.get(wire.url, limit_bytes=100, allow_private=True)
        client.close()
        assert left.wait(5)
    assert threading.active_count() == before


def test_nothing_of_the_environment_and_no_cookie_is_sent(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with Wire(always(answer(200, headers={"Set-Cookie": "a=b"}))) as wire:
        client.get(wire.url, limit_bytes=100, allow_private=True)
        client.send("POST", wire.url + "/path?q=1#part", body=b"x", headers={"X-Own": "1"}, allow_private=True)
    host = f"127.0.0.1:{wire.port}"
    agent = "autopublish-test/1 (+https://operator.example)"
    assert heads(wire) == [
        ("GET / HTTP/1.1", {"host": host, "user-agent": agent, "accept": "*/*", "accept-encoding": "gzip, deflate"}),
        (
            "POST /path?q=1 HTTP/1.1",
            {
                "host": host,
                "user-agent": agent,
                "accept": "*/*",
                "accept-encoding": "identity",
                "x-own": "1",
                "content-length": "1",
            },
        ),
    ]


def heads(wire: Wire) -> list[tuple[str, dict[str, str]]]:
    """The request line and the headers of each request that the server read."""
    found = []
    for request in wire.requests:
        line, *fields = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        found.append((line, {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}))
    return found


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.fault("H01")
@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1",
        "169.254.169.254", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1",
        "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "::ffff:169.254.169.254", "::ffff:224.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::808:808",
        "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "fc00::1", "fd00:ec2::254", "fe80::1",
        "fe80::1%lo", "fec0::1", "ff02::1", "ff0e::1", "4000::1",
    ],
)  # fmt: skip
def test_h01_an_address_is_not_public(address: str) -> None:
    assert not net.is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"],
)
def test_an_address_is_public(address: str) -> None:
    assert net.is_public(address)


@pytest.mark.fault("H01")
@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "017700000001", "0177.0.0.1",
        "0", "0.0.0.0", "localhost", "LOCALHOST", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "10.1.2.3", "192.168.0.1", "172.31.255.255", "169.254.169.254",
        "2852039166", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "100.100.100.200",
    ],
)  # fmt: skip
def test_h01_a_host_that_means_a_private_address_is_never_connected_to(host: str, client: Client) -> None:
    with Wire(never_played) as wire:
        with pytest.raises(NetworkError, match="the address is not public") as caught:
            client.get(f"http://{host}:{wire.port}/", limit_bytes=100)
        assert not caught.value.started
        assert wire.connections == 0


@pytest.mark.fault("H01")
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("file:///etc/passwd", "only http and https"),
        ("ftp://news.example/feed", "only http and https"),
        ("gopher://127.0.0.1:70/_x", "only http and https"),
        ("data:text/xml,<rss/>", "only http and https|not a URL"),
        ("javascript:alert(1)", "only http and https|not a URL"),
        ("dict://127.0.0.1:11211/stat", "only http and https"),
        ("//127.0.0.1/", "only http and https"),
        ("/etc/passwd", "only http and https"),
        ("", "only http and https"),
        ("http://", "no host"),
        ("http:///path", "no host"),
        ("http://①②⑦.⓪.⓪.①/", "not a URL"),
        ("http://127。0。0。1/", "not a URL"),
        ("https://?x", "no host"),
        ("http://user:secret@news.example/", "carries credentials"),
        ("http://@127.0.0.1/", "carries credentials|not public"),
        ("http://[::1", "not a URL"),
        ("http://news.example:port/", "not a URL"),
        ("http://news.example:99999/", "not a URL"),
        ("http://" + "a" * 64 + ".example/", "not a URL|UnicodeError|label"),
    ],
)
def test_h01_a_url_is_refused_before_any_name_is_looked_up(
    url: str, words: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NetworkError, match=words) as caught:
        client.get(url, limit_bytes=100)
    assert not caught.value.started
    assert "secret" not in str(caught.value)


def resolving_to(*addresses: tuple[str, int]) -> Callable[..., list[Any]]:
    """A name lookup that always gives these addresses, in this order."""
    kinds = [(socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port)) for host, port in addresses]
    return lambda *args, **kwargs: [(family, socket.SOCK_STREAM, 6, "", place) for family, place in kinds]


@pytest.mark.fault("H01")
def test_h01_only_the_public_addresses_of_a_name_are_tried(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net, "is_public", lambda address: address == "127.0.0.1")
    with Wire(always(answer(200, b"public"))) as public, Wire(never_played, host="127.0.0.2") as private:
        monkeypatch.setattr(
            socket, "getaddrinfo", resolving_to(("127.0.0.2", private.port), ("127.0.0.1", public.port))
        )
        assert client.get("http://both.example/", limit_bytes=100).body == b"public"
        assert private.connections == 0


def test_each_address_of_a_name_is_tried_until_one_accepts(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.2", 0)) as closed:
        refusing = closed.getsockname()[1]
    with Wire(always(answer(200, b"second"))) as wire:
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to(("127.0.0.2", refusing), ("127.0.0.1", wire.port)))
        assert client.get("http://two.example/", limit_bytes=100, allow_private=True).body == b"second"


@pytest.mark.fault("H01")
def test_h01_a_redirect_to_a_private_address_is_not_followed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(net, "is_public", lambda address: address == "127.0.0.1")
    with Wire(never_played, host="127.0.0.2") as private:
        away = answer(302, headers={"Location": f"{private.url}/latest/meta-data"})
        with Wire(always(away)) as public, pytest.raises(NetworkError, match="the address is not public"):
            client.get(public.url, limit_bytes=100)
        assert private.connections == 0


@pytest.mark.fault("H01")
def test_h01_a_kept_connection_to_a_private_address_is_not_lent_to_a_call_that_may_not(client: Client) -> None:
    with Wire(always(answer(200))) as wire:
        client.get(wire.url, limit_bytes=100, allow_private=True)
        with pytest.raises(NetworkError, match="the address is not public"):
            client.get(wire.url, limit_bytes=100)
        assert len(wire.requests) == 1


# --- redirects -------------------------------------------------------------------------------------------------------


def to(location: str, status: int = 301) -> bytes:
    return answer(status, headers={"Location": location})


def test_a_reply_without_redirect_has_no_hops_and_no_permanent_url(client: Client) -> None:
    with Wire(routes({"/feed": answer(200, b"feed", {"ETag": '"1"'})})) as wire:
        reply = client.get(wire.url + "/feed#top", limit_bytes=100, allow_private=True)
    assert (reply.status, reply.body, reply.headers["etag"]) == (200, b"feed", '"1"')
    assert (reply.url, reply.hops, reply.permanent_url) == (wire.url + "/feed", (), None)


@pytest.mark.parametrize(
    ("statuses", "permanent"),
    [((301,), True), ((308, 301), True), ((302,), False), ((301, 302), False), ((303,), False), ((307, 308), False)],
    ids=str,
)
def test_a_move_is_permanent_only_if_every_hop_says_so(
    statuses: tuple[int, ...], permanent: bool, client: Client
) -> None:
    replies = {f"/{step}": to(f"/{step + 1}", status) for step, status in enumerate(statuses)}
    last = f"/{len(statuses)}"
    with Wire(routes({**replies, last: answer(200, b"feed")})) as wire:
        reply = client.get(wire.url + "/0", limit_bytes=100, allow_private=True)
    assert (reply.body, reply.url) == (b"feed", wire.url + last)
    assert reply.hops == tuple(f"{wire.url}/{step}" for step in range(len(statuses)))
    assert reply.permanent_url == (wire.url + last if permanent else None)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("next", "/a/next"),
        ("../next", "/next"),
        ("?p=1", "/a/feed?p=1"),
        ("/next#part", "/next"),
        ("/b e r", "/b%20e%20r"),
        ("/berita/é", "/berita/%C3%A9"),
    ],
)
def test_a_location_is_read_as_browsers_read_it(location: str, target: str, client: Client) -> None:
    away = f"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\nLocation: {location}\r\n\r\n".encode()
    with Wire(routes({"/a/feed": away, target: answer(200, b"here")})) as wire:
        reply = client.get(wire.url + "/a/feed", limit_bytes=100, allow_private=True)
    assert (reply.body, reply.url) == (b"here", wire.url + target)


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        pytest.param({"/0": to("/1"), "/1": to("/0")}, "loop", id="a loop"),
        pytest.param({"/0": to("/0")}, "loop", id="to itself"),
        pytest.param({f"/{n}": to(f"/{n + 1}") for n in range(9)}, "more than 5 redirects", id="too many"),
        pytest.param({"/0": to("file:///etc/passwd")}, "only http and https", id="another scheme"),
        pytest.param({"/0": to("http://me:secret@127.0.0.1/")}, "credentials", id="with credentials"),
        pytest.param({"/0": to("http://[::1/")}, "", id="no URL"),
    ],
)
def test_a_chain_of_redirects_is_refused_for(replies: Mapping[str, bytes], words: str, client: Client) -> None:
    with Wire(routes(replies)) as wire, pytest.raises(NetworkError) as caught:
        client.get(wire.url + "/0", limit_bytes=100, allow_private=True)
    assert caught.value.started
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_five_redirects_are_followed(client: Client) -> None:
    replies = {f"/{n}": to(f"/{n + 1}") for n in range(5)} | {"/5": answer(200, b"feed")}
    with Wire(routes(replies)) as wire:
        assert client.get(wire.url + "/0", limit_bytes=100, allow_private=True).body == b"feed"


@pytest.mark.fault("F20")
def test_f20_a_redirect_from_https_to_http_is_refused_and_one_to_https_followed(
    client: Client, tls: ssl.SSLContext
) -> None:
    with Wire(always(answer(200, b"safe")), tls=tls) as safe, Wire(always(to(safe.url))) as plain:
        assert client.get(plain.url, limit_bytes=100, allow_private=True).body == b"safe"
    with Wire(never_played) as plain, Wire(always(to(plain.url)), tls=tls) as safe:
        with pytest.raises(NetworkError, match="from https to http"):
            client.get(safe.url, limit_bytes=100, allow_private=True)
        assert plain.connections == 0


def test_a_redirect_to_another_origin_carries_validators_and_no_credentials(client: Client) -> None:
    sent = {"Authorization": "Bearer t0ken", "Cookie": "a=b", "If-None-Match": '"1"'}
    with Wire(always(answer(304))) as other, Wire(routes({"/a": to("/b"), "/b": to(other.url)})) as own:
        client.get(own.url + "/a", headers=sent, limit_bytes=100, allow_private=True)
    assert [fields.get("authorization") for _, fields in heads(own)] == ["Bearer t0ken", "Bearer t0ken"]
    ((_, fields),) = heads(other)
    assert fields.keys() & {"authorization", "cookie", "if-none-match"} == {"if-none-match"}


def test_a_redirect_without_a_location_is_the_answer(client: Client) -> None:
    with Wire(always(answer(302, b"nowhere"))) as wire:
        assert client.get(wire.url, limit_bytes=100, allow_private=True).status == 302


@pytest.mark.fault("F19")
def test_f19_all_hops_share_one_deadline(client: Client) -> None:
    def slowly(peer: Peer) -> None:
        request = peer.read_request()
        peer.wire.stopping.wait(0.25)
        peer.write(to(f"/{len(request)}-{peer.wire.connections}-{len(peer.wire.requests)}"))
        slowly(peer)

    begin = time.monotonic()
    with Wire(slowly) as wire, pytest.raises(NetworkError, match="deadline passed"):
        client.get(wire.url, limit_bytes=100, deadline=SOON, allow_private=True)
    assert time.monotonic() - begin < 2 * SOON.total_seconds()


# --- bodies ----------------------------------------------------------------------------------------------------------


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflater.compress(data) + deflater.flush()


TEXT = b"<rss>" + b"berita " * 20_000 + b"</rss>"


@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        pytest.param("gzip", gzip.compress(TEXT), id="gzip"),
        pytest.param("X-GZIP", gzip.compress(TEXT), id="x-gzip"),
        pytest.param("gzip", gzip.compress(TEXT[:50]) + gzip.compress(TEXT[50:]), id="gzip of two members"),
        pytest.param("gzip", gzip.compress(TEXT) + b"\0\0padding", id="gzip and padding"),
        pytest.param("deflate", zlib.compress(TEXT), id="deflate"),
        pytest.param("deflate", raw_deflate(TEXT), id="deflate without its header"),
        pytest.param("identity", TEXT, id="identity"),
        pytest.param("identity, gzip", gzip.compress(TEXT), id="gzip after identity"),
        pytest.param("", TEXT, id="an empty name"),
    ],
)
@pytest.mark.parametrize("piece", [1, 1_000_000], ids=["in drops", "at once"])
def test_a_body_is_inflated_from(encoding: str, sent: bytes, piece: int, client: Client) -> None:
    def script(peer: Peer) -> None:
        peer.read_request()
        whole = answer(200, sent, {"Content-Encoding": encoding})
        start = len(whole) - len(sent)
        peer.write(whole[:start])
        for place in range(start, min(start + 4, len(whole)), piece):
            peer.write(whole[place : place + piece])
        peer.write(whole[max(start + 4, start + piece) :] if piece > 1 else whole[start + 4 :])

    with Wire(script) as wire:
        reply = client.get(wire.url, limit_bytes=len(TEXT), allow_private=True)
    assert (reply.body, reply.cut_short) == (TEXT, None)


def gzip_bomb() -> bytes:
    """100 MB of nothing in 97 kB."""
    deflater = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    return b"".join([deflater.compress(bytes(1_000_000)) for _ in range(100)]) + deflater.flush()


BOMB = gzip_bomb()


@pytest.mark.fault("F13")
@pytest.mark.parametrize(
    ("encoding", "sent", "words"),
    [
        pytest.param("gzip", BOMB, "larger than 10000000 bytes", id="gzip"),
        pytest.param("gzip", gzip.compress(b"") * 1000 + BOMB, "larger than", id="gzip after empty members"),
        pytest.param("deflate", raw_deflate(gzip.decompress(BOMB)), "larger than", id="deflate"),
        pytest.param("gzip, gzip", gzip.compress(BOMB), "nested or unknown", id="nested"),
        pytest.param("br", b"\xff" * 100, "nested or unknown", id="brotli"),
        pytest.param("zstd", b"\xff" * 100, "nested or unknown", id="zstd"),
        pytest.param("", bytes(10_000_001), "larger than", id="plain"),
    ],
)
def test_f13_a_bomb_is_refused_within_64_mb(encoding: str, sent: bytes, words: str, client: Client) -> None:
    with Wire(always(answer(200, sent, {"Content-Encoding": encoding}))) as wire:
        tracemalloc.start()
        try:
            with pytest.raises(NetworkError, match=words):
                client.get(wire.url, limit_bytes=10_000_000, allow_private=True)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 64_000_000


def endless(peer: Peer) -> None:
    peer.read_request()
    peer.write(HEAD + b"\r\n")
    while not peer.wire.stopping.is_set():
        peer.write(bytes(65_536))


def test_a_body_without_end_is_refused_at_the_limit(client: Client) -> None:
    with Wire(endless) as wire, pytest.raises(NetworkError, match="larger than 1000000 bytes"):
        client.get(wire.url, limit_bytes=1_000_000, allow_private=True)


CUT = {
    "a length that is not reached": (HEAD + b"Content-Length: 99\r\n\r\n<rss>", b"<rss>", True),
    "a chunk that is not full": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n<rss>", b"<rss>", True),
    "no last chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n<rss>\r\n", b"<rss>", True),
    "half of a gzip stream": (HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(TEXT)[:-9], TEXT, True),
    "no length at all": (HEAD + b"\r\n<rss>", b"<rss>", False),
    "an empty body": (answer(200), b"", False),
}


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("sent", "body", "cut"), CUT.values(), ids=CUT.keys())
def test_what_came_is_given_and_a_cut_is_told_after(
    sent: bytes, body: bytes, cut: bool, secure: bool, client: Client, tls: ssl.SSLContext
) -> None:
    with Wire(read_then(write(sent)), tls=tls if secure else None) as wire:
        reply = client.get(wire.url, limit_bytes=1_000_000, allow_private=True)
    assert body.startswith(reply.body)
    assert len(reply.body) > len(body) * 0.9 - 1
    assert (reply.cut_short is not None) == cut


@pytest.mark.fault("F19")
@pytest.mark.parametrize("name", [name for name, case in SENT.items() if case.deadline == SOON and case.body != BIG])
def test_f19_a_poll_ends_at_its_deadline_when_the_server(name: str, client: Client) -> None:
    begin = time.monotonic()
    with Wire(SENT[name].script) as wire, pytest.raises(NetworkError, match=r"deadline passed|timed out"):
        client.get(wire.url, limit_bytes=1000, deadline=SOON, allow_private=True)
    assert time.monotonic() - begin < 2 * SOON.total_seconds()


@pytest.mark.fault("F19")
@pytest.mark.parametrize("script", [Peer.reset, read_then(Peer.reset), read_then()], ids=["reset", "late", "closed"])
def test_f19_a_poll_fails_at_once_when_the_server_hangs_up(script: Script, client: Client) -> None:
    with Wire(script) as wire, pytest.raises(NetworkError):
        client.get(wire.url, limit_bytes=1000, allow_private=True)


# --- what an error says ----------------------------------------------------------------------------------------------


#: A name, so that the source lines in a traceback do not hold it.
TOKEN = "t0ken"


@pytest.mark.parametrize(
    "script",
    [Peer.reset, read_then(), read_then(Peer.hold), read_then(write(f"{TOKEN}\r\n\r\n".encode())), endless],
    ids=["reset", "closed", "silent", "nonsense", "endless"],
)
def test_no_error_and_no_traceback_shows_a_path_query_header_or_body(script: Script, client: Client) -> None:
    with Wire(script) as wire, pytest.raises(NetworkError) as caught:
        client.send(
            "POST",
            f"{wire.url}/bot{TOKEN}/send?access={TOKEN}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            body=TOKEN.encode(),
            deadline=SOON,
            allow_private=True,
        )
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


def test_a_refused_header_is_not_quoted(client: Client) -> None:
    with Wire(never_played) as wire, pytest.raises(NetworkError) as caught:
        client.send("POST", wire.url, headers={"Authorization": f"Bearer {TOKEN}\n{TOKEN}"}, allow_private=True)
    assert TOKEN not in "".join(traceback.format_exception(caught.value))


# --- cut off ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault("P01")
def test_p01_a_client_that_is_cut_off_ends_what_runs_and_begins_nothing(client: Client) -> None:
    def cut_off_once_it_is_read(peer: Peer) -> None:
        peer.read_request()
        client.cut_off()
        peer.read(1)

    with Wire(cut_off_once_it_is_read) as wire:
        begun = time.monotonic()
        with pytest.raises(NetworkError, match="cut off, since the program ends") as running:
            client.send("POST", wire.url, body=b"small", deadline=LATE, allow_private=True)
        with pytest.raises(NetworkError, match="cut off, since the program ends") as later:
            client.send("POST", wire.url, body=b"small", deadline=LATE, allow_private=True)
        with pytest.raises(NetworkError, match="cut off, since the program ends"):
            client.get(wire.url, limit_bytes=1000, allow_private=True)
    assert (running.value.started, later.value.started) == (True, False)
    assert time.monotonic() - begun < 5
    assert len(wire.requests) == 1
