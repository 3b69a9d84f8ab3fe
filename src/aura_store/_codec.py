"""Codec: facts to bytes and back.

A fact is stored as a JSON array ``[event, time, actor, correlation id, causation id]``, compressed and then encrypted
if the log is opened so; its topic and version stand beside it as a label (``task.created@1``). JSON, because an auditor
can read it with any tool; msgspec, because it decodes a fact in half a microsecond.

What cannot be read back must not be stored: every event is decoded once when it is encoded. That costs as much again
and catches values of the wrong type, naive datetimes and text that no database takes, before they are in the log for
ever.
"""

import re
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec
from eventsourcing.persistence import Cipher, Compressor

from aura_contracts.actors import Actor
from aura_contracts.catalogue import EventCatalogue, Upcaster, label, split_label
from aura_contracts.errors import (
    EventTooLarge,
    InvalidInput,
    InvalidText,
    NaiveDatetime,
    NewerEventVersion,
    UndecodableEvent,
    UnknownEventType,
)
from aura_contracts.events import Event, EventRecord, Fact, Instant
from aura_contracts.ids import StreamId

EVENT_LIMIT = 4 * 1024 * 1024
"""Bytes of one event as JSON. Larger content belongs into a file or a git object that the event names."""

E = TypeVar("E", bound=Event)


class StoredFact(msgspec.Struct, Generic[E], frozen=True, array_like=True, gc=False):
    """A fact whose event type is known: what a decoder per event type decodes to. Folds like a `Fact`."""

    event: E
    time: Instant
    actor: Actor
    correlation_id: str
    causation_id: str


Decode = Callable[[bytes], StoredFact[Any]]

_encode = msgspec.json.encode
_MISSING_ZONE = re.compile(r"timezone component - at `\$\[(\d)\](.*)`")
_PLACE = re.compile(r" - at `\$(\[\d\])?\.?(.*)`$")
_COLUMNS = ("event", "time", "actor", "correlation_id", "causation_id")


class Codec:
    """Encodes facts for storage and decodes what is stored, for one catalogue of event types."""

    def __init__(
        self,
        catalogue: EventCatalogue,
        *,
        compressor: Compressor | None = None,
        cipher: Cipher | None = None,
        event_limit: int = EVENT_LIMIT,
    ) -> None:
        self._catalogue = catalogue
        self._compressor = compressor
        self._cipher = cipher
        self._event_limit = event_limit
        self._labels = {event_type: label(event_type) for event_type in catalogue.types.values()}
        self._plain: dict[str, Decode] = {
            label(event_type): msgspec.json.Decoder(StoredFact[event_type]).decode  # type: ignore[valid-type]
            for event_type in catalogue.types.values()
        }
        self._decoders = {name: self._unwrapped(decode) for name, decode in self._plain.items()}

    # --- To bytes -----------------------------------------------------------------------------------------------------

    def encode(self, stream_id: StreamId, fact: Fact) -> tuple[str, bytes]:
        """Return label and bytes of `fact`.

        Raises `InvalidInput` (naming the field), `NaiveDatetime`, `InvalidText` or `EventTooLarge` for what cannot be
        stored, `UnknownEventType` for an event that is not in the catalogue.
        """
        try:
            name = self._labels[type(fact.event)]
        except KeyError:
            topic = getattr(type(fact.event), "topic", type(fact.event).__name__)
            raise UnknownEventType(
                stream_id=stream_id,
                topic=topic,
                reason=f"{topic} is not in this log's event catalogue",
                remedy="open the log with a catalogue that has this event type",
            ) from None
        try:
            state = _encode(fact)
            self._plain[name](state)
        except (msgspec.MsgspecError, UnicodeEncodeError, TypeError, ValueError) as error:
            raise _refusal(fact, name, error) from error
        if b"\\u0000" in state:
            _refuse_nul(fact, name)
        if len(state) > self._event_limit:
            raise EventTooLarge(field=name, stream_id=stream_id, size=len(state), limit=self._event_limit)
        if self._compressor is not None:
            state = self._compressor.compress(state)
        if self._cipher is not None:
            state = self._cipher.encrypt(state)
        return name, state

    # --- From bytes ---------------------------------------------------------------------------------------------------

    def labels(self, topics: Collection[str]) -> list[str]:
        """Return every label under which events of `topics` may be stored: all versions up to the known one."""
        found = []
        for topic in topics:
            event_type = self._catalogue.types.get(topic)
            found += [f"{topic}@{version}" for version in range(1, (event_type.version if event_type else 1) + 1)]
        return found

    def decode(self, position: int, stream_id: StreamId, name: str, state: bytes) -> StoredFact[Any]:
        """Return the fact stored as `state`. Raises a `LogDamaged` that says where and why."""
        try:
            return (self._decoders.get(name) or self._find_decoder(position, stream_id, name))(state)
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
            raise UndecodableEvent(
                stream_id=stream_id, position=position, topic=name, reason=f"{name} does not decode: {error}"
            ) from error

    def facts(self, rows: list[tuple[int, str, bytes]], stream_id: StreamId) -> list[StoredFact[Any]]:
        """Decode ``(position, label, state)`` rows of one stream; the fast path of every replay."""
        decoders = self._decoders
        try:
            return [decoders[name](state) for _, name, state in rows]
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError):
            return [self.decode(position, stream_id, name, state) for position, name, state in rows]

    def records(self, rows: list[tuple[int, StreamId, int, str, bytes]]) -> list[EventRecord]:
        """Decode ``(position, stream, version, label, state)`` rows of the log."""
        decoders = self._decoders
        try:
            return [
                EventRecord(
                    position,
                    stream_id,
                    version,
                    (fact := decoders[name](state)).event,
                    fact.time,
                    fact.actor,
                    fact.correlation_id,
                    fact.causation_id,
                )
                for position, stream_id, version, name, state in rows
            ]
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError):
            return [self._record(*row) for row in rows]

    def _record(self, position: int, stream_id: StreamId, version: int, name: str, state: bytes) -> EventRecord:
        fact = self.decode(position, stream_id, name, state)
        return EventRecord(
            position, stream_id, version, fact.event, fact.time, fact.actor, fact.correlation_id, fact.causation_id
        )

    def _find_decoder(self, position: int, stream_id: StreamId, name: str) -> Decode:
        """Return (and remember) the decoder of an old version, or say that the label means nothing to this program."""
        topic, version = split_label(name)
        event_type = self._catalogue.types.get(topic)
        if event_type is None or version == 0:
            reason = f"{name!r} is not an event type that this program knows"
            raise UnknownEventType(stream_id=stream_id, position=position, topic=topic, reason=reason)
        if version > event_type.version:
            raise NewerEventVersion(
                stream_id=stream_id,
                position=position,
                topic=topic,
                known=event_type.version,
                found=version,
                reason=f"{topic} has version {version}; this program knows versions up to {event_type.version}",
            )
        ways = [self._catalogue.upcasters[topic, v] for v in range(version, event_type.version)]
        self._decoders[name] = self._unwrapped(_upcasting(event_type, ways))
        return self._decoders[name]

    def _unwrapped(self, decode: Decode) -> Decode:
        """Return `decode` behind decryption and decompression, as this log is configured."""
        cipher, compressor = self._cipher, self._compressor
        if cipher is not None and compressor is not None:
            return lambda state: decode(compressor.decompress(cipher.decrypt(state)))
        if cipher is not None:
            return lambda state: decode(cipher.decrypt(state))
        if compressor is not None:
            return lambda state: decode(compressor.decompress(state))
        return decode


