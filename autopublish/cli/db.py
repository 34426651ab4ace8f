"""`autopublish db`: backup, check, restore, upgrade."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from autopublish import deliveries
from autopublish.app import now_utc
from autopublish.cli._common import FAILED, config_option, in_words, json_option, plain, print_json, say, user
from autopublish.config import load
from autopublish.store import care, open_store, path_of

_ONE = {
    "feeds": "feed",
    "articles": "article",
    "aliases": "alias",
    "deliveries": "delivery",
    "attempts": "attempt",
    "events": "event",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def db() -> None:
    """Back up, check and restore the store."""


@db.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--force", is_flag=True, help="Take the place of a file that is there already.")
@config_option
@in_words
def backup(file: Path | None, config: Path, *, force: bool) -> None:
    """Copy the store to FILE, also while a run or the daemon is at work.

    The copy is whole, checked, durable, and readable by its owner alone. Without FILE it lies in the folder beside the
    store, with the time in its name.
    """
    path = _path(config)
    target = file or path.with_name(f"{path.name}.d") / "copies" / f"{now_utc():%Y%m%dT%H%M%SZ}.db"
    size_bytes = care.backup(path, target, replacing=force)
    click.echo(plain(f"{target}: {size_bytes} bytes, checked"))


@db.command()
@config_option
@json_option
@in_words
def check(config: Path, *, as_json: bool) -> None:
    """Look into every corner of the store; nothing is written."""
    path = _path(config)
    health = care.check(path)
    if as_json:
        print_json({"store": str(path), "problems": list(health.problems), "counts": dict(health.counts)})
    else:
        click.echo(plain(f"{path}: {', '.join(_counted(count, what) for what, count in health.counts.items())}"))
        for problem in health.problems:
            say(problem)
        if not health.problems:
            click.echo("sound")
    if health.problems:
        say(care.damaged(path, health.problems[0]))
        raise SystemExit(FAILED)


@db.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@config_option
@in_words
def restore(file: Path, config: Path) -> None:
    """Put FILE, a copy, in the place of the store, while nothing works on it.

    What was the store until now is kept beside it. Every account is in SAFE_MODE until `autopublish go`: the copy does
    not know what was posted since it was made.
    """
    path = _path(config)
    done = care.restore(path, file, now_utc(), who=user(), doubted=deliveries.doubted, stopped=deliveries.stopped)
    if done.kept is not None:
        click.echo(plain(f"kept as it was: {done.kept}"))
    click.echo(plain(f"{path}: {done.why}"))
    click.echo(
        "Every account is in SAFE_MODE. `autopublish run` reads the feeds and sends nothing; look at the accounts, "
        "then `autopublish go` lets them go on"
    )


@db.command()
@config_option
@in_words
def upgrade(config: Path) -> None:
    """Bring the store to the form of this version, after a copy, as each start does by itself."""
    path = _path(config)
    before = care.form_of(path)
    with closing(open_store(f"sqlite:///{path}")):
        after = care.form_of(path)
    if before == after:
        click.echo(plain(f"{path}: has form {after} already, the newest that this version knows"))
    else:
        click.echo(plain(f"{path}: brought from form {before} to {after}; a copy of before lies beside it"))


def _counted(count: int, what: str) -> str:
    """So many of what the store names in the plural."""
    return f"1 {_ONE.get(what, what)}" if count == 1 else f"{count} {what}"


def _path(config: Path) -> Path:
    return path_of(load(config).store)
