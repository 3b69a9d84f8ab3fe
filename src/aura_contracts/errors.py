"""Every error AURA raises on purpose.

    AuraError
    ├── InvalidInput                 a value from outside is not acceptable: field, reason
    │   ├── InvalidId
    │   ├── InvalidText              NUL byte or lone surrogate
    │   ├── NaiveDatetime
    │   └── EventTooLarge
    ├── CommandRefused               a decision said no: aggregate, id, command
    │   ├── AggregateNotFound
    │   ├── AggregateExists
    │   ├── TransitionRefused        not in this state
    │   ├── ActorNotAllowed          not by this actor
    │   ├── RuleViolated             a rule of the domain, named
    │   └── CyclicParent
    ├── StoreError
    │   ├── VersionConflict          somebody else appended first
    │   ├── StoreUnavailable         locked or away for longer than the caller would wait
    │   ├── StoreFull
    │   ├── StoreReadOnly
    │   ├── StoreClosed
    │   ├── StoreMisconfigured       wrong key, wrong compression, missing extra, unknown URL
    │   └── LogDamaged               what is stored is not what was written: stream, position
    │       ├── UnknownEventType
    │       ├── NewerEventVersion
    │       ├── UndecodableEvent
    │       └── EventOutOfOrder
    ├── GitError                     a repository could not be worked with: repository
    │   ├── GitUnavailable           git is missing, or too old
    │   ├── NotARepository
    │   ├── UnknownRevision
    │   ├── InvalidBranchName
    │   ├── DirtyWorktree            uncommitted changes are in the way
    │   ├── OperationInProgress      a rebase, merge, ... is under way
    │   ├── MergeConflict
    │   ├── RefChanged               somebody else moved the branch
    │   ├── BranchInUse              another worktree has it checked out
    │   ├── WorktreeExists
    │   ├── GitTimeout
    │   └── GitFailed                anything else that git said
    ├── WorkspaceError               worktrees could not be made or removed: workspace, path
    ├── ProcessError                 a process could not be run: token
    │   ├── ExecutableNotFound
    │   ├── WorkingDirectoryMissing
    │   ├── ProcessStartFailed
    │   └── ProcessGone
    ├── UnknownExecutor
    ├── TemplateError                a prompt cannot be made: template, line
    │   └── MissingVariable
    ├── ProtocolError                engine and worker do not understand each other
    │   ├── LocalProtocolError       what this side did or would have done is against the protocol
    │   │   └── FrameTooLarge        a message of this side is larger than a frame may be
    │   ├── RemoteProtocolError      what the other side sent is against the protocol
    │   └── UnknownMethod
    ├── RemoteError                  the other side failed in a way that this one has no class for
    ├── WorkerUnavailable            no worker, or it went away in the middle of a request
    ├── EngineClosed
    ├── AmbiguousId                  part of an id that several things have: kind, candidates
    ├── KeyReused                    the same key with another request: key, task
    ├── RunFailed                    a run has failed: task, failure
    ├── RunCancelled                 a run was cancelled, or its task deleted: task
    └── ImpossibleTransition         a table has no such row (a program error, or a damaged log)

Each class has a stable `code` for programs; its facts are attributes; `remedy` says what to do; `transient` says
whether trying again later may help; `str()` puts facts and remedy in one sentence for people.
"""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

if TYPE_CHECKING:
    from aura_contracts.failures import Failure


@attrs.define(kw_only=True, eq=False)
class AuraError(Exception):
    """Base of all of AURA's errors."""

    code: ClassVar[str] = "aura"
    """Stable, for programs: it is never renamed, and never given to another error."""
    transient: ClassVar[bool] = False
    """Whether the same request may succeed later, once what is in the way has passed, without being changed."""
    remedy: str = ""

    def message(self) -> str:
        """Return what happened, without the remedy."""
        return type(self).__doc__ or self.code

    def facts(self) -> dict[str, Any]:
        """Return the error's facts by name, for programs and for ``--json``; the remedy is not among them."""
        return {field.name: getattr(self, field.name) for field in attrs.fields(type(self)) if field.name != "remedy"}

    def __str__(self) -> str:
        return f"{self.message()}; {self.remedy}" if self.remedy else self.message()

    def __reduce__(self) -> tuple[Callable[..., "AuraError"], tuple[Any, ...]]:
        """Survive `pickle` and `copy`: an exception's own way would call the class with positional arguments."""
        return _made_again, (type(self), {**self.facts(), "remedy": self.remedy}, self.__dict__)


