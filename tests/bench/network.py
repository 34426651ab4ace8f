"""Networks on loopback that play a script per call, with a list of visible posts of their own.

    with Network(clock) as network:
        network.open("strong")
        network.script("strong", Call.PUBLISH, Step(say=Say.SILENCE, creates=NEVER), Step())

A call without a script is answered as a healthy network would. A post is told apart by account and link alone: this
server knows no delivery, no attempt and no state of ours.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from tests.servers.wire import Peer, Wire, answer

#: A step that never makes the post.
NEVER: timedelta | None = None
AT_ONCE = timedelta(0)


class Call(StrEnum):
    """What is asked of the network."""

    WHOAMI = "me"
    STAGE = "media"
    PUBLISH = "publish"
    FIND = "find"


class Say(StrEnum):
    """How the network answers."""

    OK = "ok"
    #: Success without the post's id.
    NO_ID = "no id"
    #: Success, and the body ends in the middle of the JSON.
    BROKEN = "broken"
    #: Nothing, until the client gives up.
    SILENCE = "silence"
    #: The connection is reset once `percent` of the body was read.
    RESET = "reset"
    #: 429; nothing is said of when unless `wait` is set.
    LIMITED = "429"
    UNAUTHORIZED = "401"
    #: 403 that the network documents: the account is suspended.
    SUSPENDED = "403"
    FAILED = "503"
    #: 4xx that the network documents as definite.
    REFUSED = "refused"
    PICTURE_REFUSED = "picture refused"
    #: 4xx that it does not document.
    ODD = "odd"
    #: It says that it has such a post.
    DUPLICATE = "duplicate"
    DUPLICATE_WITH_ID = "duplicate with id"
    #: It says that our key was used.
    KEY_USED = "key used"
    KEY_USED_WITH_ID = "key used with id"
    #: A list that ends too early.
    CUT_LIST = "cut list"
    #: An upload that is still in work.
    IN_WORK = "in work"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What becomes of one call."""

    say: Say = Say.OK
    #: When the post appears, counted from the call; None: never, or at once if the answer is OK.
    creates: timedelta | None = NEVER
    wait: timedelta | None = None
    percent: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one account's network behaves when it is healthy."""

    #: How long it remembers the key of a post.
    remembers: timedelta | None = None
    #: Its lists show a post so late.
    lag: timedelta = timedelta(0)
    #: An identical text is answered with the id of the first.
    refuses_doubles: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A post as a reader sees it."""

    id: str
    account: str
    link: str
    text: str
    #: Since when.
    at: datetime
    key: str | None = None
    picture: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One call that came."""

    account: str
    call: Call
    at: datetime
    key: str | None = None
    body: bytes = b""


@dataclass(slots=True)
class _Board:
    """One account on the network."""

    rules: Rules
    token: str
    owner: str
    up: bool = True
    posts: list[Seen] = field(default_factory=list)
    #: Posts that will appear at their time.
    coming: list[Seen] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


#: What is said with a fixed status and error; nothing in them is of the post.
_FIXED: dict[Say, tuple[int, str]] = {
    Say.LIMITED: (429, "slow down"),
    Say.UNAUTHORIZED: (401, "token"),
    Say.SUSPENDED: (403, "suspended"),
    Say.FAILED: (503, "down"),
    Say.REFUSED: (422, "refused"),
    Say.PICTURE_REFUSED: (422, "picture"),
    Say.ODD: (418, "teapot"),
    Say.DUPLICATE: (409, "duplicate"),
    Say.KEY_USED: (409, "key used"),
}
_WITH_ID = {Say.DUPLICATE_WITH_ID: "duplicate", Say.KEY_USED_WITH_ID: "key used"}


