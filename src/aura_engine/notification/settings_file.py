"""Settings file: what ``notifications.yaml`` may hold. Closed and strict; see `aura_engine.policy.vocabulary`."""

import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from aura_engine.notification.kinds import NoticeKind, Pace
from aura_engine.policy.field_types import Clock, Duration, Word, Zone, wrong

CHANNEL_LIMIT = 100
"""The most channels in a file."""

PERSON_LIMIT = 1000
"""The most people in a file."""


class _SettingsModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


_REFERENCE = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:\S(.*\S)?")


def is_reference(value: str) -> bool:
    """Whether a text says where a secret is, rather than what it is."""
    return _REFERENCE.fullmatch(value) is not None


def _reference(value: str) -> str:
    if not is_reference(value):
        raise wrong("secret", "a secret is not written here; name where it is: env:NAME, or file:PATH")
    return value


def _place(value: str) -> str:
    """Check the address of a webhook, which may be written out unless it holds a password."""
    if is_reference(value):
        return value
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, fits = urlsplit(""), False
    if not fits:
        raise wrong("address", "write an address that begins with https:// or http://, env:NAME, or file:PATH")
    if parts.username is not None or parts.password is not None:
        raise wrong("secret", "this address holds a password; name where it is: env:NAME, or file:PATH")
    return value


def _mail(value: str) -> str:
    try:
        found = Address(addr_spec=value)
    except (ValueError, HeaderParseError, IndexError):
        found = Address()
    if not (found.username and found.domain):
        raise wrong("address", f"{value!r} is not an e-mail address")
    return value


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Reference = Annotated[str, AfterValidator(_reference)]
References = Annotated[list[Reference], Field(min_length=1, max_length=10), BeforeValidator(_several)]
Place = Annotated[str, AfterValidator(_place)]
Mail = Annotated[str, AfterValidator(_mail)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
KindWord = Annotated[NoticeKind, Field(strict=False)]
PaceWord = Annotated[Pace, Field(strict=False)]


class SmtpEntry(_SettingsModel):
    """A mail server."""

    host: Word
    sender: Annotated[Mail, Field(alias="from")]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    login: Word | None = None
    password: Reference | None = None
    ca: Word | None = None


class WebhookEntry(_SettingsModel):
    """A receiver of Standard Webhooks."""

    url: Place
    secret: References | None = None
    private: bool = False
    ca: Word | None = None


class SlackEntry(_SettingsModel):
    """An incoming webhook of Slack."""

    url: Reference
    private: bool = False
    ca: Word | None = None


class FileEntry(_SettingsModel):
    """A file."""

    path: Word


class TerminalEntry(_SettingsModel):
    """The terminal of the program that serves notifications."""

    bell: bool = True


class DesktopEntry(_SettingsModel):
    """The desktop."""


class AppriseEntry(_SettingsModel):
    """Services by their Apprise URLs."""

    urls: References


class ChannelEntry(_SettingsModel):
    """A channel: one of its kinds, and how patient it is."""

    smtp: SmtpEntry | None = None
    webhook: WebhookEntry | None = None
    slack: SlackEntry | None = None
    file: FileEntry | None = None
    terminal: TerminalEntry | None = None
    desktop: DesktopEntry | None = None
    apprise: AppriseEntry | None = None
    timeout: Duration = 30.0
    per_minute: Annotated[int, Field(ge=1, le=600)] = 10
    links: bool | None = None


CHANNEL_KINDS = tuple(name for name in ChannelEntry.model_fields if name not in ("timeout", "per_minute", "links"))
"""The kinds of channel."""

LINKED_KINDS = ("smtp", "webhook", "slack", "apprise")
"""The kinds of channel whose messages may have links that answer."""


class RouteEntry(_SettingsModel):
    """How a channel reaches a person, and which kinds of notification go there; None: all."""

    address: Mail | None = None
    kinds: list[KindWord] | None = None


class QuietEntry(_SettingsModel):
    """Hours in which a person is not disturbed; past midnight if they end before they begin."""

    begin: Annotated[Clock, Field(alias="from")]
    end: Annotated[Clock, Field(alias="to")]


def _route(value: object) -> object:
    """Return a route for an address alone, or for nothing."""
    return {} if value is None else {"address": value} if isinstance(value, str) else value


class PersonEntry(_SettingsModel):
    """A person: where, what and when they are notified."""

    channels: dict[Name, Annotated[RouteEntry, BeforeValidator(_route)]]
    kinds: dict[KindWord, PaceWord] = {}
    zone: Zone = "UTC"
    quiet: QuietEntry | None = None
    digest: Clock | None = None
    watches: bool = False
    operator: bool = False


class SettingsEntry(_SettingsModel):
    """The file."""

    channels: Annotated[dict[Name, Any], Field(max_length=CHANNEL_LIMIT)] = {}
    people: Annotated[dict[Word, Any], Field(max_length=PERSON_LIMIT)] = {}


_ENTRIES = (SmtpEntry, WebhookEntry, SlackEntry, FileEntry, TerminalEntry, DesktopEntry, AppriseEntry)

MODELS: dict[str, type[BaseModel]] = {**dict(zip(CHANNEL_KINDS, _ENTRIES, strict=True)), "quiet": QuietEntry}
"""The models of tables by their keys."""
