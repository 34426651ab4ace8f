"""`autopublish accounts`: list, pause, resume, log in, test."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from autopublish.alerts import FAILURES
from autopublish.app import App, build, look
from autopublish.cli._common import (
    FAILED,
    WRONG,
    config_option,
    in_words,
    json_option,
    local,
    plain,
    print_json,
    say,
    stop_in_words,
    table,
    user,
)
from autopublish.deliveries import NotAllowed
from autopublish.errors import ComposeError, DeliveryError, LoginError, SecretError, Unauthorized
from autopublish.models import AccountState, State
from autopublish.redaction import redact

if TYPE_CHECKING:
    from autopublish.models import Standing


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def accounts() -> None:
    """List accounts, log them in and test them, pause them, and let them go on."""


@accounts.command("list")
@config_option
@json_option
@in_words
def list_(config: Path, *, as_json: bool) -> None:
    """List the accounts: who is logged in, whether they may post, and why not."""
    app = look(config)
    try:
        if as_json:
            print_json(_documents(app))
        else:
            show(app)
    finally:
        app.close()


def _documents(app: App) -> list[dict[str, object]]:
    posted, waiting = numbers(app, State.POSTED), numbers(app, State.READY)
    return [
        {**document(standing), "posted": posted(name), "waiting": waiting(name)}
        for name, standing in app.store.standings().items()
    ]


def document(standing: Standing) -> dict[str, object]:
    """An account for machines."""
    return {
        "account": standing.account,
        "platform": standing.platform,
        "state": standing.state.value,
        "reason": standing.reason,
        "not_before": standing.not_before.isoformat() if standing.not_before else None,
        "identity": standing.identity.name if standing.identity else None,
    }


def show(app: App) -> None:
    """The table of accounts."""
    zone, now = ZoneInfo(app.config.timezone), app.now()
    posted, waiting = numbers(app, State.POSTED), numbers(app, State.READY)
    rows = [
        [
            name,
            standing.platform,
            standing.identity.name if standing.identity else "not asked yet",
            standing.state.value,
            str(posted(name)),
            str(waiting(name)),
            _note(standing, zone, now),
        ]
        for name, standing in app.store.standings().items()
    ]
    table(rows, ["account", "platform", "who", "state", "posted", "waiting", "note"])


def numbers(app: App, state: State) -> Callable[[str], int]:
    """How many deliveries of an account are in this state."""
    counts = app.store.counts()
    return lambda account: sum(one.count for one in counts if one.account == account and one.state is state)


def _note(standing: Standing, zone: ZoneInfo, now: datetime) -> str:
    """Why it is blocked or paused, and until when it waits."""
    words = standing.reason or ""
    if standing.state is AccountState.AUTH_BLOCKED and standing.probe_at is not None:
        return f"{words}; asked again {local(standing.probe_at, zone)} or when the credentials change"
    if standing.state is AccountState.ACTIVE and standing.failures >= FAILURES:
        again = f"tried again {local(standing.not_before, zone)}" if standing.not_before else "tried again now"
        return f"circuit open: {standing.failures} failures in a row, {again}; the last: {words}"
    if standing.not_before is not None and standing.not_before > now:
        return f"waits until {local(standing.not_before, zone)} {words}".strip()
    return words


# --- decisions -------------------------------------------------------------------------------------------------------


@accounts.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--reason", metavar="TEXT", help="Is shown and kept with the pause.")
@config_option
@in_words
def pause(names: tuple[str, ...], reason: str | None, config: Path) -> None:
    """Stop accounts until they are resumed: what waits for them stays as it is, nothing is lost.

    A run that is at work stops before its next post; a call that has begun ends and is recorded.
    """

    pause_each(config, names, reason)


def pause_each(config: Path, names: tuple[str, ...], reason: str | None) -> None:
    """Pause these accounts, and say what came of it."""

    def move(app: App, name: str) -> str:
        app.pause(name, who=user(), why=reason)
        return f"paused; {_wait(app, name)}"

    _for_each(config, names, move)


@accounts.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--accept-identity",
    "accepted",
    metavar="WHO",
    help="The name or id of another identity than before, which may take its place.",
)
@config_option
@in_words
def resume(names: tuple[str, ...], accepted: str | None, config: Path) -> None:
    """Let PAUSED or AUTH_BLOCKED accounts go on, after their networks said who is logged in.

    A network that refuses, or that names another identity than before, leaves the account as it was. SAFE_MODE is not
    ended by this.
    """

    resume_each(config, names, accepted)


def resume_each(config: Path, names: tuple[str, ...], accepted: str | None) -> None:
    """Resume these accounts, and say what came of it."""

    def move(app: App, name: str) -> str:
        standing = app.resume(name, who=user(), accepted=accepted)
        who = standing.identity.name if standing.identity else ""
        until = standing.not_before if standing.not_before and standing.not_before > app.now() else None
        later = f" from {local(until, ZoneInfo(app.config.timezone))} on" if until else ""
        stop = app.store.stop()
        still = f"; everything is {stop_in_words(stop, ZoneInfo(app.config.timezone))}" if stop else ""
        return f"goes on as {who}{later}; {_wait(app, name)}{still}"

    _for_each(config, names, move)


# --- credentials -----------------------------------------------------------------------------------------------------


@accounts.command()
def key() -> None:
    """Print a new key, with which the store seals what logins give; keep it where your secrets are.

    The file names it at its top: key: env:AUTOPUBLISH_KEY. Whoever has the store and the key has your accounts.
    """
    from autopublish.vault import new_key

    click.echo(new_key())


@accounts.command()
@click.argument("name")
@click.option("--paste", is_flag=True, help="No browser of this machine: type the code that the network shows.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Where the browser comes back to on this machine; default: 8976."
)
@click.option("--redirect", metavar="URL", help="The address that the network knows of your app; implies --paste.")
@click.option(
    "--accept-identity",
    "accepted",
    metavar="WHO",
    help="The name or id of another identity than before, which may take its place.",
)
@config_option
@in_words
def login(
    name: str, port: int | None, redirect: str | None, accepted: str | None, config: Path, *, paste: bool
) -> None:
    """Log an account in: say yes in a browser, or type what its network shows; what it gives is kept sealed.

    Tokens that end are renewed by themselves from then on, where the network allows that. An account that was blocked
    goes on.
    """
    from autopublish.login import DEFAULT_PORT, Way

    way = Way(paste=paste, port=port or DEFAULT_PORT, redirect=redirect)
    with _one_account(config, name) as app:
        identity = app.login(name, _Person(), way, who=user(), accepted=accepted)
        click.echo(plain(f"{name}: logged in as {identity.name}"))


class _Person:
    """Whoever sits at the terminal."""

    def show(self, url: str) -> None:
        """They see the address."""
        say(f"Open this address, and say yes there:\n\n{url}\n")

    def ask(self, words: str) -> str:
        """What they type."""
        return str(click.prompt(words, err=True))

    def ask_hidden(self, words: str) -> str:
        """What they type, which nobody sees."""
        return str(click.prompt(words, err=True, hide_input=True))


@accounts.command()
@click.argument("name")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask before it posts.")
@config_option
@in_words
def test(name: str, config: Path, *, is_sure: bool) -> None:
    """Post a test to an account, read it back and delete it, as far as its network lets programs do that.

    Readers may see it for a moment. No article and no delivery is touched.
    """
    with _one_account(config, name) as app, app.trial(name, wait=_sleep) as trial:
        costs = f" for ${trial.price:g}" if trial.price else ""
        if not is_sure:
            words = f'Post "{trial.post.title}" as {trial.identity.name}{costs}?'
            click.confirm(plain(words), abort=True, err=True)
        is_good = trial.run(lambda words: click.echo(plain(f"{name}: {words}")))
    if not is_good:
        raise SystemExit(FAILED)


def _sleep(pause: timedelta) -> None:
    time.sleep(pause.total_seconds())


@contextmanager
def _one_account(config: Path, name: str) -> Iterator[App]:
    """The program, for what is done to one configured account; what is refused ends the command in words."""
    app = build(config)
    try:
        if name not in app.accounts:
            say(_unknown(name, tuple(app.accounts), is_new=False))
            raise SystemExit(WRONG)
        yield app
    except (NotAllowed, ComposeError, LoginError, SecretError, DeliveryError) as error:
        say(f"{name}: {redact(str(error))}")
        raise SystemExit(FAILED) from None
    finally:
        app.close()


def _wait(app: App, name: str) -> str:
    count = numbers(app, State.READY)(name)
    return f"{count} {'delivery waits' if count == 1 else 'deliveries wait'}"


def _for_each(config: Path, names: tuple[str, ...], move: Callable[[App, str], str]) -> None:
    """Make the move on each account and say what came of it; one that is refused does not stop the others."""
    app, failed = build(config), False
    try:
        _demand(app, names)
        for name in dict.fromkeys(names):
            try:
                click.echo(plain(f"{name}: {move(app, name)}"))
            except (NotAllowed, SecretError, DeliveryError) as error:
                say(f"{name}: left as it was: {error}{_remedy(error)}")
                failed = True
    finally:
        app.close()
    if failed:
        raise SystemExit(FAILED)


def _remedy(error: Exception) -> str:
    """What to do about a network's answer; what we refuse ourselves says it already."""
    match error:
        case Unauthorized():
            return "; put credentials that work in place of these, then resume it again"
        case DeliveryError():
            return "; try again later"
        case _:
            return ""


def _demand(app: App, names: tuple[str, ...]) -> None:
    """Every name is one of an account; nothing is changed if one is not."""
    known = app.store.standings()
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    for name in unknown:
        say(_unknown(name, tuple(known), is_new=name in app.accounts))
    if unknown:
        raise SystemExit(WRONG)


def _unknown(name: str, known: tuple[str, ...], *, is_new: bool) -> str:
    if is_new:
        return f"the account {name} is new in the configuration; `autopublish run` takes it over first"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none before the first run'}"
    return f"no account is called {name}; {hint}"
