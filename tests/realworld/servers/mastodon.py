"""An emulator of Mastodon that nobody here wrote, and what its account shows, read back without our own code.

It is no Mastodon: it counts links in full and takes any bytes for a picture. What it has of Mastodon's API, keys
included, was written by others from the documentation.

Source: https://pypi.org/project/mastodon_mock/
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.realworld.servers._install import install_python
from tests.realworld.servers._process import ServerProcess, call, free_port

_PACKAGES = ("mastodon_mock==0.6.1",)
_TOKEN = "mock_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One post as the account's page shows it."""

    id: str
    url: str
    #: HTML.
    content: str
    created_at: datetime
    visibility: str
    language: str | None
    #: Alt texts of its pictures.
    pictures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a person writes into a configuration to post on the account."""

    server: str
    access_token: str

    @property
    def account(self) -> dict[str, str]:
        """The account's own keys in the configuration."""
        return {"platform": "mastodon", "server": self.server, "access_token": "env:MASTODON_ACCESS_TOKEN"}

    @property
    def environment(self) -> dict[str, str]:
        """Where the configuration says that the secret is."""
        return {"MASTODON_ACCESS_TOKEN": self.access_token}


class MastodonMock:
    """The emulator with its one account."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: ServerProcess | None = None
        self.url = ""

    def start(self) -> None:
        """The emulator answers, on the same port as before.

        Raises:
            Unavailable: it cannot be installed or started.
        """
        if self._server is None:
            self._server = self._prepare()
        self._server.start()

    def stop(self) -> None:
        """Nothing listens on the emulator's port."""
        if self._server is not None:
            self._server.stop()

    @property
    def login(self) -> Login:
        """The one account."""
        return Login(server=self.url, access_token=_TOKEN)

    def posts(self) -> tuple[Shown, ...]:
        """What the account shows, the oldest first."""
        account = self._ask("GET", "accounts/verify_credentials")["id"]
        return tuple(_shown(entry) for entry in reversed(self._ask("GET", f"accounts/{account}/statuses?limit=40")))

    def _ask(self, method: str, path: str) -> Any:
        reply = call(method, f"{self.url}/api/v1/{path}", headers={"Authorization": f"Bearer {_TOKEN}"})
        reply.raise_for_status()
        return reply.json()

    def _prepare(self) -> ServerProcess:
        commands = install_python("mastodon", _PACKAGES)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = self._folder / "mastodon_mock.toml"
        database = self._folder / "mastodon.sqlite"
        settings.write_text(f'[server]\nhost = "127.0.0.1"\nport = {port}\n[database]\npath = "{database}"\n')
        place: list[str | Path] = [
            "--config",
            settings,
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--domain",
            f"127.0.0.1:{port}",
        ]
        return ServerProcess(
            [commands / "mastodon_mock", "serve", *place],
            log=self._folder / "mastodon.log",
            environment={},
            ready=f"{self.url}/api/v1/instance",
        )


def _shown(entry: dict[str, Any]) -> Shown:
    return Shown(
        id=entry["id"],
        url=entry["url"],
        content=entry["content"],
        created_at=datetime.fromisoformat(entry["created_at"]),
        visibility=entry["visibility"],
        language=entry["language"],
        pictures=tuple(media["description"] for media in entry["media_attachments"]),
    )
