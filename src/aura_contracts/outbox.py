"""Outbox: what a channel has to send, one stream for each channel.

    message   ──queued──► pending ──sent──► gone
                           ▲  └──given up──► dead
                           └─────retried──────┘

A message is queued with how far its recipient was notified of each kind (the lanes), so it is never made twice,
whatever pace they wish later, and what happens meanwhile is not copied: the log itself is the buffer. It has the same
key at every attempt, also after a crash between sending and recording, so that a receiver can tell a repetition.
Addresses and secrets are not part of it; they are looked up when it is sent.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table
from aura_contracts.events import Event
from aura_contracts.ids import StreamId
from aura_contracts.notification import OutgoingMessage
from aura_contracts.plain_data import Plain

DEAD_LIMIT = 100
"""The dead letters that the state keeps, newest last; the log has all of them."""

_NAMESPACE = UUID("f1b1a7a2-3f6f-5c57-9b54-0f9f0a5c2a11")
"""The UUID namespace of outboxes; never changed."""


def outbox_id(channel: str) -> StreamId:
    """Return the id of the outbox of a channel (UUIDv5, RFC 9562, section 5.5)."""
    return str(uuid5(_NAMESPACE, channel))


class OutboxStatus(StrEnum):
    OPEN = "open"


class QueuedMessage(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """A message that waits to be sent."""

    message: OutgoingMessage
    queued_at: datetime
    """When it was queued, or last retried."""


class DeadLetter(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """A message that could not be sent."""

    message: OutgoingMessage
    queued_at: datetime
    reason: str
    attempts: int
    given_up_at: datetime


# --- Events -----------------------------------------------------------------------------------------------------------


class NotificationQueued(Event, frozen=True, kw_only=True):
    """A message waits to be sent. It, or an earlier one, has all of each lane up to a position."""

    topic = "outbox.queued"
    channel: str
    positions: dict[str, int]
    """By lane."""
    message: OutgoingMessage


class NotificationSent(Event, frozen=True, kw_only=True):
    """The channel took a message."""

    topic = "outbox.sent"
    key: str
    attempts: int


class NotificationGivenUp(Event, frozen=True, kw_only=True):
    """A message could not be sent, and is a dead letter."""

    topic = "outbox.given_up"
    key: str
    reason: str
    attempts: int


class NotificationRetried(Event, frozen=True, kw_only=True):
    """A dead letter waits to be sent again, under the same key."""

    topic = "outbox.retried"
    key: str


# --- State ------------------------------------------------------------------------------------------------------------


class Outbox(State, frozen=True, kw_only=True):
    """The state of an outbox."""

    id: StreamId
    status: OutboxStatus
    channel: str
    lanes: dict[str, int] = {}
    """By lane, which is a recipient and a kind, the position up to which messages were made."""
    pending: tuple[QueuedMessage, ...] = ()
    dead: tuple[DeadLetter, ...] = ()
    sent: int = 0
    last_sent_at: datetime | None = None

    def pending_of(self, key: str) -> QueuedMessage | None:
        """Return the message with a key that waits to be sent, or None."""
        return next((one for one in self.pending if one.message.key == key), None)

    def dead_of(self, key: str) -> DeadLetter | None:
        """Return the dead letter with a key, or None."""
        return next((one for one in self.dead if one.message.key == key), None)


# --- Commands ---------------------------------------------------------------------------------------------------------


class QueueNotification(Command[Outbox], frozen=True, kw_only=True):
    """Queue a message, unless all of its lanes are past their positions.

    Refused if another message was queued in one of them since this one was made: both may be about the same events.
    """

    emits = (NotificationQueued,)
    channel: str
    after: dict[str, int]
    """The positions of its lanes when the message was made; 0 for a new lane."""
    positions: dict[str, int]
    """Up to where it has all of each of its lanes."""
    message: OutgoingMessage


class RecordNotificationSent(Command[Outbox], frozen=True, kw_only=True):
    """Record that the channel took a message."""

    emits = (NotificationSent,)
    key: str
    attempts: int


class GiveUpNotification(Command[Outbox], frozen=True, kw_only=True):
    """Make a message a dead letter."""

    emits = (NotificationGivenUp,)
    key: str
    reason: str
    attempts: int


class RetryNotification(Command[Outbox], frozen=True, kw_only=True):
    """Have a dead letter sent again."""

    emits = (NotificationRetried,)
    key: str


# --- Table and evolve -------------------------------------------------------------------------------------------------

_OPEN = OutboxStatus.OPEN

_TABLE: Table = MappingProxyType(
    {
        None: {NotificationQueued: _OPEN},
        _OPEN: {
            NotificationQueued: _OPEN,
            NotificationSent: _OPEN,
            NotificationGivenUp: _OPEN,
            NotificationRetried: _OPEN,
        },
    }
)


def _queued(state: Outbox | None, event: NotificationQueued, fact: HappenedFact, status: OutboxStatus) -> Outbox:
    box = state or Outbox(id=outbox_id(event.channel), status=status, channel=event.channel)
    queued = QueuedMessage(message=event.message, queued_at=fact.time)
    return replace(box, lanes={**box.lanes, **event.positions}, pending=(*box.pending, queued))


def _without(state: Outbox, key: str) -> tuple[QueuedMessage, ...]:
    return tuple(one for one in state.pending if one.message.key != key)


def _sent(state: Outbox, event: NotificationSent, fact: HappenedFact, status: OutboxStatus) -> Outbox:
    return replace(state, pending=_without(state, event.key), sent=state.sent + 1, last_sent_at=fact.time)


def _given_up(state: Outbox, event: NotificationGivenUp, fact: HappenedFact, status: OutboxStatus) -> Outbox:
    found = state.pending_of(event.key)
    if found is None:
        return state
    letter = DeadLetter(
        message=found.message,
        queued_at=found.queued_at,
        reason=event.reason,
        attempts=event.attempts,
        given_up_at=fact.time,
    )
    return replace(state, pending=_without(state, event.key), dead=(*state.dead, letter)[-DEAD_LIMIT:])


def _retried(state: Outbox, event: NotificationRetried, fact: HappenedFact, status: OutboxStatus) -> Outbox:
    found = state.dead_of(event.key)
    if found is None:
        return state
    queued = QueuedMessage(message=found.message, queued_at=fact.time)
    dead = tuple(one for one in state.dead if one.message.key != event.key)
    return replace(state, pending=(*state.pending, queued), dead=dead)


_EVOLVERS: Mapping[type[Event], Evolve[Outbox]] = MappingProxyType(
    {
        NotificationQueued: _queued,
        NotificationSent: _sent,
        NotificationGivenUp: _given_up,
        NotificationRetried: _retried,
    }
)

OUTBOX = Aggregate(name="outbox", state=Outbox, statuses=OutboxStatus, table=_TABLE, evolvers=_EVOLVERS)
