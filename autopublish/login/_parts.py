"""What the flows share: the person, the way back from the browser, and the settings' part of an address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import BaseModel, SecretStr

from autopublish.errors import LoginError
from autopublish.models import Credentials
from autopublish.platforms._login import PasswordLogin

#: Where the browser brings the code, if nobody says otherwise: networks want the address registered, so it stays.
DEFAULT_PORT = 8976


class Person(Protocol):
    """Who logs in."""

    def show(self, url: str) -> None:
        """They see the address, which they open in a browser."""

    def ask(self, words: str) -> str:
        """What they type."""

    def ask_hidden(self, words: str) -> str:
        """What they type, which nobody sees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How what the network gives a browser comes back to us."""

    #: The person copies it, since no browser of this machine is used.
    paste: bool = False
    port: int = DEFAULT_PORT
    #: The address that the network knows of the app, if it is none of this machine; then the person copies, too.
    redirect: str | None = None


def place(address: str, settings: BaseModel) -> str:
    """The address with the values of settings in it."""
    values = {
        name: str(value).rstrip("/")
        for name in type(settings).model_fields
        if (value := getattr(settings, name)) is not None and not isinstance(value, SecretStr)
    }
    return address.format_map(values)


def values_of(settings: BaseModel, names: Iterable[str]) -> Mapping[str, str]:
    """The values of these settings.

    Raises:
        LoginError: the file lacks some of them.
    """
    given = {name: getattr(settings, name) for name in names}
    missing = [f"`{name}`" for name, value in given.items() if value is None]
    if missing:
        raise LoginError(f"the login needs {' and '.join(missing)} of your own app: name them in the file")
    return {
        name: (value.get_secret_value() if isinstance(value, SecretStr) else str(value)).strip()
        for name, value in given.items()
    }


def ask_password(login: PasswordLogin, person: Person) -> Credentials:
    """A password that the network shows for programs.

    Raises:
        LoginError: none was given.
    """
    typed = person.ask_hidden(f"Password for this program ({login.where})").strip()
    if not typed:
        raise LoginError("no password was given")
    return Credentials(values={login.gives[0]: typed})
