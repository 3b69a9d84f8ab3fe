"""Errors of running agents, and of the engine that does."""

from typing import TYPE_CHECKING

from aura_contracts.errors.base import AuraError, Recovery

if TYPE_CHECKING:
    from aura_contracts.failures import Failure


class ProcessError(AuraError, code="process"):
    """A process could not be run or reached."""

    summary = "{reason}"
    token: str
    reason: str


class ExecutableNotFound(ProcessError, code="executable_not_found"):
    """A program does not exist or is not executable."""

    summary = "{executable}: {reason}"
    executable: str
    remedy: str = "install it, or set its path with --executor-path NAME=PATH"


class WorkingDirectoryMissing(ProcessError, code="working_directory_missing"):
    """The working directory of a process is gone."""

    summary = "{path}: {reason}"
    path: str
    remedy: str = "restore the folder, or recreate the workspace"


class ProcessStartFailed(ProcessError, code="process_start_failed"):
    """A process could not be started."""


class ProcessGone(ProcessError, code="process_gone"):
    """A process has ended, or its standard input is closed."""


class UnknownExecutor(AuraError, code="unknown_executor"):
    """No executor of this name is installed."""

    name: str
    known: tuple[str, ...]

    def message(self) -> str:
        return f"there is no executor {self.name!r}; known: {', '.join(self.known) or 'none'}"


class TemplateError(AuraError, code="template"):
    """A template cannot be rendered."""

    summary = "template {template}, line {line}: {reason}"
    template: str
    line: int
    reason: str


class MissingVariable(TemplateError, code="missing_variable"):
    """A template uses a variable without a value."""

    summary = "template {template}, line {line}: {variable} has no value: {reason}"
    variable: str
    remedy: str = "set it with --var NAME=VALUE, or correct the template"


class EngineClosed(AuraError, code="engine_closed"):
    """The engine was used after it was closed."""

    summary = "the engine is closed"
    remedy: str = "open it again"


class AmbiguousId(AuraError, code="ambiguous_id"):
    """A partial id matches several ids."""

    kind: str
    text: str
    candidates: tuple[str, ...]
    remedy: str = "give more of the id"

    def message(self) -> str:
        return f"{self.text!r} matches several {self.kind or 'aggregate'} ids: {', '.join(self.candidates)}"


class KeyReused(AuraError, code="key_reused"):
    """A key was used again with a different request."""

    summary = "key {key!r} belongs to {aggregate} {aggregate_id}, which was started with a different request"
    key: str
    aggregate: str
    """``task`` or ``workflow``."""
    aggregate_id: str
    remedy: str = "use a new key for a new request, or repeat the same request"


class NoSession(AuraError, code="no_session"):
    """An agent has no session to resume."""

    summary = "no run of {executor} in {place} has a session"
    executor: str
    place: str
    remedy: str = "start without it, or name one of the sessions in the list of sessions"


class SessionBusy(AuraError, code="session_busy"):
    """Another run works in the session of an agent. The run that would resume it waits for its turn."""

    summary = "the session {session} of {executor} is in use by task {task_id}"
    recovery = Recovery.LATER
    session: str
    executor: str
    task_id: str
    """The task whose turn it is."""
    remedy: str = "wait until that task is done with it, cancel that task, or start this one with --fork"


class SessionElsewhere(AuraError, code="session_elsewhere"):
    """An agent would resume a session in the folder that it began in, and not where it should work."""

    summary = "{executor} would resume session {session} in the folder where that began"
    session: str
    executor: str
    remedy: str = "begin a new session"


class RunFailed(AuraError, code="run_failed"):
    """A run failed; `failure` has the details."""

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


class RunCancelled(AuraError, code="run_cancelled"):
    """A run was cancelled, or its task deleted."""

    summary = "task {task_id} is {status}"
    task_id: str
    status: str


class RunNotDriven(AuraError, code="run_not_driven"):
    """A run has neither ended nor waits for a human, but no engine drives it: its engine died, or it was not started.

    Nothing is lost. An engine that resumes the run continues where the last one stopped.
    """

    summary = "task {task_id} is {status}, and no engine drives it"
    recovery = Recovery.LATER
    task_id: str
    status: str
    remedy: str = "resume it, or open an engine that drives all tasks"
