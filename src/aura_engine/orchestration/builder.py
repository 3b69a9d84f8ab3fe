"""Builder: definitions of workflows in Python, which type checkers understand.

    build = define_workflow(
        "build",
        inputs={"feature": {"type": "string"}},
        steps=[
            agent_task("plan", "Plan {{ inputs.feature }}", agent_type="architect"),
            human_approval("ask", "Build it like this?", dependencies=["plan"]),
            agent_task("code", "Build it as planned: {{ steps.plan.output.text }}", dependencies=["ask"]),
        ],
    )

There is a function for each type of step. Their arguments are named as the keys of workflow files, and mean the same;
times are in seconds. `define_workflow` checks the whole, and raises `InvalidDefinition` with all of its faults.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict, Unpack

from aura_contracts.approval import Level, OnExpiry
from aura_contracts.plain_data import as_json
from aura_contracts.task import AgentType, Priority
from aura_contracts.workflow.values import (
    AgentTaskStep,
    ApprovalStep,
    Case,
    CommandStep,
    ConditionalStep,
    EndStep,
    ForEachStep,
    Join,
    LoopStep,
    OnStepFailure,
    OnWorkflowFailure,
    ParallelStep,
    StepConfig,
    StepDefinition,
    StepRecovery,
    StepRetry,
    SubWorkflowStep,
    WaitStep,
    WorkflowDefinition,
    WorkflowStatus,
)
from aura_engine.decisions.workflow_rules import require_correct_definition

Joining: TypeAlias = Join | Literal["all_succeeded", "all_done", "any_succeeded", "n_of", "first"]
Steps: TypeAlias = Sequence[StepDefinition]


class StepOptions(TypedDict, total=False):
    """What every step may have, see `StepDefinition`."""

    title: str
    """A few words for people."""
    dependencies: Sequence[str]
    """Ids of steps of the same block that come before it."""
    join: Joining
    """How its dependencies have to end for it to start."""
    n: int
    """How many of them must complete, for `Join.N_OF` and `Join.FIRST`."""
    when: str
    """A condition, evaluated once the join holds. If it is false, the step is skipped."""
    retry: StepRetry
    """How often it is tried again."""
    timeout: float
    """Seconds that an attempt may run."""
    on_failure: OnStepFailure | Literal["fail", "continue"]
    """If it fails for good: its dependents wait for a human, or their joins decide."""
    handler: Steps
    """Steps that run if it fails for good, in its place."""
    compensation: StepDefinition
    """A step that undoes it."""
    locks: Sequence[str]
    """Names of what no other step or task uses at the same time."""
    priority: Priority | Literal["low", "medium", "high"]
    """By default that of the workflow's options."""


def define_workflow(
    name: str,
    *,
    steps: Steps,
    description: str = "",
    inputs: Mapping[str, Mapping[str, Any]] | None = None,
    outputs: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
    project: str | None = None,
    options: Mapping[str, Any] | None = None,
    deadline: float | None = None,
    on_failure: OnWorkflowFailure | Literal["ask", "compensate"] = OnWorkflowFailure.ASK,
    compensate_on: Sequence[WorkflowStatus | Literal["failed", "cancelled"]] = ("failed", "cancelled"),
) -> WorkflowDefinition:
    """Return the definition of a workflow. Raises `InvalidDefinition` with all of its faults."""
    definition = WorkflowDefinition(
        name=name,
        description=description,
        steps=tuple(steps),
        inputs=_data(inputs),
        outputs=dict(outputs or {}),
        context=_data(context),
        project=project,
        options=_data(options),
        deadline=deadline,
        on_failure=OnWorkflowFailure(on_failure),
        compensate_on=tuple(map(WorkflowStatus, compensate_on)),
    )
    require_correct_definition(definition)
    return definition


# --- Steps ------------------------------------------------------------------------------------------------------------


def agent_task(
    id: str,
    task_template: str,
    *,
    agent_type: str | None = None,
    requires_approval: bool = False,
    output: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **common: Unpack[StepOptions],
) -> StepDefinition:
    """Return a task for an agent; see `AgentTaskStep`."""
    config = AgentTaskStep(
        task_template=task_template,
        agent_type=None if agent_type is None else AgentType(agent_type),
        requires_approval=requires_approval,
        output=None if output is None else _data(output),
        options=_data(options),
    )
    return _step(id, config, common)


