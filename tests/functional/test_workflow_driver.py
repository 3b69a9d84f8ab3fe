"""Workflows on real tasks, approvals and sub-workflows: what their driver starts, follows and cancels."""

import os
import signal
from pathlib import Path

import anyio
import pytest
from workflow_steps import command, defined, ends, reaches, start, state_of, statuses, step, tell

from aura_contracts.approval import OnExpiry
from aura_contracts.failures import FailureReason
from aura_contracts.workflow import (
    AgentTaskStep,
    ApprovalStep,
    CancelWorkflow,
    Case,
    ConditionalStep,
    ForEachStep,
    LoopStep,
    ParallelStep,
    PauseWorkflow,
    ResumeWorkflow,
    RetryStep,
    SendSignal,
    SkipStep,
    StepRecovery,
    StepRetry,
    SubWorkflowStep,
    WaitStep,
)
from aura_engine.orchestration.library import Library
from conditions import until
from engines import open_questions, scripted, write
from repositories import content

pytestmark = pytest.mark.anyio


@pytest.fixture
def in_app(repository):
    return {"options": {"repositories": [str(repository)]}}


# --- Commands ---------------------------------------------------------------------------------------------------------


async def test_commands_run_in_order_and_hand_on_their_output(opened, in_app):
    first = command("first", """echo noise; echo '{"n": 2}'""", output={"type": "object"})
    second = command("second", "echo {{ steps.first.output.n + 1 }}", "first")
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(first, second, **in_app)))
        assert workflow.status == "completed", workflow
        assert workflow.steps["first"].result == {"n": 2}
        assert workflow.steps["second"].result == {"exit_code": 0, "text": "3"}
        tasks = (await engine.tasks.list()).rows
    assert {task.requester for task in tasks} == {"alice"}
    assert {task.created_by for task in tasks} == {"system:engine"}
    about = {task.context["workflow"]["step"]: task.context["workflow"] for task in tasks}
    assert about["second"] == {"id": workflow.id, "name": "test", "step": "second", "attempt": 1}


async def test_what_a_command_changes_is_merged(opened, repository, in_app):
    changes = defined(command("write", "echo new > new.txt"), command("read", "cat new.txt", "write"), **in_app)
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, changes))
    assert workflow.steps["read"].result["text"] == "new"
    assert content(repository, "main", "new.txt") == "new"


async def test_a_command_that_fails_is_tried_again_as_its_step_says(opened, in_app, tmp_path):
    script = f"echo x >> {tmp_path}/tries; test $(wc -l < {tmp_path}/tries) = 3"
    tries = command("tries", script, retry=StepRetry(attempts=3, pause=0.01))
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(tries, **in_app)))
        assert (workflow.status, workflow.steps["tries"].attempts) == ("completed", 3)
        assert len((await engine.tasks.list()).rows) == 3


async def test_a_step_that_cannot_be_started_fails_and_a_human_repairs_it(opened, in_app):
    broken = command("broken", "true", options={"repositories": ["/nowhere"]})
    agent = step("agent", AgentTaskStep(task_template="Go", options={"executor": "nobody"}))
    async with opened() as engine:
        workflow_id = await start(engine, defined(broken, agent, **in_app))
        workflow = await ends(engine, workflow_id)
        assert workflow.status == "failed"
        assert workflow.steps["broken"].failure.reason is FailureReason.WORKSPACE_ERROR
        assert "nobody" in workflow.steps["agent"].failure.message
        for name in ("broken", "agent"):
            await tell(engine, workflow_id, SkipStep(step_id=name, reason="not needed"))
        assert (await ends(engine, workflow_id)).status == "completed"


async def test_an_output_that_does_not_fit_fails_the_step(opened, in_app):
    wrong = command("wrong", "echo 7", output={"type": "string"})
    garbage = command("garbage", "echo no json", output={"type": "string"})
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(wrong, garbage, **in_app)))
    assert statuses(workflow) == {"wrong": "failed", "garbage": "failed"}
    assert "no json" in workflow.steps["garbage"].failure.message


async def test_an_expression_that_fails_is_the_failure_of_its_step(opened, in_app):
    bad = command("bad", "echo {{ steps.none.output }}")
    unsure = command("unsure", "true", when="1 + 1")
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(bad, unsure, **in_app)))
    assert {one.failure.reason for one in workflow.steps.values()} == {FailureReason.EXPRESSION_ERROR}


