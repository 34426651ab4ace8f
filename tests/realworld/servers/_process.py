"""One server process on loopback: started, waited for, ended by its own id."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests

from tests.realworld.servers._install import Unavailable

_START_SECONDS = 60
_STOP_SECONDS = 20


def free_port() -> int:
    """A loopback port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess:
    """A server with its workers, in a process group of its own."""

    def __init__(self, words: Sequence[str | Path], *, log: Path, environment: Mapping[str, str], ready: str) -> None:
        self._words = [str(word) for word in words]
        self._log = log
        self._environment = {**os.environ, **environment}
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """The server answers at its `ready` URL.

        Raises:
            Unavailable: it ended or stayed silent; the text holds the end of its log.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._words,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(self._ready):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise Unavailable(f"{self._words[0]} does not answer: {self._log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.1)

    def stop(self) -> None:
        """The server and its workers have ended."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):  # workers that outlived it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answers(url: str) -> bool:
    try:
        return call("GET", url).ok
    except requests.RequestException:
        return False


def call(
    method: str,
    url: str,
    *,
    json: object = None,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """One request to a loopback server, past any proxy that the environment names."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, json=json, params=params, headers=headers, timeout=30)
