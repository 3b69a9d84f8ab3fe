"""Failures: what an error means for the run that it ends, and for its task."""

from aura_contracts.errors import (
    AuraError,
    ExecutableNotFound,
    ExpressionError,
    GitError,
    InvalidInput,
    Recovery,
    SessionElsewhere,
    TemplateError,
    UnknownExecutor,
    WorkingDirectoryMissing,
    WorkspaceError,
)
from aura_contracts.execution import FailExecution
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.quoting import bounded
from aura_contracts.task import FailTask
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import UnitOfWork

_REASONS: tuple[tuple[tuple[type[AuraError], ...], FailureReason], ...] = (
    ((ExpressionError,), FailureReason.EXPRESSION_ERROR),
    ((ExecutableNotFound,), FailureReason.EXECUTABLE_NOT_FOUND),
    ((SessionElsewhere,), FailureReason.SESSION_LOST),
    ((GitError, WorkspaceError, WorkingDirectoryMissing), FailureReason.WORKSPACE_ERROR),
    ((InvalidInput, TemplateError, UnknownExecutor), FailureReason.REFUSED),
)


def failure_from_error(error: AuraError, stage: str = "") -> Failure:
    """Return the failure of a stage that `error` has ended; the message is bounded, and says the remedy too."""
    reason = next((reason for kinds, reason in _REASONS if isinstance(error, kinds)), FailureReason.STAGE_ERROR)
    return Failure(reason, bounded(str(error)), stage, lasting=error.recovery is Recovery.HUMAN)


async def fail(unit: UnitOfWork, view: View, failure: Failure) -> None:
    """Fail a task, and its execution if that still runs."""
    if view.execution is not None and view.execution.running:
        await unit.handle(view.execution.id, FailExecution(failure=failure))
    await unit.handle(view.task.id, FailTask(failure=failure))