@pytest.mark.parametrize("recovery", list(StepRecovery))
async def test_a_command_whose_process_was_lost_recovers_as_its_author_says(opened, in_app, tmp_path, recovery):
    """Supervisor and command are killed in the middle, once: no one knows how far it had come."""
    script = f"echo $PPID $$ >> {tmp_path}/pids; test $(wc -l < {tmp_path}/pids) = 2 || exec sleep 600"
    lost = command("lost", script, recovery=recovery, retry=StepRetry(attempts=3, pause=0.01))
    async with opened() as engine:
        workflow_id = await start(engine, defined(lost, **in_app))
        await until((tmp_path / "pids").exists)
        await until(lambda: (tmp_path / "pids").read_text().endswith("\n"))
        supervisor, process = map(int, (tmp_path / "pids").read_text().split())
        os.kill(supervisor, signal.SIGSTOP)  # so that it cannot tell how the command ended
        for pid in (process, supervisor):
            os.kill(pid, signal.SIGKILL)
        workflow = await ends(engine, workflow_id)
    step, begun = workflow.steps["lost"], len((tmp_path / "pids").read_text().splitlines())
    expected = {
        StepRecovery.RERUN: ("completed", 2, 2),
        StepRecovery.SKIP: ("skipped", 1, 1),
        StepRecovery.ASK: ("failed", 1, 1),
    }
    assert (step.status, step.attempts, begun) == expected[recovery], workflow
    if recovery is StepRecovery.ASK:
        assert step.failure.reason is FailureReason.WORKER_LOST
        assert "how far it had come" in step.failure.message


# --- Agents -----------------------------------------------------------------------------------------------------------


async def test_an_agent_of_a_step_answers_with_its_output(opened, in_app):
    said = {"say": 'It is done. {"files": 3}'}
    options = scripted([said])
    agent = step("agent", AgentTaskStep(task_template="Count", output={"type": "object"}, options=options))
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(agent, **in_app)))
    assert workflow.steps["agent"].result == {"files": 3}, workflow


async def test_a_step_waits_while_its_task_waits_for_a_human(opened, in_app, repository):
    options = scripted([write("b.txt", "two\n")])
    agent = step("agent", AgentTaskStep(task_template="Write", requires_approval=True, options=options))
    async with opened() as engine:
        workflow_id = await start(engine, defined(agent, **in_app))
        waits = await reaches(engine, workflow_id, lambda one: one.steps["agent"].status == "awaiting_approval")
        (asked,) = await open_questions(engine)
        assert waits.steps["agent"].approval_id == asked.id
        await engine.approvals.approve(asked.id)
        assert (await ends(engine, workflow_id)).status == "completed"
    assert content(repository, "main", "b.txt") == "two"


async def test_a_step_without_an_executor_waits_for_an_agent_of_the_pool(opened, in_app):
    agent = step("agent", AgentTaskStep(task_template="Say it", agent_type="developer"))
    async with opened() as engine:
        workflow_id = await start(engine, defined(agent, **in_app))
        await reaches(engine, workflow_id, lambda one: one.steps["agent"].status == "running")
        await until(lambda: _queued(engine))
        options = {"base_command": "sh", "params": ["-c", "echo done"]}
        await engine.agents.add("ann", "custom", type="developer", options=options)
        workflow = await ends(engine, workflow_id)
    assert workflow.steps["agent"].result["text"] == "done"


async def _queued(engine):
    return len(await engine.tasks.queue()) == 1


# --- Approvals --------------------------------------------------------------------------------------------------------


async def test_a_question_is_answered_and_the_answer_chooses(opened, in_app):
    ask = step("ask", ApprovalStep(question="Release {{ inputs.version }}?", reviewers=("bob",)))
    choose = step(
        "choose",
        ConditionalStep(
            cases=(Case(when="steps.ask.output.by == 'bob'", steps=(command("yes", "echo {{ inputs.version }}"),)),),
            otherwise=(command("no", "echo no"),),
        ),
        "ask",
    )
    async with opened() as engine:
        workflow_id = await start(engine, defined(ask, choose, **in_app), inputs={"version": "1.2"})
        await until(lambda: open_questions(engine))
        (asked,) = await open_questions(engine)
        assert (asked.kind, asked.proposed_solution, asked.reviewers) == (
            "workflow_step",
            "Release 1.2?",
            ("alice", "bob"),
        )
        assert (asked.workflow_id, asked.step_id) == (workflow_id, "ask")
        await engine.approvals.approve(asked.id, "go", by="bob")
        workflow = await ends(engine, workflow_id)
    assert workflow.steps["ask"].result == {"decision": "approved", "feedback": "go", "by": "bob"}
    assert workflow.steps["yes"].result["text"] == "1.2"


