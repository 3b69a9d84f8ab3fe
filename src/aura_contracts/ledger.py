"""Ledger: the log's book about itself, one stream of a fixed id in every log.

Checkpoints (the Merkle root over all events so far) and outages (the database was away) are events like any others, so
they are sealed, tailed and projected like any others. Written by `aura_store`, which is why its commands are decided
there and not in the engine.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec.structs import replace

from aura_contracts.aggregate import Aggregate, Evolve, HappenedFact, State, Table
from aura_contracts.events import Event, Instant
from aura_contracts.ids import StreamId

LEDGER_ID: StreamId = "00000000-0000-7000-8000-000000000000"
"""The stream of the ledger, the same in every log."""


class LedgerStatus(StrEnum):
    OPEN = "open"


class Checkpointed(Event, frozen=True, kw_only=True):
    """An auditor sealed the log up to a position; the root, kept elsewhere, proves the log was not rewritten since."""

    topic = "ledger.checkpointed"
    upto: int
    root: str


class OutageEnded(Event, frozen=True, kw_only=True):
    """The database was away for so long that callers were told, and is back."""

    topic = "ledger.outage_ended"
    began_at: Instant
    reason: str
    attempts: int
    refused: int


class Ledger(State, frozen=True, kw_only=True):
    """What the log knows about itself."""

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

LEDGER = Aggregate(name="ledger", state=Ledger, statuses=LedgerStatus, table=_TABLE, evolvers=_EVOLVERS, commands=())
