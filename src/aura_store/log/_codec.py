"""Codec: facts to bytes and back.

A fact is stored as a JSON array ``[event, time, actor, correlation id, causation id]``, compressed and then encrypted
if the log is opened so; its topic and version stand beside it as a label (``task.created@1``). JSON, because an auditor
can read it with any tool; msgspec, because it decodes a fact in half a microsecond.

What cannot be read back must not be stored: every event is decoded once when it is encoded. That costs as much again
and catches values of the wrong type, naive datetimes and text that no database takes, before they are in the log for
ever.
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
from aura_store.log._decoders import Decoders, FoldedFact, StoredFact
from aura_store.log._recorder import GREATEST, located
from aura_store.log._seal import EncodedAppend

EVENT_LIMIT = 4 * 1024 * 1024
"""Bytes of one event as JSON. Larger content belongs into a file or a git object that the event names."""

_encode = msgspec.json.encode
_UNENCODABLE = (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError)
_UNDECODABLE = (msgspec.MsgspecError, TypeError, ValueError, LookupError, AttributeError, RecursionError)
_KINDS = (msgspec.inspect.Type, msgspec.inspect.Field)
_MISSING_ZONE = re.compile(r"timezone component - at `\$\[(\d)\](.*)`")
_TOPIC = re.compile(r"[\w.-]+?(\.\*)?")
_PLACE = re.compile(r" - at `\$(\[\d\])?\.?(.*)`$")
_COLUMNS = ("event", "time", "actor", "correlation_id", "causation_id")


class Compressor(Protocol):
    """What makes bytes fewer. `eventsourcing`'s compressors are of this shape."""

    def compress(self, data: bytes) -> bytes: ...
    def decompress(self, data: bytes) -> bytes: ...


class Cipher(Protocol):
    """What makes bytes unreadable. `eventsourcing`'s ciphers are of this shape."""

    def encrypt(self, plaintext: bytes) -> bytes: ...
    def decrypt(self, ciphertext: bytes) -> bytes: ...


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
        unpack = self.unpack if compressor or cipher else None
        self._plain = Decoders(catalogue, StoredFact)
        self._stored = Decoders(catalogue, StoredFact, unpack)
        self._folded = Decoders(catalogue, FoldedFact, unpack)

    @property
    def encrypts(self) -> bool:
        """Whether it encrypts what it packs."""
        return self._cipher is not None

    # --- To bytes -----------------------------------------------------------------------------------------------------

    def encode_append(self, append: Append) -> EncodedAppend:
        """Return `append` with its facts encoded.

        Raises `InvalidId` or `InvalidInput` for a stream id or expected version that is none, and as `encode` does.
        """
        if not isinstance(append, Append):
            raise InvalidInput(field="appends", reason=_not_a(append, "an Append"), remedy="wrap the facts in Append")
        stream_id, expected, facts = append.stream_id, append.expected_version, append.facts
        require_stream_id(stream_id)
        if not isinstance(expected, int) or expected < 0:
            raise InvalidInput(
                field="expected_version",
                reason=f"{expected!r} of stream {stream_id} is not a whole number from 0",
                remedy="give the version that the decision was made on; 0 means: a new stream",
            )
        if not isinstance(facts, (tuple, list)):
            raise InvalidInput(field="facts", reason=_not_a(facts, "a tuple of facts"), remedy="give a tuple of Fact")
        return EncodedAppend(stream_id, expected, [self.encode(stream_id, to_utc(fact)) for fact in facts])

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
            read_back = self._plain[name](state).event
        except _UNENCODABLE as error:
            raise _refusal(fact, name, error) from error
        if read_back != fact.event or _has_loose_time(type(fact.event)):
            _refuse_unfaithful(fact, name)
            _refuse_changed(fact.event, read_back, name, "event")
        if b"\\" in state and b"\\u0000" in state:  # the first look is quick, and enough for most events
            _refuse_nul(fact, name)
        if len(state) > self._event_limit:
            raise EventTooLarge(field=name, stream_id=stream_id, size=len(state), limit=self._event_limit)
        return name, self.pack(state)

    def pack(self, data: bytes) -> bytes:
        """Return `data` compressed and encrypted, as this log is configured."""
        if self._compressor is not None:
            data = self._compressor.compress(data)
        if self._cipher is not None:
            data = self._cipher.encrypt(data)
        return data

    def unpack(self, data: bytes) -> bytes:
        """Undo `pack`. Raises `ValueError` for what was not packed so."""
        if self._cipher is not None:
            data = self._cipher.decrypt(data)
        if self._compressor is not None:
            try:
                data = self._compressor.decompress(data)
            except zlib.error as error:
                raise ValueError(str(error)) from error
        return data

    # --- From bytes ---------------------------------------------------------------------------------------------------

    def label_prefixes(self, topics: Collection[str]) -> tuple[str, ...]:
        """Return what the labels of events of `topics` begin with, in whatever version; nothing for no topics.

        A topic is one event type (``task.created``) or all of an aggregate (``task.*``). Raises `InvalidInput` for
        topics that no event can have.
        """
        if isinstance(topics, str):
            raise InvalidInput(field="topics", reason="a text is not a collection of topics", remedy="give a list")
        prefixes = []
        for topic in topics:
            if not isinstance(topic, str) or not _TOPIC.fullmatch(topic):
                remedy = "such as 'task.created', or 'task.*' for all events of tasks"
                raise InvalidInput(field="topics", reason=f"{topic!r} is not a topic", remedy=remedy)
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

    def facts(self, rows: Iterable[tuple[str, bytes]]) -> list[FoldedFact[Any]] | None:
        """Decode ``(label, state)`` rows of one stream: the fast path of every replay.

        Returns None when any of them does not decode, for `records` to find out where and why.
        """
        decoders = self._folded
        try:
            return [decoders[name](state) for name, state in rows]
        except (LogDamaged, *_UNDECODABLE):
            return None

    def records(self, rows: list[tuple[int, StreamId, int, str, bytes]]) -> list[EventRecord]:
        """Decode ``(position, stream, version, label, state)`` rows of the log. Raises as `decode` does."""
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
    """Say which field of `fact` cannot be stored, and why."""
    if isinstance(error, UnicodeEncodeError):
        field = next((path for path, text in _texts(fact) if not _encodable(text)), name)
        return InvalidText(field=f"{name} {field}", reason="holds half of a surrogate pair, which is not a character")
    if found := _MISSING_ZONE.search(str(error)):
        return NaiveDatetime(field=f"{name} {_COLUMNS[int(found[1])]}{found[2]}")
    place = _PLACE.search(str(error))
    column = _COLUMNS[int(place[1][1:-1])] if place and place[1] else ""
    field = " ".join(part for part in (name, ".".join(filter(None, (column, place[2] if place else "")))) if part)
    return InvalidInput(field=field, reason=_PLACE.sub("", str(error)), remedy="give a value of the field's type")