async def test_a_no_fails_the_step(opened):
    ask = step("ask", ApprovalStep(question="Release?"))
    async with opened() as engine:
        workflow_id = await start(engine, defined(ask))
        await until(lambda: open_questions(engine))
        (asked,) = await open_questions(engine)
        await engine.approvals.reject(asked.id, "not today")
        workflow = await ends(engine, workflow_id)
    assert workflow.steps["ask"].failure.reason is FailureReason.APPROVAL_REJECTED
    assert "not today" in workflow.steps["ask"].failure.message


@pytest.mark.parametrize(("on_expiry", "status"), [(OnExpiry.DENY, "failed"), (OnExpiry.CONTINUE, "completed")])
async def test_a_question_expires_without_a_service(opened, on_expiry, status):
    ask = step("ask", ApprovalStep(question="Release?", deadline=0.2, on_expiry=on_expiry))
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(ask)))
    assert workflow.status == status


async def test_a_question_without_words_fails_the_step(opened):
    ask = step("ask", ApprovalStep(question="{{ inputs.words }}"))
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(ask), inputs={"words": " "}))
    assert "nothing to decide on" in workflow.steps["ask"].failure.message


# --- Containers, waits ------------------------------------------------------------------------------------------------


async def test_items_rounds_waits_and_signals(opened, in_app, tmp_path):
    each = step(
        "each", ForEachStep(items="[3, 4]", steps=(command("one", "echo {{ item }}{{ index }}"),), concurrency=1)
    )
    loop = step(
        "loop", LoopStep(steps=(command("try", "echo {{ round }}"),), until="steps.try.output.text == '2'", limit=3)
    )
    wait = step("wait", WaitStep(signal="go"), "each", "loop")
    short = step("short", WaitStep(seconds=0.05))
    async with opened() as engine:
        workflow_id = await start(engine, defined(each, loop, wait, short, **in_app))
        await reaches(engine, workflow_id, lambda one: one.steps["wait"].status == "running")
        await tell(engine, workflow_id, SendSignal(name="go", data={"a": 1}))
        workflow = await ends(engine, workflow_id)
    assert workflow.status == "completed", workflow
    assert [one["text"] for one in workflow.steps["each"].result] == ["30", "41"]
    assert workflow.steps["loop"].round == 2
    assert workflow.steps["wait"].result == {"a": 1}


async def test_parallel_commands_run_at_the_same_time(opened, in_app, tmp_path):
    """Each waits for the file of the other, so that one after another they would never end."""
    script = "touch {folder}/{own}; while [ ! -e {folder}/{other} ]; do sleep 0.01; done"
    pair = ParallelStep(
        steps=tuple(
            command(own, script.format(folder=tmp_path, own=own, other=other))
            for own, other in (("a", "b"), ("b", "a"))
        )
    )
    async with opened() as engine:
        assert (await ends(engine, await start(engine, defined(step("pair", pair), **in_app)))).status == "completed"


# --- Sub-workflows ----------------------------------------------------------------------------------------------------


@pytest.fixture
def called(in_app):
    """Has an engine store a definition, and returns the step that runs it."""

    async def store(engine, *steps, inputs=None, **more):
        declared = {"who": {"type": "string"}, "times": {"type": "integer", "default": 2}}
        await engine.workflows.create(defined(*steps, name="called", inputs=declared, **in_app, **more))
        given = {"who": "{{ inputs.who }}"} if inputs is None else inputs
        return step("sub", SubWorkflowStep(workflow="called", inputs=given))

    return store


async def pinned(engine, *steps, **more):
    """Start a workflow with the definitions that it refers to as they are now."""
    definition = defined(*steps)
    return await start(engine, definition, pins=await Library(engine._core.bus).pins(definition), **more)


async def test_a_sub_workflow_has_its_inputs_and_hands_on_its_outputs(opened, called):
    says = command("says", "echo {{ inputs.who }} {{ inputs.times }}")
    async with opened() as engine:
        sub = await called(engine, says, outputs={"said": "steps.says.output.text"})
        workflow = await ends(engine, await pinned(engine, sub, inputs={"who": "bob"}))
        assert workflow.steps["sub"].result == {"said": "bob 2"}, workflow
        child = await state_of(engine, workflow.steps["sub"].child_id)
        (task,) = (await engine.tasks.list()).rows
    assert (child.parent.workflow_id, child.parent.step_id, child.revision) == (workflow.id, "sub", "called@1")
    assert task.requester == "alice"


