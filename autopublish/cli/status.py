"""`autopublish status` and `autopublish why`: what the store knows, in words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from autopublish.app import App, look, now_utc
from autopublish.cli import accounts, alerts
from autopublish.cli._common import (
    FAILED,
    config_option,
    counted,
    go_on,
    in_words,
    json_option,
    local,
    plain,
    print_json,
    refuse,
    say,
    state_in_words,
    stop_in_words,
    table,
)
from autopublish.deliveries import held_for
from autopublish.errors import ConfigError, StoreError
from autopublish.health import Health, age_in_words
from autopublish.models import Article, Delivery, State

if TYPE_CHECKING:
    from autopublish.models import Feed, Stop
    from autopublish.store import Count

_WAITS_FOR_PERSON = (State.HELD, State.NEEDS_REVIEW, State.REJECTED)


@click.command()
@config_option
@click.option("--check", is_flag=True, help="Say in one line whether the program does its work; 1 if it does not.")
@click.option("--metrics", is_flag=True, help="Print what /metrics gives, in the text format of Prometheus.")
@json_option
@in_words
def status(config: Path, *, check: bool, metrics: bool, as_json: bool) -> None:
    """Show feeds, accounts, what waits and what needs a person.

    With --check it ends with 1 if the daemon has not ticked for 3 minutes, or, where there is none, if nothing runs any
    more; if a feed failed three times in a row or is gone; if an account is AUTH_BLOCKED, in SAFE_MODE or
    paused by its circuit breaker; and if the configuration or the store cannot be read.
    """
    if metrics and (check or as_json):
        refuse("--metrics goes with neither --check nor --json")
    if check:
        _check(config, as_json=as_json)
        return
    app = look(config)
    try:
        if metrics:
            click.echo(app.metrics(), nl=False)
        elif as_json:
            print_json(_document(app))
        else:
            _show(app)
    finally:
        app.close()


def _check(config: Path, *, as_json: bool) -> None:
    """Tell whether the program is well.

    Raises:
        SystemExit: it is not.
    """
    try:
        with closing(look(config)) as app:
            health = app.health()
    except (ConfigError, StoreError) as error:
        health = Health(problems=(str(error),))
    if as_json:
        print_json(health.document())
    else:
        click.echo(plain(_in_one_line(health)))
    if not health.is_well:
        raise SystemExit(FAILED)


def _in_one_line(health: Health) -> str:
    if not health.is_well:
        return f"not well: {'; '.join(health.problems)}".replace("\n", "; ")
    ticked = f", last tick {age_in_words(max(now_utc() - health.tick, timedelta(0)))} ago" if health.tick else ""
    return f"well{ticked}"


def _document(app: App) -> dict[str, object]:
    stop, counts = app.store.stop(), app.store.counts()
    return {
        "stop": None if stop is None else {**_stop(stop), "waiting": _number(counts, State.READY)},
        "stopped_categories": [
            {"category": one.category, **_stop(one), "held": _number(counts, State.HELD, held_for(one))}
            for one in app.store.stopped_categories()
        ],
        "store": str(app.store.path),
        "articles": app.store.count_articles(),
        "feeds": [_feed(feed) for feed in app.store.feeds()],
        "accounts": [accounts.document(standing) for standing in app.store.standings().values()],
        "deliveries": [
            {"account": count.account, "state": count.state.value, "reason": count.reason, "count": count.count}
            for count in counts
        ],
        "alerts": alerts.documents(app),
    }


def _stop(stop: Stop) -> dict[str, object]:
    return {"who": stop.who, "since": stop.since.isoformat(), "why": stop.why}


def _number(counts: Sequence[Count], state: State, reason: str | None = None) -> int:
    return sum(one.count for one in counts if one.state is state and reason in (None, one.reason))


def _feed(feed: Feed) -> dict[str, object]:
    return {
        "feed": feed.settings.name,
        "url": feed.settings.url,
        "last_good": feed.last_good.isoformat() if feed.last_good else None,
        "failures": feed.failures,
        "not_before": feed.not_before.isoformat() if feed.not_before else None,
        "gone": feed.gone,
        "reason": feed.last_error,
    }


def _show(app: App) -> None:
    zone, now = ZoneInfo(app.config.timezone), app.now()
    _show_stops(app, zone)
    feeds = [
        [feed.settings.name, local(feed.last_good, zone), _health(feed, zone, now), feed.settings.url]
        for feed in app.store.feeds()
    ]
    table(feeds, ["feed", "last good poll", "health", "address"])
    click.echo()
    accounts.show(app)
    counts = app.store.counts()
    knowingly = {held_for(stop) for stop in app.store.stopped_categories()}
    people = [one for one in counts if one.state in _WAITS_FOR_PERSON and one.reason not in knowingly]
    unknown = sum(one.count for one in counts if one.state is State.VERIFYING)
    click.echo()
    for name, ahead in app.dates_ahead().items():
        hours = ahead.total_seconds() / 3600
        click.echo(f"{name}: its dates lie {hours:.1f} h ahead (local time written as UTC?); first seen counts instead")
    click.echo(f"{app.store.count_articles()} articles known, {unknown} outcomes being looked up")
    if found := alerts.open_alerts(app):
        phrases = app.phrases()
        click.echo("open alerts:")
        for alert in found:
            click.echo(f"  {plain(alerts.in_line(alert, phrases))}")
    if people:
        click.echo("needs a person:")
        for one in people:
            reason = f" ({plain(one.reason)})" if one.reason else ""
            click.echo(f"  {one.account}: {one.count} {one.state.value}{reason}: autopublish deliveries list")


def _show_stops(app: App, zone: ZoneInfo) -> None:
    """What a person stopped, and what waits for its end."""
    stop, stopped, counts = app.store.stop(), app.store.stopped_categories(), app.store.counts()
    if stop is not None:
        waiting = counted(_number(counts, State.READY), "post waits", "posts wait")
        click.secho(plain(f"{stop_in_words(stop, zone)}; {waiting}; {go_on(stop)} ends that"), bold=True)
    for one in stopped:
        held = counted(_number(counts, State.HELD, held_for(one)), "post is held", "posts are held")
        click.secho(plain(f"{one.category}: {stop_in_words(one, zone)}; {held}; {go_on(one)} ends that"), bold=True)
    if stop is not None or stopped:
        click.echo()


def _health(feed: Feed, zone: ZoneInfo, now: datetime) -> str:
    if feed.gone:
        return "gone (410)"
    if feed.not_before is not None and feed.not_before > now:
        return f"told to wait until {local(feed.not_before, zone)}"
    if feed.failures:
        return f"failed {'once' if feed.failures == 1 else f'{feed.failures} times'}: {feed.last_error}"
    return "good" if feed.last_good else "not polled yet"


@click.command()
@click.argument("article")
@config_option
@json_option
@in_words
def why(article: str, config: Path, *, as_json: bool) -> None:
    """Say for each account what became of an article, and why.

    ARTICLE is its address, or a part of it that no other article has.
    """
    app = look(config)
    try:
        found = app.find_article(article)
        if len(found) != 1:
            _not_one(found, article)
        one = found[0]
        answers = app.explain(one)
        if as_json:
            print_json(_why_document(one, answers, app.store.stop()))
        else:
            _why_words(app, one, answers)
    finally:
        app.close()


def _not_one(found: Sequence[Article], text: str) -> None:
    if not found:
        say(f"no article with the address {text} was seen by any poll; `autopublish run` polls the feeds")
    else:
        say(f"several articles match {text}; give one of these addresses:")
        for article in found:
            say(f"  {article.link or article.id}  {article.title}")
    raise SystemExit(FAILED)


def _why_document(article: Article, answers: dict[str, Delivery | str], stop: Stop | None) -> dict[str, object]:
    return {
        "article": article.link,
        "title": article.title,
        "published": article.published.isoformat(),
        "first_seen": article.first_seen.isoformat(),
        "feeds": list(article.feeds),
        "accounts": [_answer(account, answer, stop) for account, answer in answers.items()],
    }


def _answer(account: str, answer: Delivery | str, stop: Stop | None) -> dict[str, object]:
    if isinstance(answer, str):
        return {"account": account, "state": None, "reason": answer, "url": None, "delivery": None, "due": None}
    return {
        "account": account,
        "state": answer.state.value,
        "reason": stop_in_words(stop, None) if stop and answer.state is State.READY else answer.reason,
        "url": answer.receipt.url if answer.receipt else None,
        "delivery": answer.id,
        "due": answer.due.isoformat(),
    }


def _why_words(app: App, article: Article, answers: dict[str, Delivery | str]) -> None:
    zone, now, standings = ZoneInfo(app.config.timezone), app.now(), app.store.standings()
    stops = app.stops()
    click.secho(plain(article.title), bold=True)
    click.echo(f"published {local(article.published, zone)}, first seen {local(article.first_seen, zone)}, ", nl=False)
    click.echo(f"in {', '.join(article.feeds)}")
    for account, answer in answers.items():
        if isinstance(answer, Delivery):
            words = state_in_words(answer, standings.get(account), zone, now, app.paced_until(account), stops)
        else:
            words = answer
        click.echo(f"  {account}: {plain(words)}")
        if not isinstance(answer, Delivery):
            continue
        for event in app.store.events(answer.id):
            reason = f": {event.why}" if event.why else ""
            by = "" if event.actor == "autopublish" else f" by {event.actor}"
            click.echo(f"      {local(event.at, zone)}  {event.what}{by}{plain(reason)}")
        for attempt in app.store.attempts(answer.id):
            evidence = f": {attempt.evidence}" if attempt.evidence else ""
            click.echo(f"      {local(attempt.started, zone)}  attempt: {attempt.outcome.value}{plain(evidence)}")
