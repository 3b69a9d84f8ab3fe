"""Tasks that wait for others, and tasks with parts, worked on by real processes."""

from datetime import UTC, datetime
from functools import partial

import anyio
import pytest

from aura_contracts.agent import AgentChanges
from aura_contracts.errors import CyclicDependency, InvalidInput, RuleViolated, TransitionRefused
from aura_contracts.execution import ExecutionStatus
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.task import CompleteTask, DependencyPolicy, FailTask, PartPolicy, TaskChanges, TaskStatus
from conditions import until
from engines import ONCE, events_of, open_questions, scripted, settled, write

pytestmark = pytest.mark.anyio

FAILING = [{"fail": {"exit_code": 1}}]
LOST = Failure(FailureReason.DEPENDENCY_FAILED, "it waits for a task that failed")


def work(repository, name, *steps):
    return {"repositories": [str(repository)], **scripted([write(name, "x\n"), *steps])}


async def assigned(engine, repository, title, *steps, **options):
    """Create a task, and have a scripted agent work on it."""
    task = await engine.tasks.create(title, approval="auto", retry=ONCE, **options)
    return await engine.tasks.assign(task.id, **work(repository, f"{title}.txt", *steps))


async def status(engine, task):
    return (await engine.tasks.get(task.id)).status


async def has_ended(engine, task, seconds=60):
    with anyio.fail_after(seconds):
        return await settled(engine, task.id)


# --- Dependencies -----------------------------------------------------------------------------------------------------


async def test_a_circle_is_refused_with_its_path(opened):
    async with opened() as engine:
        a, b, c = [await engine.tasks.create(title) for title in "abc"]
        await engine.tasks.edit(b.id, TaskChanges(after=(a.id,)))
        await engine.tasks.edit(c.id, TaskChanges(after=(b.id,)))
        with pytest.raises(CyclicDependency) as refused:
            await engine.tasks.edit(a.id, TaskChanges(after=(c.id,)))
        assert refused.value.path == (a.id, c.id, b.id, a.id)
        assert f"{a.id} > {c.id} > {b.id} > {a.id}" in str(refused.value)
        with pytest.raises(CyclicDependency) as refused:
            await engine.tasks.edit(a.id, TaskChanges(after=(a.id,)))
        assert refused.value.path == (a.id, a.id)
        assert (await engine.tasks.get(a.id)).after == ()


async def test_a_part_does_not_wait_for_what_waits_for_it(opened):
    async with opened() as engine:
        whole = await engine.tasks.create("whole")
        other = await engine.tasks.create("other", after=[whole.id])
        with pytest.raises(CyclicDependency):
            await engine.tasks.create("part", parent=whole.id, after=[whole.id])
        with pytest.raises(CyclicDependency):
            await engine.tasks.create("part", parent=whole.id, after=[other.id])
        with pytest.raises(CyclicDependency) as refused:
            await engine.tasks.reparent(other.id, whole.id)
        assert refused.value.path == (other.id, whole.id, other.id)
        part = await engine.tasks.create("part", parent=whole.id)
        with pytest.raises(CyclicDependency):
            await engine.tasks.edit(part.id, TaskChanges(after=(other.id,)))


async def test_circles_made_at_one_moment_are_not_both_recorded(opened):
    async with opened() as engine, opened() as other:
        a, b = await engine.tasks.create("a"), await engine.tasks.create("b")
        refused = []

        async def wait_for(one, task, after):
            try:
                await one.tasks.edit(task.id, TaskChanges(after=(after.id,)))
            except CyclicDependency as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            group.start_soon(wait_for, engine, a, b)
            group.start_soon(wait_for, other, b, a)
        assert len(refused) == 1


@pytest.mark.deep
async def test_a_task_starts_when_another_engine_has_completed_what_it_waits_for(opened, repository, tmp_path):
    async with opened() as engine, opened() as other:
        first = await assigned(other, repository, "first", {"wait_for": str(tmp_path / "go")})
        second = await assigned(engine, repository, "second", after=[first.id])
        blocked = (await engine.tasks.list(blocked=True)).rows
        assert [task.id for task in blocked] == [second.id]
        (tmp_path / "go").touch()
        assert (await has_ended(engine, second)).status is TaskStatus.COMPLETED
        assert not (await engine.tasks.list(blocked=True)).rows


