"""`autopublish stop`: the big switch, for everything, for accounts or for categories."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from autopublish.app import App, build, build_to_stop
from autopublish.cli import accounts as of_accounts
from autopublish.cli._common import config_option, counted, in_words, plain, refuse, say, stop_in_words, user
from autopublish.errors import ConfigError
from autopublish.models import State


@click.command()
@click.option("--account", "accounts", multiple=True, metavar="NAME", help="Only this account; again for more.")
@click.option("--category", "categories", multiple=True, metavar="NAME", help="Only its articles; again for more.")
@click.option("--reason", metavar="TEXT", help="Is shown and kept with the stop.")
@config_option
@in_words
def stop(accounts: tuple[str, ...], categories: tuple[str, ...], reason: str | None, config: Path) -> None:
    """Stop everything, by a running daemon too, until `autopublish go`: nothing is sent, and nothing is lost.

    A call that has begun ends and is recorded. The feeds are read, and what comes waits.

    With --account these accounts are paused. With --category articles that have the category are held, those that wait
    and those to come. Either may be given several times.
    """
    names = categories_of(categories)
    if accounts:
        of_accounts.pause_each(config, accounts, reason)
    if names:
        with closing(build(config)) as app:
            for name in names:
                _stop_category(app, name, reason)
    if not accounts and not names:
        _stop_everything(config, reason)


def categories_of(typed: tuple[str, ...]) -> tuple[str, ...]:
    """The categories as they are kept: each once, without stray blanks."""
    names = tuple(dict.fromkeys(" ".join(name.split()) for name in typed))
    if "" in names:
        refuse("--category takes the name of a category; nothing was changed")
    return names


def _stop_everything(config: Path, reason: str | None) -> None:
    app, error = build_to_stop(config)
    with closing(app):
        if error is not None:
            _tell_wrong_file(app, error)
        earlier = app.stop(who=user(), why=reason)
        if earlier is None:
            click.echo("stopped: nothing is sent on any account before `autopublish go`; the feeds are read, though")
        else:
            zone = ZoneInfo(app.config.timezone) if error is None else None
            say(f"already {stop_in_words(earlier, zone)}; nothing was changed")
        _tell_waiting(app)


def _tell_wrong_file(app: App, error: ConfigError) -> None:
    for problem in error.problems:
        say(str(problem))
    say(f"That is no hindrance here; the store is {app.store.path}")


def _tell_waiting(app: App) -> None:
    """How many posts wait on which account, and how to see them."""
    waiting = of_accounts.numbers(app, State.READY)
    counts = {name: waiting(name) for name in app.store.standings()}
    for name, count in counts.items():
        click.echo(plain(f"  {name}: {counted(count, 'post waits', 'posts wait')}"))
    if any(counts.values()):
        click.echo("See them with `autopublish deliveries list --state ready`")
    if sending := len(app.store.in_state(State.SENDING)):
        what = counted(sending, "post is being sent at this moment: it ends", "posts are being sent: they end")
        click.echo(f"{what}, and what became of that is recorded")


def _stop_category(app: App, category: str, reason: str | None) -> None:
    near = app.near_categories(category)
    earlier, held = app.stop_category(category, who=user(), why=reason)
    if earlier is not None:
        words = stop_in_words(earlier, ZoneInfo(app.config.timezone))
        say(plain(f"{category}: already {words}; nothing was changed"))
        return
    click.echo(plain(f"{category}: stopped; {counted(len(held), 'post that waited is', 'posts that waited are')} held"))
    if held:
        click.echo("See them with `autopublish deliveries list --state held`")
    if near is not None:
        hint = f": did you mean {' or '.join(near)}?" if near else ""
        say(plain(f"note: no article of late had the category {category}{hint}"))
