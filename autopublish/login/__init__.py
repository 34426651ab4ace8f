"""Login: from a person's yes to the credentials of an account, by what its platform's class declares.

Each flow asks the network over the adapter's own connection, and a person through `Person`. Nothing is kept here: what
a flow gives is sealed and stored by its caller. Knows no platform's name.
"""

from __future__ import annotations

from pydantic import BaseModel

from autopublish.login._code import by_code
from autopublish.login._parts import DEFAULT_PORT, Person, Way, ask_password
from autopublish.login._pin import by_pin
from autopublish.models import Credentials
from autopublish.platforms._http import Http
from autopublish.platforms._login import CodeLogin, Login, PasswordLogin, PinLogin

__all__ = ["DEFAULT_PORT", "Person", "Way", "log_in"]


def log_in(login: Login, settings: BaseModel, http: Http, person: Person, way: Way) -> Credentials:
    """What the person's login gave, not tried yet.

    Raises:
        LoginError: the person or the network refused, or the settings lack what the login needs.
        DeliveryError: the network gave no answer that can be read.
    """
    match login:
        case CodeLogin():
            return by_code(login, settings, http, person, way)
        case PinLogin():
            return by_pin(login, settings, http, person)
        case PasswordLogin():
            return ask_password(login, person)
        case _:
            raise NotImplementedError(type(login).__name__)
