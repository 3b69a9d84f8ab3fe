"""Orders: the tasks that steps of workflows need, and who makes them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import attrs

from aura_contracts.ids import TaskId
from aura_contracts.task import AgentType, Priority
from aura_engine.unit_of_work import UnitOfWork

WORKFLOW_KEY = "workflow"
"""The key in a task's context under which the workflow and the step are that it is for."""

Add = Callable[[UnitOfWork], Awaitable[object]]
"""Adds what was prepared to a unit of work."""


@attrs.frozen(kw_only=True)
class TaskOrder:
    """A task that a step needs."""

    task_id: TaskId
    text: str
    """What the agent is to do, or the script for ``sh -c``."""
    title: str
    options: Mapping[str, Any]
    """As `Engine.run` names them; without ``executor`` an agent of the pool does it."""
    context: Mapping[str, Any]
    """The workflow and the step that the task is for."""
    on_behalf_of: str | None
    """The name of the human who started the workflow."""
    is_command: bool = False
    agent_type: AgentType | None = None
    requires_approval: bool = False
    locks: tuple[str, ...] = ()
    priority: Priority | None = None


class StepTasks(Protocol):
    """Makes the tasks of steps, as `Engine.run` and the pool make others."""

    async def prepare(self, order: TaskOrder) -> Add:
        """Look up everything that the task needs, and return what adds it, ready to run, to a unit of AURA.

        Raises `InvalidInput`, `UnknownExecutor`, `GitError` and others for an order that cannot be carried out.
        """
        ...

    async def cancel(self, unit: UnitOfWork, task_id: TaskId, reason: str) -> None:
        """Add the end of a task that has not ended to a unit, with that of its parts."""
        ...
