"""The files that an operator copies to let it run: they exist, can be read, and name what exists."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import click
import pytest

import autopublish
from autopublish.cli import COMMANDS, main
from autopublish.daemon import Limits

CONFIG = Path(autopublish.__file__).parent.parent / "config"
ROOT = CONFIG.parent
UNITS = sorted((CONFIG / "systemd").glob("*.service"))
CONTAINERFILE = (CONFIG / "container" / "Containerfile").read_text()
CRON = (CONFIG / "cron" / "autopublish").read_text()
README = (ROOT / "README.md").read_text()
PROGRAM = "/opt/autopublish/bin/autopublish"


class Unit(configparser.RawConfigParser):
    """A unit of systemd; of a key that stands twice the last value counts."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


def unit(path: Path) -> Unit:
    """The unit in the file."""
    made = Unit(strict=False, delimiters=("=",), comment_prefixes=("#",), inline_comment_prefixes=None)
    made.read_string(path.read_text())
    return made


def instructions() -> list[tuple[str, str]]:
    """The instructions of the container's file with their words."""
    joined = CONTAINERFILE.replace("\\\n", " ")
    lines = (" ".join(line.split()) for line in joined.splitlines() if line and line[0] != "#")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def lines_of_cron() -> list[str]:
    """The lines that cron would run."""
    return [line for line in CRON.splitlines() if re.match(r"[*\d]", line)]


def called() -> Iterator[tuple[str, list[str]]]:
    """Each call of the program, with its place and the words after the program's name."""
    for path in UNITS:
        first, *words = shlex.split(unit(path)["Service"]["ExecStart"])
        assert first == PROGRAM
        yield path.name, words
    said = dict(instructions())
    assert json.loads(said["ENTRYPOINT"]) == ["autopublish"]
    yield "container", json.loads(said["CMD"])
    first, *words = json.loads(said["HEALTHCHECK"].partition("CMD ")[2])
    assert first == "autopublish"
    yield "health check", words
    for line in lines_of_cron():
        yield "cron", line.partition(f" {PROGRAM} ")[2].split()


CALLED = dict(called())


def test_the_files_are_all_there() -> None:
    assert set(CALLED) == {"autopublish.service", "autopublish-run.service", "container", "health check", "cron"}
    assert CALLED["autopublish.service"] == CALLED["container"] == ["daemon"]
    assert CALLED["autopublish-run.service"] == CALLED["cron"] == ["run", "--due"]
    assert CALLED["health check"] == ["status", "--check"]


@pytest.mark.parametrize("words", CALLED.values(), ids=CALLED)
def test_each_names_a_command_and_options_that_exist(words: list[str]) -> None:
    name, *rest = words
    assert name in COMMANDS
    command = main.get_command(click.Context(main), name)
    assert command is not None
    with command.make_context(name, rest) as context:
        assert not context.args


# --- systemd ---------------------------------------------------------------------------------------------------------


def test_the_service_gives_the_daemon_the_time_that_it_asks_for() -> None:
    whole, limits = unit(CONFIG / "systemd" / "autopublish.service"), Limits()
    service = whole["Service"]
    assert service["Type"] == "notify"
    assert timedelta(seconds=int(service["TimeoutStopSec"])) > limits.grace + limits.last
    assert (service["Restart"], whole["Unit"]["StartLimitIntervalSec"]) == ("on-failure", "0")
    # /bin/kill is not on a small system; each has a shell.
    assert service["ExecReload"] == "/bin/sh -c 'kill -HUP $MAINPID'"


@pytest.mark.fault("P03")
def test_p03_a_daemon_that_is_stuck_is_at_work_anew_within_90_seconds() -> None:
    service, limits = unit(CONFIG / "systemd" / "autopublish.service")["Service"], Limits()
    watched, pause = (timedelta(seconds=int(service[name])) for name in ("WatchdogSec", "RestartSec"))
    assert limits.pulse > limits.minute
    assert limits.pulse + watched + pause < timedelta(seconds=90)


