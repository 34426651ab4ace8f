"""`autopublish alerts`: what a person should hear of, and whether it reaches anybody."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from autopublish.cli._common import (
    FAILED,
    config_option,
    in_words,
    json_option,
    local,
    plain,
    print_json,
    refuse,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from autopublish.app import App
    from autopublish.models import Alert
    from autopublish.telling import Phrases, Tried


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def alerts() -> None:
    """List what a person should hear of, and try the channels."""


@alerts.command("list")
@config_option
@json_option
@in_words
def list_(config: Path, *, as_json: bool) -> None:
    """List what is open: since when, whether somebody was told, and what to do."""
    from autopublish.app import look

    with closing(look(config)) as app:
        if as_json:
            print_json(documents(app))
        else:
            _show(app)


@alerts.command()
@click.argument("channel", required=False)
@config_option
@in_words
def test(config: Path, channel: str | None) -> None:
    """Send a notice through each channel, or through CHANNEL: it says that it is a test.

    CHANNEL is mail, webhook, command, account or ping, as the configuration names it.
    """
    from autopublish.app import build

    with closing(build(config)) as app:
        tried = app.try_channels(channel)
    if not tried:
        refuse("no channel is configured: `alerts:` in the configuration names who is told")
    for one in tried:
        click.echo(plain(_in_words(one)))
    if any(one.failure is not None for one in tried):
        raise SystemExit(FAILED)


def _in_words(one: Tried) -> str:
    return f"{one.channel}: taken" if one.failure is None else f"{one.channel}: not taken: {one.failure}"


def open_alerts(app: App) -> Sequence[Alert]:
    """What is worth showing now: credentials that end in some months are not."""
    from autopublish.alerts import is_ahead

    now = app.now()
    return [alert for alert in app.store.alerts() if not is_ahead(alert, now)]


def documents(app: App) -> list[dict[str, object]]:
    """Every open alert for machines."""
    phrases = app.phrases()
    return [_document(alert, phrases) for alert in open_alerts(app)]


def _document(alert: Alert, phrases: Phrases) -> dict[str, object]:
    return {
        "id": alert.id,
        "kind": alert.cause.kind.value,
        "subject": phrases.subject(alert),
        "words": phrases.words(alert),
        "urgent": alert.cause.urgency.value == "now",
        "since": alert.raised.isoformat(),
        "told": alert.told.isoformat() if alert.told else None,
        "tellings": alert.tellings,
        "over": alert.over.isoformat() if alert.over else None,
    }


def _show(app: App) -> None:
    found, phrases, zone = open_alerts(app), app.phrases(), ZoneInfo(app.config.timezone)
    if not found:
        click.echo("nothing is open")
        return
    rows = [[local(alert.raised, zone), _told(alert.told, zone), in_line(alert, phrases)] for alert in found]
    table(rows, ["since", "told", "what"])


def _told(told: datetime | None, zone: ZoneInfo) -> str:
    return local(told, zone) if told else "not yet"


def in_line(alert: Alert, phrases: Phrases) -> str:
    """What is the matter, or that it is over."""
    words = phrases.words(alert)
    return words if alert.over is None else f"over: {words}"
