"""Events, facts and records: the units of the log.

An **event** says what happened, in the past tense, and nothing else. A **fact** is an event with its circumstances:
when, by whom, in which conversation and why. A **record** is a fact with its place in the log. Decisions produce
events, the engine turns them into facts, and the log turns those into records.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, Self

import msgspec
from typing_extensions import TypeVar

from aura_contracts.actors import Actor
from aura_contracts.errors import InvalidInput
from aura_contracts.ids import StreamId
from aura_contracts.plain_data import Plain

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time-zone-aware datetime. Events use it for every time; naive datetimes cannot be stored."""


_CLASSES: "dict[str, type[Event]]" = {}
"""By topic, the event types defined so far; `aura_contracts.catalogue` imports all of AURA's."""


class Event(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """Base of all events.

    A subclass sets `topic`, a name that is never changed or reused (``"task.created"``), and increases `version` when
    its fields change so that old bytes no longer decode; `aura_contracts.catalogue` explains how old versions stay
    readable. Adding a field with a default does not need a new version. The first line of a subclass's docstring says
    what the event means, and becomes its entry in the documented event catalogue.

    Every field is stored, even one with its default value, so that changing a default later does not rewrite history.
    ``gc=False`` is safe because events hold JSON values, which cannot form cycles, and it pays because a replay creates
    millions of events.
    """

    topic: ClassVar[str]
    version: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "topic" in vars(cls):
            _CLASSES.setdefault(cls.topic, cls)

    def as_dict(self) -> dict[str, Any]:
        """Return the topic and the fields as JSON-ready values."""
        return {"topic": self.topic, **msgspec.to_builtins(self)}

    @classmethod
    def _of(cls, fields: Any, kind: Any) -> Self:
        """Return the event; of the class that its topic names if `cls` does not say which."""
        return super()._of(fields, kind if hasattr(cls, "topic") else _class_of(fields))


class CommandRefusal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A command that an actor was not allowed to give, and the rule that forbids it."""

    command: str
    by: Actor
    rule: str
    reason: str


class Fact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An event with its circumstances, stored as a JSON array in this order.

    `time` is aware. `correlation_id` is shared by everything that follows from one request. `causation_id` is the id of
    the command that led to the event, which makes a retried append recognisable.
    """

    event: Event
    time: Instant
    actor: Actor
    correlation_id: str
    causation_id: str


E_co = TypeVar("E_co", bound=Event, covariant=True, default=Event)


class EventRecord(msgspec.Struct, Plain, Generic[E_co], frozen=True, gc=False):
    """A fact at its place in the log; `EventRecord[TaskCompleted]` if the event's type is known.

    `position` counts from 1 over the whole log, `version` from 1 within the stream, both without gaps. A record has the
    attributes of `Fact`, so code that folds facts also folds records.
    """

    position: int
    stream_id: StreamId
    version: int
    event: E_co
    time: Instant
    actor: Actor
    correlation_id: str
    causation_id: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values; the event's topic is among its own."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return {**fields, "event": self.event.as_dict()}

    @classmethod
    def _of(cls, fields: Any, kind: Any) -> Self:  # noqa: ARG003 - the topic says more
        """Return the record, with an event of the class that its topic names."""
        return super()._of(fields, EventRecord[_class_of(fields.get("event", {}))])  # type: ignore[misc]  # a class


class SealedRow(NamedTuple):
    """A row of the log as stored, with its seals. Auditors can read it without the encryption key.

    `state` is the stored bytes (possibly compressed and encrypted). `previous` is the digest of the event before it in
    its stream (32 zero bytes for the first). `digest` is its own, over everything else in the row.
    """

    position: int
    stream_id: StreamId
    version: int
    topic: str
    state: bytes
    previous: bytes
    digest: bytes


class Append(msgspec.Struct, frozen=True):
    """Facts to add to a stream, based on its state at `expected_version` (0: the stream must not exist).

    Without facts it only asserts the version; the other streams of the same append are stored if it still holds.
    """

    stream_id: StreamId
    expected_version: int
    facts: tuple[Fact, ...] = ()


class Snapshot(msgspec.Struct, frozen=True):
    """A cached state that saves folding. `data` is the encoded state at `version`; `schema` names its shape."""

    stream_id: StreamId
    version: int
    schema: str
    data: bytes


def event_fields(event: Event) -> dict[str, Any]:
    """Return the fields of `event` as JSON-ready values, for people and for ``--json``."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return fields


def _class_of(fields: Mapping[str, Any]) -> type[Event]:
    """Return the class of the event that a dictionary holds, among all that were imported."""
    topic = fields.get("topic")
    found = _CLASSES.get(topic) if isinstance(topic, str) else None
    if found is None:
        remedy = "give a dictionary from as_dict, and import the module of an event type of your own"
        raise InvalidInput(field="topic", reason=f"{topic!r} is not a type of event", remedy=remedy)
    return found
