"""History: past states, as of a log position or a point in time, and the events that led to them."""

from collections.abc import Sequence

import attrs
import msgspec

from aura_contracts.aggregate import State
from aura_contracts.ledger import LEDGER_ID
from aura_contracts.ports.archive import AggregateChange, Change, Past, Progress, World
from aura_contracts.ports.time_arguments import Moment
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated


@gated
@attrs.frozen
class History:
    """Past states of one aggregate or of all. A moment is a position or an aware datetime; None is now."""

    _core: Core

    async def get(self, aggregate: str, *, at: Moment | None = None) -> Past:
        """Return an aggregate as of a moment, with the events that led to it. Its id may be shortened.

        Raises `AggregateNotFound`, `AmbiguousId`, `InvalidInput` for a moment beyond the end of the log.
        """
        return await self._core.archive.past(await self._find(aggregate), at)

    async def _find(self, text: str) -> str:
        """Return the id of any aggregate; the ledger, which has no row, is found by its first eight digits."""
        if len(text) >= 8 and LEDGER_ID.startswith(text):
            return LEDGER_ID
        return await self._core.find("", text, "aggregate")

    async def list(self, *, at: Moment | None = None, on_progress: Progress | None = None) -> World:
        """Return every aggregate as of a moment. Reads the whole log up to there."""
        return await self._core.archive.world(at, on_progress)

    async def diff(
        self, since: Moment, until: Moment | None = None, *, aggregate: str | None = None
    ) -> Sequence[AggregateChange]:
        """Return the changes between two moments, of one aggregate or of all."""
        archive = self._core.archive
        if aggregate is not None:
            aggregate_id = await self._find(aggregate)
            before, after = await archive.past(aggregate_id, since), await archive.past(aggregate_id, until)
            return _changed(after.aggregate, aggregate_id, before.state, after.state)
        old, new = await archive.world(since), await archive.world(until)
        return [
            change
            for kind in dict.fromkeys([*new.states, *old.states])
            for ident in dict.fromkeys([*new.states.get(kind, {}), *old.states.get(kind, {})])
            for change in _changed(
                kind, ident, old.states.get(kind, {}).get(ident), new.states.get(kind, {}).get(ident)
            )
        ]


def _changed(kind: str, ident: str, before: State | None, after: State | None) -> list[AggregateChange]:
    old = {} if before is None else msgspec.to_builtins(before)
    new = {} if after is None else msgspec.to_builtins(after)
    names = [name for name in dict.fromkeys([*new, *old]) if old.get(name) != new.get(name)]
    changes = tuple(Change(name, old.get(name), new.get(name)) for name in names)
    return [AggregateChange(kind, ident, changes)] if changes else []
