"""Where the time of a start goes: the imports of a run without news, by the interpreter's own count."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.contestants import Ours, Task
from benchmarks.measure import Command, measure
from benchmarks.scenarios import Bench

#: `import time: self [us] | cumulative | name`, see https://docs.python.org/3/using/cmdline.html#cmdoption-X
_LINE = re.compile(r"import time: +(\d+) \| +\d+ \| *([\w.]+)")
_ROUNDS = 9
_MOST = 25
#: What a run imports, step by step; each process imports what stands above it, too.
_STEPS = (
    ("bare interpreter", "pass"),
    ("click", "import click"),
    ("autopublish.models", "import autopublish.models"),
    ("sqlite3 and autopublish.store", "import autopublish.store"),
    ("http.client and ssl", "import http.client, ssl"),
    ("autopublish.net and its libraries", "import autopublish.net"),
    ("all that a run imports first", "import autopublish.cli.run"),
)


def parts(bench: Bench) -> str:
    """Two tables: steps of a start as processes of their own, and the imports of an idle run, the dearest first."""
    bench.world.open(feeds=1)
    with TemporaryDirectory(prefix="benchmarks-") as folder:
        task = Task(folder=Path(folder), url=bench.world.url, feeds=bench.world.feeds(1), accounts=5)
        command = Ours(bench.interpreter).set_up(task)
        for _ in range(2):
            measure(command)
        return f"{_steps(bench, command)}\n\n{_imports(bench, command)}"


def _steps(bench: Bench, idle: Command) -> str:
    codes = [code for _, code in _STEPS]
    commands = {
        name: Command(
            argv=[bench.interpreter.python, "-c", "; ".join(codes[: place + 1])], folder=idle.folder, environment={}
        )
        for place, (name, _) in enumerate(_STEPS)
    }
    commands["the whole idle run"] = idle
    cpu: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(_ROUNDS):
        for name, command in commands.items():
            cpu[name].append(measure(command).cpu_seconds)
    lines = [f"{median(times) * 1000:8.1f}  {min(times) * 1000:8.1f}  {name}" for name, times in cpu.items()]
    return "\n".join(["ms CPU     least  a process that imports", *lines])


def _imports(bench: Bench, idle: Command) -> str:
    spent: Counter[str] = Counter()
    for _ in range(_ROUNDS):
        argv = [bench.interpreter.python, "-X", "importtime", *idle.argv]
        ended = subprocess.run(
            argv, check=True, cwd=idle.folder, env=dict(idle.environment), stderr=subprocess.PIPE, text=True
        )
        for micros, name in _LINE.findall(ended.stderr):
            spent[_group(name)] += int(micros)
    lines = [f"{total / _ROUNDS / 1000:8.1f}  {name}" for name, total in spent.most_common(_MOST)]
    whole = sum(spent.values()) / _ROUNDS / 1000
    return "\n".join([f"ms of imports by package ({whole:.0f} in all, as -X importtime counts them)", *lines])


def _group(module: str) -> str:
    """Ours one by one, others by their package."""
    names = module.split(".")
    return ".".join(names[:3]) if names[0] == "autopublish" else names[0]
