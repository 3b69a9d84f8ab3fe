"""Failures: the closed list of reasons why an execution or a task fails, and which of them a retry may cure."""

from enum import StrEnum

import msgspec


class FailureReason(StrEnum):
    """Why an execution or a task failed. The values come from the specification, are stored, and never change."""

    WORKER_LOST = "WorkerLost"
    """The worker was silent for longer than the offline timeout (15 s) and did not return in time."""
    STAGE_ERROR = "StageError"
    """The script or agent of a stage ended with an error."""
    AGENT_ERROR = "AgentError"
    """The agent reported a failure, or its output was invalid."""
    RATE_LIMITED = "RateLimited"
    AUTHENTICATION = "Authentication"
    REFUSED = "Refused"
    """The agent declined the task."""
    PERMISSION_DENIED = "PermissionDenied"
    """The agent changed nothing because it lacked permission."""
    SESSION_LOST = "SessionLost"
    """The agent cannot resume the session, or does not know it."""
    TIMEOUT = "Timeout"
    """A wall-clock or idle limit was reached."""
    CANCELLED = "Cancelled"
    APPROVAL_EXPIRED = "ApprovalExpired"
    """The deadline passed without a decision, which means no."""
    APPROVAL_REJECTED = "ApprovalRejected"
    CONFLICT = "Conflict"
    """Two agents changed the same resource; a human decides."""
    WORKSPACE_ERROR = "WorkspaceError"
    STORE_UNAVAILABLE = "StoreUnavailable"
    EXECUTABLE_NOT_FOUND = "ExecutableNotFound"
    """The agent is not installed, or not on the path."""
    DEPENDENCY_FAILED = "DependencyFailed"
    """A task that had to complete first failed, or was cancelled."""
    PART_FAILED = "PartFailed"
    """A part of the task failed, and `on_part_failure` is ``fail``."""
    OUTPUT_LIMIT = "OutputLimit"
    """The process wrote more than its output limit."""
    STORAGE_FULL = "StorageFull"
    """The process's output could not be stored: the disk was full, or its folder was removed."""
    EXPRESSION_ERROR = "ExpressionError"
    """An expression or template of a workflow could not be evaluated, or its value does not fit."""
    LIMIT_REACHED = "LimitReached"
    """A loop of a workflow had all its rounds, or a list has more items than permitted."""


RETRYABLE = frozenset(
    {
        FailureReason.WORKER_LOST,
        FailureReason.STAGE_ERROR,
        FailureReason.AGENT_ERROR,
        FailureReason.RATE_LIMITED,
        FailureReason.SESSION_LOST,
        FailureReason.TIMEOUT,
        FailureReason.WORKSPACE_ERROR,
        FailureReason.STORE_UNAVAILABLE,
    }
)
"""Failures that a retry may cure; all others need a human."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """A reason with details. `exit_code` and `signal` are those of the process, if there was one."""

    reason: FailureReason
    message: str = ""
    stage: str = ""
    exit_code: int | None = None
    signal: int | None = None
    lasting: bool = False
    """Whether the cause is known to last until a human removes it, although the reason alone would allow a retry."""
    work_done: bool = False
    """Whether the agent had done its work, which could not be collected: a retry does not run it again."""

    @property
    def retryable(self) -> bool:
        """Whether a retry may succeed without a human."""
        return self.reason in RETRYABLE and not self.lasting
