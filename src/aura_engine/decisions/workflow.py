"""Decisions about workflows.

Source: specification, "Workflow", "Workflow Orchestration", "Workflow Execution".

Who may do what: humans start, steer and cancel; AURA itself (``system:``) reports what happened to the steps, because
it follows their tasks and approvals; agents know only tasks. A command on a step passes the workflow's table first (in
the decider), then the step's own table, then the rules below. What follows from its events is added by
`aura_engine.decisions.workflow_settlement`.

    workflow            the start, the reports of the driver, and the whole
    _workflow_control  what people do with single steps
    workflow_settlement   what follows
"""

from msgspec.structs import replace

from aura_contracts.aggregate import AnyCommand
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.workflow import (
    OUTSIDE,
    WORKFLOW,
    AdvanceWorkflow,
    AwaitStepApproval,
    CancelStep,
    CancelWorkflow,
    ChooseCase,
    CompleteStep,
    CompleteWorkflow,
    ConditionalStep,
    DecideStep,
    EndRound,
    ExpandStep,
    FailStep,
    FailWorkflow,
    ForEachStep,
    LoopStep,
    PauseWorkflow,
    RecordWorkflowRefusal,
    ReportStepCancelled,
    ResumeStep,
    ResumeWorkflow,
    RetryStep,
    SendSignal,
    Signal,
    SkipStep,
    StartStep,
    StartWorkflow,
    StepAwaitingApproval,
    StepChosen,
    StepCompleted,
    StepDecided,
    StepDefinition,
    StepExpanded,
    StepResumed,
    StepRoundEnded,
    StepSkipped,
    StepStarted,
    StepStatus,
    StepType,
    UpdateWorkflowContext,
    WaitStep,
    Workflow,
    WorkflowCancelling,
    WorkflowCommandRefused,
    WorkflowCompleted,
    WorkflowContextUpdated,
    WorkflowFailed,
    WorkflowPaused,
    WorkflowResumed,
    WorkflowSignalReceived,
    WorkflowStarted,
    WorkflowStatus,
    WorkflowStep,
    outline_of,
)
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Decision,
    Events,
    RuleBroken,
    becomes,
    no_agent,
    only_system,
    require_zone,
)
from aura_engine.decisions._workflow_attempts import attempt_failed
from aura_engine.decisions._workflow_containers import round_is_over
from aura_engine.decisions._workflow_control import (
    cancel_step,
    require_possible_step,
    require_step,
    require_step_table,
    retry_step,
    skip_step,
)
from aura_engine.decisions._workflow_end import steps_are_over
from aura_engine.decisions._workflow_joins import JoinVerdict, is_open, join_of
from aura_engine.decisions._workflow_locks import is_locked
from aura_engine.decisions.workflow_rules import definition_faults
from aura_engine.decisions.workflow_settlement import CONSEQUENCES, Since, ended_by_cancel, settle

INSTANCE_LIMIT = 10_000
"""Steps of all items and rounds of one workflow; its state is folded as a whole."""

SIGNAL_LIMIT = 1000
"""Signals of one workflow."""

_no_agent = no_agent("agents act on tasks, not on workflows")

_only_system = only_system("only AURA reports what happened to a step")


# --- Start ------------------------------------------------------------------------------------------------------------


def _start(_: None, command: StartWorkflow, context: Context) -> Events:
    faults = [fault for fault in definition_faults(command.definition) if fault.severity == "error"]
    if faults:
        raise RuleBroken("definition", "; ".join(map(str, faults[:5])), "correct the definition")
    _require_past(command)
    return [WorkflowStarted(**{name: getattr(command, name) for name in WorkflowStarted.__struct_fields__})]


_PAST = frozenset(
    {StepStatus.PENDING, StepStatus.COMPLETED, StepStatus.SKIPPED, StepStatus.CANCELLED, StepStatus.FAILED}
)
"""What a fork begins with: steps that have ended, and containers around them that begin again."""


def _require_past(command: StartWorkflow) -> None:
    """The past has steps of the definition that do not run, each once."""
    outline = outline_of(command.definition)
    seen: set[str] = set()
    for step in command.past:
        if step.definition_id not in outline or step.id in seen:
            raise RuleBroken("past", f"{step.id!r} is not a step of the definition, or is there twice")
        if step.status not in _PAST:
            raise RuleBroken("past", f"step {step.id!r} is still {step.status}")
        seen.add(step.id)


