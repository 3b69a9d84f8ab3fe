"""Workflows on the facade: definitions in revisions, starts by key, steering, forks, and waiting for the end."""

import anyio
import pytest

from aura_contracts.errors import (
    ActorNotAllowed,
    AggregateNotFound,
    CyclicDefinitions,
    InvalidDefinition,
    InvalidInput,
    KeyReused,
    RuleViolated,
    TransitionRefused,
    UnknownDefinition,
    WorkflowNotDriven,
    WorkflowRunCancelled,
    WorkflowRunFailed,
)
from aura_contracts.workflow import (
    AgentTaskStep,
    ApprovalStep,
    CommandStep,
    StepDefinition,
    StepStatus,
    SubWorkflowStep,
    WaitStep,
    WorkflowDefinition,
    WorkflowStatus,
)
from conditions import until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _in_a_repository(repository, monkeypatch):
    """Steps without a repository of their own work on that of the current folder."""
    monkeypatch.chdir(repository)


FAILS = CommandStep(run="exit 3")
WORKS = CommandStep(run="true")


def step(name, *after, config=WORKS, **fields):
    return StepDefinition(id=name, config=config, dependencies=after, **fields)


def definition(*steps, name="ship", **fields):
    return WorkflowDefinition(name=name, steps=steps or (step("build"),), **fields)


def statuses(workflow):
    return {address: str(one.status) for address, one in workflow.steps.items()}


async def has_status(engine, workflow_id, status):
    return (await engine.workflows.get(workflow_id)).status == status


async def step_is(engine, workflow_id, address, status):
    found = (await engine.workflows.get(workflow_id)).steps.get(address)
    return found is not None and found.status == status


# --- Definitions ------------------------------------------------------------------------------------------------------


async def test_a_definition_is_stored_in_revisions(opened):
    async with opened() as engine:
        first = await engine.workflows.create(definition(description="once"))
        assert (first.name, first.revision, first.created_by) == ("ship", 1, "human:alice")
        assert await engine.workflows.create(definition(description="once"), by="bob") == first
        second = await engine.workflows.create(definition(description="twice"), based_on=1, by="bob")
        assert (second.revision, second.revised_by, second.created_by) == (2, "human:bob", "human:alice")
        with pytest.raises(RuleViolated, match="based on revision 1, the newest one is 2"):
            await engine.workflows.create(definition(description="thrice"), based_on=1)
        revisions = await engine.workflows.revisions("ship")
        assert [(one.revision, one.definition.description) for one in revisions] == [(1, "once"), (2, "twice")]
        for name in ("ship", first.id, first.id[:13]):
            assert await engine.workflows.definition(name) == second
        with pytest.raises(AggregateNotFound) as missing:
            await engine.workflows.definition("nothing")
        assert missing.value.remedy == "`workflows.definitions()` lists the workflow definitions"


async def test_a_definition_is_retired_and_restored(opened):
    async with opened() as engine:
        await engine.workflows.create(definition())
        assert (await engine.workflows.retire("ship", "replaced")).status == "retired"
        assert not (await engine.workflows.definitions(status="active")).rows
        with pytest.raises(UnknownDefinition, match="was retired"):
            await engine.workflows.start("ship")
        assert (await engine.workflows.restore("ship")).revision == 1
        await (await engine.workflows.start("ship")).result()
        await engine.workflows.retire("ship")
        again = await engine.workflows.create(definition(description="new"))
        assert (again.status, again.revision) == ("active", 2)


async def test_a_definition_with_faults_is_refused_with_all_of_them(opened):
    async with opened() as engine:
        wrong = definition(step("a b"), step("c", "nothing"))
        for attempt in (engine.workflows.create, engine.workflows.start):
            with pytest.raises(InvalidDefinition) as refusal:
                await attempt(wrong)
            assert [fault.path for fault in refusal.value.faults] == [
                ("steps", 0, "id"),
                ("steps", 1, "dependencies", 0),
            ]
        assert await engine.events.head() == 0


