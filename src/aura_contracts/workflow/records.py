"""The values of workflows that run: see `aura_contracts.workflow`."""

from typing import Any

import msgspec

from aura_contracts.events import Instant
from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.workflow.values import StepStatus


class ParentStep(msgspec.Struct, frozen=True, gc=False):
    """The step of another workflow that a workflow is."""

    workflow_id: WorkflowId
    step_id: str
    """Its address."""


class Signal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message to a workflow, which a `WaitStep` may consume."""

    name: str
    data: Any = None
    key: str | None = None
    """The sender's own key: the same key is the same signal."""
    received_at: Instant


class WorkflowStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A step as it runs: its progress. It exists from the moment on at which the block begins that it is in."""

    id: str
    """Its address: the id of its definition after the items and rounds around it, ``each[2]/check``."""
    status: StepStatus
    parent: str | None = None
    """The address of the step that it is in, as a member, handler or compensation; None at the top level."""
    attempts: int = 0
    """The number of times it was started; it never decreases, so ids that are derived from it do not come twice."""
    retries: int = 0
    """The attempts of its retry policy that are used up."""
    decided: bool = False
    """Whether its `when` was found to be true."""
    task_id: TaskId | None = None
    """The task of the last attempt (agent_task, command)."""
    approval_id: ApprovalId | None = None
    """The latest approval requested in this attempt."""
    child_id: WorkflowId | None = None
    """The sub-workflow of the last attempt."""
    approved: bool = False
    """Whether that approval was granted."""
    result: Any = None
    """Its output, once completed."""
    outcome: int | None = None
    """The chosen case of a conditional, counted from 0; that of `otherwise` is the number of cases."""
    items: tuple[Any, ...] | None = None
    """The items of a for_each; None until they are known."""
    begun: int = 0
    """The number of items of a for_each that have begun: always the first ones."""
    round: int = 0
    """The round of a loop, from 1."""
    done: bool | None = None
    """Whether the condition of a loop held after this round; None until that is known."""
    handled: bool = False
    """Whether its handler has completed in its place."""
    failure: Failure | None = None
    """Why its last attempt failed, or will have failed once it is cancelled."""
    ends_as: StepStatus | None = None
    """What it becomes after `StepStatus.CANCELLING`: cancelled, failed or skipped."""
    reason: str = ""
    """Why it was skipped or cancelled."""
    because: tuple[str, ...] = ()
    """The addresses of the steps because of which it was skipped or cancelled; retrying one of them resets it too."""
    number: int = 0
    """The place among the completed steps of the workflow, from 1; compensation goes backwards."""
    started_at: Instant | None = None
    """When its last attempt was started."""
    ended_at: Instant | None = None
    """When its last attempt ended, even if its handler still runs."""
    due_at: Instant | None = None
    """When the wait is over, or the pause before the next attempt."""
    times_out_at: Instant | None = None
    """When the attempt has run too long; None while that stands still."""
    time_left: float | None = None
    """Seconds that the attempt may still run, while that stands still."""

    @property
    def definition_id(self) -> str:
        """The id of its definition."""
        return self.id.rpartition("/")[2]

    @property
    def prefix(self) -> str:
        """The items and rounds around it, ``each[2]/``."""
        return self.id[: self.id.rfind("/") + 1]
