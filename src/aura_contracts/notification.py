"""Notification: a message to a person, as it is recorded and as a channel sends it."""

import msgspec

from aura_contracts.events import Instant
from aura_contracts.plain_data import Plain


class MessageItem(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """One thing that happened, in a message."""

    key: str
    """The id of the event."""
    kind: str
    subject: str
    """One line."""
    time: Instant
    about: str = ""
    """The id of the approval, task, workflow or execution that it is about."""


class OutgoingMessage(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """What a channel sends."""

    key: str
    """The same for every attempt, also after a crash, and for no other message, so that receivers can drop repetitions.
    Up to 100 characters of letters, digits, dots and hyphens."""
    kind: str
    """``asked``, ``failed``, ...; ``digest`` for several things in one message."""
    recipient: str
    """Name of a person."""
    address: str = ""
    """Where the channel reaches them: an e-mail address; empty for channels that lead to one place."""
    subject: str
    """One line of up to 200 characters."""
    text: str
    """Plain text of several lines."""
    time: Instant
    """When the last of its items happened."""
    thread: str = ""
    """Shared by the messages about one thing, so that a mail program shows them together."""
    count: int = 1
    """How many things it is about; `items` may hold fewer."""
    items: tuple[MessageItem, ...] = ()
