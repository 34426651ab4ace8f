"""`autopublish daemon`: the whole line, again and again, until it is asked to end."""

from __future__ import annotations

from pathlib import Path

import click

from autopublish.cli._common import DONE, FAILED, config_option, in_words, say, telling_of_store
from autopublish.errors import StoreBusy


@click.command()
@config_option
@in_words
def daemon(config: Path) -> None:
    """Stay, and do by itself what `run` does: each feed as often as its `every` says.

    SIGTERM and Ctrl-C end it in order within 30 seconds: nothing new is begun, what is being sent may end for 25 of
    them, and what is cut off then is looked up at the next start. A second signal cuts at once. SIGHUP, and a changed
    file within a minute, have the configuration read again; a wrong one is told, and the one of before stays in force.

    `run` and every other command may be used beside it. A second daemon on the same store ends with exit code 1.
    """
    from autopublish.daemon import Daemon

    try:
        with telling_of_store(config):
            in_order = Daemon(config, tell=say).run()
    except StoreBusy as error:
        say(f"{error}; one is enough")
        raise SystemExit(FAILED) from None
    raise SystemExit(DONE if in_order else FAILED)