async def test_inputs_and_outputs_that_are_not_declared_in_json_schema_are_refused(opened):
    inputs = {"tries": {"type": "integer", "default": "two"}, "name": {"pattern": "(?=a)"}}
    output = {"$ref": "https://example.org/"}
    wrong = definition(step("code", config=CommandStep(run="true", output=output)), inputs=inputs)
    async with opened() as engine:
        for attempt in (engine.workflows.create, engine.workflows.start):
            with pytest.raises(InvalidDefinition) as refusal:
                await attempt(wrong)
            assert [(fault.path, fault.message.split(":")[0]) for fault in refusal.value.faults] == [
                (("inputs", "tries"), "schema.default"),
                (("inputs", "name"), "schema.pattern"),
                (("steps", 0, "output"), "schema.$ref"),
            ]
            assert (refusal.value.field, bool(refusal.value.remedy)) == ("definition", True)
        assert await engine.events.head() == 0


async def test_agents_and_observers_define_and_start_nothing(opened):
    agent = "agent:0192f0c1-2d3e-7abc-8def-0123456789ab"
    async with opened() as engine:
        for by in (agent, "observer:eve"):
            with pytest.raises(ActorNotAllowed):
                await engine.workflows.create(definition(), by=by)
            with pytest.raises(ActorNotAllowed):
                await engine.workflows.start(definition(), by=by)
        assert not (await engine.workflows.definitions()).rows
        assert not (await engine.workflows.list()).rows


# --- Start ------------------------------------------------------------------------------------------------------------


async def test_a_workflow_keeps_the_revision_that_it_was_started_from(opened, tmp_path):
    wait = CommandStep(run=f"while [ ! -e '{tmp_path / 'go'}' ]; do sleep 0.02; done")
    async with opened() as engine:
        await engine.workflows.create(definition(name="lint"))
        await engine.workflows.create(
            definition(step("wait", config=wait), step("lint", "wait", config=SubWorkflowStep(workflow="lint")))
        )
        run = await engine.workflows.start("ship")
        await engine.workflows.create(definition(step("fail", config=FAILS), name="lint"))
        await engine.workflows.create(definition(step("fail", config=FAILS)))
        await engine.workflows.retire("lint")
        (tmp_path / "go").touch()
        done = await run.result()
        assert (done.revision, done.pins) == ("ship@1", {"lint": "lint@1"})
        child = await engine.workflows.get(done.steps["lint"].child_id)
        assert (child.revision, child.status, child.parent.workflow_id) == ("lint@1", "completed", done.id)
        assert [row.id for row in (await engine.workflows.list(parent=done.id)).rows] == [child.id]
        assert [row.id for row in (await engine.workflows.list(nested=False)).rows] == [done.id]


async def test_what_would_start_itself_is_refused(opened):
    async with opened() as engine:
        calls = definition(step("call", config=SubWorkflowStep(workflow="ship")))
        with pytest.raises(CyclicDefinitions, match="would start itself: ship > ship"):
            await engine.workflows.start(calls)
        await engine.workflows.create(calls)
        with pytest.raises(CyclicDefinitions):
            await engine.workflows.start("ship")
        assert not (await engine.workflows.list()).rows


async def test_a_key_is_one_workflow(opened):
    inputs = {"version": {"type": "string"}, "loud": {"type": "boolean", "default": False}}
    work = definition(step("build", config=CommandStep(run="echo {{ inputs.version }}")), inputs=inputs)
    async with opened() as engine:
        await engine.workflows.create(work)
        run = await engine.workflows.start("ship", {"version": "1"}, key="release-1")
        for workflow, given in (("ship", {"version": "1"}), ("ship@1", {"version": "1", "loud": False})):
            again = await engine.workflows.start(workflow, given, key="release-1")
            assert again.id == run.id
        await engine.workflows.create(definition(inputs=inputs))
        assert (await engine.workflows.start("ship", {"version": "1"}, key="release-1")).id == run.id
        assert (await engine.workflows.start(work, {"version": "1"}, key="release-1")).id == run.id
        for workflow, given, context in (
            ("ship", {"version": "2"}, {}),
            ("ship", {}, {}),
            ("ship@2", {"version": "1"}, {}),
            (definition(), {}, {}),
            ("ship", {"version": "1"}, {"more": 1}),
        ):
            with pytest.raises(KeyReused, match=f"release-1' belongs to workflow {run.id}"):
                await engine.workflows.start(workflow, given, context=context, key="release-1")
        await run.result()
        assert (await engine.workflows.start("ship", {"version": "1"}, key="release-1")).id == run.id
        assert len((await engine.workflows.list()).rows) == 1
        assert len((await engine.tasks.list()).rows) == 1
        with pytest.raises(InvalidInput, match="key"):
            await engine.workflows.start("ship", {"version": "1"}, key="x" * 201)


