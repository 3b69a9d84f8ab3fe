"""Apprise: the services that the library of this name knows, such as Telegram, Matrix or ntfy. An extra."""

import logging
from collections.abc import Sequence
from typing import Any

import attrs

from aura_contracts.errors import DeliveryFailed, DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_contracts.ports.notifications import NotificationChannel
from aura_notify.blocking import Threads

TIMEOUT = 60
"""Seconds after which the library gives up: a thread that was left ends then."""


@attrs.frozen
class AppriseChannel(NotificationChannel):
    """Sends to services by their Apprise URLs, which hold secrets."""

    channel: str
    urls: Sequence[str] = attrs.field(repr=False)
    _threads: Threads = attrs.field(factory=Threads, init=False)

    async def send(self, message: OutgoingMessage) -> None:
        await self._threads.run(lambda: self._notify(message))

    def _notify(self, message: OutgoingMessage) -> None:
        found = self._services()
        if not found.notify(body=message.text, title=message.subject, body_format="text", timeout=TIMEOUT):
            raise DeliveryFailed(channel=self.channel, reason="a service did not take it")

    def _services(self) -> Any:
        try:
            import apprise  # noqa: PLC0415 - an extra
        except ImportError:
            reason, remedy = "the library Apprise is not installed", "pip install 'aura-core[apprise]'"
            raise DeliveryRefused(channel=self.channel, reason=reason, remedy=remedy) from None
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it would log addresses
        found = apprise.Apprise()
        for place, url in enumerate(self.urls):
            if not found.add(url):
                reason = f"number {place + 1} of its URLs is not one that Apprise knows"
                raise DeliveryRefused(channel=self.channel, reason=reason)
        return found
