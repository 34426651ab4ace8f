"""A mail server that takes letters, or does not: TLS, STARTTLS, logins, refusals at each step, silence.

with MailServer() as server:
    ...  # send to server.address
server.letters[0].body
"""

from __future__ import annotations

import base64
import contextlib
import re
import ssl
import threading
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import StrEnum
from types import TracebackType
from typing import Self

from tests.servers.wire import Peer, Wire, server_tls


class Way(StrEnum):
    """How the way to the server is kept secret."""

    NONE = "none"
    STARTTLS = "starttls"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One letter that was taken."""

    sender: str
    to: tuple[str, ...]
    raw: bytes
    #: Who had logged in.
    user: str | None
    under_tls: bool

    @property
    def mail(self) -> EmailMessage:
        """Its headers and body, decoded."""
        mail = message_from_bytes(self.raw, policy=default)
        assert isinstance(mail, EmailMessage)
        return mail

    @property
    def body(self) -> str:
        """Its text, with the line breaks of this machine."""
        return str(self.mail.get_content()).replace("\r\n", "\n")


@dataclass(slots=True)
class _Talk:
    """Where one connection stands."""

    user: str | None = None
    sender: str = ""
    to: list[str] = field(default_factory=list)
    under_tls: bool = False


class MailServer:
    """A listening server; what it refuses can be changed while it runs."""

    def __init__(
        self, *, way: Way = Way.NONE, logins: dict[str, str] | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self._way = way
        self._logins = logins
        self._tls = (tls or server_tls()) if way is not Way.NONE else None
        self._wire = Wire(self._serve, tls=self._tls if way is Way.TLS else None)
        self._lock = threading.Lock()
        #: A command, and what it is answered instead of a yes; `CONNECT` is the greeting, an empty answer is silence.
        self.refusals: dict[str, str] = {}
        #: After this command the connection is closed.
        self.hangs_up_after: str | None = None
        self.letters: list[Letter] = []
        #: Every line that a client said, without what is inside TLS's handshake.
        self.heard: list[str] = []

    @property
    def address(self) -> str:
        """Host and port as a configuration names them."""
        return f"127.0.0.1:{self._wire.port}"

    @property
    def connections(self) -> int:
        """How often somebody came."""
        return self._wire.connections

    def __enter__(self) -> Self:
        self._wire.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.__exit__(kind, error, trace)

    # --- the talk ----------------------------------------------------------------------------------------------------

    def _serve(self, peer: Peer) -> None:
        talk = _Talk(under_tls=self._way is Way.TLS)
        if not self._say(peer, "CONNECT", "220 mail.example ready"):
            return
        try:
            with contextlib.suppress(EOFError):
                while self._answer(peer, talk, _line(peer)):
                    pass
        finally:
            # After STARTTLS it is another one than the wire knows.
            peer.sock.close()

    def _answer(self, peer: Peer, talk: _Talk, line: str) -> bool:
        """Whether the talk goes on."""
        command, _, rest = line.partition(" ")
        command = command.upper()
        with self._lock:
            self.heard.append(f"{command} {rest}")
        if command in self.refusals and command != "AUTH":
            goes_on = self._say(peer, command, "")
        else:
            goes_on = self._do(peer, talk, command, line)
        return goes_on and command != self.hangs_up_after

    def _do(self, peer: Peer, talk: _Talk, command: str, line: str) -> bool:
        match command:
            case "EHLO":
                return self._say(peer, command, "\r\n".join(self._offers(talk)))
            case "STARTTLS" if self._way is Way.STARTTLS:
                assert self._tls is not None
                peer.write(b"220 go ahead\r\n")
                peer.sock = self._tls.wrap_socket(peer.sock, server_side=True)
                talk.under_tls = True
                return True
            case "AUTH":
                return self._log_in(peer, talk, line)
            case "MAIL":
                talk.sender, talk.to = _address(line), []
                return self._say(peer, command, "250 OK")
            case "RCPT":
                if (refusal := self.refusals.get(_address(line))) is not None:
                    return self._write(peer, refusal)
                talk.to.append(_address(line))
                return self._say(peer, command, "250 OK")
            case "DATA":
                return self._take(peer, talk)
            case "QUIT":
                self._write(peer, "221 bye")
                return False
            case "RSET":
                return self._write(peer, "250 OK")
            case _:
                return self._write(peer, "502 what?")

    def _offers(self, talk: _Talk) -> list[str]:
        offers = ["mail.example"]
        if self._way is Way.STARTTLS and not talk.under_tls:
            offers.append("STARTTLS")
        elif self._logins is not None:
            offers.append("AUTH PLAIN")
        return [f"250-{offer}" for offer in offers] + ["250 HELP"]

    def _log_in(self, peer: Peer, talk: _Talk, line: str) -> bool:
        _, user, password = base64.b64decode(line.split(" ")[2]).decode().split("\0")
        if (self._logins or {}).get(user) != password:
            return self._write(peer, self.refusals.get("AUTH", "535 5.7.8 Authentication failed"))
        talk.user = user
        return self._write(peer, "235 welcome")

    def _take(self, peer: Peer, talk: _Talk) -> bool:
        self._write(peer, "354 go on")
        lines = []
        while (line := _line(peer)) != ".":
            lines.append(line.removeprefix("."))
        if "." in self.refusals:
            return self._write(peer, self.refusals["."])
        letter = Letter(
            sender=talk.sender,
            to=tuple(talk.to),
            raw="\r\n".join([*lines, ""]).encode("latin-1"),
            user=talk.user,
            under_tls=talk.under_tls,
        )
        with self._lock:
            self.letters.append(letter)
        return self._write(peer, "250 taken")

    def _say(self, peer: Peer, command: str, usual: str) -> bool:
        said = self.refusals.get(command, usual)
        if not said:
            peer.hold()
            return False
        return self._write(peer, said)

    def _write(self, peer: Peer, said: str) -> bool:
        peer.write(f"{said}\r\n".encode())
        return not said.startswith("421")


def _line(peer: Peer) -> str:
    """The next line.

    Raises:
        EOFError: the client went away.
    """
    line = bytearray()
    while not line.endswith(b"\r\n"):
        byte = peer.read(1)
        if not byte:
            raise EOFError
        line += byte
    return line[:-2].decode("latin-1")


def _address(line: str) -> str:
    found = re.search(r"<([^>]*)>", line)
    return found[1] if found else ""
