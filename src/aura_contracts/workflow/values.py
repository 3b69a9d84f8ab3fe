"""The values of workflows: see `aura_contracts.workflow`."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec

from aura_contracts.approval import Level, OnExpiry
from aura_contracts.failures import RETRYABLE, FailureReason
from aura_contracts.plain_data import Plain
from aura_contracts.task import AgentType, Priority


class WorkflowStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    """It ends once nothing runs any more."""
    COMPENSATING = "compensating"
    """What its completed steps did is undone, in reverse order; then it is failed or cancelled."""
    FAILED = "failed"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    AWAITING_APPROVAL = "awaiting_approval"
    RETRYING = "retrying"
    """An attempt failed, and the pause before the next one is not over."""
    HANDLING = "handling"
    """It failed for good, and its handler runs in its place."""
    CANCELLING = "cancelling"
    """What it started is being cancelled; then it is cancelled, failed (timeout) or skipped, as `ends_as` says."""
    FAILED = "failed"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


OVER = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.CANCELLED})
"""The statuses in which a step has ended, whatever its definition says; a failure is over if it is tolerated."""


LIVE = frozenset(
    {
        StepStatus.RUNNING,
        StepStatus.AWAITING_APPROVAL,
        StepStatus.RETRYING,
        StepStatus.HANDLING,
        StepStatus.CANCELLING,
    }
)
"""The statuses between start and end."""


class StepType(StrEnum):
    AGENT_TASK = "agent_task"
    HUMAN_APPROVAL = "human_approval"
    CONDITIONAL = "conditional"
    PARALLEL = "parallel"
    FOR_EACH = "for_each"
    LOOP = "loop"
    WORKFLOW = "workflow"
    WAIT = "wait"
    COMMAND = "command"
    END = "end"


CONTAINERS = frozenset({StepType.CONDITIONAL, StepType.PARALLEL, StepType.FOR_EACH, StepType.LOOP})
"""The types that consist of steps; nothing outside the workflow runs for them."""

OUTSIDE = frozenset({StepType.AGENT_TASK, StepType.COMMAND, StepType.HUMAN_APPROVAL, StepType.WORKFLOW})
"""The types for which something runs outside the workflow: a task, an approval, a sub-workflow."""


class Join(StrEnum):
    """When a step starts, by how the steps ended that it depends on; and how a container ends, by its members."""

    ALL_SUCCEEDED = "all_succeeded"
    ALL_DONE = "all_done"
    ANY_SUCCEEDED = "any_succeeded"
    N_OF = "n_of"
    FIRST = "first"
    """As `N_OF`, and the others are cancelled."""


class OnStepFailure(StrEnum):
    """What a failure for good means for the steps after it."""

    FAIL = "fail"
    """They wait until a human retries or skips it."""
    CONTINUE = "continue"
    """It is over, and their joins decide."""


class OnWorkflowFailure(StrEnum):
    ASK = "ask"
    """A human may retry or skip the step; to cancel the workflow compensates."""
    COMPENSATE = "compensate"
    """What completed is compensated at once, and that is final."""


class StepRecovery(StrEnum):
    """What happens to a command whose process was lost in the middle: how far it had come is unknown."""

    RERUN = "rerun"
    SKIP = "skip"
    ASK = "ask"


class StepRetry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How often and how soon a step is tried again, and after which failures.

    The pause before attempt n + 1 is ``pause * factor ** (n - 1)`` seconds, at most `longest`.
    """

    attempts: int = 1
    pause: float = 1.0
    factor: float = 2.0
    longest: float = 3600.0
    on: tuple[FailureReason, ...] = tuple(sorted(RETRYABLE))


# --- What each type of step does --------------------------------------------------------------------------------------
# Expressions and templates are those of `aura_engine.orchestration.expressions`.


class AgentTaskStep(msgspec.Struct, frozen=True, kw_only=True, tag="agent_task", gc=False):
    """A task for an agent."""

    task_template: str
    """The template of the task's text."""
    agent_type: AgentType | None = None
    requires_approval: bool = False
    """A human must approve before the step completes; otherwise policies decide."""
    output: dict[str, Any] | None = None
    """The JSON Schema of what the agent has to answer with."""
    options: dict[str, Any] = {}
    """Options of the task: executor, repositories, ... as `engine.tasks.create` and `engine.run` name them."""


class ApprovalStep(msgspec.Struct, frozen=True, kw_only=True, tag="human_approval", gc=False):
    """A question to humans."""

    question: str
    """The template of the question's text."""
    reviewers: tuple[str, ...] = ()
    """Names of those who may decide besides the one who started the workflow."""
    quorum: int = 1
    levels: tuple[Level, ...] = ()
    choices: tuple[str, ...] = ()
    no_self_approval: bool = False
    deadline: float | None = None
    """Seconds from the question on; a pause does not stop them."""
    on_expiry: OnExpiry = OnExpiry.DENY