async def test_a_task_starts_though_its_engine_died_before_the_others_ended(opened, repository):
    async with opened() as engine:
        first = await engine.tasks.create("first", approval="auto")
        second = await assigned(engine, repository, "second", after=[first.id])
        first = await engine.tasks.assign(first.id, executor="scripted")  # worked on outside AURA
    async with opened(record_only=True) as recorder:
        await recorder.tasks.submit(first.id, "done", requires_approval=False)
        await recorder._core.bus.handle("system:test", first.id, CompleteTask())
    async with opened(drive_all=True) as engine:
        assert (await has_ended(engine, second)).status is TaskStatus.COMPLETED


@pytest.mark.parametrize("policy", ["fail", "start", pytest.param("wait", marks=pytest.mark.deep)])
async def test_what_the_failure_of_a_dependency_means_is_configured_and_recorded(opened, repository, policy):
    async with opened() as engine:
        first = await engine.tasks.create("first", approval="auto", retry=ONCE)
        second = await assigned(engine, repository, "second", after=[first.id], on_dependency_failure=policy)
        failing = {"repositories": [str(repository)], **scripted(FAILING, [write("first.txt", "1\n")])}
        await engine.tasks.assign(first.id, **failing)
        assert (await has_ended(engine, first)).status is TaskStatus.FAILED
        if policy == DependencyPolicy.WAIT:
            await until(partial(recorded, engine, second))
            assert (await engine.tasks.view(second.id)).execution.status is ExecutionStatus.QUEUED
            assert [task.id for task in (await engine.tasks.list(blocked=True)).rows] == [second.id]
            await engine.tasks.retry(first.id)
        ended = await has_ended(engine, second)
        fails = policy == DependencyPolicy.FAIL
        assert ended.status is (TaskStatus.FAILED if fails else TaskStatus.COMPLETED)
        (event,) = await recorded(engine, second)
        assert (event.dependency_id, event.outcome, event.policy) == (first.id, TaskStatus.FAILED, policy)


async def recorded(engine, task):
    return [event for event in await events_of(engine, task.id) if event.topic == "task.dependency_ended"]


async def test_a_task_that_waits_may_be_let_go(opened, repository):
    async with opened() as engine:
        first = await engine.tasks.create("first")
        second = await assigned(engine, repository, "second", after=[first.id])
        await engine.tasks.edit(second.id, TaskChanges(after=()))
        assert (await has_ended(engine, second)).status is TaskStatus.COMPLETED


# --- Parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_a_task_completes_with_its_parts_and_so_does_the_one_above(opened, repository):
    async with opened() as engine:
        top = await engine.tasks.create("top")
        whole = await engine.tasks.create("whole", parent=top.id)
        parts = [await engine.tasks.create(title, parent=whole.id, approval="auto") for title in ("one", "two")]
        assert [part.title for part in await engine.tasks.parts(top.id)] == ["whole", "one", "two"]
        for part in parts:
            assert await status(engine, top) is TaskStatus.PENDING
            await engine.tasks.assign(part.id, **work(repository, f"{part.title}.txt"))
            await has_ended(engine, part)
        assert (await engine.tasks.get(whole.id)).result == {"parts": 2}
        assert await status(engine, top) is TaskStatus.COMPLETED
        with pytest.raises(RuleViolated, match="has completed with its parts; name another parent, or none"):
            await engine.tasks.create("late", parent=whole.id)


@pytest.mark.parametrize("policy", ["fail", *(pytest.param(one, marks=pytest.mark.deep) for one in ("wait", "ignore"))])
async def test_what_the_failure_of_a_part_means_is_configured(opened, repository, policy):
    async with opened() as engine:
        whole = await engine.tasks.create("whole", on_part_failure=policy)
        good = await engine.tasks.create("good", parent=whole.id, approval="auto")
        bad = await engine.tasks.create("bad", parent=whole.id, approval="auto", retry=ONCE)
        rounds = scripted(FAILING, [write("bad.txt", "1\n")])
        await engine.tasks.assign(bad.id, repositories=[str(repository)], **rounds)
        await has_ended(engine, bad)
        fails = policy == PartPolicy.FAIL
        assert await status(engine, whole) is (TaskStatus.FAILED if fails else TaskStatus.PENDING)
        await engine.tasks.assign(good.id, **work(repository, "good.txt"))
        await has_ended(engine, good)
        if policy == PartPolicy.IGNORE:
            assert await status(engine, whole) is TaskStatus.COMPLETED
            return
        failure = (await engine.tasks.get(whole.id)).failure
        assert (failure is not None and failure.reason == "PartFailed" and bad.id in failure.message) is fails
        await engine.tasks.retry(bad.id)
        await has_ended(engine, bad)
        assert await status(engine, whole) is TaskStatus.COMPLETED


