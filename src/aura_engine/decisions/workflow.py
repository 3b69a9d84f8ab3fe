"""Decisions about workflows.

Source: specification, "Workflow", "Workflow Orchestration", "Workflow Execution".

Who may do what: humans start, steer and cancel; AURA itself (``system:``) reports the outcome of a step, because it
follows the step's task and approval; agents know only tasks. A command on a step passes the workflow's table first
(in the decider), then the step's own table, then the rules below.
"""

import re
from collections import Counter
from collections.abc import Sequence

from aura_contracts.errors import AggregateNotFound, TransitionRefused
from aura_contracts.workflow import (
    OVER,
    STEP_TABLE,
    WORKFLOW,
    AwaitStepApproval,
    CancelWorkflow,
    CompleteStep,
    CompleteWorkflow,
    FailStep,
    FailWorkflow,
    PauseWorkflow,
    RecordWorkflowRefusal,
    ResumeStep,
    ResumeWorkflow,
    RetryStep,
    SkipStep,
    StartStep,
    StartWorkflow,
    StepAwaitingApproval,
    StepCompleted,
    StepDefinition,
    StepFailed,
    StepResumed,
    StepRetried,
    StepSkipped,
    StepStarted,
    StepStatus,
    StepType,
    UpdateWorkflowContext,
    Workflow,
    WorkflowCancelled,
    WorkflowCommandRefused,
    WorkflowCompleted,
    WorkflowContextUpdated,
    WorkflowFailed,
    WorkflowPaused,
    WorkflowResumed,
    WorkflowStarted,
    WorkflowStatus,
    WorkflowStep,
    find_cycle,
    find_step,
    waits_for,
)
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Events,
    RuleBroken,
    becomes,
    is_human,
    no_agent,
    only_system,
    require_agent_type,
)

NAME_LIMIT = 200
"""Characters; a name is one line in a list."""

STEP_LIMIT = 500
"""Steps in one workflow; its state is folded as a whole."""

_STEP_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


# --- Who --------------------------------------------------------------------------------------------------------------


_no_agent = no_agent("agents act on tasks, not on workflows")


_only_system = only_system("only AURA reports the outcome of a step")


# --- Definition -------------------------------------------------------------------------------------------------------


def _definition_problem(steps: Sequence[StepDefinition]) -> tuple[str, str] | None:
    """Return the first rule that the steps break, with the reason."""
    if not 1 <= len(steps) <= STEP_LIMIT:
        return "steps", f"a workflow has 1 to {STEP_LIMIT} steps, this one has {len(steps)}"
    return (
        _ids_problem(steps)
        or next((problem for step in steps if (problem := _step_problem(step))), None)
        or _references_problem(steps)
        or _cycle_problem(steps)
    )


def _ids_problem(steps: Sequence[StepDefinition]) -> tuple[str, str] | None:
    for step_id, times in Counter(step.id for step in steps).items():
        if not _STEP_ID.fullmatch(step_id):
            return "step_id", f"{step_id!r} is not a step id: up to 100 letters, digits, '_', '-', '.'"
        if times > 1:
            return "duplicate_step", f"{times} steps have the id {step_id!r}"
    return None


def _step_problem(step: StepDefinition) -> tuple[str, str] | None:
    config, kind = step.config, step.type
    if kind is StepType.AGENT_TASK and not step.task_template.strip():
        return "task_template", f"step {step.id!r} is of type agent_task and has no task_template"
    if step.requires_approval and kind not in {StepType.AGENT_TASK, StepType.HUMAN_APPROVAL}:
        return "requires_approval", f"step {step.id!r} is of type {kind} and proposes nothing that could be approved"
    if kind is StepType.CONDITIONAL and not (config.condition.strip() and (config.then or config.otherwise)):
        return "condition", f"step {step.id!r} is of type conditional and needs a condition and a branch"
    if kind is not StepType.CONDITIONAL and (config.condition or config.then or config.otherwise):
        return "condition", f"step {step.id!r} is of type {kind} and has no condition and no branches"
    if (kind is StepType.PARALLEL) != bool(config.children):
        return "children", f"step {step.id!r} is of type {kind}; a parallel step has children, no other step has"
    return None


def _references_problem(steps: Sequence[StepDefinition]) -> tuple[str, str] | None:
    ids = {step.id for step in steps}
    holder: dict[str, str] = {}
    for step in steps:
        for name in (*step.dependencies, *step.config.contained):
            if name not in ids:
                return "unknown_step", f"step {step.id!r} names {name!r}, and there is no such step"
        for inner in step.config.contained:
            if inner in holder:
                return "placed_twice", f"step {inner!r} is in {holder[inner]!r} and again in {step.id!r}"
            holder[inner] = step.id
    return None


