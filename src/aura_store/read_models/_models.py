"""The read models of a log: opened lazily, caught up before each answer, and recreated automatically if they are lost.

Invariants:

- The tables are the fold of exactly the events up to the stored position, without those that follow the damage of a
  stream: see `aura_store.read_models._damage`. Both change in one transaction, which first checks that the position is
  still the one from which the changes were made. So if several processes catch up at once, exactly one applies an
  event, and none applies it twice, no matter what is killed when.
- A query is answered in a transaction that begins after the catch-up it needs. Positions never go back while a database
  is in use, so other processes can only make the answer newer.
- Tables are replaced in one transaction: readers see either all of the old ones or all of the new ones.
- Queries take turns: each `LogReadModels` runs one query, catch-up or rebuild at a time.
- Databases that cannot be used (not writable, or tables under another program's schema while this one runs) are left
  alone; the models continue in the memory of this process, folded from the log.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import anyio

from aura_contracts.aggregate import Aggregate, State
from aura_contracts.errors import LogDamaged, StoreError
from aura_contracts.events import EventRecord
from aura_contracts.ids import StreamId
from aura_contracts.ports import EventLog
from aura_contracts.ports.milestones import AgentSpell, Milestone, MilestoneCount, VerdictCount
from aura_contracts.ports.read_models import Query, ReadModels
from aura_contracts.ports.rows import Match, Page, UsageSum
from aura_contracts.ports.time_arguments import Moment
from aura_store.log._patience import Patience
from aura_store.read_models._damage import DamagedStream, damage_at, first_damaged, is_restored, leave_out
from aura_store.read_models._database import (
    Damaged,
    Database,
    NotWritable,
    RowRefused,
    TablesLost,
    Transaction,
    Unusable,
    memory_database,
)
from aura_store.read_models._fold import (
    Fold,
    Mark,
    create_tables,
    empty_tables,
    find_mark,
    mark_among,
    read_mark,
    schema_version,
    write_mark,
)
from aura_store.read_models._questions import Questions
from aura_store.read_models._rows import TOPICS

R = TypeVar("R")
S = TypeVar("S", bound=State)
T = TypeVar("T")

BATCH: Final = 1000
"""Events in one transaction of a catch-up."""

PATIENT: Final = Patience()

_ATTEMPTS: Final = 4
"""How often a query is retried on a database that had to be repaired or replaced in between."""


class ProjectionFailed(StoreError, code="projection_failed"):
    """The read models are stuck: the database refuses the rows of an event. Nothing was skipped."""

    summary = "the read models of {store} stop at position {position}, {stream_id}: {reason}"
    store: str
    position: int
    stream_id: StreamId
    reason: str
    remedy: str = "run `store.check()`; the log itself is not affected"


class Outdated(Unusable):
    """The tables were made by another program, or from another log, and must be recreated."""


class Rebuild(Unusable):
    """The contents of the tables must not be trusted."""


class Write(Protocol):
    """Does work in a transaction, or in a part of one that can be rolled back separately."""

    async def __call__(self, work: Callable[[Transaction], Mark], /) -> Mark: ...


class LogReadModels(ReadModels):
    """See `ReadModels` for the queries. Created by `open_read_models`."""

    def __init__(
        self,
        log: EventLog,
        database: Database,
        *,
        upto: int | None = None,
        batch: int = BATCH,
        patience: Patience = PATIENT,
    ) -> None:
        """`upto` is the last event to include, None for all; with it, `database` must be private."""
        self.log = log
        self.database = database
        self._upto = upto
        self._batch = batch
        self._patience = patience
        self._give_up = patience.give_up(database.name)
        self._fold = Fold(database, log.name)
        self._mark: Mark | None = None
        """How far the tables were when last seen, under this program's schema; None before that."""
        self._turn = anyio.Lock()
        self._thread = anyio.CapacityLimiter(1)

    # --- Queries ------------------------------------------------------------------------------------------------------

    async def list(self, query: Query[R], *, at_least: int | None = None) -> Page[R]:
        return await self._ask(lambda questions: questions.page(query), at_least)

    async def get(self, aggregate: Aggregate[S], aggregate_id: str) -> S | None:
        found: S | None = await self._ask(lambda questions: questions.get(aggregate.name, aggregate_id))
        return found

    async def find(self, kind: str, text: str, *, limit: int = 10) -> tuple[Match, ...]:
        return await self._ask(lambda questions: questions.find(kind, text, limit))

    async def counts(self, query: Query[Any]) -> Mapping[str, int]:
        return await self._ask(lambda questions: questions.counts(query))

    async def usage(self, *, task: str | None = None, since: Moment | None = None) -> tuple[UsageSum, ...]:
        return await self._ask(lambda questions: questions.usage(task, since))

    async def verdicts(self, *, since: int = 0) -> tuple[tuple[VerdictCount, ...], int]:
        return await self._ask(lambda questions: (questions.verdicts(since), questions.position()))

    async def milestones_of(self, agent: str) -> Mapping[Milestone, int]:
        return await self._ask(lambda questions: questions.milestones_of(agent))

    async def milestone_counts(self, since: datetime, until: datetime) -> tuple[MilestoneCount, ...]:
        return await self._ask(lambda questions: questions.milestone_counts(since, until))

    async def agent_spells(self, since: datetime, until: datetime) -> tuple[AgentSpell, ...]:
        return await self._ask(lambda questions: questions.agent_spells(since, until))

    async def first_damaged(self) -> DamagedStream | None:
        """Return the stream that is left out because of the earliest event that is damaged; None without one."""
        async with self._turn:
            return await self._with_repairs(None, lambda: self.read(first_damaged))

    async def position(self) -> int:
        """Return how far the tables are right now, without catching up; 0 if this program has no tables there."""

        def look(transaction: Transaction) -> int:
            mark = read_mark(transaction)
            return mark.position if mark is not None and mark.schema == schema_version() else 0

        async with self._turn:
            try:
                return await self.read(look)
            except Unusable:
                return 0

    async def _ask(self, question: Callable[[Questions], T], at_least: int | None = None) -> T:
        async with self._turn:
            return await self._with_repairs(
                at_least, lambda: self.read(lambda t: question(Questions(self.database, t)))
            )

    # --- Catching up --------------------------------------------------------------------------------------------------

    async def catch_up(self, at_least: int | None = None) -> int:
        """Fold the log up to position `at_least` (None: its current end) or further; return the position reached.

        Raises `LogDamaged` errors for an event of a newer program, or one that is missing, and `ProjectionFailed` for
        one whose row the database refuses; the tables then hold all before that event, and nothing after it. Leaves
        streams out that are damaged. If cancelled, it stops between two transactions.
        """
        async with self._turn:
            return await self._with_repairs(at_least, self._reached)

    async def rebuild(self) -> int:
        """Fold the log from its start and replace the contents of the tables; return the position reached.

        Raises the errors of `catch_up`.
        """
        async with self._turn:
            await self._repair(Rebuild("it was requested"))
            return await self._with_repairs(None, self._reached)

    async def _reached(self) -> int:
        assert self._mark is not None, "they have been caught up"
        return self._mark.position

    async def _catch_up(self, at_least: int | None) -> None:
        """Bring the tables to `at_least`. Raises `Unusable`."""
        if self._mark is None:
            mark = await self.read(find_mark)
            await self._require_current(mark)
            damaged = await self.read(first_damaged)
            if damaged is not None and await is_restored(self.log, damaged):
                raise Rebuild("what was damaged has been restored")
            self._mark = mark
        end = await self.log.head() if at_least is None else at_least
        await self._advance_to(end if self._upto is None else min(end, self._upto), self._write)

    async def _require_current(self, mark: Mark | None) -> None:
        """Raise `Outdated` unless the tables are this program's, and match the log as it is.

        A log that was restored from a backup, or replaced by another, ends before the position or has another seal
        there.
        """
        if mark is None or mark.schema != schema_version():
            raise Outdated("the tables were made by another version")
        if mark.position:
            found = await self.log.sealed_page(mark.position - 1, limit=1)
            if not found or found[0].position != mark.position or found[0].digest.hex() != mark.digest:
                raise Outdated("the tables were made from another log")

    async def _advance_to(self, end: int, write: "Write") -> None:
        while self._mark is not None and self._mark.position < end:
            self._mark = await self._advance(self._mark, end, write)

    async def _advance(self, mark: Mark, end: int, write: "Write") -> Mark:
        """Fold one batch after `mark`; return the new mark."""
        limit = self._batch
        while True:
            records: Sequence[EventRecord] = ()
            try:
                records, upto = await self._page(mark.position, limit, end)
                return await write(partial(self._apply, mark, records, await self._mark_at(upto)))
            except RowRefused as refused:
                if limit == 1:
                    raise self._refused(next(iter(records)), refused) from refused
            except LogDamaged as damage:
                if limit == 1:
                    return await self._leave_out(mark, damage, end, write)
            limit = max(limit // 2, 1)  # get as far as possible, so that the error is about the very next event

    async def _leave_out(self, mark: Mark, damage: LogDamaged, end: int, write: "Write") -> Mark:
        """Leave out the stream that the next event damages. Raises `damage` if it does not damage one."""
        damaged = await damage_at(self.log, damage)
        if damaged is None:
            raise damage
        if damaged.position > end:
            return await write(partial(self._apply, mark, (), await self._mark_at(end)))
        after = await self._mark_at(damaged.position)
        return await write(partial(self._move, mark, after, partial(leave_out, damaged=damaged)))

    async def _page(self, after: int, limit: int, end: int) -> tuple[Sequence[EventRecord], int]:
        """Return the next records with rows, and the position up to which there are no others."""
        found = await self.log.page(after, limit=limit, topics=TOPICS)
        records = [record for record in found if record.position <= end]
        return records, records[-1].position if len(records) == limit else end

    async def _mark_at(self, position: int) -> Mark:
        found = await self.log.sealed_page(position - 1, limit=1)
        if not found or found[0].position != position:
            raise LogDamaged(store=self.log.name, position=position, reason="the event is missing")
        return Mark(position, found[0].digest.hex(), schema_version())

    def _apply(self, before: Mark, records: Sequence[EventRecord], after: Mark, transaction: Transaction) -> Mark:
        """Write `records` if the tables are still at `before`; return the new mark. Blocking."""
        return self._move(before, after, partial(self._fold.apply, records=records), transaction)

    def _move(self, before: Mark, after: Mark, change: Callable[[Transaction], None], transaction: Transaction) -> Mark:
        """Move the tables from `before`, if they are still there, with a change; return the new mark. Blocking."""
        stored = read_mark(transaction)
        if stored is None:
            raise TablesLost("the table of positions is gone")
        if stored.schema != before.schema:
            raise Outdated("another version has recreated the tables")
        if stored != before:
            return stored  # changed concurrently
        change(transaction)
        write_mark(transaction, after)
        return after

    # --- Repairs ------------------------------------------------------------------------------------------------------

    async def _with_repairs(self, at_least: int | None, then: Callable[[], Awaitable[T]]) -> T:
        """Catch up, then do `then`; repeat after the database was repaired or replaced."""
        for _ in range(_ATTEMPTS):
            try:
                await self._catch_up(at_least)
                return await then()
            except Unusable as why:
                await self._repair(why)
                if at_least is None and self._mark is not None:  # folded up to the end that the log had since the call
                    at_least = self._mark.position
        await self._catch_up(at_least)
        return await then()

    async def _repair(self, why: Unusable) -> None:
        """Make the database usable again, or use one in memory instead."""
        known, self._mark = self._mark, None
        if isinstance(why, TablesLost | Rebuild) or (isinstance(why, Outdated) and known is None):
            try:
                return await self._make_again_patiently(why)
            except (Damaged, NotWritable) as worse:
                why = worse
        if isinstance(why, Damaged) and await self._in_thread(self.database.replace_file):
            return None
        await self._in_thread(self.database.close)
        self.database = memory_database(self.database.name)
        self._fold = Fold(self.database, self.log.name)
        return None

    async def _make_again_patiently(self, why: Unusable) -> None:
        """Make the tables again; begin again when the connection is lost, because its transaction is lost with it."""
        await self._patience.repeat(partial(self._make_again, why), give_up=self._give_up)

    async def _make_again(self, why: Unusable) -> None:
        """Fold the log from its start into new tables, in one transaction. Raises `Unusable`.

        If an event stops the fold, everything before that event is kept, and the error raised.
        """
        transaction = await self._in_thread(lambda: self.database.begin(writing=True))
        try:
            there = await self._once(transaction.table_names)
            if not isinstance(why, Outdated) or not await self._is_current(transaction, there):
                make = create_tables if isinstance(why, TablesLost) else empty_tables
                self._mark = await self._once(lambda: make(transaction, self.database.name, there))
                await self._fold_all(transaction)
            await self._once(self.database.commit)
        except BaseException:
            self._mark = None
            with anyio.CancelScope(shield=True):
                await self._in_thread(self.database.roll_back)
            raise

    async def _fold_all(self, transaction: Transaction) -> None:
        end = await self.log.head() if self._upto is None else self._upto
        try:
            await self._advance_to(end, partial(self._write_part, transaction))
        except (LogDamaged, ProjectionFailed):
            await self._once(self.database.commit)
            raise

    async def _is_current(self, transaction: Transaction, there: Collection[str]) -> bool:
        """Whether another process has made the tables again meanwhile."""
        mark = await self._once(lambda: mark_among(transaction, there))
        try:
            await self._require_current(mark)
        except Outdated:
            return False
        return True

    async def _write_part(self, transaction: Transaction, work: Callable[[Transaction], T]) -> T:
        """Do `work` in a part of a transaction that can be rolled back separately."""

        def part() -> T:
            transaction.execute("SAVEPOINT batch")
            try:
                done = work(transaction)
            except BaseException:
                transaction.execute("ROLLBACK TO SAVEPOINT batch")
                raise
            transaction.execute("RELEASE SAVEPOINT batch")
            return done

        return await self._once(part)

    def _refused(self, record: EventRecord, refused: RowRefused) -> ProjectionFailed:
        return ProjectionFailed(
            store=self.database.name, position=record.position, stream_id=record.stream_id, reason=str(refused)
        )

    # --- The database -------------------------------------------------------------------------------------------------

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in a transaction with a consistent view of the database. Raises `Unusable`."""

        def reading() -> T:
            with self.database.transaction() as transaction:
                return work(transaction)

        return await self._in_thread(reading)

    async def _write(self, work: Callable[[Transaction], Mark]) -> Mark:
        def writing() -> Mark:
            with self.database.transaction(writing=True) as transaction:
                return work(transaction)

        return await self._in_thread(writing)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking `work`; retry while the database is down and patience lasts."""
        return await self._patience.run(work, limiter=self._thread, give_up=self._give_up)

    async def _once(self, work: Callable[[], T]) -> T:
        """Run blocking `work` of an open transaction. Raises `DatabaseAway`."""
        return await anyio.to_thread.run_sync(work, limiter=self._thread)

    async def aclose(self) -> None:
        """Close the database, after answering earlier queries."""
        with anyio.CancelScope(shield=True):
            async with self._turn:
                await self._in_thread(self.database.close)