@pytest.mark.parametrize("policy", ["ignore", "fail"])
async def test_what_a_failure_means_may_be_decided_after_it(opened, policy):
    async with opened(record_only=True) as engine:
        whole = await engine.tasks.create("whole")
        good, bad = [await engine.tasks.create(title, parent=whole.id, approval="auto") for title in ("good", "bad")]
        await ended_by_hand(engine, good, CompleteTask())
        await ended_by_hand(engine, bad, FailTask(failure=Failure(FailureReason.AGENT_ERROR, "it broke")))
        assert await status(engine, whole) is TaskStatus.PENDING
        judged = await engine.tasks.edit(whole.id, TaskChanges(on_part_failure=PartPolicy(policy)))
        assert judged == await engine.tasks.get(whole.id)
        if policy == PartPolicy.IGNORE:
            assert (judged.status, judged.result) == (TaskStatus.COMPLETED, {"parts": 1})
            return
        assert judged.failure == Failure(FailureReason.PART_FAILED, f"part {bad.id} (bad) has failed: it broke")
        await engine.tasks.edit(whole.id, TaskChanges(on_part_failure=PartPolicy.IGNORE))
        assert await status(engine, whole) is TaskStatus.COMPLETED


async def test_a_task_that_its_agent_gave_back_completes_with_parts_that_ended_meanwhile(opened):
    async with opened(record_only=True) as engine:
        whole = await engine.tasks.create("whole")
        part = await engine.tasks.create("part", parent=whole.id, approval="auto")
        agent = await engine.agents.add("outside", "scripted")
        await engine.tasks.assign(whole.id, agent=agent.id)
        await ended_by_hand(engine, part, CompleteTask())
        assert await status(engine, whole) is TaskStatus.IN_PROGRESS
        await engine.tasks.move(whole.id, "ready")
        assert await status(engine, whole) is TaskStatus.COMPLETED


async def ended_by_hand(engine, task, command):
    """Have an agent outside AURA end a task."""
    agent = await engine.agents.add(task.title, "scripted")
    await engine.tasks.assign(task.id, agent=agent.id)
    await engine._core.bus.handle("system:engine", task.id, command)


async def test_a_whole_tree_is_cancelled_in_one_append(opened, repository, tmp_path):
    async with opened() as engine, opened(record_only=True) as other:
        whole = await engine.tasks.create("whole")
        below = await engine.tasks.create("below", parent=whole.id)
        working = await assigned(engine, repository, "part", {"wait_for": str(tmp_path / "never")}, parent=below.id)
        later = await engine.tasks.create("later", parent=below.id)
        await until(lambda: is_at_work(engine, working))
        before = await other.events.head()
        await other.tasks.cancel(whole.id, "not wanted")
        cancelled = [e for e in await other.events.list(since=before) if e.event.topic == "task.cancelled"]
        assert [event.stream_id for event in cancelled] == [whole.id, below.id, working.id, later.id]
        assert len({event.correlation_id for event in cancelled}) == 1
        assert cancelled[-1].event.reason == f"alice cancelled task {whole.id}, which it is a part of"
        assert (await has_ended(engine, working)).status is TaskStatus.CANCELLED
        view = await engine.tasks.view(working.id)
        assert (view.execution.status, view.agent.status) == (ExecutionStatus.CANCELLED, "idle")


async def is_at_work(engine, task):
    execution = (await engine.tasks.view(task.id)).execution
    return execution is not None and bool(execution.processes)


@pytest.mark.deep
async def test_a_tree_is_deleted_unless_an_agent_works_in_it(opened, repository, tmp_path):
    async with opened() as engine:
        whole = await engine.tasks.create("whole")
        part = await engine.tasks.create("part", parent=whole.id)
        done = await assigned(engine, repository, "done", parent=whole.id)
        await has_ended(engine, done)
        held = await assigned(engine, repository, "held", {"wait_for": str(tmp_path / "go")}, parent=part.id)
        with pytest.raises(TransitionRefused, match=held.id):
            await engine.tasks.delete(whole.id)
        assert await status(engine, part) is TaskStatus.PENDING
        await engine.tasks.cancel(held.id)
        await engine.tasks.delete(whole.id)
        assert [await status(engine, one) for one in (whole, part, done)] == ["deleted", "deleted", "completed"]


