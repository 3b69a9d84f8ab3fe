"""Every aggregate, driven by commands: what it promises whatever happens, and that all of its table can happen."""

import random
from contextlib import suppress
from datetime import timedelta
from functools import cache

import attrs
import msgspec
import pytest
from exploration import Exploration, Guide, Suggestions, checked_step, explore
from hypothesis import given, settings
from hypothesis import strategies as st

from aura_contracts import workflow as wf
from aura_contracts.agent import AGENT, AgentResumed, AgentSpec, AgentStatus, PauseAgent, RegisterAgent, TakeTask
from aura_contracts.aggregate import status_only
from aura_contracts.approval import ApprovalKind, CommentOnLine, Level, Question, RequestApproval, ToolCall
from aura_contracts.board import ReorderColumns
from aura_contracts.errors import CommandRefused
from aura_contracts.events import Event
from aura_contracts.execution import (
    AgentResult,
    Exit,
    FailExecution,
    FinishCoding,
    LeaseExecution,
    Outcome,
    RecordProcessExit,
    RecordStageFailure,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.notification import OutgoingMessage
from aura_contracts.outbox import QueueNotification
from aura_contracts.output import Chunk, OutputSource, RecordOutput
from aura_contracts.patches import LineAnchor
from aura_contracts.project import CreateProject, EditProject, ProjectChanges, ProjectSpec, project_id
from aura_contracts.task import AddPart, CreateTask, FailTask, RecordDependencyEnd, TaskSpec, TaskStatus
from aura_contracts.template import DefineTemplate, TemplateScope, TemplateSpec, template_id
from aura_contracts.workflow import StepDefinition, WorkflowDefinition
from aura_contracts.workflow.values import AgentTaskStep
from aura_contracts.workflow_definition import SaveDefinition, definition_id
from aura_contracts.workflow_schedule import (
    FireSchedule,
    MomentOutcome,
    OmissionReason,
    SaveSchedule,
    SchedulePlan,
    schedule_id,
)
from aura_engine.decisions import DECIDERS, Context
from aura_engine.orchestration.acts import ActKind, acts
from aura_engine.orchestration.acts import StepInquiry as Asked
from strategies import EPOCH, IDS, actors, commands, structs
from workflow_play import ask, choose, each, end, loop, together, wait, work
from workflow_play import command as script

# --- What the search needs to be told ---------------------------------------------------------------------------------


def agents(state):
    """An agent takes several tasks, and pauses in each, only with the capacity for it."""
    if state is None:
        spec = AgentSpec(name="Ada", type="developer", executor="claude", capacity=3)
        yield RegisterAgent(agent_id=IDS[0], spec=spec)
        return
    yield from (TakeTask(task_id=task_id) for task_id in IDS[:2])
    yield from (PauseAgent(task_id=task.task_id, approval_id=IDS[0]) for task in state.tasks)


def approvals(state):
    """The kind of an approval says which of its fields belong together."""
    if state is None:
        asked = {
            "kind": ApprovalKind.PLAN,
            "reviewers": ("alice", "bob"),
            "task_id": IDS[0],
            "proposed_solution": "build",
            "deadline": EPOCH + timedelta(days=9),
            "escalate_to": ("carol",),
        }
        call = {"kind": ApprovalKind.TOOL_CALL, "tool_call": ToolCall(tool="Bash", fingerprint="x")}
        yield RequestApproval(approval_id=IDS[0], question=Question(**asked))
        yield RequestApproval(approval_id=IDS[0], question=Question(**asked | call | {"quorum": 2}))
        levels = (Level(reviewers=("dave",)),)
        yield RequestApproval(approval_id=IDS[0], question=Question(**asked | {"levels": levels}))
    else:
        yield CommentOnLine(comment_id="c", text="why?", anchor=LineAnchor(path="a", line=1, content="x"))


def outputs(state):
    """A chunk holds text or bytes; batches follow one another."""
    first = 1 if state is None else state.next
    for chunk in (Chunk(OutputSource.STDOUT, EPOCH, "done"), Chunk(OutputSource.STDERR, EPOCH, data=b"\xff")):
        yield RecordOutput(execution_id=IDS[0], first=first, chunks=(chunk,))


def workflows(state):
    """What a driver does with a workflow of its own, and what people do with its steps."""
    if state is None:
        for definition in DEFINITIONS:
            yield wf.StartWorkflow(workflow_id=IDS[0], definition=definition)
            past = (wf.WorkflowStep(id=definition.steps[0].id, status=status, number=1, failure=NO) for status in PAST)
            yield from (wf.StartWorkflow(workflow_id=IDS[0], definition=definition, past=(one,)) for one in past)
        return
    for act in acts(state, EPOCH):
        yield from reports(state, act)
    for step in state.steps.values():
        if not step.parent or step.status not in (wf.StepStatus.PENDING, wf.StepStatus.COMPLETED):
            yield from (kind(step_id=step.id) for kind in (wf.RetryStep, wf.SkipStep, wf.CancelStep))
        if step.status is wf.StepStatus.PENDING:
            yield wf.FailStep(step_id=step.id, failure=NO)
            yield wf.FailStep(step_id=step.id, failure=AGAIN)


def reports(state, act):
    """Every way in which an act may end."""
    definition = wf.definition_of(state, act.step_id) if act.step_id else None
    match act.kind, act.what:
        case ActKind.EVALUATE, Asked.WHEN:
            yield from (wf.DecideStep(step_id=act.step_id, runs=runs) for runs in (True, False))
        case ActKind.EVALUATE, Asked.CASE:
            yield wf.ChooseCase(step_id=act.step_id, outcome=0)
        case ActKind.EVALUATE, Asked.ITEMS:
            yield from (wf.ExpandStep(step_id=act.step_id, items=(1,) * count) for count in (2, 9))
        case ActKind.EVALUATE, Asked.UNTIL:
            yield from (wf.EndRound(step_id=act.step_id, done=done) for done in (True, False))
        case ActKind.START, _:
            name = {"human_approval": "approval_id", "workflow": "child_id"}.get(definition.type, "task_id")
            yield wf.StartStep(step_id=act.step_id, **{name: IDS[0]})
        case ((ActKind.FOLLOW | ActKind.CANCEL_BELOW), _):
            yield wf.CompleteStep(step_id=act.step_id)
            yield from (wf.FailStep(step_id=act.step_id, failure=failure) for failure in (NO, AGAIN))
            yield wf.ReportStepCancelled(step_id=act.step_id)
            yield wf.AwaitStepApproval(step_id=act.step_id, approval_id=IDS[1])
            yield wf.ResumeStep(step_id=act.step_id, approved=True)
        case _:
            yield wf.FailWorkflow(failure=NO)
            yield wf.CompleteWorkflow()


NO, AGAIN = Failure(FailureReason.CONFLICT, "no"), Failure(FailureReason.AGENT_ERROR, "again")

PAST = (wf.StepStatus.COMPLETED, wf.StepStatus.SKIPPED, wf.StepStatus.CANCELLED, wf.StepStatus.FAILED)

_twice = wf.StepRetry(attempts=2)

DEFINITIONS = tuple(
    wf.WorkflowDefinition(name="build", steps=steps, **fields)
    for steps, fields in (
        ((work("a"),), {"outputs": {"x": "1"}}),
        ((work("a", timeout=9.0),), {"deadline": 99.0}),
        ((work("a", timeout=9.0, handler=(work("h"),)),), {}),
        ((work("a", retry=_twice, when="x"), work("b", "a")), {}),
        ((work("a", compensation=script("undo", retry=_twice, timeout=9.0)), work("b", "a")), {}),
        ((work("a", compensation=ask("undo")), work("b", "a")), {"on_failure": "compensate"}),
        ((together("p", work("m", retry=_twice), handler=(work("h"),)),), {}),
        ((together("p", work("m"), work("n", "m"), members="all_done"),), {}),
        ((together("p", work("m"), work("n"), members="first"),), {}),
        ((each("e", work("m"), limit=2),), {}),
        ((each("e", work("m"), limit=2, retry=_twice, timeout=9.0, handler=(wait("w", seconds=3.0),)),), {}),
        ((loop("l", work("m"), limit=2),), {}),
        ((choose("c", (work("m"),), (work("n"),)), wait("w", signal="x", timeout=9.0)), {}),
        ((work("a"), work("b"), end("z", "a", status="failed")), {}),
        ((work("a", compensation=script("undo")), work("b"), end("z", "a")), {}),
        ((ask("q", handler=(work("h"),)),), {}),
    )
)


def boards(state):
    """Every column is named in an order."""
    if state is not None:
        yield ReorderColumns(order=tuple(column.id for column in reversed(state.columns)))


def executions(state):
    """A new grant raises the epoch of the lease that the execution has; a process may outlive its execution."""
    if state is not None:
        yield FinishCoding(epoch=state.epoch, outcome=Outcome(0), result=AgentResult(proposal="done", confidence=0.5))
        yield RecordStageFailure(epoch=state.epoch, failure=Failure(FailureReason.SESSION_LOST, "it is gone"))
        worker = state.worker_id or IDS[0]
        yield LeaseExecution(lease_id=state.lease_id or IDS[1], epoch=state.epoch + 1, worker_id=worker)
        for process in state.processes:
            token = process.identity.token
            yield FailExecution(failure=Failure(FailureReason.STAGE_ERROR, "it failed"))
            yield RecordProcessExit(epoch=state.epoch, exit=Exit(token=token, exit_code=0))


def outboxes(state):
    """The lanes of a message are where it was made."""
    lanes = {"alice": 0} if state is None else state.lanes
    message = OutgoingMessage(key=f"at {lanes}", kind="asked", recipient="alice", subject="?", text="?", time=EPOCH)
    after = {lane: position + 1 for lane, position in lanes.items()}
    yield QueueNotification(channel="mail", after=lanes, positions=after, message=message)


def tasks(state):
    """A task waits for those it names; it fails and completes with its parts."""
    if state is None:
        yield CreateTask(task_id=IDS[0], spec=TaskSpec(title="build", after=(IDS[1],)))
        return
    yield from (RecordDependencyEnd(dependency_id=one, outcome=TaskStatus.FAILED) for one in state.after)
    yield AddPart(part_id=IDS[2])
    yield FailTask(failure=Failure(FailureReason.PART_FAILED, "a part failed"))


def failed_by_a_part(task):
    """A task without an agent completes after all only if it failed because of a part."""
    return task.rolls_up and task.failure is not None and task.failure.reason is FailureReason.PART_FAILED


def templates(state):
    """The id follows from the rest."""
    if state is None:
        scope, name = TemplateScope.GLOBAL, "build"
        yield DefineTemplate(
            template_id=template_id(scope, None, name), spec=TemplateSpec(name=name, scope=scope, text="Build it.")
        )


def projects(state):
    """The id follows from the name, also for a project that takes the place of a removed one."""
    spec = ProjectSpec(name="shop", repositories=("/shop",), documents=("docs/*.md",))
    yield CreateProject(project_id=project_id("shop"), spec=spec)
    if state is not None:
        yield EditProject(changes=ProjectChanges(documents=("CLAUDE.md",)))


def workflow_definitions(state):
    """The id follows from the name."""
    step = StepDefinition(id="code", config=AgentTaskStep(task_template="build" if state is None else "build again"))
    definition = WorkflowDefinition(name="build", steps=(step,))
    yield SaveDefinition(workflow_definition_id=definition_id("build"), definition=definition)


def workflow_schedules(state):
    """The id follows from the name; what is due is dealt with in every way, and by a clock that was ahead."""
    ident = schedule_id("nightly")
    for workflow in ("build", "check"):
        yield SaveSchedule(
            workflow_schedule_id=ident, name="nightly", plan=SchedulePlan(cron="@daily", workflow=workflow)
        )
    if state is not None and state.next_at is not None:
        for omitted, problem in ((None, ""), (None, "retired"), (OmissionReason.OVERLAP, "")):
            outcome = MomentOutcome(at=state.next_at, omitted=omitted, problem=problem)
            yield FireSchedule(until=state.next_at, outcomes=(outcome,))


GUIDES = {
    "agent": Guide(commands=agents, mark=lambda agent: (len(agent.tasks), agent.status)),
    "approval": Guide(commands=approvals),
    "board": Guide(commands=boards),
    "execution": Guide(commands=executions, mark=lambda execution: bool(execution.processes)),
    "outbox": Guide(commands=outboxes),
    "output": Guide(commands=outputs),
    "project": Guide(commands=projects),
    "task": Guide(commands=tasks, mark=failed_by_a_part),
    "template": Guide(commands=templates),
    "workflow_definition": Guide(commands=workflow_definitions),
    "workflow_schedule": Guide(commands=workflow_schedules),
    "workflow": Guide(
        commands=workflows,
        parts=lambda workflow: {step.id: step.status for step in workflow.steps.values()},
        part_table=wf.STEP_TABLE,
        mark=lambda workflow: (workflow.definition.deadline, *wf.outline_of(workflow.definition)),
        values=4,
        tries=2,
        limit=3_000,
    ),
}

every_aggregate = pytest.mark.parametrize("name", DECIDERS)


few = settings(max_examples=settings.default.max_examples // 5)  # of each aggregate


@cache
def exploration(name: str) -> Exploration:
    return explore(DECIDERS[name], GUIDES.get(name, Guide()))


@every_aggregate
@few
@given(data=st.data())
def test_any_commands_in_any_state_keep_the_promises(name, data):
    """The state stays in the table, folds from stored bytes to what was decided, and refusals are typed.

    Begins in any state that the search reached, so that wild values get to the rules of every status.
    """
    decider, guide = DECIDERS[name], GUIDES.get(name, Guide())
    state = data.draw(st.sampled_from(exploration(name).states), label="state")
    for _ in range(data.draw(st.integers(1, 5), label="steps")):
        row = decider.aggregate.table.get(None if state is None else state.status, {})
        fitting = [kind for kind in decider.decisions if any(event in row for event in kind.emits)]
        fits = bool(fitting) and data.draw(st.integers(0, 9)) > 0
        command = data.draw(st.sampled_from(fitting).flatmap(structs) if fits else commands(decider.aggregate))
        actor = data.draw(st.sampled_from(Suggestions(state).actors()) | actors())
        context = msgspec.structs.replace(data.draw(structs(Context)), actor=actor)
        decision, _ = checked_step(decider, state, command, context, guide)
        state = state if decision is None else decision.state


@every_aggregate
@few
@given(data=st.data())
def test_any_commands_from_the_beginning_keep_the_promises(name, data):
    decider, guide, state = DECIDERS[name], GUIDES.get(name, Guide()), None
    for command, context in data.draw(st.lists(st.tuples(commands(decider.aggregate), structs(Context)), max_size=8)):
        decision, _ = checked_step(decider, state, command, context, guide)
        state = state if decision is None else decision.state


@every_aggregate
def test_every_row_of_the_table_is_reached(name):
    found = exploration(name)
    rows = [f"{before} -- {event.topic} --> {after}" for before, event, after in found.missing_rows]
    assert not rows, f"never, by {found.tried} commands in {found.expanded} states:\n" + "\n".join(sorted(rows))


@every_aggregate
def test_every_declared_event_is_emitted(name):
    found = exploration(name)
    emissions = [f"{command.__name__} emits {event.topic}" for command, event in found.missing_emissions]
    assert not emissions, f"never, by {found.tried} commands in {found.expanded} states:\n" + "\n".join(emissions)


@every_aggregate
def test_what_has_ended_refuses_every_command(name):
    found, aggregate = exploration(name), DECIDERS[name].aggregate
    ended = {state.status: state for state in found.states if state is not None and state.status in aggregate.final}
    assert set(ended) == aggregate.final
    for state in ended.values():
        for kind in found.decider.decisions:
            for command, context in found.attempts(state, kind, random.Random(0)):
                with suppress(CommandRefused):
                    decision = found.decider.decide(state.id, state, command, context)
                    assert aggregate.after_the_end.issuperset(map(type, decision.events))


def test_the_search_notices_what_cannot_happen():
    """A row that no command leads through, and an event that no decision answers with."""

    class NeverHappens(Event, frozen=True, kw_only=True):
        topic = "agent.never_happens"

    decider, idle = DECIDERS["agent"], AgentStatus.IDLE
    table = {**AGENT.table, idle: {**AGENT.table[idle], AgentResumed: AgentStatus.WORKING, NeverHappens: idle}}
    aggregate = attrs.evolve(AGENT, table=table, evolvers={**AGENT.evolvers, NeverHappens: status_only})
    found = explore(attrs.evolve(decider, aggregate=aggregate), attrs.evolve(GUIDES["agent"], limit=20))
    assert found.missing_rows == {(idle, AgentResumed, AgentStatus.WORKING), (idle, NeverHappens, idle)}
