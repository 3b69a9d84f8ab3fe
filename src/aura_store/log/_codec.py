"""Codec: facts to bytes and back.

A fact is stored as a JSON array ``[event, time, actor, correlation id, causation id]``, optionally compressed and then
encrypted. Its topic and version are stored alongside it as a label (``task.created@1``). JSON, because auditors can
read it with any tool; msgspec, because it decodes a fact in half a microsecond.

Anything that cannot be read back must not be stored, so every event is decoded once when it is encoded. This doubles
the cost, and catches values of the wrong type, naive datetimes and text that no database accepts, before they are in
the log forever.
"""

import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from math import isfinite
from typing import Any, Protocol

import msgspec
import msgspec.inspect

from aura_contracts.catalogue import EventCatalogue, label
from aura_contracts.errors import (
    EventTooLarge,
    InvalidId,
    InvalidInput,
    InvalidText,
    LogDamaged,
    NaiveDatetime,
    UndecodableEvent,
    UnknownEventType,
)
from aura_contracts.events import Append, Event, EventRecord, Fact
from aura_contracts.ids import StreamId, is_canonical_id
from aura_contracts.quoting import cut, is_unicode
from aura_store.log._decoders import Decoders, FoldedFact, StoredFact
from aura_store.log._recorder import GREATEST, FactRow, located
from aura_store.log._seal import EncodedAppend

EVENT_LIMIT = 4 * 1024 * 1024
"""Bytes of one event as JSON. Larger content belongs in a file or a git object that the event names."""

_encode = msgspec.json.encode
_UNENCODABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)
_UNDECODABLE = (msgspec.MsgspecError, TypeError, ValueError, LookupError, AttributeError, RecursionError)
_KINDS = (msgspec.inspect.Type, msgspec.inspect.Field)
_MISSING_ZONE = re.compile(r"timezone component - at `\$\[(\d)\](.*)`")
_TOPIC = re.compile(r"[\w.-]+?(\.\*)?")
_PLACE = re.compile(r" - at `\$(\[\d\])?\.?(.*)`$")
_COLUMNS = ("event", "time", "actor", "correlation_id", "causation_id")


class Compressor(Protocol):
    """Compresses bytes. `eventsourcing`'s compressors have this interface."""

    def compress(self, data: bytes) -> bytes: ...
    def decompress(self, data: bytes) -> bytes: ...


class Cipher(Protocol):
    """Encrypts bytes. `eventsourcing`'s ciphers have this interface."""

    def encrypt(self, plaintext: bytes) -> bytes: ...
    def decrypt(self, ciphertext: bytes) -> bytes: ...


