"""What a log line says: one event a line, for people, machines and the journal; no value passes for anything else."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import autopublish
from autopublish.logs import Event, Format, Sink, event_of, line_of, set_up
from autopublish.pipeline._parts import tell_bug
from tests.desk import PAGE, Desk

CODE = Path(autopublish.__file__).parent
log = logging.getLogger("autopublish.test")


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The lines on stderr since the last call."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    return lambda: capsys.readouterr().err.splitlines()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A folder with a page of posts and a feed that shows one article; its first poll is over."""
    folder = tmp_path / "desk"
    folder.mkdir()
    made = Desk(folder)
    made.configure(PAGE)
    made.show("zero")
    assert made.process("run").code == 0
    return made


def record(template: str, *values: object, name: str = "autopublish.test") -> logging.LogRecord:
    """A warning."""
    made = logging.LogRecord(name, logging.WARNING, "", 0, template, values, None)
    made.created = datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=UTC).timestamp()
    return made


def text(template: str, *values: object) -> str:
    """What stands behind the time in a line for people."""
    line = line_of(event_of(record(template, *values)), Format.TEXT, logging.WARNING, under_journal=False)
    time, _, rest = line.partition(" ")
    assert time == "2026-11-24T10:00:00.123Z"
    return rest


# --- one line --------------------------------------------------------------------------------------------------------

LINES = {
    "no-keys": (("ended",), "WARNING ended"),
    "keys": (("feed read: feed=%s new=%d", "news", 3), "WARNING feed read feed=news new=3"),
    "blanks-are-quoted": (("it failed: reason=%s", "no such file"), 'WARNING it failed reason="no such file"'),
    "empty-is-quoted": (("it failed: reason=%s", ""), 'WARNING it failed reason=""'),
    "nothing-is-left-out": (("it failed: url=%s reason=%s", None, "x"), "WARNING it failed reason=x"),
    "a-pair-in-a-value-is-quoted": (("read: feed=%s", "a level=ERROR"), 'WARNING read feed="a level=ERROR"'),
    "an-equals-sign-is-quoted": (("read: feed=%s", "level=ERROR"), 'WARNING read feed="level=ERROR"'),
    "a-quote-ends-no-value": (("read: feed=%s", 'a" level="b'), r'WARNING read feed="a\" level=\"b"'),
    "percent-in-a-value": (("read: feed=%s", "100%s"), "WARNING read feed=100%s"),
    "other-scripts-stay": (("read: title=%s", "Питання"), "WARNING read title=Питання"),
    "joined-emoji-stay": (("read: title=%s", "👩\u200d🚒 x"), 'WARNING read title="👩\u200d🚒 x"'),
    "foreign-template": (("%s took %d ms", "it", 5), "WARNING it took 5 ms"),
}


@pytest.mark.parametrize(("said", "expected"), LINES.values(), ids=LINES)
def test_a_line_for_people_has_time_level_event_and_pairs(said: tuple[str, object], expected: str) -> None:
    template, *values = said
    assert isinstance(template, str)
    assert text(template, *values) == expected


#: What ends a line or steers a terminal somewhere.
STEERING = {
    "newline": "\n",
    "carriage-return": "\r",
    "form-feed": "\x0c",
    "next-line": "\x85",
    "line-separator": "\u2028",
    "paragraph-separator": "\u2029",
    "escape": "\x1b[2J",
    "c1-csi": "\x9b2J",
    "bell": "\x07",
    "delete": "\x7f",
    "null": "\0",
    "right-to-left-override": "\u202e",
    "surrogate": "\ud800",
}


@pytest.mark.fault("H10")
@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("where", ["value", "event"])
@pytest.mark.parametrize("steering", STEERING.values(), ids=STEERING)
def test_h10_no_value_forges_a_line_or_steers_a_terminal(steering: str, where: str, form: Format) -> None:
    forged = f"news{steering}2026-11-24T10:00:00.123Z ERROR all is lost"
    said = record("feed read: feed=%s", forged) if where == "value" else record("%s", forged)
    line = line_of(event_of(said), form, logging.WARNING, under_journal=False)
    assert line.isprintable()
    assert len(line.splitlines()) == 1
    if form is Format.JSON:
        read = json.loads(line)
        assert forged in (read.get("feed"), read["event"])


def test_json_holds_time_level_logger_event_and_each_value_with_its_type() -> None:
    said = record("feed read: feed=%s new=%d reason=%s late=%s", "a b=c", 3, None, True)
    line = line_of(event_of(said), Format.JSON, logging.WARNING, under_journal=False)
    assert json.loads(line) == {
        "time": "2026-11-24T10:00:00.123Z",
        "level": "warning",
        "logger": "autopublish.test",
        "event": "feed read",
        "feed": "a b=c",
        "new": 3,
        "reason": None,
        "late": True,
    }


def test_a_key_never_takes_the_place_of_what_every_event_has() -> None:
    said = event_of(record("feed read: level=%s event=%s", "ok", "none"))
    read = json.loads(line_of(said, Format.JSON, logging.WARNING, under_journal=False))
    assert (read["level"], read["event"]) == ("warning", "feed read")


@pytest.mark.parametrize("form", Format)
def test_a_traceback_is_part_of_its_event(form: Format, told: Callable[[], list[str]]) -> None:
    with set_up(0, form):
        try:
            raise LookupError("gone\nlost")
        except LookupError:
            log.exception("it failed: feed=%s", "news")
    (line,) = told()
    for words in ("it failed", "news", "test_logs.py", "LookupError: gone\\nlost"):
        assert words in line