async def test_one_key_at_two_engines_at_once_is_one_workflow(opened):
    async with opened() as one, opened() as other:
        runs = []

        async def start(engine):
            runs.append(await engine.workflows.start(definition(), key="once"))

        async with anyio.create_task_group() as group:
            for engine in (one, other, one, other):
                group.start_soon(start, engine)
        assert len({run.id for run in runs}) == 1
        assert [(await run.result()).status for run in runs] == ["completed"] * 4
        assert len((await one.tasks.list()).rows) == 1


@pytest.mark.parametrize("given", [{}, {"version": 1}, {"version": "1", "other": 2}])
async def test_inputs_that_do_not_fit_are_refused(opened, given):
    async with opened() as engine:
        with pytest.raises(InvalidInput, match=r"version|other"):
            await engine.workflows.start(definition(inputs={"version": {"type": "string"}}), given)
        assert await engine.events.head() == 0


# --- Waiting ----------------------------------------------------------------------------------------------------------


async def test_questions_of_steps_tasks_and_sub_workflows_are_yielded(opened, repository):
    agent = {"executor": "scripted", "options": {"rounds": [[{"write": {"path": "a.txt", "text": "new\n"}}]]}}
    code = AgentTaskStep(
        task_template="Write it.", requires_approval=True, options={**agent, "repositories": [str(repository)]}
    )
    async with opened() as engine:
        await engine.workflows.create(definition(step("sure", config=ApprovalStep(question="Sure?")), name="ask"))
        run = await engine.workflows.start(
            definition(step("code", config=code), step("ask", "code", config=SubWorkflowStep(workflow="ask")))
        )
        other = await engine.workflows.start(definition(step("else", config=ApprovalStep(question="Else?"))))
        kinds = []
        with anyio.fail_after(60):
            async for question in run.questions():
                kinds.append(str(question.kind))
                await engine.approvals.approve(question.id)
        assert kinds == ["changes", "workflow_step"]
        done = await run.result()
        assert statuses(done) == {"code": "completed", "ask": "completed"}
        assert (await other.state()).status is WorkflowStatus.ACTIVE
        events = [record.event.topic async for record in run.events(after=0)]
        assert (events[0], events[-1]) == ("workflow.started", "workflow.completed")
        assert len(await engine.workflows.history(run.id)) == len(events)


async def test_a_failed_workflow_names_its_steps_and_goes_on_after_a_retry_or_a_skip(opened, tmp_path):
    flaky = CommandStep(run=f"test -e '{tmp_path / 'ready'}'")
    async with opened() as engine:
        steps = (step("a", config=flaky), step("b", config=FAILS), step("c", "a", "b"))
        run = await engine.workflows.start(definition(*steps))
        with pytest.raises(WorkflowRunFailed) as failed:
            await run.result()
        assert failed.value.failed_steps == ("a", "b")
        with pytest.raises(AggregateNotFound):
            await engine.workflows.retry(run.id, "nothing")
        (tmp_path / "ready").touch()
        assert (await engine.workflows.retry(run.id, "a")).status is WorkflowStatus.ACTIVE
        await engine.workflows.skip(run.id, "b", "it does not matter")
        done = await (await engine.workflows.attach(run.id)).result()
        assert done.steps["b"].reason == "it does not matter"
        assert statuses(done)["a"] == "completed"


async def test_a_cancelled_workflow_ends_what_it_runs(opened):
    async with opened() as engine:
        build = step("build", config=CommandStep(run="sleep 600"))
        run = await engine.workflows.start(definition(build, step("next", "build")))
        await until(lambda: step_is(engine, run.id, "build", StepStatus.RUNNING))
        await run.cancel("no longer needed")
        with pytest.raises(WorkflowRunCancelled):
            await run.result()
        state = await run.state()
        assert (statuses(state), state.reason) == ({"build": "cancelled", "next": "cancelled"}, "no longer needed")
        (task,) = (await engine.tasks.list()).rows
        assert task.status == "cancelled"
        for refused in (run.cancel(), engine.workflows.signal(run.id, "go"), engine.workflows.pause(run.id)):
            with pytest.raises(TransitionRefused):
                await refused