async def test_a_sub_workflow_that_fails_fails_its_step(opened, called):
    async with opened() as engine:
        sub = await called(engine, command("fails", "exit 7"))
        workflow = await ends(engine, await pinned(engine, sub, inputs={"who": "bob"}))
    assert workflow.status == "failed"
    assert "called" in workflow.steps["sub"].failure.message


async def test_inputs_that_do_not_fit_fail_the_step_of_a_sub_workflow(opened, called):
    async with opened() as engine:
        sub = await called(engine, command("true", "true"), inputs={"who": "bob", "times": "often"})
        workflow = await ends(engine, await pinned(engine, sub))
    assert "times" in workflow.steps["sub"].failure.message


async def test_cancelling_reaches_the_commands_of_a_sub_workflow(opened, called, tmp_path):
    async with opened() as engine:
        sub = await called(engine, command("long", f"echo $$ > {tmp_path}/pid; exec sleep 600"))
        workflow_id = await pinned(engine, sub, inputs={"who": "bob"})
        await until((tmp_path / "pid").exists)
        await tell(engine, workflow_id, CancelWorkflow(reason="enough"))
        workflow = await ends(engine, workflow_id)
        assert workflow.status == "cancelled"
        child = await state_of(engine, workflow.steps["sub"].child_id)
        assert child.status == "cancelled"
        assert not _runs(int((tmp_path / "pid").read_text()))


async def test_a_step_waits_while_its_sub_workflow_asks(opened, called):
    async with opened() as engine:
        sub = await called(engine, step("ask", ApprovalStep(question="Go?")))
        workflow_id = await pinned(engine, sub, inputs={"who": "bob"})
        await reaches(engine, workflow_id, lambda one: one.steps["sub"].status == "awaiting_approval")
        (asked,) = await open_questions(engine)
        await engine.approvals.approve(asked.id)
        assert (await ends(engine, workflow_id)).status == "completed"


# --- Pausing, cancelling, timeouts ------------------------------------------------------------------------------------


async def test_cancelling_ends_what_runs_before_it_is_cancelled(opened, in_app, tmp_path):
    long = command("long", f"echo $$ > {tmp_path}/pid; exec sleep 600")
    ask = step("ask", ApprovalStep(question="Go?"))
    async with opened() as engine:
        workflow_id = await start(engine, defined(long, ask, **in_app))
        await until((tmp_path / "pid").exists)
        await until(lambda: open_questions(engine))
        state = await tell(engine, workflow_id, CancelWorkflow(reason="changed my mind"))
        assert state.status == "cancelling"
        workflow = await ends(engine, workflow_id)
        assert workflow.status == "cancelled"
        assert statuses(workflow) == {"long": "cancelled", "ask": "cancelled"}
        pid = int((tmp_path / "pid").read_text())
        assert not _runs(pid), "cancelled means that nothing runs"
        assert not await open_questions(engine)
        (task,) = (await engine.tasks.list()).rows
        assert task.status == "cancelled"


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_timeout_ends_the_command_and_fails_the_step(opened, in_app, tmp_path):
    long = command("long", f"echo $$ > {tmp_path}/pid; exec sleep 600", timeout=0.5)
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(long, **in_app)))
    assert workflow.steps["long"].failure.reason is FailureReason.TIMEOUT
    assert not (tmp_path / "pid").exists() or not _runs(int((tmp_path / "pid").read_text()))


