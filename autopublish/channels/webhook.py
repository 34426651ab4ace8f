"""Webhook: a notice as JSON, posted to an address of the operator's; signed where a secret is shared.

The signature is that of Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks. Slack, Mattermost
and their kin take the key `text` and leave the rest.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from pydantic import SecretStr

from autopublish.channels._address import address_of
from autopublish.channels._base import DEADLINE, Channel, Notice
from autopublish.channels._settings import ChannelSettings
from autopublish.errors import ChannelError, NetworkError
from autopublish.net import Client
from autopublish.text import WORD_JOINER, unlinked


class Webhook(Channel):
    """One address that takes JSON."""

    class Settings(ChannelSettings):
        """Where it goes, and by what it is known to be ours."""

        #: Where each notice is posted as JSON; a secret, since such addresses often carry a token.
        url: SecretStr
        #: By what the receiver knows that it is yours, as Standard Webhooks has it: whsec_ and base64; none by default.
        secret: SecretStr | None = None
        #: Whether the address may be in your own network.
        allow_private: bool = False

    def __init__(self, settings: Settings, client: Client, *, deadline: timedelta = DEADLINE) -> None:
        self._settings = settings
        self._client = client
        self._deadline = deadline

    def check(self) -> None:
        """Address and secret are such."""
        address_of(self._settings.url, "alerts.webhook.url")
        self._key()

    def tell(self, notice: Notice) -> None:
        """The address has answered that it took the notice."""
        url, body = address_of(self._settings.url, "alerts.webhook.url"), body_of(notice)
        headers = {"Content-Type": "application/json", **self._signature(notice.id, body)}
        try:
            reply = self._client.send(
                "POST",
                url,
                headers=headers,
                body=body,
                deadline=self._deadline,
                allow_private=self._settings.allow_private,
            )
        except NetworkError as error:
            raise ChannelError(f"the webhook did not answer: {error}") from error
        if not 200 <= reply.status < 300:
            raise ChannelError(f"the webhook answered HTTP {reply.status}")

    def _key(self) -> bytes | None:
        """What is signed with; None: nothing is signed.

        Raises:
            ChannelError: the secret is not of its form.
        """
        if self._settings.secret is None:
            return None
        try:
            key = base64.b64decode(
                self._settings.secret.get_secret_value().strip().removeprefix("whsec_"), validate=True
            )
        except (binascii.Error, ValueError):
            key = b""
        if not key:
            # Not chained: the error could quote it.
            raise ChannelError("what alerts.webhook.secret refers to is not of the form whsec_ and base64")
        return key

    def _signature(self, notice: str, body: bytes) -> dict[str, str]:
        key = self._key()
        if key is None:
            return {}
        # Of this try, not of the notice: receivers refuse what is minutes old.
        stamp = str(int(datetime.now(UTC).timestamp()))
        signed = hmac.new(key, f"{notice}.{stamp}.".encode() + body, sha256).digest()
        return {
            "webhook-id": notice,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        }


def body_of(notice: Notice) -> bytes:
    """The notice as JSON."""
    document = {
        "type": "alert",
        "timestamp": notice.at.isoformat(),
        "text": _without_mentions(f"{notice.title}\n\n{notice.text}"),
        "data": {
            "title": notice.title,
            "text": notice.text,
            "alerts": [
                {
                    "kind": told.kind,
                    "subject": told.subject,
                    "words": told.words,
                    "since": told.since.isoformat(),
                    "telling": told.telling,
                }
                for told in notice.alerts
            ],
        },
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _without_mentions(text: str) -> str:
    """The text, whose quoted words call nobody: Slack reads `<!channel>`, others read `@all`."""
    return unlinked(text).replace("<", f"<{WORD_JOINER}")