class FactCodec:
    """Encodes and decodes facts, for one catalogue of event types."""

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
        self._groups = {f"{topic[:at]}.*" for topic in catalogue.types for at, each in enumerate(topic) if each == "."}
        unpack = self.unpack if compressor or cipher else None
        self._plain = Decoders(catalogue, StoredFact)
        self._stored = Decoders(catalogue, StoredFact, unpack)
        self._folded = Decoders(catalogue, FoldedFact, unpack)

    @property
    def encrypts(self) -> bool:
        """Whether it encrypts."""
        return self._cipher is not None

    # --- Encoding -----------------------------------------------------------------------------------------------------

    def encode_append(self, append: Append) -> EncodedAppend:
        """Return `append` with its facts encoded.

        Raises `InvalidId` or `InvalidInput` for an invalid stream id or expected version, and the errors of `encode`.
        """
        if not isinstance(append, Append):
            raise InvalidInput(field="appends", reason=_not_a(append, "an Append"), remedy="wrap the facts in Append")
        stream_id, expected, facts = append.stream_id, append.expected_version, append.facts
        require_stream_id(stream_id)
        if not isinstance(expected, int) or expected < 0:
            raise InvalidInput(
                field="expected_version",
                reason=f"{expected!r} of stream {stream_id} is not an integer of at least 0",
                remedy="use the version that the decision was based on; 0 for a new stream",
            )
        if not isinstance(facts, (tuple, list)):
            raise InvalidInput(field="facts", reason=_not_a(facts, "a tuple of facts"), remedy="give a tuple of Fact")
        return EncodedAppend(stream_id, expected, [self.encode(stream_id, to_utc(fact)) for fact in facts])

    def encode(self, stream_id: StreamId, fact: Fact) -> tuple[str, bytes]:
        """Return the label and the bytes of `fact`.

        Raises `InvalidInput` (naming the field), `NaiveDatetime`, `InvalidText` or `EventTooLarge` if it cannot be
        stored, and `UnknownEventType` for an event that is not in the catalogue.
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
            read_back = self._plain[name](state).event
        except _UNENCODABLE as error:
            raise _refusal(fact, name, error) from error
        if read_back != fact.event or _has_loose_time(type(fact.event)):
            _refuse_unfaithful(fact, name)
            _refuse_changed(fact.event, read_back, name, "event")
        if b"\\" in state and b"\\u0000" in state:  # the first test is quick, and enough for most events
            _refuse_nul(fact, name)
        if len(state) > self._event_limit:
            raise EventTooLarge(field=name, stream_id=stream_id, size=len(state), limit=self._event_limit)
        return name, self.pack(state)

    def pack(self, data: bytes) -> bytes:
        """Return `data`, compressed and encrypted as this log is configured."""
        if self._compressor is not None:
            data = self._compressor.compress(data)
        if self._cipher is not None:
            data = self._cipher.encrypt(data)
        return data

    def unpack(self, data: bytes) -> bytes:
        """Undo `pack`. Raises `ValueError` if `data` was not packed like this."""
        if self._cipher is not None:
            data = self._cipher.decrypt(data)
        if self._compressor is not None:
            try:
                data = self._compressor.decompress(data)
            except zlib.error as error:
                raise ValueError(str(error)) from error
        return data

    # --- Decoding -----------------------------------------------------------------------------------------------------

    def label_prefixes(self, topics: Collection[str]) -> tuple[str, ...]:
        """Return the label prefixes of events of `topics`, in any version; none without topics.

        A topic is one event type (``task.created``) or all types of an aggregate (``task.*``). Raises `InvalidInput`
        for a topic that no event in the catalogue has: a misspelt one would be waited for forever.
        """
        if isinstance(topics, str):
            raise InvalidInput(field="topics", reason="a string is not a collection of topics", remedy="give a list")
        prefixes = []
        for topic in topics:
            if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
                remedy = "use, for example, 'task.created', or 'task.*' for all task events"
                raise InvalidInput(field="topics", reason=f"{topic!r} is not a topic", remedy=remedy)
            known = self._catalogue.types
            if topic not in known and topic not in self._groups:
                from difflib import get_close_matches  # noqa: PLC0415 - only for mistakes

                near = next(iter(get_close_matches(topic, known, 1)), "task.created")
                remedy = f"use, for example, {near!r}, or 'task.*' for all task events"
                raise InvalidInput(field="topics", reason=f"no event has the topic {topic!r}", remedy=remedy)
            prefixes.append(topic[:-1] if topic.endswith(".*") else f"{topic}@")
        return tuple(prefixes)

    def decode(self, position: int, stream_id: StreamId, name: str, state: bytes) -> StoredFact[Any]:
        """Return the fact stored as `state`. Raises a `LogDamaged` that says where and why."""
        try:
            fact: StoredFact[Any] = self._stored[name](state)
        except LogDamaged as damage:
            raise located(damage, stream_id, position) from None
        except _UNDECODABLE as error:
            raise UndecodableEvent(
                stream_id=stream_id, position=position, topic=name, reason=f"{name} does not decode: {error}"
            ) from error
        return fact

    def facts(self, rows: Iterable[FactRow]) -> list[FoldedFact[Any]] | None:
        """Decode the rows of one stream: the fast path of every replay.

        Returns None if any of them does not decode; `records` then finds out where and why.
        """
        decoders = self._folded
        try:
            return [decoders[name](state) for _, name, state in rows]
        except (LogDamaged, *_UNDECODABLE):
            return None

    def records(self, rows: list[tuple[int, StreamId, int, str, bytes]]) -> list[EventRecord]:
        """Decode ``(position, stream, version, label, state)`` rows of the log. Raises the errors of `decode`."""
        decoders = self._stored
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
        except (LogDamaged, *_UNDECODABLE):
            return [self._record(*row) for row in rows]

    def _record(self, position: int, stream_id: StreamId, version: int, name: str, state: bytes) -> EventRecord:
        fact = self.decode(position, stream_id, name, state)
        return EventRecord(
            position, stream_id, version, fact.event, fact.time, fact.actor, fact.correlation_id, fact.causation_id
        )


# --- Refusals ---------------------------------------------------------------------------------------------------------


def _refusal(fact: Fact, name: str, error: Exception) -> InvalidInput:
    """Return an error that says which field of `fact` cannot be stored, and why."""
    if isinstance(error, UnicodeEncodeError):
        field = next((path for path, text in _texts(fact) if not is_unicode(text)), name)
        return InvalidText(field=f"{name} {field}", reason="holds half of a surrogate pair, which is not a character")
    if found := _MISSING_ZONE.search(str(error)):
        return NaiveDatetime(field=f"{name} {_COLUMNS[int(found[1])]}{found[2]}")
    if isinstance(error, msgspec.ValidationError):  # it was encoded: its values have an end
        for path, value in _leaves(fact):
            if isinstance(value, float) and not isfinite(value):
                return _not_finite(value, name, path)
    place = _PLACE.search(str(error))
    column = _COLUMNS[int(place[1][1:-1])] if place and place[1] else ""
    field = " ".join(part for part in (name, ".".join(filter(None, (column, place[2] if place else "")))) if part)
    return InvalidInput(field=field, reason=_PLACE.sub("", str(error)), remedy="give a value of the field's type")


def _refuse_nul(fact: Fact, name: str) -> None:
    for path, text in _texts(fact):
        if "\0" in text:
            raise InvalidText(field=f"{name} {path}", reason="holds a NUL character, which databases cannot store")


def _refuse_unfaithful(fact: Fact, name: str) -> None:
    """Refuse values that JSON returns as something else: times without a zone, and NaN or infinity."""
    for path, value in _leaves(fact):
        if isinstance(value, datetime) and value.utcoffset() is None:
            raise NaiveDatetime(field=f"{name} {path}")
        if isinstance(value, float) and not isfinite(value):
            raise _not_finite(value, name, path)


def _not_finite(value: float, name: str, path: str) -> InvalidInput:
    reason, remedy = f"{value} is not a number in JSON", "use a finite number, or None where the field permits it"
    return InvalidInput(field=f"{name} {path}", reason=reason, remedy=remedy)


def _refuse_changed(value: Any, read_back: Any, name: str, path: str) -> None:
    """Refuse values that would come back changed: bytes, sets, non-string keys. Tuples may come back as lists."""
    if isinstance(value, msgspec.Struct) and type(value) is type(read_back):
        for field in value.__struct_fields__:
            _refuse_changed(getattr(value, field), getattr(read_back, field), name, f"{path}.{field}")
    elif isinstance(value, dict) and isinstance(read_back, dict) and value.keys() == read_back.keys():
        for key, item in value.items():
            _refuse_changed(item, read_back[key], name, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple) and isinstance(read_back, list | tuple) and len(value) == len(read_back):
        for index, item in enumerate(value):
            _refuse_changed(item, read_back[index], name, f"{path}[{index}]")
    elif value != read_back:
        raise InvalidInput(
            field=f"{name} {path}",
            reason=f"{cut(repr(value), 100)} would be read back as {cut(repr(read_back), 100)}",
            remedy="use strings, numbers, booleans, None, lists, and dicts with string keys",
        )


@cache
def _has_loose_time(event_type: type[Event]) -> bool:
    """Whether a field may be a datetime without a zone, which decoding would not detect."""
    seen: set[type] = set()

    def loose(kind: msgspec.inspect.Type | msgspec.inspect.Field) -> bool:
        if isinstance(kind, msgspec.inspect.DateTimeType):
            return kind.tz is not True
        if isinstance(kind, msgspec.inspect.StructType):
            if kind.cls in seen:
                return False
            seen.add(kind.cls)
        parts = (getattr(kind, name, ()) for name in kind.__struct_fields__)
        inner = (part for item in parts for part in (item if isinstance(item, tuple) else (item,)))
        return any(loose(part) for part in inner if isinstance(part, _KINDS))

    return loose(msgspec.inspect.type_info(event_type))


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string inside `value` with its path, including the keys of mappings."""
    return ((place, leaf) for place, leaf in _leaves(value, path) if isinstance(leaf, str))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf inside `value` with its path, including the keys of mappings."""
    if isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _leaves(getattr(value, name), f"{path}.{name}" if path else name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(key, f"{path} key")
            yield from _leaves(item, f"{path}[{key!r}]")
    elif isinstance(value, list | tuple | set | frozenset):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def _not_a(value: object, expected: str) -> str:
    return f"a {type(value).__name__} is not {expected}"


def require_stream_id(stream_id: StreamId) -> None:
    """Raise `InvalidId` unless `stream_id` is an id exactly as AURA stores it."""
    if not isinstance(stream_id, str) or not is_canonical_id(stream_id):
        raise InvalidId(field="stream_id", value=stream_id)


def require_numbers(**numbers: int | None) -> None:
    """Raise `InvalidInput` for an invalid position, version or limit."""
    for field, number in numbers.items():
        least = 1 if field == "limit" else 0
        if number is not None and not (isinstance(number, int) and least <= number <= GREATEST):
            reason = f"{number!r} is not an integer from {least} to {GREATEST}"
            raise InvalidInput(
                field=field, reason=reason, remedy="positions and versions count from 1, 0 is before the first event"
            )


def to_utc(fact: Fact) -> Fact:
    """Return `fact` with its time in UTC, so that stored times sort as text.

    Raises `NaiveDatetime`, and `InvalidInput` for anything but a fact or for a time that UTC cannot express.
    """
    if not isinstance(fact, Fact):
        raise InvalidInput(field="facts", reason=_not_a(fact, "a Fact"), remedy="wrap the event in Fact")
    time: datetime = fact.time
    if not isinstance(time, datetime):
        raise InvalidInput(field="time", reason=_not_a(time, "a datetime"), remedy="give an aware datetime")
    if time.tzinfo is UTC:
        return fact
    if time.utcoffset() is None:
        raise NaiveDatetime(field="time")
    try:
        return msgspec.structs.replace(fact, time=time.astimezone(UTC))
    except OverflowError as error:
        remedy = "use a time between the years 1 and 9999 in UTC"
        raise InvalidInput(field="time", reason=f"{time} does not exist in UTC", remedy=remedy) from error
