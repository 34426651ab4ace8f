"""The first file of a new operator: what must be asked, and the annotated YAML that the answers make.

What is asked, and every comment and default in the file, comes from the models that read it, so that a platform of
anybody's own is asked about too. A secret is never asked for: its place holds a reference. Whether an answer is right
is decided by reading the file that it would make, as every later command reads it.
"""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from autopublish import platforms
from autopublish.config._build import build
from autopublish.config._editor import comments, written
from autopublish.config._schema import TEMPLATE, AccountKeys, FeedKeys, HashtagKeys, TopKeys
from autopublish.config._secrets import is_secret
from autopublish.errors import ConfigError, Problem

_WIDTH = 116
#: What stands in YAML without quotes and means itself, for this program and for editors.
_PLAIN = re.compile(
    r"(?!(?:no|yes|on|off|true|false|null|y|n|\.inf|\.nan)$)[a-z/][\w./@+-]*(?::[\w./@+%?=&-]+)*"
    r"|\d+(?:/[a-z]+|[smhdw])",
    re.IGNORECASE | re.ASCII,
)
_HEAD = """\
# yaml-language-server: $schema=autopublish.schema.json
#
# The configuration of autopublish. After a change ask `autopublish config check`.
# The line above lets editors complete: `autopublish config schema > autopublish.schema.json` writes what it names.
#
# A line that begins with "# " and a key shows the default.
"""
_SECRETS = """\
# Secrets of autopublish. Copy this file to .env, which nobody but you may read (chmod 600 .env), and fill it in.
# A value with other signs than letters, digits and - stands in single quotes: NAME='value'.
# A shell takes it over with: set -a; . ./.env; set +a
# A unit of systemd with: EnvironmentFile=/path/of/.env
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A key without which an account of a platform cannot be."""

    key: str
    #: What it means; empty if the platform does not say.
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """An account as it was answered for."""

    name: str
    platform: str
    #: Key -> what stands in the file, as text.
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """All answers."""

    timezone: str
    #: The feed's address, and whether it may lie in the operator's own network.
    url: str
    allow_private: bool = False
    accounts: tuple[NewAccount, ...]


# --- what is asked ---------------------------------------------------------------------------------------------------


def questions(platform: str) -> tuple[Question, ...]:
    """What an account of the platform needs beside its secrets.

    Raises:
        ImportError: it does not load.
        LookupError: there is no such platform.
    """
    settings = platforms.load(platform).Settings
    words = _meanings(settings)
    return tuple(
        Question(key=key, words=words.get(name, ""))
        for name, key, field in _fields(settings)
        if field.is_required() and not is_secret(field.annotation)
    )


def problems_of(answers: NewFile, path: Path, *keys: str) -> tuple[Problem, ...]:
    """What is wrong with the file that the answers make at `path`; with these keys alone if any are given.

    A key is written with those that it stands under: `accounts.page.title`. What is still to be asked is no problem of
    the keys that are there.
    """
    try:
        build(text_of(answers).encode("utf-8", "replace"), path=path, digest="")
    except ConfigError as error:
        wanted = tuple(f"{key}." for key in keys)
        return tuple(one for one in error.problems if not wanted or f"{one.key}.".startswith(wanted))
    return ()


def local_timezone(etc: Path = Path("/etc")) -> str:
    """The IANA name of this machine's time zone; UTC if it does not tell."""
    for name in _zones_told(etc):
        try:
            ZoneInfo(name)
        except (ValueError, OSError, LookupError):
            continue
        return name
    return "UTC"


def _zones_told(etc: Path) -> Iterator[str]:
    """The names that the environment and the system give, the nearest to the user first."""
    yield os.environ.get("TZ", "").removeprefix(":") or "?"
    # https://www.freedesktop.org/software/systemd/man/latest/localtime.html
    yield os.path.realpath(etc / "localtime").partition("zoneinfo/")[2] or "?"
    try:
        # Debian's: https://wiki.debian.org/TimeZoneChanges
        yield (etc / "timezone").read_text(encoding="ascii", errors="replace").strip() or "?"
    except OSError:
        return


# --- what is written -------------------------------------------------------------------------------------------------


def text_of(answers: NewFile) -> str:
    """The annotated YAML."""
    top, feed, account = _meanings(TopKeys), _meanings(FeedKeys), _meanings(AccountKeys)
    lines = [
        *_HEAD.splitlines(),
        "",
        *_remark(top["timezone"]),
        f"timezone: {_scalar(answers.timezone)}",
        "",
        *_remark(top["store"]),
        f"store: {_scalar(str(TopKeys.model_fields['store'].default))}",
        "",
        *_remark(f"{top['contact']} None by default."),
        "# contact: webmaster@news.example",
        "",
        *_remark(top["key"]),
        "# key: env:AUTOPUBLISH_KEY",
        "",
        "feeds:",
        "  # A name of your own. Its history goes by the name: keep it.",
        f"  {name_of(answers.url)}:",
        f"    url: {_scalar(answers.url)}",
        *_indented(_feed_keys(answers, feed), 4),
        "",
        "# What accounts share; an account that has a key too counts with its own value.",
        "defaults:",
        *_indented(_remark(account["template"]), 2),
        "  template: |",
        *_indented(TEMPLATE.splitlines(), 4),
        "  hashtags:",
        *_indented(_known(HashtagKeys, live=True), 4),
        *_indented(_known(AccountKeys, but={"template", "hashtags"}), 2),
        "",
        "# `autopublish platforms` lists the platforms, `autopublish platforms NAME` tells what each needs and posts.",
        "# A secret never stands here. Its place holds a reference: env:NAME, file:PATH or credential:NAME (systemd).",
        "# `autopublish accounts login NAME` fetches some of them (`key` seals those); then their lines are left out.",
        "accounts:",
    ]
    for one in answers.accounts:
        lines += [f"  {one.name}:", *_indented(_account_keys(one), 4)]
    return "\n".join(lines) + "\n"


