"""Decoders: from the bytes of a stored fact to the fact, by label; old versions pass through their upcasters."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from aura_contracts.actors import Actor
from aura_contracts.catalogue import EventCatalogue, Upcaster, split_label
from aura_contracts.errors import NewerEventVersion, UnknownEventType
from aura_contracts.events import Event, Instant
from aura_contracts.first_use import convert, json_decoder

E = TypeVar("E", bound=Event)


class StoredFact(msgspec.Struct, Generic[E], frozen=True, array_like=True, gc=False):
    """A fact whose event type is known; each event type has a decoder for it. Folds like a `Fact`."""

    event: E
    time: Instant
    actor: Actor
    correlation_id: str
    causation_id: str


class FoldedFact(msgspec.Struct, Generic[E], frozen=True, array_like=True, gc=False):
    """The part of a fact that a fold uses. The trailing ids are not even created, which saves a tenth of the time."""

    event: E
    time: Instant
    actor: Actor


Decode = Callable[[bytes], Any]


class Decoders(dict[str, Decode]):
    """Decoders by label (``task.created@1``), created on first use.

    `shape` is the generic struct to decode to; `unpack` undoes compression and encryption (None: nothing to undo). A
    label that is not in the catalogue raises `UnknownEventType` or `NewerEventVersion`, without a position.
    """

    def __init__(self, catalogue: EventCatalogue, shape: Any, unpack: Callable[[bytes], bytes] | None = None) -> None:
        super().__init__()
        self._catalogue = catalogue
        self._shape = shape
        self._unpack = unpack

    def __missing__(self, name: str) -> Decode:
        event_type, version = self._meaning(name)
        shape = self._shape[event_type]
        decode: Decode = json_decoder(shape).decode
        if version < event_type.version:
            ways = [self._catalogue.upcasters[event_type.topic, v] for v in range(version, event_type.version)]
            decode = _upcasting(shape, ways)
        if unpack := self._unpack:
            self[name] = lambda state: decode(unpack(state))
        else:
            self[name] = decode
        return self[name]

    def _meaning(self, name: str) -> tuple[type[Event], int]:
        topic, version = split_label(name)
        event_type = self._catalogue.types.get(topic)
        if event_type is None or version == 0:
            raise UnknownEventType(topic=topic, reason=f"{name!r} is not an event type known to this program")
        if version > event_type.version:
            reason = f"{topic} has version {version}; this program supports versions up to {event_type.version}"
            raise NewerEventVersion(topic=topic, known=event_type.version, found=version, reason=reason)
        return event_type, version


def _upcasting(shape: Any, ways: Sequence[Upcaster]) -> Decode:
    def decode(state: bytes) -> Any:
        fields, *circumstances = msgspec.json.decode(state)
        for way in ways:
            fields = way(fields)
        return convert([fields, *circumstances], shape)

    return decode
