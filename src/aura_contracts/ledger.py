"""Ledger: the log's record about itself, one stream with a fixed id in every log.

Checkpoints (the Merkle root over all events so far) and outages (the database was down) are ordinary events, so they
are sealed, tailed and projected like any others. `aura_store` writes them, and therefore decides the commands of this
aggregate, instead of the engine.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec.structs import replace

from aura_contracts.aggregate import Aggregate, Evolve, HappenedFact, State, Table
from aura_contracts.events import Event, Instant
from aura_contracts.ids import StreamId

LEDGER_ID: StreamId = "00000000-0000-7000-8000-000000000000"
"""The id of the ledger's stream, the same in every log."""


class LedgerStatus(StrEnum):
    OPEN = "open"


class Checkpointed(Event, frozen=True, kw_only=True):
    """An auditor sealed the log up to a position; a copy of the root, kept elsewhere, detects any rewriting."""

    topic = "ledger.checkpointed"
    upto: int
    root: str


class OutageEnded(Event, frozen=True, kw_only=True):
    """The database is back after an outage long enough to be reported to callers."""

    topic = "ledger.outage_ended"
    began_at: Instant
    reason: str
    attempts: int
    refused: int


class Ledger(State, frozen=True, kw_only=True):
    """The state of the ledger."""

    id: StreamId
    status: LedgerStatus
    checkpoints: int = 0
    last_checkpoint: int = 0
    last_root: str = ""
    outages: int = 0


_TABLE: Table = MappingProxyType(
    {
        None: {Checkpointed: LedgerStatus.OPEN, OutageEnded: LedgerStatus.OPEN},
        LedgerStatus.OPEN: {Checkpointed: LedgerStatus.OPEN, OutageEnded: LedgerStatus.OPEN},
    }
)


def _checkpointed(state: Ledger | None, event: Checkpointed, fact: HappenedFact, status: LedgerStatus) -> Ledger:
    book = state or Ledger(id=LEDGER_ID, status=status)
    return replace(book, checkpoints=book.checkpoints + 1, last_checkpoint=event.upto, last_root=event.root)


def _outage_ended(state: Ledger | None, event: OutageEnded, fact: HappenedFact, status: LedgerStatus) -> Ledger:
    book = state or Ledger(id=LEDGER_ID, status=status)
    return replace(book, outages=book.outages + 1)


_EVOLVERS: Mapping[type[Event], Evolve[Ledger]] = MappingProxyType(
    {Checkpointed: _checkpointed, OutageEnded: _outage_ended}
)

LEDGER = Aggregate(name="ledger", state=Ledger, statuses=LedgerStatus, table=_TABLE, evolvers=_EVOLVERS)
