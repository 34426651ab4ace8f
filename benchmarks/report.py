"""The table: a line for each program in each scenario, against the bar where it has one."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.scenarios import Row

_HEADS = ("scenario", "program", "median", "least", "unit", "ratio", "bar", "verdict", "wall s", "peak MB")
#: These stand to the left of their columns.
_WORDS = frozenset(("scenario", "program", "unit", "verdict"))


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text; a scenario is named once."""
    lines = [list(_HEADS)]
    before = ""
    for row in rows:
        cells = _cells(row)
        if row.scenario == before:
            cells[0] = ""
        before = row.scenario
        lines.append(cells)
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEADS))]
    return "\n".join("  ".join(_aligned(line, widths)).rstrip() for line in lines)


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    pairs = zip(_HEADS, line, widths, strict=True)
    return [cell.ljust(width) if head in _WORDS else cell.rjust(width) for head, cell, width in pairs]


def _cells(row: Row) -> list[str]:
    return [
        row.scenario,
        row.program,
        _number(row.median),
        _number(row.least),
        row.unit,
        _number(row.ratio, "x"),
        _number(row.bar, "x" if row.is_ratio else ""),
        verdict(row),
        _number(row.wall_seconds),
        _number(row.peak_mb),
    ]


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return ""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}{unit}"


def verdict(row: Row) -> str:
    """Whether the bar is held, or by how much it is missed."""
    if row.note or row.bar is None or row.judged is None:
        return row.note
    if row.judged <= row.bar:
        return "held"
    return f"missed by {row.judged / row.bar - 1:.0%}"
