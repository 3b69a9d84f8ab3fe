"""Execution: one run of an agent, stage by stage (first seed, "Execution Model").

    Queued ► PrepareWorkspace ► Setup ► CodingInitial ► Cleanup ► Review ─────────► Done
                                             │             ▲      ▲  │
                                             │ no changes  │      │  └─► CodingFollowUp
                                             └─────────────┼──────┘            │ no changes: to Review
                                                           └───────────────────┘
    any running stage ► Failed(failure) · any live state ► Cancelled

The work happens on a worker, which holds the execution under its lease (see `aura_contracts.lease`). Each report names
the **epoch** of the lease, a number that grows at each grant: whoever held the execution before cannot change it any
more. That is why a restarted engine and a worker that comes back agree on who is running what.

A stage that failed is tried again in the same execution, as its retry policy says; an execution whose worker is lost
has failed, and what follows is a new execution that resumes the agent's session.

Longer than other modules, because every step of a run is an event of its own; it reads from top to bottom as events,
state, commands, table, evolvers.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table, status_only
from aura_contracts.approval import ApprovalStatus
from aura_contracts.entries import (
    Entry,
    ErrorReported,
    FileChanged,
    Finished,
    Message,
    PlanUpdated,
    Thinking,
    ToolCalled,
    ToolFinished,
    Unknown,
)
from aura_contracts.entries import Usage as Usage
from aura_contracts.errors import InvalidInput
from aura_contracts.events import Event, Instant
from aura_contracts.failures import Failure
from aura_contracts.ids import AgentId, ApprovalId, ExecutionId, LeaseId, TaskId, WorkerId, WorkspaceId, is_canonical_id
from aura_contracts.lease import ProcessIdentity
from aura_contracts.permission import PermissionRules
from aura_contracts.task import AgentType, RetryPolicy
from aura_contracts.workspace import MergeStyle


class ExecutionStatus(StrEnum):
    """The words of the first seed, "Execution Model"; stored, never changed."""

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
"""The stages between Queued and the end; each of them may fail (first seed, "Execution Model")."""


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
    """Whether the agent gets AURA's own tools, to act on its task (`aura_engine.agent_tools.server`)."""
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


# --- Events: the steps ------------------------------------------------------------------------------------------------


class ExecutionQueued(Event, frozen=True, kw_only=True):
    """A run was asked for and waits for a worker."""

    topic = "execution.queued"
    execution_id: ExecutionId
    spec: ExecutionSpec

    @property
    def task_id(self) -> TaskId:
        """The task that the run is for."""
        return self.spec.task_id


class ExecutionLeased(Event, frozen=True, kw_only=True):
    """A worker was given the execution; reports under an earlier epoch count no more."""

    topic = "execution.leased"
    lease_id: LeaseId
    epoch: int
    worker_id: WorkerId


class PreparationStarted(Event, frozen=True, kw_only=True):
    """The worker began to prepare the workspace."""

    topic = "execution.preparation_started"


class WorkspacePrepared(Event, frozen=True, kw_only=True):
    """The workspace was ready, and setup began."""

    topic = "execution.workspace_prepared"
    workspace_id: WorkspaceId


class SetupFinished(Event, frozen=True, kw_only=True):
    """The setup scripts were done, and the agent began to code."""

    topic = "execution.setup_finished"


class CodingFinished(Event, frozen=True, kw_only=True):
    """The agent was done and had changed something; cleanup began."""

    topic = "execution.coding_finished"
    outcome: Outcome


class CodingChangedNothing(Event, frozen=True, kw_only=True):
    """The agent was done and had changed nothing, so there was nothing to clean up; review began."""

    topic = "execution.coding_changed_nothing"


class CleanupFinished(Event, frozen=True, kw_only=True):
    """The cleanup scripts were done, and review began."""

    topic = "execution.cleanup_finished"


class FollowUpRequested(Event, frozen=True, kw_only=True):
    """The review asked for more, and the agent went on in its session with the feedback."""

    topic = "execution.follow_up_requested"
    feedback: str
    prompt: str


class ExecutionCompleted(Event, frozen=True, kw_only=True):
    """The review accepted what the run led to."""

    topic = "execution.completed"