def _upcasting(event_type: type[Event], ways: list[Upcaster]) -> Decode:
    target = StoredFact[event_type]  # type: ignore[valid-type]

    def decode(state: bytes) -> StoredFact[Any]:
        fields, *circumstances = msgspec.json.decode(state)
        for way in ways:
            fields = way(fields)
        return msgspec.convert([fields, *circumstances], target)

    return decode


# --- Refusals ---------------------------------------------------------------------------------------------------------


def _refusal(fact: Fact, name: str, error: Exception) -> InvalidInput:
    """Say which field of `fact` cannot be stored, and why."""
    if isinstance(error, UnicodeEncodeError):
        field = next((path for path, text in _texts(fact) if not _encodable(text)), name)
        return InvalidText(field=f"{name} {field}", reason="holds half of a surrogate pair, which is not a character")
    if found := _MISSING_ZONE.search(str(error)):
        return NaiveDatetime(field=f"{name} {_COLUMNS[int(found[1])]}{found[2]}")
    place = _PLACE.search(str(error))
    field = f"{name} {place[2]}" if place and place[2] else name
    return InvalidInput(field=field, reason=_PLACE.sub("", str(error)), remedy="give a value of the field's type")


def _refuse_nul(fact: Fact, name: str) -> None:
    for path, text in _texts(fact):
        if "\0" in text:
            raise InvalidText(field=f"{name} {path}", reason="holds a NUL character, which databases cannot store")


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text inside `value` with the path to it, keys of mappings included."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _texts(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key, f"{path} key")
            yield from _texts(item, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _texts(item, f"{path}[{index}]")


def to_utc(fact: Fact) -> Fact:
    """Return `fact` with its time in UTC, so that stored times compare as text. Raises `NaiveDatetime`."""
    time: datetime = fact.time
    if time.tzinfo is UTC:
        return fact
    if time.utcoffset() is None:
        raise NaiveDatetime(field="time")
    return msgspec.structs.replace(fact, time=time.astimezone(UTC))
