"""File keys: what a workflow file may hold, key by key. Closed and strict.

One model for each type of step. The reader checks shapes with them (`orchestration.definition_file`), and the
page about workflow files and the JSON Schema are made from them. Whether the values make sense is a matter of
`aura_engine.decisions.workflow_rules`, which definitions made in a program must follow, too.

Tables within a step, and the steps within it, are read by themselves, so that a fault in one hides none in another.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from aura_contracts.approval import OnExpiry
from aura_contracts.failures import RETRYABLE, FailureReason
from aura_contracts.task import Priority
from aura_contracts.workflow.values import (
    Join,
    OnStepFailure,
    OnWorkflowFailure,
    StepRecovery,
    StepType,
    WorkflowStatus,
)
from aura_engine.policy.field_types import duration

REFERENCE = "reference"
"""The key under which the JSON Schema of a field names what takes its place. Those fields are read by themselves."""


def _seconds(value: object) -> object:
    """Return seconds of a number of them, or of ``90s``, ``30m``, ``8h`` or ``2d``."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return duration(value)


_DURATION = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[1-9][0-9]{0,6}\s*(s|m|h|d)$"}]}

Duration = Annotated[float, BeforeValidator(_seconds), WithJsonSchema(_DURATION)]
Table: TypeAlias = dict[str, Any]
Schema: TypeAlias = dict[str, Any]
Template: TypeAlias = str
Expression: TypeAlias = str
Text: TypeAlias = str
Count: TypeAlias = int
Block = Annotated[list[Any], Field(json_schema_extra={REFERENCE: "steps"})]
Step = Annotated[dict[str, Any], Field(json_schema_extra={REFERENCE: "step"})]
JoinName = Annotated[Join, Field(strict=False)]
Reasons = list[Annotated[FailureReason, Field(strict=False)]]
Ends = list[Annotated[Literal["failed", "cancelled"], AfterValidator(WorkflowStatus)]]


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, validate_default=True)


class RetryKeys(_Keys):
    """How often and how soon a step is tried again, and after which failures."""

    attempts: Count = 1
    """The most attempts, the first one included."""
    pause: Duration = 1.0
    """The pause before the second attempt."""
    factor: float = 2.0
    """What each further pause is multiplied with."""
    longest: Duration = 3600.0
    """The longest pause."""
    on: Reasons = Field(default_factory=lambda: sorted(RETRYABLE))
    """The [failures](errors.md) after which it is tried again; by default those that a retry may cure."""


class StepKeys(_Keys):
    """A step."""

    id: Text
    """A single word, unique within the whole file: up to 100 letters, digits, `-` and `_`."""
    type: Annotated[StepType, Field(strict=False)]
    """What the step does."""
    title: Text = ""
    """A few words for people."""
    dependencies: list[str] = []
    """Ids of steps of the same block that come before it. Without any it starts with its block."""
    join: JoinName = Join.ALL_SUCCEEDED
    """How its dependencies have to end for it to start, see [joins](#joins)."""
    n: Count | None = None
    """How many of them must complete, for the joins `n_of` and `first`."""
    when: Expression = ""
    """A condition, evaluated once the join holds. If it is false, the step is skipped."""
    retry: Annotated[dict[str, Any], Field(json_schema_extra={REFERENCE: "retry"})] = {}
    """How often it is tried again, see [retry](#retry)."""
    timeout: Duration | None = None
    """How long an attempt may run. This time stands still in a pause, and while a human is asked."""
    on_failure: Annotated[OnStepFailure, Field(strict=False)] = OnStepFailure.FAIL
    """If it fails for good: `fail`, so that the steps after it wait for a human, or `continue`."""
    handler: Block = []
    """Steps that run if it fails for good. If they complete, it has completed."""
    compensation: Step | None = None
    """A step that undoes it, if the workflow fails or is cancelled later."""
    locks: list[str] = []
    """Names of what no other step or task uses at the same time, such as `deploy`."""
    priority: Annotated[Priority, Field(strict=False)] | None = None
    """`low`, `medium` or `high`; by default that of the workflow's options."""


class AgentTaskKeys(StepKeys):
    """A task for an agent."""

    task_template: Template
    """The text of the task."""
    agent_type: Text | None = None
    """The type of agent: `architect`, `developer`, `tester`, or any other word."""
    requires_approval: bool = False
    """A human approves the work before the step completes; otherwise policies decide."""
    output: Schema | None = None
    """The JSON Schema of what the agent answers with. It becomes the output of the step."""
    options: Table = {}
    """Options of the task, as `engine.tasks.create` and `engine.run` name them: executor, repositories, ..."""


class HumanApprovalKeys(StepKeys):
    """A question to humans."""

    question: Template
    """The text of the question."""
    reviewers: list[str] = []
    """Names of those who may decide besides the one who started the workflow."""
    quorum: Count = 1
    """How many of them must approve."""
    levels: Annotated[list[Any], Field(json_schema_extra={REFERENCE: "levels"})] = []
    """Who is asked after them, one level after another."""
    choices: list[str] = []
    """Answers to choose from."""
    no_self_approval: bool = False
    """The one who started the workflow does not decide."""
    deadline: Duration | None = None
    """How long to wait for the answer. This time also passes in a pause."""
    on_expiry: Annotated[OnExpiry, Field(strict=False)] = OnExpiry.DENY
    """What no answer means: `deny` or `continue`."""