def _refuse_nul(fact: Fact, name: str) -> None:
    for path, text in _texts(fact):
        if "\0" in text:
            raise InvalidText(field=f"{name} {path}", reason="holds a NUL character, which databases cannot store")


def _refuse_unfaithful(fact: Fact, name: str) -> None:
    """Refuse what JSON takes and gives back as something else: times without a zone, numbers that are none."""
    for path, value in _leaves(fact):
        if isinstance(value, datetime) and value.utcoffset() is None:
            raise NaiveDatetime(field=f"{name} {path}")
        if isinstance(value, float) and not isfinite(value):
            raise InvalidInput(
                field=f"{name} {path}",
                reason=f"{value} is not a number in JSON",
                remedy="give a finite number, or None",
            )


def _refuse_changed(value: Any, read_back: Any, name: str, path: str) -> None:
    """Refuse what would come back as something else: bytes, sets, numbers as keys. Tuples may come back as lists."""
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
            reason=f"{_shortened(value)} would be read back as {_shortened(read_back)}",
            remedy="give texts, numbers, true, false, None, lists, and dicts with texts as keys",
        )


def _shortened(value: Any, limit: int = 100) -> str:
    text = repr(value)
    return f"{text[: limit - 1]}…" if len(text) > limit else text


@cache
def _has_loose_time(event_type: type[Event]) -> bool:
    """Whether a field may be a datetime without a zone: decoding would give it back as it was, and not notice."""
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


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text inside `value` with the path to it, keys of mappings included."""
    return ((place, leaf) for place, leaf in _leaves(value, path) if isinstance(leaf, str))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield everything inside `value` that holds nothing else, with the path to it; keys of mappings included."""
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
    """Raise `InvalidInput` for a position, version or limit that is none."""
    for field, number in numbers.items():
        least = 1 if field == "limit" else 0
        if number is not None and not (isinstance(number, int) and least <= number <= GREATEST):
            reason = f"{number!r} is not a whole number from {least} to {GREATEST}"
            raise InvalidInput(
                field=field, reason=reason, remedy="positions and versions count from 1, 0 is before all"
            )


def to_utc(fact: Fact) -> Fact:
    """Return `fact` with its time in UTC, so that stored times compare as text.

    Raises `NaiveDatetime`, and `InvalidInput` for what is no fact or has no time that UTC can express.
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
        remedy = "give a time between the years 1 and 9999 in UTC"
        raise InvalidInput(field="time", reason=f"{time} does not exist in UTC", remedy=remedy) from error
