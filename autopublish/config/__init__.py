"""YAML -> Config: feeds and accounts as the operator wrote them, validated whole.

Knows no platform: `platforms.load(name).Settings` says what an account's own keys are. Importing this module costs
neither YAML nor pydantic: a run whose file has the digest of the last valid one loads neither.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autopublish import __version__
from autopublish.errors import ConfigError, Problem, SecretError
from autopublish.models import Account, FeedSettings, Tell

if TYPE_CHECKING:
    from pydantic import BaseModel, SecretStr

#: 1,000 feeds and as many accounts take a quarter of it.
_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A port of this machine that no other machine reaches."""

    #: A loopback address, in numbers.
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alerting:
    """Who hears of what is wrong, and how."""

    #: By kind, in the order in which they are tried: what the file says of each channel, with secrets unresolved.
    channels: Mapping[str, Any] = field(default_factory=dict)
    tell: Tell = Tell.FIRST
    #: What the file says of the monitor, with secrets unresolved, and how often it is called.
    ping: Any = None
    every: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One valid configuration file."""

    path: Path
    #: Of the file's bytes and the program's version.
    digest: str
    #: IANA name.
    timezone: str
    #: `sqlite:///` and an absolute path, so four slashes.
    store: str
    feeds: tuple[FeedSettings, ...]
    accounts: tuple[Account, ...]
    #: URL or mail address where the admin of a site finds the operator.
    contact: str | None
    #: Where the daemon answers `/health` and `/metrics`; None: nowhere.
    listen: Address | None
    alerts: Alerting
    warnings: tuple[Problem, ...]
    #: A reference to what seals the tokens in the store; None: the store can keep none.
    key: SecretStr | None = None


def digest_of(path: Path) -> str:
    """What changes when the file's bytes or the program's version change.

    Raises:
        ConfigError: the file cannot be read.
    """
    return _digest(_read(path))


def load(path: Path) -> Config:
    """The configuration in the file.

    Raises:
        ConfigError: all that is wrong with it, each with its place, key, what was expected and a near spelling.
    """
    source = _read(path)
    from autopublish.config._build import build

    return build(source, path=path, digest=_digest(source))


def file_schema() -> dict[str, Any]:
    """The JSON Schema of a file (draft 2020-12), from which editors complete; it knows every platform that loads."""
    from autopublish.config._editor import file_schema

    return file_schema()


def resolve_secrets(account: Account, *, base: Path) -> tuple[BaseModel, bytes]:
    """The account's settings with the values of its secrets, and bytes of which a fingerprint can be made.

    The bytes change with any secret and with what else the file says of the login; they hold the secrets, so that only
    a salted digest of them may be kept. `base` is the folder of the YAML file.

    Raises:
        SecretError: a secret is missing, empty or a sample; names the reference and the remedy, never the value.
    """
    from autopublish.config._secrets import resolve

    return resolve(account.settings, ("accounts", account.name), base=base)


def fill_secrets(settings: BaseModel, values: Mapping[str, str]) -> BaseModel:
    """The settings with these values in the place of secrets that they lack; logs and texts are searched for them."""
    from autopublish.config._secrets import fill

    return fill(settings, values)


def resolve_key(config: Config) -> str:
    """What seals the tokens that the store keeps.

    Raises:
        SecretError: there is none in the file, or its reference leads to none.
    """
    from autopublish.config._secrets import follow

    if config.key is None:
        raise SecretError(
            "key: a login is kept sealed, and the file names no key for that: `autopublish accounts key` prints one; "
            "keep it where secrets are, and write key: env:AUTOPUBLISH_KEY at the top of the file"
        )
    return follow(config.key, ("key",), config.path.parent)


def resolve_channel(settings: BaseModel, kind: str, *, base: Path) -> BaseModel:
    """The settings of a channel, or of the monitor, with the values of its secrets.

    Raises:
        SecretError: a secret is missing, empty or a sample; names the reference and the remedy, never the value.
    """
    from autopublish.config._secrets import resolve

    resolved, _ = resolve(settings, ("alerts", kind), base=base)
    return resolved


def _digest(source: bytes) -> str:
    return hashlib.sha256(__version__.encode() + b"\0" + source).hexdigest()


def _read(path: Path) -> bytes:
    """The file's bytes, within bounds."""
    try:
        with path.open("rb") as file:
            source = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            Problem(
                file=str(path),
                message="there is no such file; `autopublish init` makes one, or name another with --config",
            )
        ) from None
    except OSError as error:
        raise ConfigError(Problem(file=str(path), message=f"cannot be read: {error.strerror}")) from error
    if len(source) > _MOST_BYTES:
        raise ConfigError(
            Problem(file=str(path), message=f"larger than {_MOST_BYTES:,} bytes; is this the right file?")
        )
    return source
