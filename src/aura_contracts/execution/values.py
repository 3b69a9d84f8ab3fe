"""The values of executions: see `aura_contracts.execution`."""

from enum import StrEnum
from typing import Self

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ids import AgentId, ExecutionId, ProcessIdentity, TaskId, WorkspaceId, is_canonical_id
from aura_contracts.run_plan import RunPlan
from aura_contracts.task import AgentType, RetryPolicy
from aura_contracts.workspace import Unrecorded


class ExecutionStatus(StrEnum):
    """The statuses of the specification, section "Execution Model"; stored, so they never change."""

    QUEUED = "Queued"
    PREPARE_WORKSPACE = "PrepareWorkspace"
    SETUP = "Setup"
    CODING_INITIAL = "CodingInitial"
    CLEANUP = "Cleanup"
    REVIEW = "Review"
    CODING_FOLLOW_UP = "CodingFollowUp"
    DONE = "Done"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


CODING = frozenset({ExecutionStatus.CODING_INITIAL, ExecutionStatus.CODING_FOLLOW_UP})
"""The stages in which the agent works."""

RUNNING_STAGES = frozenset(
    {
        ExecutionStatus.PREPARE_WORKSPACE,
        ExecutionStatus.SETUP,
        ExecutionStatus.CODING_INITIAL,
        ExecutionStatus.CLEANUP,
        ExecutionStatus.REVIEW,
        ExecutionStatus.CODING_FOLLOW_UP,
    }
)
"""The stages between Queued and the end; any of them may fail (specification, "Execution Model")."""


class ProcessToken(msgspec.Struct, frozen=True, gc=False):
    """The identity of a process: its execution, stage, number of follow-ups and attempt.

    The worker knows the process by the text of its token. Starting the same token twice starts one process, so a
    restarted engine can safely repeat a request.

    >>> str(ProcessToken.parse("0192f0c1-2d3e-7abc-8def-0123456789ab-CodingInitial-0-1").stage)
    'CodingInitial'
    """

    execution_id: ExecutionId
    stage: ExecutionStatus
    follow_up: int
    attempt: int

    def __str__(self) -> str:
        return f"{self.execution_id}-{self.stage}-{self.follow_up}-{self.attempt}"

    @property
    def coding(self) -> bool:
        """Whether the process is the agent rather than a script."""
        return self.stage in CODING

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a token. Raises `InvalidInput`."""
        match text.rsplit("-", 3):
            case [execution_id, stage, follow_up, attempt] if (
                is_canonical_id(execution_id)
                and stage in set(ExecutionStatus)
                and (follow_up.isdecimal() and attempt.isdecimal())
            ):
                return cls(ExecutionId(execution_id), ExecutionStatus(stage), int(follow_up), int(attempt))
            case _:
                reason = f"{text!r} is not the token of a process"
                raise InvalidInput(field="token", reason=reason, remedy="write it as EXECUTION-STAGE-FOLLOWUP-ATTEMPT")


class SupervisedProcess(msgspec.Struct, frozen=True, gc=False):
    """A process started for the execution, with the facts that identify it after a restart: never its name.

    `socket` is the path of its supervisor's socket on the worker's machine.
    """

    identity: ProcessIdentity
    socket: str = ""


class Exit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a process ended, by exit code or signal, and what it and all its descendants consumed.

    CPU time is in seconds, memory in bytes; None means unknown.
    """

    token: str
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The changes of a coding stage in the workspace, as counted by git rather than claimed by the agent.

    `commits` maps each repository of the workspace to the commit that holds the changes.
    """

    changed_files: int
    lines_added: int = 0
    lines_removed: int = 0
    commits: dict[str, str] = {}
    unrecorded: tuple[Unrecorded, ...] = ()
    """What the worktrees hold that no commit can: it counts as a change, but is not part of the work."""


class AgentResult(msgspec.Struct, frozen=True, gc=False):
    """What an agent says about its own run. None means unknown: it did not say, or not in a way that can be read."""

    proposal: str | None = None
    confidence: float | None = None
    """From 0 to 1."""
    requires_approval: bool | None = None
    """Whether a human should look at the work in any case. False lets no human out."""
    error: str | None = None
    """Why it could not do its task."""


class HumanMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a human wrote to a working agent."""

    author: str
    text: str
    id: str = ""
    """A UUID. Agents that take messages in the middle of a turn confirm them by it."""


class ExecutionSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run of an agent: which agent, for which task, with what prompt."""

    task_id: TaskId
    executor: str
    prompt: str
    """The prompt for the agent; in the state, the latest one."""
    variant: str | None = None
    agent_id: AgentId | None = None
    agent_type: AgentType | None = None
    workspace_id: WorkspaceId | None = None
    session_id: str | None = None
    """The agent session to resume; in the state, the newest that the agent named."""
    retry: RetryPolicy = RetryPolicy()
    plan: RunPlan = RunPlan()
    has_work: bool = False
    """Whether an execution before, which failed, left work in the workspace that is not merged yet."""
    work_done: bool = False
    """Whether that is all the work: it is collected without running the agent."""
    documents: tuple[str, ...] = ()
    """Patterns of the context documents that stand before this prompt: read when the worktrees are prepared."""
    context: str = ""
    """The text of such documents as the task's agent was given it before: it stands before what begins a session."""
    messages: tuple[HumanMessage, ...] = ()
    """What humans wrote to the agent and it has not received yet: it gets them when its turn ends, if not before."""