async def test_a_workflow_that_no_engine_drives_is_taken_on_by_another(opened):
    async with opened(record_only=True) as recorder:
        run = await recorder.workflows.start(definition())
    async with opened() as engine:
        attached = await engine.workflows.attach(run.id[:13])
        assert not attached.driven
        with pytest.raises(WorkflowNotDriven):
            await attached.result()
        await engine.workflows.advance(run.id)
        assert (await attached.result()).status is WorkflowStatus.COMPLETED
        assert (await engine.workflows.advance(run.id)).status is WorkflowStatus.COMPLETED


# --- Steering ---------------------------------------------------------------------------------------------------------


async def test_a_signal_is_heard_once_also_before_the_wait(opened):
    async with opened() as engine:
        ask = step("ask", config=ApprovalStep(question="?"))
        hear = step("hear", "ask", config=WaitStep(signal="ready"))
        run = await engine.workflows.start(definition(ask, hear, step("more", "hear", config=WaitStep(signal="ready"))))
        for _ in range(2):
            await engine.workflows.signal(run.id, "ready", {"build": 7}, key="one")
        await until(lambda: step_is(engine, run.id, "ask", StepStatus.AWAITING_APPROVAL))
        await engine.approvals.approve((await run.state()).steps["ask"].approval_id)
        await until(lambda: step_is(engine, run.id, "more", StepStatus.RUNNING))
        assert (await run.state()).steps["hear"].result == {"build": 7}
        await engine.workflows.signal(run.id, "ready")
        assert (await run.result()).status is WorkflowStatus.COMPLETED


async def test_the_context_is_updated_for_the_steps_to_come(opened):
    async with opened() as engine:
        ask = step("ask", config=ApprovalStep(question="?"))
        say = step("say", "ask", config=CommandStep(run="echo {{ context.greeting }}"))
        run = await engine.workflows.start(definition(ask, say, context={"greeting": "hi"}), context={"more": 1})
        state = await engine.workflows.update_context(run.id, {"greeting": "hello"}, remove=["more"])
        assert state.context == {"greeting": "hello"}
        await until(lambda: step_is(engine, run.id, "ask", StepStatus.AWAITING_APPROVAL))
        await engine.approvals.approve((await run.state()).steps["ask"].approval_id)
        assert (await run.result()).steps["say"].result["text"].strip() == "hello"


# --- Forks ------------------------------------------------------------------------------------------------------------


async def test_a_fork_runs_again_from_a_step_on(opened, tmp_path):
    def said(name):
        return CommandStep(run=f"echo {name} >> '{tmp_path / 'said'}'")

    steps = (step("a", config=said("a")), step("b", "a", config=said("b")), step("c", "b", config=said("c")))
    async with opened() as engine:
        run = await engine.workflows.start(definition(*steps, inputs={"n": {"type": "integer"}}), {"n": 1})
        first = await run.result()
        fork = await engine.workflows.fork(run.id, "b")
        second = await fork.result()
        assert (tmp_path / "said").read_text().split() == ["a", "b", "c", "b", "c"]
        assert second.steps["a"] == first.steps["a"]
        assert (second.inputs, second.forked_from.workflow_id, second.forked_from.step_id) == ({"n": 1}, run.id, "b")
        history = await engine.workflows.history(run.id)
        (after_a,) = [one.version for one in history if one.event.topic == "workflow.step_completed"][:1]
        third = await (await engine.workflows.fork(run.id, version=after_a)).result()
        assert (tmp_path / "said").read_text().split() == ["a", "b", "c", "b", "c", "b", "c"]
        assert third.status is WorkflowStatus.COMPLETED
        assert await engine.workflows.get(run.id) == first, "the other one stays as it was"
        for wrong, error in (({}, InvalidInput), ({"step": "x"}, AggregateNotFound), ({"version": 999}, InvalidInput)):
            with pytest.raises(error):
                await engine.workflows.fork(run.id, **wrong)
