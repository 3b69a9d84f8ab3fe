"""Usage: the tokens that runs consumed, summed exactly, and their cost by a price table.

    sums = await usage_of(log)                              # by replay of the log
    sums = await models.usage()                             # the same, from the read models
    for line in cost_of(sums, read_prices(), by=UsageKey.MODEL):
        print(line.id, line.cost)

Sums are kept by execution, session, model and day (UTC), and priced on demand. As the price of a model depends only on
its name and the day, this is exact, and another table gives other costs for the same log.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from typing import Final

import attrs
import msgspec

from aura_contracts.entries import Usage
from aura_contracts.events import EventRecord
from aura_contracts.execution import ExecutionQueued, ExecutionSpec, SessionRecorded, UsageRecorded
from aura_contracts.ids import StreamId, parse_id
from aura_contracts.ports import EventLog
from aura_contracts.ports.archive import UsageCost, UsageKey
from aura_contracts.ports.rows import UsageSum
from aura_contracts.ports.time_arguments import Moment, is_since, moment_of
from aura_store.pricing._amounts import amounts_of, day_of
from aura_store.pricing._prices import PriceTable, price

# --- Replay -----------------------------------------------------------------------------------------------------------


async def usage_of(log: EventLog, *, task: str | None = None, since: Moment | None = None) -> tuple[UsageSum, ...]:
    """Fold a log into sums, optionally for one task or since a moment.

    `since` is a position, exclusive, or a time, inclusive. The log may be read-only: only three types of events are
    read, and nothing is written. Raises `InvalidInput` for an invalid `since` or `task`, and the errors of reading the
    log.
    """
    wanted = None if task is None else parse_id(task, "task")
    first = None if since is None else moment_of(since, "since")
    fold = _Fold()
    topics = [ExecutionQueued.topic, SessionRecorded.topic, UsageRecorded.topic]
    async with aclosing(log.read(topics=topics)) as records:
        async for record in records:
            fold.apply(record, counted=first is None or is_since(record, first))
    return tuple(each for each in fold.sums() if wanted in (None, each.task_id))


class _Fold:
    def __init__(self) -> None:
        self._runs: dict[StreamId, tuple[ExecutionSpec, str | None]] = {}
        self._sums: dict[tuple[date, StreamId, str | None, str], list[int]] = {}

    def apply(self, record: EventRecord, *, counted: bool) -> None:
        """Fold one more event."""
        event, stream = record.event, record.stream_id
        if isinstance(event, ExecutionQueued):
            self._runs[stream] = (event.spec, event.spec.session_id)
        elif isinstance(event, SessionRecorded):
            self._runs[stream] = (self._runs[stream][0], event.session_id)
        elif isinstance(event, UsageRecorded) and counted:
            key = (day_of(record.time), stream, self._runs[stream][1], event.model)
            numbers = (*msgspec.structs.astuple(amounts_of(event.usage)), 1, int(not event.complete))
            before = self._sums.get(key, (0,) * len(numbers))
            self._sums[key] = [one + other for one, other in zip(before, numbers, strict=True)]

    def sums(self) -> list[UsageSum]:
        """Return the sums so far."""
        return sorted((self._sum(*key, *numbers) for key, numbers in self._sums.items()), key=lambda each: each.order)

    def _sum(self, day: date, stream: StreamId, session: str | None, model: str, *numbers: int) -> UsageSum:
        spec = self._runs[stream][0]
        *tokens, nanodollars, reports, incomplete = numbers
        return UsageSum(
            day=day,
            execution_id=stream,
            task_id=spec.task_id,
            agent_id=spec.agent_id,
            executor=spec.executor,
            session_id=session,
            model=model,
            input_tokens=tokens[0],
            output_tokens=tokens[1],
            cache_read_tokens=tokens[2],
            cache_write_tokens=tokens[3],
            reported_nanodollars=nanodollars,
            reports=reports,
            incomplete=incomplete,
        )


# --- Costs ------------------------------------------------------------------------------------------------------------


_KEYS: Final[dict[UsageKey, Callable[[UsageSum], str]]] = {
    UsageKey.RUN: lambda each: each.execution_id,
    UsageKey.SESSION: lambda each: each.session_id or "",
    UsageKey.TASK: lambda each: each.task_id,
    UsageKey.AGENT: lambda each: each.agent_id or each.executor,
    UsageKey.MODEL: lambda each: each.model,
    UsageKey.DAY: lambda each: each.day.isoformat(),
}


def cost_of(sums: Iterable[UsageSum], prices: PriceTable, *, by: UsageKey = UsageKey.TASK) -> tuple[UsageCost, ...]:
    """Price `sums` and add them up, in the order of their first day. Pure."""
    priced = _priced(sorted(sums, key=lambda each: each.order), prices)
    groups: dict[str, list[_Priced]] = {}
    for each in priced:
        groups.setdefault(_KEYS[by](each.sum), []).append(each)
    return tuple(_added_up(key, group) for key, group in groups.items())


@attrs.frozen
class _Priced:
    sum: UsageSum
    cost: Decimal
    known: bool


def _priced(sums: Sequence[UsageSum], prices: PriceTable) -> list[_Priced]:
    """Price each sum.

    A report of a cost alone, without model and tokens, is how some agents report a whole run at its end. It counts as
    the cost of the run only if no tokens of the run have a price; otherwise they would be paid for twice.
    """
    found = [(each, price(each.tokens, each.model, each.day, prices)) for each in sums]
    paid = {each.execution_id for each, cost in found if cost is not None and each.tokens != Usage()}
    return [_with_cost(each, cost, paid=each.execution_id in paid) for each, cost in found]


def _with_cost(each: UsageSum, cost: Decimal | None, *, paid: bool) -> _Priced:
    if cost is not None:
        return _Priced(each, cost, known=True)
    if each.tokens != Usage():
        return _Priced(each, each.reported, known=False)
    return _Priced(each, Decimal(0) if paid and not each.model else each.reported, known=True)


def _added_up(key: str, group: Sequence[_Priced]) -> UsageCost:
    sums = [each.sum for each in group]
    return UsageCost(
        id=key,
        input_tokens=sum(each.input_tokens for each in sums),
        output_tokens=sum(each.output_tokens for each in sums),
        cache_read_tokens=sum(each.cache_read_tokens for each in sums),
        cache_write_tokens=sum(each.cache_write_tokens for each in sums),
        cost=sum((each.cost for each in group), Decimal(0)),
        reported=sum((each.reported for each in sums), Decimal(0)),
        unpriced=tuple(sorted({each.sum.model for each in group if not each.known})),
        models=tuple(sorted({each.model for each in sums if each.model})),
        executors=tuple(sorted({each.executor for each in sums})),
        task_ids=tuple(sorted({each.task_id for each in sums})),
        first_day=min(each.day for each in sums),
        last_day=max(each.day for each in sums),
        reports=sum(each.reports for each in sums),
        incomplete=sum(each.incomplete for each in sums),
    )
