"""Slack: an incoming webhook, with a message of Block Kit.

Buttons are left out: an incoming webhook cannot receive what they send. Text of agents and people is escaped as Slack
asks for (``&``, ``<``, ``>``), so that it can neither mention a channel nor hide a link.
"""

from typing import Any

import attrs
import msgspec

from aura_contracts.notification import OutgoingMessage
from aura_contracts.ports.notifications import NotificationChannel
from aura_contracts.quoting import cut
from aura_notify.http import HttpSender

TEXT_LIMIT = 3000
"""Characters of a section (api.slack.com/reference/block-kit/blocks#section)."""

HEADER_LIMIT = 150
"""Characters of a header."""


@attrs.frozen
class SlackChannel(NotificationChannel):
    """Sends to an incoming webhook of Slack. The address is the secret."""

    sender: HttpSender

    async def send(self, message: OutgoingMessage) -> None:
        await self.sender.post({"Content-Type": "application/json"}, msgspec.json.encode(payload_of(message)))


def payload_of(message: OutgoingMessage) -> dict[str, Any]:
    """Return what Slack shows for a message; `text` is what its own notifications show."""
    text = cut(escaped(message.text), TEXT_LIMIT)
    context = f"{message.kind} · {message.recipient} · {message.key}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(message.subject, HEADER_LIMIT)}},
        {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": escaped(context), "verbatim": True}]},
    ]
    return {"text": escaped(message.subject), "blocks": [one for one in blocks if one is not blocks[1] or text]}


def escaped(text: str) -> str:
    """Return a text as Slack shows it unchanged."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