def secrets_of(answers: NewFile) -> tuple[str, ...]:
    """The environment variables that the file refers to, in its order, each once."""
    written_keys = (value for account in answers.accounts for _, value in _secret_keys(account))
    return tuple(dict.fromkeys(value.removeprefix("env:") for value in written_keys if value.startswith("env:")))


def secrets_text(answers: NewFile) -> str:
    """The file in which the secrets are filled in; it holds none."""
    return _SECRETS + "".join(f"{name}=\n" for name in secrets_of(answers))


def name_of(url: str) -> str:
    """A name for the feed at an address: that of its site."""
    host = (urlsplit(url).hostname or "").removeprefix("www.")
    first = host.partition(".")[0]
    usable = re.fullmatch(r"[a-z][a-z0-9-]{0,63}", first) and not first.startswith("xn--")
    return first if usable else "news"


def _feed_keys(answers: NewFile, words: Mapping[str, str]) -> Iterator[str]:
    yield from _remark(words["first_run"])
    yield "first_run: none"
    if answers.allow_private:
        yield "allow_private: yes"
    yield from _known(FeedKeys, but={"first_run", *(["allow_private"] if answers.allow_private else [])})


def _account_keys(account: NewAccount) -> Iterator[str]:
    """What stands below an account's name: what was answered, references, and what else the platform knows."""
    settings = platforms.load(account.platform).Settings
    words = {key: _meanings(settings).get(name, "") for name, key, _ in _fields(settings)}
    references = dict(_secret_keys(account))
    yield f"platform: {account.platform}"
    for key, value in account.keys.items():
        if key not in references:
            yield from _remark(words.get(key, ""))
            yield f"{key}: {_scalar(value)}"
    for key, value in references.items():
        yield from _remark(words[key])
        yield f"{key}: {_scalar(value)}"
    yield from _known(settings, but=set(account.keys))


def _secret_keys(account: NewAccount) -> Iterator[tuple[str, str]]:
    """The keys of an account that hold secrets, each with its reference."""
    platform = platforms.load(account.platform)
    # What a login gives can be named as well, which needs no key to seal it.
    given = platform.login.gives if platform.login else ()
    for name, key, field in _fields(platform.Settings):
        if is_secret(field.annotation) and (field.is_required() or key in account.keys or name in given):
            yield key, account.keys.get(key, f"env:{_variable(account.name, key)}")


def _variable(account: str, key: str) -> str:
    """The environment variable for a secret."""
    name = re.sub(r"\W", "_", f"{account}_{key}", flags=re.ASCII).upper()
    return name if name.isidentifier() else f"_{name}"


@cache
def _meanings(model: type[BaseModel]) -> Mapping[str, str]:
    """What each field of a model means; reading sources takes time, and the models do not change."""
    return comments(model)


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, str, FieldInfo]]:
    """Each field's name, the key that people write, and the field."""
    for name, field in model.model_fields.items():
        yield name, field.alias or name, field


def _known(model: type[BaseModel], *, but: set[str] | None = None, live: bool = False) -> Iterator[str]:
    """The keys of a model whose default can be written, each after what it means; as comments unless `live`."""
    words = _meanings(model)
    for name, key, field in _fields(model):
        default = None if field.is_required() or is_secret(field.annotation) else written(field.default)
        if default is None or key in (but or ()):
            continue
        yield from _remark(words.get(name, ""))
        yield f"{'' if live else '# '}{key}: {_value(default)}"


def _remark(words: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(words, _WIDTH - 6, break_long_words=False, break_on_hyphens=False)]


def _indented(lines: Iterator[str] | Sequence[str], by: int) -> list[str]:
    return [f"{' ' * by}{line}" if line else "" for line in lines]


def _value(value: object) -> str:
    """A default as it stands in the file."""
    match value:
        case bool():
            return "yes" if value else "no"
        case list():
            return f"[{', '.join(_value(part) for part in value)}]"
        case str():
            return _scalar(value)
        case _:
            return str(value)


def _scalar(text: str) -> str:
    """Text as a YAML scalar that gives just this text again."""
    if _PLAIN.fullmatch(text):
        return text
    quoted = text.replace("'", "''")
    return f"'{quoted}'"
