"""Platforms by name."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module, invalidate_caches
from pathlib import Path

import pytest

from autopublish.config import load as load_config
from autopublish.errors import ConfigError
from autopublish.platforms import _class_in, available, load

OUTSIDE = """
from autopublish.platforms._base import Platform

class Gazette(Platform):
    def whoami(self): ...
    def publish(self, post, stage, *, key): ...
"""


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that names two platforms, one of which is none."""
    (tmp_path / "gazette_platform.py").write_text(OUTSIDE)
    (tmp_path / "broken_platform.py").write_text("1 / 0")
    info = tmp_path / "gazette-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gazette\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[autopublish.platforms]\ngazette = gazette_platform:Gazette\nwrong = pathlib:Path\n"
        "bluesky = gazette_platform:Gazette\nbroken = broken_platform:Broken\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    return "gazette"


def test_modules_are_available_and_helpers_are_not() -> None:
    assert "bluesky" in available()
    assert not [name for name in available() if name.startswith("_")]
    assert list(available()) == sorted(available())


def test_naming_the_platforms_loads_none_of_them() -> None:
    code = "import sys; from autopublish.platforms import available; available(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"autopublish.platforms.bluesky", "requests", "pydantic"} & set(loaded)


def test_a_loaded_platform_knows_its_name() -> None:
    assert load("bluesky").name == "bluesky"


@pytest.mark.parametrize("name", ["_base", "../bluesky", "bluesky.Bluesky", "", "Bluesky"])
def test_only_a_platforms_own_name_loads_it(name: str) -> None:
    with pytest.raises(LookupError):
        load(name)


@pytest.mark.parametrize("name", ["blusky", "BLUESKY", "bluesky2"])
def test_an_unknown_name_is_answered_with_the_nearest(name: str) -> None:
    with pytest.raises(LookupError, match=rf"{name}.*did you mean bluesky\?"):
        load(name)


def test_a_name_like_none_is_answered_with_all() -> None:
    with pytest.raises(LookupError, match=r"there are .*bluesky"):
        load("carrier pigeon")


def test_a_module_must_define_one_platform() -> None:
    with pytest.raises(LookupError, match=r"autopublish\.text must define one platform and defines 0"):
        _class_in(import_module("autopublish.text"))


def test_an_outside_package_adds_a_platform(outside: str) -> None:
    assert outside in available()
    assert load(outside).name == outside
    assert load(outside).__module__ == "gazette_platform"


def test_our_own_module_wins_over_an_entry_point_of_its_name(outside: str) -> None:
    assert load("bluesky").__module__ == "autopublish.platforms.bluesky"


def test_an_entry_point_that_names_no_platform_is_refused(outside: str) -> None:
    with pytest.raises(LookupError, match="wrong"):
        load("wrong")


def test_a_package_that_fails_while_it_is_loaded_is_a_fault_of_the_line_that_names_it(
    outside: str, tmp_path: Path
) -> None:
    file = tmp_path / "autopublish.yaml"
    file.write_text("feeds:\n  news:\n    url: https://n.example/\naccounts:\n  a:\n    platform: broken\n")
    with pytest.raises(ConfigError) as raised:
        load_config(file)
    (problem,) = raised.value.problems
    assert (problem.line, problem.key) == (6, "accounts.a.platform")
    assert "does not load: broken_platform:Broken failed with ZeroDivisionError" in problem.message
