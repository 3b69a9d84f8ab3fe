"""Every error that AURA raises deliberately.

    AuraError
    ├── InvalidInput                 an invalid value from outside: field, reason
    │   ├── InvalidId
    │   ├── InvalidText              NUL byte or lone surrogate
    │   ├── NaiveDatetime
    │   └── EventTooLarge
    ├── CommandRefused               the domain refuses a command: aggregate, id, command
    │   ├── AggregateNotFound
    │   ├── AggregateExists
    │   ├── TransitionRefused        not allowed in this state
    │   ├── ActorNotAllowed          not allowed for this actor
    │   ├── RuleViolated             against a named rule of the domain
    │   └── CyclicParent
    ├── StoreError
    │   ├── VersionConflict          the stream changed concurrently
    │   ├── StoreUnavailable         locked or down for longer than the caller waits
    │   ├── StoreFull
    │   ├── StoreReadOnly
    │   ├── StoreClosed
    │   ├── StoreMisconfigured       wrong key, wrong compression, missing extra, unknown URL
    │   └── LogDamaged               the stored bytes are not those written: stream, position
    │       ├── UnknownEventType
    │       ├── NewerEventVersion
    │       ├── UndecodableEvent
    │       └── EventOutOfOrder
    ├── GitError                     an operation on a repository failed: repository
    │   ├── GitUnavailable           git is missing, or too old
    │   ├── NotARepository
    │   ├── UnknownRevision
    │   ├── InvalidBranchName
    │   ├── DirtyWorktree            uncommitted changes are in the way
    │   ├── OperationInProgress      a rebase, merge, ... is in progress
    │   ├── MergeConflict
    │   ├── RefChanged               the branch moved concurrently
    │   ├── BranchInUse              another worktree has it checked out
    │   ├── WorktreeExists
    │   ├── GitTimeout
    │   └── GitFailed                any other failure of git
    ├── WorkspaceError               worktrees could not be created or removed: workspace, path
    ├── ProcessError                 a process could not be run or reached: token
    │   ├── ExecutableNotFound
    │   ├── WorkingDirectoryMissing
    │   ├── ProcessStartFailed
    │   └── ProcessGone
    ├── UnknownExecutor
    ├── TemplateError                a prompt cannot be rendered: template, line
    │   └── MissingVariable
    ├── ProtocolError                engine and worker violate the protocol
    │   ├── LocalProtocolError       this side violated the protocol, or would have
    │   │   └── FrameTooLarge        a message exceeds the size of a frame
    │   ├── RemoteProtocolError      the other side violated the protocol
    │   └── UnknownMethod
    ├── RemoteError                  the other side failed with an error unknown here
    ├── WorkerUnavailable            no worker, or it disconnected during a request
    ├── EngineClosed
    ├── AmbiguousId                  a partial id matches several ids: kind, candidates
    ├── KeyReused                    the same key with a different request: key, task
    ├── NoSession                    no session to resume: executor, place
    ├── RunFailed                    a run failed: task, failure
    ├── RunCancelled                 a run was cancelled, or its task deleted: task
    ├── RunNotDriven                 a run has not ended, but no engine drives it: task, status
    └── ImpossibleTransition         a table has no such row (a bug, or a damaged log)

For programs, each class has a stable `code`, its facts as attributes, and `transient`, which says whether a later retry
may help. For people, `remedy` says what to do, and `str()` combines message and remedy.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform, get_origin

if TYPE_CHECKING:
    from aura_contracts.failures import Failure


@dataclass_transform(kw_only_default=True)
class _Fielded(Exception):
    """An exception whose annotated attributes are keyword arguments, as in a dataclass.

    A dataclass would compile an initialiser for each class, and every process would pay for all of them.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__()
        names = self.fields()
        missing = [name for name in names if name not in given and not hasattr(type(self), name)]
        if missing or given.keys() - set(names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}; it was given {', '.join(given)}")
        vars(self).update(given)

    @classmethod
    @cache
    def fields(cls) -> tuple[str, ...]:
        """Return the names of its arguments, those of its bases first."""
        hints = [hint for base in reversed(cls.__mro__) for hint in getattr(base, "__annotations__", {}).items()]
        return tuple(dict.fromkeys(name for name, hint in hints if get_origin(hint) is not ClassVar))