def _made_again(kind: type[AuraError], fields: dict[str, Any], notes: dict[str, Any]) -> AuraError:
    error = kind(**fields)
    error.__dict__.update(notes)
    return error


# --- Input ------------------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False)
class InvalidInput(AuraError):
    """A value from outside was refused."""

    code = "invalid_input"
    field: str
    reason: str

    def message(self) -> str:
        return f"{self.field}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class InvalidId(InvalidInput):
    """A text that should be an id is none."""

    code = "invalid_id"
    value: str
    reason: str = "not an id"
    remedy: str = "give a UUID such as 0192f0c1-2d3e-7abc-8def-0123456789ab"

    def message(self) -> str:
        return f"{self.field}: {self.value!r} is not an id"


@attrs.define(kw_only=True, eq=False)
class InvalidText(InvalidInput):
    """A text holds what no database can store: a NUL character or half of a surrogate pair."""

    code = "invalid_text"
    remedy: str = "remove the character; for bytes that are not text use base64"


@attrs.define(kw_only=True, eq=False)
class NaiveDatetime(InvalidInput):
    """A time without a zone could mean any of 38 instants."""

    code = "naive_datetime"
    reason: str = "has no time zone"
    remedy: str = "use an aware datetime, for example datetime.now(UTC)"


@attrs.define(kw_only=True, eq=False)
class EventTooLarge(InvalidInput):
    """An event is larger than the log accepts; sizes in bytes as stored."""

    code = "event_too_large"
    stream_id: str
    size: int
    limit: int
    reason: str = "event too large"
    remedy: str = "keep large content in a file or a git object and put its name in the event"

    def message(self) -> str:
        return f"{self.field} for stream {self.stream_id} takes {self.size} bytes; the limit is {self.limit}"


# --- Decisions --------------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False)
class CommandRefused(AuraError):
    """A command was refused; nothing was recorded."""

    code = "refused"
    aggregate: str
    aggregate_id: str
    command: str

    def message(self) -> str:
        return f"{self.command} on {self.aggregate} {self.aggregate_id} was refused"


@attrs.define(kw_only=True, eq=False)
class AggregateNotFound(CommandRefused):
    """A command was sent to something that does not exist."""

    code = "not_found"

    def message(self) -> str:
        return f"there is no {self.aggregate} {self.aggregate_id}"


@attrs.define(kw_only=True, eq=False)
class AggregateExists(CommandRefused):
    """Something was to be created that exists already."""

    code = "exists"

    def message(self) -> str:
        return f"{self.aggregate} {self.aggregate_id} exists already"


@attrs.define(kw_only=True, eq=False)
class TransitionRefused(CommandRefused):
    """The command does not apply in this state."""

    code = "wrong_state"
    status: str
    allowed_in: tuple[str, ...] = ()

    def message(self) -> str:
        allowed = f" (possible when it is {', '.join(self.allowed_in)})" if self.allowed_in else ""
        return f"{self.command} is not possible: {self.aggregate} {self.aggregate_id} is {self.status}{allowed}"


@attrs.define(kw_only=True, eq=False)
class ActorNotAllowed(CommandRefused):
    """The command is for somebody else."""

    code = "not_allowed"
    actor: str
    reason: str

    def message(self) -> str:
        return f"{self.actor} may not {self.command} {self.aggregate} {self.aggregate_id}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class RuleViolated(CommandRefused):
    """A rule of the domain forbids it; `rule` is stable, for programs."""

    code = "rule_violated"
    rule: str
    reason: str

    def message(self) -> str:
        return f"{self.command} on {self.aggregate} {self.aggregate_id}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class CyclicParent(CommandRefused):
    """A task would become its own ancestor; `path` leads from the new parent back to the task."""

    code = "cyclic_parent"
    path: tuple[str, ...]
    remedy: str = "choose a parent that is not below this task"

    def message(self) -> str:
        return f"task {self.aggregate_id} would be its own ancestor: {' < '.join(self.path)}"


