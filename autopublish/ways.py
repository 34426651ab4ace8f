"""Ways: the channels and the monitor of a configuration, each made with its secrets when it is used."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autopublish.config import Alerting, Config, resolve_channel
from autopublish.models import Account
from autopublish.net import Client
from autopublish.telling import Monitor, Plan, Ways

if TYPE_CHECKING:
    from autopublish.channels import Channel
    from autopublish.channels.account import Network


def plan_of(alerting: Alerting) -> Plan:
    """What the store remembers of the channels."""
    return Plan(channels=tuple(alerting.channels), every=alerting.every)


def ways_of(config: Config, client: Client, connect: Callable[[Account], Network]) -> Ways:
    """The channels of the configuration; `connect` gives the platform of an account with its secrets."""
    alerting, base = config.alerts, config.path.parent

    def make(kind: str) -> Channel:
        return _channel(kind, alerting.channels[kind], config, client, connect)

    monitor = partial(_monitor, alerting.ping, base, client) if alerting.ping is not None else None
    channels = {kind: partial(make, kind) for kind in alerting.channels}
    return Ways(channels=channels, tell=alerting.tell, monitor=monitor, file=config.path)


def _channel(kind: str, said: Any, config: Config, client: Client, connect: Callable[[Account], Network]) -> Channel:
    """The channel of what the file says of it.

    Raises:
        SecretError: a secret is missing, empty or a sample.
    """
    match kind:
        case "command":
            from autopublish.channels.command import Command

            return Command(said)
        case "account":
            from autopublish.channels.account import OfAccount

            account = next(one for one in config.accounts if one.name == said)
            return OfAccount(account.name, partial(connect, account))
        case "mail":
            from autopublish.channels.mail import Mail

            settings = resolve_channel(said, kind, base=config.path.parent)
            assert isinstance(settings, Mail.Settings)
            return Mail(settings, client)
        case _:
            from autopublish.channels.webhook import Webhook

            settings = resolve_channel(said, kind, base=config.path.parent)
            assert isinstance(settings, Webhook.Settings)
            return Webhook(settings, client)


def _monitor(said: Any, base: Path, client: Client) -> Monitor:
    """The monitor of what the file says of it.

    Raises:
        SecretError: a secret is missing, empty or a sample.
    """
    from autopublish.channels.ping import Ping

    settings = resolve_channel(said, "ping", base=base)
    assert isinstance(settings, Ping.Settings)
    return Ping(settings, client)
