"""`python -m benchmarks`: measures, and prints a table of ratios with the bars that the project holds itself to."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.contestants import Interpreter
from benchmarks.machine import Watch
from benchmarks.parts import parts
from benchmarks.peers import PEERS, installed
from benchmarks.program import install
from benchmarks.report import table, verdict
from benchmarks.scenarios import SCENARIOS, Bench, Row, Sizes
from benchmarks.world import World

CACHE = Path.home() / ".cache" / "autopublish-benchmarks"
QUICK = Sizes(
    feeds=50,
    burst=10,
    remembered=5000,
    remembered_little=500,
    latencies=3,
    runs=3,
    runs_of_many=2,
    transactions=20,
    rest_seconds=5,
)


def options(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, in a minute; the bars are not meant for it")
    parser.add_argument("--full", action="store_true", help="a million articles remembered instead of 100,000")
    parser.add_argument("--only", action="append", choices=sorted(SCENARIOS), metavar="NAME", help="one scenario")
    parser.add_argument("--runs", type=int, metavar="N", help="runs of each program, in each scenario")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[], metavar="NAME", help="measure too")
    parser.add_argument("--install", action="store_true", help="measure this tree as pip installs it, not as it lies")
    parser.add_argument("--parts", action="store_true", help="where the time of an idle run's start goes, and no more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--cache", type=Path, default=CACHE, metavar="FOLDER", help=f"what is kept ({CACHE})")
    return parser.parse_args(arguments)


def sizes(chosen: argparse.Namespace) -> Sizes:
    """How large the scenarios are."""
    found = QUICK if chosen.quick else Sizes()
    if chosen.full:
        found = replace(found, remembered=1_000_000, rest_seconds=1200)
    if chosen.runs:
        found = replace(found, runs=chosen.runs, runs_of_many=chosen.runs)
    return found


def main(arguments: list[str]) -> None:
    """Measure and print; what was measured before an interrupt or a failure is printed, too."""
    chosen = options(arguments)
    interpreter = install(chosen.cache) if chosen.install else Interpreter.current()
    watch = Watch()
    print(watch.begun(), flush=True)
    rows: list[Row] = []
    try:
        with World() as world:
            peers = installed(chosen.peers, chosen.cache, say=_say)
            bench = Bench(
                world=world, interpreter=interpreter, sizes=sizes(chosen), cache=chosen.cache, peers=peers, say=_say
            )
            if chosen.parts:
                print(parts(bench))
            for name in [] if chosen.parts else chosen.only or SCENARIOS:
                _say(name)
                rows += SCENARIOS[name](bench)
    finally:
        if rows:
            print(table(rows))
            for remark in filter(None, (row.remark for row in rows)):
                print(remark)
        print(watch.ended())
        if chosen.json:
            _write(chosen.json, rows, watch)


def _write(path: Path, rows: list[Row], watch: Watch) -> None:
    found = [asdict(row) | {"verdict": verdict(row)} for row in rows]
    path.write_text(json.dumps({"machine": watch.facts(), "rows": found}, indent=2))


def _say(words: str) -> None:
    print(f"... {words}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