def human_approval(
    id: str,
    question: str,
    *,
    reviewers: Sequence[str] = (),
    quorum: int = 1,
    levels: Sequence[Level] = (),
    choices: Sequence[str] = (),
    no_self_approval: bool = False,
    deadline: float | None = None,
    on_expiry: OnExpiry | Literal["deny", "continue"] = OnExpiry.DENY,
    **common: Unpack[StepOptions],
) -> StepDefinition:
    """Return a question to humans; see `ApprovalStep`."""
    config = ApprovalStep(
        question=question,
        reviewers=tuple(reviewers),
        quorum=quorum,
        levels=tuple(levels),
        choices=tuple(choices),
        no_self_approval=no_self_approval,
        deadline=deadline,
        on_expiry=OnExpiry(on_expiry),
    )
    return _step(id, config, common)


def case(when: str, steps: Steps) -> Case:
    """Return a branch of a `conditional`."""
    return Case(when=when, steps=tuple(steps))


def conditional(
    id: str, cases: Sequence[Case], *, otherwise: Steps = (), **common: Unpack[StepOptions]
) -> StepDefinition:
    """Return a choice between blocks of steps; see `ConditionalStep`."""
    return _step(id, ConditionalStep(cases=tuple(cases), otherwise=tuple(otherwise)), common)


def parallel(
    id: str,
    steps: Steps,
    *,
    completion: Joining = Join.ALL_SUCCEEDED,
    completion_n: int | None = None,
    **common: Unpack[StepOptions],
) -> StepDefinition:
    """Return a group of steps that run at the same time; see `ParallelStep`."""
    return _step(id, ParallelStep(steps=tuple(steps), join=Join(completion), n=completion_n), common)


def for_each(
    id: str,
    items: str,
    steps: Steps,
    *,
    limit: int = 100,
    concurrency: int | None = None,
    completion: Joining = Join.ALL_SUCCEEDED,
    completion_n: int | None = None,
    **common: Unpack[StepOptions],
) -> StepDefinition:
    """Return the same steps for each item of a list; see `ForEachStep`."""
    config = ForEachStep(
        items=items,
        steps=tuple(steps),
        limit=limit,
        concurrency=concurrency,
        join=Join(completion),
        n=completion_n,
    )
    return _step(id, config, common)


def loop(id: str, steps: Steps, *, until: str, limit: int, **common: Unpack[StepOptions]) -> StepDefinition:
    """Return the same steps until a condition holds after them; see `LoopStep`."""
    return _step(id, LoopStep(steps=tuple(steps), until=until, limit=limit), common)


def sub_workflow(
    id: str, workflow: str, *, inputs: Mapping[str, Any] | None = None, **common: Unpack[StepOptions]
) -> StepDefinition:
    """Return another workflow as a step; see `SubWorkflowStep`."""
    return _step(id, SubWorkflowStep(workflow=workflow, inputs=_data(inputs)), common)


def wait(
    id: str,
    *,
    duration: float | None = None,
    until: str = "",
    signal: str = "",
    **common: Unpack[StepOptions],
) -> StepDefinition:
    """Return a wait for one of: a `duration` in seconds, an instant, a signal; see `WaitStep`."""
    return _step(id, WaitStep(seconds=duration, until=until, signal=signal), common)


def command(
    id: str,
    run: str,
    *,
    recovery: StepRecovery | Literal["rerun", "skip", "ask"] = StepRecovery.ASK,
    output: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **common: Unpack[StepOptions],
) -> StepDefinition:
    """Return a script in a workspace; see `CommandStep`."""
    config = CommandStep(
        run=run,
        recovery=StepRecovery(recovery),
        output=None if output is None else _data(output),
        options=_data(options),
    )
    return _step(id, config, common)


def end(
    id: str,
    *,
    status: WorkflowStatus | Literal["completed", "failed"] = WorkflowStatus.COMPLETED,
    reason: str = "",
    **common: Unpack[StepOptions],
) -> StepDefinition:
    """Return the end of the whole workflow; see `EndStep`."""
    return _step(id, EndStep(status=WorkflowStatus(status), reason=reason), common)


def _step(step_id: str, config: StepConfig, common: StepOptions) -> StepDefinition:
    priority = common.get("priority")
    return StepDefinition(
        id=step_id,
        config=config,
        title=common.get("title", ""),
        dependencies=tuple(common.get("dependencies", ())),
        join=Join(common.get("join", Join.ALL_SUCCEEDED)),
        n=common.get("n"),
        when=common.get("when", ""),
        retry=common.get("retry", StepRetry()),
        timeout=common.get("timeout"),
        on_failure=OnStepFailure(common.get("on_failure", OnStepFailure.FAIL)),
        handler=tuple(common.get("handler", ())),
        compensation=common.get("compensation"),
        locks=tuple(common.get("locks", ())),
        priority=None if priority is None else Priority(priority),
    )


def _data(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return data as an event holds it."""
    data: dict[str, Any] = as_json(given or {})
    return data
