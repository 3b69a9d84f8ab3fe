"""Facts to append, and what the log must show of them afterwards."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import cast
from uuid import UUID

import anyio
import anyio.lowlevel

from aura_contracts.actors import Actor, human
from aura_contracts.errors import AuraError
from aura_contracts.events import Append, Event, EventRecord, Fact, SealedRow
from aura_contracts.ids import StreamId
from aura_contracts.ports import EventLog
from aura_contracts.task import TaskChanges, TaskEdited

NOW = datetime(2026, 1, 4, 12, 0, 0, 123456, tzinfo=UTC)
ALICE = human("alice")


class Unheard(Event, frozen=True, kw_only=True):
    """An event from a foreign catalogue."""

    topic = "conformance.unheard"
    text: str = ""


def stream_id(number: int) -> StreamId:
    """Return the id of stream `number`; different numbers give different streams."""
    return str(UUID(int=0x0192F0C1_2D3E_7ABC_8DEF_000000000000 + number))


def fact(event: Event | str = "", *, time: datetime = NOW, actor: Actor = ALICE, cause: str = "cause") -> Fact:
    """Return a fact; a string stands for an event that contains it."""
    return Fact(
        TaskEdited(changes=TaskChanges(title=event)) if isinstance(event, str) else event, time, actor, "talk", cause
    )


def append(stream: int, expected: int, *events: Event | str) -> Append:
    """Return an append of `events` to stream `stream`."""
    return Append(stream_id(stream), expected, tuple(fact(event) for event in events))


def titles(records: Iterable[EventRecord]) -> list[str | None]:
    """Return the strings of events made from strings."""
    return [cast("TaskEdited", record.event).changes.title for record in records]


def as_fact(record: EventRecord) -> Fact:
    """Return the fact that was appended as `record`."""
    return Fact(record.event, record.time, record.actor, record.correlation_id, record.causation_id)


def digest_of(row: SealedRow) -> bytes:
    """Return the digest that `row` must have, by the formula in `aura_store.log._seal`; deliberately reimplemented."""
    stream, topic = row.stream_id.encode(), row.topic.encode()
    numbers = row.position.to_bytes(8, "big") + row.version.to_bytes(8, "big")
    lengths = len(stream).to_bytes(2, "big") + len(topic).to_bytes(2, "big")
    return sha256(bytes(row.previous) + numbers + lengths + stream + topic + bytes(row.state)).digest()


def assert_sealed(rows: Sequence[SealedRow]) -> None:
    """Assert that `rows`, the whole log, are numbered without gaps and chained within each stream."""
    tips: dict[StreamId, tuple[int, bytes]] = {}
    for position, row in enumerate(rows, 1):
        version, digest = tips.get(row.stream_id, (0, bytes(32)))
        assert (row.position, row.version, bytes(row.previous)) == (position, version + 1, digest)
        assert bytes(row.digest) == digest_of(row)
        tips[row.stream_id] = row.version, bytes(row.digest)


async def everything(log: EventLog) -> list[EventRecord]:
    """Return all events of `log`."""
    return [record async for record in log.read(page_size=97)]


async def everything_sealed(log: EventLog) -> list[SealedRow]:
    """Return all rows of `log`."""
    rows: list[SealedRow] = []
    while more := await log.sealed_page(len(rows), limit=97):
        rows += more
    return rows


async def outcome_of(log: EventLog, *appends: Append) -> int | AuraError:
    """Append; return the position or the error."""
    try:
        return await log.append(*appends)
    except AuraError as error:
        return error


async def refusal_of(log: EventLog, *appends: Append) -> AuraError:
    """Append something that must be refused; return the error."""
    outcome = await outcome_of(log, *appends)
    assert isinstance(outcome, AuraError)
    return outcome


async def together(log: EventLog, commands: Sequence[Sequence[Append]]) -> list[int | AuraError]:
    """Append all `commands` at the same time; return their outcomes."""
    outcomes: dict[int, int | AuraError] = {}

    async def one(number: int) -> None:
        outcomes[number] = await outcome_of(log, *commands[number])

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(len(commands)):
                tasks.start_soon(one, number)
    return [outcomes[number] for number in range(len(commands))]
