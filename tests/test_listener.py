"""The listener: programs of this machine are answered, nobody else is, and nothing that is sent harms the daemon."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from threading import enumerate as threads

import pytest

from autopublish import listener
from autopublish.app import App, build
from autopublish.config import Address, load
from autopublish.errors import ConfigError
from autopublish.health import LAST_TICK
from autopublish.listener import Listener, Page
from autopublish.models import AccountState
from autopublish.redaction import redact
from tests.desk import FEED, PAGE, Desk
from tests.test_app import free_port
from tests.test_daemon import daemon
from tests.test_metrics import lines

#: By the real clock; only a broken listener comes near it.
PATIENCE_SECONDS = 20.0


class Asked:
    """One answer."""

    def __init__(self, reply: bytes) -> None:
        head, _, self.body = reply.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        self.status = int(first.split(" ")[1]) if first else 0
        self.headers = dict(line.split(": ", 1) for line in rest)


def connect(port: int) -> socket.socket:
    """A connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the other side ends it."""
    found = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            found += part
    return found


def send(port: int, request: bytes) -> Asked:
    """The answer to a request."""
    with connect(port) as connection:
        connection.sendall(request)
        return Asked(rest_of(connection))


def ask(port: int, path: str, *, host: str = "127.0.0.1") -> Asked:
    """The answer to a plain request."""
    return send(port, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


@pytest.fixture
def app(desk: Desk) -> Iterator[App]:
    """The program, of which one run is over."""
    desk("run")
    with closing(build(desk.file)) as made:
        yield made


@contextmanager
def listening(app: App, told: list[str] | None = None) -> Iterator[int]:
    """A listener; gives its port."""
    port = free_port()
    one = Listener(app, tell=(told if told is not None else []).append)
    one.listen(Address(host="127.0.0.1", port=port))
    try:
        yield port
    finally:
        one.close()


@pytest.fixture
def port(app: App) -> Iterator[int]:
    """The port of a listener."""
    with listening(app) as found:
        yield found


# --- what it answers -------------------------------------------------------------------------------------------------


def test_health_is_200_with_the_document_of_the_check(desk: Desk, port: int) -> None:
    asked = ask(port, "/health")
    assert (asked.status, asked.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(asked.body) == desk("status", "--check", "--json").json()
    assert json.loads(asked.body)["well"] is True


def test_health_is_503_with_what_is_wrong(desk: Desk, app: App, port: int) -> None:
    app.store.keep_note(LAST_TICK, (datetime.now(UTC) - timedelta(hours=1)).isoformat())
    asked = ask(port, "/health")
    assert asked.status == 503
    assert json.loads(asked.body) == desk("status", "--check", "--json").json()
    assert json.loads(asked.body)["problems"] == ["the daemon's last tick was 1 h ago"]


def test_health_is_503_while_the_file_is_wrong_although_another_one_is_in_force(
    desk: Desk, app: App, port: int
) -> None:
    assert app.config.feeds
    desk.file.write_text("feeds: 1\n")
    asked = ask(port, "/health")
    assert asked.status == 503
    assert json.loads(asked.body)["problems"] == desk("status", "--check", "--json").json()["problems"]
    desk.configure(PAGE)
    assert ask(port, "/health").status == 200


def test_metrics_are_those_of_the_store_at_this_moment(desk: Desk, port: int) -> None:
    before = ask(port, "/metrics?x=1")
    assert before.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert lines(before.body)["posts_total", "page"] == 0
    desk.show("one")
    desk("run")
    assert lines(ask(port, "/metrics").body)["posts_total", "page"] == 1


def test_without_the_extra_metrics_are_404_with_words_that_name_it(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "autopublish.metrics", raising=False)
    asked = ask(port, "/metrics")
    assert asked.status == 404
    assert b"the extra `metrics`" in asked.body
    assert ask(port, "/health").status == 200


def test_metrics_of_a_store_that_cannot_be_read_are_503_and_health_says_why(desk: Desk, app: App, port: int) -> None:
    app.store.let_go()
    for file in desk.folder.glob("autopublish.db*"):
        if file.is_file():
            file.write_bytes(b"no store at all" * 1000)
    assert ask(port, "/metrics").status == 503
    asked = ask(port, "/health")
    assert (asked.status, json.loads(asked.body)["well"]) == (503, False)


def test_neither_secrets_nor_titles_are_in_it(desk: Desk, app: App, port: int) -> None:
    desk.show("one", title="Nobody may read this")
    desk("run")
    (was,) = app.store.standings().values()
    blocked = replace(was, state=AccountState.AUTH_BLOCKED, reason="Bearer hunter2hunter2 is dead")
    app.store.save_standing(was, blocked, now=datetime.now(UTC))
    redact.know(app, ["hunter2hunter2"])  # only now, so that the store still has it
    both = ask(port, "/health").body + ask(port, "/metrics").body
    assert b"is dead" in both
    assert b"hunter2" not in both
    assert b"Nobody may" not in both


def test_a_browser_keeps_nothing_of_it_and_shows_it_to_no_other_site(port: int) -> None:
    headers = ask(port, "/health").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert headers["Server"] == "autopublish"


def test_an_ordinary_client_reads_it(port: int) -> None:
    with closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)) as client:
        for path in ("/health", "/metrics", "/health"):
            client.request("GET", path)
            answer = client.getresponse()
            assert (answer.status, len(answer.read())) == (200, int(answer.headers["Content-Length"]))


# --- what it refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/healthz", "/health/", "/metrics/../health", "*", "http://x/health"])
def test_no_other_path_is_answered(port: int, path: str) -> None:
    assert ask(port, path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "get", "X"])
def test_no_other_method_is_answered(port: int, method: str) -> None:
    asked = send(port, f"{method} /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
    assert (asked.status, asked.headers["Allow"]) == (405, "GET")
    assert (asked.body == b"") is (method == "HEAD")


OURS = ["127.0.0.1", "127.0.0.1:9464", "localhost", "LocalHost:80", "[::1]", "[::1]:9464", "127.1.2.3"]
FOREIGN = [
    "news.example",
    "localhost.news.example",
    "127.0.0.1.news.example:9464",
    "10.0.0.1",
    "0.0.0.0",
    "[::]",
    "localhost:x",
    "localhost@evil.example",
    "",
]


@pytest.mark.parametrize("host", OURS)
def test_a_name_of_this_machine_is_answered(port: int, host: str) -> None:
    assert ask(port, "/health", host=host).status == 200


@pytest.mark.fault("H11")
@pytest.mark.parametrize("path", ["/health", "/metrics", "/nothing"])
@pytest.mark.parametrize("host", FOREIGN)
def test_h11_a_foreign_name_that_stands_for_this_machine_is_refused(port: int, host: str, path: str) -> None:
    asked = ask(port, path, host=host)
    assert asked.status == 421
    assert b"well" not in asked.body


@pytest.mark.fault("H11")
@pytest.mark.parametrize("hosts", ["", "Host: localhost\r\nHost: evil.example\r\n"], ids=["none", "two"])
def test_h11_a_request_that_does_not_say_one_host_is_refused(port: int, hosts: str) -> None:
    assert send(port, f"GET /health HTTP/1.1\r\n{hosts}\r\n".encode()).status == 421


ODD = {
    "nothing": b"\r\n\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\n\n",
    "four words": b"GET /health HTTP/1.1 x\r\n\r\n",
    "version": b"GET /health HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "line without an end": b"GET /" + b"a" * 9000,
    "header without an end": b"GET /health HTTP/1.1\r\nX: " + b"a" * 9000,
    "long header": b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9000 + b"\r\n\r\n",
    "many headers": b"GET /health HTTP/1.1\r\n" + b"A: b\r\n" * 1400,
    "long body": b"POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n" + b"a" * 100_000,
}


@pytest.mark.parametrize("request_", ODD.values(), ids=ODD)
def test_what_is_no_request_for_it_ends_with_its_connection(
    port: int, request_: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    with connect(port) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have read enough
            connection.sendall(request_)
        assert b" 200 " not in rest_of(connection).partition(b"\r\n")[0]
    assert ask(port, "/health").status == 200
    assert capfd.readouterr() == ("", "")


def test_a_client_that_goes_away_is_not_missed(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    for request in (b"", b"GET /hea", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        with connect(port) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(request)
    assert until_answered(port) == 200
    assert capfd.readouterr() == ("", "")


def until_answered(port: int) -> int:
    """The status of the first answer, as soon as there is room for it."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if status := ask(port, "/health").status:
            return status
    raise AssertionError("it never answered")