class Case(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A branch of a choice."""

    when: str
    steps: "tuple[StepDefinition, ...]"


class ConditionalStep(msgspec.Struct, frozen=True, kw_only=True, tag="conditional", gc=False):
    """A choice: the first case whose condition is true, else `otherwise`."""

    cases: tuple[Case, ...]
    otherwise: "tuple[StepDefinition, ...]" = ()


class ParallelStep(msgspec.Struct, frozen=True, kw_only=True, tag="parallel", gc=False):
    """A group of steps that run at the same time, as far as their dependencies allow."""

    steps: "tuple[StepDefinition, ...]"
    join: Join = Join.ALL_SUCCEEDED
    n: int | None = None


class ForEachStep(msgspec.Struct, frozen=True, kw_only=True, tag="for_each", gc=False):
    """The same steps for each item of a list that is known only when the step starts."""

    items: str
    """The expression of the list."""
    steps: "tuple[StepDefinition, ...]"
    limit: int = 100
    """The most items that the list may have; more fail the step."""
    concurrency: int | None = None
    """The most items that are worked on at a time."""
    join: Join = Join.ALL_SUCCEEDED
    n: int | None = None


class LoopStep(msgspec.Struct, frozen=True, kw_only=True, tag="loop", gc=False):
    """The same steps again until a condition holds after them."""

    steps: "tuple[StepDefinition, ...]"
    until: str
    limit: int
    """The most rounds; without the condition after the last one the step fails."""


class SubWorkflowStep(msgspec.Struct, frozen=True, kw_only=True, tag="workflow", gc=False):
    """Another workflow, with an id and a result of its own."""

    workflow: str
    """The name of a stored definition, ``build`` or ``build@3``."""
    inputs: dict[str, Any] = {}
    """Its inputs; texts are templates."""


class WaitStep(msgspec.Struct, frozen=True, kw_only=True, tag="wait", gc=False):
    """A wait for one of: a time, an instant, a signal."""

    seconds: float | None = None
    until: str = ""
    """The template of an instant."""
    signal: str = ""
    """The name of a signal; also one that came before. Of several waits for it, the one that began first has it."""


class CommandStep(msgspec.Struct, frozen=True, kw_only=True, tag="command", gc=False):
    """A script in a workspace, without an agent."""

    run: str
    """The template of the script, for ``sh -c``."""
    recovery: StepRecovery = StepRecovery.ASK
    output: dict[str, Any] | None = None
    """The JSON Schema of the last line of its standard output."""
    options: dict[str, Any] = {}
    """As of an `AgentTaskStep`, without executor."""


class EndStep(msgspec.Struct, frozen=True, kw_only=True, tag="end", gc=False):
    """The end of the whole workflow: what still runs is cancelled."""

    status: WorkflowStatus = WorkflowStatus.COMPLETED
    """`COMPLETED` or `FAILED`."""
    reason: str = ""


StepConfig = (
    AgentTaskStep
    | ApprovalStep
    | ConditionalStep
    | ParallelStep
    | ForEachStep
    | LoopStep
    | SubWorkflowStep
    | WaitStep
    | CommandStep
    | EndStep
)


class StepDefinition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The definition of a step."""

    id: str
    """A single word, unique within the whole definition."""
    config: StepConfig
    title: str = ""
    dependencies: tuple[str, ...] = ()
    """Ids of steps of the same block."""
    join: Join = Join.ALL_SUCCEEDED
    n: int | None = None
    """For `Join.N_OF` and `Join.FIRST`."""
    when: str = ""
    """A condition, evaluated once the join holds: without it the step is skipped."""
    retry: StepRetry = StepRetry()
    timeout: float | None = None
    """Seconds that an attempt may run; they stand still in a pause and while a human is asked."""
    on_failure: OnStepFailure = OnStepFailure.FAIL
    handler: "tuple[StepDefinition, ...]" = ()
    """Steps that run if the step fails for good, in its place."""
    compensation: "StepDefinition | None" = None
    """What undoes the step."""
    locks: tuple[str, ...] = ()
    """Names that it needs for itself while it runs."""
    priority: Priority | None = None

    @property
    def type(self) -> StepType:
        return StepType(str(self.config.__struct_config__.tag))

    @property
    def blocks(self) -> "tuple[tuple[StepDefinition, ...], ...]":
        """The blocks of steps that it contains: cases, members, the handler; without the compensation."""
        match self.config:
            case ConditionalStep(cases=cases, otherwise=otherwise):
                inner = (*(case.steps for case in cases), otherwise)
            case ParallelStep() | ForEachStep() | LoopStep():
                inner = (self.config.steps,)
            case _:
                inner = ()
        return tuple(block for block in (*inner, self.handler) if block)

    def walk(self) -> "Iterator[StepDefinition]":
        """Yield it and all steps within it, compensations included, in the order of the definition."""
        yield self
        for block in self.blocks:
            for step in block:
                yield from step.walk()
        if self.compensation is not None:
            yield from self.compensation.walk()


class WorkflowDefinition(msgspec.Struct, Plain, frozen=True, kw_only=True, gc=False):
    """The definition of a workflow."""

    name: str
    description: str = ""
    steps: tuple[StepDefinition, ...]
    inputs: dict[str, Any] = {}
    """The JSON Schema of each input by name; one with a ``default`` may be left out."""
    outputs: dict[str, str] = {}
    """Name -> the expression of a value, evaluated at the end; without any: the output of each top-level step."""
    context: dict[str, Any] = {}
    project: str | None = None
    options: dict[str, Any] = {}
    """Options of all its tasks, where a step does not say otherwise: executor, repositories, ..."""
    deadline: float | None = None
    """Seconds from the start, without pauses."""
    on_failure: OnWorkflowFailure = OnWorkflowFailure.ASK
    compensate_on: tuple[WorkflowStatus, ...] = (WorkflowStatus.FAILED, WorkflowStatus.CANCELLED)
    """The ends at which completed steps are compensated."""

    def walk(self) -> Iterator[StepDefinition]:
        """Yield all steps, in the order of the definition."""
        for step in self.steps:
            yield from step.walk()
