"""Damage: the streams that cannot be folded to their end.

An event that does not decode, or is not possible, concerns its own stream: no row of another follows from it. So the
stream is left out from there on. Its rows stay as they were before that event, and `find` finds it, so that to load it
raises an error that says where it is damaged.

An event of a newer program does not damage its stream: that program can fold it, so this one stops.
"""

from typing import Final, NamedTuple

from aura_contracts.errors import LogDamaged, NewerEventVersion, UnknownEventType
from aura_contracts.ports import EventLog
from aura_store.read_models import _schema as schema
from aura_store.read_models._database import Transaction
from aura_store.read_models._rows import STATE_TABLES
from aura_store.repository import fold_records

_TABLE: Final = schema.DAMAGED_STREAMS.name


class DamagedStream(NamedTuple):
    """A stream that is left out from `position` on."""

    id: str
    kind: str
    position: int
    reason: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id} is damaged at position {self.position}: {self.reason}"


def damaged_streams(transaction: Transaction) -> set[str]:
    """Return the ids of the streams that are left out."""
    return {stream_id for (stream_id,) in transaction.execute(f"SELECT id FROM {_TABLE}")}


def first_damaged(transaction: Transaction) -> DamagedStream | None:
    """Return the stream that is left out because of the earliest event."""
    found = transaction.execute(f"SELECT id, kind, position, reason FROM {_TABLE} ORDER BY position LIMIT 1")
    return DamagedStream(*found[0]) if found else None


def leave_out(transaction: Transaction, damaged: DamagedStream) -> None:
    """Leave a stream out from now on; one that is left out already stays so because of the earlier event."""
    insert = f"INSERT INTO {_TABLE} (id, kind, position, reason) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
    transaction.execute_many(insert, [damaged])


async def damage_at(log: EventLog, damage: LogDamaged) -> DamagedStream | None:
    """Return the stream that an event damages; None if it does not damage one."""
    if not damage.position or isinstance(damage, NewerEventVersion | UnknownEventType):
        return None
    found = await log.sealed_page(damage.position - 1, limit=1)
    if not found or found[0].position != damage.position:
        return None
    kind = found[0].topic.partition(".")[0]
    return DamagedStream(found[0].stream_id, kind, damage.position, damage.reason)


async def is_restored(log: EventLog, damaged: DamagedStream) -> bool:
    """Whether the events of a stream that was left out can be folded by now."""
    kind = STATE_TABLES.get(damaged.kind)
    if kind is None:
        return False
    try:
        fold_records(log, kind.aggregate, await log.stream(damaged.id))
    except (LogDamaged, ArithmeticError, LookupError, TypeError, ValueError):
        return False
    return True
