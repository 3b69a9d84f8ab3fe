"""Event stream: selects the events of a task or a run."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Self

from aura_contracts.events import Event, EventRecord
from aura_contracts.execution import ExecutionQueued
from aura_contracts.ids import ExecutionId, StreamId, TaskId, output_stream
from aura_contracts.ports import EventLog
from aura_engine.runtime.views import lease_of, workspace_of

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
