"""`autopublish run`: one round of the whole line."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from autopublish.app import End, Feeds, RunReport, build
from autopublish.cli._common import (
    DONE,
    FAILED,
    STOPPED,
    config_option,
    in_words,
    is_terminal,
    json_option,
    plain,
    print_json,
    say,
    stop_in_words,
    table,
    telling_of_store,
    watching,
)
from autopublish.errors import StoreBusy
from autopublish.models import AccountState, State
from autopublish.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from autopublish.models import Standing
    from autopublish.pipeline import Changed, Polled

#: Reasons in a delivery's row that are one word for the table.
_SHORT = 40
#: Ctrl-C, the service manager, and a terminal that was closed.
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ENDING = "ending: a call that has begun ends first, and is recorded"


@click.command()
@config_option
@click.option("--due", is_flag=True, help="Poll only the feeds that are due by their `every`.")
@click.option("--wait", is_flag=True, help="Stay until nothing is left that goes on without a person; may take hours.")
@json_option
@in_words
def run(config: Path, *, due: bool, wait: bool, as_json: bool) -> None:
    """Poll the feeds, post what is due, look at what is unknown, then stop.

    In a pipe only what changed or newly needs a person is printed, so that cron mails nothing else.

    Beside a daemon it works on what that does not work on at this moment.

    With --wait the feeds are polled once; then it waits for what goes on by itself (a delay, a rate window, a network
    that is away, an outcome to be looked up) and works on it when its time has come. All that while other runs on this
    store do nothing and say that it is at work. Ctrl-C, SIGTERM or closing the terminal end it in order.
    """
    with telling_of_store(config):
        _run(config, due=due, wait=wait, as_json=as_json)


def _run(config: Path, *, due: bool, wait: bool, as_json: bool) -> None:
    """One run, shown.

    Raises:
        SystemExit: with its exit code.
    """
    app = build(config)
    feeds, end = Feeds.DUE if due else Feeds.ALL, End.WHEN_QUIET if wait else End.AT_ONCE
    try:
        with watching(wanted=not as_json) as watch, _ending_in_order(watch):
            report = app.run(watch=watch, feeds=feeds, end=end)
    except StoreBusy as error:
        if as_json:
            print_json(document((), (), {}, {}, busy=str(error)))
        raise
    finally:
        app.close()
    if as_json:
        reasons = {trouble.account: trouble.reason for trouble in report.troubles}
        if report.stop is not None:
            active = (name for name, one in report.standings.items() if one.state is AccountState.ACTIVE)
            reasons = dict.fromkeys(active, stop_in_words(report.stop, None)) | reasons
        print_json(document(report.polled, report.changed, report.standings, reasons))
    else:
        _show(report)
    if report.stopped:
        say(STOPPED)
    raise SystemExit(exit_code(report))


@contextmanager
def _ending_in_order(watch: Callable[[str], None] | None) -> Iterator[None]:
    """What asks the program to end is an interrupt: the call that runs ends and is recorded, nothing new is sent."""

    def interrupt(_number: int, _frame: object) -> None:
        if watch is not None:
            watch(_ENDING)
        raise KeyboardInterrupt

    # What is ignored stays so: nohup, and what a shell starts in the background.
    asked = [one for one in _ENDS if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, interrupt) for one in asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_code(report: RunReport) -> int:
    """1 if a feed could not be read, an account is blocked, or a delivery ended refused or in review."""
    blocked = (AccountState.AUTH_BLOCKED, AccountState.SAFE_MODE)
    ended_badly = (State.REJECTED, State.NEEDS_REVIEW)
    failed = (
        any(polled.failed for polled in report.polled)
        or any(trouble.failed for trouble in report.troubles)
        or any(standing.state in blocked for standing in report.standings.values())
        or any(changed.delivery.state in ended_badly for changed in report.changed)
    )
    return FAILED if failed else DONE


def document(
    polled: Sequence[Polled],
    changed: Sequence[Changed],
    standings: Mapping[str, Standing],
    reasons: Mapping[str, str],
    *,
    busy: str | None = None,
) -> dict[str, object]:
    """What a run did, with the keys that the README writes down."""
    counts = Counter(one.delivery.state for one in changed)
    return {
        "busy": busy,
        "polled": [{"feed": one.feed, "status": one.status, "new": one.new, "reason": one.reason} for one in polled],
        "deliveries": [_delivery(one) for one in changed],
        "accounts": [
            {"account": name, "state": standing.state.value, "reason": reasons.get(name) or standing.reason}
            for name, standing in standings.items()
        ],
        "counts": {
            **{state.value.lower(): counts.get(state, 0) for state in State},
            "new": sum(one.new for one in polled),
        },
    }


def _delivery(changed: Changed) -> dict[str, object]:
    delivery, post = changed.delivery, changed.post
    return {
        "id": delivery.id,
        "article": changed.article.link or changed.article.title,
        "title": changed.article.title,
        "account": delivery.account,
        "part": delivery.part,
        "occasion": delivery.occasion,
        "state": delivery.state.value,
        "url": delivery.receipt.url if delivery.receipt else None,
        "text": post.text if post else None,
        "length": post.length if post else None,
        "room": post.room if post else None,
        "reason": delivery.reason,
    }


# --- for people ------------------------------------------------------------------------------------------------------


def _show(report: RunReport) -> None:
    if report.stop is not None and (is_terminal() or report.stop_is_news):
        zone = ZoneInfo(report.timezone) if report.timezone else None
        say(f"{stop_in_words(report.stop, zone)}; nothing is sent before `autopublish go`")
    _tell_feeds(report)
    if report.recovered:
        what = "delivery was" if report.recovered == 1 else "deliveries were"
        say(f"{report.recovered} {what} left in the middle of a call by a run that ended, to be looked up")
    if report.changed:
        _show_table(report)
        _show_homes(report)
        _tell_people(report)
    waiting = {one.delivery.account for one in report.changed if one.delivery.state is State.READY}
    for trouble in report.troubles:
        # An account that only waits needs nobody: cron would mail it with each run, not with that of the article alone.
        is_news = not trouble.told_before and (trouble.failed or trouble.account in waiting)
        if is_terminal() or is_news:
            say(f"{trouble.account}: {trouble.reason}")
    if is_terminal() and not report.changed:
        say("nothing new")


def _tell_feeds(report: RunReport) -> None:
    for words in report.told:
        say(words)
    for polled in report.polled:
        if polled.reason and (is_terminal() or not polled.told_before):
            what = "cannot be read: " if polled.status == "failed" else ""
            say(f"{polled.feed}: {what}{polled.reason}")


def _show_table(report: RunReport) -> None:
    """Articles down, accounts across; what each account's delivery came to, and the length of its post."""
    zone = ZoneInfo(report.timezone) if report.timezone else None
    cells: dict[str, dict[str, str]] = {}
    titles: dict[str, str] = {}
    for changed in report.changed:
        article = changed.article
        titles[article.id] = article.title or article.link or article.id
        cells.setdefault(article.id, {})[changed.delivery.account] = _cell(changed, zone)
    accounts = [name for name in report.standings if any(name in row for row in cells.values())]
    rows = [
        [
            titles[article] if is_terminal() else _cut(titles[article], _SHORT),
            *(row.get(account, "") for account in accounts),
        ]
        for article, row in cells.items()
    ]
    table(rows, ["article", *accounts])


