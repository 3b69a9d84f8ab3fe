"""Desktop: the notifications of the desktop, by ``notify-send`` (freedesktop.org) or ``osascript`` (macOS)."""

import subprocess
import sys
from collections.abc import Mapping
from html import escape

import anyio
import attrs

from aura_contracts.errors import DeliveryFailed, DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_contracts.ports.notifications import NotificationChannel
from aura_contracts.quoting import cut, one_line

TEXT_LIMIT = 400
"""Characters that are shown."""

_SCRIPT = (
    "on run {subject, body}",
    'display notification body with title "AURA" subtitle subject',
    "end run",
)


@attrs.frozen
class DesktopChannel(NotificationChannel):
    """Shows messages on the desktop of the user in whose session the program runs."""

    channel: str
    environment: Mapping[str, str] = attrs.field(repr=False)
    system: str = sys.platform

    async def send(self, message: OutgoingMessage) -> None:
        command = command_of(message, self.system)
        try:
            done = await anyio.run_process(command, env=self.environment, check=False, stderr=subprocess.STDOUT)
        except (FileNotFoundError, PermissionError) as error:
            reason, remedy = f"{command[0]} is not installed", f"install {command[0]}, or use another channel"
            raise DeliveryRefused(channel=self.channel, reason=reason, remedy=remedy) from error
        except OSError as error:
            raise DeliveryFailed(channel=self.channel, reason=f"{command[0]}: {error.strerror or error}") from error
        if done.returncode != 0:
            said = cut(one_line(done.stdout.decode("utf-8", "replace").strip()), 200)
            raise DeliveryFailed(channel=self.channel, reason=f"{command[0]} ended with {done.returncode}: {said}")


def command_of(message: OutgoingMessage, system: str) -> list[str]:
    """Return the command that shows a message. `system` is as in `sys.platform`."""
    subject, text = one_line(message.subject), cut(message.text, TEXT_LIMIT)
    if system == "darwin":
        return ["osascript", *(part for line in _SCRIPT for part in ("-e", line)), subject, text]
    return ["notify-send", "--app-name=AURA", "--", subject, escape(text, quote=False)]