# --- Starting steps ---------------------------------------------------------------------------------------------------


def _require_ready(state: Workflow, step: WorkflowStep, definition: StepDefinition) -> None:
    """A step starts only in a block that runs, when its join holds and nothing has its locks."""
    if state.status is WorkflowStatus.PAUSED:
        raise RuleBroken("paused", "nothing starts while the workflow is paused", "resume the workflow")
    if not is_open(state, step):
        raise RuleBroken("dependencies", f"what step {step.id!r} is in does not run", "start a step that is ready")
    if join_of(state, step, definition).verdict is not JoinVerdict.START:
        waits = ", ".join(definition.dependencies)
        raise RuleBroken("dependencies", f"step {step.id!r} waits for {waits}", "start a step that is ready")


def _decide_step(state: Workflow, command: DecideStep, context: Context) -> Events:
    step, definition = require_possible_step(state, command)
    _require_ready(state, step, definition)
    if not definition.when or step.decided:
        raise RuleBroken("when", f"step {step.id!r} has no condition that is open")
    if command.runs:
        return [StepDecided(step_id=step.id)]
    return [StepSkipped(step_id=step.id, reason="its condition does not hold")]


_SUBJECTS = {
    StepType.AGENT_TASK: "task_id",
    StepType.COMMAND: "task_id",
    StepType.HUMAN_APPROVAL: "approval_id",
    StepType.WORKFLOW: "child_id",
    StepType.WAIT: "until",
}
"""By type, the field of `StartStep` that it starts with."""


def _require_subject(step: WorkflowStep, definition: StepDefinition, command: StartStep) -> None:
    """A step starts with what it waits for, and nothing else."""
    needed = _SUBJECTS.get(definition.type)
    if isinstance(definition.config, WaitStep) and not definition.config.until:
        needed = None
    if needed is None:
        raise RuleBroken("step_subject", f"step {step.id!r} starts by itself")
    given = {name for name in _SUBJECTS.values() if getattr(command, name) is not None}
    if given != {needed}:
        raise RuleBroken("step_subject", f"step {step.id!r} is of type {definition.type} and starts with {needed}")


def _is_started_by(step: WorkflowStep, command: StartStep) -> bool:
    """Whether this very command was carried out before and the step is under way."""
    if step.status not in {StepStatus.RUNNING, StepStatus.AWAITING_APPROVAL}:
        return False
    same = command.task_id == step.task_id and command.child_id == step.child_id and command.until == step.due_at
    return same and (command.approval_id is None or command.approval_id == step.approval_id)


def _start_step(state: Workflow, command: StartStep, context: Context) -> Events:
    step = require_step(state, command)
    definition = outline_of(state.definition)[step.definition_id].definition
    require_zone("until", command.until)
    _require_subject(step, definition, command)
    if _is_started_by(step, command):
        return []
    require_step_table(state, step, command, (StepStarted,))
    _require_ready(state, step, definition)
    if definition.when and not step.decided:
        raise RuleBroken("when", f"the condition of step {step.id!r} was not evaluated")
    if is_locked(state, step, definition):
        raise RuleBroken("locked", f"another step has one of the locks {', '.join(definition.locks)}")
    started = StepStarted(
        step_id=step.id,
        task_id=command.task_id,
        approval_id=command.approval_id,
        child_id=command.child_id,
        due_at=command.until,
    )
    if command.approval_id is None:
        return [started]
    return [started, StepAwaitingApproval(step_id=step.id, approval_id=command.approval_id)]


# --- Containers -------------------------------------------------------------------------------------------------------


def _wrong_type(step: WorkflowStep, definition: StepDefinition) -> RuleBroken:
    return RuleBroken("step_type", f"step {step.id!r} is of type {definition.type}, which this command is not for")


def _choose(state: Workflow, command: ChooseCase, context: Context) -> Events:
    step, definition = require_possible_step(state, command)
    if not isinstance(definition.config, ConditionalStep):
        raise _wrong_type(step, definition)
    if step.outcome is not None:
        raise RuleBroken("outcome", f"step {step.id!r} has chosen already")
    last = len(definition.config.cases)
    if not 0 <= command.outcome <= last:
        raise RuleBroken("outcome", f"step {step.id!r} has the outcomes 0 to {last}, not {command.outcome}")
    return [StepChosen(step_id=step.id, outcome=command.outcome)]


