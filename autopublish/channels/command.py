"""Command: a notice on the standard input of a program of the operator's, without a shell."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta

from autopublish.channels._base import DEADLINE, Channel, Notice
from autopublish.errors import ChannelError
from autopublish.redaction import redact
from autopublish.text import clean

#: So much of what it prints is kept to say why it failed; the rest is read and dropped.
_KEPT_BYTES = 4_000
_SAID_LENGTH = 200
_BLOCK_BYTES = 65_536
#: How often is asked whether it has ended, while it neither reads nor prints.
_GLANCE_SECONDS = 0.05
#: All that it gets of our environment, which may hold secrets: where programs are, whose they are, and their language.
_PASSED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE"}
    | {"DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"}
)
#: A daemon of ours has blocked the signals that it takes by hand, and a program begins with what its parent blocked.
_START = "import os, signal, sys; signal.pthread_sigmask(signal.SIG_SETMASK, ()); os.execvp(sys.argv[1], sys.argv[1:])"


class Command(Channel):
    """One program with its arguments."""

    def __init__(self, words: Sequence[str], *, deadline: timedelta = DEADLINE) -> None:
        self._words = tuple(words)
        self._deadline = deadline

    def check(self) -> None:
        """The program is there."""
        if shutil.which(self._words[0]) is None:
            raise ChannelError(f"{self._words[0]}: there is no such program, or it may not be run")

    def tell(self, notice: Notice) -> None:
        """The program has read the notice as it pleased, and ended with 0."""
        self.check()
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own program, and no shell
                [sys.executable, "-I", "-S", "-c", _START, *self._words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=_environment(os.environ),
                start_new_session=True,
            )
        except OSError as error:
            raise ChannelError(f"{self._words[0]}: cannot be started: {error.strerror}") from error
        said = self._talk(process, f"{notice.title}\n\n{notice.text}\n".encode())
        if process.returncode:
            # Before it is cut: half a secret would not be found.
            words = clean(redact(said.decode(errors="replace")))[:_SAID_LENGTH]
            raise ChannelError(f"{self._words[0]}: ended with {process.returncode}{f': {words}' if words else ''}")

    def _talk(self, process: subprocess.Popen[bytes], words: bytes) -> bytes:
        """The program has ended; gives what it printed first.

        What it left at work in a session of its own goes on, and is not waited for.

        Raises:
            ChannelError: it did not end in time, and was killed with all that it started.
        """
        until = time.monotonic() + self._deadline.total_seconds()
        pipes = _Pipes(process, words)
        try:
            while process.poll() is None:
                if time.monotonic() >= until:
                    seconds = self._deadline.total_seconds()
                    raise ChannelError(f"{self._words[0]}: was not done after {seconds:g} s, and was killed")
                pipes.go_on(_GLANCE_SECONDS)
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            pipes.close()
        return bytes(pipes.said)


class _Pipes:
    """What a program reads and prints, without ever waiting for whoever else holds the other ends."""

    def __init__(self, process: subprocess.Popen[bytes], words: bytes) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        #: What it printed first.
        self.said = bytearray()
        self._words = memoryview(words)
        self._into, self._from = process.stdin, process.stdout
        self._open = selectors.DefaultSelector()
        for pipe, event in ((self._into, selectors.EVENT_WRITE), (self._from, selectors.EVENT_READ)):
            os.set_blocking(pipe.fileno(), False)
            self._open.register(pipe, event)

    def go_on(self, seconds: float) -> bool:
        """Whether anything could be written or read, within so long."""
        ready = self._open.select(seconds)
        for key, _ in ready:
            if key.fileobj is self._into:
                self._write()
            else:
                self._read()
        return bool(ready)

    def close(self) -> None:
        """What was printed until now is read, and nothing else is."""
        while len(self.said) < _KEPT_BYTES and self._from in self._open.get_map() and self.go_on(0):
            pass
        self._open.close()
        for pipe in (self._into, self._from):
            # Its own buffer is empty: all was written past it.
            with contextlib.suppress(OSError):
                pipe.close()

    def _write(self) -> None:
        try:
            self._words = self._words[os.write(self._into.fileno(), self._words[:_BLOCK_BYTES]) :]
        except BlockingIOError:
            return
        except OSError:
            # It may have closed its end, which is its good right.
            self._words = self._words[:0]
        if not self._words:
            self._open.unregister(self._into)
            self._into.close()

    def _read(self) -> None:
        try:
            block = os.read(self._from.fileno(), _BLOCK_BYTES)
        except BlockingIOError:
            return
        if not block:
            self._open.unregister(self._from)
        self.said += block[: max(_KEPT_BYTES - len(self.said), 0)]


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in ours.items() if name in _PASSED or name.startswith("LC_")}