# --- Store ------------------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False)
class StoreError(AuraError):
    """The store could not do what was asked."""

    code = "store"
    transient = True


@attrs.define(kw_only=True, eq=False)
class VersionConflict(StoreError):
    """The stream is not at the version the caller decided on; nothing of this append was stored."""

    code = "version_conflict"
    stream_id: str
    expected: int
    actual: int
    remedy: str = "load the stream again, decide again on what it now says, append again"

    def message(self) -> str:
        return f"stream {self.stream_id} is at version {self.actual}, not at {self.expected}"


@attrs.define(kw_only=True, eq=False)
class StoreUnavailable(StoreError):
    """The database was locked or away for longer than `waited` seconds; nothing was acknowledged."""

    code = "store_unavailable"
    store: str
    reason: str
    waited: float
    attempts: int
    remedy: str = "bring the database back, or end the process that holds its lock, and try again"

    def message(self) -> str:
        return f"{self.store} did not answer for {self.waited:.1f} s ({self.attempts} attempts): {self.reason}"


@attrs.define(kw_only=True, eq=False)
class StoreFull(StoreError):
    """There is no room left; nothing of this append was stored, all that was acknowledged before is there."""

    code = "store_full"
    store: str
    stream_id: str
    position: int
    reason: str
    remedy: str = "free space on the disk that holds the database and append again"

    def message(self) -> str:
        return f"{self.store} is full at position {self.position}, stream {self.stream_id}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class StoreReadOnly(StoreError):
    """The database cannot be written; reading works."""

    code = "store_read_only"
    store: str
    stream_id: str
    position: int
    reason: str
    remedy: str = "make the file and its folder writable, or connect to the primary server"

    def message(self) -> str:
        return f"{self.store} is read-only at position {self.position}, stream {self.stream_id}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class StoreClosed(StoreError):
    """The log was used after it was closed."""

    code = "store_closed"
    transient = False
    store: str
    remedy: str = "open the log again"

    def message(self) -> str:
        return f"{self.store} is closed"


@attrs.define(kw_only=True, eq=False)
class StoreMisconfigured(StoreError):
    """The log cannot be opened as it was asked for."""

    code = "store_misconfigured"
    transient = False
    store: str
    reason: str

    def message(self) -> str:
        return f"{self.store}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class LogDamaged(StoreError):
    """What is stored is not what was written.

    `stream_id` is empty and `position` is 0 where the damage cannot be tied to one event.
    """

    code = "log_damaged"
    transient = False
    store: str = ""
    stream_id: str = ""
    position: int = 0
    reason: str = ""
    remedy: str = "keep the file as it is, restore the newest backup that `aura audit verify` accepts"

    def message(self) -> str:
        where = f"position {self.position}" if self.position else "the log"
        stream = f", stream {self.stream_id}" if self.stream_id else ""
        return f"{where}{stream}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class UnknownEventType(LogDamaged):
    """The log holds an event of a type this program has never heard of."""

    code = "unknown_event_type"
    topic: str
    reason: str = "no event type of this topic is known"
    remedy: str = "open the log with the program that wrote it, or register the event type in the catalogue"

    def message(self) -> str:
        return f"{super().message()} ({self.topic})"


@attrs.define(kw_only=True, eq=False)
class NewerEventVersion(LogDamaged):
    """The log holds an event of a newer version than this program knows."""

    code = "newer_event_version"
    topic: str
    known: int
    found: int
    reason: str = "a newer program wrote this event"
    remedy: str = "upgrade AURA to at least the version that wrote this log"

    def message(self) -> str:
        return f"{super().message()} ({self.topic} in version {self.found}, known up to {self.known})"


@attrs.define(kw_only=True, eq=False)
class UndecodableEvent(LogDamaged):
    """The bytes of an event do not decode to its type."""

    code = "undecodable_event"
    topic: str

    def message(self) -> str:
        return f"{super().message()} ({self.topic})"