def test_a_bug_is_one_event_with_its_place_and_without_its_words(told: Callable[[], list[str]]) -> None:
    with set_up(0, Format.JSON):
        words = "any" + str(5 * 5)  # whole in no line of this file, which the traceback quotes
        try:
            raise LookupError(words)
        except LookupError as error:
            tell_bug(log, "look failed", error, account="page")
    (line,) = told()
    read = json.loads(line)
    assert (read["event"], read["account"], read["error"]) == ("look failed", "page", "LookupError")
    assert "test_logs.py" in read["traceback"]
    assert words not in line


def templates() -> Iterator[tuple[str, str]]:
    """Every template that is logged, with its place."""
    for path in sorted(CODE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value) == "log"
            ):
                words = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                yield from ((f"{path.name}:{node.lineno}", one) for one in words)


def test_every_event_of_ours_can_be_read_with_its_keys() -> None:
    found = dict(templates())
    assert len(found) > 4
    wrong = [
        place
        for place, template in found.items()
        if "%" in template and not re.fullmatch(r"[^=%:]+:(?: (?!time=|level=|logger=|event=)\w+=%[sd])+", template)
    ]
    assert wrong == []


# --- where and when --------------------------------------------------------------------------------------------------

PRIORITIES = [
    (logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7), (1, 7),
]  # fmt: skip


@pytest.mark.parametrize(("level", "priority"), PRIORITIES)
def test_the_journal_is_given_the_priority_and_no_time(level: int, priority: int) -> None:
    event = Event(time=datetime(2026, 11, 24, tzinfo=UTC), level="ANY", logger="x", event="ended", keys={"feed": "a"})
    assert line_of(event, Format.TEXT, level, under_journal=True) == f"<{priority}>ANY ended feed=a"
    assert line_of(event, Format.JSON, level, under_journal=True).startswith(f'<{priority}>{{"time": ')


@pytest.mark.parametrize("is_ours", [True, False])
def test_the_journal_is_known_by_the_file_that_stderr_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_ours: bool
) -> None:
    with (tmp_path / "journal").open("w+") as journal:
        there = os.fstat(journal.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{there.st_dev}:{there.st_ino if is_ours else there.st_ino + 1}")
        monkeypatch.setattr(sys, "stderr", journal)
        with set_up(0, Format.TEXT):
            log.error("ended")
        journal.seek(0)
        assert journal.read().startswith("<3>ERROR ended") is is_ours


LEVELS = {0: ["error"], 1: ["info", "warning", "error"], 2: ["debug", "info", "warning", "error"]}


@pytest.mark.parametrize(("verbosity", "expected"), LEVELS.items())
def test_verbosity_says_from_which_level_on_events_are_told(
    verbosity: int, expected: list[str], told: Callable[[], list[str]]
) -> None:
    with set_up(verbosity, Format.JSON):
        for level in ("debug", "info", "warning", "error"):
            getattr(log, level)("ended")
        logging.getLogger("urllib3.connectionpool").error("https://x.example/token")
    assert [json.loads(line)["level"] for line in told()] == expected


def test_logging_is_as_it_was_when_the_command_is_over(told: Callable[[], list[str]]) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("autopublish").level)
    with set_up(2, Format.TEXT):
        assert list(root.handlers) != before[0]
    assert (list(root.handlers), root.level, logging.getLogger("autopublish").level) == before


class Broken:
    """A value that has no text."""

    def __str__(self) -> str:
        raise LookupError("sesame")


UNWRITABLE = {
    "value-without-text": record("read: feed=%s", Broken()),
    "foreign-value-without-text": record("%s", Broken()),
    "too-many-values": record("read", "sesame"),
}


@pytest.mark.parametrize("said", UNWRITABLE.values(), ids=UNWRITABLE)
def test_an_event_that_cannot_be_written_is_told_without_its_values(
    said: logging.LogRecord, told: Callable[[], list[str]]
) -> None:
    Sink(Format.TEXT).handle(said)
    (line,) = told()
    assert "ERROR event not written place=autopublish.test:" in line
    assert "sesame" not in line


def closed() -> io.StringIO:
    """A stream that nobody reads any more."""
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("stream", [closed(), None], ids=["closed", "absent"])
def test_a_stderr_that_cannot_be_written_stops_no_work(
    stream: io.StringIO | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with set_up(0, Format.TEXT):
        monkeypatch.setattr(sys, "stderr", stream)
        log.error("ended")
        monkeypatch.undo()
    assert sys.stderr is not stream


# --- by the command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["option", "environment"])
def test_the_format_is_chosen_by_an_option_or_the_environment(desk: Desk, by: str) -> None:
    desk.show("one")
    if by == "environment":
        desk.environment["AUTOPUBLISH_LOG_FORMAT"] = "json"
    said = desk.process(*(("--log-format", "json") if by == "option" else ()), "-v", "run")
    assert said.code == 0
    events = [json.loads(line) for line in said.err.splitlines()]
    assert [event["state"] for event in events if event["event"] == "delivery changed"] == ["POSTED"]
    assert all(event["account"] == "page" for event in events)


def test_an_unknown_format_is_wrong_usage(desk: Desk) -> None:
    desk.environment["AUTOPUBLISH_LOG_FORMAT"] = "yaml"
    said = desk("status")
    assert said.code == 2
    assert "'yaml' is not one of" in said.err
