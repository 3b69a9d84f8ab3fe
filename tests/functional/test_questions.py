"""Questions of agents: rules and answers that are remembered, refusals, sessions that are lost."""

import os
import signal
from datetime import timedelta

import anyio
import pytest

from aura_contracts.approval import ANSWER_WITHIN, ApprovalKind, ApprovalStatus, Remember
from aura_contracts.errors import InvalidInput
from aura_contracts.execution import ConversationReplayed, SessionDropped
from aura_contracts.failures import FailureReason
from aura_contracts.task import TaskStatus
from aura_engine.host import Host, now
from aura_engine.permissions.questions import questions_of
from conditions import until
from engines import AT_ONCE, ONCE, all_questions, events_of, next_question, open_questions, scripted, settled, write
from repositories import content

pytestmark = pytest.mark.anyio


def ask(command, *then, tool="Bash"):
    return {"ask": {"tool": tool, "arguments": {"command": command}, "then": list(then)}}


async def test_rules_answer_and_a_refusal_goes_first(opened, repository):
    steps = [ask("make test", write("a", "1")), ask("make install", write("b", "1")), ask("ls; rm x", write("c", "1"))]
    rules = {"allow": ["Bash(make *)", "Bash(ls*)", "Read"], "deny": ["Bash(make install*)", "Bash(rm *)"]}
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], approval="auto", **rules, **scripted(steps))
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        decided = await all_questions(engine, run.id)
    assert [one.status for one in decided] == ["approved", "rejected", "rejected"]
    assert all(one.automatic for one in decided)
    assert "'Bash(rm *)'" in decided[2].feedback
    assert content(repository, "main", "a") == "1"
    assert not (repository / "b").exists()


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("remember", "pattern", "asked"),
    [
        (Remember.ONCE, None, ["make", "make", "make test"]),
        (Remember.SESSION, None, ["make", "make test"]),
        (Remember.TASK, None, ["make", "make test"]),
        (Remember.PATTERN, "Bash(make*)", ["make"]),
    ],
)
async def test_an_answer_holds_for_as_long_as_was_said(opened, repository, remember, pattern, asked):
    steps = [{"session": "s"}, ask("make"), ask("make"), ask("make test"), write("done", "1")]
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], approval="auto", **scripted(steps))
        answered = []
        for _ in asked:
            question = await next_question(engine, run.id)
            answered.append(question.tool_call.arguments["command"])
            first = len(answered) == 1
            how = {"remember": remember, "pattern": pattern} if first else {}
            await engine.approvals.approve(question.id, **how)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        decided = await all_questions(engine, run.id)
    assert answered == asked
    assert len(decided) == 3
    assert [one.automatic for one in decided].count(True) == 3 - len(asked)


@pytest.mark.deep
async def test_a_follow_up_that_asks_for_the_same_call_asks_anew(opened, repository):
    steps = [ask("make", {"append": {"path": "new.txt", "text": "x"}})]
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **scripted(steps))
        first = await next_question(engine, run.id)
        await engine.approvals.approve(first.id)
        await settled(engine, run.id)
        await engine.approvals.reject(run.id, "again")
        second = await next_question(engine, run.id)
        assert second.id != first.id
        await engine.approvals.reject(second.id, "no")
        await settled(engine, run.id)


async def test_an_agent_that_was_not_permitted_and_changed_nothing_has_failed(opened, repository):
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **scripted([ask("make", write("a", "1"))]))
        question = await next_question(engine, run.id)
        await engine.approvals.reject(question.id, "not here")
        task = await settled(engine, run.id)
    assert task.status is TaskStatus.FAILED
    assert task.failure.reason is FailureReason.PERMISSION_DENIED
    assert "not here" in task.failure.message


async def test_a_question_that_nobody_waits_for_any_more_is_taken_back(opened, repository):
    steps = [ask("make", write("a", "1"))]
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], retry=ONCE, **scripted(steps))
        question = await next_question(engine, run.id)
        await engine.tasks.cancel(run.id, "enough")
        await settled(engine, run.id)
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.WITHDRAWN
        assert not await open_questions(engine)


