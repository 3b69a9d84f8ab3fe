"""Looking things up in the log: ids by their beginnings, aggregates by the topics of their events."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from aura_cli._errors import AmbiguousId, NoSuchId
from aura_contracts.aggregate import Aggregate
from aura_contracts.aggregates import AGGREGATES
from aura_contracts.catalogue import split_label
from aura_contracts.errors import InvalidId
from aura_contracts.events import SealedRow
from aura_contracts.ids import StreamId, parse_id
from aura_contracts.ports import EventLog

AGGREGATE_OF: Mapping[str, Aggregate[Any]] = {
    event.topic: aggregate for aggregate in AGGREGATES for event in aggregate.events
}
"""The aggregate whose life an event is part of, by the event's topic."""

CANDIDATES = 10
"""Ids that are named when the beginning of one is not enough."""


async def find_id(log: EventLog, text: str, kind: str = "") -> StreamId:
    """Return the id that `text` is or begins; with `kind` (``"task"``) only of that kind of aggregate.

    Raises `NoSuchId`, `AmbiguousId`, and `InvalidId` for what begins no id.
    """
    try:
        wanted = parse_id(text)
    except InvalidId:
        return await _find_prefix(log, text, kind)
    rows = await log.sealed_stream(wanted, upto=1)
    if not rows or not _is_a(rows[0], kind):
        raise NoSuchId(kind=kind or "id", id=text)
    return wanted


async def _find_prefix(log: EventLog, text: str, kind: str) -> StreamId:
    digits = text.lower().replace("-", "")
    if not digits or digits.strip("0123456789abcdef"):
        raise InvalidId(field=kind or "id", value=text, remedy="give an id of the log or its first digits")
    found = [
        row.stream_id
        async for row in _first_rows(log)
        if row.stream_id.replace("-", "").startswith(digits) and _is_a(row, kind)
    ]
    if not found:
        raise NoSuchId(kind=kind or "id", id=text)
    if len(found) > 1:
        shown = found[:CANDIDATES] + ["..."] * (len(found) > CANDIDATES)
        raise AmbiguousId(prefix=text, candidates=tuple(shown))
    return found[0]


async def _first_rows(log: EventLog) -> AsyncIterator[SealedRow]:
    """Yield the first event of every stream, as stored: nothing is decoded."""
    after = 0
    while rows := await log.sealed_page(after):
        for row in rows:
            if row.version == 1:
                yield row
        after = rows[-1].position


def _is_a(row: SealedRow, kind: str) -> bool:
    aggregate = AGGREGATE_OF.get(split_label(row.topic)[0])
    return not kind or (aggregate is not None and aggregate.name == kind)


async def aggregate_of(log: EventLog, stream_id: StreamId) -> Aggregate[Any]:
    """Return what kind of thing a stream is about. Raises `NoSuchId` where this program does not know."""
    rows = await log.sealed_stream(stream_id, upto=1)
    aggregate = AGGREGATE_OF.get(split_label(rows[0].topic)[0]) if rows else None
    if aggregate is None:
        raise NoSuchId(kind="aggregate", id=stream_id)
    return aggregate
