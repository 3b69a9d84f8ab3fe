"""Directory: which tasks there are still things to do for, and which agents there are. Read from the log."""

from collections.abc import Sequence

from aura_contracts.agent import AGENT, Agent, AgentRegistered
from aura_contracts.events import Event
from aura_contracts.ids import ExecutionId, TaskId
from aura_contracts.lease import LeaseClosed, LeaseGranted
from aura_contracts.task import (
    TASK,
    ExecutionStarted,
    TaskAssigned,
    TaskCompleted,
    TaskRetried,
)
from aura_contracts.workspace import WorkspaceRemoved, WorkspaceRequested
from aura_engine.runtime.views import lease_of, workspace_of
from aura_engine.unit_of_work import CommandBus

_READ: tuple[type[Event], ...] = (
    *TASK.endings,
    TaskAssigned,
    TaskRetried,
    ExecutionStarted,
    LeaseGranted,
    LeaseClosed,
    WorkspaceRequested,
    WorkspaceRemoved,
)
_TOPICS = tuple(event.topic for event in _READ)


async def unfinished_tasks(bus: CommandBus) -> Sequence[TaskId]:
    """Return the tasks that had an execution and of which something is not in order yet, the oldest first."""
    last_execution: dict[TaskId, ExecutionId] = {}
    over: dict[TaskId, type] = {}
    leases: set[str] = set()
    workspaces: set[str] = set()
    async for record in bus.log.read(topics=_TOPICS):
        event, stream_id = record.event, record.stream_id
        match event:
            case ExecutionStarted():
                last_execution[TaskId(stream_id)] = event.execution_id
            case TaskAssigned() | TaskRetried():
                over.pop(TaskId(stream_id), None)
            case LeaseGranted():
                leases.add(stream_id)
            case LeaseClosed():
                leases.discard(stream_id)
            case WorkspaceRequested():
                workspaces.add(stream_id)
            case WorkspaceRemoved():
                workspaces.discard(stream_id)
            case _:
                over[TaskId(stream_id)] = type(event)
    return [
        task_id
        for task_id, execution_id in last_execution.items()
        if task_id not in over
        or lease_of(execution_id) in leases
        or (over[task_id] is TaskCompleted and workspace_of(task_id) in workspaces)
    ]


async def agents_of(bus: CommandBus) -> Sequence[Agent]:
    """Return all agents that were ever registered, the oldest first."""
    registered = bus.log.read(topics=[AgentRegistered.topic])
    return [await bus.require(AGENT, record.stream_id) async for record in registered]
