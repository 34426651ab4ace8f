"""Questions to other machines, asked beside each other and within a bound of time.

Knows neither feeds nor platforms.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Thread

from autopublish.checks._findings import Finding, Verdict
from autopublish.pipeline._parts import tell_bug

log = logging.getLogger(__name__)

#: So that a few servers that are stuck hold no others.
MOST_AT_ONCE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one question to another machine came to."""

    finding: Finding
    #: How many articles a feed shows.
    articles: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something to ask of another machine."""

    subject: str
    name: str
    #: Questions of one host follow each other.
    host: str
    ask: Callable[[], Answer]


def ask_all(questions: Sequence[Question], patience: timedelta) -> Mapping[Question, Answer]:
    """The answer to each question, in their order; what is not answered in time is a finding as well."""
    ends = time.monotonic() + patience.total_seconds()
    by_host: dict[str, list[Question]] = {}
    for question in questions:
        by_host.setdefault(question.host, []).append(question)
    waiting: queue.SimpleQueue[list[Question]] = queue.SimpleQueue()
    for group in by_host.values():
        waiting.put(group)
    answered: queue.SimpleQueue[tuple[Question, Answer]] = queue.SimpleQueue()
    for _ in range(min(len(by_host), MOST_AT_ONCE)):
        # Daemons: what hangs in a call when the time is over must not keep the process.
        Thread(target=_work, args=(waiting, answered, ends), daemon=True).start()
    found: dict[Question, Answer] = {}
    while len(found) < len(questions) and (left := ends - time.monotonic()) > 0:
        try:
            question, answer = answered.get(timeout=left)
        except queue.Empty:
            break
        found[question] = answer
    return {question: found.get(question) or _unanswered(question, patience) for question in questions}


def _work(
    waiting: queue.SimpleQueue[list[Question]], answered: queue.SimpleQueue[tuple[Question, Answer]], ends: float
) -> None:
    """Ask until nothing waits or the time is over."""
    while True:
        try:
            group = waiting.get_nowait()
        except queue.Empty:
            return
        for question in group:
            if time.monotonic() >= ends:
                return
            answered.put((question, _asked(question)))


def _asked(question: Question) -> Answer:
    try:
        return question.ask()
    except Exception as error:  # noqa: BLE001 - one platform's bug must not hide what is true of the others
        tell_bug(log, "check failed", error, subject=question.subject, name=question.name)
        words = f"the program failed: {type(error).__name__}; please report it"
        return wrong(question.subject, question.name, words)


def _unanswered(question: Question, patience: timedelta) -> Answer:
    words = f"no answer within {patience.total_seconds():g} s"
    return wrong(question.subject, question.name, words, "check again later")


def wrong(subject: str, name: str, words: str, remedy: str | None = None) -> Answer:
    return Answer(finding=Finding(subject=subject, name=name, verdict=Verdict.WRONG, words=words, remedy=remedy))
