"""Outcome: the exit code of a run, and its error if it failed. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from aura_cli._exit_codes import DONE, FAILED
from aura_contracts.errors import AuraError, RunCancelled, RunFailed
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.task import Task, TaskStatus

_ITS_OWN = frozenset(
    {
        FailureReason.AGENT_ERROR,
        FailureReason.STAGE_ERROR,
        FailureReason.RATE_LIMITED,
        FailureReason.AUTHENTICATION,
        FailureReason.REFUSED,
    }
)
"""Failure reasons for which the agent ended by itself, rather than being ended by AURA."""

_REMEDIES: Mapping[FailureReason, str] = MappingProxyType(
    {
        FailureReason.AUTHENTICATION: "log in to the agent, then: {retry}",
        FailureReason.RATE_LIMITED: "wait a while, then: {retry}",
        FailureReason.TIMEOUT: "allow more time with --timeout or --idle-timeout",
        FailureReason.EXECUTABLE_NOT_FOUND: "install the agent, or pass --executor-path; see `aura executors`",
        FailureReason.REFUSED: "change the prompt or the options",
        FailureReason.APPROVAL_EXPIRED: "ask again: {retry}",
        FailureReason.STORAGE_FULL: "free disk space, or put AURA_HOME back, then: {retry}",
        FailureReason.OUTPUT_LIMIT: "make the agent write less output",
    }
)


def outcome_of(task: Task, exit: tuple[int | None, int | None] | None) -> tuple[int, AuraError | None]:
    """Return the exit code and the error to show. `exit` is how the agent's last process ended, if there was one.

    For a command, a task that waits for a human counts as done, and a cancelled one as failed.
    """
    match task.status:
        case TaskStatus.FAILED if task.failure is not None:
            return _code_of(task.failure, exit), _error_of(task, task.failure)
        case status if task.ended and status is not TaskStatus.COMPLETED:
            return FAILED, RunCancelled(task_id=task.id, status=status)
        case _:
            return DONE, None


def _code_of(failure: Failure, exit: tuple[int | None, int | None] | None) -> int:
    """Return the agent's exit code, or 128 plus its signal; 1 if the agent was not the reason."""
    if failure.reason not in _ITS_OWN or not (failure.stage.startswith("Coding") or not failure.stage):
        return FAILED
    code, signal = failure.exit_code, failure.signal
    if code is None and signal is None and exit is not None:
        code, signal = exit
    if signal is not None:
        return 128 + signal
    return code or FAILED


def _error_of(task: Task, failure: Failure) -> RunFailed:
    retry = f"aura task retry {task.id}"
    remedy = _REMEDIES.get(failure.reason, "read its output above, then: {retry}").format(retry=retry)
    return RunFailed.of(task.id, failure).replaced(remedy=remedy)