@attrs.define(kw_only=True, eq=False)
class EventOutOfOrder(LogDamaged):
    """A stream's events do not follow one another: a version is missing, doubled, or not possible in its state."""

    code = "event_out_of_order"


# --- Git --------------------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False)
class GitError(AuraError):
    """A repository could not be worked with."""

    code = "git"
    repository: str

    def message(self) -> str:
        return f"{self.repository} could not be worked with"


@attrs.define(kw_only=True, eq=False)
class GitUnavailable(GitError):
    """There is no git on this machine, or it is too old."""

    code = "git_unavailable"
    reason: str

    def message(self) -> str:
        return f"git is needed for {self.repository}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class NotARepository(GitError):
    """A folder is in no git repository, or does not exist."""

    code = "not_a_repository"
    remedy: str = "name a folder in a git repository, or make one with `git init`"

    def message(self) -> str:
        return f"{self.repository} is not in a git repository"


@attrs.define(kw_only=True, eq=False)
class UnknownRevision(GitError):
    """A name stands for no commit."""

    code = "unknown_revision"
    revision: str
    remedy: str = "name a branch, a tag or a commit that the repository has; an empty repository needs a first commit"

    def message(self) -> str:
        return f"{self.repository} has no commit {self.revision!r}"


@attrs.define(kw_only=True, eq=False)
class InvalidBranchName(GitError):
    """Git does not take the name for a branch."""

    code = "invalid_branch_name"
    branch: str
    remedy: str = "see git-check-ref-format(1) for what a branch may be called"

    def message(self) -> str:
        return f"{self.branch!r} is not a name for a branch"


@attrs.define(kw_only=True, eq=False)
class DirtyWorktree(GitError):
    """Uncommitted changes are in the way; nothing was touched."""

    code = "dirty_worktree"
    worktree: str
    paths: tuple[str, ...] = ()
    remedy: str = "commit or stash them, then try again"

    def message(self) -> str:
        shown = ", ".join(self.paths[:5]) + (f" and {len(self.paths) - 5} more" if len(self.paths) > 5 else "")
        return f"{self.worktree} has uncommitted changes in the way: {shown}"


@attrs.define(kw_only=True, eq=False)
class OperationInProgress(GitError):
    """A worktree is in the middle of something; nothing was touched."""

    code = "operation_in_progress"
    worktree: str
    operation: str
    remedy: str = "finish or abort it, then try again"

    def message(self) -> str:
        return f"{self.worktree} is in the middle of a {self.operation}"


@attrs.define(kw_only=True, eq=False)
class MergeConflict(GitError):
    """Two changes contradict one another; nothing was touched."""

    code = "merge_conflict"
    source: str
    target: str
    paths: tuple[str, ...]
    remedy: str = "resolve it on the branch of the work, then merge again"

    def message(self) -> str:
        shown = ", ".join(self.paths[:5]) + (f" and {len(self.paths) - 5} more" if len(self.paths) > 5 else "")
        return f"{self.source} cannot be merged into {self.target}: {shown}"


@attrs.define(kw_only=True, eq=False)
class RefChanged(GitError):
    """A ref was not where it was expected to be; nothing was touched."""

    code = "ref_changed"
    transient = True
    ref: str
    expected: str | None
    actual: str | None
    remedy: str = "look at what it is now and decide again"

    def message(self) -> str:
        return f"{self.ref} is at {self.actual or 'nothing'}, not at {self.expected or 'nothing'}"


@attrs.define(kw_only=True, eq=False)
class BranchInUse(GitError):
    """A worktree has the branch checked out."""

    code = "branch_in_use"
    branch: str
    worktree: str
    remedy: str = "check something else out there, or remove that worktree"

    def message(self) -> str:
        return f"branch {self.branch} is checked out at {self.worktree}"


@attrs.define(kw_only=True, eq=False)
class WorktreeExists(GitError):
    """Something is where a worktree was to be made."""

    code = "worktree_exists"
    path: str
    remedy: str = "move it out of the way"

    def message(self) -> str:
        return f"there is something at {self.path} already"