def _expand(state: Workflow, command: ExpandStep, context: Context) -> Events:
    step, definition = require_possible_step(state, command)
    config = definition.config
    if not isinstance(config, ForEachStep):
        raise _wrong_type(step, definition)
    if step.items is not None:
        raise RuleBroken("items", f"the items of step {step.id!r} are known already")
    count = len(command.items)
    room = INSTANCE_LIMIT - len(state.steps)
    if count <= config.limit and count * len(config.steps) <= room:
        return [StepExpanded(step_id=step.id, items=command.items)]
    limit = min(config.limit, room // len(config.steps))
    failure = Failure(FailureReason.LIMIT_REACHED, f"there are {count} items, and at most {limit} are permitted")
    return [attempt_failed(step, definition, failure, context.now)]


def _end_round(state: Workflow, command: EndRound, context: Context) -> Events:
    step, definition = require_possible_step(state, command)
    if not isinstance(definition.config, LoopStep):
        raise _wrong_type(step, definition)
    if not round_is_over(state, step):
        raise RuleBroken("round", f"the round of step {step.id!r} is not over, or was ended")
    return [StepRoundEnded(step_id=step.id, done=command.done)]


# --- What runs outside ------------------------------------------------------------------------------------------------


def _require_outside(step: WorkflowStep, definition: StepDefinition) -> None:
    if definition.type not in OUTSIDE:
        raise _wrong_type(step, definition)


def _await_approval(state: Workflow, command: AwaitStepApproval, context: Context) -> Events:
    step, definition = require_possible_step(state, command)
    _require_outside(step, definition)
    if definition.type is StepType.HUMAN_APPROVAL:
        raise _wrong_type(step, definition)
    if step.status is StepStatus.AWAITING_APPROVAL and step.approval_id == command.approval_id:
        return []
    return [StepAwaitingApproval(step_id=step.id, approval_id=command.approval_id)]


def _resume_step(state: Workflow, command: ResumeStep, context: Context) -> Events:
    step, definition = require_possible_step(state, command)
    if definition.type is StepType.HUMAN_APPROVAL:
        raise _wrong_type(step, definition)
    return [StepResumed(step_id=step.id, approved=command.approved)]


def _complete_step(state: Workflow, command: CompleteStep, context: Context) -> Events:
    step, definition = require_possible_step(state, command)
    _require_outside(step, definition)
    if step.ended_at is not None:
        raise RuleBroken("step_status", f"the attempt of step {step.id!r} has ended, and its handler runs")
    return [StepCompleted(step_id=step.id, result=command.result)]


def _is_asked(state: Workflow, step: WorkflowStep, definition: StepDefinition) -> bool:
    """Whether an expression of a running container must be evaluated, which may fail."""
    match definition.config:
        case ConditionalStep():
            return step.outcome is None
        case ForEachStep():
            return step.items is None
        case LoopStep():
            return round_is_over(state, step)
        case _:
            return False


def _fail_step(state: Workflow, command: FailStep, context: Context) -> Events:
    step, definition = require_possible_step(state, command)
    match step.status:
        case StepStatus.CANCELLING:
            return _report_cancelled(state, ReportStepCancelled(step_id=step.id), context)
        case StepStatus.HANDLING:
            raise RuleBroken("step_status", f"step {step.id!r} has failed already, and its handler runs")
        case StepStatus.PENDING:
            _require_ready(state, step, definition)
        case StepStatus.RUNNING if definition.type not in OUTSIDE and not _is_asked(state, step, definition):
            raise _wrong_type(step, definition)
    return [attempt_failed(step, definition, command.failure, context.now)]


def _report_cancelled(state: Workflow, command: ReportStepCancelled, context: Context) -> Events:
    step, definition = require_possible_step(state, command)
    _require_outside(step, definition)
    if step.status is StepStatus.CANCELLING and step.ended_at is None:
        return [ended_by_cancel(step, definition, context.now)]
    if step.status in {StepStatus.RUNNING, StepStatus.AWAITING_APPROVAL}:
        cancelled = replace(step, reason=command.reason, ends_as=StepStatus.CANCELLED)
        return [ended_by_cancel(cancelled, definition, context.now)]
    raise RuleBroken("step_status", f"nothing runs for step {step.id!r}, it is {step.status}")


# --- The whole --------------------------------------------------------------------------------------------------------


def _advance(state: Workflow, command: AdvanceWorkflow, context: Context) -> Events:
    return []  # what is due follows from the time


def _require_over(state: Workflow) -> None:
    if state.status is not WorkflowStatus.ACTIVE or not steps_are_over(state):
        raise RuleBroken("unfinished_steps", "not all of its steps are over")


def _complete(state: Workflow, command: CompleteWorkflow, context: Context) -> Events:
    _require_over(state)
    return [WorkflowCompleted(outputs=command.outputs)]


def _fail(state: Workflow, command: FailWorkflow, context: Context) -> Events:
    _require_over(state)
    return [WorkflowFailed(failure=command.failure)]


def _signal(state: Workflow, command: SendSignal, context: Context) -> Events:
    if not command.name.strip():
        raise RuleBroken("signal", "a signal has a name")
    if command.key is not None and command.key in state.signal_keys:
        return []
    if max(len(state.signals), len(state.signal_keys)) >= SIGNAL_LIMIT:
        raise RuleBroken("signal", f"the workflow has {SIGNAL_LIMIT} signals")
    signal = Signal(name=command.name, data=command.data, key=command.key, received_at=context.now)
    return [WorkflowSignalReceived(signal=signal)]


def _update_context(state: Workflow, command: UpdateWorkflowContext, context: Context) -> Events:
    if both := sorted(set(command.values) & set(command.remove)):
        reason = f"{', '.join(both)} cannot be set and removed at once"
        raise RuleBroken("context", reason)
    values = {
        key: value for key, value in command.values.items() if key not in state.context or state.context[key] != value
    }
    removed = tuple(key for key in command.remove if key in state.context)
    return [WorkflowContextUpdated(values=values, removed=removed)] if values or removed else []


def _cancel(state: Workflow, command: CancelWorkflow, context: Context) -> Events:
    if state.lasting:
        raise RuleBroken("lasting", "the workflow has failed for good, and was compensated", "start it again")
    return [WorkflowCancelling(reason=command.reason)]


_PROGRESS = (DecideStep, StartStep, ChooseCase, ExpandStep, EndRound, CompleteStep)
"""The commands with which a workflow continues as it was settled before; after all others everything is looked at."""


def _settle(
    before: Workflow | None, decision: Decision[Workflow], command: AnyCommand, context: Context
) -> tuple[Events, Workflow]:
    if isinstance(command, RecordWorkflowRefusal):
        return (), decision.state
    if before is None or not isinstance(command, _PROGRESS):
        return settle(decision.state, context.now)
    return settle(decision.state, context.now, Since(len(before.steps), decision.events))


WORKFLOW_DECIDER = Decider(
    WORKFLOW,
    {
        StartWorkflow: (_no_agent, _start),
        DecideStep: (_only_system, _decide_step),
        StartStep: (_only_system, _start_step),
        ChooseCase: (_only_system, _choose),
        ExpandStep: (_only_system, _expand),
        EndRound: (_only_system, _end_round),
        AwaitStepApproval: (_only_system, _await_approval),
        ResumeStep: (_only_system, _resume_step),
        CompleteStep: (_only_system, _complete_step),
        FailStep: (_only_system, _fail_step),
        ReportStepCancelled: (_only_system, _report_cancelled),
        AdvanceWorkflow: (_only_system, _advance),
        CompleteWorkflow: (_only_system, _complete),
        FailWorkflow: (_only_system, _fail),
        RetryStep: (_no_agent, retry_step),
        SkipStep: (_no_agent, skip_step),
        CancelStep: (_no_agent, cancel_step),
        SendSignal: (_no_agent, _signal),
        UpdateWorkflowContext: (_no_agent, _update_context),
        PauseWorkflow: (_no_agent, becomes(WorkflowPaused)),
        ResumeWorkflow: (_no_agent, becomes(WorkflowResumed)),
        CancelWorkflow: (_no_agent, _cancel),
        RecordWorkflowRefusal: (only_system("AURA records refusals"), becomes(WorkflowCommandRefused)),
    },
    settle=_settle,
    consequences=CONSEQUENCES,
)
