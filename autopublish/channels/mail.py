"""Mail: a notice as a letter, given to an SMTP server over TLS.

Sources: https://www.rfc-editor.org/rfc/rfc5321, RFC 8314 (TLS for submission), RFC 3834 (automatic mail).
"""

from __future__ import annotations

import re
import smtplib
import socket
from datetime import timedelta
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from enum import StrEnum
from typing import Annotated, BinaryIO, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from autopublish.channels._base import DEADLINE, Channel, Notice
from autopublish.channels._settings import ChannelSettings
from autopublish.errors import ChannelError, NetworkError
from autopublish.net import Client
from autopublish.redaction import redact
from autopublish.text import clean

#: What a server's own words may take of ours.
_SAID_LENGTH = 200
#: What a server may say in all: smtplib keeps the lines of an answer until the last one comes, and one may never come.
_MOST_BYTES = 1_000_000
#: No blanks, brackets or separators: an address can be no header and no second address.
_ADDRESS = re.compile(r"[!-~]+@[!-~]+")
_NEVER_IN_ADDRESS = re.compile(r"[\s<>(),;:\\\"\[\]]|@.*@")
_SERVER = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(?::(?P<port>[1-9]\d{0,4}))?")


class Security(StrEnum):
    """How the way to the server is kept secret."""

    #: Plain at first, then TLS before anything is said.
    STARTTLS = "starttls"
    #: TLS from the first byte.
    TLS = "tls"
    #: Not at all; no password is sent.
    NONE = "none"


_PORTS = {Security.STARTTLS: 587, Security.TLS: 465, Security.NONE: 25}


def _check_address(value: str) -> str:
    if not _ADDRESS.fullmatch(value) or _NEVER_IN_ADDRESS.search(value):
        raise ValueError("expected one mail address in plain ASCII, such as desk@news.example")
    return value


def _check_server(value: str) -> str:
    found = _SERVER.fullmatch(value)
    if found is None or int(found["port"] or 1) > 65_535:
        raise ValueError("expected a host, or a host and its port, such as smtp.news.example or smtp.news.example:587")
    return value


def _as_list(value: object) -> object:
    """One value may stand where a list is expected."""
    return [value] if isinstance(value, str) else value


Address = Annotated[str, AfterValidator(_check_address)]


class Mail(Channel):
    """Letters to some people, by one server."""

    class Settings(ChannelSettings):
        """Who gets them, and who carries them."""

        #: Who gets the mail: one address, or a list.
        to: Annotated[
            tuple[Address, ...],
            BeforeValidator(_as_list, json_schema_input_type=Address | tuple[Address, ...]),
            Field(min_length=1),
        ]
        #: The server that takes it: a host, or host:port; port 587 by default, 465 with tls, 25 with none.
        server: Annotated[str, AfterValidator(_check_server)]
        #: starttls, tls, or none, which is for a server on this machine and sends no password.
        security: Security = Security.STARTTLS
        #: Who it is from; the first of `to` by default.
        sender: Annotated[Address | None, Field(alias="from")] = None
        #: Who logs in; nobody by default.
        user: Annotated[str, Field(min_length=1)] | None = None
        #: The password of that user.
        password: SecretStr | None = None

        @model_validator(mode="after")
        def _hangs_together(self) -> Self:
            if (self.user is None) is not (self.password is None):
                raise ValueError("expected both user and password, or neither")
            if self.password is not None and self.security is Security.NONE:
                raise ValueError("a password is sent under TLS only: expected security: starttls or tls")
            return self

    def __init__(self, settings: Settings, client: Client, *, deadline: timedelta = DEADLINE) -> None:
        self._settings = settings
        self._client = client
        self._deadline = deadline

    def tell(self, notice: Notice) -> None:
        """The server has taken the letter for one address at least."""
        try:
            self._send(self._letter(notice).as_bytes(policy=SMTP))
        except NetworkError as error:
            raise ChannelError(f"{self._settings.server}: {error}") from error

    # --- the letter --------------------------------------------------------------------------------------------------

    @property
    def _from(self) -> str:
        return self._settings.sender or self._settings.to[0]

    def _letter(self, notice: Notice) -> EmailMessage:
        letter = EmailMessage(policy=SMTP)
        letter["From"] = f"autopublish <{self._from}>"
        letter["To"] = ", ".join(self._settings.to)
        letter["Subject"] = clean(notice.title)
        letter["Date"] = format_datetime(notice.at)
        # The same when it is sent again: many servers and programs show such a letter once.
        letter["Message-ID"] = f"<{notice.id}@{self._from.rpartition('@')[2]}>"
        # No out-of-office note answers it: https://www.rfc-editor.org/rfc/rfc3834#section-5
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(notice.text + "\n", charset="utf-8")
        return letter

    # --- the server --------------------------------------------------------------------------------------------------

    def _send(self, letter: bytes) -> None:
        """The letter was given to the server.

        Raises:
            NetworkError: it could not be reached, or not in time.
            ChannelError: it refused.
        """
        host, port = self._place()
        # The operator names this server; it often stands in the same house, or on the same machine.
        with self._client.connection(host, port, deadline=self._deadline, allow_private=True) as sock:
            try:
                if self._settings.security is Security.TLS:
                    sock = self._client.tls().wrap_socket(sock, server_hostname=host)
                self._talk(sock, host, port, letter)
            except smtplib.SMTPServerDisconnected:
                raise ConnectionResetError(0, "the server closed the connection") from None
            except smtplib.SMTPException as error:
                # Not chained: it may quote what was sent.
                raise ChannelError(f"{self._settings.server}: {_in_words(error)}") from None
            except UnicodeError:
                words = "user and password may hold plain ASCII only"
                raise ChannelError(f"{self._settings.server}: {words}") from None

    def _place(self) -> tuple[str, int]:
        found = _SERVER.fullmatch(self._settings.server)
        assert found is not None, "checked when the file was read"
        return found["host"].strip("[]"), int(found["port"] or _PORTS[self._settings.security])

    def _talk(self, sock: socket.socket, host: str, port: int, letter: bytes) -> None:
        smtp = _Smtp(sock, host, port)
        try:
            smtp.ehlo_or_helo_if_needed()
            if self._settings.security is Security.STARTTLS:
                smtp.starttls(context=self._client.tls())
            if self._settings.user is not None and self._settings.password is not None:
                smtp.login(self._settings.user, self._settings.password.get_secret_value())
            smtp.sendmail(self._from, list(self._settings.to), letter)
        finally:
            # Without QUIT: the letter is taken or not by now, and a server that hangs would make it look failed.
            smtp.close()