# --- Reassignment -----------------------------------------------------------------------------------------------------


async def has_written(engine, task, name):
    (tree,) = (await engine.tasks.view(task.id)).workspace.worktrees or (None,)
    return tree is not None and await anyio.Path(tree.path, name).exists()


async def test_a_task_is_taken_from_an_agent_that_works_on_it(opened, repository, tmp_path):
    async with opened() as engine:
        held = await assigned(engine, repository, "held", {"print": "half"}, {"wait_for": str(tmp_path / "never")})
        await until(lambda: has_written(engine, held, "held.txt"))
        before = await engine.tasks.view(held.id)
        with pytest.raises(InvalidInput, match="it works on the task already"):
            await engine.tasks.assign(held.id, agent=before.agent.id)
        other = await engine.agents.add("other", executor="scripted", options=rounds_of([write("b.txt", "b\n")]))
        taken = await engine.tasks.assign(held.id, agent=other.id)
        assert taken.assigned_agent == other.id
        done = await has_ended(engine, held)
        assert (done.status, done.executions) == (TaskStatus.COMPLETED, 2)
        assert {"held.txt", "b.txt"} <= {path.name for path in repository.iterdir()}
        first, second = (await engine.executions.list(task=held.id, descending=False)).rows
        assert (first.id, first.status) == (before.execution.id, ExecutionStatus.CANCELLED)
        assert second.queued_at <= first.ended_at or second.started_at >= first.ended_at
        assert (await engine.agents.get(before.agent.id)).last_outcome == "unassigned"


def rounds_of(*rounds):
    return {"rounds": [list(steps) for steps in rounds]}


@pytest.mark.deep
async def test_a_task_in_review_is_reassigned_and_its_question_withdrawn(opened, repository):
    async with opened() as engine:
        run = await engine.run("Write", **work(repository, "a.txt"))
        await settled(engine, run.id)
        (asked,) = await open_questions(engine, run.id)
        other = await engine.agents.add("other", executor="scripted", options=rounds_of([write("b.txt", "b\n")]))
        await engine.tasks.assign(run.id, agent=other.id)
        assert (await engine.approvals.get(asked.id)).status == "withdrawn"
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        (again,) = await open_questions(engine, run.id)
        assert "2 files changed" in again.proposed_solution
        await engine.approvals.approve(again.id)
        assert (await run.result()).status is TaskStatus.COMPLETED


@pytest.mark.deep
async def test_another_engine_drives_a_reassignment_on_after_the_first_died(opened, repository, tmp_path):
    async with opened() as engine:
        held = await assigned(engine, repository, "held", {"wait_for": str(tmp_path / "never")})
        await until(lambda: is_at_work(engine, held))
        other = await engine.agents.add("other", executor="scripted", options=rounds_of([write("b.txt", "b\n")]))
    async with opened(record_only=True) as recorder:
        await recorder.tasks.assign(held.id, agent=other.id)
    async with opened(drive_all=True) as engine:
        assert (await has_ended(engine, held)).status is TaskStatus.COMPLETED


@pytest.mark.deep
async def test_a_task_is_cancelled_between_two_agents(opened, repository, tmp_path):
    async with opened() as engine:
        held = await assigned(engine, repository, "held", {"wait_for": str(tmp_path / "never")})
        await until(lambda: is_at_work(engine, held))
        former = (await engine.tasks.get(held.id)).assigned_agent
        other = await engine.agents.add("other", executor="scripted", options=rounds_of([]))
    async with opened(record_only=True) as recorder:
        await recorder.tasks.assign(held.id, agent=other.id)
        await recorder.tasks.cancel(held.id)
    async with opened(drive_all=True) as engine:
        await until(lambda: all_idle(engine, former, other.id))
        runs = (await engine.executions.list(task=held.id)).rows
        assert {run.status for run in runs} == {ExecutionStatus.CANCELLED}


async def test_an_agent_is_free_when_its_task_is_cancelled_before_any_engine_began_it(opened, repository):
    async with opened(record_only=True) as recorder:
        held = await assigned(recorder, repository, "held")
        other = await recorder.agents.add("other", executor="scripted", options=rounds_of([]))
        given = await recorder.tasks.assign(held.id, agent=other.id)
        await recorder.tasks.cancel(held.id)
        assert await all_idle(recorder, held.assigned_agent, given.assigned_agent)
        runs = (await recorder.executions.list(task=held.id)).rows
        assert [run.status for run in runs] == [ExecutionStatus.CANCELLED] * 2


