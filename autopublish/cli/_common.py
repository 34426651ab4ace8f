"""What the commands share: the option for the file, errors to exit codes, words for states and times."""

from __future__ import annotations

import functools
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from zoneinfo import ZoneInfo

import click

from autopublish.errors import ConfigError, ExtraMissing, FeedError, StoreBusy, StoreError
from autopublish.models import NO_MONEY, AccountState, Delivery, Standing, State, Stop
from autopublish.redaction import redact, redact_all

#: Done, something failed, wrong usage or configuration.
DONE, FAILED, WRONG = 0, 1, 2

DEFAULT_FILE = "autopublish.yaml"
STOPPED = "stopped; what was being sent has been recorded, and the next run goes on"

_Command = TypeVar("_Command", bound=Callable[..., Any])


def config_option(command: _Command) -> _Command:
    """The option that names the configuration file."""
    option = click.option(
        "-c",
        "--config",
        "config",
        type=click.Path(path_type=Path, dir_okay=False),
        default=lambda: Path(os.environ.get("AUTOPUBLISH_CONFIG", DEFAULT_FILE)),
        show_default=f"{DEFAULT_FILE}, or $AUTOPUBLISH_CONFIG",
        help="The configuration file.",
    )
    return option(command)


def json_option(command: _Command) -> _Command:
    """The option that asks for one JSON document on stdout."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document for machines.")(command)


def in_words(command: _Command) -> _Command:
    """Errors that the user can mend become one clear message and the right exit code."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ConfigError as error:
            for problem in error.problems:
                say(str(problem))
            raise SystemExit(WRONG) from None
        except StoreBusy as error:
            say(f"{error}; nothing to do")
            raise SystemExit(DONE) from None
        except (StoreError, ExtraMissing) as error:
            say(str(error))
            raise SystemExit(WRONG) from None
        except FeedError as error:
            say(f"the feed cannot be read: {error}")
            raise SystemExit(FAILED) from None
        except KeyboardInterrupt:
            say(STOPPED)
            raise SystemExit(FAILED) from None
        except BrokenPipeError:
            # The reader of our output went away; that is its good right.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(DONE) from None
        except OSError as error:
            say(f"this machine refused: {error}")
            raise SystemExit(FAILED) from None

    return wrapped  # type: ignore[return-value] # the same signature, which Callable[..., Any] cannot say


@contextmanager
def telling_of_store(config: Path) -> Iterator[None]:
    """People hear, through the channels of the configuration, that the store cannot be used, if that ends this."""
    try:
        yield
    except StoreError as error:
        from autopublish.app import tell_of_store

        tell_of_store(config, error)
        raise


