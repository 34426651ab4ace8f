"""The machine, and what else it did meanwhile: figures of a busy machine are worth less."""

from __future__ import annotations

import os
import platform
import resource
import time
from pathlib import Path

#: Above this share of the machine, taken by other programs, the figures are marked.
_BUSY = 0.1


class Watch:
    """Watches the machine from its making on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._load = os.getloadavg()[0]
        self._busy, self._own = _busy_seconds(), _own_seconds()
        self._load_after = self._load

    def begun(self) -> str:
        """The machine, in a line."""
        words = (
            f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, Linux {platform.release()}"
        )
        return f"{words}\nload average at the start: {self._load:.2f}{self._warning(self._load)}"

    def ended(self) -> str:
        """How busy it was, in a line; to be asked once, after all that was started has ended."""
        self._load_after = os.getloadavg()[0]
        others = self.others()
        words = f"others took {others:.0%} of the machine's time"
        warning = ": the figures are doubtful, measure again when it is quiet" if others > _BUSY else ""
        return f"load average at the end: {self._load_after:.2f}; {words}{warning}"

    def others(self) -> float:
        """The share of the machine's CPU time since the beginning that other programs took."""
        spent = _busy_seconds() - self._busy - (_own_seconds() - self._own)
        return max(spent, 0.0) / ((time.monotonic() - self._began) * (os.cpu_count() or 1))

    def facts(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "load_before": self._load,
            "load_after": self._load_after,
            "others": self.others(),
        }

    @staticmethod
    def _warning(load: float) -> str:
        return "; the machine is busy, only ratios count" if load > 0.3 * (os.cpu_count() or 1) else ""


def _busy_seconds() -> float:
    """The CPU time that all programs have taken since the machine was started.

    Source: https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat
    """
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """What this process and those that it has waited for took."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