@attrs.define(kw_only=True, eq=False)
class GitTimeout(GitError):
    """Git did not answer within `seconds` and was ended."""

    code = "git_timeout"
    command: str
    seconds: float
    remedy: str = "look for a lock or a slow file system, and try again"

    def message(self) -> str:
        return f"`{self.command}` took longer than {self.seconds:g} s in {self.repository}"


@attrs.define(kw_only=True, eq=False)
class GitFailed(GitError):
    """Git refused or failed."""

    code = "git_failed"
    command: str
    reason: str

    def message(self) -> str:
        return f"`{self.command}` failed in {self.repository}: {self.reason}"


# --- Workspaces, processes, executors ---------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False)
class WorkspaceError(AuraError):
    """A workspace could not be made, used or removed. `left_behind` is what could not be cleaned up."""

    code = "workspace"
    workspace_id: str
    path: str
    reason: str
    cleaned_up: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()

    def message(self) -> str:
        rest = f"; left behind: {', '.join(self.left_behind)}" if self.left_behind else ""
        return f"workspace {self.workspace_id} at {self.path}: {self.reason}{rest}"


@attrs.define(kw_only=True, eq=False)
class ProcessError(AuraError):
    """A process could not be run, or not be reached."""

    code = "process"
    token: str
    reason: str

    def message(self) -> str:
        return self.reason


@attrs.define(kw_only=True, eq=False)
class ExecutableNotFound(ProcessError):
    """There is no such program, or it may not be run."""

    code = "executable_not_found"
    executable: str
    remedy: str = "install it, or say where it is with --executor-path NAME=PATH"

    def message(self) -> str:
        return f"{self.executable}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class WorkingDirectoryMissing(ProcessError):
    """The folder that a process was to run in is gone."""

    code = "working_directory_missing"
    path: str
    remedy: str = "restore the folder, or recreate the workspace"

    def message(self) -> str:
        return f"{self.path}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class ProcessStartFailed(ProcessError):
    """A process could not be started."""

    code = "process_start_failed"


@attrs.define(kw_only=True, eq=False)
class ProcessGone(ProcessError):
    """A process has ended, or takes no input any more."""

    code = "process_gone"


@attrs.define(kw_only=True, eq=False)
class UnknownExecutor(AuraError):
    """No executor of this name is installed."""

    code = "unknown_executor"
    name: str
    known: tuple[str, ...]

    def message(self) -> str:
        return f"there is no executor {self.name!r}; there are {', '.join(self.known) or 'none'}"


@attrs.define(kw_only=True, eq=False)
class TemplateError(AuraError):
    """A prompt cannot be made of a template."""

    code = "template"
    template: str
    line: int
    reason: str

    def message(self) -> str:
        return f"template {self.template}, line {self.line}: {self.reason}"


@attrs.define(kw_only=True, eq=False)
class MissingVariable(TemplateError):
    """A template uses a variable that has no value."""

    code = "missing_variable"
    variable: str
    remedy: str = "give it with --var NAME=VALUE, or correct the template"

    def message(self) -> str:
        return f"template {self.template}, line {self.line}: {self.variable} has no value: {self.reason}"


# --- Engine and worker ------------------------------------------------------------------------------------------------


@attrs.define(kw_only=True, eq=False)
class ProtocolError(AuraError):
    """Engine and worker do not understand each other."""

    code = "protocol"
    reason: str

    def message(self) -> str:
        return self.reason


@attrs.define(kw_only=True, eq=False)
class LocalProtocolError(ProtocolError):
    """What this side did, or was about to do, is against the protocol: a bug here, or a message that no frame holds.

    Blame is relative: when it is sent to the other side, it arrives there as `RemoteProtocolError`, and the reverse.
    """

    code = "local_protocol"


@attrs.define(kw_only=True, eq=False)
class FrameTooLarge(LocalProtocolError):
    """A message of this side is larger than a frame may be, and was not sent; sizes in bytes."""

    code = "frame_too_large"
    size: int
    limit: int


@attrs.define(kw_only=True, eq=False)
class RemoteProtocolError(ProtocolError):
    """What the other side sent is against the protocol: not JSON-RPC, wrong parameters, or a step out of order."""

    code = "remote_protocol"


