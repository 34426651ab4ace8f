"""Programs as users have them: installed by pip into an environment of their own, compiled."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contestants import Interpreter

_ROOT = Path(__file__).parent.parent
#: What pip needs of the tree; it builds in the folder that it is given, so it gets a copy.
_NEEDED = ("autopublish", "pyproject.toml", "README.md", "LICENSE")


def environment(folder: Path, *requirements: str) -> Interpreter:
    """The environment in `folder`, with these installed if it had to be made."""
    if not (folder / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip(folder, *requirements)
    return Interpreter(folder / "bin")


def pip(folder: Path, *arguments: str) -> None:
    """Install into an environment."""
    argv = [str(folder / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *arguments]
    subprocess.run(argv, check=True)


def install(cache: Path) -> Interpreter:
    """The environment that holds this tree as it is now."""
    folder = cache / "program"
    with TemporaryDirectory(prefix="benchmarks-") as copy:
        for name in _NEEDED:
            place = _ROOT / name
            if place.is_dir():
                shutil.copytree(place, Path(copy) / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(place, copy)
        found = environment(folder, copy)
        # The version may be the one that is there; then pip would do nothing.
        pip(folder, "--force-reinstall", "--no-deps", copy)
    return found
