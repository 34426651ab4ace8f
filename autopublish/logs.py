"""Set-up of logging, called by the command line only: one event a line, for people or for machines, without secrets.

Events are logged with keys, as `log.warning("feed not read: feed=%s reason=%s", name, error)`. The keys are taken from
the template and the values from the record, never from the finished text, so that no value can pass for a key; what
another library logs is an event without keys.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from autopublish.redaction import redact

#: A template that has keys: the event, a colon, and pairs with a blank between them.
_TEMPLATE = re.compile(r"(?P<event>[^=%:]+):(?P<pairs>(?: \w+=%[sd])+)")
#: What needs no quotes in a line for people.
_BARE = re.compile(r"[^\s\"'=\\]+")
#: How systemd reads the priority of a line.
#: Source: https://www.freedesktop.org/software/systemd/man/latest/sd-daemon.html
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))


class Format(StrEnum):
    """How an event is written."""

    #: `time level event key=value`.
    TEXT = "text"
    #: One JSON object a line.
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What one record says, without secrets."""

    time: datetime
    level: str
    logger: str
    event: str
    #: None where an event has nothing to say of a key.
    keys: Mapping[str, str | int | None]


@contextmanager
def set_up(verbosity: int, form: Format) -> Iterator[None]:
    """Events go to stderr until the end: by default none of ours below an error, with -v what happens, with -vv all."""
    level = {0: logging.ERROR, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    root, ours, urllib3 = (logging.getLogger(name) for name in (None, "autopublish", "urllib3"))
    before = [(logger, logger.level) for logger in (root, ours, urllib3)]
    root.setLevel(logging.WARNING)
    ours.setLevel(level)
    # It logs paths and queries, where some networks have their token; what matters of a call we log ourselves.
    urllib3.setLevel(logging.CRITICAL)
    sink = Sink(form)
    root.addHandler(sink)
    hook, threading.excepthook = threading.excepthook, _tell_end_of_thread
    try:
        yield
    finally:
        threading.excepthook = hook
        root.removeHandler(sink)
        for logger, was in before:
            logger.setLevel(was)


def _tell_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """An error that ended a thread is an event; Python would print it as it is."""
    thread = ended.thread.name if ended.thread else None
    logging.getLogger("autopublish").error("thread ended by an error: thread=%s", thread, exc_info=ended.exc_value)


class Sink(logging.Handler):
    """Writes each event to stderr as one line."""

    def __init__(self, form: Format) -> None:
        super().__init__()
        self._form = form

    def emit(self, record: logging.LogRecord) -> None:
        """The record is one line on what stderr is now; what cannot be written is dropped, since nobody reads it."""
        try:
            self._write(line_of(event_of(record), self._form, record.levelno, under_journal=_is_journal()))
        except (OSError, ValueError):
            return  # stderr is closed
        except Exception:  # noqa: BLE001 - a value whose text fails must not end the work that it tells of
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """One line says where it was; not with the values, as logging would."""
        place = f"{record.name}:{record.lineno}"
        lost = logging.LogRecord(__name__, logging.ERROR, "", 0, "event not written: place=%s", (place,), None)
        self._write(line_of(event_of(lost), self._form, lost.levelno, under_journal=_is_journal()))

    @staticmethod
    def _write(line: str) -> None:
        if sys.stderr is not None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def event_of(record: logging.LogRecord) -> Event:
    """What the record says; its traceback is a key as any other."""
    event, keys = _read(record)
    if record.exc_info and record.exc_info[1] is not None:
        keys["traceback"] = redact("".join(traceback.format_exception(record.exc_info[1])).rstrip())
    return Event(
        time=datetime.fromtimestamp(record.created, UTC),
        level=record.levelname,
        logger=record.name,
        event=event,
        keys=keys,
    )


def _read(record: logging.LogRecord) -> tuple[str, dict[str, str | int | None]]:
    """The event and its keys, from the template and the values."""
    found = _TEMPLATE.fullmatch(record.msg) if isinstance(record.msg, str) else None
    values = record.args if isinstance(record.args, tuple) else ()
    names = [pair.partition("=")[0] for pair in found["pairs"].split()] if found else []
    if found is None or len(names) != len(values):
        return redact(record.getMessage()), {}
    return redact(found["event"]), {name: _value(value) for name, value in zip(names, values, strict=True)}


def _value(value: object) -> str | int | None:
    return value if value is None or isinstance(value, int) else redact(str(value))


def line_of(event: Event, form: Format, levelno: int, *, under_journal: bool) -> str:
    """The event as one line; the journal gets its priority, and has the time already."""
    priority = next(number for level, number in _PRIORITIES if levelno >= level)
    prefix = f"<{priority}>" if under_journal else ""
    time = f"{event.time:%Y-%m-%dT%H:%M:%S}.{event.time.microsecond // 1000:03d}Z"
    if form is Format.JSON:
        named = {"time": time, "level": event.level.lower(), "logger": event.logger, "event": event.event}
        # Some readers end a line where Unicode does, so all beyond ASCII is escaped. No key replaces one of the four.
        return prefix + json.dumps({**named, **{name: event.keys[name] for name in event.keys if name not in named}})
    pairs = [f"{name}={_quoted(value)}" for name, value in event.keys.items() if value is not None]
    words = [event.level, _escaped(event.event), *pairs]
    return prefix + " ".join(words if under_journal else [time, *words])


def _quoted(value: str | int | None) -> str:
    text = str(value)
    if _BARE.fullmatch(text) and text.isprintable():
        return text
    return _escaped(json.dumps(text, ensure_ascii=False))


def _escaped(text: str) -> str:
    """The text with escapes for what steers a terminal or ends a line; the joiners of emoji stay."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in "\u200c\u200d" else json.dumps(one)[1:-1] for one in text)


def _is_journal() -> bool:
    """Whether stderr goes to systemd's journal, which is told in the environment by device and inode.

    Source: https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#%24JOURNAL_STREAM
    """
    stream = os.environ.get("JOURNAL_STREAM")
    if not stream or sys.stderr is None:
        return False
    try:
        there = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return stream == f"{there.st_dev}:{there.st_ino}"