class AuraError(_Fielded):
    """Base of all of AURA's errors."""

    code: ClassVar[str] = "aura"
    """A stable name for programs, never renamed and never reused."""
    transient: ClassVar[bool] = False
    """Whether the same request may succeed later without changes."""
    remedy: str = ""

    def message(self) -> str:
        """Return what happened, without the remedy."""
        return type(self).__doc__ or self.code

    def facts(self) -> dict[str, Any]:
        """Return the error's facts by name, without the remedy, for programs and for ``--json``."""
        return {name: getattr(self, name) for name in self.fields() if name != "remedy"}

    def replaced(self, **facts: Any) -> Self:
        """Return a copy with other facts, or another remedy."""
        return type(self)(**{**self.facts(), "remedy": self.remedy, **facts})

    def __str__(self) -> str:
        return f"{self.message()}; {self.remedy}" if self.remedy else self.message()

    def __repr__(self) -> str:
        facts = {**self.facts(), "remedy": self.remedy}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in facts.items())})"

    def __reduce__(self) -> tuple[Callable[..., "AuraError"], tuple[Any, ...]]:
        """Support `pickle` and `copy`, which by default would call the class with positional arguments."""
        return _made_again, (type(self), {**self.facts(), "remedy": self.remedy}, self.__dict__)


def _made_again(kind: type[AuraError], fields: dict[str, Any], notes: dict[str, Any]) -> AuraError:
    error = kind(**fields)
    error.__dict__.update(notes)
    return error


# --- Input ------------------------------------------------------------------------------------------------------------


class InvalidInput(AuraError):
    """A value from outside was refused."""

    code = "invalid_input"
    field: str
    reason: str

    def message(self) -> str:
        return f"{self.field}: {self.reason}"


class InvalidId(InvalidInput):
    """A text is not an id."""

    code = "invalid_id"
    value: str
    reason: str = "not an id"
    remedy: str = "give a UUID such as 0192f0c1-2d3e-7abc-8def-0123456789ab"

    def message(self) -> str:
        return f"{self.field}: {self.value!r} is not an id"


class InvalidText(InvalidInput):
    """A text holds characters that no database can store: NUL or half of a surrogate pair."""

    code = "invalid_text"
    remedy: str = "remove the character; encode binary data as base64"


class NaiveDatetime(InvalidInput):
    """A time without a zone could mean any of 38 instants."""

    code = "naive_datetime"
    reason: str = "has no time zone"
    remedy: str = "use an aware datetime, for example datetime.now(UTC)"


class EventTooLarge(InvalidInput):
    """An event is larger than the log accepts; sizes are in bytes as stored."""

    code = "event_too_large"
    stream_id: str
    size: int
    limit: int
    reason: str = "event too large"
    remedy: str = "keep large content in a file or a git object and refer to it by name"

    def message(self) -> str:
        return f"{self.field} for stream {self.stream_id} takes {self.size} bytes; the limit is {self.limit}"


# --- Decisions --------------------------------------------------------------------------------------------------------


class CommandRefused(AuraError):
    """A command was refused; nothing was recorded."""

    code = "refused"
    aggregate: str
    aggregate_id: str
    command: str

    def message(self) -> str:
        return f"{self.command} on {self.aggregate} {self.aggregate_id} was refused"


class AggregateNotFound(CommandRefused):
    """A command was sent to an aggregate that does not exist."""

    code = "not_found"

    def message(self) -> str:
        return f"there is no {self.aggregate} {self.aggregate_id}"


class AggregateExists(CommandRefused):
    """The aggregate to create already exists."""

    code = "exists"

    def message(self) -> str:
        return f"{self.aggregate} {self.aggregate_id} already exists"


class TransitionRefused(CommandRefused):
    """The command is not possible in this state."""

    code = "wrong_state"
    status: str
    allowed_in: tuple[str, ...] = ()

    def message(self) -> str:
        allowed = f" (possible when {', '.join(self.allowed_in)})" if self.allowed_in else ""
        return f"{self.command} is not possible: {self.aggregate} {self.aggregate_id} is {self.status}{allowed}"


