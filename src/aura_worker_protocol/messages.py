"""Messages: the requests of engine and worker and their results, method by method.

The **engine decides, the worker does**. All requests of the engine are repeatable: sent again after a crash of either
side they do nothing twice and have the same result. Reports of a worker about an execution carry the **epoch** of its
lease; a report under an older one is refused, and the worker then ends what it still runs.

    engine ──► worker    workspace.*   worktrees of a task
                         process.*     scripts and agents
                         executors.*   agents that can run there
    worker ──► engine    worker.*      hello, heartbeat
                         output.*      output of processes and the entries in it, in order, acknowledged

Names of methods and fields are the wire format: never renamed. Fields may be added with a default.
"""

from typing import Any

import msgspec

from aura_contracts.context_documents import DocumentPlace, FoundDocuments
from aura_contracts.entries import AnyEntry, Usage
from aura_contracts.execution import SupervisedProcess
from aura_contracts.failures import Failure
from aura_contracts.ids import ExecutionId, TaskId, WorkerId, WorkerIdentity, WorkspaceId
from aura_contracts.lease import HEARTBEAT_INTERVAL
from aura_contracts.output import Chunk
from aura_contracts.ports.executors import Answer, ExecutorInfo
from aura_contracts.ports.processes import ProcessExit
from aura_contracts.ports.workspaces import (
    CollectedWork,
    MergedWorkspace,
    Orphan,
    PreparedWorkspace,
    RepositoryDescription,
    TakenSnapshot,
    WorkDiff,
    WorkspaceCondition,
    WorkspaceSpec,
)
from aura_contracts.run_plan import RunPlan, Script
from aura_contracts.workspace import MergeStyle
from aura_worker_protocol.request import Result, ToEngine, ToWorker, by_method

# --- Engine to worker: workspaces -------------------------------------------------------------------------------------


class PrepareWorkspace(ToWorker[PreparedWorkspace], frozen=True, kw_only=True):
    """Create the worktrees, all or none; existing ones are taken over."""

    method = "workspace.prepare"
    workspace: WorkspaceSpec


class RepairWorkspace(ToWorker[Result], frozen=True, kw_only=True):
    """Put right what hides worktrees, or files in them, from git."""

    method = "workspace.repair"
    workspace: WorkspaceSpec


class InspectWorkspace(ToWorker[WorkspaceCondition], frozen=True, kw_only=True):
    """Describe the current condition of the workspace. Changes nothing."""

    method = "workspace.inspect"
    workspace: WorkspaceSpec


class CollectWork(ToWorker[CollectedWork], frozen=True, kw_only=True):
    """Commit everything on the branch, and count what the branch changes."""

    method = "workspace.collect"
    workspace: WorkspaceSpec
    message: str
    from_branch: bool = False
    """The branch stands for a worktree that is gone."""


class DiffWork(ToWorker[WorkDiff], frozen=True, kw_only=True):
    """Show the changes in the workspace, uncommitted work included; `patch_limit` is in bytes, 0 for no patch."""

    method = "workspace.diff"
    workspace: WorkspaceSpec
    patch_limit: int = 1_048_576


class TakeSnapshot(ToWorker[TakenSnapshot], frozen=True, kw_only=True):
    """Write tracked and untracked state to the hidden ref; with `whole`, ignored files too."""

    method = "workspace.snapshot"
    workspace: WorkspaceSpec
    ref: str
    whole: bool = False


class ResetToSnapshot(ToWorker[Result], frozen=True, kw_only=True):
    """Reset the worktrees to a snapshot, overwriting their content."""

    method = "workspace.restore"
    workspace: WorkspaceSpec
    ref: str


class MergeWork(ToWorker[MergedWorkspace], frozen=True, kw_only=True):
    """Merge the branch into its targets, all or none; with `finish_only`, only those that were merged before."""

    method = "workspace.merge"
    workspace: WorkspaceSpec
    style: MergeStyle
    message: str
    finish_only: bool = False


class RevertWork(ToWorker[MergedWorkspace], frozen=True, kw_only=True):
    """Commit the opposite of a commit on the branch, by repository."""

    method = "workspace.revert"
    workspace: WorkspaceSpec
    commits: dict[str, str]
    message: str


class RemoveWorktrees(ToWorker[Result], frozen=True, kw_only=True):
    """Remove the worktrees, whatever they hold; with `delete_branch` also the branch, if it is fully merged."""

    method = "workspace.remove"
    workspace: WorkspaceSpec
    delete_branch: bool = False


class DescribeRepository(ToWorker[RepositoryDescription], frozen=True, kw_only=True):
    """Describe the repository at a path on the worker. Raises what keeps it from being worked on, in place or not."""

    method = "workspace.describe"
    path: str
    in_place: bool = False