class ExecutionFailed(Event, frozen=True, kw_only=True):
    """The run failed, in the stage that the failure names."""

    topic = "execution.failed"
    failure: Failure


class ExecutionCancelled(Event, frozen=True, kw_only=True):
    """The run was called off; processes that were still running are interrupted."""

    topic = "execution.cancelled"
    reason: str = ""


# --- Events: within a stage -------------------------------------------------------------------------------------------


class StageRetryScheduled(Event, frozen=True, kw_only=True):
    """An attempt at a stage failed and will be made again at `retry_at`."""

    topic = "execution.stage_retry_scheduled"
    failure: Failure
    attempt: int
    retry_at: Instant


class StageRetried(Event, frozen=True, kw_only=True):
    """The stage was begun again; `attempt` counts from 1."""

    topic = "execution.stage_retried"
    attempt: int


class SessionRecorded(Event, frozen=True, kw_only=True):
    """The agent named its session, or went on in a fork of it; follow-ups continue the newest."""

    topic = "execution.session_recorded"
    session_id: str
    previous_session_id: str | None = None


class SessionDropped(Event, frozen=True, kw_only=True):
    """The agent could not go on with its session; it is told the conversation so far in a new one."""

    topic = "execution.session_dropped"
    session_id: str


class ProcessStarted(Event, frozen=True, kw_only=True):
    """A process was started for the current stage, under a supervisor."""

    topic = "execution.process_started"
    process: SupervisedProcess

    @property
    def token(self) -> ProcessToken:
        """Which process of the execution it is."""
        return ProcessToken.parse(self.process.identity.token)


class ProcessExited(Event, frozen=True, kw_only=True):
    """A process ended, by itself or by a signal; neither is known for one that vanished with its supervisor."""

    topic = "execution.process_exited"
    exit: Exit


class UsageRecorded(Event, frozen=True, kw_only=True):
    """The agent reported what it consumed since its last report."""

    topic = "execution.usage_recorded"
    usage: Usage
    model: str = ""


class InterruptRequested(Event, frozen=True, kw_only=True):
    """Somebody asked that what is running be stopped at once, while the execution goes on."""

    topic = "execution.interrupt_requested"
    reason: str = ""


# --- Events: what the agent, or AURA for it, did ----------------------------------------------------------------------


class Action(Event, frozen=True, kw_only=True, gc=False):
    """Base of what the agent, or AURA for it, did within a stage."""

    @property
    def error(self) -> str | None:
        """Why it did not succeed; None if it did."""
        return None


class EntryRecorded(Action, frozen=True, kw_only=True, gc=False):
    """Base of what the agent was understood to say or do; secrets are redacted."""

    entry: Entry


class MessageSaid(EntryRecorded, frozen=True, kw_only=True):
    """The agent said something to the human."""

    topic = "execution.message_said"
    entry: Message


class ThoughtShared(EntryRecorded, frozen=True, kw_only=True):
    """The agent thought aloud."""

    topic = "execution.thought_shared"
    entry: Thinking


class CallStarted(EntryRecorded, frozen=True, kw_only=True):
    """The agent began to use a tool."""

    topic = "execution.call_started"
    entry: ToolCalled


class CallMade(EntryRecorded, frozen=True, kw_only=True):
    """A tool call of the agent came to its end."""

    topic = "execution.call_made"
    entry: ToolFinished

    @property
    def error(self) -> str | None:
        """What the tool said, where the call failed."""
        return None if self.entry.success else self.entry.output or "it failed"


class FileChangeReported(EntryRecorded, frozen=True, kw_only=True):
    """The agent said that it changed a file; what really changed, git tells."""

    topic = "execution.file_change_reported"
    entry: FileChanged


class PlanReported(EntryRecorded, frozen=True, kw_only=True):
    """The agent wrote its plan down, or changed it."""

    topic = "execution.plan_reported"
    entry: PlanUpdated


class AgentErrorReported(EntryRecorded, frozen=True, kw_only=True):
    """The agent met an error, or said something that could not be recorded; it may have continued."""

    topic = "execution.agent_error_reported"
    entry: ErrorReported

    @property
    def error(self) -> str | None:
        """What the agent said about it."""
        return self.entry.message