def test_a_client_that_sends_byte_by_byte_has_a_few_seconds_in_all(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MOST_SECONDS", 0.3)
    began = time.monotonic()
    with connect(port) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX: ")
        while not select.select([connection], [], [], 0.05)[0]:
            assert time.monotonic() - began < PATIENCE_SECONDS
            connection.sendall(b"a")
        assert rest_of(connection) == b""
    assert time.monotonic() - began >= 0.3


def test_a_client_that_sends_nothing_is_cut_then_too(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    most = listener.MOST_SECONDS
    monkeypatch.setattr(listener, "MOST_SECONDS", 0.2)
    began = time.monotonic()
    with connect(port) as connection:
        assert rest_of(connection) == b""
    assert 0.2 <= time.monotonic() - began < most


def test_more_connections_than_a_few_are_closed_and_there_is_room_again_after_them(port: int) -> None:
    with ExitStack() as stack:
        for _ in range(listener.MOST_AT_ONCE):
            stack.enter_context(connect(port))
        for _ in range(20):
            with connect(port) as further:
                assert rest_of(further) == b""
        pages = [thread for thread in threads() if thread.name == "autopublish-page"]
        assert len(pages) == listener.MOST_AT_ONCE
    assert until_answered(port) == 200


def test_many_scrapes_leave_neither_files_nor_threads(port: int) -> None:
    assert ask(port, "/health").status == 200
    before = len(list(Path("/proc/self/fd").iterdir())), len(threads())
    for _ in range(50):
        assert until_answered(port) == 200
    for thread in threads():
        if thread.name == "autopublish-page":
            thread.join(PATIENCE_SECONDS)
    assert len(threads()) <= before[1]
    assert len(list(Path("/proc/self/fd").iterdir())) <= before[0] + 2


def test_a_page_that_fails_is_500_without_what_failed() -> None:
    def fail() -> Page:
        raise KeyError("hunter2")

    port = free_port()
    server = listener._Server(Address(host="127.0.0.1", port=port), {"/health": fail})
    server.begin()
    try:
        asked = ask(port, "/health")
    finally:
        server.end()
    assert asked.status == 500
    assert b"hunter2" not in asked.body


# --- where it listens ------------------------------------------------------------------------------------------------


def test_it_moves_to_another_address_and_to_none(app: App) -> None:
    told: list[str] = []
    one = Listener(app, tell=told.append)
    first, second = (Address(host="127.0.0.1", port=free_port()) for _ in range(2))
    one.listen(first)
    one.listen(first)
    assert told == [f"listens at http://{first}/health and /metrics"]
    one.listen(second)
    assert ask(second.port, "/health").status == 200
    with pytest.raises(ConnectionRefusedError):
        connect(first.port)
    one.listen(None)
    with pytest.raises(ConnectionRefusedError):
        connect(second.port)
    one.close()


def test_a_port_that_is_taken_is_told_once_and_tried_again(app: App) -> None:
    told: list[str] = []
    one = Listener(app, tell=told.append)
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        address = Address(host="127.0.0.1", port=other.getsockname()[1])
        one.listen(address)
        one.listen(address)
        (words,) = told
        assert f"nothing listens at {address}: Address already in use" in words
    one.listen(address)
    assert ask(address.port, "/health").status == 200
    assert len(told) == 2
    one.close()
    with closing(socket.create_server((address.host, address.port))):
        one.listen(address)
    assert told[2] == words, "it is news again"


def test_it_listens_on_ipv6(app: App) -> None:
    told: list[str] = []
    one = Listener(app, tell=told.append)
    port = free_port()
    one.listen(Address(host="::1", port=port))
    if "Cannot assign" in told[0] or "not supported" in told[0]:
        pytest.skip("this machine has no IPv6")
    with closing(HTTPConnection("::1", port, timeout=PATIENCE_SECONDS)) as client:
        client.request("GET", "/health")
        assert client.getresponse().status == 200
    assert told == [f"listens at http://[::1]:{port}/health and /metrics"]
    one.close()


def test_it_ends_at_once_whatever_is_still_connected(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MOST_SECONDS", 10 * PATIENCE_SECONDS)
    with listening(app) as port:
        slow = connect(port)
        slow.sendall(b"GET /")
        assert ask(port, "/health").status == 200  # so the slow one was taken before
    with slow:
        assert rest_of(slow) == b""
    assert [thread.name for thread in threads() if thread.name.startswith("autopublish-")] == []


# --- the configuration -----------------------------------------------------------------------------------------------

SAID = {
    "127.0.0.1:9464": "127.0.0.1:9464",
    "localhost:80": "127.0.0.1:80",
    "127.255.255.255:65535": "127.255.255.255:65535",
    '"[::1]:9464"': "[::1]:9464",
}


@pytest.mark.parametrize(("said", "meant"), SAID.items(), ids=SAID)
def test_the_configuration_says_where(desk: Desk, said: str, meant: str) -> None:
    desk.configure(PAGE, more=f"listen: {said}\n")
    assert str(load(desk.file).listen) == meant


WRONG = {
    "0.0.0.0:9464": "a reverse proxy",
    "10.0.0.1:9464": "a reverse proxy",
    "news.example:9464": "a reverse proxy",
    "128.0.0.1:1": "a reverse proxy",
    "127.0.0.256:1": "a reverse proxy",
    "127.1:9464": "a reverse proxy",
    "'[::]:9464'": "a reverse proxy",
    "'[::1%lo]:9464'": "a reverse proxy",
    "127.0.0.1:0": "a reverse proxy",
    "127.0.0.1:65536": "at most 65535",
    "127.0.0.1": "127.0.0.1:9464",
    "9464": "127.0.0.1:9464",
    "[1]": "in quotes",
    "http://127.0.0.1:9464/": "127.0.0.1:9464",
}


@pytest.mark.parametrize(("said", "words"), WRONG.items(), ids=WRONG)
def test_what_others_could_reach_is_refused_with_its_line_and_a_remedy(desk: Desk, said: str, words: str) -> None:
    desk.configure(PAGE, more=f"timezone: UTC\nlisten: {said}\n")
    with pytest.raises(ConfigError) as caught:
        load(desk.file)
    (problem,) = caught.value.problems
    assert (problem.line, problem.key) == (2, "listen")
    assert words in problem.message


# --- the daemon ------------------------------------------------------------------------------------------------------


def listen_at(desk: Desk, port: int) -> None:
    """The configuration names the port."""
    desk.configure(PAGE, feeds=FEED + "    first_run: all\n", more=f"listen: 127.0.0.1:{port}\n")


def test_the_daemon_answers_while_it_works_and_ends_in_order_under_a_slow_client(desk: Desk) -> None:
    port = free_port()
    listen_at(desk, port)
    with daemon(desk) as running:
        running.until(f"listens at http://127.0.0.1:{port}/").until("posted: ")
        asked = ask(port, "/health")
        assert asked.status == 200
        assert json.loads(asked.body)["last_tick"] is not None
        assert lines(ask(port, "/metrics").body)["posts_total", "page"] == 1
        with connect(port) as slow:
            slow.sendall(b"GET /")
            assert running.end() == 0
            assert rest_of(slow) == b""


def test_the_daemon_goes_on_where_the_port_is_taken_and_listens_once_it_is_free(desk: Desk) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        listen_at(desk, port)
        with daemon(desk) as running:
            running.until("nothing listens at").until("posted: ")
            other.close()
            running.until(f"listens at http://127.0.0.1:{port}/")
            assert ask(port, "/health").status == 200
            assert running.end() == 0
            assert sum("nothing listens" in line for line in running.told) == 1


def test_the_daemon_takes_over_another_address(desk: Desk) -> None:
    first, second = free_port(), free_port()
    listen_at(desk, first)
    with daemon(desk) as running:
        running.until(f"listens at http://127.0.0.1:{first}/")
        listen_at(desk, second)
        running.until(f"listens at http://127.0.0.1:{second}/")
        assert ask(second, "/health").status == 200
        with pytest.raises(ConnectionRefusedError):
            connect(first)
        assert running.end() == 0
