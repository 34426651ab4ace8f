"""A strict Bluesky server (PDS) on loopback for one account: it checks what the real one checks, in its words.

    with FakePds() as pds:
        pds.url, pds.handle, pds.password          # what an account's settings need
        pds.script("putRecord", Fault(made=Made.AT_ONCE, then=Then.SILENCE))
        pds.visible()                               # the judge: what readers of the account see

`stop` and `start` keep port, records and sessions, so that an outage can be played. The answers are those of
`@atproto/pds` 0.4.217, asked one by one.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.servers.bluesky_lexicon import RECORD_KEY, TID, Refused, blobs_of, check_post

_POST = "app.bsky.feed.post"
_CID = re.compile(r"b[a-z2-7]{58}")
_REFRESHING = "com.atproto.refresh"
_ACCESS = "com.atproto.appPass"


class Made(StrEnum):
    """Whether the faulty call does its work."""

    NEVER = "never"
    #: Before the fault.
    AT_ONCE = "at once"
    #: After the client has left.
    LATE = "late"


class Then(StrEnum):
    """What the client gets of a faulty call."""

    #: Nothing at all; the connection stays open until the client leaves.
    SILENCE = "silence"
    #: A reset after the request was read.
    RESET = "reset"
    #: A reset when half of the request's body was read; nothing is made.
    RESET_READING = "reset while reading"
    #: The answer of the fault's `status` and `body`.
    ANSWER = "answer"
    #: Half of the right answer's body, then the end of the connection.
    CUT = "cut"
    #: Bytes that are no HTTP.
    GARBAGE = "garbage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """How one call goes wrong."""

    then: Then
    made: Made = Made.NEVER
    status: int = 500
    body: bytes = b'{"error":"InternalServerError","message":"Internal Server Error"}'
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it came."""

    #: The last part of the method's name, as `putRecord`.
    name: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class VisiblePost:
    """A post as a reader finds it."""

    uri: str
    cid: str
    record: Mapping[str, Any]

    @property
    def text(self) -> str:
        return str(self.record["text"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Token:
    scope: str
    state: str = "good"


class _XrpcError(Exception):
    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.reply = _reply({"error": name, "message": message}, status)


def _reply(value: Mapping[str, Any], status: int = 200) -> _Reply:
    return _Reply(status=status, body=json.dumps(value, ensure_ascii=False).encode())


def _invalid(message: str) -> _XrpcError:
    return _XrpcError(400, "InvalidRequest", message)


class FakePds:
    """The server; a context manager. Attributes are set before or between calls."""

    did = "did:plc:ifq52y2rbja5zmqyb75gl5en"
    handle = "kaltim.test"
    password = "abcd-efgh-ijkl-mnop"

    def __init__(self, *, port: int = 0) -> None:
        self.port = port
        #: What the server takes for now, in seconds since 1970; stands in its Date headers and rate limits.
        self.clock: Callable[[], float] = time.time
        #: Most calls of a method in its window of 300 s, by name; without an entry there is no limit and no header.
        self.limits: dict[str, int] = {}
        self.active = True
        self.status: str | None = None
        #: The account's document as the login shows it; the test server of Bluesky shows none.
        self.document: Mapping[str, Any] | None = None
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        self._records: dict[str, tuple[str, dict[str, Any]]] = {}
        self._blobs: dict[str, tuple[str, int]] = {}
        self._tokens: dict[str, _Token] = {}
        self._faults: defaultdict[str, deque[Fault | None]] = defaultdict(deque)
        self._used: dict[str, tuple[int, int]] = {}
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    # --- life ---

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """The server listens, on the port it had before if it had one."""
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """Nothing listens, every connection is closed and every thread has ended; records and sessions are kept."""
        if self._server is None or self._thread is None:
            return
        self._server.shutdown()
        self._thread.join()
        self._server.drop_connections()
        self._server.server_close()
        self._server = self._thread = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    # --- what a test looks at and sets ---

    def visible(self) -> list[VisiblePost]:
        """The account's posts, the newest key first."""
        with self._lock:
            return [
                VisiblePost(uri=self._uri(rkey), cid=cid, record=record)
                for rkey, (cid, record) in sorted(self._records.items(), reverse=True)
            ]

    def script(self, name: str, *faults: Fault | None) -> None:
        """The next calls of a method, as `putRecord`, go wrong in this order; None is a call that goes right."""
        with self._lock:
            self._faults[name].extend(faults)

    def called(self, name: str) -> list[Call]:
        """The calls of a method so far, also those that went wrong."""
        with self._lock:
            return [call for call in self.calls if call.name == name]

    def write(self, rkey: str, record: dict[str, Any]) -> None:
        """A record stands there as if another program had written it."""
        with self._lock:
            self._records[rkey] = (_record_cid(record), record)

    def trust(self, entryway: FakePds) -> None:
        """The tokens that another server gives are good here as well, as Bluesky's hosts trust its entryway."""
        self._tokens = entryway._tokens

    def expire_access(self) -> None:
        """Every access token given so far has expired."""
        self._age(_ACCESS, "expired")

    def expire_refresh(self) -> None:
        """Every refresh token given so far has expired."""
        self._age(_REFRESHING, "expired")

    def drop_unused_blobs(self) -> None:
        """Uploads that no record names are gone, as they are after a while."""
        with self._lock:
            used = {blob["ref"]["$link"] for _, record in self._records.values() for blob in blobs_of(record)}
            self._blobs = {cid: blob for cid, blob in self._blobs.items() if cid in used}

    def _age(self, scope: str, state: str) -> None:
        with self._lock:
            for token, known in self._tokens.items():
                if known.scope == scope:
                    self._tokens[token] = _Token(scope, state)

    # --- dispatch ---

    def fault(self, name: str) -> Fault | None:
        with self._lock:
            return self._faults[name].popleft() if self._faults[name] else None

    def answer(self, method: str, call: Call) -> _Reply:
        """What the server says to a call, with its effect."""
        routes: dict[tuple[str, str], Callable[[Call], _Reply]] = {
            ("POST", "createSession"): self._create_session,
            ("POST", "refreshSession"): self._refresh_session,
            ("POST", "uploadBlob"): self._upload_blob,
            ("POST", "putRecord"): self._put_record,
            ("POST", "deleteRecord"): self._delete_record,
            ("GET", "getRecord"): self._get_record,
            ("GET", "listRecords"): self._list_records,
        }
        with self._lock:
            limits = self._limit_headers(call.name)
            try:
                if limits.get("RateLimit-Remaining") == "over":
                    raise _XrpcError(429, "RateLimitExceeded", "Rate Limit Exceeded")
                if (method, call.name) not in routes:
                    raise _XrpcError(401, "AuthMissing", "Authentication Required")
                reply = routes[method, call.name](call)
            except _XrpcError as error:
                reply = error.reply
        shown = {name: "0" if value == "over" else value for name, value in limits.items()}
        return _Reply(status=reply.status, body=reply.body, headers=shown)

    def _limit_headers(self, name: str) -> dict[str, str]:
        most = self.limits.get(name)
        if most is None:
            return {}
        now = int(self.clock())
        since, used = self._used.get(name, (now, 0))
        if now >= since + 300:
            since, used = now, 0
        self._used[name] = (since, used + 1)
        left = str(most - used - 1) if used < most else "over"
        return {
            "RateLimit-Limit": str(most),
            "RateLimit-Remaining": left,
            "RateLimit-Reset": str(since + 300),
            "RateLimit-Policy": f"{most};w=300",
        }

    # --- sessions ---

    def _create_session(self, call: Call) -> _Reply:
        body = _json(call)
        for name in ("identifier", "password"):
            if not isinstance(body.get(name), str):
                raise _invalid(f'Missing required key "{name}" at $')
        if body["identifier"] not in (self.did, self.handle) or body["password"] != self.password:
            raise _XrpcError(401, "AuthenticationRequired", "Invalid identifier or password")
        return self._session()

    def _refresh_session(self, call: Call) -> _Reply:
        # The old refresh token works on for two hours after its rotation.
        self._authorise(call, _REFRESHING)
        return self._session()

    def _session(self) -> _Reply:
        number = len(self._tokens)
        access, refresh = (f"{kind}.{number}.{'s' * 40}" for kind in ("access", "refresh"))
        self._tokens |= {access: _Token(_ACCESS), refresh: _Token(_REFRESHING)}
        body: dict[str, Any] = {
            "accessJwt": access,
            "refreshJwt": refresh,
            "did": self.did,
            "handle": self.handle,
            "active": self.active,
        }
        if self.status is not None:
            body["status"] = self.status
        if self.document is not None:
            body["didDoc"] = self.document
        return _reply(body)

    def _authorise(self, call: Call, scope: str) -> None:
        header = call.headers.get("Authorization")
        if not header:
            raise _XrpcError(401, "AuthMissing", "Authentication Required")
        kind, _, value = header.partition(" ")
        if kind != "Bearer":
            raise _XrpcError(400, "InvalidToken", "Unexpected authorization type")
        token = self._tokens.get(value)
        if token is None:
            raise _XrpcError(400, "InvalidToken", "Token could not be verified")
        if token.scope != scope:
            raise _XrpcError(400, "InvalidToken", "Invalid token type")
        if token.state == "expired":
            raise _XrpcError(400, "ExpiredToken", "Token has expired")

    # --- blobs ---

    def _upload_blob(self, call: Call) -> _Reply:
        self._authorise(call, _ACCESS)
        media_type = _sniffed(call.body) or call.headers.get("Content-Type", "application/octet-stream")
        cid = _cid(0x55, call.body)
        self._blobs[cid] = (media_type, len(call.body))
        blob = {"$type": "blob", "ref": {"$link": cid}, "mimeType": media_type, "size": len(call.body)}
        return _reply({"blob": blob})

    # --- records ---

    def _put_record(self, call: Call) -> _Reply:
        self._authorise(call, _ACCESS)
        body = _json(call)
        record, rkey = _checked_put(body)
        if not re.fullmatch(r"did:\w+:[\w.:%-]+|[\w.-]+\.\w+", str(body["repo"])):
            raise _invalid(f'Invalid AT identifier (got "{body["repo"]}") at $.repo')
        if body["repo"] not in (self.did, self.handle):
            raise _XrpcError(403, "AccountNotFound", "Account not found")
        for blob in blobs_of(record):
            if blob["ref"]["$link"] not in self._blobs:
                raise _XrpcError(400, "BlobNotFound", f"Could not find blob: {blob['ref']['$link']}")
        cid = _record_cid(record)
        there = self._records.get(rkey)
        answer: dict[str, Any] = {"uri": self._uri(rkey), "cid": cid, "validationStatus": "valid"}
        if there is not None and there[0] == cid:
            return _reply(answer)
        if "swapRecord" in body and body["swapRecord"] != (there[0] if there else None):
            raise _XrpcError(400, "InvalidSwap", f"Record was at {there[0] if there else None}")
        self._records[rkey] = (cid, record)
        return _reply(answer | {"commit": {"cid": _cid(0x71, cid.encode()), "rev": "3n32bh2cix22f"}})

    def _delete_record(self, call: Call) -> _Reply:
        self._authorise(call, _ACCESS)
        there = self._records.pop(str(_json(call).get("rkey")), None)
        return _reply({"commit": {"cid": there[0], "rev": "3n32bh2cix22f"}} if there else {})

    def _get_record(self, call: Call) -> _Reply:
        if "rkey" not in call.params:
            raise _XrpcError(500, "InternalServerError", "Internal Server Error")
        if call.params.get("repo") not in (self.did, self.handle):
            raise _XrpcError(502, "UpstreamFailure", "Upstream service unreachable")  # it asks the rest of the network
        self._check_repo(call)
        rkey = call.params["rkey"]
        if rkey not in self._records:
            raise _XrpcError(400, "RecordNotFound", f"Could not locate record: {self._uri(rkey)}")
        return _reply(self._shown(rkey))

    def _list_records(self, call: Call) -> _Reply:
        self._check_repo(call)
        limit = int(call.params.get("limit", "50"))
        if not 1 <= limit <= 100:
            raise _XrpcError(500, "InternalServerError", "Internal Server Error")
        before = call.params.get("cursor", "~")
        keys = [rkey for rkey in sorted(self._records, reverse=True) if rkey < before][:limit]
        answer: dict[str, Any] = {"records": [self._shown(rkey) for rkey in keys]}
        return _reply(answer | ({"cursor": keys[-1]} if keys else {}))

    def _check_repo(self, call: Call) -> None:
        if call.params.get("repo") not in (self.did, self.handle):
            raise _invalid(f"Could not find repo: {call.params.get('repo')}")
        if call.params.get("collection") != _POST:
            raise _invalid("no such collection here")

    def _shown(self, rkey: str) -> dict[str, Any]:
        cid, record = self._records[rkey]
        return {"uri": self._uri(rkey), "cid": cid, "value": record}

    def _uri(self, rkey: str) -> str:
        return f"at://{self.did}/{_POST}/{rkey}"


def _checked_put(body: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Record and key of a valid body."""
    for name in ("repo", "collection", "rkey", "record"):
        if name not in body:
            raise _invalid(f'Missing required key "{name}" at $')
    record, rkey, swap = body["record"], body["rkey"], body.get("swapRecord")
    if not isinstance(record, dict):
        raise _invalid(f'Expected object value type (got "{record}") at $.record')
    if record.get("$type", body["collection"]) != body["collection"] or body["collection"] != _POST:
        raise _invalid(f"Invalid $type: expected {body['collection']}, got {record.get('$type')}")
    if not isinstance(rkey, str) or not RECORD_KEY.fullmatch(rkey):
        raise _invalid(f'Invalid record key (got "{rkey}") at $.rkey')
    if swap is not None and not (isinstance(swap, str) and _CID.fullmatch(swap)):
        raise _invalid(f'Invalid CID string (got "{swap}") at $.swapRecord')
    if not TID.fullmatch(rkey):
        raise _invalid(f'Invalid record key for {_POST}: Invalid TID string (got "{rkey}") at $')
    try:
        check_post(record)
    except Refused as error:
        raise _invalid(f"Invalid {_POST} record: {error}") from error
    return record, rkey


def _json(call: Call) -> Mapping[str, Any]:
    if call.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        raise _invalid(f"Wrong request encoding (Content-Type): {call.headers.get('Content-Type')}")
    try:
        body = json.loads(call.body)
    except ValueError as error:
        raise _XrpcError(400, "SyntaxError", str(error)) from error
    if not isinstance(body, dict):
        raise _invalid("Expected object value type at $")
    return body


def _cid(codec: int, content: bytes) -> str:
    """CIDv1 with sha256, as https://atproto.com/specs/data-model has it."""
    raw = bytes((1, codec, 0x12, 0x20)) + hashlib.sha256(content).digest()
    return "b" + base64.b32encode(raw).decode().lower().rstrip("=")


def _record_cid(record: Mapping[str, Any]) -> str:
    # The real one hashes DAG-CBOR; equal records have equal ids here as well, and that is all that matters.
    return _cid(0x71, json.dumps(record, sort_keys=True).encode())


def _sniffed(content: bytes) -> str | None:
    if content.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/png" if content.startswith(b"\x89PNG\r\n\x1a\n") else None


class _Server(ThreadingHTTPServer):
    # Every thread is waited for, so that nothing of a test lives on in the next one.
    daemon_threads = False

    def __init__(self, address: tuple[str, int], pds: FakePds) -> None:
        self.pds = pds
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is no error of the server."""

    def drop_connections(self) -> None:
        with self._guard:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Silent."""

    def _serve(self, method: str) -> None:
        parts = urlsplit(self.path)
        name = parts.path.removeprefix("/xrpc/").rpartition(".")[2]
        length = int(self.headers.get("Content-Length", "0"))
        fault = self.server.pds.fault(name)
        if fault is not None and fault.then is Then.RESET_READING:
            self.rfile.read(length // 2)
            self._reset()
            return
        call = Call(
            name=name,
            headers={key.title(): value for key, value in self.headers.items()},
            params=dict(parse_qsl(parts.query)),
            body=self.rfile.read(length),
        )
        self.server.pds.calls.append(call)
        if fault is None:
            self._send(self.server.pds.answer(method, call))
        else:
            self._fail(fault, method, call)

    def _fail(self, fault: Fault, method: str, call: Call) -> None:
        pds = self.server.pds
        made = pds.answer(method, call) if fault.made is Made.AT_ONCE else None
        if fault.then is Then.SILENCE:
            self._wait_until_left()
        elif fault.then is Then.RESET:
            self._reset()
        elif fault.then is Then.GARBAGE:
            self._raw(b"\x16\x03\x01 no http\r\n\r\n")
        elif fault.then is Then.CUT:
            self._cut(made.body if made else fault.body)
        else:
            self._send(_Reply(status=fault.status, body=fault.body, headers=fault.headers))
        if fault.made is Made.LATE:
            pds.answer(method, call)

    def _send(self, reply: _Reply) -> None:
        self.send_response_only(reply.status)
        headers = {"Date": formatdate(self.server.pds.clock(), usegmt=True), "Content-Type": "application/json"}
        for name, value in {**headers, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _cut(self, body: bytes) -> None:
        self._raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])

    def _raw(self, content: bytes) -> None:
        self.wfile.write(content)
        self.wfile.flush()
        self.close_connection = True

    def _wait_until_left(self) -> None:
        self.close_connection = True
        try:
            while self.connection.recv(1024):
                continue
        except OSError:
            return

    def _reset(self) -> None:
        self.close_connection = True
        # Linger zero makes the close a reset. Half of a shut-down would send a proper end first, so it is left out.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile.close()
        self.rfile.close()
        self.connection.close()
