"""Stats: what window is looked at."""

from datetime import UTC, date, datetime, timedelta

import pytest

from aura_contracts.errors import InvalidInput

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


@pytest.mark.parametrize("until", [timedelta(days=10), date.max, datetime.max.replace(tzinfo=UTC)])
async def test_time_that_has_not_passed_counts_in_no_metric(opened, until):
    async with opened(record_only=True) as engine:
        clock = engine._core.bus.clock
        await engine.tasks.create("Write it")
        earliest = clock()
        given = earliest + until if isinstance(until, timedelta) else until
        found = await engine.stats.get(since=earliest - 10 * DAY, until=given)
        alone = await engine.stats.get(until=given)
        assert earliest <= found.until <= alone.until <= clock()
        assert found.created_per_day == pytest.approx(1 / ((found.until - found.since) / DAY))
        assert found.days[-1].day == found.until.date()
        assert alone.until - alone.since == 30 * DAY


async def test_a_window_that_has_not_begun_is_refused(opened):
    async with opened(record_only=True) as engine:
        now = engine._core.bus.clock()
        with pytest.raises(InvalidInput) as refused:
            await engine.stats.get(since=now + DAY, until=now + 2 * DAY)
        assert refused.value.field == "since"


async def test_a_window_that_has_passed_ends_where_it_was_asked_to(opened):
    async with opened(record_only=True) as engine:
        end = engine._core.bus.clock() - DAY
        found = await engine.stats.get(since=end - DAY, until=end)
        assert (found.since, found.until, found.created) == (end - DAY, end, 0)
