"""Channels of paper for whole engines: who is told what stands in a list, and a channel fails when the test says so."""

from contextvars import ContextVar
from datetime import datetime
from zoneinfo import ZoneInfo

import anyio
import attrs

from aura_contracts.errors import DeliveryFailed, DeliveryRefused
from aura_contracts.notification import OutgoingMessage
from aura_contracts.ports.notifications import NotificationChannel
from aura_store.testing.faults import Faults

FAULTS: ContextVar[Faults] = ContextVar("FAULTS")
"""Those of the engine that is opened, or serves."""

CHANNELS = ("post", "moody", "dead")
"""One that takes everything, one that fails now and then, and one that fails until the end."""

REFUSED = "moved away"
"""Why the last one takes nothing, ever."""


@attrs.frozen
class Person:
    """What a person wants to be told."""

    channels: tuple[str, ...] = ("post",)
    kinds: dict[str, str] = attrs.field(factory=dict)
    zone: str = "UTC"
    quiet: tuple[str, str] | None = None
    digest: str = "09:00"
    watches: bool = False
    operator: bool = False


PERSONS = {
    "alice": Person(("post", "moody")),
    "bob": Person(zone="Europe/Berlin", quiet=("22:00", "07:00")),
    "carol": Person(kinds={"asked": "digest"}),
    "dave": Person(("dead", "post"), kinds={"reminder": "off"}),
    "erin": Person(quiet=("00:00", "12:00"), kinds={"escalated": "always"}),
    "olga": Person(kinds={"waiting": "off"}, watches=True, operator=True),
}


def settings_text() -> str:
    """Return ``notifications.yaml`` for them."""
    lines = ["channels:", *(f"  {name}: {{file: {{path: {name}}}, per_minute: 600}}" for name in CHANNELS), "people:"]
    for name, one in PERSONS.items():
        fields = [f"channels: {{{', '.join(f'{channel}: ' for channel in one.channels)}}}", f"zone: {one.zone}"]
        fields.append(f"kinds: {{{', '.join(f'{kind}: {pace}' for kind, pace in one.kinds.items())}}}")
        if one.quiet is not None:
            fields.append('quiet: {{from: "{}", to: "{}"}}'.format(*one.quiet))
        fields += [f"{field}: true" for field in ("watches", "operator") if getattr(one, field)]
        lines.append(f"  {name}: {{{', '.join(fields)}}}")
    return "\n".join(lines) + "\n"


@attrs.frozen
class Letter:
    """What a channel took, and from which engine."""

    channel: str
    message: OutgoingMessage
    faults: Faults


@attrs.define
class PaperPost:
    """All channels."""

    letters: list[Letter] = attrs.field(factory=list)
    failures: int = 0
    """How many of the next messages the moody channel does not take."""
    mood: str = "away"
    """How the dead one is: away, or it refuses, or, at the end, it takes."""

    def open(self, settings) -> NotificationChannel:
        return PaperChannel(settings.name, self)


@attrs.frozen
class PaperChannel(NotificationChannel):
    """One of them."""

    name: str
    post: PaperPost

    async def send(self, message: OutgoingMessage) -> None:
        faults = FAULTS.get()
        faults.strike("send")
        await anyio.lowlevel.checkpoint()
        if self.name == "dead" and self.post.mood == "refuses":
            raise DeliveryRefused(channel=self.name, reason=REFUSED)
        if self.name == "moody" and self.post.failures:
            self.post.failures -= 1
            raise DeliveryFailed(channel=self.name, reason="in a bad mood")
        if self.name == "dead" and self.post.mood == "away":
            raise DeliveryFailed(channel=self.name, reason="on holiday")
        self.post.letters.append(Letter(self.name, message, faults))
        faults.strike("taken")


def local_time(person: Person, now: datetime) -> str:
    """Return the time of the day of a person, as ``HH:MM:SS.ssssss``."""
    return now.astimezone(ZoneInfo(person.zone)).strftime("%H:%M:%S.%f")
