"""World: what a driver of workflows works with, and the changes that it records."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

import attrs

from aura_contracts.aggregate import Aggregate, Command, State
from aura_contracts.ids import StreamId, TaskId, WorkflowId
from aura_engine.orchestration.library import Library
from aura_engine.orchestration.orders import Add, StepTasks
from aura_engine.runtime.context import Runtime
from aura_engine.unit_of_work import UnitOfWork

S = TypeVar("S", bound=State)


class StepDrivers(Protocol):
    """Has driven what steps start; the follower."""

    def take_on_part(self, task_id: TaskId) -> None:
        """Drive a task, or work on the queue until it has an agent."""

    def take_on_soon(self, task_id: TaskId) -> None:
        """Drive a task, even if it has ended and is only to be cleaned up."""

    def take_on_workflow(self, workflow_id: WorkflowId) -> None:
        """Drive a sub-workflow."""


@attrs.define
class OnceDrivers:
    """Has each task and sub-workflow driven once, however often it is asked for: a driver asks at each look."""

    _drivers: StepDrivers
    _asked: set[tuple[str, str]] = attrs.field(factory=set)

    def take_on_part(self, task_id: TaskId) -> None:
        if self._is_first("part", task_id):
            self._drivers.take_on_part(task_id)

    def take_on_soon(self, task_id: TaskId) -> None:
        if self._is_first("task", task_id):
            self._drivers.take_on_soon(task_id)

    def take_on_workflow(self, workflow_id: WorkflowId) -> None:
        if self._is_first("workflow", workflow_id):
            self._drivers.take_on_workflow(workflow_id)

    def _is_first(self, kind: str, asked: str) -> bool:
        first = (kind, asked) not in self._asked
        self._asked.add((kind, asked))
        return first


@attrs.frozen
class StepWorld:
    """The services of the drivers of workflows."""

    runtime: Runtime
    tasks: StepTasks
    library: Library
    drivers: StepDrivers


class LoadState(Protocol):
    """Returns the state of an aggregate, None if it does not exist, and wakes the driver when it changes."""

    def __call__(self, aggregate: Aggregate[S], aggregate_id: StreamId, /) -> Awaitable[S | None]: ...


@attrs.frozen
class WorldChange:
    """What will be recorded about a step."""

    step_id: str
    add: Add
    begins: Callable[[], None] | None = None
    """Has driven what the step starts, once it is recorded; None: it starts nothing."""


def report(workflow_id: WorkflowId, *commands: Command[Any]) -> Add:
    """Return what adds commands of a workflow to a unit of work."""

    async def add(unit: UnitOfWork) -> None:
        for command in commands:
            await unit.handle(workflow_id, command)

    return add
