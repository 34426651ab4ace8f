"""A strict server with the logins of several networks on loopback: it checks what they check, and gives tokens once.

    with FakeLogins() as server:
        server.url                                  # stands for every address of a login
        back = server.say_yes(shown)                # a person opens the address that a login shows, and agrees

Sources: the pages that the platforms' modules name beside `login`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from tests.servers.scripted import Call, Reply, Scripted, as_json

OOB = "urn:ietf:wg:oauth:2.0:oob"


class _Refused(Exception):
    def __init__(self, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.status = status


class FakeLogins(Scripted):
    """The server; attributes are set before or between calls."""

    app = ("4711", "appSECRETcanary0123456789")
    number = "8080808"

    def __init__(self) -> None:
        super().__init__()
        #: What the last address asked for.
        self.asked: Mapping[str, str] = {}
        self.redirects: set[str] | None = None
        #: By token: the ones of a short life, of a long one, and pages with their own.
        self.short: set[str] = set()
        self.long: set[str] = set()
        self.refresh: set[str] = set()
        self.pages = {"1001": ("Berau", "pageTOKENcanaryBerau01"), "1002": ("Kaltim", "pageTOKENcanaryKaltim2")}
        self.pages_at_once = 1
        self.gives_refresh = False
        self._codes: dict[str, Mapping[str, str]] = {}
        self._requests: dict[str, str] = {}
        self._apps: dict[str, tuple[str, str]] = {self.app[0]: (self.app[1], "")}

    # --- the person's browser ----------------------------------------------------------------------------------------

    def say_yes(self, shown: str) -> str:
        """Where the browser ends when the person agrees; for a login without an address, the code or number itself."""
        params = dict(parse_qsl(urlsplit(shown).query, strict_parsing=True))
        self.asked = params
        if "oauth_token" in params:
            assert params["oauth_token"] in self._requests
            return self.number
        assert params["response_type"] == "code"
        assert params["client_id"] in self._apps
        assert params["scope"]
        assert len(params["state"]) >= 20
        code = f"code{secrets.token_hex(12)}"
        self._codes[code] = params
        if params["redirect_uri"] == OOB:
            return code
        return f"{params['redirect_uri']}?{urlencode({'code': code, 'state': params['state']})}"

    # --- requests ----------------------------------------------------------------------------------------------------

    def named(self, call: Call) -> str:
        routes = {
            "/oauth/request_token": "request",
            "/access_token": "exchange",
            "/refresh_access_token": "renew",
            "/api/v1/apps": "register",
            "/v26.0/me/accounts": "pages",
        }
        if call.path == "/oauth/access_token":
            return "access" if call.headers.get("authorization", "").startswith("OAuth ") else "redeem"
        if call.path == "/v26.0/oauth/access_token":
            return "redeem" if call.method == "POST" else "exchange"
        if call.path in ("/oauth/token", "/oauth/v2/accessToken"):
            return "redeem"
        return routes.get(call.path, "other")

    def reply(self, call: Call) -> Reply:
        try:
            return getattr(self, f"_{call.name}")(call)  # type: ignore[no-any-return] # each gives one
        except _Refused as refused:
            return as_json({"error": "invalid_grant", "error_description": str(refused)}, status=refused.status)

    def _other(self, call: Call) -> Reply:
        return as_json({"error": "not found"}, status=404)

    # --- OAuth 2 -----------------------------------------------------------------------------------------------------

    def _register(self, call: Call) -> Reply:
        form = _form(call)
        if set(form) != {"client_name", "redirect_uris", "scopes"}:
            raise _Refused(f"fields {sorted(form)}")
        made = (secrets.token_hex(8), f"registeredSECRET{secrets.token_hex(8)}")
        self._apps[made[0]] = (made[1], form["redirect_uris"])
        return as_json({"client_id": made[0], "client_secret": made[1]})

    def _redeem(self, call: Call) -> Reply:
        form = _form(call)
        if form.get("grant_type") == "refresh_token":
            return self._by_refresh(form)
        asked = self._codes.pop(form.pop("code", ""), None)  # a code works once
        if asked is None or form.pop("grant_type", "") != "authorization_code":
            raise _Refused("the code is not valid")
        secret, redirect = self._apps.get(form.pop("client_id", ""), ("", ""))
        if form.pop("client_secret", "") != secret:
            raise _Refused("the app is not known", 401)
        if form.pop("redirect_uri", "") != asked["redirect_uri"] or redirect not in ("", asked["redirect_uri"]):
            raise _Refused("another address")
        if "code_challenge" in asked:
            digest = hashlib.sha256(form.pop("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
                raise _Refused("the proof key is wrong")
        if form:
            raise _Refused(f"unknown fields {sorted(form)}")
        return as_json(self._token(self.short, 3600))

    def _token(self, kind: set[str], seconds: int) -> dict[str, Any]:
        token = f"tokenCANARY{secrets.token_hex(12)}"
        kind.add(token)
        given = {"access_token": token, "token_type": "bearer", "expires_in": seconds}
        if not self.gives_refresh:
            return given
        self.refresh = {f"refreshCANARY{secrets.token_hex(12)}"}
        return {**given, "refresh_token": next(iter(self.refresh))}

    def _by_refresh(self, form: Mapping[str, str]) -> Reply:
        app = {"client_id": self.app[0], "client_secret": self.app[1]}
        if form.get("refresh_token") not in self.refresh or {**form, **app} != dict(form):
            raise _Refused("the refresh token is not valid")
        return as_json(self._token(self.short, 5_184_000))

    def _exchange(self, call: Call) -> Reply:
        params = dict(call.params)
        kind = params.pop("grant_type", "")
        token = params.pop("fb_exchange_token" if kind == "fb_exchange_token" else "access_token", "")
        if token not in self.short or kind not in ("th_exchange_token", "ig_exchange_token", "fb_exchange_token"):
            raise _Refused("no short token")
        expected = {"client_secret": self.app[1]} | ({"client_id": self.app[0]} if kind.startswith("fb") else {})
        if params != expected:
            raise _Refused(f"fields {sorted(params)}")
        return as_json(self._token(self.long, 5_184_000))

    def _renew(self, call: Call) -> Reply:
        params = dict(call.params)
        if params.pop("access_token", "") not in self.long:
            body = {"error": {"message": "Session has expired", "type": "OAuthException", "code": 190}}
            return as_json(body, status=400)
        if params not in ({"grant_type": "th_refresh_token"}, {"grant_type": "ig_refresh_token"}):
            raise _Refused(f"fields {sorted(params)}")
        return as_json(self._token(self.long, 5_184_000))

    def _pages(self, call: Call) -> Reply:
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.long:
            raise _Refused("no long token", 401)
        params = dict(call.params)
        start = int(params.pop("after", "0"))
        if params != {"fields": "id,name,access_token", "limit": "100"}:
            raise _Refused(f"fields {sorted(params)}")
        every = [{"id": key, "name": name, "access_token": own} for key, (name, own) in self.pages.items()]
        end = start + self.pages_at_once
        paging = {"cursors": {"after": str(end)}, "next": f"{self.url}/next"} if end < len(every) else {}
        return as_json({"data": every[start:end], "paging": paging})

    # --- OAuth 1.0a --------------------------------------------------------------------------------------------------

    def _request(self, call: Call) -> Reply:
        signed = self._checked(call, "")
        if signed.get("oauth_callback") != "oob":
            raise _Refused("a callback that is not registered", 403)
        token, secret = secrets.token_hex(8), f"requestSECRET{secrets.token_hex(8)}"
        self._requests[token] = secret
        return Reply(body=urlencode({"oauth_token": token, "oauth_token_secret": secret}).encode())

    def _access(self, call: Call) -> Reply:
        head = _signed(call)
        signed = self._checked(call, self._requests.pop(head.get("oauth_token", ""), "gone"))
        if signed.get("oauth_verifier") != self.number:
            raise _Refused("the number is wrong", 401)
        given = {"oauth_token": "accessTOKENcanary1", "oauth_token_secret": "accessSECRETcanary1", "user_id": "7"}
        return Reply(body=urlencode(given).encode())

    def _checked(self, call: Call, token_secret: str) -> Mapping[str, str]:
        """The signed fields. https://www.rfc-editor.org/rfc/rfc5849#section-3.4"""
        fields = _signed(call)
        signature = fields.pop("oauth_signature", "")
        pairs = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in sorted(fields.items()))
        base = "&".join(quote(part, safe="") for part in ("POST", f"{self.url}{call.path}", pairs))
        key = f"{quote(self.app[1], safe='')}&{quote(token_secret, safe='')}"
        expected = base64.b64encode(hmac.digest(key.encode(), base.encode(), "sha1")).decode()
        if call.method != "POST" or fields.get("oauth_consumer_key") != self.app[0] or signature != expected:
            raise _Refused("Could not authenticate you", 401)
        return fields


def _form(call: Call) -> dict[str, str]:
    if call.method != "POST" or call.headers.get("content-type") != "application/x-www-form-urlencoded":
        raise _Refused("no form")
    return dict(parse_qsl(call.body.decode(), strict_parsing=True))


def _signed(call: Call) -> dict[str, str]:
    found = re.findall(r'(\w+)="([^"]*)"', call.headers.get("authorization", ""))
    return {name: unquote(value) for name, value in found}