class _Smtp(smtplib.SMTP):
    """The protocol over a socket that is connected already."""

    def __init__(self, sock: socket.socket, host: str, port: int) -> None:
        self._given = sock
        ours = str(sock.getsockname()[0])
        # An address in place of a name, which would be looked up: https://www.rfc-editor.org/rfc/rfc5321#section-4.1.3
        literal = f"[IPv6:{ours}]" if ":" in ours else f"[{ours}]"
        super().__init__(host, port, local_hostname=literal)

    def getreply(self) -> tuple[int, bytes]:
        """The server's answer.

        Raises:
            _TooLong: it says more than any server has to say.
        """
        # Closed and forgotten by it once TLS begins.
        if self.file is None and self.sock is not None:
            self.file = _Said(self.sock.makefile("rb"))
        said = self.file
        try:
            return super().getreply()
        except smtplib.SMTPServerDisconnected:
            if isinstance(said, _Said) and said.left < 0:
                raise _TooLong from None
            raise

    def _get_socket(self, host: str, port: int, timeout: float | None) -> socket.socket:
        return self._given


class _TooLong(smtplib.SMTPException):
    """A server that does not come to an end."""


class _Said:
    """What a server says, line by line, up to a length in all."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        #: Less than nothing: it said too much.
        self.left = _MOST_BYTES

    def readline(self, size: int) -> bytes:
        """The next line, or as much of it; smtplib takes an error for the end of the connection."""
        line = self._file.readline(size)
        self.left -= len(line)
        if self.left < 0:
            raise OSError("too much was said")
        return line

    def close(self) -> None:
        self._file.close()


def _in_words(error: smtplib.SMTPException) -> str:
    """Why the server took no letter, in its own words where it has some."""
    match error:
        case _TooLong():
            return f"it says more than {_MOST_BYTES} bytes, and was left"
        case smtplib.SMTPNotSupportedError():
            return "it offers not what `security` and `user` ask for, so that nothing was sent"
        case smtplib.SMTPAuthenticationError(smtp_code=code, smtp_error=said):
            return f"the user or password was refused ({_said(code, said)})"
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            return "; ".join(f"{address} was refused ({_said(*why)})" for address, why in refused.items())
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=said):
            return f"it refused ({_said(code, said)})"
        case _:
            return type(error).__name__


def _said(code: int, said: bytes | str) -> str:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    # Before it is cut: half a secret would not be found.
    return f"{code} {clean(redact(text))[:_SAID_LENGTH]}".strip()
