"""Commands, thin: parse, build, call one method, show, exit code.

Each command's module is imported only when it is called, so that `--help` costs click alone and a run without news
does not pay for what other commands use.
"""

from __future__ import annotations

import atexit
import gc
from importlib import import_module

import click

from autopublish import __version__

#: Name -> module and attribute, and what `--help` says of it.
COMMANDS = {
    "init": ("init:init", "Ask for a site, and write a first configuration for it."),
    "check": ("check:check", "Check feeds, accounts, clock, disk and files; posts and writes nothing."),
    "run": ("run:run", "Poll the feeds, post what is due, look at what is unknown, then stop."),
    "daemon": ("daemon:daemon", "Stay, and do by itself what `run` does, each feed as often as its `every` says."),
    "preview": ("preview:preview", "Show the posts that articles would become; writes and sends nothing."),
    "status": ("status:status", "Show feeds, accounts, what waits and what needs a person."),
    "why": ("status:why", "Say for each account what became of an article, and why."),
    "deliveries": ("deliveries:deliveries", "List deliveries, and decide about those that wait for a person."),
    "accounts": ("accounts:accounts", "List accounts, pause them, and let them go on."),
    "stop": ("stop:stop", "Stop everything, accounts or categories: nothing is sent, nothing is lost."),
    "go": ("go:go", "Let what was stopped go on, and accounts in SAFE_MODE."),
    "alerts": ("alerts:alerts", "List what a person should hear of, and try the channels."),
    "db": ("db:db", "Back up, check and restore the store."),
    "config": ("config:config", "Check the configuration, or print its schema for editors."),
    "platforms": ("platforms:platforms", "List the platforms, or show what one needs and does."),
}


class _Commands(click.Group):
    """A group whose commands load when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(f"autopublish.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            if near:
                raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx) from error
            raise

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; an error that nobody expected is printed as Python does, but without secrets."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - told, and the process ends with it
            _tell_crash(error, ctx.params.get("log_format"))
            raise SystemExit(1) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


def _tell_crash(error: Exception, log_format: str | None) -> None:
    """The error stands on stderr with its traceback: an event for machines, lines for people."""
    if log_format == "json":
        import logging

        logging.getLogger("autopublish").critical("the program failed", exc_info=error)
        return
    import traceback

    from autopublish.cli._common import say

    say("".join(traceback.format_exception(error)).rstrip())


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("-v", "--verbose", count=True, help="Log what happens to stderr; twice for more.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    envvar="AUTOPUBLISH_LOG_FORMAT",
    show_default="text, or $AUTOPUBLISH_LOG_FORMAT",
    help="How each event is logged: a line for people, or one JSON object a line.",
)
@click.pass_context
def main(ctx: click.Context, verbose: int, log_format: str) -> None:
    """Every article of a news site on each of its social accounts: well made, once."""
    from autopublish import logs

    # At the end of the process nothing is worth collecting: a tenth of an idle run's time.
    atexit.register(gc.freeze)
    ctx.with_resource(logs.set_up(verbose, logs.Format(log_format)))
