"""Seals: they make stored events tamper-evident. Also the plan of a commit. Pure.

The digest of an event covers the digest of the previous event in its stream, its position in the log, its stream, its
version, its topic and its bytes as stored:

    digest = SHA-256(previous ‖ position ‖ version ‖ len(stream) ‖ len(topic) ‖ stream ‖ topic ‖ state)

with integers big-endian (8, 8, 2 and 2 bytes). An event can therefore not be altered, moved within the log or to
another stream, or taken out of a stream, without invalidating its own digest or that of its successor. Checking digests
needs no decryption.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from struct import Struct
from typing import NamedTuple

from aura_contracts.errors import LogDamaged, StoreError, VersionConflict
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
    """The last event of a stream; version 0 if the stream does not exist."""

    version: int
    digest: bytes


NO_STREAM = Tip(0, GENESIS)


class EncodedAppend(NamedTuple):
    """Encoded events for one stream. `expected_version` None accepts any version."""

    stream_id: StreamId
    expected_version: int | None
    events: Sequence[tuple[str, bytes]]
    """The label and the bytes of each event."""


Columns = tuple[int, StreamId, int, str, bytes, bytes, bytes]
"""The columns of a `SealedRow`. Naming them costs a fifth of storing them, so new rows are plain tuples."""


class CommitPlan(NamedTuple):
    """The plan of a commit: rows to insert, and for each command the position at which it ends or why it is refused."""

    rows: list[Columns]
    outcomes: list[int | StoreError]
    tips: dict[StreamId, Tip]
    """The tips of all streams that get rows."""

    @property
    def head(self) -> int:
        """The position of the last planned row; 0 without rows."""
        return self.rows[-1][0] if self.rows else 0


def plan_commit(
    head: int, known_tip: Callable[[StreamId], Tip | None], commands: Iterable[Sequence[EncodedAppend]]
) -> CommitPlan:
    """Lay out the events of all `commands` after position `head`. `known_tip` returns None for a stream without events.

    A command is refused if its streams are not at their expected versions, or end with a damaged event; the others are
    laid out as if it had never come. Each command sees the streams as the previous commands leave them.
    """
    rows: list[Columns] = []
    outcomes: list[int | StoreError] = []
    tips: dict[StreamId, Tip] = {}
    for appends in commands:
        if refusal := _refusal(appends, [tips.get(a[0]) or known_tip(a[0]) or NO_STREAM for a in appends]):
            outcomes.append(refusal)
            continue
        for stream_id, _, events in appends:
            version, previous = tips.get(stream_id) or known_tip(stream_id) or NO_STREAM
            for topic, state in events:
                head += 1
                version += 1
                digest = seal(previous, head, version, stream_id, topic, state)
                rows.append((head, stream_id, version, topic, state, previous, digest))
                previous = digest
            tips[stream_id] = Tip(version, previous)
        outcomes.append(head)
    return CommitPlan(rows, outcomes, tips)


def _refusal(appends: Sequence[EncodedAppend], tips: Sequence[Tip]) -> StoreError | None:
    """Check the appends of one command against the tips of their streams.

    A stream named twice is expected where its first append leaves it. A tip whose columns have the wrong types is
    damaged: nothing can be sealed to it.
    """
    ahead: dict[StreamId, int] = {}
    for (stream_id, expected, events), (version, digest) in zip(appends, tips, strict=True):
        if type(version) is not int or type(digest) is not bytes or len(digest) != len(GENESIS):
            reason = f"the last event of the stream (version {version}) is damaged"
            return LogDamaged(stream_id=stream_id, reason=reason)
        reached = ahead.get(stream_id, version)
        if expected is not None and expected != reached:
            return VersionConflict(stream_id=stream_id, expected=expected, actual=reached)
        ahead[stream_id] = reached + len(events)
    return None
