"""Events: reading and following the log."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import attrs

from aura_contracts.catalogue import AGGREGATES
from aura_contracts.errors import AggregateNotFound, InvalidInput
from aura_contracts.events import EventRecord
from aura_contracts.execution import EXECUTION
from aura_contracts.ids import StreamId, TaskId
from aura_contracts.lock_table import LOCK_TABLE_ID
from aura_contracts.ports.time_arguments import Moment, is_since, moment_of
from aura_engine.facade.arguments import Limit
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.runtime.views import EventSelector, start_of
from aura_engine.unit_of_work import not_found


@gated
@attrs.frozen
class Events:
    """All events, in the order of the log. Positions count from 1."""

    _core: Core

    async def get(self, position: int) -> EventRecord:
        """Return the event at a position. Raises `AggregateNotFound` beyond the end of the log."""
        records = await self._core.log.page(position - 1, limit=1) if position > 0 else ()
        if not records:
            raise not_found("event", str(position))
        return records[0]

    async def head(self) -> int:
        """Return the position of the last event, 0 for an empty log."""
        return await self._core.log.head()

    async def list(
        self,
        *,
        task: str | None = None,
        execution: str | None = None,
        stream: str | None = None,
        types: Sequence[str] = (),
        since: Moment = 0,
        limit: Limit = 1000,
    ) -> Sequence[EventRecord]:
        """Return up to `limit` events (at least 1) since a moment; see `read` for it and for the filters."""
        found: list[EventRecord] = []
        reading = self.read(task=task, execution=execution, stream=stream, types=types, since=since)
        async with aclosing(reading) as records:
            async for record in records:
                found.append(record)
                if len(found) == limit:
                    break
        return found

    async def read(
        self,
        *,
        task: str | None = None,
        execution: str | None = None,
        stream: str | None = None,
        types: Sequence[str] = (),
        since: Moment = 0,
        follow: bool = False,
    ) -> AsyncGenerator[EventRecord, None]:
        """Yield the events after position `since`, or from a time on; with `follow`, also those recorded later.

        `task` selects the events of a task, its workspace, its approvals and its runs, as `Run.events` does;
        `execution` those of a run, its lease and its output; `stream` those of one aggregate. Ids may be shortened.
        `types` are topics (``task.created``) or aggregates (``task``). Raises `InvalidInput` for an unknown type.
        """
        topics, log = topics_of(types), self._core.log
        first = moment_of(since, "since")
        after = first if isinstance(first, int) else 0
        stream_id = None if stream is None else await self._stream(stream)
        selectors: list[EventSelector] = []
        task_id = None
        if execution is not None:
            run = await self._core.load(EXECUTION, execution)
            task_id = run.task_id
            selectors.append(EventSelector.execution(run.id))
        if task is not None:
            task_id = TaskId(await self._core.find("task", task))
            selectors.append(EventSelector.task(task_id))
        reading = log.tail if follow else log.read
        if task_id is None:
            source = reading(after, topics=topics, stream_id=stream_id)
        else:  # an approval names its task, and a run is named, only in events that may come before `since`
            source = reading(await start_of(log, task_id))
        async with aclosing(source) as records:
            async for record in records:
                admitted = all([selector.admits(record) for selector in selectors])  # noqa: C419 - each has to see it
                selected = stream_id in (None, record.stream_id) and (not topics or record.event.topic in topics)
                if admitted and selected and is_since(record, first):
                    yield record

    async def _stream(self, text: str) -> StreamId:
        """Return the id of a stream; one that nothing lists, such as the lock table, has to be named in full."""
        try:
            return await self._core.find("", text, "stream")
        except AggregateNotFound:
            if len(text) == len(LOCK_TABLE_ID) and await self._core.log.facts(text, upto=1):
                return text
            raise


def topics_of(types: Sequence[str]) -> frozenset[str]:
    """Expand names of topics and aggregates to topics. Raises `InvalidInput` for an unknown name."""
    known = {event.topic: aggregate.name for aggregate in AGGREGATES for event in aggregate.events}
    topics: set[str] = set()
    for name in types:
        meant = {topic for topic, aggregate in known.items() if name in (topic, aggregate)}
        if not meant:
            remedy = f"give one of {', '.join(sorted(set(known.values())))}, or a type such as task.created"
            raise InvalidInput(field="type", reason=f"{name!r} is not a type of event", remedy=remedy)
        topics |= meant
    return frozenset(topics)