def _cell(changed: Changed, zone: ZoneInfo | None) -> str:
    delivery, post = changed.delivery, changed.post
    state = delivery.state.value.lower().replace("_", " ")
    if delivery.state is State.CANCELLED:
        # The first word of the rule: `why` has the rest.
        return _cut(": ".join((delivery.reason or state).split(": ")[:2]), _SHORT)
    if delivery.state is State.READY:
        state = "waiting"
    if delivery.state is State.VERIFYING and delivery.look_at is not None:
        return f"verifying, next look {delivery.look_at.astimezone(zone):%H:%M}"
    if delivery.state in (State.HELD, State.REJECTED, State.NEEDS_REVIEW) and delivery.reason:
        return _cut(f"{state}: {delivery.reason}", _SHORT)
    return f"{state} {post.length}/{post.room}" if post else state


def _cut(text: str, most: int) -> str:
    # Half a secret would not be found any more.
    text = redact(text)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _show_homes(report: RunReport) -> None:
    """Where each account that got a post can be seen: its page, else its newest post."""
    newest = {
        changed.delivery.account: changed.delivery.receipt
        for changed in report.changed
        if changed.delivery.state is State.POSTED
    }
    for name, standing in report.standings.items():
        receipt = newest.get(name)
        home = (standing.identity.url if standing.identity else None) or (receipt.url if receipt else None)
        if name in newest and home:
            click.echo(plain(f"{name}: {home}"))


def _tell_people(report: RunReport) -> None:
    """What newly needs a person, one line for each batch."""
    batches = Counter(
        (changed.delivery.account, changed.delivery.state, changed.delivery.reason or "")
        for changed in report.changed
        if changed.delivery.state in (State.HELD, State.NEEDS_REVIEW, State.REJECTED)
    )
    for (account, state, reason), count in sorted(batches.items()):
        what = {
            State.HELD: "approve` or `autopublish deliveries cancel",
            State.NEEDS_REVIEW: "resolve",
            State.REJECTED: "retry` or `autopublish deliveries cancel",
        }[state]
        noun = "post" if count == 1 else "posts"
        say(
            f"{account}: {count} {noun} {state.value}: {reason}. See `autopublish deliveries list --account {account} "
            f"--state {state.value.lower()}`, then `autopublish deliveries {what}`"
        )