class ActorNotAllowed(CommandRefused):
    """This actor may not send the command."""

    code = "not_allowed"
    actor: str
    reason: str

    def message(self) -> str:
        return f"{self.actor} may not {self.command} {self.aggregate} {self.aggregate_id}: {self.reason}"


class RuleViolated(CommandRefused):
    """A rule of the domain forbids the command; `rule` is its stable name, for programs."""

    code = "rule_violated"
    rule: str
    reason: str

    def message(self) -> str:
        return f"{self.command} on {self.aggregate} {self.aggregate_id}: {self.reason}"


class CyclicParent(CommandRefused):
    """A task would become its own ancestor; `path` leads from the new parent back to the task."""

    code = "cyclic_parent"
    path: tuple[str, ...]
    remedy: str = "choose a parent that is not below this task"

    def message(self) -> str:
        return f"task {self.aggregate_id} would be its own ancestor: {' < '.join(self.path)}"


# --- Store ------------------------------------------------------------------------------------------------------------


class StoreError(AuraError):
    """The store could not complete the request."""

    code = "store"
    transient = True


class VersionConflict(StoreError):
    """The stream is not at the version that the caller expected; nothing of this append was stored."""

    code = "version_conflict"
    stream_id: str
    expected: int
    actual: int
    remedy: str = "reload the stream, decide again and append again"

    def message(self) -> str:
        return f"stream {self.stream_id} is at version {self.actual}, not at {self.expected}"


class StoreUnavailable(StoreError):
    """The database was locked or down for longer than `waited` seconds; nothing was acknowledged."""

    code = "store_unavailable"
    store: str
    reason: str
    waited: float
    attempts: int
    remedy: str = "restart the database or end the process that holds its lock, then retry"

    def message(self) -> str:
        return f"{self.store} did not answer for {self.waited:.1f} s ({self.attempts} attempts): {self.reason}"


class StoreFull(StoreError):
    """The disk is full. Nothing of this append was stored; everything acknowledged before is safe."""

    code = "store_full"
    store: str
    stream_id: str
    position: int
    reason: str
    remedy: str = "free space on the disk that holds the database, then append again"

    def message(self) -> str:
        return f"{self.store} is full at position {self.position}, stream {self.stream_id}: {self.reason}"


class StoreReadOnly(StoreError):
    """The database cannot be written, only read."""

    code = "store_read_only"
    store: str
    stream_id: str
    position: int
    reason: str
    remedy: str = "make the file and its folder writable, or connect to the primary server"

    def message(self) -> str:
        where = f" at position {self.position}, stream {self.stream_id}" if self.stream_id else ""
        return f"{self.store} is read-only{where}: {self.reason}"


class StoreClosed(StoreError):
    """The log was used after it was closed."""

    code = "store_closed"
    transient = False
    store: str
    remedy: str = "open the log again"

    def message(self) -> str:
        return f"{self.store} is closed"


class StoreMisconfigured(StoreError):
    """The log cannot be opened with these settings."""

    code = "store_misconfigured"
    transient = False
    store: str
    reason: str

    def message(self) -> str:
        return f"{self.store}: {self.reason}"


class LogDamaged(StoreError):
    """The stored bytes are not those that were written.

    `stream_id` is empty and `position` is 0 if the damage cannot be tied to one event.
    """

    code = "log_damaged"
    transient = False
    store: str = ""
    stream_id: str = ""
    position: int = 0
    reason: str = ""
    remedy: str = "keep the file as it is, restore the newest backup that `audit.verify()` accepts"

    def message(self) -> str:
        where = f"position {self.position}" if self.position else "the log"
        stream = f", stream {self.stream_id}" if self.stream_id else ""
        return f"{where}{stream}: {self.reason}"


class UnknownEventType(LogDamaged):
    """The log holds an event of a type that this program does not know."""

    code = "unknown_event_type"
    topic: str
    reason: str = "the event type is unknown"
    remedy: str = "open the log with the program that wrote it, or register the event type in the catalogue"

    def message(self) -> str:
        return f"{super().message()} ({self.topic})"