class AgentFinished(EntryRecorded, frozen=True, kw_only=True):
    """The agent said how it ended, in its own protocol."""

    topic = "execution.agent_finished"
    entry: Finished

    @property
    def error(self) -> str | None:
        """Why it failed, where it said that it did."""
        failure = self.entry.failure
        return None if failure is None else failure.message or str(failure.reason)


class EntryNotUnderstood(EntryRecorded, frozen=True, kw_only=True):
    """The agent wrote something that its adapter did not understand; the raw output has all of it."""

    topic = "execution.entry_not_understood"
    entry: Unknown


class PermissionAsked(Action, frozen=True, kw_only=True):
    """A process of the agent asked for permission to make a call; `automatic` says that no human was asked.

    The same call, known by its `fingerprint`, may be asked for by several processes, one after another, under one
    approval. `request_id` and `call_id` are the agent's own names.
    """

    topic = "execution.permission_asked"
    approval_id: ApprovalId
    token: str
    request_id: str
    tool: str
    fingerprint: str
    call_id: str = ""
    session_id: str | None = None
    automatic: bool = False


class PermissionAnswered(Action, frozen=True, kw_only=True):
    """The process that had asked was told what was decided."""

    topic = "execution.permission_answered"
    approval_id: ApprovalId
    token: str
    request_id: str
    granted: bool


class ConversationReplayed(Action, frozen=True, kw_only=True):
    """The agent had lost its session, and was told the conversation so far in a new one."""

    topic = "execution.conversation_replayed"
    session_id: str
    attempt: int
    prompt: str


class ProgressReported(Action, frozen=True, kw_only=True):
    """The agent said how far the work is; `percent` is from 0 to 100."""

    topic = "execution.progress_reported"
    message: str
    step: str | None = None
    percent: float | None = None


class SubtaskCreated(Action, frozen=True, kw_only=True):
    """The agent created a task below its own."""

    topic = "execution.subtask_created"
    task_id: TaskId
    title: str


class InquiryMade(Action, frozen=True, kw_only=True):
    """The agent asked humans something in words."""

    topic = "execution.inquiry_made"
    approval_id: ApprovalId


class InquiryAnswered(Action, frozen=True, kw_only=True):
    """The agent was told the answer to what it had asked."""

    topic = "execution.inquiry_answered"
    approval_id: ApprovalId
    status: ApprovalStatus


ENTRY_EVENTS: Mapping[type[Entry], type[EntryRecorded]] = MappingProxyType(
    {
        Message: MessageSaid,
        Thinking: ThoughtShared,
        ToolCalled: CallStarted,
        ToolFinished: CallMade,
        FileChanged: FileChangeReported,
        PlanUpdated: PlanReported,
        ErrorReported: AgentErrorReported,
        Finished: AgentFinished,
        Unknown: EntryNotUnderstood,
    }
)
"""The entries that are recorded as they are, and the event of each. The others are recorded as what they mean."""

ACTIONS: tuple[type[Action], ...] = (
    *ENTRY_EVENTS.values(),
    PermissionAsked,
    PermissionAnswered,
    ConversationReplayed,
    ProgressReported,
    SubtaskCreated,
    InquiryMade,
    InquiryAnswered,
)


# --- State ------------------------------------------------------------------------------------------------------------


