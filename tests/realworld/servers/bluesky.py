"""A real Bluesky PDS, and what an account's repository holds, read back without our own code.

Source: https://docs.bsky.app/docs/api/com-atproto-repo-list-records
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.realworld.servers._install import install_node, install_npm
from tests.realworld.servers._process import ServerProcess, call, free_port

#: The last ones that run on node 18 and 20.
_PACKAGES = ("@atproto/pds@0.4.217", "@did-plc/server@0.0.1")
_NATIVE = "node_modules/better-sqlite3/build/Release/better_sqlite3.node"
_POSTS = "app.bsky.feed.post"
_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """A stretch of a post that readers can click."""

    #: What its byte range cuts out of the post's text.
    covers: str
    #: The last part of its feature's type: `link` or `tag`.
    kind: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """The preview of a link under a post."""

    url: str
    title: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One post as the repository holds it."""

    rkey: str
    text: str
    created_at: datetime
    languages: tuple[str, ...]
    facets: tuple[Facet, ...]
    card: Card | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a person writes into a configuration to post on an account."""

    service: str
    handle: str
    did: str
    app_password: str

    @property
    def account(self) -> dict[str, str]:
        """The account's own keys in the configuration."""
        names = {"service": self.service, "identifier": self.handle, "app_password": "env:BLUESKY_APP_PASSWORD"}
        return {"platform": "bluesky", **names}

    @property
    def environment(self) -> dict[str, str]:
        """Where the configuration says that the secret is."""
        return {"BLUESKY_APP_PASSWORD": self.app_password}


class Pds:
    """A PDS whose data and port outlive `stop`, so that an outage can be tested."""

    def __init__(self, folder: Path) -> None:
        self.url = ""
        self._folder = folder
        self._numbers = itertools.count(1)
        self._server: ServerProcess | None = None

    def start(self) -> None:
        """The PDS answers, on the same port as before.

        Raises:
            Unavailable: it cannot be installed or started.
        """
        if self._server is None:
            self._server = self._prepare()
        self._server.start()

    def stop(self) -> None:
        """Nothing listens on the PDS's port."""
        if self._server is not None:
            self._server.stop()

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """The PDS is away inside, and back afterwards."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def new_login(self) -> Login:
        """A new account exists, with an app password."""
        handle = f"newsroom{next(self._numbers)}.test"
        body = {"handle": handle, "email": f"{handle}@example.org", "password": "account-password"}
        account = self._ask("com.atproto.server.createAccount", body)
        token = str(account["accessJwt"])
        password = self._ask("com.atproto.server.createAppPassword", {"name": "autopublish"}, token=token)["password"]
        return Login(service=self.url, handle=handle, did=str(account["did"]), app_password=str(password))

    def records(self, login: Login) -> tuple[Record, ...]:
        """All posts of the account, the oldest key first."""
        found: list[Record] = []
        cursor = ""
        while True:
            params = {"repo": login.did, "collection": _POSTS, "limit": str(_PAGE), "reverse": "true", "cursor": cursor}
            reply = call("GET", f"{self.url}/xrpc/com.atproto.repo.listRecords", params=params)
            reply.raise_for_status()
            page = reply.json()
            found += [_record(entry) for entry in page["records"]]
            cursor = page.get("cursor", "")
            if not cursor:
                return tuple(found)

    def put(self, login: Login, records: Mapping[str, dict[str, Any]]) -> None:
        """The account's repository holds each post under its key, as if another program had written it."""
        session = self._ask(
            "com.atproto.server.createSession", {"identifier": login.handle, "password": login.app_password}
        )
        for rkey, record in records.items():
            body = {"repo": login.did, "collection": _POSTS, "rkey": rkey, "record": {"$type": _POSTS, **record}}
            self._ask("com.atproto.repo.putRecord", body, token=str(session["accessJwt"]))

    def _ask(self, method: str, body: dict[str, Any], *, token: str | None = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        reply = call("POST", f"{self.url}/xrpc/{method}", json=body, headers=headers)
        assert reply.ok, f"{method}: {reply.status_code} {reply.text}"
        answer: dict[str, Any] = reply.json()
        return answer

    def _prepare(self) -> ServerProcess:
        install_node()
        tree = install_npm("bluesky", _PACKAGES, native=_NATIVE)
        for name in ("pds", "blobs"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        environment = {
            "TREE": str(tree),
            "DATA": str(self._folder),
            "PORT": str(port),
            "PLC_PORT": str(free_port()),
            "LOG_ENABLED": "0",
        }
        return ServerProcess(
            ["node", Path(__file__).with_name("pds.mjs")],
            log=self._folder / "pds.log",
            environment=environment,
            ready=f"{self.url}/xrpc/com.atproto.server.describeServer",
        )


def _record(entry: dict[str, Any]) -> Record:
    value = entry["value"]
    return Record(
        rkey=str(entry["uri"]).rsplit("/", 1)[-1],
        text=value["text"],
        created_at=datetime.fromisoformat(value["createdAt"]),
        languages=tuple(value.get("langs", ())),
        facets=tuple(_facet(value["text"], facet) for facet in value.get("facets", ())),
        card=_card(value.get("embed")),
    )


def _facet(text: str, facet: dict[str, Any]) -> Facet:
    [feature] = facet["features"]
    kind = str(feature["$type"]).rsplit("#", 1)[-1]
    index = facet["index"]
    return Facet(
        # Ranges count bytes of UTF-8. Cut strictly: a range inside a character is an error.
        covers=text.encode()[index["byteStart"] : index["byteEnd"]].decode(),
        kind=kind,
        value=feature["uri" if kind == "link" else kind],
    )


def _card(embed: dict[str, Any] | None) -> Card | None:
    if embed is None or embed["$type"] != "app.bsky.embed.external":
        return None
    external = embed["external"]
    return Card(url=external["uri"], title=external["title"], description=external["description"])
