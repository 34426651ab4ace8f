"""OAuth 1.0a with a number: the network shows it to the person, who types it here.

https://www.rfc-editor.org/rfc/rfc5849#section-2, without a callback ("oob").
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel

from autopublish.errors import LoginError
from autopublish.login._parts import Person, place, values_of
from autopublish.models import Credentials
from autopublish.platforms._http import Http, evidence
from autopublish.platforms._login import PinLogin
from autopublish.redaction import redact


def by_pin(login: PinLogin, settings: BaseModel, http: Http, person: Person) -> Credentials:
    """What the number that the network showed the person gave.

    Raises:
        LoginError: they or the network refused, or the settings lack what is needed.
        DeliveryError: the network gave no answer that can be read.
    """
    flow = _Flow(http, values_of(settings, (login.consumer_key, login.consumer_secret)))
    token, secret = flow.ask(place(login.request, settings), callback_uri="oob")
    person.show(f"{place(login.authorize, settings)}?{urlencode({'oauth_token': token})}")
    number = person.ask("The number that it shows").strip()
    if not number:
        raise LoginError("no number was given")
    access = flow.ask(
        place(login.access, settings), resource_owner_key=token, resource_owner_secret=secret, verifier=number
    )
    return Credentials(values=dict(zip(login.gives, access, strict=True)))


class _Flow:
    """One login; what it learns is looked for in texts as long as it lives."""

    def __init__(self, http: Http, app: Mapping[str, str]) -> None:
        self._http = http
        self._key, self._secret = app.values()

    def ask(self, url: str, **signed: str) -> tuple[str, str]:
        """A token and its secret.

        Raises:
            LoginError: they are refused.
        """
        from oauthlib.oauth1 import Client

        _, headers, _ = Client(self._key, client_secret=self._secret, **signed).sign(url, http_method="POST")
        answer = self._http.send("POST", url, headers={"Authorization": str(headers["Authorization"])})
        given = dict(parse_qsl(answer.body.decode(errors="replace"))) if answer.ok else {}
        token, secret = given.get("oauth_token", ""), given.get("oauth_token_secret", "")
        if not (token and secret):
            raise LoginError(f"the login was refused: {evidence(answer)}")
        redact.know(self, [token, secret])
        return token, secret
