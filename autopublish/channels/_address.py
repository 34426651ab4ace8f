"""Addresses on the web that are secrets: they are read when they are used, and never shown."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import SecretStr

from autopublish.errors import ChannelError


def address_of(secret: SecretStr, name: str) -> str:
    """The address, which begins with http:// or https:// and has a host.

    Raises:
        ChannelError: it is none; names the key, never the address.
    """
    value = secret.get_secret_value().strip()
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole:
        raise ChannelError(f"what {name} refers to is no address that begins with https:// or http://")
    return value
