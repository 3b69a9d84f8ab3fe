"""Engine: has coding agents work on tasks, and humans decide about their work; every fact of it is an event.

    from aura_engine import open_engine

    async with open_engine("sqlite:///aura.db") as engine:
        run = await engine.run("Fix the login", executor="claude")
        task = await run.result()

`open_engine_sync` opens the same for code that is not asynchronous. What an embedding program usually names is here;
everything else is in `aura_contracts`: events, commands and states, each aggregate in the module of its name.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aura_contracts.agent import Agent, AgentStatus
    from aura_contracts.approval import Approval, ApprovalKind, ApprovalRequested, ApprovalStatus, Remember
    from aura_contracts.errors import (
        AggregateNotFound,
        AmbiguousId,
        AuraError,
        CommandRefused,
        InvalidInput,
        KeyReused,
        RunCancelled,
        RunFailed,
        StoreError,
        StoreReadOnly,
    )
    from aura_contracts.events import Event, EventRecord
    from aura_contracts.execution import ExecutionStatus
    from aura_contracts.failures import Failure, FailureReason
    from aura_contracts.ids import ApprovalId, TaskId
    from aura_contracts.ports.read_models import Page
    from aura_contracts.task import (
        ApprovalMode,
        Priority,
        RetryPolicy,
        Task,
        TaskCompleted,
        TaskCreated,
        TaskFailed,
        TaskStatus,
    )
    from aura_contracts.workspace import Workspace
    from aura_engine.agent_tools.api import OwnTask
    from aura_engine.blocking import BlockingEngine, BlockingRun, open_engine_sync
    from aura_engine.bootstrap import open_engine, open_own_task
    from aura_engine.facade.doctor import Finding
    from aura_engine.facade.engine import Engine
    from aura_engine.facade.run import Run
    from aura_engine.facade.subscription import Subscription
    from aura_engine.host import Host
    from aura_engine.inputs import RunRequest
    from aura_worker_protocol.messages import ExecutorInfo

__all__ = [
    "Agent",
    "AgentStatus",
    "AggregateNotFound",
    "AmbiguousId",
    "Approval",
    "ApprovalId",
    "ApprovalKind",
    "ApprovalMode",
    "ApprovalRequested",
    "ApprovalStatus",
    "AuraError",
    "BlockingEngine",
    "BlockingRun",
    "CommandRefused",
    "Engine",
    "Event",
    "EventRecord",
    "ExecutionStatus",
    "ExecutorInfo",
    "Failure",
    "FailureReason",
    "Finding",
    "Host",
    "InvalidInput",
    "KeyReused",
    "OwnTask",
    "Page",
    "Priority",
    "Remember",
    "RetryPolicy",
    "Run",
    "RunCancelled",
    "RunFailed",
    "RunRequest",
    "StoreError",
    "StoreReadOnly",
    "Subscription",
    "Task",
    "TaskCompleted",
    "TaskCreated",
    "TaskFailed",
    "TaskId",
    "TaskStatus",
    "Workspace",
    "open_engine",
    "open_engine_sync",
    "open_own_task",
]

_HOMES = {
    "aura_contracts.agent": ("Agent", "AgentStatus"),
    "aura_contracts.approval": ("Approval", "ApprovalKind", "ApprovalRequested", "ApprovalStatus", "Remember"),
    "aura_contracts.errors": (
        "AggregateNotFound",
        "AmbiguousId",
        "AuraError",
        "CommandRefused",
        "InvalidInput",
        "KeyReused",
        "RunCancelled",
        "RunFailed",
        "StoreError",
        "StoreReadOnly",
    ),
    "aura_contracts.events": ("Event", "EventRecord"),
    "aura_contracts.execution": ("ExecutionStatus",),
    "aura_contracts.failures": ("Failure", "FailureReason"),
    "aura_contracts.ids": ("ApprovalId", "TaskId"),
    "aura_contracts.ports.read_models": ("Page",),
    "aura_contracts.task": (
        "ApprovalMode",
        "Priority",
        "RetryPolicy",
        "Task",
        "TaskCompleted",
        "TaskCreated",
        "TaskFailed",
        "TaskStatus",
    ),
    "aura_contracts.workspace": ("Workspace",),
    "aura_engine.agent_tools.api": ("OwnTask",),
    "aura_engine.blocking": ("BlockingEngine", "BlockingRun", "open_engine_sync"),
    "aura_engine.bootstrap": ("open_engine", "open_own_task"),
    "aura_engine.facade.doctor": ("Finding",),
    "aura_engine.facade.engine": ("Engine",),
    "aura_engine.facade.run": ("Run",),
    "aura_engine.facade.subscription": ("Subscription",),
    "aura_engine.host": ("Host",),
    "aura_engine.inputs": ("RunRequest",),
    "aura_worker_protocol.messages": ("ExecutorInfo",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """Import what is asked for: a program that only replays a log does not pay for git and processes."""
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