async def test_silence_is_no(opened, repository):
    soon = Host(environment={**os.environ, "AURA_ANSWER_WITHIN": "1"})
    async with opened(host=soon) as engine:
        run = await engine.run("Go", repositories=[str(repository)], **scripted([ask("make", write("a", "1"))]))
        task = await settled(engine, run.id)
        (question,) = await all_questions(engine, run.id)
    assert question.status is ApprovalStatus.EXPIRED
    assert task.failure.reason is FailureReason.PERMISSION_DENIED
    assert "No one answered in time" in task.failure.message
    assert not (repository / "a").exists()


async def test_silence_is_no_also_while_nobody_was_there(opened, repository):
    """The clock is set forward while no engine runs; the agent waits on, under its supervisor."""
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **scripted([ask("make", write("a", "1"))]))
        question = await next_question(engine, run.id)
    late = Host(clock=lambda: now() + timedelta(seconds=ANSWER_WITHIN))
    async with opened(host=late, drive_all=True) as engine:
        task = await settled(engine, run.id)
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.EXPIRED
        assert len(await all_questions(engine, run.id)) == 1
    assert task.failure.reason is FailureReason.PERMISSION_DENIED


@pytest.mark.deep
async def test_an_answer_that_is_given_while_nobody_is_there_reaches_the_agent_that_waits(opened, repository):
    steps = [ask("make", write("a", "1")), write("b", "1")]
    request = {"repositories": [str(repository)], "approval": "auto", **scripted(steps)}
    async with opened() as engine:
        run = await engine.run("Go", **request)
        question = await next_question(engine, run.id)
    async with opened(record_only=True) as engine:
        await engine.approvals.reject(question.id, "not here")
    async with opened(drive_all=True) as engine:
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        assert len(await all_questions(engine, run.id)) == 1
    assert not (repository / "a").exists()
    assert content(repository, "main", "b") == "1"


@pytest.mark.deep  # it takes its time
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_agent_that_is_interrupted_is_not_allowed_anything_more(opened, repository, tmp_path):
    steps = ["ignore_signals", ask("make", {"spawn": {"argv": ["touch", str(tmp_path / "made")], "wait": True}})]
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **scripted(steps))
        question = await next_question(engine, run.id)
        await engine.tasks.interrupt(run.id)
        await engine.approvals.approve(question.id)
        task = await settled(engine, run.id)
    assert task.failure.reason is FailureReason.CANCELLED
    assert not (tmp_path / "made").exists()


async def test_who_calls_a_task_off_takes_its_questions_back_at_once(opened, repository):
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], **scripted([ask("make")]))
        question = await next_question(engine, run.id)
        await engine.tasks.cancel(run.id, "enough")
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.WITHDRAWN
        await settled(engine, run.id)


@pytest.mark.deep
async def test_what_an_agent_asked_before_it_died_is_taken_back_when_it_ends_without_asking_again(opened, repository):
    rounds = [[{"session": "its-own"}, ask("make")], [write("a", "1")]]  # which it goes on with when it is resumed
    async with opened() as engine:
        run = await engine.run("Go", repositories=[str(repository)], retry=AT_ONCE, **scripted(*rounds))
        question = await next_question(engine, run.id)
        (process,) = (await engine.tasks.view(run.id)).execution.processes
        os.kill(process.identity.pid, signal.SIGKILL)
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        assert (await engine.approvals.get(question.id)).status is ApprovalStatus.WITHDRAWN
        (changes,) = await open_questions(engine)
        assert changes.kind is ApprovalKind.CHANGES


async def is_asked_twice(engine, execution_id):
    return len(await questions_of(engine._core.bus, execution_id)) == 2