async def test_a_pause_lets_what_runs_finish_and_starts_nothing(opened, in_app, tmp_path):
    first = command("first", f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")
    second = command("second", "true", "first")
    async with opened() as engine:
        workflow_id = await start(engine, defined(first, second, **in_app))
        await reaches(engine, workflow_id, lambda one: one.steps["first"].status == "running")
        await tell(engine, workflow_id, PauseWorkflow(reason="lunch"))
        (tmp_path / "go").touch()
        paused = await reaches(engine, workflow_id, lambda one: one.steps["first"].status == "completed")
        assert (paused.status, paused.steps["second"].status) == ("paused", "pending")
        await tell(engine, workflow_id, ResumeWorkflow())
        assert (await ends(engine, workflow_id)).status == "completed"


async def test_a_failed_step_is_retried_by_a_human(opened, in_app, tmp_path):
    first = command("first", f"test -e {tmp_path}/go")
    async with opened() as engine:
        workflow_id = await start(engine, defined(first, command("second", "true", "first"), **in_app))
        assert (await ends(engine, workflow_id)).status == "failed"
        (tmp_path / "go").touch()
        await tell(engine, workflow_id, RetryStep(step_id="first"))
        workflow = await reaches(engine, workflow_id, lambda one: one.status == "completed")
    assert workflow.steps["first"].attempts == 2


async def test_a_task_that_a_human_cancels_cancels_its_step(opened, in_app):
    async with opened() as engine:
        workflow_id = await start(engine, defined(command("long", "exec sleep 600"), **in_app))
        running = await reaches(engine, workflow_id, lambda one: one.steps["long"].status == "running")
        await engine.tasks.cancel(running.steps["long"].task_id)
        workflow = await reaches(engine, workflow_id, lambda one: one.steps["long"].status == "cancelled")
    assert "cancelled" in workflow.steps["long"].reason


async def test_starting_twice_is_starting_once(opened, in_app, tmp_path):
    """A step's task has an id that follows from the workflow, so it is there once, however often it is tried."""
    async with opened() as engine:
        workflow_id = await start(engine, defined(command("one", f"echo x >> {tmp_path}/effects"), **in_app))
        await engine._core.drive_workflow(workflow_id)
        await engine._core.take_on_workflow(workflow_id)
        await ends(engine, workflow_id)
        assert len((await engine.tasks.list()).rows) == 1
    assert (tmp_path / "effects").read_text() == "x\n"


# --- Several engines --------------------------------------------------------------------------------------------------


async def test_one_of_two_engines_drives_and_the_other_takes_over(opened, in_app, tmp_path):
    slow = command("slow", f"echo x >> {tmp_path}/effects; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")
    async with opened() as other:
        async with opened() as engine:
            workflow_id = await start(
                engine, defined(slow, step("ask", ApprovalStep(question="Go?"), "slow"), **in_app)
            )
            assert not await other._core.take_on_workflow(workflow_id)
            await until((tmp_path / "effects").exists)
        (tmp_path / "go").touch()
        await until(lambda: open_questions(other))
        (asked,) = await open_questions(other)
        await other.approvals.approve(asked.id)
        assert (await ends(other, workflow_id)).status == "completed"
    assert (tmp_path / "effects").read_text() == "x\n"


async def test_a_closed_engine_goes_on_when_it_is_opened_again(opened, in_app, tmp_path):
    slow = command("slow", f"echo x >> {tmp_path}/effects; while [ ! -e {tmp_path}/go ]; do sleep 0.01; done")
    async with opened() as engine:
        workflow_id = await start(engine, defined(slow, command("after", "true", "slow"), **in_app))
        await until((tmp_path / "effects").exists)
    (tmp_path / "go").touch()
    async with opened(drive_all=True) as engine:
        assert (await ends(engine, workflow_id)).status == "completed"
    assert (tmp_path / "effects").read_text() == "x\n"


async def test_a_lock_that_is_lost_is_taken_again_or_the_driver_steps_back(opened, in_app, tmp_path):
    async with opened() as engine, opened() as other:
        workflow_id = await start(engine, defined(step("ask", ApprovalStep(question="Go?")), **in_app))
        await until(lambda: open_questions(engine))
        key = f"workflow:{workflow_id}"
        await engine._core.locks.release(key)
        drivers = engine._core.follower.drivers
        assert await other._core.take_on_workflow(workflow_id)
        subject = engine._core.follower.workflow(workflow_id)
        drivers._lost.add(subject)
        with anyio.fail_after(30):
            await drivers.undriven(subject)
        await until(lambda: drivers.stands_by(subject))
        (asked,) = await open_questions(other)
        await other.approvals.approve(asked.id)
        assert (await ends(other, workflow_id)).status == "completed"


async def test_an_engine_that_drives_all_drives_what_another_one_has_recorded(opened, in_app):
    async with opened(drive_all=True) as engine, opened(record_only=True) as recorder:
        workflow_id = await start(recorder, defined(command("one", "true"), **in_app))
        assert (await ends(engine, workflow_id)).status == "completed"
        assert (await state_of(recorder, workflow_id)).status == "completed"
