"""Terminal: a line on the terminal of the program that serves notifications, with its bell."""

import sys
from collections.abc import Callable
from typing import TextIO

import attrs

from aura_contracts.errors import DeliveryFailed
from aura_contracts.notification import OutgoingMessage
from aura_contracts.ports.notifications import NotificationChannel
from aura_contracts.quoting import one_line
from aura_notify.blocking import Threads


@attrs.frozen
class TerminalChannel(NotificationChannel):
    """Writes to standard error; `bell` rings where that is a terminal."""

    channel: str
    bell: bool = True
    stream: Callable[[], TextIO] = lambda: sys.stderr
    _threads: Threads = attrs.field(factory=Threads, init=False)

    async def send(self, message: OutgoingMessage) -> None:
        await self._threads.run(lambda: self._write(message))

    def _write(self, message: OutgoingMessage) -> None:
        stream = self.stream()
        try:
            ring = "\a" if self.bell and stream.isatty() else ""
            stream.write(f"{ring}[aura] {one_line(message.subject)}\n")
            stream.flush()
        except (OSError, ValueError) as error:  # a ValueError if it is closed
            raise DeliveryFailed(channel=self.channel, reason=one_line(str(error))) from error