class Execution(ExecutionSpec, State, frozen=True, kw_only=True):
    """What an execution is at some moment. Times are aware and None until they have come."""

    id: ExecutionId
    status: ExecutionStatus
    queued_by: Actor
    queued_at: datetime
    lease_id: LeaseId | None = None
    epoch: int = 0
    """The fencing epoch of the lease; 0 before the first."""
    worker_id: WorkerId | None = None
    fork: bool = False
    """Whether the session is somebody else's, to be gone on with in a copy."""
    dropped_session_id: str | None = None
    """The session that could not be gone on with, as long as there is no other."""
    attempts: dict[str, int] = {}
    """Stage -> attempts begun since it was entered last, counting from 1."""
    retry_at: datetime | None = None
    """When the current stage is begun again; None while it runs."""
    failure: Failure | None = None
    """Why the last attempt, or the execution, failed."""
    follow_ups: int = 0
    feedback: str | None = None
    """What the review said last."""
    processes: tuple[SupervisedProcess, ...] = ()
    """Those started and not known to have exited; after the end, those to be interrupted."""
    interrupted: bool = False
    """Whether the current stage was asked to stop."""
    outcome: Outcome | None = None
    """What coding left in the workspace: that of the last coding stage that changed something."""
    usage: Usage = Usage()
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    """Bytes, of the process that took the most."""
    started_at: datetime | None = None
    stage_started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def running(self) -> bool:
        """Whether the execution is in one of the `RUNNING_STAGES`."""
        return self.status in RUNNING_STAGES

    @property
    def attempt(self) -> int:
        """The number of the attempt at the current stage, counting from 1; 0 outside the running stages."""
        return self.attempts.get(self.status, 0)

    @property
    def process_token(self) -> ProcessToken:
        """The token of the process of this attempt at this stage."""
        return ProcessToken(self.id, self.status, self.follow_ups, self.attempt)


# --- Commands ---------------------------------------------------------------------------------------------------------


class QueueExecution(Command[Execution], frozen=True, kw_only=True):
    """Ask for a run of an agent. `session_id` is the agent's session to resume, `workspace_id` the one to work in."""

    emits = (ExecutionQueued,)
    execution_id: ExecutionId
    spec: ExecutionSpec


class LeaseExecution(Command[Execution], frozen=True, kw_only=True):
    """Give the execution to a worker: the first one, or the one that takes it over or took it back after a restart."""

    emits = (ExecutionLeased,)
    lease_id: LeaseId
    epoch: int
    worker_id: WorkerId


class Report(Command[Execution], frozen=True, kw_only=True):
    """Base of what a worker reports, under the `epoch` in which it was given the execution."""

    epoch: int


class StartPreparation(Report, frozen=True, kw_only=True):
    """Report that the workspace is being prepared."""

    emits = (PreparationStarted,)


class FinishPreparation(Report, frozen=True, kw_only=True):
    """Report that the workspace is ready."""

    emits = (WorkspacePrepared,)
    workspace_id: WorkspaceId


class FinishSetup(Report, frozen=True, kw_only=True):
    """Report that the setup scripts are done."""

    emits = (SetupFinished,)


class FinishCoding(Report, frozen=True, kw_only=True):
    """Report that the agent is done; whether there was anything to clean up is decided by the files it changed."""

    emits = (CodingFinished, CodingChangedNothing)
    outcome: Outcome


class FinishCleanup(Report, frozen=True, kw_only=True):
    """Report that the cleanup scripts are done."""

    emits = (CleanupFinished,)


class RecordStageFailure(Report, frozen=True, kw_only=True):
    """Report a failed attempt at the current stage; `delay` is the wait before the next one in seconds.

    Fails the execution when the policy allows no further attempt or the failure is none that passes by itself. A
    session that the agent cannot go on with is given up, and the next attempt begins at once, whatever the policy says;
    an agent that says so twice in a row has failed like any other.
    """

    emits = (SessionDropped, StageRetryScheduled, ExecutionFailed)
    failure: Failure
    delay: float = 0.0


class RecordSession(Report, frozen=True, kw_only=True):
    """Report the session id that the agent named."""

    emits = (SessionRecorded,)
    session_id: str


class RecordProcessStart(Report, frozen=True, kw_only=True):
    """Report that a process was started."""

    emits = (ProcessStarted,)
    process: SupervisedProcess


class RecordProcessExit(Report, frozen=True, kw_only=True):
    """Report how a process ended."""

    emits = (ProcessExited,)
    exit: Exit


class RecordUsage(Report, frozen=True, kw_only=True):
    """Report what the agent consumed since the last report, of one model."""

    emits = (UsageRecorded,)
    usage: Usage
    model: str = ""


class RecordAction(Report, frozen=True, kw_only=True):
    """Record what the agent, or AURA for it, did (specification, "Core Tables": execution_logs)."""

    emits = ACTIONS
    action: Action


class LoseWorker(Report, frozen=True, kw_only=True):
    """Report that the worker was silent for too long (first seed, "Remote Worker Model"), which fails what it ran.

    In review, with no process running, nothing was lost: what a human is deciding on stays.
    """

    emits = (ExecutionFailed,)


