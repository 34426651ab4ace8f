"""What an adapter is given: answers as values, and failures as the reaction that they need."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from datetime import timedelta
from email import message_from_bytes

import pytest

from autopublish.errors import DeliveryError, NotSent, OutcomeUnknown, RateLimited, Unauthorized
from autopublish.net import Client
from autopublish.platforms._http import Answer, Http, Upload, error_from, evidence, multipart
from tests.servers.wire import Peer, Wire, always, answer


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(user_agent="autopublish-test/1")
    yield client
    client.close()


@pytest.fixture
def http(client: Client) -> Http:
    return Http(client, allow_private=True)


def given(status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
    return Answer(status=status, headers=headers or {}, body=body, url="https://social.example/api?token=t0ken")


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def hang_up(peer: Peer) -> None:
    peer.read_request()


# --- asking ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["ask", "send"])
@pytest.mark.parametrize("status", [200, 201, 302, 401, 422, 429, 503])
def test_an_answer_is_a_value_whatever_its_status(verb: str, status: int, http: Http) -> None:
    with Wire(always(answer(status, b'{"id": "7"}', {"X-Request": "a"}))) as wire:
        reply = getattr(http, verb)("POST", wire.url + "/statuses")
    assert (reply.status, reply.ok, reply.json()) == (status, status < 300, {"id": "7"})
    assert (reply.headers["x-request"], reply.url) == ("a", wire.url + "/statuses")


@pytest.mark.parametrize("verb", ["ask", "send"])
@pytest.mark.parametrize(
    ("arguments", "line", "kind", "body"),
    [
        pytest.param({}, "POST /a HTTP/1.1", None, b"", id="nothing"),
        pytest.param({"json": {"text": "é", "n": [1]}}, "POST /a HTTP/1.1", "application/json", None, id="json"),
        pytest.param({"json": {}}, "POST /a HTTP/1.1", "application/json", b"{}", id="an empty object"),
        pytest.param(
            {"data": {"a b": "c&d", "e": "é"}},
            "POST /a HTTP/1.1",
            "application/x-www-form-urlencoded",
            b"a+b=c%26d&e=%C3%A9",
            id="a form",
        ),
        pytest.param(
            {"data": b"\x00\xff", "headers": {"Content-Type": "image/png"}},
            "POST /a HTTP/1.1",
            "image/png",
            b"\x00\xff",
            id="bytes",
        ),
        pytest.param({"params": {"q": "a b&c"}}, "POST /a?q=a+b%26c HTTP/1.1", None, b"", id="a query"),
        pytest.param(
            {"json": {}, "headers": {"Content-Type": "application/activity+json"}},
            "POST /a HTTP/1.1",
            "application/activity+json",
            b"{}",
            id="json of another kind",
        ),
    ],
)
def test_a_request_is_written_from(
    verb: str, arguments: dict[str, object], line: str, kind: str | None, body: bytes | None, http: Http
) -> None:
    with Wire(always(answer(200))) as wire:
        getattr(http, verb)("POST", wire.url + "/a", **arguments)
    head, _, sent = wire.requests[0].partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    assert first == line
    assert headers.get("Content-Type") == kind
    assert headers["Content-Length"] == str(len(sent))
    if body is None:
        assert json.loads(sent) == arguments["json"]
    else:
        assert sent == body


def test_a_query_of_the_url_is_kept_before_the_parameters(http: Http) -> None:
    with Wire(always(answer(200))) as wire:
        http.ask("GET", wire.url + "/a?wait=true", params={"thread_id": "9"})
    assert wire.requests[0].startswith(b"GET /a?wait=true&thread_id=9 HTTP/1.1\r\n")


def test_the_same_call_sends_the_same_bytes(http: Http) -> None:
    with Wire(always(answer(200))) as wire:
        for _ in range(2):
            http.send("POST", wire.url + "/a", json={"text": "Kota 🌴", "tags": ["b", "a"]}, headers={"X-Key": "k"})
    assert wire.requests[0] == wire.requests[1]


@pytest.mark.fault("D01")
@pytest.mark.parametrize("verb", ["ask", "send"])
def test_d01_a_call_whose_first_byte_had_not_left_was_not_sent(verb: str, http: Http) -> None:
    with pytest.raises(NotSent, match="ConnectionRefusedError"):
        getattr(http, verb)("POST", f"http://127.0.0.1:{closed_port()}/a?access_token=t0ken", data=b"x")


@pytest.mark.parametrize("verb", ["ask", "send"])
def test_a_call_without_a_whole_answer_has_an_unknown_outcome(verb: str, http: Http) -> None:
    with Wire(hang_up) as wire, pytest.raises(OutcomeUnknown) as caught:
        getattr(http, verb)("POST", wire.url + "/a?access_token=t0ken", data=b"x")
    assert "t0ken" not in str(caught.value)
    assert wire.connections == 1


@pytest.mark.parametrize("verb", ["ask", "send"])
def test_the_deadline_bounds_the_call(verb: str, http: Http) -> None:
    http.deadline = timedelta(seconds=0.3)
    with Wire(Peer.hold) as wire, pytest.raises(OutcomeUnknown, match="deadline passed"):
        getattr(http, verb)("POST", wire.url)


def test_the_guard_stops_a_send_with_nothing_sent_and_lets_reading_pass(http: Http) -> None:
    def refuse() -> None:
        raise RuntimeError("the lease is lost")

    http.guard = refuse
    with Wire(always(answer(200))) as wire:
        assert http.ask("GET", wire.url).ok
        with pytest.raises(NotSent):
            http.send("POST", wire.url)
    assert len(wire.requests) == 1


@pytest.mark.fault("H01")
@pytest.mark.parametrize("verb", ["ask", "send"])
def test_h01_a_private_address_is_asked_only_if_the_account_allows_it(verb: str, client: Client) -> None:
    with Wire(always(answer(200))) as wire, pytest.raises(NotSent, match="not public"):
        getattr(Http(client), verb)("POST", wire.url)
    assert wire.requests == []


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[1]", b'"text"', b"null", b'{"id": "7', b"\xff\xfe{", b"[" * 100_000],
    ids=["empty", "a page", "a list", "a string", "null", "cut", "other encoding", "deep"],
)
def test_a_body_that_is_no_json_object_has_an_unknown_outcome(body: bytes) -> None:
    with pytest.raises(OutcomeUnknown, match="no JSON"):
        given(body=body).json()


DATE = "Tue, 24 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        pytest.param({}, None, id="absent"),
        pytest.param({"Retry-After": "120"}, timedelta(seconds=120), id="seconds"),
        pytest.param({"Retry-After": " 0 "}, timedelta(0), id="zero"),
        pytest.param({"Retry-After": "604801"}, timedelta(days=7), id="over a week"),
        pytest.param({"Retry-After": "9" * 20}, timedelta(days=7), id="very long"),
        pytest.param({"Retry-After": "-5"}, None, id="negative"),
        pytest.param({"Retry-After": "1.5"}, None, id="a fraction"),
        pytest.param({"Retry-After": "١٢"}, None, id="other digits"),
        pytest.param({"Retry-After": "soon"}, None, id="a word"),
        pytest.param({"Retry-After": ""}, None, id="empty"),
        pytest.param(
            {"Retry-After": "Tue, 24 Nov 2026 08:10:00 GMT", "Date": DATE}, timedelta(minutes=10), id="a date ahead"
        ),
        pytest.param({"Retry-After": "Tue, 24 Nov 2026 07:00:00 GMT", "Date": DATE}, timedelta(0), id="a date past"),
        pytest.param({"Retry-After": "Tue, 24 Nov 2093 08:00:00 GMT", "Date": DATE}, timedelta(days=7), id="far ahead"),
        pytest.param(
            {"Retry-After": "Tue, 24 Nov 2026 08:10:00 -0000", "Date": DATE}, timedelta(minutes=10), id="no zone"
        ),
        pytest.param({"Retry-After": "Tue, 24 Nov 2026 08:10:00 GMT"}, None, id="a date and no clock"),
        pytest.param({"Retry-After": "Tue, 24 Nov 2026 08:10:00 GMT", "Date": "now"}, None, id="a date, broken clock"),
        pytest.param({"Retry-After": "Tue, 99 Nov 2026 99:99:99 GMT", "Date": DATE}, None, id="an impossible date"),
    ],
)
def test_the_wait_that_is_asked_for_is_read_from(headers: Mapping[str, str], wait: timedelta | None) -> None:
    assert given(429, headers=headers).retry_after() == wait


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, OutcomeUnknown),
        (400, OutcomeUnknown),
        (401, Unauthorized),
        (403, OutcomeUnknown),
        (404, OutcomeUnknown),
        (409, OutcomeUnknown),
        (422, OutcomeUnknown),
        (429, RateLimited),
        (500, OutcomeUnknown),
        (503, OutcomeUnknown),
    ],
)
def test_a_status_means_where_the_platform_knows_no_better(status: int, kind: type[DeliveryError]) -> None:
    error = error_from(given(status, b'{"error": "said so"}'))
    assert type(error) is kind
    assert str(error) == f"status {status}: said so"


def test_a_part_of_a_form_has_its_kind_and_a_file_its_name_byte_for_byte() -> None:
    parts = {"json": Upload(content=b'{"a":1}', type="application/json"), "picture": PICTURE}
    body, header = multipart(parts, {"note": "é"})
    line = b"--" + header["Content-Type"].partition("boundary=")[2].encode()
    assert body == b"\r\n".join(
        [
            line,
            b'Content-Disposition: form-data; name="note"', b"", "é".encode(),
            line,
            b'Content-Disposition: form-data; name="json"', b"Content-Type: application/json", b"", b'{"a":1}',
            line,
            b'Content-Disposition: form-data; name="picture"; filename="%b"' % str(PICTURE.filename).encode(),
            b"Content-Type: " + PICTURE.type.encode(), b"", PICTURE.content,
            line + b"--", b"",
        ]
    )  # fmt: skip


def test_a_rate_limit_carries_the_wait() -> None:
    error = error_from(given(429, headers={"Retry-After": "30"}))
    assert isinstance(error, RateLimited)
    assert error.wait == timedelta(seconds=30)


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        pytest.param(b"", "status 500", id="nothing"),
        pytest.param(b"a\r\n\tb\x00\x1b[31mc", "status 500: a b [31mc", id="control characters"),
        pytest.param(b"\xff\xfebad", "status 500: ��bad", id="broken UTF-8"),
        pytest.param(b"<html><b>Too</b> busy</html>", "status 500: Too busy", id="a page"),
        pytest.param(b"berita " * 99, "status 500: " + ("berita " * 99)[:199] + "…", id="long"),
        pytest.param(b"https://a.example/p?key=t0ken fails", "status 500: https://a.example/p?… fails", id="a query"),
        pytest.param(b"bad header Bearer t0ken", "status 500: bad header Bearer …", id="a header"),
        pytest.param(b'{"access_token":"t0ken","a":1}', 'status 500: {"access_token":"…","a":1}', id="a token by name"),
        pytest.param(b'{"error":"Bad","message":"too long","a":1}', "status 500: Bad: too long", id="an error in JSON"),
        pytest.param(b'{"error":7}', 'status 500: {"error":7}', id="JSON without words"),
        pytest.param(b"no method /bot123:t0ken/send", "status 500: no method /bot…/send", id="a token in a path"),
        pytest.param(b"signed t0ken" + b"x" * 40, "status 500: signed …", id="long and without a blank"),
    ],
)  # fmt: skip
def test_evidence_is_one_bounded_line_without_secrets_of(body: bytes, shown: str) -> None:
    assert evidence(given(500, body)) == shown


def test_an_answer_does_not_show_its_url_headers_or_body() -> None:
    assert repr(given(headers={"Set-Cookie": "t0ken"}, body=b"t0ken")) == "Answer(status=200)"


# --- uploads ---------------------------------------------------------------------------------------------------------

PICTURE = Upload(content=b"\xff\xd8\r\n--\x00\xff", filename="picture.jpg", type="image/jpeg")


def test_an_upload_carries_file_name_type_and_fields() -> None:
    body, header = multipart({"file": PICTURE}, {"description": "Sebuah “jembatan”\nbaru"})
    whole = message_from_bytes(f"Content-Type: {header['Content-Type']}\r\n\r\n".encode() + body)
    _, description, file = whole.walk()
    assert description.get_param("name", header="content-disposition") == "description"
    assert description.get_payload(decode=True) == "Sebuah “jembatan”\nbaru".encode()
    assert file.get_param("name", header="content-disposition") == "file"
    assert (file.get_filename(), file.get_content_type()) == ("picture.jpg", "image/jpeg")
    assert file.get_payload(decode=True) == PICTURE.content


def test_the_same_upload_has_the_same_bytes_and_another_one_another_boundary() -> None:
    first, again = (multipart({"file": PICTURE}, {"description": "A"}) for _ in range(2))
    other = Upload(content=b"other", filename="picture.jpg", type="image/jpeg")
    kinds = [
        multipart({"file": PICTURE}),
        multipart({"file": other}),
        first,
        multipart({"file": PICTURE}, {"A": "description"}),
    ]
    assert first == again
    assert len({header["Content-Type"] for _, header in kinds}) == 4


def test_an_upload_does_not_show_its_content() -> None:
    assert "xff" not in repr(PICTURE)