class NewerEventVersion(LogDamaged):
    """The log holds an event of a newer version than this program supports."""

    code = "newer_event_version"
    topic: str
    known: int
    found: int
    reason: str = "a newer program wrote this event"
    remedy: str = "upgrade AURA to the version that wrote this log, or newer"

    def message(self) -> str:
        return f"{super().message()} ({self.topic} in version {self.found}, known up to {self.known})"


class UndecodableEvent(LogDamaged):
    """The bytes of an event cannot be decoded as its type."""

    code = "undecodable_event"
    topic: str

    def message(self) -> str:
        return f"{super().message()} ({self.topic})"


class EventOutOfOrder(LogDamaged):
    """A stream has a gap, a duplicate, or an event that its state does not allow."""

    code = "event_out_of_order"


# --- Git --------------------------------------------------------------------------------------------------------------


class GitError(AuraError):
    """An operation on a repository failed."""

    code = "git"
    repository: str

    def message(self) -> str:
        return f"an operation on {self.repository} failed"


class GitUnavailable(GitError):
    """Git is not installed, or too old."""

    code = "git_unavailable"
    reason: str

    def message(self) -> str:
        return f"{self.repository} needs git: {self.reason}"


class NotARepository(GitError):
    """A folder does not exist or is not in a git repository."""

    code = "not_a_repository"
    remedy: str = "name a folder in a git repository, or create one with `git init`"

    def message(self) -> str:
        return f"{self.repository} is not in a git repository"


class UnknownRevision(GitError):
    """A revision does not name a commit."""

    code = "unknown_revision"
    revision: str
    remedy: str = "name a branch, a tag or a commit that the repository has; an empty repository needs a first commit"

    def message(self) -> str:
        return f"{self.repository} has no commit {self.revision!r}"


class InvalidBranchName(GitError):
    """Git does not accept the name for a branch."""

    code = "invalid_branch_name"
    branch: str
    remedy: str = "see git-check-ref-format(1) for valid branch names"

    def message(self) -> str:
        return f"{self.branch!r} is not a valid branch name"


class DirtyWorktree(GitError):
    """Uncommitted changes are in the way; nothing was touched."""

    code = "dirty_worktree"
    worktree: str
    paths: tuple[str, ...] = ()
    remedy: str = "commit or stash them, then try again"

    def message(self) -> str:
        shown = ", ".join(self.paths[:5]) + (f" and {len(self.paths) - 5} more" if len(self.paths) > 5 else "")
        return f"{self.worktree} has uncommitted changes in the way: {shown}"


class OperationInProgress(GitError):
    """An operation is in progress in a worktree; nothing was touched."""

    code = "operation_in_progress"
    worktree: str
    operation: str
    remedy: str = "finish or abort it, then try again"

    def message(self) -> str:
        return f"{self.worktree} has a {self.operation} in progress"


class MergeConflict(GitError):
    """Two changes conflict; nothing was touched."""

    code = "merge_conflict"
    source: str
    target: str
    paths: tuple[str, ...]
    remedy: str = "resolve the conflict on the task's branch, then merge again"

    def message(self) -> str:
        shown = ", ".join(self.paths[:5]) + (f" and {len(self.paths) - 5} more" if len(self.paths) > 5 else "")
        return f"{self.source} cannot be merged into {self.target}: {shown}"


class RefChanged(GitError):
    """A ref does not point where the caller expected; nothing was touched."""

    code = "ref_changed"
    transient = True
    ref: str
    expected: str | None
    actual: str | None
    remedy: str = "read the ref and decide again"

    def message(self) -> str:
        return f"{self.ref} is at {self.actual or 'nothing'}, not at {self.expected or 'nothing'}"


class BranchInUse(GitError):
    """A worktree has the branch checked out."""

    code = "branch_in_use"
    branch: str
    worktree: str
    remedy: str = "check something else out there, or remove that worktree"

    def message(self) -> str:
        return f"branch {self.branch} is checked out at {self.worktree}"