class ReviewLevelKeys(_Keys):
    """People who are asked once those before them have approved."""

    reviewers: list[str]
    """Their names."""
    quorum: Count = 1
    """How many of them must approve."""


class CaseKeys(_Keys):
    """A branch of a choice."""

    when: Expression
    """The condition."""
    steps: Block
    """The steps that run if it is the first condition that is true."""


class ConditionalKeys(StepKeys):
    """A choice: the steps of the first case whose condition is true run."""

    cases: Annotated[list[Any], Field(json_schema_extra={REFERENCE: "cases"})]
    """The cases, in the order in which their conditions are looked at; see [cases](#cases)."""
    otherwise: Block = []
    """The steps that run if none is true."""


class ParallelKeys(StepKeys):
    """A group of steps that run at the same time, as far as their dependencies allow."""

    steps: Block
    """The steps."""
    completion: JoinName = Join.ALL_SUCCEEDED
    """How its steps have to end for it to complete, see [joins](#joins)."""
    completion_n: Count | None = None
    """How many of them must complete, for `n_of` and `first`."""


class ForEachKeys(StepKeys):
    """The same steps for each item of a list that is known only when the step starts."""

    items: Expression
    """The list, evaluated once. In the steps, `item` is the item and `index` its number, from 0."""
    steps: Block
    """The steps of each item."""
    limit: Count = 100
    """The most items that the list may have. With more the step fails."""
    concurrency: Count | None = None
    """The most items that are worked on at a time; by default all."""
    completion: JoinName = Join.ALL_SUCCEEDED
    """How the items have to end for it to complete, see [joins](#joins)."""
    completion_n: Count | None = None
    """How many of them must complete, for `n_of` and `first`."""


class LoopKeys(StepKeys):
    """The same steps again until a condition holds after them."""

    steps: Block
    """The steps of each round. In them, `round` is its number, from 1."""
    until: Expression
    """The condition, evaluated after each round."""
    limit: Count
    """The most rounds. If the condition does not hold after the last one, the step fails."""


class SubWorkflowKeys(StepKeys):
    """Another workflow, with an id and a result of its own."""

    workflow: Text
    """The name of a stored definition, `build`, or one of its versions, `build@3`."""
    inputs: Table = {}
    """Its inputs. Texts are templates."""


class WaitKeys(StepKeys):
    """A wait for one of: a time, an instant, a signal."""

    duration: Duration | None = None
    """How long to wait."""
    until: Template = ""
    """An instant, `2026-12-24T18:00:00+01:00`."""
    signal: Text = ""
    """The name of a signal. One that came before counts, too. Of several waits for it, the first to begin has it."""


class CommandKeys(StepKeys):
    """A script in a workspace, without an agent."""

    run: Template
    """The script, for `sh -c`."""
    recovery: Annotated[StepRecovery, Field(strict=False)] = StepRecovery.ASK
    """What to do if its process was lost in the middle: `rerun`, `skip` or `ask`."""
    output: Schema | None = None
    """The JSON Schema of the last line of its standard output. It becomes the output of the step."""
    options: Table = {}
    """Options of its task, without an executor."""


class EndKeys(StepKeys):
    """The end of the whole workflow: what still runs is cancelled."""

    status: Annotated[Literal["completed", "failed"], AfterValidator(WorkflowStatus)] = "completed"
    """How the workflow ends: `completed` or `failed`."""
    reason: Text = ""
    """Why, in words."""


class WorkflowKeys(_Keys):
    """A workflow."""

    name: Text
    """Its name, in one line."""
    description: Text = ""
    """What it is for."""
    inputs: dict[str, Any] = {}
    """The JSON Schema of each input by name. One with a `default` may be left out."""
    outputs: dict[str, str] = {}
    """The expression of each output by name, evaluated when the workflow completes. Without any, its output is that of
    each of its steps."""
    context: Table = {}
    """Data that templates can read, and that `engine.workflows` can change while it runs."""
    project: Text | None = None
    """The project that its tasks belong to."""
    options: Table = {}
    """Options of all its tasks, where a step has no other: executor, repositories, ..."""
    deadline: Duration | None = None
    """How long the whole may take. This time stands still in a pause."""
    on_failure: Annotated[OnWorkflowFailure, Field(strict=False)] = OnWorkflowFailure.ASK
    """If a step fails for good: `ask`, so that a human may retry or skip it, or `compensate` at once."""
    compensate_on: Ends = ["failed", "cancelled"]
    """The ends at which completed steps are compensated: `failed`, `cancelled`."""
    steps: Block
    """The steps."""


STEP_MODELS: Mapping[StepType, type[StepKeys]] = {
    StepType.AGENT_TASK: AgentTaskKeys,
    StepType.HUMAN_APPROVAL: HumanApprovalKeys,
    StepType.CONDITIONAL: ConditionalKeys,
    StepType.PARALLEL: ParallelKeys,
    StepType.FOR_EACH: ForEachKeys,
    StepType.LOOP: LoopKeys,
    StepType.WORKFLOW: SubWorkflowKeys,
    StepType.WAIT: WaitKeys,
    StepType.COMMAND: CommandKeys,
    StepType.END: EndKeys,
}
"""The model of each type of step."""

INNER_MODELS: Mapping[str, type[BaseModel]] = {"retry": RetryKeys, "levels": ReviewLevelKeys, "cases": CaseKeys}
"""The model of the tables under a key."""