async def test_an_engine_ends_the_run_of_a_task_that_failed_before_it_began(opened, repository):
    """The engine that recorded the failure died before it could go on."""
    async with opened(record_only=True) as recorder:
        first = await recorder.tasks.create("first")
        second = await assigned(recorder, repository, "second", after=[first.id])
        await recorder._core.bus.handle("system:engine", second.id, FailTask(failure=LOST))
        unfinished = (await recorder.tasks.list(unfinished=True)).rows
        assert [task.id for task in unfinished] == [second.id]
    async with opened(drive_all=True) as engine:
        await until(lambda: all_idle(engine, second.assigned_agent))
        assert (await engine.tasks.view(second.id)).execution.status is ExecutionStatus.CANCELLED
        assert not (await engine.tasks.list(unfinished=True)).rows


async def all_idle(engine, *agents):
    return all([(await engine.agents.get(agent)).status == "idle" for agent in agents])


# --- Lists ------------------------------------------------------------------------------------------------------------


async def test_tasks_are_found_by_label_due_date_and_what_they_wait_for(opened):
    async with opened() as engine:
        due = datetime(2030, 1, 4, tzinfo=UTC)
        bug = await engine.tasks.create("bug", labels=["bug", "shop"], due_at=due)
        other = await engine.tasks.create("other", labels=["shop"], after=[bug.id], fixes=bug.id)

        async def found(**filters):
            return [task.id for task in (await engine.tasks.list(**filters)).rows]

        assert await found(label="bug") == [bug.id]
        assert await found(label="shop", descending=False) == [bug.id, other.id]
        assert await found(due_before=datetime(2031, 1, 1, tzinfo=UTC)) == [bug.id]
        assert await found(due_after=datetime(2031, 1, 1, tzinfo=UTC)) == []
        assert await found(after=bug.id) == await found(fixes=bug.id) == await found(blocked=True) == [other.id]
        assert await found(blocked=False) == [bug.id]
        assert (await engine.tasks.edit(bug.id, TaskChanges(no_due_date=True, labels=()))).due_at is None
        assert await found(label="bug") == []
        with pytest.raises(RuleViolated, match="is not a label"):
            await engine.tasks.edit(bug.id, TaskChanges(labels=(" bug",)))


# --- Types of agents --------------------------------------------------------------------------------------------------


async def test_a_task_goes_to_the_type_that_a_rule_names_and_says_why(opened, repository, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "agent-types.toml").write_text('[labels]\nmigration = "database"\n')
    async with opened() as engine:
        await engine.agents.add("dev", executor="scripted")
        wanted = await engine.agents.add(
            "dba", executor="scripted", type="database", options=rounds_of([write("x.txt", "x\n")])
        )
        task = await engine.tasks.create("Migrate", approval="auto", labels=["migration"])
        assert (task.agent_type, task.agent_type_reason) == ("database", "rule for the label migration")
        assigned = await engine.tasks.assign(task.id, repositories=[str(repository)])
        assert assigned.assigned_agent == wanted.id
        (event,) = [event for event in await events_of(engine, task.id) if event.topic == "task.assigned"]
        assert (event.agent_type, event.reason) == ("database", "rule for the label migration")
        other = await engine.tasks.create("Other")
        assert (other.agent_type, other.agent_type_reason) == (None, "default: any type")


@pytest.mark.deep
async def test_a_task_is_given_to_another_agent_of_the_same_executor_with_what_humans_wrote(
    opened, repository, tmp_path
):
    async with opened() as engine:
        held = await assigned(engine, repository, "held", {"wait_for": str(tmp_path / "never")})
        await until(lambda: is_at_work(engine, held))
        before = await engine.tasks.view(held.id)
        await engine.agents.edit(before.agent.id, AgentChanges(capacity=2))
        await engine.tasks.tell(held.id, "use spaces")
        taken = await engine.tasks.assign(held.id, **scripted([write("b.txt", "b\n")], [write("c.txt", "c\n")]))
        assert taken.assigned_agent != before.agent.id
        assert (await has_ended(engine, held)).status is TaskStatus.COMPLETED
        topics = [event.topic for event in await events_of(engine, taken.next_execution_id)]
        assert "execution.follow_up_requested" in topics