class WorktreeExists(GitError):
    """The path for a new worktree is taken."""

    code = "worktree_exists"
    path: str
    remedy: str = "move it out of the way"

    def message(self) -> str:
        return f"{self.path} already exists"


class GitTimeout(GitError):
    """Git did not answer within `seconds` and was killed."""

    code = "git_timeout"
    command: str
    seconds: float
    remedy: str = "look for a lock or a slow file system, then retry"

    def message(self) -> str:
        return f"`{self.command}` took longer than {self.seconds:g} s in {self.repository}"


class GitFailed(GitError):
    """Git refused or failed."""

    code = "git_failed"
    command: str
    reason: str

    def message(self) -> str:
        return f"`{self.command}` failed in {self.repository}: {self.reason}"


# --- Workspaces, processes, executors ---------------------------------------------------------------------------------


class WorkspaceError(AuraError):
    """A workspace could not be created, used or removed; `left_behind` names the leftovers."""

    code = "workspace"
    workspace_id: str
    path: str
    reason: str
    cleaned_up: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()

    def message(self) -> str:
        rest = f"; left behind: {', '.join(self.left_behind)}" if self.left_behind else ""
        return f"workspace {self.workspace_id} at {self.path}: {self.reason}{rest}"


class ProcessError(AuraError):
    """A process could not be run or reached."""

    code = "process"
    token: str
    reason: str

    def message(self) -> str:
        return self.reason


class ExecutableNotFound(ProcessError):
    """A program does not exist or is not executable."""

    code = "executable_not_found"
    executable: str
    remedy: str = "install it, or set its path with --executor-path NAME=PATH"

    def message(self) -> str:
        return f"{self.executable}: {self.reason}"


class WorkingDirectoryMissing(ProcessError):
    """The working directory of a process is gone."""

    code = "working_directory_missing"
    path: str
    remedy: str = "restore the folder, or recreate the workspace"

    def message(self) -> str:
        return f"{self.path}: {self.reason}"


class ProcessStartFailed(ProcessError):
    """A process could not be started."""

    code = "process_start_failed"


class ProcessGone(ProcessError):
    """A process has ended, or its standard input is closed."""

    code = "process_gone"


class UnknownExecutor(AuraError):
    """No executor of this name is installed."""

    code = "unknown_executor"
    name: str
    known: tuple[str, ...]

    def message(self) -> str:
        return f"there is no executor {self.name!r}; known: {', '.join(self.known) or 'none'}"


class TemplateError(AuraError):
    """A template cannot be rendered."""

    code = "template"
    template: str
    line: int
    reason: str

    def message(self) -> str:
        return f"template {self.template}, line {self.line}: {self.reason}"


class MissingVariable(TemplateError):
    """A template uses a variable without a value."""

    code = "missing_variable"
    variable: str
    remedy: str = "set it with --var NAME=VALUE, or correct the template"

    def message(self) -> str:
        return f"template {self.template}, line {self.line}: {self.variable} has no value: {self.reason}"


# --- Engine and worker ------------------------------------------------------------------------------------------------


class ProtocolError(AuraError):
    """Engine and worker disagree about the protocol."""

    code = "protocol"
    reason: str

    def message(self) -> str:
        return self.reason


class LocalProtocolError(ProtocolError):
    """This side violated the protocol, or was about to: a bug here, or a message too large for a frame.

    Blame is relative: sent to the other side, this error arrives as `RemoteProtocolError`, and the reverse.
    """

    code = "local_protocol"


class FrameTooLarge(LocalProtocolError):
    """A message exceeds the size of a frame and was not sent; sizes are in bytes."""

    code = "frame_too_large"
    size: int
    limit: int


class RemoteProtocolError(ProtocolError):
    """The other side violated the protocol: not JSON-RPC, wrong parameters, or a step out of order."""

    code = "remote_protocol"


class UnknownMethod(ProtocolError):
    """A request names a method that this side does not have."""

    code = "unknown_method"
    method: str


class RemoteError(AuraError):
    """The other side failed with an error unknown to this side; `remote_code` and `details` come from there."""

    code = "remote"
    remote_code: str
    reason: str
    details: Mapping[str, Any]

    def message(self) -> str:
        return self.reason


