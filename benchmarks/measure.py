"""One command measured as a user would start it: a new process, user and system CPU, time and peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

STOPWATCH = Path(__file__).with_name("stopwatch.py")
#: A run that takes longer hangs.
PATIENCE_SECONDS = 1800


class RunFailed(Exception):
    """A command that is measured did not do its work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is started, where, and what its environment has beyond PATH and HOME."""

    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run."""

    cpu_seconds: float
    wall_seconds: float
    peak_mb: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """The runs of one program in one scenario."""

    samples: tuple[Sample, ...]

    @property
    def cpu(self) -> float:
        """The median of the runs' CPU seconds."""
        return median(one.cpu_seconds for one in self.samples)

    @property
    def least(self) -> float:
        """The least of the runs' CPU seconds."""
        return min(one.cpu_seconds for one in self.samples)

    @property
    def wall(self) -> float:
        """The median of the runs' seconds."""
        return median(one.wall_seconds for one in self.samples)

    @property
    def peak_mb(self) -> float:
        """The median of the runs' peaks."""
        return median(one.peak_mb for one in self.samples)


def environment(command: Command) -> dict[str, str]:
    """All that is in the environment of the command."""
    ours = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(command.folder), "LANG": "C.UTF-8"}
    return {**ours, **command.environment}


def measure(command: Command) -> Sample:
    """Run the command to its end.

    Raises:
        RunFailed: it ended with another code than 0.
    """
    output = command.folder / "output.txt"
    ended = subprocess.run(
        [sys.executable, "-I", "-S", str(STOPWATCH), str(output), *command.argv],
        cwd=command.folder,
        env=environment(command),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    figures = json.loads(ended.stdout)
    if figures["code"] != 0:
        tail = output.read_text(errors="replace")[-2000:]
        raise RunFailed(f"{' '.join(command.argv)} ended with {figures['code']}:\n{tail}")
    return Sample(cpu_seconds=figures["cpu"], wall_seconds=figures["wall"], peak_mb=figures["peak_kb"] / 1024)
