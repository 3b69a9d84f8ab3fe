"""Webhook: a POST in the form of Standard Webhooks 1.0 (its specification is in spec/standard-webhooks.md).

    webhook-id: the key of the message
    webhook-timestamp: seconds since 1970, of this attempt
    webhook-signature: v1,<base64 of HMAC-SHA256 over "id.timestamp.body">, one for each secret, separated by spaces

The body is ``{"type": "aura.asked", "timestamp": ..., "data": {...}}``, with the message as data.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from hashlib import sha256
from hmac import digest

import attrs
import msgspec

from aura_contracts.errors import DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_contracts.ports import Clock
from aura_contracts.ports.notifications import NotificationChannel
from aura_notify.http import HttpSender

PREFIX = "whsec_"
"""Before the base64 of a secret."""

SECRET_BYTES = range(24, 65)
"""The lengths of a secret that the standard allows."""


@attrs.frozen
class WebhookChannel(NotificationChannel):
    """Sends to a webhook. With several secrets it signs with each, so that the receiver can change over."""

    sender: HttpSender
    clock: Clock
    secrets: Sequence[str] = attrs.field(default=(), repr=False)

    async def send(self, message: OutgoingMessage) -> None:
        content = body_of(message)
        stamp = str(int(self.clock().timestamp()))
        headers = {"Content-Type": "application/json", "webhook-id": message.key, "webhook-timestamp": stamp}
        if self.secrets:
            signatures = (signature(self._key(one), message.key, stamp, content) for one in self.secrets)
            headers["webhook-signature"] = " ".join(signatures)
        await self.sender.post(headers, content)

    def _key(self, secret: str) -> bytes:
        try:
            key = b64decode(secret.removeprefix(PREFIX), validate=True)
        except (Base64Error, ValueError):
            key = b""
        if len(key) not in SECRET_BYTES:
            reason = f"its secret is not the base64 of {SECRET_BYTES[0]} to {SECRET_BYTES[-1]} bytes"
            raise DeliveryRefused(channel=self.sender.channel, reason=reason)
        return key


def body_of(message: OutgoingMessage) -> bytes:
    """Return the body of a message: the same bytes for every attempt."""
    fields = message.as_dict()
    return msgspec.json.encode({"type": f"aura.{message.kind}", "timestamp": fields["time"], "data": fields})


def signature(key: bytes, ident: str, stamp: str, content: bytes) -> str:
    """Return the signature of a body under a key."""
    signed = b".".join((ident.encode(), stamp.encode(), content))
    return f"v1,{b64encode(digest(key, signed, sha256)).decode()}"
