"""Archive: operations on a log as a whole, for auditors and the engine: audits, history, costs, maintenance."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.actors import Actor
from aura_contracts.aggregate import Aggregate
from aura_contracts.catalogue import AGGREGATES, split_label
from aura_contracts.errors import AggregateNotFound, InvalidInput, LogDamaged
from aura_contracts.events import EventRecord, SealedRow
from aura_contracts.ids import IdFactory, StreamId
from aura_contracts.ledger import Checkpointed
from aura_contracts.ports import Clock, EventLog, SelfChecking
from aura_contracts.ports.archive import (
    Archive,
    AuditReport,
    Past,
    Progress,
    SealedEvent,
    StoreInfo,
    StoreReport,
    UsageCost,
    UsageKey,
    World,
)
from aura_contracts.ports.rows import UsageSum
from aura_contracts.ports.time_arguments import Moment
from aura_store import _history as history
from aura_store import audit, pricing
from aura_store.read_models import LogReadModels, check_read_models, repair_snapshot

AGGREGATE_OF: Mapping[str, Aggregate[Any]] = {
    event.topic: aggregate for aggregate in AGGREGATES for event in aggregate.events
}
"""The aggregates by the topics of their events."""

_PAGE = 1000


@attrs.frozen(kw_only=True)
class StoreArchive(Archive):
    """The archive of an open log and its read models."""

    _log: EventLog = attrs.field(alias="log")
    _models: LogReadModels = attrs.field(alias="models")
    _clock: Clock = attrs.field(alias="clock")
    _ids: IdFactory = attrs.field(alias="ids")
    _prices: Path | None = attrs.field(default=None, alias="prices")
    """A price file that overrides the built-in prices, if it exists."""
    _path: Path | None = attrs.field(default=None, alias="path")
    """The file of a SQLite store."""
    _compression: str = attrs.field(default="none", alias="compression")
    _encrypted: bool = attrs.field(default=False, alias="encrypted")

    # --- Proof --------------------------------------------------------------------------------------------------------

    async def verify(self, roots: Mapping[int, str], on_progress: Progress | None = None) -> AuditReport:
        """See `Archive.verify`."""
        return await audit.verify(self._log, roots=roots, on_progress=on_progress)

    async def checkpoint(self, actor: Actor) -> Checkpointed:
        """See `Archive.checkpoint`."""
        return await audit.checkpoint(self._log, actor=actor, clock=self._clock, command_id=self._ids())

    async def export(self, since: int, upto: int | None) -> AsyncGenerator[SealedEvent, None]:
        """See `Archive.export`."""
        head = await self._log.head()
        after, last = since, head if upto is None else min(upto, head)
        while after < last and (rows := await self._log.sealed_page(after, limit=min(_PAGE, last - after))):
            records = await self._decoded(after, rows)
            for row in rows:
                if row.position <= last:
                    yield SealedEvent(row, records.get(row.position))
            after = rows[-1].position

    async def _decoded(self, after: int, rows: Sequence[SealedRow]) -> dict[int, EventRecord]:
        """Return the events in these rows by position; those that do not decode are left out."""
        try:
            return {record.position: record for record in await self._log.page(after, limit=len(rows))}
        except LogDamaged:
            if len(rows) == 1:
                return {}
        half = len(rows) // 2
        return await self._decoded(after, rows[:half]) | await self._decoded(rows[half - 1].position, rows[half:])

    # --- The past -----------------------------------------------------------------------------------------------------

    async def past(self, aggregate_id: StreamId, at: Moment | None) -> Past:
        """See `Archive.past`."""
        moment = await self._moment(at)
        rows = await self._log.sealed_stream(aggregate_id, upto=1)
        aggregate = AGGREGATE_OF.get(split_label(rows[0].topic)[0]) if rows else None
        if aggregate is None:
            raise AggregateNotFound(aggregate="aggregate", aggregate_id=aggregate_id, command="replay")
        found = await history.state_at(self._log, aggregate, aggregate_id, moment)
        lines = await history.history(self._log, aggregate, aggregate_id)
        known = tuple(line for line in lines if line.version <= found.version)
        return Past(aggregate.name, aggregate_id, found.state, found.version, known)

    async def world(self, at: Moment | None, on_progress: Progress | None = None) -> World:
        """See `Archive.world`."""
        return await history.world_at(self._log, await self._moment(at), on_progress=on_progress)

    async def _moment(self, at: Moment | None) -> Moment:
        head = await self._log.head()
        if isinstance(at, int) and at > head:
            reason = f"position {at} is past the end of the log at {head}"
            raise InvalidInput(field="at", reason=reason, remedy="use an earlier position, or none for the end")
        return head if at is None else at

    # --- Costs --------------------------------------------------------------------------------------------------------

    async def costs(self, sums: Sequence[UsageSum], by: UsageKey) -> Sequence[UsageCost]:
        """See `Archive.costs`."""
        own = [self._prices] if self._prices is not None and self._prices.is_file() else []
        return pricing.cost_of(sums, pricing.read_prices(*own), by=by)

    # --- The store ----------------------------------------------------------------------------------------------------

    async def info(self, on_progress: Progress | None = None) -> StoreInfo:
        """See `Archive.info`."""
        return StoreInfo(
            name=self._log.name,
            events=await self._log.head(),
            aggregates=await self._counted(on_progress),
            compression=self._compression,
            encryption="aes-gcm" if self._encrypted else "none",
            bytes=self._sizes(),
            read_models=await self._models.position(),
        )

    async def _counted(self, on_progress: Progress | None) -> dict[str, int]:
        """Count aggregates by kind, without decoding anything."""
        counts: Counter[str] = Counter()
        after, head = 0, await self._log.head()
        while rows := await self._log.sealed_page(after):
            for row in rows:
                if row.version == 1:
                    aggregate = AGGREGATE_OF.get(split_label(row.topic)[0])
                    counts["other" if aggregate is None else aggregate.name] += 1
            after = rows[-1].position
            if on_progress is not None:
                on_progress(after, max(head, after))
        return dict(counts.most_common())

    def _sizes(self) -> dict[str, int]:
        if self._path is None:
            return {}
        files = {"file": self._path, "write-ahead": self._path.with_name(f"{self._path.name}-wal")}
        return {name: file.stat().st_size for name, file in files.items() if file.exists()}

    async def damage(self) -> str | None:
        """See `Archive.damage`."""
        wrong = await self._log.check() if isinstance(self._log, SelfChecking) else None
        damaged = await self._models.first_damaged()
        return wrong or (str(damaged) if damaged is not None else None)

    async def check(self) -> StoreReport:
        """See `Archive.check`."""
        return await check_read_models(self._models)

    async def rebuild(self) -> StoreReport:
        """See `Archive.rebuild`. Anything still wrong afterwards is a bug, or damage."""
        await self._models.rebuild()
        report = await self.check()
        for bad in report.bad_snapshots:
            await repair_snapshot(self._log, bad)
        return await self.check() if report.bad_snapshots else report