@attrs.define(kw_only=True, eq=False)
class UnknownMethod(ProtocolError):
    """A request names a method that this side does not have."""

    code = "unknown_method"
    method: str


@attrs.define(kw_only=True, eq=False)
class RemoteError(AuraError):
    """The other side failed with an error that this side does not know; `remote_code` and `details` are its own."""

    code = "remote"
    remote_code: str
    reason: str
    details: dict[str, Any] = attrs.field(factory=dict)

    def message(self) -> str:
        return self.reason


@attrs.define(kw_only=True, eq=False)
class WorkerUnavailable(AuraError):
    """There is no worker, or it went away in the middle of a request; whether it was carried out is not known."""

    code = "worker_unavailable"
    transient = True
    reason: str
    remedy: str = "ask again when the worker is back: requests are repeatable"

    def message(self) -> str:
        return self.reason


@attrs.define(kw_only=True, eq=False)
class EngineClosed(AuraError):
    """The engine was used after it was closed."""

    code = "engine_closed"
    remedy: str = "open it again"


@attrs.define(kw_only=True, eq=False)
class AmbiguousId(AuraError):
    """Part of an id that several things have."""

    code = "ambiguous_id"
    kind: str
    text: str
    candidates: tuple[str, ...]
    remedy: str = "give more of the id"

    def message(self) -> str:
        return f"{self.text!r} is part of several {self.kind or 'aggregate'} ids: {', '.join(self.candidates)}"


@attrs.define(kw_only=True, eq=False)
class KeyReused(AuraError):
    """A key was given again with another request than before."""

    code = "key_reused"
    key: str
    task_id: str
    remedy: str = "use another key for another request, or the same request"

    def message(self) -> str:
        return f"the key {self.key!r} stands for task {self.task_id}, which was started with another request"


@attrs.define(kw_only=True, eq=False)
class RunFailed(AuraError):
    """A run has failed; `failure` has its facts together."""

    code = "run_failed"
    task_id: str
    reason: str
    """One of `FailureReason`."""
    problem: str = ""
    stage: str = ""
    exit_code: int = 0
    """Of the process that failed; 0 where there was none."""
    signal: int = 0
    """That ended it; 0 where none did."""

    @classmethod
    def of(cls, task_id: str, failure: "Failure") -> "RunFailed":
        """Return the error for a task that has failed like this."""
        return cls(
            task_id=task_id,
            reason=str(failure.reason),
            problem=failure.message,
            stage=failure.stage,
            exit_code=failure.exit_code or 0,
            signal=failure.signal or 0,
        )

    @property
    def failure(self) -> "Failure":
        """The failure as the task has it."""
        from aura_contracts.failures import Failure, FailureReason  # noqa: PLC0415 - msgspec, which not all need

        reason = FailureReason(self.reason)
        return Failure(reason, self.problem, self.stage, self.exit_code or None, self.signal or None)

    def message(self) -> str:
        stage = f" in {self.stage}" if self.stage else ""
        ended = f" (exit code {self.exit_code})" if self.exit_code else ""
        ended += f" (signal {self.signal})" if self.signal else ""
        problem = f": {self.problem}" if self.problem else ""
        return f"task {self.task_id} has failed: {self.reason}{stage}{ended}{problem}"


@attrs.define(kw_only=True, eq=False)
class RunCancelled(AuraError):
    """A run was cancelled, or its task deleted."""

    code = "run_cancelled"
    task_id: str
    status: str

    def message(self) -> str:
        return f"task {self.task_id} is {self.status}"


@attrs.define(kw_only=True, eq=False)
class ImpossibleTransition(AuraError):
    """A transition table has no row for this event in this state."""

    code = "impossible_transition"
    aggregate: str
    status: str
    event: str

    def message(self) -> str:
        return f"{self.aggregate}: no transition from {self.status or 'nothing'} by {self.event}"


def require_aware(value: datetime, field: str) -> datetime:
    """Return `value`, or raise `NaiveDatetime` naming `field` when it has no zone."""
    if value.utcoffset() is None:
        raise NaiveDatetime(field=field)
    return value
