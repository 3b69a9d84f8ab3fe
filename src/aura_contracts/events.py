"""What an event is, and how the log hands it out.

An **event** says what happened, in the past tense, and nothing else. A **fact** is an event with its circumstances:
when, by whom, in which conversation, because of what. A **record** is a fact with its place in the log. Decisions make
events, the engine makes facts of them, the log makes records.
"""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, NamedTuple

import msgspec
from typing_extensions import TypeVar

from aura_contracts.actors import Actor
from aura_contracts.ids import StreamId

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment: a datetime that knows its zone. Events use it for every time; a naive datetime is refused when stored."""


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all events.

    A subclass sets `topic`, a name that is never changed and never used again (``"task.created"``), and raises
    `version` when its fields change in a way that old bytes do not decode to; see `aura_contracts.catalogue` for how
    old versions stay readable. Adding a field with a default is no new version. The first line of a subclass's
    docstring says what the event means: the event catalogue in the documentation is made of it.

    Every field is stored, also when it has its default: an event says all that was so, and a default that is changed
    later does not change what happened before. ``gc=False``: events hold JSON values, which cannot form cycles, and a
    replay makes millions of them.
    """

    topic: ClassVar[str]
    version: ClassVar[int] = 1


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event with its circumstances. This is what is stored, as a JSON array in this order.

    `time` is aware. `correlation_id` is shared by all that follows from one request; `causation_id` is the id of the
    command that led to this event, which makes a retried append recognisable.
    """

    event: Event
    time: Instant
    actor: Actor
    correlation_id: str
    causation_id: str


E_co = TypeVar("E_co", bound=Event, covariant=True, default=Event)


class EventRecord(msgspec.Struct, Generic[E_co], frozen=True, gc=False):
    """A fact at its place in the log; `EventRecord[TaskCompleted]` where the type of its event is known.

    `position` counts from 1 over the whole log without gaps; `version` counts from 1 within the stream without gaps.
    Offers the attributes of `Fact` as its own, so that whatever folds facts folds records.
    """

    position: int
    stream_id: StreamId
    version: int
    event: E_co
    time: Instant
    actor: Actor
    correlation_id: str
    causation_id: str


class SealedRow(NamedTuple):
    """A row of the log as stored, with its seals: what an auditor reads, without needing the encryption key.

    `state` is the stored bytes (perhaps compressed, perhaps encrypted); `previous` is the digest of the event before
    it in its stream (32 zero bytes for the first); `digest` is its own, over everything else in the row.
    """

    position: int
    stream_id: StreamId
    version: int
    topic: str
    state: bytes
    previous: bytes
    digest: bytes


class Append(msgspec.Struct, frozen=True):
    """Facts to add to one stream, decided on its state at `expected_version` (0: the stream must not exist).

    Without facts it only asserts the version: the others of the same append are stored if it still holds.
    """

    stream_id: StreamId
    expected_version: int
    facts: tuple[Fact, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """A state kept to save folding: `data` is the encoded state at `version`, of the shape named by `schema`."""

    stream_id: StreamId
    version: int
    schema: str
    data: bytes


def event_fields(event: Event) -> dict[str, Any]:
    """Return the fields of `event` as JSON-ready values, for people and for ``--json``."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return fields
