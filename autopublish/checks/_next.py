"""What the next run would do, as far as it is known without polling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from autopublish.checks._ask import Answer, Question
from autopublish.checks._findings import Finding, Verdict, counted
from autopublish.checks._machine import Memory
from autopublish.config import Config
from autopublish.models import AccountState, FirstRun, FirstRunRule, State

_WAITS_FOR_PERSON = (State.HELD, State.NEEDS_REVIEW, State.REJECTED)


def next_run(config: Config, memory: Memory, answers: Mapping[Question, Answer]) -> Iterable[Finding]:
    """What the next run would do, as far as it is known without polling."""
    if memory.finding.verdict is Verdict.WRONG:
        return
    shown = {question.name: answer.articles for question, answer in answers.items() if question.subject == "feed"}
    for feed in config.feeds:
        known = memory.feeds.get(feed.name)
        if known is None or known.baseline_at is None:
            words = _first_poll(feed.first_run, shown.get(feed.name), ZoneInfo(config.timezone))
            yield Finding(subject="next run", name=feed.name, words=words)
    waiting = Counter[State]()
    for count in memory.counts:
        waiting[count.state] += count.count
    if memory.stop is not None:
        yield Finding(
            subject="next run",
            verdict=Verdict.NOTE,
            words=f"everything is stopped by {memory.stop.who}: nothing is sent",
            remedy="`autopublish go`",
        )
    yield Finding(subject="next run", words=_due(memory, waiting))
    people = [f"{waiting[state]} {state.value}" for state in _WAITS_FOR_PERSON if waiting[state]]
    if people:
        yield Finding(
            subject="next run",
            verdict=Verdict.NOTE,
            words=f"waits for a person: {', '.join(people)}",
            remedy="`autopublish deliveries list`",
        )


def _first_poll(rule: FirstRunRule, articles: int | None, zone: ZoneInfo) -> str:
    """What the first poll of a feed lets through."""
    match rule.kind:
        case FirstRun.NONE:
            count = "all that it shows" if articles is None else counted(articles, "article")
            return f"first poll: {count} recorded as known, none posted (see `first_run`)"
        case FirstRun.NEWEST:
            return f"first poll: the newest {rule.count} are posted"
        case FirstRun.ALL:
            return f"first poll: all {'' if articles is None else f'{articles} '}articles are posted"
        case FirstRun.SINCE:
            assert rule.since is not None
            return f"first poll: articles since {rule.since.astimezone(zone):%Y-%m-%d %H:%M} are posted"


def _due(memory: Memory, counts: Mapping[State, int]) -> str:
    """How many deliveries go out or are looked up, and how many only wait."""
    active = {
        name for name, one in memory.standings.items() if one.state is AccountState.ACTIVE and memory.stop is None
    }
    due = sum(count for name, count in memory.due.items() if name in active)
    parts = (
        (counts.get(State.READY, 0) - due, "waiting"),
        (counts.get(State.VERIFYING, 0) + counts.get(State.SENDING, 0), "to be looked up"),
    )
    others = [f"{count} {words}" for count, words in parts if count]
    return ", ".join((f"{due} {'delivery' if due == 1 else 'deliveries'} due", *others))
