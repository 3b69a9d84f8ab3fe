"""Read models: opening them, keeping them current, looking into the past.

async with open_log(url) as log, open_read_models(log) as models:
    await models.catch_up()
    page = await models.tasks(status="awaiting_approval")
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, Final

import attrs

from aura_contracts.errors import InvalidInput, require_aware
from aura_contracts.ports import EventLog
from aura_store._open import open_log
from aura_store.history import Moment
from aura_store.projections._checking import LISTED, CheckReport, Comparison, RowDifference, check_read_models
from aura_store.projections._database import Database, database_of, memory_database
from aura_store.projections.projector import PROJECTIONS, Projection
from aura_store.projections.queries import Queries
from aura_store.projections.runner import ProjectionRunner


class ReadModels(Queries):
    """The read models of a log: the queries, and what keeps them current. Made by `open_read_models`.

    Queries answer from the tables as they are; `catch_up` first to see what was just appended.
    """

    def __init__(self, runner: ProjectionRunner) -> None:
        super().__init__(runner.database)
        self._runner = runner

    async def catch_up(self, upto: int | None = None) -> int:
        """Fold the log into the tables; see `ProjectionRunner.catch_up`."""
        return await self._runner.catch_up(upto)

    async def run(self) -> None:
        """Follow the log until cancelled; see `ProjectionRunner.run`."""
        await self._runner.run()

    async def rebuild(self, names: Iterable[str] | None = None) -> int:
        """Fold the log from its beginning and replace what the tables hold; see `ProjectionRunner.rebuild`."""
        return await self._runner.rebuild(names)

    async def check(self, *, listed: int = LISTED) -> CheckReport:
        """Compare tables and snapshots with a fresh fold of the log; see `check_read_models`."""
        return await check_read_models(self._runner, listed=listed)

    async def positions(self) -> dict[str, int]:
        """Return how far each projection has come, as stored with its rows."""
        return await self._runner.positions()


@asynccontextmanager
async def open_read_models(
    log: EventLog | str,
    *,
    database: Database | None = None,
    projections: Iterable[Projection] = PROJECTIONS,
    read_only: bool = False,
    **log_options: Any,
) -> AsyncIterator[ReadModels]:
    """Open the read models of a log, in the log's own database, and build them if this program's are not there.

    `log` is an open log, or the URL of one that is opened (with `log_options`, as for `open_log`) and closed with them.
    `database` puts them elsewhere. Those of an encrypted log, and of a log without a database, are in memory. Opened
    `read_only` they answer queries and write nothing.

    Raises what `open_log` raises; `StoreMisconfigured` when a newer program built them, when somebody else's tables are
    in the way, or when they are opened `read_only` and not built; and what `ProjectionRunner.catch_up` raises.
    """
    async with AsyncExitStack() as stack:
        if isinstance(log, str):
            log = await stack.enter_async_context(open_log(log, read_only=read_only, **log_options))
        home = database or await database_of(log, read_only=read_only)
        if database is None:
            stack.push_async_callback(home.aclose)
        runner = ProjectionRunner(log, home, projections)
        if read_only and not home.is_private:
            await runner.require_built()
        else:
            await runner.build()
        yield ReadModels(runner)


# --- The past ---------------------------------------------------------------------------------------------------------


class PastModels(Queries):
    """Read models as they were: the same queries. Made by `read_models_as_of`."""

    def __init__(self, database: Database, position: int) -> None:
        super().__init__(database)
        self.position: Final = position
        """The last event that is in them."""


@asynccontextmanager
async def read_models_as_of(log: EventLog, at: Moment) -> AsyncIterator[PastModels]:
    """Fold the log up to a position or an instant, into memory, and offer the queries on that.

    As of an instant means: the log as it stood before the first event recorded after that instant. Raises
    `InvalidInput` for a position below 0 or beyond the end, `NaiveDatetime`, and what `ProjectionRunner.catch_up`
    raises.
    """
    position = await position_at(log, at)
    async with _folded(log, position) as database:
        yield PastModels(database, position)


async def position_at(log: EventLog, at: Moment) -> int:
    """Return the position of the last event that a moment knows; 0 if it knows none."""
    if isinstance(at, datetime):
        require_aware(at, "at")
        position = 0
        while records := await log.page(position):
            later = next((record for record in records if record.time > at), None)
            if later is not None:
                return later.position - 1
            position = records[-1].position
        return position
    head = await log.head()
    if not 0 <= at <= head:
        reason = f"{at} is not a position of the log, which ends at {head}"
        raise InvalidInput(field="at", reason=reason, remedy=f"give a position from 0 to {head}, or a time")
    return at


@asynccontextmanager
async def _folded(log: EventLog, position: int) -> AsyncIterator[Database]:
    database = memory_database(f"{log.name} as of position {position}")
    try:
        await ProjectionRunner(log, database).fold_until(position)
        yield database
    finally:
        await database.aclose()


@attrs.frozen(kw_only=True)
class ModelsDiff:
    """What changed in the read models between two positions, row by row, field by field."""

    before: int
    after: int
    differences: tuple[RowDifference, ...]


async def diff_read_models(log: EventLog, before: Moment, after: Moment) -> ModelsDiff:
    """Return the rows added, removed and changed between two moments, table by table. Raises as `read_models_as_of`."""
    first, last = await position_at(log, before), await position_at(log, after)
    async with _folded(log, first) as old, _folded(log, last) as new:

        def compare() -> tuple[RowDifference, ...]:
            return old.do(
                lambda one: new.do(
                    lambda two: tuple(Comparison(one, two, ("removed", "added", "changed")).all(PROJECTIONS))
                )
            )

        return ModelsDiff(before=first, after=last, differences=await old.patiently(compare))
