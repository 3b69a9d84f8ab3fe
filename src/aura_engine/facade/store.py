"""Store: the log's database, its contents and the state of its read models."""

from collections.abc import Mapping

import attrs

from aura_contracts.ports.archive import Progress, StoreInfo, StoreReport
from aura_contracts.ports.read_models import QUERIES
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated


@gated
@attrs.frozen
class Store:
    """The store that the engine was opened on."""

    _core: Core

    @property
    def name(self) -> str:
        """The URL, without passwords."""
        return self._core.log.name

    async def get(self, *, on_progress: Progress | None = None) -> StoreInfo:
        """Describe the store: events, aggregates by kind, sizes, and how current its read models are."""
        return await self._core.archive.info(on_progress)

    async def list(self) -> Mapping[str, Mapping[str, int]]:
        """Return the number of rows by kind and status: ``{"tasks": {"completed": 3}}``."""
        counted = {query.table: await self._core.reads.counts(query()) for query in QUERIES if query.has_status}
        return {table: counts for table, counts in counted.items() if counts}

    async def check(self) -> StoreReport:
        """Compare read models and snapshots with the log. Changes nothing."""
        return await self._core.archive.check()

    async def rebuild(self) -> StoreReport:
        """Rebuild the read models from the log and repair snapshots; return a new comparison."""
        await self._core.require_member("store", self._core.log.name, "rebuild")
        return await self._core.archive.rebuild()