def _cycle_problem(steps: Sequence[StepDefinition]) -> tuple[str, str] | None:
    cycle = find_cycle(steps)
    return ("cyclic_steps", f"steps wait for one another: {' -> '.join(cycle)}") if cycle else None


def _start(_: None, command: StartWorkflow, context: Context) -> Events:
    definition = command.definition
    if not definition.name.strip() or len(definition.name) > NAME_LIMIT:
        reason = f"a name has 1 to {NAME_LIMIT} characters, this one has {len(definition.name.strip())}"
        raise RuleBroken("name", reason)
    for step in definition.steps:
        require_agent_type(step.agent_type)
    if problem := _definition_problem(definition.steps):
        raise RuleBroken(problem[0], problem[1], "correct the definition")
    return [WorkflowStarted(workflow_id=command.workflow_id, definition=definition)]


# --- Steps ------------------------------------------------------------------------------------------------------------

_StepCommand = StartStep | AwaitStepApproval | ResumeStep | CompleteStep | FailStep | SkipStep | RetryStep


def _require_step(state: Workflow, command: _StepCommand) -> WorkflowStep:
    """Return the step that the command names."""
    if step := find_step(state, command.step_id):
        return step
    raise AggregateNotFound(
        aggregate="workflow step",
        aggregate_id=f"{state.id}/{command.step_id}",
        command=type(command).__name__,
        remedy=f"its steps are {', '.join(step.id for step in state.steps)}",
    )


def _require_possible_step(state: Workflow, command: _StepCommand) -> WorkflowStep:
    """Return the step that the command names; the command's first event must have a row in the step's table."""
    step, event = _require_step(state, command), command.emits[0]
    if event in STEP_TABLE.get(step.status, {}):
        return step
    raise TransitionRefused(
        aggregate="workflow step",
        aggregate_id=f"{state.id}/{step.id}",
        command=type(command).__name__,
        status=step.status,
        allowed_in=tuple(str(status) for status, row in STEP_TABLE.items() if status and event in row),
    )


def _require_subject(step: WorkflowStep, command: StartStep) -> None:
    """A step starts with the thing it waits for: a task, an approval, or nothing."""
    needs = {StepType.AGENT_TASK: "a task_id", StepType.HUMAN_APPROVAL: "an approval_id"}
    has_right = (command.task_id is not None) is (step.type is StepType.AGENT_TASK) and (
        command.approval_id is not None
    ) is (step.type is StepType.HUMAN_APPROVAL)
    if not has_right:
        reason = f"step {step.id!r} is of type {step.type} and starts with {needs.get(step.type, 'no id')}"
        raise RuleBroken("step_subject", reason)


def _require_agent_task(step: WorkflowStep) -> None:
    if step.type is not StepType.AGENT_TASK:
        reason = f"step {step.id!r} is of type {step.type}; only an agent_task asks for approval and resumes"
        raise RuleBroken("step_type", reason)


def _is_started_by(step: WorkflowStep, command: StartStep) -> bool:
    """Whether this very command was carried out before and the step is under way."""
    same = command.task_id == step.task_id
    if command.task_id is None:
        same = same and command.approval_id == step.approval_id
    return same and step.status in {StepStatus.RUNNING, StepStatus.AWAITING_APPROVAL}


def _require_active(state: Workflow, command: StartStep) -> None:
    """Nothing new starts in a workflow that is paused or failed, though its running steps may still ask a human."""
    if state.status is not WorkflowStatus.ACTIVE:
        raise TransitionRefused(
            aggregate="workflow",
            aggregate_id=state.id,
            command="StartStep",
            status=state.status,
            allowed_in=tuple(str(status) for status in WORKFLOW.statuses_accepting(StepStarted)),
        )


def _start_step(state: Workflow, command: StartStep, context: Context) -> Events:
    if _is_started_by(_require_step(state, command), command):
        return []
    _require_active(state, command)
    step = _require_possible_step(state, command)
    _require_subject(step, command)
    if waiting := waits_for(state, step.id):
        reason = f"step {step.id!r} waits for {', '.join(waiting)}"
        raise RuleBroken("dependencies", reason, "start a step that is ready")
    started = StepStarted(step_id=step.id, task_id=command.task_id, approval_id=command.approval_id)
    if command.approval_id is None:
        return [started]
    return [started, StepAwaitingApproval(step_id=step.id, approval_id=command.approval_id)]


def _await_approval(state: Workflow, command: AwaitStepApproval, context: Context) -> Events:
    step = _require_possible_step(state, command)
    _require_agent_task(step)
    return [StepAwaitingApproval(step_id=step.id, approval_id=command.approval_id)]


def _resume_step(state: Workflow, command: ResumeStep, context: Context) -> Events:
    step = _require_possible_step(state, command)
    _require_agent_task(step)
    return [StepResumed(step_id=step.id, approved=command.approved)]


