"""Tasks that are given to another agent while none of AURA's is at work on them: the former agent keeps nothing."""

import pytest

from aura_contracts.actors import ENGINE
from aura_contracts.errors import QuestionWithdrawn
from aura_contracts.execution import EXECUTION, FailExecution, LeaseExecution, StartPreparation
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import WorkerId, lease_of
from aura_contracts.task import TASK, FailTask, RecordAttemptFailure, TaskStatus
from conditions import until
from engines import AT_ONCE, ONCE, open_questions, scripted, settled, write

pytestmark = pytest.mark.anyio

LOST = Failure(FailureReason.WORKER_LOST, "the worker is gone")
HOUR = 3600.0


async def outside(engine, name, **given):
    """Register an agent that works outside AURA: nothing runs it."""
    return (await engine.agents.add(name, "scripted", **given)).id


async def tasks_of(engine, agent):
    return [one.task_id for one in (await engine.agents.get(agent)).tasks]


async def assigned(engine, agent, **options):
    task = await engine.tasks.create("Fix the login", **options)
    return await engine.tasks.assign(task.id, agent=agent)


@pytest.mark.parametrize("end", ["complete", "cancel"])
async def test_an_agent_outside_aura_is_free_when_its_task_is_given_to_another(opened, end):
    async with opened(record_only=True) as engine:
        former, other = await outside(engine, "former"), await outside(engine, "other")
        task = await assigned(engine, former, approval="auto")
        await engine.tasks.assign(task.id, agent=other)
        assert await tasks_of(engine, former) == []
        assert await tasks_of(engine, other) == [task.id]
        await getattr(engine.tasks, end)(task.id)
        assert await tasks_of(engine, other) == []
        again = await assigned(engine, former)
        assert await tasks_of(engine, former) == [again.id]


@pytest.mark.parametrize("same", [True, False])
async def test_the_question_of_the_former_agent_is_withdrawn(opened, same):
    async with opened(record_only=True) as engine:
        former, other = await outside(engine, "former"), await outside(engine, "other")
        task = await assigned(engine, former)
        asked = await engine.tasks.submit(task.id, "I would do it thus")
        await engine.tasks.assign(task.id, agent=former if same else other)
        with pytest.raises(QuestionWithdrawn) as refused:
            await engine.approvals.approve(asked.id)
        assert refused.value.reason == f"the task was given to {'former' if same else 'other'}"
        assert await open_questions(engine) == ()
        assert await tasks_of(engine, former) == ([task.id] if same else [])
        again = await engine.tasks.submit(task.id, "I would do it otherwise")
        await engine.approvals.approve(again.id)
        assert (await engine.tasks.get(task.id)).status is TaskStatus.APPROVED


async def at_work(recorder, repository, **options):
    """Start a task whose worker is never heard of again; return it and its execution."""
    run = await recorder.run("Write", repositories=[str(repository)], **options, **scripted([write("a.txt", "a\n")]))
    view = await recorder.tasks.view(run.id)
    async with recorder._core.bus.unit(ENGINE) as unit:
        lease = LeaseExecution(lease_id=lease_of(view.execution.id), epoch=1, worker_id=WorkerId(run.id))
        for command in (lease, StartPreparation(epoch=1)):
            await unit.handle(view.execution.id, command)
    return view.task, view.execution


@pytest.mark.deep
async def test_an_agent_whose_run_was_lost_is_free_when_its_task_is_given_to_another(opened, repository):
    """The next attempt of the former agent is an hour away; the other one begins at once."""
    async with opened(record_only=True) as recorder:
        task, execution = await at_work(recorder, repository, approval="auto", retry=AT_ONCE)
        bus = recorder._core.bus
        await bus.handle(ENGINE, execution.id, FailExecution(failure=LOST))
        await bus.handle(ENGINE, task.id, RecordAttemptFailure(failure=LOST, delay=HOUR))
        other = await outside(recorder, "other", options=scripted([write("b.txt", "b\n")])["options"])
        await recorder.tasks.assign(task.id, agent=other)
    async with opened(drive_all=True) as engine:
        assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED
        await until(lambda: all_free(engine, task.assigned_agent, other))


async def test_an_agent_whose_run_failed_before_its_proposal_was_answered_is_free_too(opened, repository):
    async with opened(record_only=True) as recorder:
        task, execution = await at_work(recorder, repository, approval="plan", retry=ONCE)
        asked = await recorder.tasks.submit(task.id, "I would do it thus")
        failure = Failure(FailureReason.AGENT_ERROR, "it ended with exit code 1")
        await recorder._core.bus.handle(ENGINE, execution.id, FailExecution(failure=failure))
        other = await outside(recorder, "other", options=scripted([], [write("b.txt", "b\n")])["options"])
        await recorder.tasks.assign(task.id, agent=other)
        assert (await recorder.approvals.get(asked.id)).status == "withdrawn"
    async with opened(drive_all=True) as engine:
        assert (await settled(engine, task.id)).status is TaskStatus.AWAITING_APPROVAL
        assert await tasks_of(engine, task.assigned_agent) == []
        (again,) = await open_questions(engine, task.id)
        await engine.tasks.cancel(task.id)
        await until(lambda: all_free(engine, task.assigned_agent, other))
        assert (await engine.approvals.get(again.id)).status == "withdrawn"


@pytest.mark.deep_but_first
@pytest.mark.parametrize("queued", [True, False])
async def test_an_agent_is_free_when_its_failed_task_is_given_on_before_any_engine_took_note(
    opened, repository, queued
):
    """The engine that recorded the failure died before it released the agent."""
    async with opened(record_only=True) as recorder:
        task, execution = await at_work(recorder, repository, approval="auto", retry=ONCE)
        bus = recorder._core.bus
        async with bus.unit(ENGINE) as unit:
            await unit.handle(execution.id, FailExecution(failure=LOST))
            await unit.handle(task.id, FailTask(failure=LOST))
        other = await outside(recorder, "other", type="tester", options=scripted([write("b.txt", "b\n")])["options"])
        chosen = {"agent_type": "tester"} if queued else {"agent": other}
        await recorder.tasks.assign(task.id, **chosen)
        assert (await bus.require(EXECUTION, execution.id)).final
        assert not (await bus.require(TASK, task.id)).ended
    async with opened(drive_all=True) as engine:
        assert (await settled(engine, task.id)).status is TaskStatus.COMPLETED
        assert (await engine.tasks.get(task.id)).assigned_agent == other
        await until(lambda: all_free(engine, task.assigned_agent, other))


async def all_free(engine, *agents):
    return not any([await tasks_of(engine, agent) for agent in agents])