def user() -> str:
    """The user's name; in a container a user may have a number only."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def say(words: str) -> None:
    """Talk goes to stderr."""
    click.echo(plain(words), err=True)


def refuse(words: str) -> NoReturn:
    """End with a message about wrong usage."""
    say(words)
    raise SystemExit(WRONG)


def print_json(document: object) -> None:
    """Data for machines goes to stdout, without secrets."""
    click.echo(json.dumps(redact_all(document), ensure_ascii=False, indent=2))


def plain(text: str) -> str:
    """Text without secrets and characters that steer a terminal; line breaks and the joiners of emoji stay."""
    text = redact(text)
    return "".join(char if char.isprintable() or char in "\n\u200c\u200d" else " " for char in text)


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    from unicodedata import combining, east_asian_width

    wide = sum(east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(bool(combining(char)) for char in text)


def is_terminal() -> bool:
    """Whether a person looks at stdout."""
    return sys.stdout is not None and sys.stdout.isatty()


def local(time: datetime | None, zone: ZoneInfo | None) -> str:
    """A time as the operator reads it."""
    if time is None:
        return "never"
    return f"{time.astimezone(zone):%Y-%m-%d %H:%M:%S}" if zone else f"{time:%Y-%m-%d %H:%M:%S} UTC"


def counted(count: int, one: str, more: str) -> str:
    """So many of something: `one` is what follows 1, `more` what follows any other number."""
    return f"{count} {one if count == 1 else more}"


def stop_in_words(stop: Stop, zone: ZoneInfo | None) -> str:
    """Who stopped it, since when, and why."""
    why = f" ({stop.why})" if stop.why else ""
    return f"stopped by {stop.who} since {local(stop.since, zone)}{why}"


def go_on(stop: Stop) -> str:
    """The command that ends the stop."""
    what = "" if stop.category is None else f" --category {shlex.quote(stop.category)}"
    return f"`autopublish go{what}`"


def state_in_words(
    delivery: Delivery,
    standing: Standing | None,
    zone: ZoneInfo | None,
    now: datetime,
    paced: datetime | None = None,
    stops: Sequence[Stop] = (),
) -> str:
    """What a delivery's state means to its reader, with what to do where a person is needed.

    `standing` is its account's, which may be what it waits for; None if the configuration names no such account.
    `paced`: until when the account's rate windows keep it from sending; `stops`: what a person stopped.
    """
    short = delivery.id[:8]
    reason = delivery.reason or ""
    match delivery.state:
        case State.POSTED:
            where = delivery.receipt.url or delivery.receipt.remote_id if delivery.receipt else ""
            return f"posted {where}".strip()
        case State.READY:
            return _ready_in_words(delivery, standing, zone, now, paced, stops)
        case State.SENDING:
            return "is being sent"
        case State.VERIFYING:
            return f"outcome unknown, next look {local(delivery.look_at, zone)}: {reason}"
        case State.HELD:
            return _held_in_words(delivery, zone, stops)
        case State.NEEDS_REVIEW:
            return (
                f"outcome unknown: {reason}; look at the account, then "
                f"`autopublish deliveries resolve {short} --posted URL` or `--absent`"
            )
        case State.REJECTED:
            return f"refused: {reason}; `autopublish deliveries retry {short}` or `cancel {short}`"
        case State.CANCELLED:
            return reason or "cancelled"


def _held_in_words(delivery: Delivery, zone: ZoneInfo | None, stops: Sequence[Stop]) -> str:
    reason, short = delivery.reason or "", delivery.id[:8]
    stop = next((stop for stop in stops if stop.category is not None and reason == f"stopped: {stop.category}"), None)
    if stop is None:
        return f"held: {reason}; `autopublish deliveries approve {short}` or `cancel {short}`"
    return (
        f"held: {stop.category} is {stop_in_words(stop, zone)}; {go_on(stop)} lets all of it go, `autopublish "
        f"deliveries approve {short}` this one"
    )


def _ready_in_words(
    delivery: Delivery,
    standing: Standing | None,
    zone: ZoneInfo | None,
    now: datetime,
    paced: datetime | None,
    stops: Sequence[Stop],
) -> str:
    everything = next((stop for stop in stops if stop.category is None), None)
    if everything is not None:
        return f"waits: everything is {stop_in_words(everything, zone)}; {go_on(everything)} ends that"
    when = _when_in_words(delivery, standing, zone, now, paced)
    return f"{when} ({delivery.reason})" if delivery.reason else when


def _when_in_words(
    delivery: Delivery, standing: Standing | None, zone: ZoneInfo | None, now: datetime, paced: datetime | None
) -> str:
    """What a READY delivery waits for."""
    if standing is not None and standing.state is not AccountState.ACTIVE:
        return f"waits for its account, which is {standing.state}: {standing.reason or 'no reason is known'}"
    until = delivery.due
    if standing is not None and standing.not_before is not None:
        until = max(until, standing.not_before)
    if standing is not None and until > now and (standing.reason or "").startswith(NO_MONEY):
        return f"waits: {standing.reason}"
    if paced is not None and paced > max(until, now):
        return f"waits for its turn, not before {local(paced, zone)} (at_most)"
    return f"waits until {local(until, zone)}" if until > now else "waits for its turn"


@contextmanager
def watching(*, wanted: bool) -> Iterator[Callable[[str], None] | None]:
    """A line on stderr that tells a person at a terminal what happens now; gives what to call with the words."""
    if not (wanted and is_terminal() and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.markup import escape

    # A run may stay for hours: drawn as often as one reads it, not as often as it could be drawn.
    with Console(stderr=True).status("polling", spinner="dots", refresh_per_second=2) as line:
        yield lambda words: line.update(escape(plain(words)))


def table(rows: Sequence[Sequence[str]], heads: Sequence[str], *, title: str | None = None) -> None:
    """A table: drawn for a person at a terminal, aligned plain text in a pipe."""
    if is_terminal():
        _rich_table(rows, heads, title)
        return
    if title:
        click.echo(title)
    lines = [list(heads), *[[plain(cell).replace("\n", " ") for cell in row] for row in rows]]
    widths = [max(columns(line[place]) for line in lines) for place in range(len(heads) - 1)]
    for line in lines:
        cells = [cell + " " * (width - columns(cell)) for cell, width in zip(line, [*widths, 0], strict=True)]
        click.echo("  ".join(cells).rstrip())


def _rich_table(rows: Iterable[Sequence[str]], heads: Sequence[str], title: str | None) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*heads, box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(plain(cell), style=_style(cell)) for cell in row))
    Console(highlight=False).print(drawn)


def _style(cell: str) -> str:
    first = cell.split(" ", 1)[0].lower().rstrip(":,")
    return _STYLES.get(first, "")


_STYLES = {
    "posted": "green",
    "active": "green",
    "ready": "cyan",
    "waits": "cyan",
    "verifying": "yellow",
    "outcome": "yellow",
    "held": "yellow",
    "paused": "yellow",
    "refused": "red",
    "rejected": "red",
    "needs_review": "red",
    "auth_blocked": "red",
    "failed": "red",
    "filtered": "dim",
    "cancelled": "dim",
}
