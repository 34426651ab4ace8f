"""Ping: a call to a monitor that tells people when the calls cease, as healthchecks.io, Uptime Kuma and others do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum

from pydantic import SecretStr

from autopublish.channels._address import address_of
from autopublish.channels._base import DEADLINE
from autopublish.channels._settings import ChannelSettings
from autopublish.errors import ChannelError, NetworkError
from autopublish.net import Client


class Method(StrEnum):
    """How the monitor is called."""

    GET = "get"
    #: With counts as JSON.
    POST = "post"


class Ping:
    """One monitor."""

    class Settings(ChannelSettings):
        """Where it is called."""

        #: What is called while all is well; a secret, since whoever knows it can call it.
        url: SecretStr
        #: What is called instead when no channel takes the alerts (healthchecks.io has /fail); no call by default.
        fail_url: SecretStr | None = None
        #: get, or post, which sends how many deliveries stand where.
        method: Method = Method.GET
        #: Whether the monitor may be in your own network.
        allow_private: bool = False

    def __init__(self, settings: Settings, client: Client, *, deadline: timedelta = DEADLINE) -> None:
        self._settings = settings
        self._client = client
        self._deadline = deadline

    def check(self) -> None:
        """The addresses are such.

        Raises:
            ChannelError: one is not.
        """
        address_of(self._settings.url, "alerts.ping.url")
        if self._settings.fail_url is not None:
            address_of(self._settings.fail_url, "alerts.ping.fail_url")

    def well(self, counts: Mapping[str, int]) -> None:
        """The monitor knows that all is well.

        Raises:
            ChannelError: it could not be told.
        """
        self._call(address_of(self._settings.url, "alerts.ping.url"), counts)

    def unwell(self, counts: Mapping[str, int]) -> None:
        """The monitor knows that people are to be told, or was not called, which says the same in time.

        Raises:
            ChannelError: it could not be told.
        """
        if self._settings.fail_url is not None:
            self._call(address_of(self._settings.fail_url, "alerts.ping.fail_url"), counts)

    def _call(self, url: str, counts: Mapping[str, int]) -> None:
        is_post = self._settings.method is Method.POST
        body = json.dumps(dict(counts)).encode() if is_post else None
        try:
            reply = self._client.send(
                self._settings.method.upper(),
                url,
                headers={"Content-Type": "application/json"} if is_post else {},
                body=body,
                deadline=self._deadline,
                allow_private=self._settings.allow_private,
            )
        except NetworkError as error:
            raise ChannelError(f"the monitor did not answer: {error}") from error
        if not 200 <= reply.status < 300:
            raise ChannelError(f"the monitor answered HTTP {reply.status}")
