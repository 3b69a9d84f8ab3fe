"""Event stream: selects the events of a task or a run, and follows a task."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from typing import Self

import anyio

from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import ExecutionQueued
from aura_contracts.ids import ExecutionId, StreamId, TaskId, output_stream
from aura_contracts.output import OutputRecorded
from aura_contracts.ports import EventLog
from aura_engine.exception_groups import unwrap_group
from aura_engine.runtime.views import lease_of, workspace_of

PAGE = 8
"""Events per read: one event of output may hold a megabyte, and the reader may be slow."""


_VALUES = ("question", "spec", "layout")
"""Fields of events that hold the value an aggregate begins with."""


class Concern:
    """Selects the events that concern a thing, such as a task: those of its streams, and those that name it.

    A stream whose first event names the thing is one of its streams, such as an approval of a task. Later events that
    name it concern it too, but not the rest of their stream: an agent also works on other tasks. Whatever concerns a
    run of a task concerns the task.
    """

    def __init__(self, names: Iterable[str], streams: Iterable[StreamId]) -> None:
        self._names = set(names)
        self._streams = set(streams)

    @classmethod
    def task(cls, task_id: TaskId, known: Iterable[StreamId] = ()) -> Self:
        """Return the concern of a task, output included; `known` are streams that began before the first event read."""
        return cls([task_id], [task_id, workspace_of(task_id), *known])

    @classmethod
    def execution(cls, execution_id: ExecutionId) -> Self:
        """Return the concern of a run, its lease and its output included."""
        return cls([execution_id], streams_of(execution_id))

    def admits(self, record: EventRecord) -> bool:
        """Whether an event concerns the thing. Call it for every event, in the order of the log."""
        if record.stream_id not in self._streams:
            if self._names.isdisjoint(_named_in(record.event)):
                return False
            if record.version == 1:
                self._streams.add(record.stream_id)
        if isinstance(record.event, ExecutionQueued):
            self._names.add(record.event.execution_id)
        return True


async def start_of(log: EventLog, stream_id: StreamId) -> int:
    """Return the position before the first event of a stream, 0 for an unknown stream."""
    first = await log.sealed_stream(stream_id, upto=1)
    return first[0].position - 1 if first else 0


def streams_of(execution_id: ExecutionId) -> Sequence[StreamId]:
    """Return the streams of a run: its own, its lease's and its output's."""
    return (execution_id, lease_of(execution_id), output_stream(execution_id))


def _named_in(event: Event) -> Iterator[str]:
    """Yield the ids of the task and the run that an event names, itself or in the value its aggregate begins with."""
    for holder in (event, *(getattr(event, name, None) for name in _VALUES)):
        for field in ("task_id", "execution_id"):
            ident = getattr(holder, field, None)
            if ident is not None:
                yield ident


async def follow(
    log: EventLog,
    task_id: TaskId,
    after: int,
    is_over: Callable[[], Awaitable[bool]],
    activity: Callable[[], anyio.Event],
    alarm: Callable[[], Awaitable[None]],
    known: Iterable[StreamId] = (),
    observe: Callable[[EventRecord], None] = lambda _: None,
) -> AsyncGenerator[EventRecord, None]:
    """Yield the events of a task after position `after`, as they are recorded.

    `known` are its streams at that position; none are needed before its first event. Ends when everything was yielded
    and `is_over` returns True; it is called after each event that is not output, when the event that `activity` returns
    is set, and when `alarm` returns, which is cancelled and called again as events come. `observe` is called with every
    event before that, so that the state it feeds is never behind the events that were yielded.
    """
    concern = Concern.task(task_id, known)
    doubt = True
    while True:
        stirred = activity()
        async with aclosing(log.read(after, page_size=PAGE)) as records:
            async for record in records:
                after = record.position
                observe(record)
                if concern.admits(record):
                    doubt = doubt or not isinstance(record.event, OutputRecorded)
                    yield record
        if doubt and await is_over():
            if not await log.page(after, limit=1):
                return
            continue
        doubt = await _stirs(log, after, stirred, alarm)


async def _stirs(log: EventLog, after: int, stirred: anyio.Event, alarm: Callable[[], Awaitable[None]]) -> bool:
    """Wait for an event after position `after`, for `stirred` or `alarm`; return whether it was one of the latter."""
    alarmed = False
    try:
        async with anyio.create_task_group() as group:

            async def wait() -> None:
                await log.wait(after)
                group.cancel_scope.cancel()

            async def wait_for_alarm() -> None:
                nonlocal alarmed
                await alarm()
                alarmed = True
                group.cancel_scope.cancel()

            group.start_soon(wait)
            group.start_soon(wait_for_alarm)
            await stirred.wait()
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        raise unwrap_group(errors) from None
    return alarmed or stirred.is_set()