class ReadDocuments(ToWorker[FoundDocuments], frozen=True, kw_only=True):
    """Read the documents that match `patterns`, without those at the paths `without`. Changes nothing."""

    method = "workspace.documents"
    places: tuple[DocumentPlace, ...]
    patterns: tuple[str, ...]
    without: tuple[str, ...] = ()


class OrphansFound(Result, frozen=True, kw_only=True):
    orphans: tuple[Orphan, ...]


class FindOrphans(ToWorker[OrphansFound], frozen=True, kw_only=True):
    """List the leftovers of workspaces that are not `living`."""

    method = "workspace.orphans"
    living: tuple[WorkspaceId, ...]


class RemoveOrphan(ToWorker[TakenSnapshot], frozen=True, kw_only=True):
    """Remove an orphan, after a snapshot of its unsaved work."""

    method = "workspace.remove_orphan"
    orphan: Orphan
    ref: str


class PoolWarmed(Result, frozen=True, kw_only=True):
    made: int


class WarmPool(ToWorker[PoolWarmed], frozen=True, kw_only=True):
    """Fill the pool of a repository."""

    method = "workspace.warm"
    repository: str
    count: int


# --- Engine to worker: processes --------------------------------------------------------------------------------------


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


# --- Engine to worker: executors --------------------------------------------------------------------------------------


class ExecutorsListed(Result, frozen=True, kw_only=True):
    executors: tuple[ExecutorInfo, ...]


class ListExecutors(ToWorker[ExecutorsListed], frozen=True, kw_only=True):
    """Describe the installed executors; with `names`, only these."""

    method = "executors.list"
    names: tuple[str, ...] = ()


class OptionsChecked(Result, frozen=True, kw_only=True):
    silencing: str | None = None
    """The option with which the agent asks for no permission."""
    reads: tuple[str, ...] = ()
    """The documents that the agent reads itself, see `aura_contracts.ports.executors.Executor.documents_read`."""


class CheckOptions(ToWorker[OptionsChecked], frozen=True, kw_only=True):
    """Have an executor look at the options of a run, as it will when it is started. Nothing is started.

    Raises `UnknownExecutor`, or `InvalidInput` for what the executor would refuse. With `installed`, also
    `ExecutableNotFound` for a program that is not there.
    """

    method = "executors.check"
    executor: str
    prompt: str
    directory: str
    options: dict[str, Any] = {}
    session_id: str | None = None
    fork: bool = False
    installed: bool = False
    variables: dict[str, str] = {}


# --- Worker to engine -------------------------------------------------------------------------------------------------


class Welcome(Result, frozen=True, kw_only=True):
    """The worker is connected. It sends a heartbeat every `heartbeat` seconds."""

    engine_id: str
    heartbeat: float = HEARTBEAT_INTERVAL


class KnownProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that the worker has from before its restart."""

    token: str
    running: bool


class Hello(ToEngine[Welcome], frozen=True, kw_only=True):
    """The first message of a connection."""

    method = "worker.hello"
    protocol: int
    """The version of this protocol: 1."""
    worker_id: WorkerId
    identity: WorkerIdentity
    version: str
    """Of AURA."""
    processes: tuple[KnownProcess, ...] = ()


class Heartbeat(ToEngine[Result], frozen=True, kw_only=True):
    """The worker is alive."""

    method = "worker.heartbeat"


class OutputAccepted(Result, frozen=True, kw_only=True):
    """`next` is the number of the next record that the engine does not have: everything before it is durable."""

    next: int


class ParsedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of an agent, in order, that the record of number `record` completed."""

    record: int
    entries: tuple[AnyEntry, ...]


class AppendOutput(ToEngine[OutputAccepted], frozen=True, kw_only=True):
    """Hand over records of output with the entries in them; the first record has the number `first`.

    Both are stored together: an entry is stored if and only if its record is.
    """

    method = "output.append"
    lane_field = "execution_id"
    execution_id: ExecutionId
    epoch: int
    token: str
    first: int
    chunks: tuple[Chunk, ...]
    parsed: tuple[ParsedRecord, ...] = ()


class OutputRead(Result, frozen=True, kw_only=True):
    """A piece of recorded output; its first record has the number `first`. No chunks: this is the end."""

    first: int
    chunks: tuple[Chunk, ...] = ()
    after: int = 0
    """Where to continue reading."""


class ReadOutput(ToEngine[OutputRead], frozen=True, kw_only=True):
    """Read the output of an execution again, for a restarted worker, a piece at a time: `after` is the last one's."""

    method = "output.read"
    lane_field = "execution_id"
    execution_id: ExecutionId
    epoch: int
    after: int = 0


PROTOCOL_VERSION = 1
TO_WORKER = by_method(ToWorker)
TO_ENGINE = by_method(ToEngine)
