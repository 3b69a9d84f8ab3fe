"""Why an execution or a task failed: the closed list of reasons, each with what it means for a retry."""

from enum import StrEnum

import msgspec


class FailureReason(StrEnum):
    """The values are the words of the specification and are stored; they never change."""

    WORKER_LOST = "WorkerLost"
    """The worker was silent for longer than the offline timeout (15 s) and did not come back in time."""
    STAGE_ERROR = "StageError"
    """A stage's script or agent ended with an error."""
    AGENT_ERROR = "AgentError"
    """The agent reported a failure, or its output was invalid."""
    RATE_LIMITED = "RateLimited"
    AUTHENTICATION = "Authentication"
    REFUSED = "Refused"
    """The agent declined the task."""
    PERMISSION_DENIED = "PermissionDenied"
    """The agent changed nothing, because it was not permitted to."""
    SESSION_LOST = "SessionLost"
    """The agent does not know, or cannot go on with, the session that it was to resume."""
    TIMEOUT = "Timeout"
    """A wall-clock or idle limit was reached."""
    CANCELLED = "Cancelled"
    APPROVAL_EXPIRED = "ApprovalExpired"
    """Nobody decided before the deadline; silence is no."""
    APPROVAL_REJECTED = "ApprovalRejected"
    CONFLICT = "Conflict"
    """Two agents changed the same resource; a human decides."""
    WORKSPACE_ERROR = "WorkspaceError"
    STORE_UNAVAILABLE = "StoreUnavailable"
    EXECUTABLE_NOT_FOUND = "ExecutableNotFound"
    """The agent is not installed, or not on the path."""
    DEPENDENCY_FAILED = "DependencyFailed"
    """A task that had to complete first failed, or was cancelled."""
    OUTPUT_LIMIT = "OutputLimit"
    """The process wrote more than is kept of one execution."""
    STORAGE_FULL = "StorageFull"
    """There was no room left for what the process wrote."""


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
"""Failures that may pass by themselves; the others need a human."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """A reason with its particulars. `exit_code` and `signal` are those of the process, where there was one."""

    reason: FailureReason
    message: str = ""
    stage: str = ""
    exit_code: int | None = None
    signal: int | None = None

    @property
    def retryable(self) -> bool:
        """Whether trying again may help without a human."""
        return self.reason in RETRYABLE
