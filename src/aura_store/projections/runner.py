"""Runner: keeps read models at the end of the log, exactly once per event, whatever is killed when.

    page of events ──► states ──► rows      (no transaction: the log's writers need SQLite's lock)
                                   │
                                   ▼
    BEGIN · lock positions · where we thought? ──► rows + positions ──► COMMIT
                                   └── no ──► ROLLBACK, look again

A rebuild folds the log into temporary tables, which only its own connection sees and which vanish with it, and puts
them in place of the old rows in one transaction. So readers see all of the old model or all of the new one, a rebuild
that is killed leaves nothing behind, and the lock is held for the copying alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
from sqlalchemy import Table

from aura_contracts.errors import LogDamaged, StoreMisconfigured, StoreUnavailable
from aura_contracts.events import EventRecord
from aura_contracts.ports import EventLog
from aura_store.projections import _writing as writing
from aura_store.projections._database import ConnectionLost, Database, Held, RowRefused
from aura_store.projections._writing import Mark, Marks
from aura_store.projections.projector import (
    PROJECTIONS,
    STATES_KEPT,
    Changes,
    Projection,
    ProjectionFailed,
    Projector,
)

BATCH: Final = 1000
"""Events in one transaction: some ten milliseconds of the write lock."""

IDLE_STEPS: Final = 1000
"""Positions without an event for the read models after which the position is stored all the same."""


class ProjectionRunner:
    """Folds one log into the tables of some projections. For one task at a time; several runners may share a database.

    After `StoreUnavailable` or a cancellation it can be used again. What it keeps in memory are states of streams and
    the last known positions, and it looks at the database's before it writes.
    """

    def __init__(
        self,
        log: EventLog,
        database: Database,
        projections: Iterable[Projection] = PROJECTIONS,
        *,
        batch: int = BATCH,
        states_kept: int = STATES_KEPT,
    ) -> None:
        self.log = log
        self.database = database
        self.projections = tuple(projections)
        self.batch = batch
        self._states_kept = states_kept
        self._projector = Projector(log, self.projections, states_kept=states_kept)
        self._topics = frozenset[str]().union(*(each.topics for each in self.projections))
        self._marks: Marks | None = None
        self._scanned = 0
        self._one_at_a_time = anyio.Lock()

    # --- Where it stands ----------------------------------------------------------------------------------------------

    async def positions(self) -> dict[str, int]:
        """Return the stored position of each projection; its rows are the fold of the log up to there."""
        found = await self.database.read(lambda c: writing.read_marks(c, self.projections))
        return {name: mark.position for name, mark in (found or {}).items()}

    async def require_built(self) -> None:
        """Raise `StoreMisconfigured` unless the tables are there as this program defines them."""
        marks = await self.database.read(lambda c: writing.read_marks(c, self.projections))
        if marks is None or any(marks[each.name].schema != each.schema for each in self.projections):
            raise StoreMisconfigured(
                store=self.database.name,
                reason="the read models were not built by this version of AURA",
                remedy="open them once for writing, or fold them in memory with `read_models_as_of`",
            )

    async def build(self) -> None:
        """Build, or build anew, what is not there under this program's schema; see `catch_up` for what it raises."""
        async with self._one_at_a_time:
            await self._built_marks(again=self._marks is not None)

    # --- Catching up --------------------------------------------------------------------------------------------------

    async def catch_up(self, upto: int | None = None) -> int:
        """Fold everything up to position `upto` (None: the log's end as it is now); return the position reached.

        Builds what was never built, and builds anew what another schema built. What is further on stays there.

        Raises `LogDamaged` errors for an event that does not decode or cannot have happened, and `ProjectionFailed` for
        one whose row the database refuses: everything before that event is in the tables then, and nothing after it.
        Raises `StoreMisconfigured` where a newer program has built the tables. Cancelled, it stops between two
        transactions.
        """
        async with self._one_at_a_time:
            return await self._catch_up(upto)

    async def _catch_up(self, upto: int | None) -> int:
        marks = await self._built_marks()
        head = await self.log.head()
        self._require_within(marks, head)
        end = head if upto is None else min(upto, head)
        while self._reached(marks) < end:
            marks = await self._advance(marks, end)
        return self._reached(marks)

    async def fold_until(self, position: int) -> None:
        """Fold the log from its beginning up to exactly `position`, in batches that readers may see: for copies that
        nobody else reads. Raises what `catch_up` raises.
        """
        async with self._one_at_a_time:
            if self._marks is None:
                await self.database.write(lambda c: writing.create_empty(c, self.projections, self.database.name))
                self._marks = await self._stored_marks()
            while self._reached(self._marks) < position:
                self._marks = await self._advance(self._marks, position)

    async def run(self) -> None:
        """Follow the log for ever; cancel it to stop. Outages of the database are waited out, other errors raised."""
        while True:
            try:
                reached = await self.catch_up()
                await self.log.wait(reached)
            except StoreUnavailable:
                await anyio.sleep(1.0)

    def _reached(self, marks: Marks) -> int:
        """Return the position up to which nothing is left to fold; may be ahead of the stored one by idle events."""
        return max(self._scanned, min(mark.position for mark in marks.values()))

    async def _advance(self, marks: Marks, end: int) -> Marks:
        """Fold one batch; return where the projections stand then."""
        limit = self.batch
        while True:
            try:
                return await self._advance_by(limit, marks, end)
            except RowRefused as refused:
                if limit == 1:
                    record = (await self._page(self._reached(marks), 1))[0]
                    raise self._failure(record, refused) from refused
            except LogDamaged:
                if limit == 1:
                    raise
            limit = max(limit // 2, 1)  # go as far as it goes, so that the error is about the very next event

    async def _advance_by(self, limit: int, marks: Marks, end: int) -> Marks:
        after = self._reached(marks)
        records = [record for record in await self._page(after, limit) if record.position <= end]
        position = records[-1].position if len(records) == limit else end
        lowest = min(mark.position for mark in marks.values())
        if records or position - lowest >= IDLE_STEPS:
            changes = await self._changes(records, {name: mark.position for name, mark in marks.items()})
            applied = await self.database.write(
                lambda c: writing.apply_batch(c, self.projections, changes, marks, position)
            )
            if not applied:  # another runner did, or a commit arrived of which nobody was told
                return await self._built_marks(again=True)
            marks = {name: Mark(max(mark.position, position), mark.schema) for name, mark in marks.items()}
        self._marks, self._scanned = marks, position
        return marks

    async def _page(self, after: int, limit: int) -> Sequence[EventRecord]:
        return await self.log.page(after, limit=limit, topics=self._topics)

    async def _changes(
        self, records: Sequence[EventRecord], positions: Mapping[str, int], projector: Projector | None = None
    ) -> Changes:
        projector = projector or self._projector
        await projector.load(records)
        return await anyio.to_thread.run_sync(projector.fold, records, positions)

    # --- Marks --------------------------------------------------------------------------------------------------------

    async def _built_marks(self, *, again: bool = False) -> Marks:
        """Return where the projections stand, having built those that this program's schema did not build."""
        if self._marks is not None and not again:
            return self._marks
        followed, self._marks, self._scanned = self._marks, None, 0
        marks = await self._stored_marks()
        stale = [each for each in self.projections if marks[each.name].schema != each.schema]
        for each in stale:
            self._refuse_newer(each, marks[each.name], followed=followed is not None)
        if stale:
            await self._rebuild(stale, force=False)
            marks = await self._stored_marks()
        self._marks = marks
        return marks

    async def _stored_marks(self) -> Marks:
        marks = await self.database.read(lambda c: writing.read_marks(c, self.projections))
        if marks is None:
            await self.database.write(lambda c: writing.create_marks(c, self.projections))
            marks = await self.database.read(lambda c: writing.read_marks(c, self.projections))
        assert marks is not None, "rows of positions are never removed"
        return marks

    def _refuse_newer(self, projection: Projection, mark: Mark, *, followed: bool) -> None:
        """Do not fight over tables with a newer program; nor with any that has rebuilt them while we followed."""
        stored = int(mark.schema.partition(":")[0] or 0)
        if stored > projection.version or (followed and mark.schema):
            raise StoreMisconfigured(
                store=self.database.name,
                reason=f"another version of AURA has built {projection.name} (schema {mark.schema},"
                f" this program's is {projection.schema})",
                remedy="end the older of the two programs, or upgrade it",
            )

    def _require_within(self, marks: Marks, head: int) -> None:
        for name, mark in marks.items():
            if mark.position > head:
                raise LogDamaged(
                    store=self.log.name,
                    position=head + 1,
                    reason=f"{name} was folded up to position {mark.position}, but the log ends at {head}",
                )

    def _failure(self, record: EventRecord, refused: RowRefused) -> ProjectionFailed:
        return ProjectionFailed(
            store=self.database.name, position=record.position, stream_id=record.stream_id, reason=str(refused)
        )

    # --- Rebuilding ---------------------------------------------------------------------------------------------------

    async def rebuild(self, names: Iterable[str] | None = None) -> int:
        """Fold the log from its beginning and replace the rows (of projections called `names`; None: of all).

        Readers see the old rows until the new ones are there. Returns the position reached; raises what `catch_up`
        raises, and leaves the old rows as they are then.
        """
        async with self._one_at_a_time:
            await self._stored_marks()
            wanted = [each for each in self.projections if names is None or each.name in set(names)]
            return await self._rebuild(wanted, force=True)

    async def _rebuild(self, projections: Sequence[Projection], *, force: bool) -> int:
        while True:
            try:
                async with self.database.held() as held:
                    return await self._rebuild_on(held, projections, force=force)
            except ConnectionLost:
                continue  # the temporary tables are gone with it
            finally:
                self._marks, self._scanned = None, 0

    async def _rebuild_on(self, held: Held, projections: Sequence[Projection], *, force: bool) -> int:
        number = self.database.next_number()
        shadows = {each.name: writing.shadow_of(each.table, number) for each in projections}
        held.finally_do(lambda c: writing.drop_shadows(c, shadows))
        await held.run(lambda c: writing.create_shadows(c, shadows))
        projector = Projector(self.log, projections, states_kept=self._states_kept)
        position = 0
        while True:
            position = await self._fill(held, projector, shadows, position)
            if not force and await self._is_built(projections):
                return position  # somebody was faster
            swap = partial(
                writing.swap_in, projections=projections, shadows=shadows, position=position, store=self.database.name
            )
            if await held.run(swap, begin="BEGIN IMMEDIATE"):
                return position

    async def _fill(self, held: Held, projector: Projector, shadows: Mapping[str, Table], after: int) -> int:
        """Fold the log after position `after` into `shadows`; return the position reached, the log's end."""
        head = await self.log.head()
        topics = frozenset[str]().union(*(each.topics for each in self.projections if each.name in shadows))
        while after < head:
            records = await self.log.page(after, limit=self.batch, topics=topics)
            changes = await self._changes(records, dict.fromkeys(shadows, after), projector)
            try:
                await held.run(partial(writing.put_rows, tables=shadows, changes=changes))
            except RowRefused as refused:
                raise await self._found_failure(held, projector, shadows, records) from refused
            after = records[-1].position if len(records) == self.batch else max(head, *_ends(records))
        return after

    async def _found_failure(
        self, held: Held, projector: Projector, shadows: Mapping[str, Table], records: Sequence[EventRecord]
    ) -> ProjectionFailed:
        """Return the error that names the first of `records` whose rows the database refuses."""
        for record in records:
            changes = await self._changes([record], dict.fromkeys(shadows, 0), projector)
            try:
                await held.run(partial(writing.put_rows, tables=shadows, changes=changes))
            except RowRefused as refused:
                return self._failure(record, refused)
        return self._failure(records[-1], RowRefused("the database refused a row of this batch"))

    async def _is_built(self, projections: Sequence[Projection]) -> bool:
        marks = await self._stored_marks()
        return all(marks[each.name].schema == each.schema for each in projections)


def _ends(records: Sequence[EventRecord]) -> tuple[int, ...]:
    return (records[-1].position,) if records else ()
