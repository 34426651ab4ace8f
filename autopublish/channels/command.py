"""Command: a notice on the standard input of a program of the operator's, without a shell."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from threading import Thread
from typing import IO

from autopublish.channels._base import DEADLINE, Channel, Notice
from autopublish.errors import ChannelError
from autopublish.redaction import redact
from autopublish.text import clean

#: So much of what it prints is kept to say why it failed; the rest is read and dropped.
_KEPT_BYTES = 4_000
_SAID_LENGTH = 200
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

        Raises:
            ChannelError: it did not end in time, and was killed with all that it started.
        """
        assert process.stdin is not None
        assert process.stdout is not None
        said = bytearray()
        reader = Thread(target=_read, args=(process.stdout, said), daemon=True)
        # A program that reads nothing must not stop us.
        writer = Thread(target=_write, args=(process.stdin, words), daemon=True)
        reader.start()
        writer.start()
        try:
            process.wait(self._deadline.total_seconds())
        except subprocess.TimeoutExpired:
            seconds = self._deadline.total_seconds()
            raise ChannelError(f"{self._words[0]}: was not done after {seconds:g} s, and was killed") from None
        finally:
            # What it left behind holds our pipes.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            writer.join()
            reader.join()
            process.stdout.close()
        return bytes(said)


def _environment(ours: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in ours.items() if name in _PASSED or name.startswith("LC_")}


def _write(pipe: IO[bytes], words: bytes) -> None:
    # It may have closed its end, which is its good right.
    with contextlib.suppress(OSError), pipe:
        pipe.write(words)


def _read(pipe: IO[bytes], said: bytearray) -> None:
    with contextlib.suppress(OSError, ValueError):
        while block := os.read(pipe.fileno(), 65_536):
            said += block[: max(_KEPT_BYTES - len(said), 0)]