@pytest.mark.deep
async def test_a_question_survives_the_loss_of_its_session(opened, repository):
    """As with an agent that was killed before it had written its session down."""
    lost = {"fail": {"reason": "SessionLost", "message": "No conversation found"}}
    rounds = [[{"session": "its-own"}, ask("make", write("a", "1"))], [lost]]
    async with opened() as engine:
        request = {"repositories": [str(repository)], "approval": "auto", "retry": AT_ONCE}
        run = await engine.run("Go", **request, **scripted(*rounds))
        question = await next_question(engine, run.id)
        execution = (await engine.tasks.view(run.id)).execution
        os.kill(execution.processes[0].identity.pid, signal.SIGKILL)
        with anyio.fail_after(60):
            await until(lambda: is_asked_twice(engine, execution.id))
        asked = await questions_of(engine._core.bus, execution.id)
        assert {one.asked.approval_id for one in asked} == {question.id}
        await engine.approvals.approve(question.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        events = await events_of(engine, execution.id)
        assert len(await all_questions(engine, run.id)) == 1
    assert sum(isinstance(event, SessionDropped) for event in events) == 1
    assert content(repository, "main", "a") == "1"


@pytest.mark.deep
async def test_a_session_that_is_lost_is_told_again(opened, repository):
    rounds = (
        [{"say": "I wrote a greeting"}, write("new.txt", "hello")],
        [{"fail": {"reason": "SessionLost", "message": "No conversation found"}}],
    )
    async with opened() as engine:
        run = await engine.run("Greet", repositories=[str(repository)], retry=AT_ONCE, **scripted(*rounds))
        await settled(engine, run.id)
        await engine.approvals.reject(run.id, "louder, please")
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.AWAITING_APPROVAL
        view = await engine.tasks.view(run.id)
        events = await events_of(engine, view.execution.id)
    assert [event.session_id for event in events if isinstance(event, SessionDropped)] == ["scripted-2"]
    (told,) = [event.prompt for event in events if isinstance(event, ConversationReplayed)]
    assert "I wrote a greeting" in told
    assert told.rstrip().endswith("louder, please")
    assert view.execution.session_id == "scripted-1", "a new one, and not the one that was lost"


@pytest.mark.deep
async def test_a_session_of_another_task_that_is_lost_is_told_again_too(opened, repository):
    rounds = (
        [{"say": "I wrote a greeting"}, write("new.txt", "hello")],
        [{"fail": {"reason": "SessionLost", "message": "No conversation found"}}],
    )
    request = {"repositories": [str(repository)], "retry": AT_ONCE, "approval": "auto", **scripted(*rounds)}
    async with opened() as engine:
        first = await engine.run("Greet", **request)
        await settled(engine, first.id)
        session = (await engine.tasks.view(first.id)).execution.session_id
        second = await engine.run("Louder, please", session_id=session, **request)
        assert (await settled(engine, second.id)).status is TaskStatus.COMPLETED
        view = await engine.tasks.view(second.id)
        events = await events_of(engine, view.execution.id)
    (told,) = [event.prompt for event in events if isinstance(event, ConversationReplayed)]
    assert "I wrote a greeting" in told
    assert told.rstrip().endswith("Louder, please")


async def test_what_is_no_rule_is_refused(opened, repository):
    async with opened() as engine:
        with pytest.raises(InvalidInput, match="is not a rule"):
            await engine.run("Go", repositories=[str(repository)], allow=["Bash(make"], **scripted([]))


async def test_a_variant_is_a_named_set_of_options(opened, repository, tmp_path):
    (tmp_path / "home").mkdir()
    profile = "[scripted.greeting]\nsteps = [{ write = { path = 'new.txt', text = 'hello' } }]\n"
    (tmp_path / "home" / "profiles.toml").write_text(profile)
    async with opened() as engine:
        request = {"executor": "scripted", "repositories": [str(repository)], "approval": "auto"}
        run = await engine.run("Go", variant="greeting", **request)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        assert (await engine.tasks.view(run.id)).execution.variant == "greeting"
        with pytest.raises(InvalidInput, match="no variant 'parting'"):
            await engine.run("Go", variant="parting", **request)
    assert content(repository, "main", "new.txt") == "hello"
