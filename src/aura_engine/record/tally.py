"""Tally: keeps the verdicts up to date with the log, reading only what is new."""

import attrs

from aura_contracts.ports.read_models import ReadModels
from aura_engine.record.verdicts import Verdicts


@attrs.define(eq=False)
class Tally:
    """The verdicts of humans, as far as this process has read. Safe to use from several tasks at once."""

    _reads: ReadModels
    _verdicts: Verdicts = attrs.field(factory=Verdicts, init=False)

    async def current(self) -> Verdicts:
        """Return all verdicts that the log has by now. Raises the errors of the read models."""
        while True:
            since = self._verdicts.position
            counts, upto = await self._reads.verdicts(since=since)
            if self._verdicts.position == since:  # no other task has counted them meanwhile
                self._verdicts.add(counts)
                self._verdicts.position = max(upto, since)
                return self._verdicts