class RetryStage(Command[Execution], frozen=True, kw_only=True):
    """Begin the failed stage again, once it is due."""

    emits = (StageRetried,)


class RequestFollowUp(Command[Execution], frozen=True, kw_only=True):
    """Have the agent go on with the feedback; `prompt` is what it is told, None for the feedback as it is."""

    emits = (FollowUpRequested,)
    feedback: str
    prompt: str | None = None


class CompleteExecution(Command[Execution], frozen=True, kw_only=True):
    """Accept what the run led to."""

    emits = (ExecutionCompleted,)


class FailExecution(Command[Execution], frozen=True, kw_only=True):
    """Fail the run for good, whatever its policy says: the approval expired, the merge is impossible."""

    emits = (ExecutionFailed,)
    failure: Failure


class RequestInterrupt(Command[Execution], frozen=True, kw_only=True):
    """Ask that what is running be stopped at once."""

    emits = (InterruptRequested,)
    reason: str = ""


class CancelExecution(Command[Execution], frozen=True, kw_only=True):
    """Call the run off."""

    emits = (ExecutionCancelled,)
    reason: str = ""


# --- Table ------------------------------------------------------------------------------------------------------------

_S = ExecutionStatus

_WITHIN_A_STAGE: tuple[type[Event], ...] = (
    ExecutionLeased,
    StageRetryScheduled,
    StageRetried,
    ProcessStarted,
    ProcessExited,
    UsageRecorded,
    InterruptRequested,
    *ACTIONS,
)
"""What may happen in every running stage without ending it."""


def _running(stage: ExecutionStatus, steps: Mapping[type[Event], ExecutionStatus]) -> Mapping[type[Event], StrEnum]:
    """Return the row of a running stage: what may happen within it, the steps out of it, failing, being cancelled."""
    ends: Mapping[type[Event], StrEnum] = {ExecutionFailed: _S.FAILED, ExecutionCancelled: _S.CANCELLED}
    return {**dict.fromkeys(_WITHIN_A_STAGE, stage), **steps, **ends}


