"""File: a line of JSON for each message, appended and made durable before it counts as sent."""

import os
import stat
from pathlib import Path

import attrs
import msgspec

from aura_contracts.errors import DeliveryFailed, DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_contracts.ports.notifications import NotificationChannel
from aura_contracts.private_files import FILE_MODE, make_private_folder
from aura_notify.blocking import Threads

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK


@attrs.frozen
class FileChannel(NotificationChannel):
    """Appends to a file, which only its user can read."""

    channel: str
    path: Path
    _threads: Threads = attrs.field(factory=Threads, init=False)

    async def send(self, message: OutgoingMessage) -> None:
        await self._threads.run(lambda: self._append(msgspec.json.encode(message.as_dict()) + b"\n"))

    def _append(self, line: bytes) -> None:
        try:
            make_private_folder(self.path.parent)
            file = os.open(self.path, _FLAGS, FILE_MODE)
            try:
                if not stat.S_ISREG(os.fstat(file).st_mode):
                    raise DeliveryRefused(channel=self.channel, reason=f"{self.path} is not a file")
                if _unfinished(self.path):  # a process was killed, or the disk was full, in the middle of a line
                    line = b"\n" + line
                if os.write(file, line) != len(line):
                    raise DeliveryFailed(channel=self.channel, reason=f"{self.path}: there is no space left")
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            reason = f"{self.path}: {error.strerror or error}"
            raise DeliveryFailed(channel=self.channel, reason=reason) from error


def _unfinished(path: Path) -> bool:
    """Whether a file ends within a line."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
