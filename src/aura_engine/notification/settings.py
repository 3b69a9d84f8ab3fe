"""Settings: ``notifications.yaml`` in AURA's folder, as values, or all of its faults at once, with line and column.

channels:
  mail:
    smtp: {host: mail.example.org, from: aura@example.org, login: aura, password: env:MAIL_PASSWORD}
  team:
    slack: {url: env:SLACK_URL}
people:
  ann:
    channels: {mail: ann@example.org, team:}
    kinds: {reminder: digest, failed: always}
    zone: Europe/Berlin
    quiet: {from: "22:00", to: "07:00"}
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path as FilePath
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from aura_contracts.errors import Fault, InvalidFile, InvalidInput
from aura_contracts.settled_files import read_settled
from aura_engine.approval_links.addresses import is_local
from aura_engine.host import require_person
from aura_engine.notification import settings_file
from aura_engine.notification.kinds import KINDS, NoticeKind, Pace
from aura_engine.yaml_document import SIZE_LIMIT, Path, YamlDocument, read_yaml
from aura_engine.yaml_faults import checked, keys_of, nearest

FILE = "notifications.yaml"
"""In AURA's folder."""

DIGEST_AT = time(9)
"""When a digest is sent if a person does not say."""


@attrs.frozen
class ChannelSettings:
    """A channel. `options` are the fields of the entry of its kind; secrets are references."""

    name: str
    kind: str
    options: Mapping[str, Any]
    timeout: float
    """Seconds for one attempt."""
    per_minute: int
    """The most messages a minute to one person; what is more is notified in one."""
    links: bool = False
    """Whether messages have links with which their recipient answers."""


@attrs.frozen
class Route:
    """How a channel reaches a person."""

    channel: str
    address: str = ""
    kinds: frozenset[NoticeKind] | None = None
    """None: all."""


@attrs.frozen
class PersonSettings:
    """A person, and what they want to be notified, where and when."""

    name: str
    routes: Sequence[Route]
    kinds: Mapping[NoticeKind, Pace] = attrs.field(factory=dict)
    zone: str = "UTC"
    quiet: tuple[time, time] | None = None
    digest_at: time = DIGEST_AT
    watches: bool = False
    """Whether they are notified of what concerns others, too."""
    operator: bool = False
    """Whether they are notified how AURA itself is."""

    @property
    def gets_reminders(self) -> bool:
        """Whether a channel tells them of a reminder, and not only once a day."""
        takes = any(route.kinds is None or NoticeKind.REMINDER in route.kinds for route in self.routes)
        return takes and self.pace(NoticeKind.REMINDER) in (Pace.NOW, Pace.ALWAYS)

    def pace(self, kind: NoticeKind) -> Pace:
        """Return when they are notified of a kind."""
        return self.kinds.get(kind, KINDS[kind].pace)

    def held_until(self, pace: Pace, now: datetime) -> datetime | None:
        """Return until when a message waits at `now`; None: it does not. A digest waits for its time of the day."""
        if pace is not Pace.NOW or self.quiet is None:
            return None
        begin, end = self.quiet
        local = now.astimezone(ZoneInfo(self.zone))
        clock = local.time()
        quiet = begin <= clock < end if begin <= end else clock >= begin or clock < end
        return self._next(end, now) if quiet else None

    def digest_after(self, moment: datetime) -> datetime:
        """Return when the digest with what happened at a moment is due."""
        return self._next(self.digest_at, moment)

    def _next(self, clock: time, now: datetime) -> datetime:
        """Return the first instant after `now` at a time of the day in their zone; in a gap, when the gap has ended."""
        zone = ZoneInfo(self.zone)
        local = now.astimezone(zone)
        day = local.date()
        while (found := datetime.combine(day, clock, zone).astimezone(now.tzinfo)) <= now:
            day += timedelta(days=1)
        return found


@attrs.frozen
class NotificationSettings:
    """Channels and people by name."""

    channels: Mapping[str, ChannelSettings] = attrs.field(factory=dict)
    people: Mapping[str, PersonSettings] = attrs.field(factory=dict)

    def audience(
        self, names: Sequence[str], kind: NoticeKind, *, operators: bool, reminded: Sequence[str] = ()
    ) -> list[PersonSettings]:
        """Return the people to tell: those named, operators if they are meant, and those who watch.

        Not those who get a reminder of the same instead: if any are `reminded`, these and those who watch.
        """
        found = []
        for person in self.people.values():
            meant = person.name in names or person.watches or (operators and person.operator)
            is_reminded = person.name in reminded or (person.watches and bool(reminded))
            if is_reminded and person.gets_reminders:
                continue
            if meant and person.pace(kind) is not Pace.OFF:
                found.append(person)
        return found


def load_settings(home: FilePath) -> NotificationSettings:
    """Return the settings in a folder; without a file, no one is notified anything. Raises `InvalidFile`."""
    path = home / FILE
    try:
        content = read_settled(path, SIZE_LIMIT + 1)
    except (FileNotFoundError, NotADirectoryError):
        return NotificationSettings()
    except OSError as error:
        fault = Fault(file=str(path), line=1, column=1, code="unreadable", message=error.strerror or str(error))
        raise InvalidFile(field=str(path), faults=(fault,), remedy="make it a file that you can read") from error
    return read_settings(content, str(path))


