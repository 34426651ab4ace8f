"""What the networks of Meta's Graph API share: how a request is signed, what a refusal says, how long a limit lasts.

Source: https://developers.facebook.com/docs/graph-api/guides/error-handling/,
https://developers.facebook.com/docs/graph-api/overview/rate-limiting/.
"""

from __future__ import annotations

import hmac
import json as json_codec
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from pydantic import SecretStr

from autopublish.errors import DeliveryError, OutcomeUnknown, RateLimited, Unauthorized, Undecided
from autopublish.platforms._http import LONGEST_WAIT, Answer, Http, evidence
from autopublish.platforms._json import mapping_of, object_of, whole_of

#: How an account's `version` is written.
VERSION: Final = r"v[0-9]{1,3}\.[0-9]{1,2}"

_URL_IN_TEXT: Final = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)

#: Refused for the pace, by app, user, page or business; nothing was done.
_LIMITS: Final = frozenset({4, 9, 17, 32, 613, *range(80_000, 80_100)})
#: Of which nobody says when they end: a limit as such, and a block of some hours or days for pace or policy.
_WAIT: Final = timedelta(hours=1)
_BLOCKS: Final = {341: timedelta(hours=3), 368: timedelta(hours=6)}
#: The token is dead or lacks a permission; a subcode of 190 says why.
_AUTH: Final = frozenset({3, 10, 102, 190, *range(200, 300)})
#: The page has to prove who runs it, or a person who they are.
_AUTH_SUBCODES: Final = frozenset({1404078, 4854002})
#: What was asked for does not exist, or the token may not see it: the network does not tell which.
_NOT_SEEN: Final = (100, 33)
#: "An unknown error occurred", "Service temporarily unavailable": a post may have been made all the same.
#: https://github.com/arsduo/koala/issues/699
_UNKNOWN: Final = frozenset({1, 2})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The Graph API's own answer that it did not do it, by its numbers: its words are in the account's language."""

    code: int
    subcode: int = 0

    @property
    def is_not_seen(self) -> bool:
        """Whether the thing does not exist or is not shown to this token."""
        return (self.code, self.subcode) == _NOT_SEEN


def refusal_of(answer: Answer) -> Refusal | None:
    """The API's refusal; None: something else has answered, or it does not know itself what became of the request."""
    error = _error_in(answer)
    code = whole_of(error.get("code"))
    if code is None or not 400 <= answer.status < 500 or code in _UNKNOWN:
        return None
    if error.get("is_transient") is True and code not in _LIMITS and code not in _BLOCKS:
        return None
    return Refusal(code=code, subcode=whole_of(error.get("error_subcode")) or 0)


