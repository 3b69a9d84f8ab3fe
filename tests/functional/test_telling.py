"""A human writes to a working agent: it gets the message when its turn ends, whatever happens in between."""

import pytest

from aura_contracts.actors import human
from aura_contracts.errors import ActorNotAllowed, InvalidInput
from aura_contracts.execution import FollowUpRequested, MessageQueued, MessageSaid
from aura_contracts.failures import FailureReason
from aura_contracts.task import TaskStatus
from aura_contracts.template import DefineTemplate, TemplateScope, TemplateSpec, template_id
from aura_engine.runtime import driver
from conditions import until
from engines import AT_ONCE, events_of, next_question, scripted, settled, write
from repositories import content

pytestmark = pytest.mark.anyio


def conversation(go, *first):
    """An agent that works until `go` exists, and answers in its second turn."""
    return scripted(
        [{"session": "s"}, {"wait_for": {"path": str(go)}}, *first],
        [{"say": "I write blue"}, write("new.txt", "blue\n")],
    )


async def at_work(engine, task_id):
    async def runs():
        execution = (await engine.tasks.view(task_id)).execution
        return execution is not None and execution.processes

    await until(runs)


@pytest.mark.deep_but_first
@pytest.mark.parametrize("mode", ["changes", "auto", "plan"])
async def test_what_is_written_meanwhile_is_answered_before_anything_is_proposed(opened, repository, tmp_path, mode):
    go = tmp_path / "go"
    async with opened() as engine, opened(record_only=True) as other:
        steps = conversation(go, {"say": "I write red"}, *([] if mode == "plan" else [write("new.txt", "red\n")]))
        run = await engine.run("Go", repositories=[str(repository)], approval=mode, reviewers=["bob"], **steps)
        await at_work(engine, run.id)
        await other.tasks.tell(run.id, "make it blue")
        await other.tasks.tell(run.id, "and be quick", by="bob")
        for by in ("mallory", "agent:0192f0c1-2d3e-7abc-8def-000000000005"):
            with pytest.raises(ActorNotAllowed):
                await other.tasks.tell(run.id, "no", by=by)
        go.touch()
        if mode == "auto":
            assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
            assert content(repository, "main", "new.txt") == "blue"
        else:
            asked = await next_question(engine, run.id)
            assert len((await engine.approvals.list(task=run.id)).rows) == 1, "the first turn proposed nothing"
            assert mode == "changes" or "I write blue" in asked.proposed_solution
            with pytest.raises(InvalidInput, match="awaiting_approval") as refused:
                await engine.tasks.tell(run.id, "too late")
            assert asked.id in refused.value.remedy
        events = await events_of(engine, (await engine.tasks.get(run.id)).execution_id)
    (follow_up,) = [event for event in events if isinstance(event, FollowUpRequested)]
    assert follow_up.feedback == "alice: make it blue\n\nbob: and be quick"
    assert follow_up.feedback in follow_up.prompt
    assert [event.message.author for event in events if isinstance(event, MessageQueued)] == ["alice", "bob"]
    said = [event.entry.text for event in events if isinstance(event, MessageSaid)]
    assert said == ["I write red", "I write blue"]


async def test_a_template_that_cannot_be_filled_fails_the_task_that_has_a_message(
    opened, repository, tmp_path, monkeypatch
):
    """It says why, so that the template can be mended and the task retried; nothing would have changed by itself."""
    monkeypatch.setattr(driver, "_PAUSES", (0.0,))
    go = tmp_path / "go"
    async with opened() as engine:
        named = template_id(TemplateScope.GLOBAL, None, "message")
        spec = TemplateSpec(name="message", scope=TemplateScope.GLOBAL, text="{{ what }}", variables=("what",))
        await engine._core.bus.handle(human("alice"), named, DefineTemplate(template_id=named, spec=spec))
        run = await engine.run("Go", repositories=[str(repository)], approval="auto", **conversation(go))
        await at_work(engine, run.id)
        await engine.tasks.tell(run.id, "make it blue")
        go.touch()
        task = await settled(engine, run.id, 10)
        assert (task.status, task.failure.reason) == (TaskStatus.FAILED, FailureReason.REFUSED)
        assert "what has no value" in task.failure.message


@pytest.mark.deep
async def test_a_message_outlives_a_failed_turn_and_an_engine(opened, repository, tmp_path):
    go = tmp_path / "go"
    async with opened() as engine:
        run = await engine.run(
            "Go", repositories=[str(repository)], approval="auto", retry=AT_ONCE, **conversation(go, {"fail": 1})
        )
        await at_work(engine, run.id)
        await engine.tasks.tell(run.id, "make it blue")
    go.touch()
    async with opened() as engine:
        await engine.resume(run.id)
        await settled(engine, run.id)
        task = await engine.tasks.get(run.id)
        left = (await engine.tasks.view(run.id)).execution.messages
        if task.status is TaskStatus.FAILED:
            assert [one.text for one in left] == ["make it blue"]
            await engine.tasks.retry(run.id)
            assert [one.text for one in (await engine.tasks.view(run.id)).execution.messages] == ["make it blue"]
        else:
            assert left == ()


async def test_nobody_is_told_where_nobody_works(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Go")
        with pytest.raises(InvalidInput, match="no agent works on it"):
            await engine.tasks.tell(task.id, "hello")