def _require_approved(step: WorkflowStep) -> None:
    """Completing a human_approval is the approval itself; an agent_task that needs one, or has asked, must have it."""
    asks = step.requires_approval or step.status is StepStatus.AWAITING_APPROVAL
    if step.type is StepType.AGENT_TASK and asks and not step.approved:
        reason = f"step {step.id!r} requires an approval and has none"
        raise RuleBroken("approval_required", reason, "have its approval decided")


def _complete_step(state: Workflow, command: CompleteStep, context: Context) -> Events:
    step = _require_possible_step(state, command)
    _require_approved(step)
    if (command.outcome is not None) is not (step.type is StepType.CONDITIONAL):
        reason = f"step {step.id!r} is of type {step.type}; conditional steps complete with an outcome, others without"
        raise RuleBroken("outcome", reason)
    if waiting := [each.id for each in state.steps if each.id in step.config.children and each.status not in OVER]:
        reason = f"step {step.id!r} waits for its children {', '.join(waiting)}"
        raise RuleBroken("children", reason)
    completed = StepCompleted(step_id=step.id, result=command.result, outcome=command.outcome)
    not_taken = step.config.otherwise if command.outcome else step.config.then
    skipped = _with_contained(state, not_taken) if step.type is StepType.CONDITIONAL else []
    reason = f"the condition of {step.id} is {str(command.outcome).lower()}"
    return [completed, *(StepSkipped(step_id=each.id, reason=reason) for each in skipped)]


def _with_contained(state: Workflow, step_ids: Sequence[str]) -> list[WorkflowStep]:
    """Return the steps, and all steps they contain, that can be skipped."""
    found: list[WorkflowStep] = []
    for step_id in step_ids:
        step = find_step(state, step_id)
        assert step is not None, "the definition names only steps that exist"
        if StepSkipped in STEP_TABLE.get(step.status, {}):
            found.append(step)
        found += _with_contained(state, step.config.contained)
    return found


def _fail_step(state: Workflow, command: FailStep, context: Context) -> Events:
    return [StepFailed(step_id=_require_possible_step(state, command).id, failure=command.failure)]


def _skip_step(state: Workflow, command: SkipStep, context: Context) -> Events:
    skipped = _with_contained(state, [_require_possible_step(state, command).id])
    asked = [step.id for step in skipped if step.type is StepType.HUMAN_APPROVAL]
    if asked and is_human(context):
        reason = f"step {asked[0]!r} is a human approval; skipping it would pass it by"
        remedy = "approve it, or cancel the workflow"
        raise RuleBroken("approval_required", reason, remedy)
    return [StepSkipped(step_id=step.id, reason=command.reason) for step in skipped]


def _retry_step(state: Workflow, command: RetryStep, context: Context) -> Events:
    return [StepRetried(step_id=_require_possible_step(state, command).id)]


# --- Workflow ---------------------------------------------------------------------------------------------------------


def _update_context(state: Workflow, command: UpdateWorkflowContext, context: Context) -> Events:
    if both := sorted(set(command.values) & set(command.remove)):
        reason = f"{', '.join(both)} cannot be set and removed at once"
        raise RuleBroken("context", reason)
    values = {
        key: value for key, value in command.values.items() if key not in state.context or state.context[key] != value
    }
    removed = tuple(key for key in command.remove if key in state.context)
    return [WorkflowContextUpdated(values=values, removed=removed)] if values or removed else []


def _complete(state: Workflow, command: CompleteWorkflow, context: Context) -> Events:
    if unfinished := [f"{step.id} ({step.status})" for step in state.steps if step.status not in OVER]:
        reason = f"these steps are not over: {', '.join(unfinished)}"
        raise RuleBroken("unfinished_steps", reason)
    return [WorkflowCompleted()]


WORKFLOW_DECIDER = Decider(
    WORKFLOW,
    {
        StartWorkflow: (_no_agent, _start),
        StartStep: (_only_system, _start_step),
        AwaitStepApproval: (_only_system, _await_approval),
        ResumeStep: (_only_system, _resume_step),
        CompleteStep: (_only_system, _complete_step),
        FailStep: (_only_system, _fail_step),
        SkipStep: (_no_agent, _skip_step),
        RetryStep: (_no_agent, _retry_step),
        UpdateWorkflowContext: (_no_agent, _update_context),
        PauseWorkflow: (_no_agent, becomes(WorkflowPaused)),
        ResumeWorkflow: (_no_agent, becomes(WorkflowResumed)),
        CompleteWorkflow: (_only_system, _complete),
        FailWorkflow: (_only_system, becomes(WorkflowFailed)),
        CancelWorkflow: (_no_agent, becomes(WorkflowCancelled)),
        RecordWorkflowRefusal: (only_system("AURA records refusals"), becomes(WorkflowCommandRefused)),
    },
)
