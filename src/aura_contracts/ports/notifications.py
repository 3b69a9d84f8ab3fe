"""Notifications: how a message leaves AURA.

A channel is one way out: a mail server, a webhook, a file. It sends one message at a time, and says in its errors
whether another attempt can help. The engine decides what is sent, to whom, when and how often; see
`aura_engine.notification`.
"""

from abc import ABC, abstractmethod

from aura_contracts.notification import OutgoingMessage


class NotificationChannel(ABC):
    """A way out. Works on asyncio and on trio, and may be used by several tasks at once."""

    @abstractmethod
    async def send(self, message: OutgoingMessage) -> None:
        """Send a message; return once the other side has taken it.

        Raises `DeliveryFailed` if a later attempt may succeed, and `DeliveryRefused` if none will. The caller limits
        the time by cancelling: whatever waits for the other side ends then, threads included. A message that was
        cancelled may have been sent.
        """
