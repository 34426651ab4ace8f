"""What a login needs, declared on an adapter's class; and what the answers of token endpoints say.

An address is written with the names of settings, as `{login_server}/oauth/authorize`. The flows themselves are in
`autopublish.login`: an adapter only names what is special about its network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from autopublish.errors import DeliveryError, OutcomeUnknown, RateLimited, Unauthorized
from autopublish.models import Credentials
from autopublish.platforms._http import Answer, evidence

#: What a token may be made of; anything else breaks a header.
_TOKEN: Final = re.compile(r"[!-~]{1,8192}")
#: Longer than any token lives.
_MOST_SECONDS: Final = 10 * 366 * 86_400
#: What token endpoints answer when a person has to log in anew: https://www.rfc-editor.org/rfc/rfc6749#section-5.2
_DEAD: Final = frozenset({"invalid_grant", "invalid_client", "unauthorized_client", "invalid_token", "access_denied"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a person's login gives the credentials of an account; one of the classes below."""

    #: The settings that it fills; without these nobody is logged in.
    gives: tuple[str, ...] = ("access_token",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A short-lived token becomes a long-lived one."""

    url: str
    grant_type: str
    #: The parameter that carries the short one.
    parameter: str = "access_token"
    #: Settings that go along, by the parameters that carry them.
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLogin(Login):
    """OAuth 2 with a code: https://www.rfc-editor.org/rfc/rfc6749#section-4.1."""

    #: Where the person says yes.
    authorize: str
    #: Where the code becomes a token.
    redeem: str
    scopes: tuple[str, ...]
    #: Further ones where a setting has a value, by its name.
    more_scopes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scope_separator: str = " "
    #: The setting that holds the app's id, and the one that holds its secret.
    client_id: str = "client_id"
    client_secret: str = "client_secret"  # noqa: S105 - the name of a setting
    #: Whether the network takes a proof key (https://www.rfc-editor.org/rfc/rfc7636).
    pkce: bool = True
    #: What else the setting of the same name becomes of the answer, as a refresh token.
    also: tuple[str, ...] = ()
    exchange: Exchange | None = None
    #: Where a person chooses one of several, as Facebook's Pages; None: the token is the account's own.
    pages: Pages | None = None
    #: Where the app is registered first; None: a person did it, and the settings hold its id and secret.
    register: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """A list of things that have tokens of their own, of which the account is one."""

    url: str
    #: The setting that names it.
    chosen_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinLogin(Login):
    """OAuth 1.0a with a number that the person copies: https://www.rfc-editor.org/rfc/rfc5849#section-2."""

    request: str
    authorize: str
    access: str
    consumer_key: str = "consumer_key"
    consumer_secret: str = "consumer_secret"  # noqa: S105 - the name of a setting


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordLogin(Login):
    """A password for programs that the network shows in its settings, which is asked for and sealed."""

    #: Where it comes from, in words.
    where: str


def token_of(answer: Answer) -> str:
    """The access token of a token endpoint's answer.

    Raises:
        DeliveryError: there is none; as `credentials_of`.
    """
    if not answer.ok:
        raise token_error(answer)
    return _text(_body_of(answer), "access_token", answer)


def credentials_of(answer: Answer, *, also: tuple[str, ...] = (), name: str = "access_token") -> Credentials:
    """What a token endpoint gave, the access token under `name`.

    Source: https://www.rfc-editor.org/rfc/rfc6749#section-5.1

    Raises:
        DeliveryError: Unauthorized if only a person's login helps; else what `token_error` says.
    """
    if not answer.ok:
        raise token_error(answer)
    body = _body_of(answer)
    values = {name: _text(body, "access_token", answer)}
    values |= {one: _text(body, one, answer) for one in also if body.get(one)}
    return Credentials(values=values, lifetime=_lifetime(body.get("expires_in")))


def renewed(before: Mapping[str, str | None], answer: Answer, *, also: tuple[str, ...]) -> Credentials:
    """As `credentials_of`; what the answer leaves out stays as it was."""
    given = credentials_of(answer, also=also)
    kept = {name: value for name in also if (value := before.get(name))}
    return replace(given, values={**kept, **given.values})


def token_error(answer: Answer) -> DeliveryError:
    """What a token endpoint's refusal means."""
    words = evidence(answer)
    if answer.status == 429:
        return RateLimited(words, wait=answer.retry_after())
    if answer.status == 401 or (answer.status in (400, 403) and _error_in(answer)):
        return Unauthorized(words)
    return OutcomeUnknown(words)


def _error_in(answer: Answer) -> bool:
    """Whether the server itself said that the credentials are dead: a proxy's page says nothing of them."""
    try:
        body = answer.json()
    except OutcomeUnknown:
        return False
    error = body.get("error")
    if isinstance(error, Mapping):  # Meta's
        return error.get("code") in (10, 100, 102, 190) and error.get("is_transient") is not True
    return error in _DEAD or error == "invalid_request"


def _body_of(answer: Answer) -> Mapping[str, Any]:
    """The answer's object; Instagram puts it in a list of one."""
    body = answer.json()
    data = body.get("data")
    return data[0] if isinstance(data, list) and len(data) == 1 and isinstance(data[0], dict) else body


def _text(body: Mapping[str, Any], name: str, answer: Answer) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        # Without its words: they may hold the other token.
        raise OutcomeUnknown(f"status {answer.status}: the answer holds no {name}")
    return value


def _lifetime(seconds: object) -> timedelta | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= _MOST_SECONDS:
        return None
    return timedelta(seconds=int(seconds))
