"""`autopublish go`: the end of a stop, and of SAFE_MODE."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from autopublish.app import App, Gone, build
from autopublish.cli import accounts as of_accounts
from autopublish.cli._common import config_option, counted, go_on, in_words, plain, say, stop_in_words, user
from autopublish.cli.stop import categories_of
from autopublish.deliveries import NotAllowed, is_stopped
from autopublish.models import AccountState, State


@click.command()
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Only this account; again for more.")
@click.option("--category", "categories", multiple=True, metavar="NAME", help="Only its articles; again for more.")
@config_option
@in_words
def go(accounts: tuple[str, ...], categories: tuple[str, ...], config: Path) -> None:
    """Let everything go on after `autopublish stop`, and accounts in SAFE_MODE, once you looked at their networks.

    What waited is looked for on its network before it is sent. What was held as `restored` stays held for you to
    approve or cancel where the network cannot tell.

    With --account these accounts are resumed, after their networks said who is logged in. With --category what was held
    for these goes on, the oldest first. Either may be given several times.
    """
    names = categories_of(categories)
    if accounts:
        of_accounts.resume_each(config, accounts, None)
    if names:
        with closing(build(config)) as app:
            for name in names:
                _go_category(app, name)
    if not accounts and not names:
        with closing(build(config)) as app:
            _go(app)


def _go(app: App) -> None:
    try:
        gone = app.go(who=user())
    except NotAllowed as error:
        say(f"{error}; nothing was changed")
    else:
        _show(app, gone)
    _tell_what_stays(app)


def _show(app: App, gone: Gone) -> None:
    if gone.stop is not None:
        click.echo(f"goes on; it was {stop_in_words(gone.stop, ZoneInfo(app.config.timezone))}")
        waiting = of_accounts.numbers(app, State.READY)
        for name in app.store.standings():
            click.echo(plain(f"  {name}: {counted(waiting(name), 'post waits', 'posts wait')}"))
    if gone.accounts or not (gone.stop or gone.released or gone.held or gone.is_clock_right):
        click.echo(f"{', '.join(gone.accounts) or 'no account'}: out of SAFE_MODE")
    if gone.is_clock_right:
        click.echo("the clock of this machine is taken for right, whatever servers say: set it if it is not")
    if gone.released:
        words = counted(gone.released, "post is", "posts are")
        click.echo(f"{words} looked for by the next run, and sent if not found")
    if gone.held:
        click.echo(
            f"{counted(gone.held, 'post is', 'posts are')} still held, since nobody but you can look: `autopublish "
            "deliveries list --state held`, then `autopublish deliveries approve --reason restored`, or `autopublish "
            "deliveries cancel`"
        )
    for feed in gone.unread:
        click.echo(f"{feed}: was not read since; what its next poll finds is held: then say `autopublish go` again")


def _tell_what_stays(app: App) -> None:
    """Categories and accounts that were stopped by name stay so."""
    zone = ZoneInfo(app.config.timezone)
    for stop in app.store.stopped_categories():
        say(plain(f"{stop.category}: stays {stop_in_words(stop, zone)}; {go_on(stop)} ends that"))
    for name, standing in app.store.standings().items():
        if standing.state is AccountState.PAUSED:
            say(plain(f"{name}: stays PAUSED: {standing.reason}; `autopublish go --account {name}` ends that"))


def _go_category(app: App, category: str) -> None:
    stop, rows = app.go_category(category, who=user())
    if stop is None:
        there = ", ".join(one.category or "" for one in app.store.stopped_categories())
        say(plain(f"{category}: no such category is stopped; {f'stopped are {there}' if there else 'none is'}"))
        return
    going = sum(row.state is State.READY for row in rows)
    zone = ZoneInfo(app.config.timezone)
    words = counted(going, "post waits for its turn", "posts wait for their turn")
    click.echo(plain(f"{stop.category}: goes on; it was {stop_in_words(stop, zone)}; {words}"))
    if others := sum(is_stopped(row) for row in rows):
        click.echo(f"{counted(others, 'other is', 'others are')} held for another category that is stopped")
    if gone := len(rows) - going - others:
        click.echo(f"{counted(gone, 'other is', 'others are')} held, since the account is not there any more")
