"""Credentials that the store keeps, sealed with a key that is kept elsewhere: a stolen store is useless.

The cipher is Fernet (AES-128-CBC with HMAC-SHA256, https://github.com/fernet/spec). It is imported only where something
is sealed or opened. No text of this module holds a key or a value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from autopublish.errors import SecretError
from autopublish.redaction import redact


def new_key() -> str:
    """A key that nobody has had before."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


class Vault:
    """Seals and opens credentials with one key; as long as it lives, the key is looked for in what is logged."""

    def __init__(self, key: str) -> None:
        """The vault of a key.

        Raises:
            SecretError: it can be none.
        """
        from cryptography.fernet import Fernet

        try:
            self._fernet = Fernet(key.strip())
        except ValueError:
            # Not chained: the error may hold the key.
            raise SecretError("key: this is no key; `autopublish accounts key` prints one") from None
        redact.know(self, [key])

    def __repr__(self) -> str:
        return "<Vault>"

    def seal(self, account: str, values: Mapping[str, str]) -> str:
        """The values as only this key opens them, and only for this account."""
        text = json.dumps({"account": account, "values": dict(values)}, sort_keys=True)
        return self._fernet.encrypt(text.encode()).decode()

    def open(self, account: str, sealed: str) -> dict[str, str]:
        """The values that were sealed for this account.

        Raises:
            SecretError: they were sealed with another key or for another account, or were changed since.
        """
        from cryptography.fernet import InvalidToken

        try:
            text = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            text = {}
        if text.get("account") != account:
            raise SecretError(
                f"what the store keeps of the login of {account} was sealed with another key: put the earlier one back "
                f"under `key`, or `autopublish accounts login {account}`"
            )
        return {str(name): str(value) for name, value in text["values"].items()}