class Graph:
    """The API for one account: requests with its credentials, and what refusals mean whatever was asked for."""

    def __init__(
        self,
        http: Http,
        *,
        server: str,
        version: str,
        token: SecretStr | None,
        app_secret: SecretStr | None,
        without_token: str,
    ) -> None:
        self._http = http
        self._base = f"{server.rstrip('/')}/{version}"
        self._secrets = (_bare(token), _bare(app_secret))
        self._without_token = without_token

    def ask(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: object = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to a request that may be repeated.

        Raises:
            DeliveryError: Unauthorized if there is no token; else no whole answer came.
        """
        return self._http.ask(
            method,
            f"{self._base}/{path}",
            headers={**self._authorization(), **(headers or {})},
            params={**(params or {}), **self._proof},
            json=json,
            data=data,
        )

    def send(self, path: str, json: object) -> Answer:
        """The answer to the irreversible call.

        Raises:
            DeliveryError: Unauthorized if there is no token; else no whole answer came.
        """
        return self._http.send(
            "POST", f"{self._base}/{path}", headers=self._authorization(), params=self._proof, json=json
        )

    def ask_as_app(self, app: str, path: str, params: Mapping[str, str]) -> Answer:
        """The answer to a question that the app itself asks, with its id and secret.

        Source: https://developers.facebook.com/docs/facebook-login/guides/access-tokens#apptokens
        """
        headers = {"Authorization": f"Bearer {app}|{self._secrets[1]}"}
        return self._http.ask("GET", f"{self._base}/{path}", headers=headers, params=params)

    @property
    def token(self) -> str:
        """The account's token.

        Raises:
            Unauthorized: there is none, or it can be none.
        """
        token = self._secrets[0]
        if not token:
            raise Unauthorized(self._without_token)
        if not re.fullmatch("[!-~]+", token):
            raise Unauthorized("the token has blanks, line breaks or letters that no token has: copy it again")
        return token

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}

    @cached_property
    def _proof(self) -> dict[str, str]:
        """What shows that the app itself asks, which an app may demand.

        Source: https://developers.facebook.com/docs/graph-api/guides/secure-requests/#appsecret_proof
        """
        token, secret = self._secrets
        if not token or not secret:
            return {}
        return {"appsecret_proof": hmac.digest(secret.encode(), token.encode(), "sha256").hex()}

    # --- refusals ----------------------------------------------------------------------------------------------------

    def shared_error(self, answer: Answer) -> DeliveryError | None:
        """What an answer without success means whatever was asked for; None: the network's own list has to tell."""
        words, refusal = self.words(answer), refusal_of(answer)
        if refusal is None:
            return _foreign_error(answer, words)
        if refusal.subcode in _AUTH_SUBCODES:
            return Unauthorized(words)
        if refusal.code in _LIMITS:
            return RateLimited(words, wait=_regained(answer) or answer.retry_after() or _WAIT)
        if refusal.code in _BLOCKS:
            return RateLimited(words, wait=_BLOCKS[refusal.code])
        return Unauthorized(words) if refusal.code in _AUTH else None

    def look_error(self, answer: Answer) -> DeliveryError:
        """What an answer that is not what was asked for says of the account; no post depends on it."""
        words = self.words(answer)
        if answer.ok:
            return OutcomeUnknown(f"the answer cannot be read; {words}")
        return self.shared_error(answer) or OutcomeUnknown(words)

    def words(self, answer: Answer) -> str:
        """The status, the numbers and the network's words, without our secrets even if it repeats them."""
        error = _error_in(answer)
        said = " ".join(_sentences(error)).encode(errors="replace") or answer.body
        # Before anything is cut off: a part of a secret is secret as well.
        for secret in (*self._secrets, *self._proof.values()):
            said = said.replace(secret.encode(errors="replace"), "…".encode()) if secret else said
        return evidence(replace(answer, body=said))


def id_of(answer: Answer) -> str | None:
    """The id of what was made or described, if it is one that can be stored and shown."""
    value = object_of(answer).get("id")
    return value if answer.ok and isinstance(value, str) and re.fullmatch(r"[0-9_]{1,100}", value) else None


def entries_of(answer: Answer) -> Sequence[Mapping[str, Any]]:
    """The entries of a list; one that is no object is an empty one."""
    data = object_of(answer).get("data")
    return [mapping_of(entry) for entry in data] if isinstance(data, list) else []


def next_of(answer: Answer) -> str | None:
    """Where the next page of a list begins; None at its end. Its address is not used: it may hold a token.

    Raises:
        Undecided: it goes on, and does not say where.
    """
    paging = mapping_of(object_of(answer).get("paging"))
    if not paging.get("next"):
        return None
    after = mapping_of(paging.get("cursors")).get("after")
    if not isinstance(after, str) or not after:
        raise Undecided("the list of posts ends before its end")
    return after


def time_of(stated: object) -> datetime:
    """When a post was made; one that does not say counts as new."""
    try:
        return datetime.fromisoformat(str(stated)).astimezone(UTC)
    except ValueError:
        return datetime.max.replace(tzinfo=UTC)


def links_in(text: object) -> Iterator[str]:
    """Every link of a text; what ends a sentence may also end a link."""
    for match in _URL_IN_TEXT.finditer(text if isinstance(text, str) else ""):
        yield match[0]
        yield match[0].rstrip(".,;:!?)]}'\"»”…")


def checked_number(value: object) -> object:
    """An id as it is written without quotes in YAML."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _bare(secret: SecretStr | None) -> str:
    return secret.get_secret_value().strip() if secret is not None else ""


def _foreign_error(answer: Answer, words: str) -> DeliveryError:
    """What an answer means that is not the API's own."""
    if answer.status == 429:
        return RateLimited(words, wait=_regained(answer) or answer.retry_after() or _WAIT)
    return Unauthorized(words) if answer.status == 401 else OutcomeUnknown(words)


def _sentences(error: Mapping[str, Any]) -> Iterator[str]:
    """What a refusal says, its numbers first."""
    numbers = [f"{error[name]}" for name in ("code", "error_subcode") if whole_of(error.get(name)) is not None]
    if numbers:
        yield f"code {'/'.join(numbers)}:"
    for name in ("message", "error_user_title", "error_user_msg"):
        if isinstance(error.get(name), str):
            yield error[name]


def _regained(answer: Answer) -> timedelta | None:
    """In how many minutes the page, account or business may ask again.

    Source: https://developers.facebook.com/docs/graph-api/overview/rate-limiting/#headers-2
    """
    try:
        usage = json_codec.loads(answer.headers.get("X-Business-Use-Case-Usage", ""))
    except (ValueError, RecursionError):
        return None
    lists = usage.values() if isinstance(usage, dict) else ()
    entries = [mapping_of(one) for group in lists if isinstance(group, list) for one in group]
    minutes = max((whole_of(one.get("estimated_time_to_regain_access")) or 0 for one in entries), default=0)
    return timedelta(minutes=min(minutes, LONGEST_WAIT // timedelta(minutes=1))) if minutes > 0 else None


def _error_in(answer: Answer) -> Mapping[str, Any]:
    return mapping_of(object_of(answer).get("error"))
