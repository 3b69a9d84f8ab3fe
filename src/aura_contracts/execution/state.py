"""The state of executions: see `aura_contracts.execution`."""

from datetime import datetime

from aura_contracts.actors import Actor
from aura_contracts.aggregate import State
from aura_contracts.entries import Usage
from aura_contracts.execution.values import (
    RUNNING_STAGES,
    ExecutionSpec,
    ExecutionStatus,
    Outcome,
    ProcessToken,
    SupervisedProcess,
)
from aura_contracts.failures import Failure
from aura_contracts.ids import ExecutionId, LeaseId, WorkerId


class Execution(ExecutionSpec, State, frozen=True, kw_only=True):
    """The state of an execution. Times are aware, and None until they happen."""

    id: ExecutionId
    status: ExecutionStatus
    queued_by: Actor
    queued_at: datetime
    lease_id: LeaseId | None = None
    epoch: int = 0
    """The fencing epoch of the lease; 0 before the first grant."""
    worker_id: WorkerId | None = None
    fork: bool = False
    """Whether to resume a copy of the session, because the original belongs to another run."""
    dropped_session_id: str | None = None
    """The session that could not be resumed, until the agent names another."""
    attempts: dict[str, int] = {}
    """Stage -> attempts since it was last entered, counting from 1."""
    retry_at: datetime | None = None
    """When the current stage starts again; None while it runs."""
    failure: Failure | None = None
    """Why the last attempt, or the execution, failed."""
    follow_ups: int = 0
    feedback: str | None = None
    """The latest feedback from the review."""
    processes: tuple[SupervisedProcess, ...] = ()
    """Processes that were started and are not known to have exited; after the end, those to interrupt."""
    interrupted: bool = False
    """Whether the current stage was asked to stop."""
    outcome: Outcome | None = None
    """The changes that coding left in the workspace, from the last coding stage that changed anything."""
    permissions_asked: int = 0
    """The number of permissions that its agents asked for."""
    usage: Usage = Usage()
    cpu_seconds: float = 0.0
    peak_memory: int = 0
    """Bytes, of the largest process."""
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
        """The token of the process for this attempt at this stage."""
        return ProcessToken(self.id, self.status, self.follow_ups, self.attempt)
