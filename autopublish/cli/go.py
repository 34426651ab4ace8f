"""`autopublish go`: the end of SAFE_MODE."""

from __future__ import annotations

from pathlib import Path

import click

from autopublish.app import Gone, build
from autopublish.cli._common import DONE, config_option, in_words, say, user
from autopublish.deliveries import NotAllowed


@click.command()
@config_option
@in_words
def go(config: Path) -> None:
    """Let accounts in SAFE_MODE go on, once you looked at their networks.

    What was held as `restored` is looked for on its network before it is sent; where the network cannot tell, it stays
    held for you to approve or cancel.
    """
    app = build(config)
    try:
        _show(app.go(who=user()))
    except NotAllowed as error:
        say(f"{error}; nothing was changed")
        raise SystemExit(DONE) from None
    finally:
        app.close()


def _show(gone: Gone) -> None:
    click.echo(f"{', '.join(gone.accounts) or 'no account'}: out of SAFE_MODE")
    if gone.released:
        click.echo(f"{_posts(gone.released)} looked for by the next run, and sent if not found")
    if gone.held:
        click.echo(
            f"{_posts(gone.held)} still held, since nobody but you can look: `autopublish deliveries list --state "
            "held`, then `autopublish deliveries approve --reason restored`, or `autopublish deliveries cancel`"
        )
    for feed in gone.unread:
        click.echo(f"{feed}: was not read since; what its next poll finds is held, and `autopublish go` is asked again")


def _posts(count: int) -> str:
    return "1 post is" if count == 1 else f"{count} posts are"
