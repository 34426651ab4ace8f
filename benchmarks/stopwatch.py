"""Runs one command and prints, as JSON, its exit code, its CPU, its time and its peak memory.

    python -I -S stopwatch.py OUTPUT PROGRAM [ARGUMENT…]

A small process of its own: a child's peak holds at least what its parent had when it was made, so that a large parent
would be in every figure. What the command prints goes to the file OUTPUT.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the command."""
    output, *command = sys.argv[1:]
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    actions = [(os.POSIX_SPAWN_DUP2, file, 1), (os.POSIX_SPAWN_DUP2, file, 2)]
    began = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ, file_actions=actions)
    _, status, used = os.wait4(child, 0)
    ended = time.monotonic()
    figures = {
        "code": os.waitstatus_to_exitcode(status),
        "cpu": used.ru_utime + used.ru_stime,
        "wall": ended - began,
        "peak_kb": used.ru_maxrss,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
