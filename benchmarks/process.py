"""A process that stays, measured from outside while it lives: nothing is asked of it, so that it is not disturbed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Command, RunFailed, environment

#: By then it has ended of itself, or it hangs.
PATIENCE_SECONDS = 40
_CPUCLOCK_SCHED = 2


class Process:
    """One that was started by this program."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self._process = process
        self._output = output

    def cpu_seconds(self) -> float:
        """User and system CPU since its start, of all its threads; finer than /proc/PID/stat, which counts 10 ms.

        The number of a process's clock: https://man7.org/linux/man-pages/man2/clock_getres.2.html (dynamic clocks) and
        https://github.com/torvalds/linux/blob/v6.12/include/linux/posix-timers_types.h
        """
        # A clock of the whole process (no bit for one thread) that counts what the scheduler gave it.
        clock = (~self._process.pid << 3) | _CPUCLOCK_SCHED
        self.demand_alive()
        return time.clock_gettime(clock)

    def resident_mb(self) -> float:
        """What it has in memory now."""
        return self._memory("VmRSS")

    def peak_mb(self) -> float:
        """The most that it ever had."""
        return self._memory("VmHWM")

    def demand_alive(self) -> None:
        """It has not ended.

        Raises:
            RunFailed: it has.
        """
        if (code := self._process.poll()) is not None:
            raise RunFailed(f"it ended with {code}:\n{self.told()[-2000:]}")

    def told(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(errors="replace")

    def _memory(self, name: str) -> float:
        """Source: https://docs.kernel.org/filesystems/proc.html#process-specific-subdirectories"""
        self.demand_alive()
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) / 1024


@contextmanager
def running(command: Command) -> Iterator[Process]:
    """The command at work; in the end it was asked to end, and did.

    Raises:
        RunFailed: it ended with another code than 0.
    """
    path = command.folder / "output.txt"
    with (
        path.open("wb") as output,
        subprocess.Popen(
            command.argv, cwd=command.folder, env=environment(command), stdout=output, stderr=subprocess.STDOUT
        ) as started,
    ):
        process = Process(started, path)
        try:
            yield process
            process.demand_alive()
            started.terminate()
            code = started.wait(PATIENCE_SECONDS)
        finally:
            started.kill()
    if code != 0:
        raise RunFailed(f"{' '.join(command.argv)} ended with {code}:\n{process.told()[-2000:]}")