class Network:
    """A listening network with any number of accounts; its scripts can be changed while it runs."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._wire = Wire(self._serve)
        # Bound and never listening: a call there is refused, as by a server that is down.
        self._nobody = socket.socket()
        self._nobody.bind(("127.0.0.1", 0))
        self._boards: dict[str, _Board] = {}
        self._scripts: dict[tuple[str, Call], list[Step]] = defaultdict(list)
        self._lock = threading.RLock()
        self._count = 0
        #: Every call so far, in order.
        self.asked: list[Asked] = []
        #: Called, outside of our lock, once a post was made and before the answer goes out.
        self.after_publish: Callable[[], None] = lambda: None
        #: What the Date of its answers says; None: they have none.
        self.date: Callable[[], datetime] | None = None

    def __enter__(self) -> Self:
        self._wire.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._nobody.close()
        self._wire.__exit__(kind, error, trace)

    # --- set up ------------------------------------------------------------------------------------------------------

    def open(self, account: str, rules: Rules = Rules(), *, token: str = "good") -> None:
        """There is an account of this name, with this token."""
        with self._lock:
            self._boards[account] = _Board(rules=rules, token=token, owner=account)

    def reset(self) -> None:
        """No account, script or call is left."""
        with self._lock:
            self._boards.clear()
            self._scripts.clear()
            self.asked.clear()

    def change_token(self, account: str, token: str) -> None:
        """Only this token is taken from now on."""
        with self._lock:
            self._boards[account].token = token

    def change_rules(self, account: str, rules: Rules) -> None:
        """The account's network behaves so from now on."""
        with self._lock:
            self._boards[account].rules = rules

    def change_owner(self, account: str, owner: str) -> None:
        """The token belongs to somebody else from now on."""
        with self._lock:
            self._boards[account].owner = owner

    def unplug(self, account: str) -> None:
        """Connections of this account are refused from its next run on."""
        self._boards[account].up = False

    def plug(self, account: str) -> None:
        """Connections of this account are taken again."""
        self._boards[account].up = True

    def address(self, account: str) -> str:
        """Where the account's calls go."""
        port = self._wire.port if self._boards[account].up else self._nobody.getsockname()[1]
        return f"http://127.0.0.1:{port}/{account}"

    def script(self, account: str, call: Call, *steps: Step) -> None:
        """The next calls are answered so, each step once; then the network is healthy again."""
        with self._lock:
            self._scripts[account, call] = list(steps)

    def is_silent_next(self, account: str) -> bool:
        """Whether a call of the account will be left without an answer before another one is answered."""
        with self._lock:
            return any(
                steps and steps[0].say is Say.SILENCE for (name, _), steps in self._scripts.items() if name == account
            )

    def post_by_hand(self, account: str, link: str) -> Seen:
        """A person posts the link there."""
        with self._lock:
            return self._make(self._new(account, {"link": link, "text": f"by hand {link}"}, None, self._clock()))

    def delete(self, post: Seen) -> None:
        """A person takes a post away."""
        with self._lock:
            self._boards[post.account].posts.remove(post)

    # --- the judge ---------------------------------------------------------------------------------------------------

    def visible(self, account: str) -> tuple[Seen, ...]:
        """What a reader of the account sees now, in the order in which it appeared."""
        with self._lock:
            board = self._boards[account]
            self._ripen(board)
            return tuple(sorted(board.posts, key=lambda post: post.at))

    def links(self, account: str) -> list[str]:
        """The links of the visible posts in the order in which they appeared."""
        return [post.link for post in self.visible(account)]

    def doubles(self) -> set[tuple[str, str]]:
        """Account and link of what a reader sees more than once."""
        with self._lock:
            names = list(self._boards)
        seen = [(name, link) for name in names for link in self.links(name)]
        return {one for one in seen if seen.count(one) > 1}

    def calls(self, account: str, call: Call) -> list[Asked]:
        """The calls of one kind that came for an account."""
        return [asked for asked in self.asked if asked.account == account and asked.call is call]

    # --- one connection ----------------------------------------------------------------------------------------------

    def _serve(self, peer: Peer) -> None:
        while head := peer.read_head():
            account, call, headers = _parsed(head)
            length = int(headers.get("content-length", "0"))
            with self._lock:
                steps = self._scripts[account, call]
                step = steps.pop(0) if steps else Step()
            if step.say is Say.RESET and step.creates is NEVER:
                peer.read(length * step.percent // 100)
                self._note(account, call, headers, b"")
                peer.reset()
                return
            body = peer.read(length)
            if len(body) < length:
                return  # the client died or gave up: a server does not act on half a request
            self._note(account, call, headers, body)
            if not self._respond(peer, account, call, headers, body, step):
                return

    def _note(self, account: str, call: Call, headers: Mapping[str, str], body: bytes) -> None:
        asked = Asked(account=account, call=call, at=self._clock(), key=headers.get("idempotency-key"), body=body)
        with self._lock:
            self.asked.append(asked)

    def _respond(
        self, peer: Peer, account: str, call: Call, headers: Mapping[str, str], body: bytes, step: Step
    ) -> bool:
        """Do and answer as the step says; whether the connection goes on."""
        with self._lock:
            reply = self._reply(account, call, headers, body, step)
        if call is Call.PUBLISH:
            self.after_publish()
        if step.say is Say.SILENCE:
            peer.read(1)
            return False
        if step.say is Say.RESET:
            peer.reset()
            return False
        dated = {"Date": format_datetime(self.date(), usegmt=True)} if self.date is not None else {}
        peer.write(answer(reply.status, reply.body, {"Content-Type": "application/json", **dated, **reply.headers}))
        return True

    def _reply(self, account: str, call: Call, headers: Mapping[str, str], body: bytes, step: Step) -> _Reply:
        board = self._boards[account]
        self._ripen(board)
        if step.say in _FIXED and call is not Call.PUBLISH:
            return _fixed(step)
        if headers.get("authorization") != f"Bearer {board.token}":
            return _fixed(Step(say=Say.UNAUTHORIZED))
        match call:
            case Call.WHOAMI:
                return _json(200, {"id": board.owner, "name": f"The {board.owner}"})
            case Call.STAGE if step.say is Say.IN_WORK:
                return _json(202, {"id": "upload", "wait": step.wait.total_seconds() if step.wait else 0})
            case Call.STAGE:
                self._count += 1
                return _json(200, {"id": f"upload-{self._count}"})
            case Call.FIND:
                return self._listed(board, step)
            case Call.PUBLISH:
                return self._published(board, account, headers, json.loads(body), step)

    def _listed(self, board: _Board, step: Step) -> _Reply:
        shown = [post for post in board.posts if post.at <= self._clock() - board.rules.lag]
        posts = [{"id": post.id, "link": post.link, "key": post.key} for post in shown]
        if step.say is Say.CUT_LIST:
            return _json(200, {"posts": [], "whole": False})
        return _json(200, {"posts": posts, "whole": True})

    def _published(
        self, board: _Board, account: str, headers: Mapping[str, str], body: dict[str, Any], step: Step
    ) -> _Reply:
        now = self._clock()
        wanted = self._new(account, body, headers.get("idempotency-key"), now)
        delay = AT_ONCE if step.say is Say.OK and step.creates is NEVER else step.creates
        there = self._known_by_key(board, wanted)
        if there is None and board.rules.refuses_doubles:
            there = next((post for post in board.posts if post.text == wanted.text), None)
            if there is not None:
                return _json(409, {"error": "duplicate", "id": there.id})
        if there is None and delay is not None:
            there = self._make(replace(wanted, at=now + delay))
        return self._said(board, wanted, there, step)

    def _said(self, board: _Board, wanted: Seen, there: Seen | None, step: Step) -> _Reply:
        if step.say in _FIXED:
            return _fixed(step)
        if step.say in _WITH_ID:
            first = next((post for post in board.posts if post.link == wanted.link), wanted)
            return _json(409, {"error": _WITH_ID[step.say], "id": first.id})
        made = there or wanted
        whole = _json(200, {"id": made.id, "url": f"https://network.example/{made.account}/{made.id}"})
        if step.say is Say.NO_ID:
            return _json(200, {})
        return replace(whole, body=whole.body[:8]) if step.say is Say.BROKEN else whole

    # --- posts -------------------------------------------------------------------------------------------------------

    def _new(self, account: str, body: Mapping[str, Any], key: str | None, now: datetime) -> Seen:
        self._count += 1
        return Seen(
            id=f"post-{self._count}",
            account=account,
            link=body["link"],
            text=body["text"],
            at=now,
            key=key,
            picture=body.get("media"),
        )

    def _make(self, post: Seen) -> Seen:
        board = self._boards[post.account]
        (board.posts if post.at <= self._clock() else board.coming).append(post)
        return post

    def _ripen(self, board: _Board) -> None:
        """What was to come by now is there, unless its key was used meanwhile."""
        now = self._clock()
        for post in sorted((post for post in board.coming if post.at <= now), key=lambda post: post.at):
            board.coming.remove(post)
            if self._known_by_key(board, post) is None:
                board.posts.append(post)

    @staticmethod
    def _known_by_key(board: _Board, wanted: Seen) -> Seen | None:
        window = board.rules.remembers
        if window is None or wanted.key is None:
            return None
        return next(
            (post for post in board.posts if post.key == wanted.key and abs(wanted.at - post.at) <= window), None
        )


def _parsed(head: bytes) -> tuple[str, Call, dict[str, str]]:
    first, *lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    _, account, call = first.split(" ")[1].partition("?")[0].split("/")
    fields = (line.partition(": ") for line in lines)
    return account, Call(call), {name.lower(): value for name, _, value in fields}


def _json(status: int, value: object) -> _Reply:
    return _Reply(status, json.dumps(value).encode())


def _fixed(step: Step) -> _Reply:
    status, error = _FIXED[step.say]
    headers = {"Retry-After": str(int(step.wait.total_seconds()))} if step.wait is not None else {}
    return _Reply(status, json.dumps({"error": error}).encode(), headers)
