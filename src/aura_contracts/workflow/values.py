"""The values of workflows: see `aura_contracts.workflow`."""

from enum import StrEnum
from typing import Any

import msgspec

from aura_contracts.failures import Failure
from aura_contracts.ids import ApprovalId, TaskId
from aura_contracts.task import AgentType


class WorkflowStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    FAILED = "failed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    FAILED = "failed"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


OVER = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
"""The step statuses in which dependent steps may start."""


class StepType(StrEnum):
    AGENT_TASK = "agent_task"
    """A task for an agent, made from the step's template."""
    HUMAN_APPROVAL = "human_approval"
    """A question to a human; the workflow continues once it is approved."""
    CONDITIONAL = "conditional"
    """A choice between two branches, by a condition over the workflow's context."""
    PARALLEL = "parallel"
    """A group of steps that run at the same time; over when all of them are."""


class StepConfig(msgspec.Struct, frozen=True, gc=False):
    """Settings that only some types of steps need. Steps are referred to by id."""

    condition: str = ""
    """A template expression that evaluates to true or false (conditional)."""
    then: tuple[str, ...] = ()
    """The steps of the branch to take when the condition is true (conditional)."""
    otherwise: tuple[str, ...] = ()
    """The steps of the branch to take when it is false (conditional)."""
    children: tuple[str, ...] = ()
    """The steps of the group (parallel)."""
    options: dict[str, Any] = {}
    """Anything for the runner of the step, such as the executor."""

    @property
    def contained(self) -> tuple[str, ...]:
        """The steps that only this one can start."""
        return (*self.children, *self.then, *self.otherwise)


class StepDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The definition of a step."""

    id: str
    """A single word, unique within the workflow."""
    type: StepType
    agent_type: AgentType | None = None
    task_template: str = ""
    """The text of the task: a template over the workflow's context (agent_task)."""
    requires_approval: bool = False
    """A human must approve before the step completes (agent_task; human_approval always has one)."""
    dependencies: tuple[str, ...] = ()
    """Ids of the steps that must be over before this one starts."""
    config: StepConfig = StepConfig()


class WorkflowDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The definition of a workflow."""

    name: str
    description: str = ""
    steps: tuple[StepDefinition, ...]
    context: dict[str, Any] = {}
    project: str | None = None


class WorkflowStep(StepDefinition, frozen=True, kw_only=True, gc=False):
    """A step and its progress."""

    status: StepStatus
    attempts: int = 0
    """The number of times it was started."""
    task_id: TaskId | None = None
    """The task of the last attempt (agent_task)."""
    approval_id: ApprovalId | None = None
    """The latest approval requested in this attempt."""
    approved: bool = False
    """Whether that approval was granted."""
    result: dict[str, Any] | None = None
    outcome: bool | None = None
    """The result of the condition (conditional)."""
    failure: Failure | None = None
    reason: str = ""
    """Why it was skipped."""
