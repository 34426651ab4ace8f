"""`autopublish init`: a first configuration, asked for at a terminal or given by options."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from autopublish.app import address_of, feed_of, newest_of
from autopublish.cli._common import DEFAULT_FILE, FAILED, in_words, refuse, say, table
from autopublish.errors import ConfigError, FeedError, FeedMalformed
from autopublish.models import FeedSettings

if TYPE_CHECKING:
    from autopublish.config.first import NewAccount, NewFile, Question

_SHOWN = 2
#: How a file is opened that must not be there yet.
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


@click.command()
@click.argument("site", required=False)
@click.option("--site", "named_site", metavar="SITE", help="The site whose feed is to be found, as the argument.")
@click.option("--feed", metavar="ADDRESS", help="The address of the feed itself; nothing is searched.")
@click.option(
    "--platform", "chosen", metavar="NAME", multiple=True, help="A platform to post to; repeat it for several."
)
@click.option(
    "--set",
    "values",
    metavar="ACCOUNT.KEY=VALUE",
    multiple=True,
    help="What an account needs; an account has the name of its platform. A secret is given as env:NAME or file:PATH.",
)
@click.option("--timezone", metavar="NAME", help="The time zone, such as Europe/Berlin; this machine's by default.")
@click.option("--allow-private", is_flag=True, help="The site may have an address in your own network.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(DEFAULT_FILE),
    show_default=True,
    help="The file to write; one that is there is never replaced without asking.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: what the options do not say is as by default.")
@in_words
def init(
    site: str | None,
    named_site: str | None,
    feed: str | None,
    chosen: tuple[str, ...],
    values: tuple[str, ...],
    timezone: str | None,
    output: Path,
    *,
    allow_private: bool,
    yes: bool,
) -> None:
    """Ask for a site and for platforms, and write a first configuration with references in the place of secrets.

    SITE is its name or address. Without a terminal, options say what would be asked.
    """
    asks = not yes and sys.stdin.isatty()
    dialog = _Dialog() if asks else _Options()
    given = _values(values)
    for platform in chosen:
        _questions(platform)
    replacing = _may_replace(output, dialog)
    found = _feed(dialog, site or named_site, feed, allow_private=allow_private)
    answers = _answers(dialog, found, chosen, given, timezone, output)
    _demand(answers, output)
    _write(answers, output, dialog, replacing=replacing)
    _tell_next(answers, output)
    if asks and click.confirm("Check it now?", default=True, err=True):
        _check(output)


# --- who answers -----------------------------------------------------------------------------------------------------


class _Options:
    """Nobody to ask: what the options do not say is missing, or as by default."""

    def feed(self, *, allow_private: bool) -> FeedSettings:
        """The feed, which nobody named."""
        refuse("which site? Give its name or address: `autopublish init SITE`, or `--feed ADDRESS`")

    def can_go_on(self, feed: FeedSettings, *, is_named: bool) -> bool:
        """Whether the newest articles of the feed were shown.

        Raises:
            FeedError: the feed cannot be read, or is none.
        """
        _show_posts(feed, is_named=is_named)
        return True

    def is_right(self, _feed: FeedSettings) -> bool:
        """Whether the feed that was found is meant."""
        return True

    def platforms(self) -> Sequence[str]:
        """The platforms, which nobody named."""
        from autopublish import platforms

        refuse(f"which platforms? Give --platform NAME, once or more: {', '.join(platforms.available())}")

    def value(self, account: str, key: str, words: str, _problem: Callable[[str], str | None]) -> str:
        """What an account needs, which nobody gave."""
        about = f" ({words})" if words else ""
        refuse(f"{account} needs `{key}`{about}: --set {account}.{key}=VALUE")

    def timezone(self, guess: str) -> str:
        """The time zone."""
        return guess

    def may_replace(self, path: Path) -> bool:
        """Whether a file that is there may be replaced."""
        return False


class _Dialog(_Options):
    """A person at a terminal, who may correct each answer."""

    def feed(self, *, allow_private: bool) -> FeedSettings:
        """The feed of the site that the person names."""
        while True:
            site = _asked("The address of your site (such as news.example):")
            try:
                return feed_of(site, allow_private=allow_private, tell=say)
            except ConfigError as error:
                say(error.problems[0].message)
            except FeedError as error:
                say(f"no feed can be read: {error}")

    def can_go_on(self, feed: FeedSettings, *, is_named: bool) -> bool:
        """Whether the newest articles of the feed were shown; what cannot be read is told, and asked for anew."""
        try:
            return super().can_go_on(feed, is_named=is_named)
        except FeedError as error:
            say(f"no feed can be read: {error}")
            return False

    def is_right(self, feed: FeedSettings) -> bool:
        """Whether the feed that was found is meant."""
        return click.confirm(f"Is {feed.url} the right feed?", default=True, err=True)

    def platforms(self) -> Sequence[str]:
        """The platforms that the person chooses of all."""
        from autopublish import platforms
        from autopublish.cli.platforms import about

        names = platforms.available()
        table([(name, about(name)) for name in names], ["platform", "about"])
        while True:
            words = _asked("Which ones? (names, with a space between them)").lower().replace(",", " ").split()
            unknown = [word for word in words if word not in names]
            if words and not unknown:
                return words
            say(f"{', '.join(unknown) or 'nothing'}: no such platform; there are {', '.join(names)}")

    def value(self, account: str, key: str, words: str, problem: Callable[[str], str | None]) -> str:
        """What an account needs, asked until it is right."""
        if words:
            say(f"{account}: {words}")
        while True:
            text = _asked(f"{account}: {key}:")
            wrong = problem(text)
            if wrong is None:
                return text
            say(wrong)

    def timezone(self, guess: str) -> str:
        """The time zone, which the machine guessed."""
        from zoneinfo import available_timezones

        known = available_timezones()
        while True:
            name = _asked("Your time zone:", default=guess)
            if name in known:
                return name
            say(f"{name}: no such time zone; expected a name such as Europe/Berlin or Asia/Makassar")

    def may_replace(self, path: Path) -> bool:
        """Whether the person lets a file go."""
        return click.confirm(f"{path} is there already. Replace it?", default=False, err=True)


def _asked(words: str, *, default: str | None = None) -> str:
    """What the person types after the words; talk, so on stderr."""
    text: str = click.prompt(words, default=default, prompt_suffix=" ", err=True)
    return text.strip()


# --- answers ---------------------------------------------------------------------------------------------------------


def _values(said: Sequence[str]) -> Mapping[tuple[str, str], str]:
    """The values of `--set` by account and key."""
    found = {}
    for one in said:
        name, equals, value = one.partition("=")
        account, dot, key = name.strip().partition(".")
        if not (equals and dot and account and re.fullmatch(r"\w+", key)):
            refuse(f"--set {one}: expected ACCOUNT.KEY=VALUE, such as --set page.folder=out")
        if not value.isprintable():
            refuse(f"--set {name}: expected one line of text")
        found[account, key] = value
    return found


def _feed(dialog: _Options, site: str | None, feed: str | None, *, allow_private: bool) -> FeedSettings:
    """The feed that is meant, after its newest articles were shown as posts."""
    if feed is not None:
        found = FeedSettings(name="new", url=address_of(feed, ()), allow_private=allow_private)
    elif site is not None:
        found = feed_of(site, allow_private=allow_private, tell=say)
    else:
        found = dialog.feed(allow_private=allow_private)
    while True:
        if dialog.can_go_on(found, is_named=feed is not None) and dialog.is_right(found):
            return found
        feed, found = None, dialog.feed(allow_private=allow_private)


def _show_posts(feed: FeedSettings, *, is_named: bool) -> None:
    """The newest articles as posts; a feed that the operator named may be away just now.

    Raises:
        FeedError: the feed cannot be read, or is none.
    """
    from autopublish.cli.preview import show

    try:
        shown = newest_of(feed, most=_SHOWN)
    except FeedError as error:
        if not is_named or isinstance(error.__cause__, FeedMalformed):
            raise
        say(f"the feed cannot be read now: {error}")
        return
    say(f"The newest articles of {feed.url} as posts:" if shown else f"{feed.url} shows no articles yet")
    for one in shown:
        show(one)


def _answers(
    dialog: _Options,
    feed: FeedSettings,
    chosen: Sequence[str],
    given: Mapping[tuple[str, str], str],
    timezone: str | None,
    output: Path,
) -> NewFile:
    """All that the file at `output` holds; what is wrong is told before more is asked."""
    from autopublish.config.first import NewAccount, NewFile, local_timezone

    names = _named(chosen or dialog.platforms())
    if strangers := [f"{account}.{key}" for account, key in given if account not in names]:
        refuse(f"--set {strangers[0]}: the accounts are {', '.join(names)}")
    answers = NewFile(
        timezone=timezone or dialog.timezone(local_timezone()),
        url=feed.url,
        allow_private=feed.allow_private,
        accounts=(),
    )
    _demand(answers, output, "timezone", "feeds")
    for name, platform in names.items():
        own = {key: value for (account, key), value in given.items() if account == name}
        account = _account(
            replace(answers, accounts=()), NewAccount(name=name, platform=platform, keys=own), output, dialog
        )
        answers = replace(answers, accounts=(*answers.accounts, account))
    return answers


def _named(chosen: Sequence[str]) -> Mapping[str, str]:
    """Names of accounts with their platforms: a platform that is chosen again has a number behind it."""
    names: dict[str, str] = {}
    for platform in chosen:
        name, number = platform, 2
        while name in names:
            name, number = f"{platform}-{number}", number + 1
        names[name] = platform
    return names


def _questions(platform: str) -> Sequence[Question]:
    """What an account of the platform needs; ends with words if there is no such platform."""
    from autopublish.config.first import questions

    try:
        return questions(platform)
    except (ImportError, LookupError) as error:
        refuse(f"--platform {platform}: {error.args[0] if error.args else error}")


def _account(answers: NewFile, account: NewAccount, output: Path, dialog: _Options) -> NewAccount:
    """The account with all that it needs, which was asked where it was not given."""
    from autopublish.config.first import problems_of

    name = account.name
    if account.keys:
        _demand(replace(answers, accounts=(account,)), output, *(f"accounts.{name}.{key}" for key in account.keys))

    def problem(key: str, text: str) -> str | None:
        if not text.isprintable():
            return "expected one line of text"
        tried = replace(account, keys={**account.keys, key: text})
        problems = problems_of(replace(answers, accounts=(tried,)), output, f"accounts.{name}.{key}")
        return problems[0].message if problems else None

    for question in _questions(account.platform):
        if question.key not in account.keys:
            value = dialog.value(name, question.key, question.words, partial(problem, question.key))
            account = replace(account, keys={**account.keys, question.key: value})
    return account


def _demand(answers: NewFile, output: Path, *keys: str) -> None:
    """End with words if these keys of the file, or any if none is named, would be wrong; nothing is written then."""
    from autopublish.config.first import problems_of

    problems = problems_of(answers, output, *keys)
    for one in problems[:-1]:
        say(f"{one.key}: {one.message}")
    if problems:
        refuse(f"{problems[-1].key}: {problems[-1].message}; nothing was written")


# --- files -----------------------------------------------------------------------------------------------------------


def _may_replace(output: Path, dialog: _Options) -> bool:
    """Whether the file takes the place of one; one that appears while the person answers is not replaced either.

    Asked before anything else, since who keeps a file has nothing to answer.
    """
    is_there = output.exists()
    if is_there and not dialog.may_replace(output):
        refuse(f"{output} is there already and stays as it is; name another with --output")
    if not output.parent.is_dir():
        refuse(f"there is no folder {output.parent}; make it, or name another file with --output")
    return is_there


def _write(answers: NewFile, output: Path, dialog: _Options, *, replacing: bool) -> None:
    from autopublish.config.first import secrets_of, secrets_text, text_of

    if replacing:
        _replace(output, text_of(answers))
    else:
        _fill(output, os.open(output, _NEW, 0o666), text_of(answers))
    say(f"wrote {output}")
    if not secrets_of(answers):
        return
    text = secrets_text(answers)
    example, secrets = output.parent / ".env.example", output.parent / ".env"
    if not example.exists() or example.read_text(errors="replace") == text or dialog.may_replace(example):
        if example.exists():
            _replace(example, text)
        else:
            _fill(example, os.open(example, _NEW, 0o666), text)
        say(f"wrote {example}")
    else:
        say(f"{example} stays as it is; the configuration names {', '.join(secrets_of(answers))}")
    _write_secrets(secrets, text, secrets_of(answers))


def _write_secrets(path: Path, text: str, names: Sequence[str]) -> None:
    """A file for the secrets, which its owner alone may read from its first moment; one that is there stays."""
    try:
        handle = os.open(path, _NEW, 0o600)
    except FileExistsError:
        say(f"{path} stays as it is; it must set {', '.join(names)}")
        return
    _fill(path, handle, text)
    say(f"wrote {path}, which only you may read")


def _fill(path: Path, handle: int, text: str) -> None:
    """The new file holds the text; half of one would be taken for the whole by whoever comes later."""
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _replace(path: Path, text: str) -> None:
    """The file holds the text, or what it held before where the disk is full."""
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    _fill(part, os.open(part, _NEW, stat.S_IMODE(target.stat().st_mode)), text)
    part.replace(target)


def _tell_next(answers: NewFile, output: Path) -> None:
    """What is left to do."""
    from autopublish.config.first import secrets_of

    option = "" if output == Path(DEFAULT_FILE) else f" --config {quote(str(output))}"
    steps = [f"autopublish check{option}", f"autopublish run{option}      (the first run posts nothing)"]
    if names := secrets_of(answers):
        secrets = output.parent / ".env"
        # A shell looks a name without a folder up in its PATH.
        path = secrets if secrets.is_absolute() else f"./{secrets}"
        steps[:0] = [f"fill in {secrets}: {', '.join(names)}", f"set -a; . {quote(str(path))}; set +a"]
        say("Where secrets come from: `autopublish platforms NAME`")
    say("Next:")
    for number, step in enumerate(steps, 1):
        say(f"  {number}. {step}")


def _check(output: Path) -> None:
    from autopublish import checks
    from autopublish.cli.check import show

    findings = checks.check(output)
    show(findings)
    if any(one.verdict is checks.Verdict.WRONG for one in findings):
        raise SystemExit(FAILED)
