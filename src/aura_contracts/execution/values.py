"""The values of executions: see `aura_contracts.execution`."""

from enum import StrEnum
from typing import Any, Self

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.ids import AgentId, ExecutionId, TaskId, WorkspaceId, is_canonical_id
from aura_contracts.lease import ProcessIdentity
from aura_contracts.permission import PermissionRules
from aura_contracts.task import AgentType, RetryPolicy
from aura_contracts.workspace import MergeStyle


class ExecutionStatus(StrEnum):
    """The words of the specification, section "Execution Model"; stored, never changed."""

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
"""The stages in which the agent is at work."""

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
"""The stages between Queued and the end; each of them may fail (specification, "Execution Model")."""


class ProcessToken(msgspec.Struct, frozen=True, gc=False):
    """Which process of an execution: of which attempt at which stage, after how many follow-ups.

    Its text is the key by which the worker knows the process. Starting a token twice starts one process, so a restarted
    engine asks for what it may have asked for before.

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
        """Whether it is the agent, and not a script."""
        return self.stage in CODING

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the token of this text. Raises `InvalidInput`."""
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
    """What a script is written for."""

    BASH = "bash"
    SH = "sh"
    ZSH = "zsh"
    PWSH = "pwsh"


class Script(msgspec.Struct, frozen=True, gc=False):
    """Commands that are run in the workspace before or after the agent. Never with secrets: the log keeps them."""

    text: str
    shell: Shell = Shell.BASH


OUTPUT_LIMIT = 512 * 1024 * 1024
"""Bytes that a process may write where nobody said otherwise: far more than a human reads, far less than a disk."""


class RunPlan(msgspec.Struct, frozen=True, gc=False):
    """How a run is to be made, beyond who runs it and what it is told; kept, so that a restart does the same.

    Never with secrets: the log keeps it for ever. Times are in seconds, None for no limit.
    """

    options: dict[str, Any] = {}
    """Settings of the executor for this run, over those of the agent."""
    variables: dict[str, str] = {}
    """What prompt templates may use beside what AURA knows."""
    setup: Script | None = None
    cleanup: Script | None = None
    timeout: float | None = None
    """For each process, wall-clock; without the time in which an agent waits for an answer to a permission request."""
    idle_timeout: float | None = None
    """For each process, without output; without the time in which an agent waits for an answer."""
    output_limit: int = OUTPUT_LIMIT
    """For each process, in bytes; one that writes more is ended."""
    merge_style: MergeStyle = MergeStyle.MERGE
    permissions: PermissionRules = PermissionRules()
    """Which tool calls need no human."""
    tools: bool = False
    """Whether the agent gets AURA's own tools, to act on its task (`aura_engine.tools`)."""
    fork: bool = False
    """Go on with a copy of the session, and leave the one that is named as it is."""


class SupervisedProcess(msgspec.Struct, frozen=True, gc=False):
    """A process that was started for the execution, by what it is recognised after a restart: never by its name.

    `socket` is the path, on the worker's machine, at which its supervisor answers.
    """

    identity: ProcessIdentity
    socket: str = ""


class Exit(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How a process ended: by an exit code or a signal, with what it and all it started consumed.

    CPU time is in seconds, memory in bytes; what could not be found out is None.
    """

    token: str
    exit_code: int | None = None
    signal: int | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What a coding stage changed in the workspace, as git counts it and not as the agent claims.

    `commits` maps each repository of the workspace to the commit that holds the changes.
    """

    changed_files: int
    lines_added: int = 0
    lines_removed: int = 0
    commits: dict[str, str] = {}


class ExecutionSpec(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A run of an agent: who does it, for which task, and what it is told."""

    task_id: TaskId
    executor: str
    prompt: str
    """What the agent is told; in the state, what it was told last."""
    variant: str | None = None
    agent_id: AgentId | None = None
    agent_type: AgentType | None = None
    workspace_id: WorkspaceId | None = None
    session_id: str | None = None
    """The agent's own session: the one to resume; in the state, the newest that the agent named."""
    retry: RetryPolicy = RetryPolicy()
    plan: RunPlan = RunPlan()