def test_both_services_are_shut_in_alike() -> None:
    stays, runs = ({**unit(path)["Service"]} for path in UNITS[::-1])
    differ = {key for key in {*stays, *runs} if stays.get(key) != runs.get(key)}
    assert differ == {
        "Type", "ExecStart", "ExecReload", "WatchdogSec", "TimeoutStartSec", "TimeoutStopSec", "Restart", "RestartSec",
    }  # fmt: skip
    assert stays["ProtectSystem"] == "strict"
    assert stays["NoNewPrivileges"] == "yes"
    assert stays["StateDirectory"] == "autopublish"


def test_the_timer_starts_the_run_that_stands_beside_it() -> None:
    timer = unit(CONFIG / "systemd" / "autopublish-run.timer")
    assert "Unit" not in timer["Timer"], "the unit of its own name"
    assert (CONFIG / "systemd" / "autopublish-run.service").is_file()
    assert timer["Timer"]["OnUnitInactiveSec"] == "1min"
    assert timer["Install"]["WantedBy"] == "timers.target"


@pytest.fixture
def installed(tmp_path: Path) -> list[str]:
    """The units as they would be installed, with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for path in (CONFIG / "systemd").iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace(PROGRAM, sys.executable))
    return [str(path) for path in sorted(tmp_path.iterdir())]


def analyse(*words: str) -> str:
    """What systemd says of units; nothing if it has nothing against them."""
    done = subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_systemd_has_nothing_against_the_units(installed: list[str]) -> None:
    assert analyse("verify", *installed) == ""


def test_the_exposure_of_the_services_is_as_low_as_the_readme_says(installed: list[str]) -> None:
    stated = re.search(r"exposure of (\d\.\d)", README)
    assert stated is not None
    for path in installed:
        if path.endswith(".service"):
            said = analyse("security", "--offline=true", "--no-pager", path)
            found = re.search(r"Overall exposure level for \S+: (\d+\.\d)", said)
            assert found is not None
            assert float(found[1]) <= float(stated[1])


# --- container -------------------------------------------------------------------------------------------------------


def test_the_container_installs_what_has_a_hash_and_runs_as_nobody_else() -> None:
    said = instructions()
    runs = [rest for word, rest in said if word == "RUN"]
    assert any("--require-hashes -r constraints.txt" in run for run in runs)
    assert all("--no-deps ." in run or "--require-hashes" in run for run in runs if "pip install" in run)
    users = [rest for word, rest in said if word == "USER"]
    assert users[-1].isdecimal()
    assert f"--uid {users[-1]} " in " ".join(runs)
    order = [word for word, _ in said]
    assert order.index("USER") > max(place for place, word in enumerate(order) if word in ("RUN", "COPY"))


def test_the_container_copies_files_that_exist_and_names_its_store() -> None:
    copied = [rest.split()[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    assert [name for names in copied for name in names if not (ROOT / name).exists()] == []
    environment = dict(pair.split("=", 1) for word, rest in instructions() if word == "ENV" for pair in rest.split())
    assert environment["AUTOPUBLISH_INSTANCE"]
    options = {name for one in main.params for name in [getattr(one, "envvar", None)] if name}
    assert environment["AUTOPUBLISH_LOG_FORMAT"] in ("text", "json")
    assert options >= {"AUTOPUBLISH_LOG_FORMAT"}


# --- cron ------------------------------------------------------------------------------------------------------------


def test_cron_has_one_line_with_a_time_a_user_and_the_program() -> None:
    (line,) = lines_of_cron()
    *time, user, program = line.split()[:7]
    assert (time, user, program) == (["*"] * 5, "autopublish", PROGRAM)
    assert CRON.endswith("\n"), "cron ignores a last line without its end"


def test_the_readme_names_each_of_the_files() -> None:
    for name in ("config/systemd/", "config/container/Containerfile", "config/cron/autopublish"):
        assert name in README
    for path in (CONFIG / "systemd").iterdir():
        assert path.name in README
