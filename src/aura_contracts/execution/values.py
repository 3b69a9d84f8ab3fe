"""The values of executions: see `aura_contracts.execution`."""

from enum import StrEnum
from typing import Any, Self

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ids import AgentId, ExecutionId, ProcessIdentity, TaskId, WorkspaceId, is_canonical_id
from aura_contracts.permission import PermissionRules
from aura_contracts.task import AgentType, RetryPolicy
from aura_contracts.workspace import MergeStyle, Unrecorded


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


class Shell(StrEnum):
    """The shell that a script is written for."""

    BASH = "bash"
    SH = "sh"
    ZSH = "zsh"
    PWSH = "pwsh"


class Script(msgspec.Struct, frozen=True, gc=False):
    """Commands to run in the workspace before or after the agent. Never put secrets here: the log keeps them."""

    text: str
    shell: Shell = Shell.BASH


OUTPUT_LIMIT = 512 * 1024 * 1024
"""The default limit of bytes that a process may write: far more than a human reads, far less than a disk."""


class RunPlan(msgspec.Struct, frozen=True, gc=False):
    """How to run an agent, apart from which agent and with what prompt; stored, so that a restart does the same.

    Never put secrets here: the log keeps them forever. Times are in seconds; None means no limit.
    """

    options: dict[str, Any] = {}
    """Executor settings for this run, on top of those of the agent."""
    variables: dict[str, str] = {}
    """Variables for prompt templates, in addition to those that AURA provides."""
    setup: Script | None = None
    cleanup: Script | None = None
    timeout: float | None = None
    """Wall-clock limit for each process; time spent waiting for an answer to a permission request does not count."""
    idle_timeout: float | None = None
    """Limit without output for each process; the time spent waiting for an answer does not count."""
    output_limit: int = OUTPUT_LIMIT
    """Bytes for each process; a process that writes more is terminated."""
    merge_style: MergeStyle = MergeStyle.MERGE
    permissions: PermissionRules = PermissionRules()
    """Which tool calls need no human."""
    tools: bool = False
    """Whether the agent gets AURA's own tools for its task (`aura_engine.agent_tools`)."""
    fork: bool = False
    """Resume a copy of the session and leave the original unchanged."""


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
