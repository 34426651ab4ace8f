"""OAuth 2 with a code: a person says yes in a browser, the code becomes a token, and that perhaps a longer one.

https://www.rfc-editor.org/rfc/rfc6749#section-4.1, https://www.rfc-editor.org/rfc/rfc7636 (proof key).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from pydantic import BaseModel

from autopublish.errors import DeliveryError, LoginError
from autopublish.login._parts import Person, Way, place, values_of
from autopublish.login._redirect import Redirect, code_in, is_ours, listening
from autopublish.models import Credentials
from autopublish.platforms._http import Answer, Http, evidence
from autopublish.platforms._login import CodeLogin, Exchange, Pages, credentials_of, token_error, token_of
from autopublish.redaction import redact

#: Where the server itself shows the code: https://docs.joinmastodon.org/methods/apps/#create
_SHOWN: Final = "urn:ietf:wg:oauth:2.0:oob"
#: More pages than anybody runs.
_MOST_LISTS: Final = 20


def by_code(login: CodeLogin, settings: BaseModel, http: Http, person: Person, way: Way) -> Credentials:
    """What the person's yes in a browser gave.

    Raises:
        LoginError: they or the network refused, or the settings lack what is needed.
        DeliveryError: the network gave no answer that can be read.
    """
    return _Flow(login, settings, http, person, way).run()


class _Flow:
    """One login; what it learns is looked for in texts as long as it lives."""

    def __init__(self, login: CodeLogin, settings: BaseModel, http: Http, person: Person, way: Way) -> None:
        self._login = login
        self._settings = settings
        self._http = http
        self._person = person
        self._way = way
        self._state = secrets.token_urlsafe(24)
        self._verifier = secrets.token_urlsafe(48)
        redact.know(self, [self._verifier])

    def run(self) -> Credentials:
        with ExitStack() as stack:
            is_pasted = self._way.paste or self._way.redirect is not None
            back = None if is_pasted else stack.enter_context(listening(self._way.port, self._state))
            redirect = back.address if back is not None else self._pasted_redirect()
            app = self._registered(redirect) if self._login.register else self._own_app()
            code = self._code(app["client_id"], redirect, back)
        redact.know(self, [code])
        return self._tokens(app, redirect, code)

    def _pasted_redirect(self) -> str:
        if self._way.redirect is not None:
            return self._way.redirect
        return _SHOWN if self._login.register else f"http://127.0.0.1:{self._way.port}/"

    # --- the app -----------------------------------------------------------------------------------------------------

    def _own_app(self) -> Mapping[str, str]:
        names = (self._login.client_id, self._login.client_secret)
        return dict(zip(("client_id", "client_secret"), values_of(self._settings, names).values(), strict=True))

    def _registered(self, redirect: str) -> Mapping[str, str]:
        """An app of our own on the account's server.

        Source: https://docs.joinmastodon.org/methods/apps/#create
        """
        assert self._login.register is not None
        form = {"client_name": "autopublish", "redirect_uris": redirect, "scopes": self._scopes}
        answer = self._http.send("POST", self._at(self._login.register), data=form)
        body = answer.json() if answer.ok else {}
        app = {name: body.get(name) for name in ("client_id", "client_secret")}
        if not all(isinstance(value, str) and value for value in app.values()):
            raise LoginError(f"the server takes no new app: {evidence(answer)}")
        redact.know(self, [str(app["client_secret"])])
        return {name: str(value) for name, value in app.items()}

    # --- the code ----------------------------------------------------------------------------------------------------

    def _code(self, client_id: str, redirect: str, back: Redirect | None) -> str:
        params = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect,
            "scope": self._scopes,
            "state": self._state,
        }
        if self._login.pkce:
            digest = hashlib.sha256(self._verifier.encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            params |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        self._person.show(f"{self._at(self._login.authorize)}?{urlencode(params)}")
        if back is not None:
            return back.wait()
        return self._code_of(self._person.ask("The code, or the whole address that the browser ends at").strip())

    def _code_of(self, typed: str) -> str:
        if "://" not in typed:
            return code_in({"code": typed})
        params = dict(parse_qsl(urlsplit(typed).query))
        if not is_ours(params, self._state):
            raise LoginError("this address does not belong to this login: begin anew")
        return code_in(params)

    @property
    def _scopes(self) -> str:
        more = (
            scope
            for name, scopes in self._login.more_scopes.items()
            if getattr(self._settings, name) is not None
            for scope in scopes
        )
        return self._login.scope_separator.join((*self._login.scopes, *more))

    # --- tokens ------------------------------------------------------------------------------------------------------

    def _tokens(self, app: Mapping[str, str], redirect: str, code: str) -> Credentials:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, **app}
        if self._login.pkce:
            form["code_verifier"] = self._verifier
        answer = self._http.send("POST", self._at(self._login.redeem), data=form)
        name = self._login.gives[0]
        if self._login.exchange is not None:
            answer = self._exchanged(self._login.exchange, self._token(answer))
        if self._login.pages is not None:
            return Credentials(values={name: self._token_of_page(self._login.pages, self._token(answer))})
        return self._read(answer, name)

    def _exchanged(self, exchange: Exchange, short: str) -> Answer:
        fields = values_of(self._settings, exchange.fields.values())
        given = {parameter: fields[name] for parameter, name in exchange.fields.items()}
        params = {"grant_type": exchange.grant_type, exchange.parameter: short, **given}
        return self._http.send("GET", self._at(exchange.url), params=params)

    def _token(self, answer: Answer) -> str:
        try:
            token = token_of(answer)
        except DeliveryError as error:
            raise LoginError(f"the login was refused: {error}") from error
        redact.know(self, [token])
        return token

    def _read(self, answer: Answer, name: str) -> Credentials:
        try:
            return credentials_of(answer, also=self._login.also, name=name)
        except DeliveryError as error:
            raise LoginError(f"the login was refused: {error}") from error

    def _token_of_page(self, pages: Pages, token: str) -> str:
        wanted, seen = str(getattr(self._settings, pages.chosen_by)), []
        for page in self._pages(pages, token):
            if str(page.get("id")) == wanted and isinstance(page.get("access_token"), str):
                return str(page["access_token"])
            seen.append(f"{page.get('id')} ({page.get('name')})")
        among = f"it may use {', '.join(seen)}" if seen else "it may use none: say yes to one in the browser"
        raise LoginError(f"this login may not use `{pages.chosen_by}: {wanted}`; {among}")

    def _pages(self, pages: Pages, token: str) -> Iterator[Mapping[str, Any]]:
        """Every page that the person runs; source: https://developers.facebook.com/docs/pages-api/getting-started/."""
        params = {"fields": "id,name,access_token", "limit": "100"}
        for _ in range(_MOST_LISTS):
            headers = {"Authorization": f"Bearer {token}"}
            answer = self._http.ask("GET", self._at(pages.url), headers=headers, params=params)
            if not answer.ok:
                raise LoginError(f"the pages cannot be listed: {token_error(answer)}")
            body = answer.json()
            found = [page for page in body.get("data") or () if isinstance(page, dict)]
            redact.know(self, [page["access_token"] for page in found if isinstance(page.get("access_token"), str)])
            yield from found
            paging = body.get("paging")
            after = paging.get("cursors", {}).get("after") if isinstance(paging, dict) and paging.get("next") else None
            if not after:
                return
            params["after"] = str(after)

    def _at(self, address: str) -> str:
        return place(address, self._settings)
