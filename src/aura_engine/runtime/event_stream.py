"""Watching: everything that happens about one task, in the order of the log, output included."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing

import anyio

from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import ExecutionQueued
from aura_contracts.ids import StreamId, TaskId, output_stream
from aura_contracts.lease import LeaseGranted
from aura_contracts.output import OutputRecorded
from aura_contracts.ports import EventLog
from aura_engine.runtime.views import lease_of, workspace_of

PAGE = 8
"""Events that are read at a time: one of output may hold a megabyte, and who watches may be slow."""


class Membership:
    """Tells which events are about a task, from the events themselves. Grows with what they name."""

    def __init__(self, task_id: TaskId, known: Iterable[StreamId] = ()) -> None:
        self._task_id = task_id
        self._streams: set[StreamId] = {task_id, workspace_of(task_id), *known}

    def has(self, record: EventRecord) -> bool:
        """Whether `record` is about the task; to be asked about every event in the order of the log."""
        event = record.event
        if record.stream_id not in self._streams:
            if not self._is_named_in(event):
                return False
            if not event.topic.startswith("agent."):  # which goes on with other tasks
                self._streams.add(record.stream_id)
        if isinstance(event, ExecutionQueued):
            self._streams |= {lease_of(event.execution_id), output_stream(event.execution_id)}
        return True

    def _is_named_in(self, event: Event) -> bool:
        if isinstance(event, LeaseGranted):
            return False  # known by its execution
        return getattr(event, "task_id", None) == self._task_id


async def follow(
    log: EventLog,
    task_id: TaskId,
    after: int,
    is_settled: Callable[[], Awaitable[bool]],
    activity: Callable[[], anyio.Event],
    known: Callable[[], Awaitable[Iterable[StreamId]]],
) -> AsyncGenerator[EventRecord, None]:
    """Yield what happens about a task after position `after`, as it does; `known` returns the streams it has by now.

    Ends when all was yielded and `is_settled`; that is asked again after each event that is no output, and when the
    event that `activity` returns is set.
    """
    streams = await known()
    members = Membership(task_id, streams if after else ())
    doubt = True
    while True:
        stirred = activity()
        head = await log.head()
        async with aclosing(log.read(after, upto=head, page_size=PAGE)) as records:
            async for record in records:
                if members.has(record):
                    doubt = doubt or not isinstance(record.event, OutputRecorded)
                    yield record
        after = max(after, head)
        if doubt and await is_settled():
            if await log.head() == after:
                return
            continue
        doubt = await _stirs(log, after, stirred)


async def _stirs(log: EventLog, after: int, stirred: anyio.Event) -> bool:
    """Wait for an event after position `after`, or for `stirred`; return whether it was the latter."""
    async with anyio.create_task_group() as group:

        async def wait() -> None:
            await log.wait(after)
            group.cancel_scope.cancel()

        group.start_soon(wait)
        await stirred.wait()
        group.cancel_scope.cancel()
    return stirred.is_set()
