"""Whether alerts could reach anybody: each channel is made with its secrets, and nothing is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from autopublish.app import private_platform
from autopublish.checks._findings import Finding, Verdict
from autopublish.checks._machine import Memory
from autopublish.config import Config
from autopublish.errors import ChannelError, SecretError
from autopublish.net import Client
from autopublish.redaction import redact
from autopublish.ways import ways_of


class _Checked(Protocol):
    def check(self) -> None:
        """What it needs is there."""


def channels(config: Config, client: Client, memory: Memory) -> Iterable[Finding]:
    """What the configuration says of each channel and of the monitor, with their secrets."""
    kept = memory.kept
    ways = ways_of(config, client, lambda account: private_platform(account, config, client, kept.get(account.name)))
    for kind, make in ways.channels.items():
        yield _finding(kind, make)
    if ways.monitor is not None:
        yield _finding("ping", ways.monitor)


def _finding(kind: str, make: Callable[[], _Checked]) -> Finding:
    try:
        # Held until its failure is in words: as long as it lives its secrets are looked for.
        channel = make()
        try:
            channel.check()
        except ChannelError as error:
            return _wrong(kind, redact(str(error)))
    except SecretError as error:
        return _wrong(kind, str(error))
    return Finding(subject="alerts", name=kind, words=f"configured; `autopublish alerts test {kind}` tries it")


def _wrong(kind: str, words: str) -> Finding:
    return Finding(subject="alerts", name=kind, verdict=Verdict.WRONG, words=words, remedy="correct it under `alerts:`")