_TABLE: Table = MappingProxyType(
    {
        None: {ExecutionQueued: _S.QUEUED},
        _S.QUEUED: {
            ExecutionLeased: _S.QUEUED,
            PreparationStarted: _S.PREPARE_WORKSPACE,
            ExecutionCancelled: _S.CANCELLED,
        },
        _S.PREPARE_WORKSPACE: _running(_S.PREPARE_WORKSPACE, {WorkspacePrepared: _S.SETUP}),
        _S.SETUP: _running(_S.SETUP, {SetupFinished: _S.CODING_INITIAL}),
        _S.CODING_INITIAL: _running(
            _S.CODING_INITIAL,
            {
                SessionRecorded: _S.CODING_INITIAL,
                SessionDropped: _S.CODING_INITIAL,
                CodingFinished: _S.CLEANUP,
                CodingChangedNothing: _S.REVIEW,
            },
        ),
        _S.CLEANUP: _running(_S.CLEANUP, {CleanupFinished: _S.REVIEW}),
        _S.REVIEW: _running(
            _S.REVIEW,
            {
                SessionRecorded: _S.REVIEW,
                FollowUpRequested: _S.CODING_FOLLOW_UP,
                ExecutionCompleted: _S.DONE,
            },
        ),
        _S.CODING_FOLLOW_UP: _running(
            _S.CODING_FOLLOW_UP,
            {
                SessionRecorded: _S.CODING_FOLLOW_UP,
                SessionDropped: _S.CODING_FOLLOW_UP,
                CodingFinished: _S.CLEANUP,
                CodingChangedNothing: _S.REVIEW,
            },
        ),
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _queued(_: None, event: ExecutionQueued, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    spec = event.spec
    return Execution(
        id=event.execution_id,
        status=status,
        queued_by=fact.actor,
        queued_at=fact.time,
        fork=spec.plan.fork and spec.session_id is not None,
        **asdict(spec),
    )


def _leased(state: Execution, event: ExecutionLeased, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(state, status=status, lease_id=event.lease_id, epoch=event.epoch, worker_id=event.worker_id)


def _entered(state: Execution, event: Event, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    """Enter a stage: its attempts count from 1 again, and what was asked of the stage before is over."""
    return replace(
        state,
        status=status,
        attempts={**state.attempts, status: 1},
        retry_at=None,
        failure=None,
        interrupted=False,
        started_at=state.started_at or fact.time,
        stage_started_at=fact.time,
    )


def _prepared(state: Execution, event: WorkspacePrepared, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(_entered(state, event, fact, status), workspace_id=event.workspace_id)


def _coded(state: Execution, event: CodingFinished, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(_entered(state, event, fact, status), outcome=event.outcome)


def _followed_up(state: Execution, event: FollowUpRequested, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    entered = _entered(state, event, fact, status)
    return replace(entered, follow_ups=state.follow_ups + 1, feedback=event.feedback, prompt=event.prompt)


def _ended(
    state: Execution, event: ExecutionCompleted | ExecutionCancelled, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(state, status=status, retry_at=None, ended_at=fact.time)


def _failed(state: Execution, event: ExecutionFailed, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(state, status=status, failure=event.failure, retry_at=None, ended_at=fact.time)


def _retry_scheduled(
    state: Execution, event: StageRetryScheduled, fact: HappenedFact, status: ExecutionStatus
) -> Execution:
    return replace(state, status=status, failure=event.failure, retry_at=event.retry_at)


def _retried(state: Execution, event: StageRetried, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    attempts = {**state.attempts, status: event.attempt}
    return replace(state, status=status, attempts=attempts, retry_at=None, interrupted=False)


def _session(state: Execution, event: SessionRecorded, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(state, status=status, session_id=event.session_id, fork=False, dropped_session_id=None)


def _session_dropped(state: Execution, event: SessionDropped, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(state, status=status, session_id=None, fork=False, dropped_session_id=event.session_id)


def _process_started(state: Execution, event: ProcessStarted, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(state, status=status, processes=(*state.processes, event.process))


def _process_exited(state: Execution, event: ProcessExited, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(
        state,
        status=status,
        processes=tuple(process for process in state.processes if process.identity.token != event.exit.token),
        cpu_seconds=state.cpu_seconds + (event.exit.cpu_seconds or 0.0),
        peak_memory=max(state.peak_memory, event.exit.peak_memory or 0),
    )


def _used(state: Execution, event: UsageRecorded, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(state, status=status, usage=state.usage + event.usage)


def _interrupted(state: Execution, event: InterruptRequested, fact: HappenedFact, status: ExecutionStatus) -> Execution:
    return replace(state, status=status, interrupted=True)


_EVOLVERS: Mapping[type[Event], Evolve[Execution]] = MappingProxyType(
    {
        ExecutionQueued: _queued,
        ExecutionLeased: _leased,
        PreparationStarted: _entered,
        WorkspacePrepared: _prepared,
        SetupFinished: _entered,
        CodingFinished: _coded,
        CodingChangedNothing: _entered,
        CleanupFinished: _entered,
        FollowUpRequested: _followed_up,
        ExecutionCompleted: _ended,
        ExecutionFailed: _failed,
        ExecutionCancelled: _ended,
        StageRetryScheduled: _retry_scheduled,
        StageRetried: _retried,
        SessionRecorded: _session,
        SessionDropped: _session_dropped,
        ProcessStarted: _process_started,
        ProcessExited: _process_exited,
        UsageRecorded: _used,
        InterruptRequested: _interrupted,
        **dict.fromkeys(ACTIONS, status_only),
    }
)

EXECUTION = Aggregate(
    name="execution",
    state=Execution,
    statuses=ExecutionStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
    commands=(
        QueueExecution,
        LeaseExecution,
        StartPreparation,
        FinishPreparation,
        FinishSetup,
        FinishCoding,
        FinishCleanup,
        RecordStageFailure,
        RecordSession,
        RecordProcessStart,
        RecordProcessExit,
        RecordUsage,
        RecordAction,
        LoseWorker,
        RetryStage,
        RequestFollowUp,
        CompleteExecution,
        FailExecution,
        RequestInterrupt,
        CancelExecution,
    ),
)
