"""Seals: what makes a stored event evident, and the plan of a commit. Pure.

The digest of an event covers the digest of the event before it in its stream, its position in the log, its stream, its
version, its topic and its bytes as stored:

    digest = SHA-256(previous ‖ position ‖ version ‖ len(stream) ‖ len(topic) ‖ stream ‖ topic ‖ state)

with integers big-endian (8, 8, 2 and 2 bytes). So no event can be altered, moved within the log or to another stream,
or taken out of a stream, without its own or its successor's digest being wrong. Nothing needs to be decrypted to check
it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from aura_contracts.errors import LogDamaged, StoreError, VersionConflict
from aura_contracts.events import SealedRow
from aura_contracts.ids import StreamId

GENESIS = bytes(32)
"""The digest before the first event of a stream."""

_numbers = Struct(">QQHH").pack


def seal(previous: bytes, position: int, version: int, stream_id: str, topic: str, state: bytes) -> bytes:
    """Return the digest of an event (32 bytes)."""
    stream, label = stream_id.encode(), topic.encode()
    return sha256(
        b"".join((previous, _numbers(position, version, len(stream), len(label)), stream, label, state))
    ).digest()


class Tip(NamedTuple):
    """The last event of a stream; version 0 for a stream that does not exist."""

    version: int
    digest: bytes


NO_STREAM = Tip(0, GENESIS)


class EncodedAppend(NamedTuple):
    """Encoded events for one stream. `expected_version` None means: whatever the version is."""

    stream_id: StreamId
    expected_version: int | None
    events: Sequence[tuple[str, bytes]]
    """Label and bytes of each event."""


class Plan(NamedTuple):
    """What a commit will do: rows to insert, and for each command the position it ends at or why it is refused."""

    rows: list[SealedRow]
    outcomes: list[int | StoreError]
    tips: dict[StreamId, Tip]
    """The tips of all streams that got rows."""

    @property
    def head(self) -> int:
        """The position of the last planned row; 0 if there is none."""
        return self.rows[-1].position if self.rows else 0


def plan_commit(head: int, tip_of: Callable[[StreamId], Tip], commands: Iterable[Sequence[EncodedAppend]]) -> Plan:
    """Lay out the events of all `commands` after position `head`.

    A command whose streams are not at their expected versions, or end with an event that is damaged, is refused alone;
    the others are laid out as if it had never come. Commands see the streams as those before them leave them.
    """
    rows: list[SealedRow] = []
    outcomes: list[int | StoreError] = []
    tips: dict[StreamId, Tip] = {}
    for appends in commands:
        before = {append.stream_id: tips.get(append.stream_id) or tip_of(append.stream_id) for append in appends}
        if refusal := _first_damage(before) or _first_conflict(appends, before):
            outcomes.append(refusal)
            continue
        for stream_id, _, events in appends:
            version, previous = tips.get(stream_id) or before[stream_id]
            for topic, state in events:
                head += 1
                version += 1
                digest = seal(previous, head, version, stream_id, topic, state)
                rows.append(SealedRow(head, stream_id, version, topic, state, previous, digest))
                previous = digest
            tips[stream_id] = Tip(version, previous)
        outcomes.append(head)
    return Plan(rows, outcomes, tips)


def _first_conflict(appends: Sequence[EncodedAppend], before: Mapping[StreamId, Tip]) -> VersionConflict | None:
    """Check appends of one command in order; a stream named twice is expected where the first append leaves it."""
    ahead: dict[StreamId, int] = {}
    for stream_id, expected, events in appends:
        version = ahead.get(stream_id, before[stream_id].version)
        if expected is not None and expected != version:
            return VersionConflict(stream_id=stream_id, expected=expected, actual=version)
        ahead[stream_id] = version + len(events)
    return None


def _first_damage(before: Mapping[StreamId, Tip]) -> LogDamaged | None:
    """Look for a last event whose columns are not of the types that were stored: nothing can be sealed to it."""
    for stream_id, (version, digest) in before.items():
        if not isinstance(version, int) or not isinstance(digest, bytes) or len(digest) != len(GENESIS):
            reason = f"the last event of the stream (version {version}) is damaged"
            return LogDamaged(stream_id=stream_id, reason=reason)
    return None
