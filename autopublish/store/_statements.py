"""The named statements of `*.sql` and the numbered migrations, read once."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent
_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def statements() -> dict[str, str]:
    """Each statement by its name."""
    found: dict[str, str] = {}
    for path in sorted(_HERE.glob("*.sql")):
        _, *parts = _NAME.split(path.read_text(encoding="utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            sql = "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip().rstrip(";")
            if name in found:
                raise AssertionError(f"two statements are named {name}")
            found[name] = sql
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the store's form; frozen once released."""

    number: int
    name: str
    statements: tuple[str, ...]
    checksum: str


def migrations() -> tuple[Migration, ...]:
    """All steps, the first one first."""
    steps = []
    for path in sorted((_HERE / "migrations").glob("*.sql")):
        text = path.read_text(encoding="utf-8")
        bare = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        steps.append(
            Migration(
                number=int(path.stem[:3]),
                name=path.stem,
                statements=tuple(part.strip() for part in bare.split(";\n") if part.strip(" \n;")),
                checksum=hashlib.sha256(text.encode()).hexdigest(),
            )
        )
    return tuple(steps)


def newest_version() -> int:
    """The number of the last step, without reading any."""
    return max(int(path.name[:3]) for path in (_HERE / "migrations").glob("*.sql"))
