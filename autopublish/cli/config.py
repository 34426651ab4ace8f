"""`autopublish config`: check the configuration, or print its schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from autopublish.cli._common import WRONG, config_option, in_words, json_option, print_json, say
from autopublish.errors import SecretError

if TYPE_CHECKING:
    from autopublish.config import Config


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def config() -> None:
    """Check the configuration, or print its schema for editors."""


@config.command()
@config_option
@json_option
@in_words
def check(config: Path, *, as_json: bool) -> None:
    """Read the whole file and every secret, and say all that is wrong; no network is used, nothing is written."""
    from autopublish.config import load, resolve_key, resolve_secrets

    found = load(config)
    missing = {}
    for account in found.accounts:
        try:
            resolve_secrets(account, base=found.path.parent)
        except SecretError as error:
            missing[account.name] = str(error)
    missing |= _of_channels(found)
    if found.key is not None:
        try:
            resolve_key(found)
        except SecretError as error:
            missing["key"] = str(error)
    if as_json:
        print_json(
            {
                "file": str(config),
                "feeds": [feed.name for feed in found.feeds],
                "accounts": [account.name for account in found.accounts],
                "warnings": [str(warning) for warning in found.warnings],
                "secrets": missing,
            }
        )
    else:
        for warning in found.warnings:
            say(f"warning: {warning}")
        for reason in missing.values():
            say(f"{config}: {reason}")
        if not missing:
            feeds, accounts = len(found.feeds), len(found.accounts)
            click.echo(f"{config}: good ({feeds} feed{'s' * (feeds != 1)}, {accounts} account{'s' * (accounts != 1)})")
    if missing:
        raise SystemExit(WRONG)


def _of_channels(found: Config) -> dict[str, str]:
    """What is wrong with the secrets of channels, by `alerts.` and their kind."""
    from pydantic import BaseModel

    from autopublish.config import resolve_channel

    missing = {}
    for kind, said in {**found.alerts.channels, "ping": found.alerts.ping}.items():
        try:
            if isinstance(said, BaseModel):
                resolve_channel(said, kind, base=found.path.parent)
        except SecretError as error:
            missing[f"alerts.{kind}"] = str(error)
    return missing


@config.command()
@in_words
def schema() -> None:
    """Print the JSON Schema of the file, from which editors complete, check and explain its keys."""
    from autopublish.config import file_schema

    print_json(file_schema())