def read_settings(content: bytes, file: str) -> NotificationSettings:
    """Return what a file states. Raises `InvalidFile` with all of its faults."""
    document = read_yaml(content, file)
    faults = list(document.faults)
    channels: dict[str, ChannelSettings] = {}
    people: dict[str, PersonSettings] = {}
    entry = None
    if not faults and document.data is not None:
        entry, faults = checked(document, settings_file.SettingsEntry, document.data, (), _keys_at)
    for name, data in entry.channels.items() if entry is not None else ():
        channel, wrong = _channel(document, name, data)
        faults += wrong
        channels |= {name: channel} if channel is not None else {}
    for name, data in entry.people.items() if entry is not None else ():
        person, wrong = _person(document, name, data)
        faults += wrong
        if person is not None:
            known = entry.channels if entry is not None else {}
            faults += _route_faults(document, person, known)
            people[name] = person
    if faults:
        faults.sort(key=lambda fault: (fault.line, fault.column))
        raise InvalidFile(field=file, faults=tuple(faults), remedy="correct the file; nothing of it is in force")
    return NotificationSettings(channels, people)


def _channel(document: YamlDocument, name: str, data: object) -> tuple[ChannelSettings | None, list[Fault]]:
    path: Path = ("channels", name)
    entry, faults = checked(document, settings_file.ChannelEntry, data, path, _keys_at)
    if entry is None:
        return None, faults
    kinds = [kind for kind in settings_file.CHANNEL_KINDS if getattr(entry, kind) is not None]
    if len(kinds) != 1:
        given = f"this has {' and '.join(kinds)}" if kinds else "this has none"
        message = f"a channel has one of {', '.join(settings_file.CHANNEL_KINDS)}, and {given}"
        return None, [document.fault(path, "channel_kind", message, at_key=True)]
    options = getattr(entry, kinds[0])
    if kinds[0] == "smtp" and (fault := _smtp_fault(document, path, entry)):
        return None, [fault]
    if entry.links and kinds[0] not in settings_file.LINKED_KINDS:
        message = f"anyone who reads a link can use it; only {', '.join(settings_file.LINKED_KINDS)} may have them"
        return None, [document.fault((*path, "links"), "secret", message)]
    links = (entry.smtp is not None and not _is_clear(entry.smtp)) if entry.links is None else entry.links
    return ChannelSettings(name, kinds[0], options.model_dump(), entry.timeout, entry.per_minute, links), []


def _smtp_fault(document: YamlDocument, path: Path, entry: settings_file.ChannelEntry) -> Fault | None:
    """Return what its fields say together that they must not, if anything."""
    options = entry.smtp
    assert options is not None, "it is a mail server"
    if (options.login is None) is not (options.password is None):
        key = "login" if options.password is None else "password"
        message = "a login and a password belong together"
        return document.fault((*path, "smtp", key), "contradiction", message, at_key=True)
    if options.login is not None and _is_clear(options):
        message = f"the password would reach {options.host} unencrypted; use starttls or tls, or leave login out"
        return document.fault((*path, "smtp", "security"), "secret", message)
    if entry.links and _is_clear(options):
        message = f"everyone on the way to {options.host} could read a link and use it; use starttls or tls"
        return document.fault((*path, "links"), "secret", message)
    return None


def _is_clear(options: settings_file.SmtpEntry) -> bool:
    """Whether others can read what is sent on its way."""
    return options.security == "none" and not is_local(options.host)


def _person(document: YamlDocument, name: str, data: object) -> tuple[PersonSettings | None, list[Fault]]:
    path: Path = ("people", name)
    entry, faults = checked(document, settings_file.PersonEntry, data, path, _keys_at)
    try:
        require_person(name, "name")
    except InvalidInput as error:
        faults.append(document.fault(path, "person", error.reason, at_key=True))
    if entry is None or faults:
        return None, faults
    if entry.quiet is not None and entry.quiet.begin == entry.quiet.end:
        message = "quiet hours begin and end at different times; use `kinds` to be notified nothing"
        return None, [document.fault((*path, "quiet"), "contradiction", message, at_key=True)]
    routes = [
        Route(channel, route.address or "", None if route.kinds is None else frozenset(route.kinds))
        for channel, route in entry.channels.items()
    ]
    person = PersonSettings(
        name=name,
        routes=routes,
        kinds=dict(entry.kinds),
        zone=entry.zone,
        quiet=None if entry.quiet is None else (entry.quiet.begin, entry.quiet.end),
        digest_at=entry.digest or DIGEST_AT,
        watches=entry.watches,
        operator=entry.operator,
    )
    return person, []


def _route_faults(document: YamlDocument, person: PersonSettings, channels: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong between a person and the channels, also those that have faults of their own."""
    for route in person.routes:
        path: Path = ("people", person.name, "channels", route.channel)
        data = channels.get(route.channel)
        if route.channel not in channels:
            message = f"there is no channel {route.channel!r}; {nearest(route.channel, list(channels) or ['none'])}"
            yield document.fault(path, "unknown_channel", message, at_key=True)
        elif isinstance(data, Mapping) and "smtp" in data and not route.address:
            yield document.fault(path, "address", "write the e-mail address of the person", at_key=True)
        elif isinstance(data, Mapping) and "smtp" not in data and route.address:
            message = f"the channel {route.channel!r} leads to one place; leave the address out"
            yield document.fault(path, "address", message)


def _keys_at(path: Path) -> Sequence[str]:
    """Return the keys that the table at a path may have."""
    if len(path) < 2:
        return keys_of(settings_file.SettingsEntry)
    if len(path) == 2:
        return keys_of(settings_file.ChannelEntry if path[0] == "channels" else settings_file.PersonEntry)
    last = str(path[-1])
    if path[0] == "people" and path[2] == "channels":
        return keys_of(settings_file.RouteEntry)
    return keys_of(settings_file.MODELS[last]) if last in settings_file.MODELS else list(NoticeKind)
