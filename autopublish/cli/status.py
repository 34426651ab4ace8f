"""`autopublish status` and `autopublish why`: what the store knows, in words."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from autopublish.app import App, look
from autopublish.cli import accounts
from autopublish.cli._common import (
    FAILED,
    config_option,
    in_words,
    json_option,
    local,
    plain,
    print_json,
    say,
    state_in_words,
    table,
)
from autopublish.cli._health import LAST_TICK, age_in_words, problems, tick_of
from autopublish.errors import ConfigError, StoreError
from autopublish.models import Article, Delivery, State

if TYPE_CHECKING:
    from autopublish.models import Feed

_WAITS_FOR_PERSON = (State.HELD, State.NEEDS_REVIEW, State.REJECTED)


@click.command()
@config_option
@click.option("--check", is_flag=True, help="Say in one line whether the program does its work; 1 if it does not.")
@json_option
@in_words
def status(config: Path, *, check: bool, as_json: bool) -> None:
    """Show feeds, accounts, what waits and what needs a person.

    With --check it ends with 1 if the daemon has not ticked for 3 minutes, or, where there is none, if nothing runs any
    more; if a feed failed three times in a row or is gone; if an account is AUTH_BLOCKED or in SAFE_MODE; and if the
    configuration or the store cannot be read.
    """
    if check:
        _check(config, as_json=as_json)
        return
    app = look(config)
    try:
        if as_json:
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
    tick: datetime | None = None
    try:
        with closing(look(config)) as app:
            now, tick = app.now(), tick_of(app.store.note(LAST_TICK))
            found = problems(app.store.feeds(), app.store.standings().values(), tick=tick, now=now)
    except (ConfigError, StoreError, ValueError) as error:
        found = (str(error),)
    if as_json:
        print_json({"well": not found, "last_tick": tick.isoformat() if tick else None, "problems": list(found)})
    else:
        words = "; ".join(found).replace("\n", "; ")
        ticked = f", last tick {age_in_words(max(now - tick, timedelta(0)))} ago" if tick and not found else ""
        click.echo(plain(f"not well: {words}" if found else f"well{ticked}"))
    if found:
        raise SystemExit(FAILED)


def _document(app: App) -> dict[str, object]:
    return {
        "store": str(app.store.path),
        "articles": app.store.count_articles(),
        "feeds": [_feed(feed) for feed in app.store.feeds()],
        "accounts": [accounts.document(standing) for standing in app.store.standings().values()],
        "deliveries": [
            {"account": count.account, "state": count.state.value, "reason": count.reason, "count": count.count}
            for count in app.store.counts()
        ],
    }


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
    feeds = [
        [feed.settings.name, local(feed.last_good, zone), _health(feed, zone, now), feed.settings.url]
        for feed in app.store.feeds()
    ]
    table(feeds, ["feed", "last good poll", "health", "address"])
    click.echo()
    accounts.show(app)
    counts = app.store.counts()
    people = [one for one in counts if one.state in _WAITS_FOR_PERSON]
    unknown = sum(one.count for one in counts if one.state is State.VERIFYING)
    click.echo()
    for name, ahead in app.dates_ahead().items():
        hours = ahead.total_seconds() / 3600
        click.echo(f"{name}: its dates lie {hours:.1f} h ahead (local time written as UTC?); first seen counts instead")
    click.echo(f"{app.store.count_articles()} articles known, {unknown} outcomes being looked up")
    if people:
        click.echo("needs a person:")
        for one in people:
            reason = f" ({plain(one.reason)})" if one.reason else ""
            click.echo(f"  {one.account}: {one.count} {one.state.value}{reason}: autopublish deliveries list")


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
            print_json(_why_document(one, answers))
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


def _why_document(article: Article, answers: dict[str, Delivery | str]) -> dict[str, object]:
    return {
        "article": article.link,
        "title": article.title,
        "published": article.published.isoformat(),
        "first_seen": article.first_seen.isoformat(),
        "feeds": list(article.feeds),
        "accounts": [_answer(account, answer) for account, answer in answers.items()],
    }


def _answer(account: str, answer: Delivery | str) -> dict[str, object]:
    if isinstance(answer, str):
        return {"account": account, "state": None, "reason": answer, "url": None, "delivery": None, "due": None}
    return {
        "account": account,
        "state": answer.state.value,
        "reason": answer.reason,
        "url": answer.receipt.url if answer.receipt else None,
        "delivery": answer.id,
        "due": answer.due.isoformat(),
    }


def _why_words(app: App, article: Article, answers: dict[str, Delivery | str]) -> None:
    zone, now, standings = ZoneInfo(app.config.timezone), app.now(), app.store.standings()
    click.secho(plain(article.title), bold=True)
    click.echo(f"published {local(article.published, zone)}, first seen {local(article.first_seen, zone)}, ", nl=False)
    click.echo(f"in {', '.join(article.feeds)}")
    for account, answer in answers.items():
        if isinstance(answer, Delivery):
            words = state_in_words(answer, standings.get(account), zone, now, app.paced_until(account))
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