class WorkerUnavailable(AuraError):
    """There is no worker, or it disconnected during a request; the request may or may not have been carried out."""

    code = "worker_unavailable"
    transient = True
    reason: str
    remedy: str = "repeat the request when the worker is back; this is safe"

    def message(self) -> str:
        return self.reason


class EngineClosed(AuraError):
    """The engine was used after it was closed."""

    code = "engine_closed"
    remedy: str = "open it again"


class AmbiguousId(AuraError):
    """A partial id matches several ids."""

    code = "ambiguous_id"
    kind: str
    text: str
    candidates: tuple[str, ...]
    remedy: str = "give more of the id"

    def message(self) -> str:
        return f"{self.text!r} matches several {self.kind or 'aggregate'} ids: {', '.join(self.candidates)}"


class KeyReused(AuraError):
    """A key was used again with a different request."""

    code = "key_reused"
    key: str
    task_id: str
    remedy: str = "use a new key for a new request, or repeat the same request"

    def message(self) -> str:
        return f"key {self.key!r} belongs to task {self.task_id}, which was started with a different request"


class NoSession(AuraError):
    """An agent has no session to resume."""

    code = "no_session"
    executor: str
    place: str
    remedy: str = "start without it, or name one of the sessions in the list of sessions"

    def message(self) -> str:
        return f"no run of {self.executor} in {self.place} has a session"


class RunFailed(AuraError):
    """A run failed; `failure` has the details."""

    code = "run_failed"
    task_id: str
    reason: str
    """A `FailureReason`."""
    problem: str = ""
    stage: str = ""
    exit_code: int = 0
    """Of the failed process; 0 if there was none."""
    signal: int = 0
    """The signal that ended the process; 0 if there was none."""

    @classmethod
    def of(cls, task_id: str, failure: "Failure") -> "RunFailed":
        """Return the error for a failed task."""
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
        """The failure as the task records it."""
        from aura_contracts.failures import Failure, FailureReason  # noqa: PLC0415 - msgspec, which not all need

        reason = FailureReason(self.reason)
        return Failure(reason, self.problem, self.stage, self.exit_code or None, self.signal or None)

    def message(self) -> str:
        stage = f" in {self.stage}" if self.stage else ""
        ended = f" (exit code {self.exit_code})" if self.exit_code else ""
        ended += f" (signal {self.signal})" if self.signal else ""
        problem = f": {self.problem}" if self.problem else ""
        return f"task {self.task_id} failed: {self.reason}{stage}{ended}{problem}"


class RunCancelled(AuraError):
    """A run was cancelled, or its task deleted."""

    code = "run_cancelled"
    task_id: str
    status: str

    def message(self) -> str:
        return f"task {self.task_id} is {self.status}"


class RunNotDriven(AuraError):
    """A run has neither ended nor waits for a human, but no engine drives it: its engine died, or it was not started.

    Nothing is lost. An engine that resumes the run continues where the last one stopped.
    """

    code = "run_not_driven"
    transient = True
    task_id: str
    status: str
    remedy: str = "resume it, or open an engine that drives all tasks"

    def message(self) -> str:
        return f"task {self.task_id} is {self.status}, and no engine drives it"


class ImpossibleTransition(AuraError):
    """A transition table has no row for an event in the current status."""

    code = "impossible_transition"
    aggregate: str
    status: str
    event: str

    def message(self) -> str:
        return f"{self.aggregate}: no transition from {self.status or 'nothing'} by {self.event}"


def require_aware(value: datetime, field: str) -> datetime:
    """Return `value`. Raises `NaiveDatetime`, naming `field`, if it has no time zone."""
    if value.utcoffset() is None:
        raise NaiveDatetime(field=field)
    return value


def require_text(text: str, field: str) -> str:
    """Return `text`. Raises `InvalidText` if it holds what databases cannot store."""
    if "\0" in text:
        raise InvalidText(field=field, reason="holds a NUL character, which databases cannot store")
    try:
        text.encode()
    except UnicodeEncodeError:
        reason = "holds half of a surrogate pair, which is not a character"
        raise InvalidText(field=field, reason=reason) from None
    return text
