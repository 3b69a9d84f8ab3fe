"""Processes: how the engine has a worker run scripts and agents, and steer them while they run."""

from typing import Any

import msgspec

from aura_contracts.entries import AnyEntry, Usage
from aura_contracts.execution import SupervisedProcess
from aura_contracts.failures import Failure
from aura_contracts.ids import ExecutionId, TaskId
from aura_contracts.ports.executors import Answer
from aura_contracts.ports.processes import ProcessExit
from aura_contracts.run_plan import RunPlan, Script
from aura_worker_protocol.request import Result, ToWorker


class AgentWork(msgspec.Struct, frozen=True, kw_only=True):
    """The work of an agent. `options` are those of the agent; those of the plan override them."""

    executor: str
    prompt: str
    options: dict[str, Any] = {}
    session_id: str | None = None
    fork: bool = False
    """Resume a copy of that session."""
    elsewhere: bool = False
    """That session has worked in other folders only, as far as the log knows."""
    session_usage: Usage | None = None
    """What that session had consumed before, by its agent's count; None if the log does not have it."""
    task_id: TaskId | None = None
    """The task that the agent may act on, if it gets AURA's own tools."""
    review: str = ""
    """What a human approves of the task: ``plan``, ``changes``, ``both`` or ``auto``."""


class StartedProcess(Result, frozen=True, kw_only=True):
    process: SupervisedProcess


class StartProcess(ToWorker[StartedProcess], frozen=True, kw_only=True):
    """Run a script or an agent, exactly one of the two; a process started before under this token is taken over.

    `next_record` is the number of the next record of output that the engine does not have.
    """

    method = "process.start"
    execution_id: ExecutionId
    epoch: int
    token: str
    stage: str
    directory: str
    next_record: int
    plan: RunPlan
    script: Script | None = None
    agent: AgentWork | None = None
    grace: float


class ProcessFinished(Result, frozen=True, kw_only=True):
    exit: ProcessExit
    failure: Failure | None = None
    """Why it failed, judged by the executor (or, for a script, by its exit code)."""
    blocked: str = ""
    """What the agent was not permitted to do, in words, even if it reports success."""
    entries: tuple[AnyEntry, ...] = ()
    """The last entries, which are in no report of output."""


class AwaitProcess(ToWorker[ProcessFinished], frozen=True, kw_only=True):
    """Return once the process has ended and the engine has acknowledged all its output."""

    method = "process.await"
    execution_id: ExecutionId
    epoch: int
    token: str


class InterruptProcess(ToWorker[Result], frozen=True, kw_only=True):
    """Begin to end the process; when repeated: do not wait for the next step of its ending."""

    method = "process.interrupt"
    token: str
    reason: str = ""


class AnswerPermission(ToWorker[Result], frozen=True, kw_only=True):
    """Answer the question of a waiting agent."""

    method = "process.answer"
    token: str
    request_id: str
    answer: Answer


class TellAgent(ToWorker[Result], frozen=True, kw_only=True):
    """Give a human's message to the agent, if it takes messages in the middle of its turn; repeating has no effect."""

    method = "process.tell"
    token: str
    message_id: str
    text: str


class NoteWaiting(ToWorker[Result], frozen=True, kw_only=True):
    """The agent waits for a human in a way that its output does not show: its time does not count for `seconds`.

    Replaces what was noted before; 0 ends the wait.
    """

    method = "process.waiting"
    token: str
    seconds: float


class ForgetProcess(ToWorker[Result], frozen=True, kw_only=True):
    """Delete everything that is kept of the process: the engine has recorded how it ended."""

    method = "process.forget"
    token: str
