"""Event stream: selects the events of a task or a run, and follows a task."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing

import anyio

from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import ExecutionQueued
from aura_contracts.ids import StreamId, TaskId, output_stream
from aura_contracts.lease import LeaseGranted
from aura_contracts.output import OutputRecorded
from aura_contracts.ports import EventLog
from aura_engine.runtime.follower import unwrap_group
from aura_engine.runtime.views import lease_of, workspace_of

PAGE = 8
"""Events per read: one event of output may hold a megabyte, and the reader may be slow."""


_VALUES = ("question", "spec", "layout")
"""Fields of events that hold the value an aggregate begins with."""


def named_in(event: Event, field: str) -> object:
    """Return the value of `field` in an event, or in the value that its aggregate begins with; or None."""
    holders = (event, *(getattr(event, name, None) for name in _VALUES))
    return next((found for one in holders if (found := getattr(one, field, None)) is not None), None)


class Concern:
    """Selects the events that concern a thing: those of its own streams, those that name it, and all of the streams
    that
    begin with its name, such as the approvals of a task."""

    def __init__(self, field: str, ident: str, streams: Sequence[StreamId] = ()) -> None:
        self._field = field
        self._ident = ident
        self._streams = {ident, *streams}

    def admits(self, record: EventRecord) -> bool:
        """Whether an event concerns the thing. Call it for every event, in order."""
        if self._field and named_in(record.event, self._field) == self._ident:
            if record.version == 1:
                self._streams.add(record.stream_id)
            return True
        return record.stream_id in self._streams


class Membership:
    """Selects the events of a task, output included. Learns the task's streams from the events themselves."""

    def __init__(self, task_id: TaskId, known: Iterable[StreamId] = ()) -> None:
        self._task_id = task_id
        self._streams: set[StreamId] = {task_id, workspace_of(task_id), *known}

    def has(self, record: EventRecord) -> bool:
        """Whether `record` is about the task. Call it for every event, in the order of the log."""
        event = record.event
        if record.stream_id not in self._streams:
            if not self._is_named_in(event):
                return False
            if not event.topic.startswith("agent."):  # an agent also works on other tasks
                self._streams.add(record.stream_id)
        if isinstance(event, ExecutionQueued):
            self._streams |= {lease_of(event.execution_id), output_stream(event.execution_id)}
        return True

    def _is_named_in(self, event: Event) -> bool:
        if isinstance(event, LeaseGranted):
            return False  # known by its execution
        return named_in(event, "task_id") == self._task_id


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
    members = Membership(task_id, known)
    doubt = True
    while True:
        stirred = activity()
        async with aclosing(log.read(after, page_size=PAGE)) as records:
            async for record in records:
                after = record.position
                observe(record)
                if members.has(record):
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
