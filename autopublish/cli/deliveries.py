"""`autopublish deliveries`: list, approve, retry, cancel, resolve, withdraw."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from autopublish import deliveries as moves
from autopublish.app import App, build, look
from autopublish.cli._common import (
    FAILED,
    config_option,
    counted,
    in_words,
    json_option,
    plain,
    print_json,
    refuse,
    say,
    state_in_words,
    table,
    user,
)
from autopublish.errors import DeliveryError, SecretError
from autopublish.models import Delivery, State
from autopublish.redaction import redact

#: More than any store holds.
_ALL = 1_000_000_000
_STATES = click.Choice([state.value.lower() for state in State])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def deliveries() -> None:
    """List deliveries, and decide about those that wait for a person."""


@deliveries.command("list")
@config_option
@click.option("--state", type=_STATES, help="Only this state.")
@click.option("--account", help="Only this account.")
@click.option("--all", "everything", is_flag=True, help="Also what is posted or cancelled, newest first.")
@click.option("-n", "--most", type=click.IntRange(1, 100_000), default=200, show_default=True, help="How many at most.")
@json_option
@in_words
def list_(config: Path, state: str | None, account: str | None, most: int, *, everything: bool, as_json: bool) -> None:
    """List what waits, is being looked up, or needs a person."""
    app = look(config)
    try:
        _demand_account(app, account)
        # Cut last: the rows of one account may lie behind many of others.
        rows = _chosen(app, state, most if account is None else _ALL, everything=everything)
        rows = [row for row in rows if account in (None, row.account)][:most]
        if as_json:
            print_json([_document(app, row) for row in rows])
        else:
            _show(app, rows)
    finally:
        app.close()


def _demand_account(app: App, account: str | None) -> None:
    """There is or was such an account, if one is named: a slip must not look as if nothing waited."""
    known = {*app.store.standings(), *(count.account for count in app.store.counts())}
    if account is not None and account not in known:
        refuse(f"no account is called {account}; there are {', '.join(sorted(known)) or 'none before the first run'}")


def _chosen(app: App, state: str | None, most: int, *, everything: bool) -> list[Delivery]:
    if state is not None:
        return list(app.store.in_state(State(state.upper()), most=most))
    if everything:
        return list(app.store.newest_deliveries(most))
    open_states = (State.NEEDS_REVIEW, State.HELD, State.REJECTED, State.VERIFYING, State.SENDING, State.READY)
    return [row for one in open_states for row in app.store.in_state(one, most=most)][:most]


def _document(app: App, row: Delivery) -> dict[str, object]:
    article = app.store.article(row.article)
    return {
        "id": row.id,
        "article": article.link,
        "title": article.title,
        "account": row.account,
        "part": row.part,
        "occasion": row.occasion,
        "state": row.state.value,
        "reason": row.reason,
        "url": row.receipt.url if row.receipt else None,
        "due": row.due.isoformat(),
        "next_look": row.look_at.isoformat() if row.look_at else None,
        "allowed_by": row.allowed_by,
    }


def _show(app: App, rows: list[Delivery]) -> None:
    if not rows:
        say("nothing waits")
        return
    zone, now, standings = ZoneInfo(app.config.timezone), app.now(), app.store.standings()
    paced = {account: app.paced_until(account) for account in {row.account for row in rows}}
    stops, lines = app.stops(), []
    for row in rows:
        title = app.store.article(row.article).title
        words = state_in_words(row, standings.get(row.account), zone, now, paced[row.account], stops)
        lines.append([row.id[:8], row.account, title[:50], words])
    table(lines, ["id", "account", "article", "state"])


# --- moves -----------------------------------------------------------------------------------------------------------


def _selection(command: Callable[..., None]) -> Callable[..., None]:
    """The ways to say which deliveries are meant."""
    command = click.argument("ids", nargs=-1)(command)
    command = click.option("--account", help="All of this account that the command can move (and --reason fits).")(
        command
    )
    return click.option("--reason", help="All that are held for this reason, as `burst`.")(command)


@deliveries.command()
@_selection
@config_option
@in_words
def approve(ids: tuple[str, ...], account: str | None, reason: str | None, config: Path) -> None:
    """Let HELD deliveries go: by ID, or a whole batch by --account and --reason."""
    _move(config, ids, account, reason, State.HELD, moves.approve, "let through")


@deliveries.command()
@_selection
@click.option("--again", metavar="POST", help="Post ID, which is POSTED as POST (its id or address there), once more.")
@config_option
@in_words
def retry(ids: tuple[str, ...], account: str | None, reason: str | None, again: str | None, config: Path) -> None:
    """Try REJECTED or CANCELLED deliveries again, composed anew.

    With --again a POSTED one is posted a second time, beside the first: readers see both, and it is written down who
    wanted it.
    """
    if again is not None:
        if len(ids) != 1 or account is not None or reason is not None:
            refuse("--again takes one ID, and nothing else that chooses deliveries")
        _post_again(config, ids[0], again)
        return
    _move(config, ids, account, reason, State.REJECTED, moves.retry, "to be tried again")


@deliveries.command()
@_selection
@config_option
@in_words
def cancel(ids: tuple[str, ...], account: str | None, reason: str | None, config: Path) -> None:
    """Give deliveries up: by ID, or a whole batch of HELD ones by --account and --reason."""
    _move(config, ids, account, reason, State.HELD, moves.cancel, "cancelled")


@deliveries.command()
@click.argument("key", metavar="ID")
@click.option("--posted", metavar="URL", help="It is on the account, at this address.")
@click.option("--absent", is_flag=True, help="It is not there: compose it anew and send it.")
@click.option("--drop", is_flag=True, help="Leave it, whatever it is.")
@config_option
@in_words
def resolve(key: str, posted: str | None, config: Path, *, absent: bool, drop: bool) -> None:
    """Say what you saw on the account of a delivery whose outcome is unknown."""
    if sum((posted is not None, absent, drop)) != 1:
        refuse("say one of --posted URL, --absent, --drop")
    if posted is not None and not posted.startswith(("https://", "http://")):
        refuse("--posted takes the address of the post, as https://…")
    verdict = moves.Verdict.POSTED if posted else moves.Verdict.ABSENT if absent else moves.Verdict.DROP

    def move(row: Delivery, who: str, now: datetime) -> Delivery:
        return moves.resolve(row, verdict, posted, who, now)

    _move(config, (key,), None, None, State.NEEDS_REVIEW, move, f"resolved: {verdict.value}")


@deliveries.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask before it deletes.")
@config_option
@in_words
def withdraw(ids: tuple[str, ...], config: Path, *, is_sure: bool) -> None:
    """Delete posts on their networks, where programs may; their deliveries are CANCELLED and never go again.

    A post that is gone already counts as withdrawn. One that cannot be deleted stays as it is, and the reason is said.
    """
    app = build(config)
    try:
        rows = [_by_id(app, key) for key in dict.fromkeys(ids)]
        if not is_sure:
            for row in rows:
                place = row.receipt.url or row.receipt.remote_id if row.receipt else row.state.value
                say(f"{row.id[:8]} {row.account}: {plain(app.store.article(row.article).title)}: {place}")
            click.confirm(f"Delete {counted(len(rows), 'post', 'posts')}?", abort=True, err=True)
        failed = [row for row in rows if not _withdrawn(app, row)]
    finally:
        app.close()
    if failed:
        raise SystemExit(FAILED)


def _withdrawn(app: App, row: Delivery) -> bool:
    """Whether the post was taken away; what came of it is said."""
    place = f"{row.id[:8]} {row.account}"
    try:
        done = app.withdraw(row, who=user())
    except (moves.NotAllowed, SecretError, DeliveryError) as error:
        say(f"{place}: left as it was: {redact(str(error))}")
        return False
    if not done:
        say(f"{place}: it was deleted, and the delivery changed meanwhile: look at `autopublish deliveries list`")
        return False
    click.echo(f"{place}: withdrawn: {plain(app.store.article(row.article).title)}")
    return True


def _post_again(config: Path, key: str, typed: str) -> None:
    app = build(config)
    try:
        first, who = _by_id(app, key), user()
        if first.account not in app.accounts:
            refuse(f"{first.id[:8]}: the configuration names no account {first.account}: put it back first")
        article = app.store.article(first.article)
        others = [row for row in app.store.deliveries_of(article.id) if row.account == first.account]
        row = moves.again(first, typed, origin=article.origin, others=others, who=who, now=app.now())
        if not app.store.add_again(first, row, actor=who):
            raise moves.NotAllowed("somebody else just asked for the same: look at `autopublish deliveries list`")
        click.echo(f"{row.id[:8]} {row.account}: to be posted again: {plain(article.title)}")
    except moves.NotAllowed as error:
        say(f"{first.id[:8]} ({first.account}): {error}")
        raise SystemExit(FAILED) from None
    finally:
        app.close()


def _move(
    config: Path,
    ids: tuple[str, ...],
    account: str | None,
    reason: str | None,
    batch: State,
    move: Callable[[Delivery, str, datetime], Delivery],
    done: str,
) -> None:
    if not ids and account is None and reason is None:
        refuse("name deliveries by ID (see `autopublish deliveries list`), or a batch by --account and --reason")
    app = build(config)
    try:
        rows = [_by_id(app, key) for key in ids] if ids else _batch(app, account, reason, batch)
        failed = _apply(app, rows, move, done)
    finally:
        app.close()
    if failed:
        raise SystemExit(FAILED)


def _by_id(app: App, key: str) -> Delivery:
    text = key.lower()
    if len(text) < 4 or not all(char in "0123456789abcdef" for char in text):
        refuse(f"{key} is not an ID: give at least its first four characters, as `deliveries list` shows them")
    found = app.store.by_prefix(text)
    if not found:
        refuse(f"there is no delivery {key}; see `autopublish deliveries list --all`")
    if len(found) > 1:
        refuse(f"several deliveries begin with {key}: give more of it")
    return found[0]


def _batch(app: App, account: str | None, reason: str | None, state: State) -> list[Delivery]:
    rows = [
        row
        for row in app.store.in_state(state, most=_ALL)
        if account in (None, row.account) and (reason is None or (row.reason or "").split(":")[0] == reason)
    ]
    if not rows:
        say("no delivery fits; nothing was changed")
    return rows


def _apply(app: App, rows: list[Delivery], move: Callable[[Delivery, str, datetime], Delivery], done: str) -> bool:
    who, failed = user(), False
    for row in rows:
        try:
            moved = move(row, who, app.now())
        except moves.NotAllowed as error:
            say(f"{row.id[:8]} ({row.account}): {error}")
            failed = True
            continue
        if moved.state is State.READY and row.account not in app.accounts:
            say(f"{row.id[:8]}: the configuration names no account {row.account}: put it back first, or cancel this")
            failed = True
            continue
        warning = "; an earlier attempt may be live: look at the account" if moved.unclosed else ""
        if app.store.change(row, moved, actor=who):
            title = plain(app.store.article(row.article).title)
            click.echo(f"{row.id[:8]} {row.account}: {done}: {title}{warning}")
        else:
            say(f"{row.id[:8]} ({row.account}) changed meanwhile: look again with `autopublish deliveries list`")
            failed = True
    return failed
