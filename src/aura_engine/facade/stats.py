"""Stats: how work went, in numbers."""

from datetime import date, datetime, timedelta

import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.ports.time_arguments import instant_of
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.record.metrics import Metrics, metrics_of

DEFAULT_DAYS = 30
"""The days before now that are looked at without `since`."""

LIMIT_DAYS = 3_660
"""The most days of a window."""


@gated
@attrs.frozen
class Stats:
    """The metrics of the specification, counted by humans' answers and by what ended, from the log alone."""

    _core: Core

    async def get(self, *, since: date | None = None, until: date | None = None) -> Metrics:
        """Return the metrics from `since`, inclusive, to `until`, exclusive: the last 30 days by default.

        The window ends now at the latest, as the `until` of what is returned says: no rate counts time that has not
        passed. A date means its first instant in UTC. A share or mean of nothing is None. Raises `NaiveDatetime` for a
        time without a zone, and `InvalidInput` for a window that is empty, or longer than ten years.
        """
        now = self._core.bus.clock()
        end = now if until is None else min(instant_of(until, "until"), now)
        begin = _default(end) if since is None else instant_of(since, "since")
        if not begin < end:
            reason = f"{begin.isoformat()} is not before the end, {end.isoformat()}"
            raise InvalidInput(field="since", reason=reason, remedy="give an earlier time, or a later end")
        if end - begin > timedelta(days=LIMIT_DAYS):
            reason = f"from {begin.isoformat()} to {end.isoformat()} are more than {LIMIT_DAYS:,} days"
            raise InvalidInput(field="since", reason=reason, remedy="give a later time")
        reads = self._core.reads
        counts = await reads.milestone_counts(begin, end)
        return metrics_of(begin, end, counts, await reads.agent_spells(begin, end))


def _default(end: datetime) -> datetime:
    try:
        return end - timedelta(days=DEFAULT_DAYS)
    except OverflowError:
        remedy = "give since as well"
        raise InvalidInput(field="until", reason=f"nothing is {DEFAULT_DAYS} days earlier", remedy=remedy) from None
