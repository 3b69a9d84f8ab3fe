"""What a task needs for itself alone changes until its work begins, and only a run that needs it waits for it."""

import json
from types import MappingProxyType

import pytest

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import RuleViolated
from aura_contracts.execution import ExecutionStatus
from aura_contracts.lock_table import LocksReleased, LocksTaken
from aura_contracts.task import CollisionPolicy, TaskChanges, TaskStatus
from aura_engine.runtime import driver, leases
from aura_engine.runtime.steps import Do
from conditions import until
from engines import ONCE, next_question, scripted, settled, write

pytestmark = pytest.mark.anyio

PLAN = json.dumps({"subtasks": [{"id": "a", "title": "A"}]})


async def begin(engine, repository, name, *steps, **options):
    """Start a run of a scripted agent that writes a file of this name, after `steps`."""
    given = {"repositories": [str(repository)], "approval": "auto", "retry": ONCE, **options}
    return await engine.run(name, **given, **scripted([*steps, write(f"{name}.txt", f"{name}\n")]))


async def claims(engine):
    """Return what tasks have, or wait for, by task and whether they have it."""
    return {(one.task_id, one.held): str(one.locks) for one in await engine.tasks.locks()}


async def has_claims(engine, expected):
    async def are_there():
        return await claims(engine) == expected

    await until(are_there)


async def holder(engine, repository, tmp_path, **locks):
    """Return a run at work that has locks until there is a file ``gate``."""
    first = await begin(engine, repository, "first", {"wait_for": str(tmp_path / "gate")}, **locks)
    await until(lambda: is_at_work(engine, first))
    return first


async def is_at_work(engine, run):
    return bool((await engine.tasks.view(run.id)).execution.processes)


async def completes(engine, run):
    return (await settled(engine, run.id)).status is TaskStatus.COMPLETED


async def turns(engine):
    """Return the tasks that had locks, in the order in which they took and released them."""
    events = [record.event for record in await engine.events.list(types=["lock_table"], limit=100)]
    return [(type(one).__name__, one.task_id) for one in events if isinstance(one, LocksTaken | LocksReleased)]


# --- Edits ------------------------------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_a_task_that_waits_for_a_lock_needs_another_one_and_begins(opened, repository, tmp_path):
    async with opened() as engine:
        first = await holder(engine, repository, tmp_path, locks=["deploy"])
        second = await begin(engine, repository, "second", locks=["deploy"])
        third = await begin(engine, repository, "third", locks=["deploy"])
        waiting = {(first.id, True): "deploy", (second.id, False): "deploy", (third.id, False): "deploy"}
        await has_claims(engine, waiting)
        edited = await engine.tasks.edit(second.id, TaskChanges(locks=("staging",), locked_paths=("docs/*",)))
        assert (edited.locks, edited.locked_paths) == (("staging",), ("docs/*",))
        assert await completes(engine, second)
        await engine.tasks.edit(third.id, TaskChanges(locks=()))
        assert await completes(engine, third)
        assert await claims(engine) == {(first.id, True): "deploy"}
        (tmp_path / "gate").touch()
        assert await completes(engine, first)
        assert await claims(engine) == {}


@pytest.mark.deep
async def test_an_edit_that_adds_a_lock_makes_the_task_wait_for_it(opened, repository, tmp_path):
    async with opened() as engine, opened() as other:
        first = await holder(engine, repository, tmp_path, locks=["deploy", "staging"])
        second = await begin(engine, repository, "second", locks=["staging"])
        await has_claims(engine, {(first.id, True): "deploy, staging", (second.id, False): "staging"})
        await other.tasks.edit(second.id, TaskChanges(locks=("deploy",)))
        await has_claims(engine, {(first.id, True): "deploy, staging", (second.id, False): "deploy"})
        (tmp_path / "gate").touch()
        assert await completes(engine, second)
        assert await turns(engine) == [
            ("LocksTaken", first.id),
            ("LocksReleased", second.id),
            ("LocksReleased", first.id),
            ("LocksTaken", second.id),
            ("LocksReleased", second.id),
        ], "what it had waited for before is given up with the edit"


@pytest.mark.deep
async def test_a_task_that_is_to_ask_asks_about_what_it_waits_for(opened, repository, tmp_path):
    async with opened() as engine:
        first = await holder(engine, repository, tmp_path, locks=["deploy"])
        second = await begin(engine, repository, "second", locks=["deploy"])
        await has_claims(engine, {(first.id, True): "deploy", (second.id, False): "deploy"})
        await engine.tasks.edit(second.id, TaskChanges(on_collision=CollisionPolicy.ASK))
        question = await next_question(engine, second.id)
        with pytest.raises(RuleViolated, match="cannot change while it is blocked") as refused:
            await engine.tasks.edit(second.id, TaskChanges(locks=()))
        assert refused.value.remedy == "answer its question first"
        await engine.approvals.request_changes(question.id, "wait for it")
        await until(lambda: has_status(engine, second, TaskStatus.IN_PROGRESS))
        await engine.tasks.edit(second.id, TaskChanges(locks=()))
        assert await completes(engine, second)
        (tmp_path / "gate").touch()
        assert await completes(engine, first)


async def has_status(engine, run, status):
    return (await engine.tasks.get(run.id)).status is status


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    "changes",
    [{"locks": ("staging",)}, {"locked_paths": ("docs/*",)}, {"locks": ()}, {"on_collision": CollisionPolicy.ASK}],
)
async def test_an_edit_of_the_locks_is_refused_once_the_work_has_begun(opened, repository, tmp_path, changes):
    async with opened() as engine:
        first = await holder(engine, repository, tmp_path, locks=["deploy"])
        with pytest.raises(RuleViolated, match="its work has begun, with the locks deploy") as refused:
            await engine.tasks.edit(first.id, TaskChanges(title="Other", **changes))
        assert "before it begins, or after it has failed" in refused.value.remedy
        task = await engine.tasks.edit(first.id, TaskChanges(title="Renamed", locks=("deploy",)))
        assert (task.title, task.locks) == ("Renamed", ("deploy",))
        assert await claims(engine) == {(first.id, True): "deploy"}
        (tmp_path / "gate").touch()
        assert await completes(engine, first)


async def test_work_that_waits_for_a_human_has_begun(opened, repository):
    async with opened() as engine:
        first = await begin(engine, repository, "first", approval="changes", locks=["deploy"])
        question = await next_question(engine, first.id)
        with pytest.raises(RuleViolated, match="its work has begun"):
            await engine.tasks.edit(first.id, TaskChanges(locks=()))
        await engine.approvals.approve(question.id)
        assert await completes(engine, first)


@pytest.mark.deep
async def test_a_failed_task_is_retried_with_the_locks_that_it_has_then(opened, repository, tmp_path):
    async with opened() as engine:
        given = {"repositories": [str(repository)], "approval": "auto", "retry": ONCE, "locks": ["deploy"]}
        failing = await engine.run("failing", **given, **scripted([{"fail": 1}], [write("a.txt", "x")]))
        assert (await settled(engine, failing.id)).status is TaskStatus.FAILED
        first = await holder(engine, repository, tmp_path, locks=["deploy"])
        await engine.tasks.edit(failing.id, TaskChanges(locks=("staging",)))
        await engine.tasks.retry(failing.id)
        assert await completes(engine, failing)
        (tmp_path / "gate").touch()
        assert await completes(engine, first)


@pytest.mark.deep
async def test_a_task_of_the_queue_gets_an_agent_once_its_locks_are_edited(opened, repository, tmp_path):
    async with opened() as engine:
        await engine.agents.add("dev", executor="scripted", options={"steps": [{"say": "done"}]})
        first = await holder(engine, repository, tmp_path, locks=["deploy"])
        pooled = await engine.tasks.create("pooled", locks=["deploy"], repositories=[str(repository)], approval="auto")
        assert (await engine.tasks.assign(pooled.id, agent_type="developer")).pooled
        await engine.tasks.edit(pooled.id, TaskChanges(locks=("staging",)))
        assert (await settled(engine, pooled.id)).status is TaskStatus.COMPLETED
        (tmp_path / "gate").touch()
        assert await completes(engine, first)


@pytest.mark.parametrize(
    "changes",
    [{"locks": ("",)}, {"locks": ("a",) * 21}, {"locked_paths": ("/src/*",)}, {"locked_paths": ("src/../a",)}],
)
async def test_an_edit_with_what_nothing_can_be_locked_by_is_refused(opened, changes):
    async with opened() as engine:
        task = await engine.tasks.create("later", locks=["deploy"])
        with pytest.raises(RuleViolated) as refused:
            await engine.tasks.edit(task.id, TaskChanges(**changes))
        assert refused.value.rule in changes
        assert refused.value.remedy
        assert await engine.tasks.get(task.id) == task


async def test_a_run_that_is_about_to_begin_does_not_begin_without_a_lock_that_was_just_added(
    opened, repository, tmp_path, monkeypatch
):
    """The edit comes from another engine between this one's look at the task and the lease."""
    lease, edited = leases.lease, []
    async with opened() as engine, opened() as other:
        first = await holder(engine, repository, tmp_path, locks=["deploy"])

        async def edit_before(runtime, view):
            if not edited:
                edited.append(await other.tasks.edit(view.task.id, TaskChanges(locks=("deploy",))))
            await lease(runtime, view)

        monkeypatch.setattr(driver, "PERFORM", MappingProxyType({**driver.PERFORM, Do.LEASE: edit_before}))
        second = await begin(engine, repository, "second")
        await has_claims(engine, {(first.id, True): "deploy", (second.id, False): "deploy"})
        assert (await engine.tasks.view(second.id)).execution.status is ExecutionStatus.QUEUED
        (tmp_path / "gate").touch()
        assert await completes(engine, second)


# --- Runs that need no locks ------------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_an_agent_of_the_pool_plans_the_parts_of_a_task_whose_locks_another_one_has(opened, repository, tmp_path):
    async with opened() as engine:
        await engine.agents.add("dev", executor="scripted", options={"steps": [{"say": PLAN}]})
        first = await holder(engine, repository, tmp_path, locks=["deploy"])
        whole = await engine.tasks.create("whole", locks=["deploy"], repositories=[str(repository)])
        await engine.tasks.request_decomposition(whole.id, agent_type="developer")
        question = await next_question(engine, whole.id)
        assert question.kind is ApprovalKind.DECOMPOSITION
        assert await claims(engine) == {(first.id, True): "deploy"}
        (tmp_path / "gate").touch()
        assert await completes(engine, first)


@pytest.mark.deep
async def test_an_agent_of_the_pool_that_plans_takes_no_locks_from_others(opened, repository, tmp_path):
    async with opened() as engine:
        await engine.agents.add("dev", executor="scripted", options={"steps": [{"say": PLAN}]})
        whole = await engine.tasks.create("whole", locks=["deploy"], repositories=[str(repository)])
        await engine.tasks.request_decomposition(whole.id, agent_type="developer")
        await next_question(engine, whole.id)
        assert await claims(engine) == {}
        assert await completes(engine, await begin(engine, repository, "other", locks=["deploy"]))


@pytest.mark.deep
async def test_a_task_that_waits_for_locks_waits_no_longer_when_it_is_only_planned(opened, repository, tmp_path):
    """Or it would have them while a human reads the plan."""
    async with opened() as engine:
        first = await holder(engine, repository, tmp_path, locks=["deploy"])
        second = await begin(engine, repository, "second", locks=["deploy"])
        await has_claims(engine, {(first.id, True): "deploy", (second.id, False): "deploy"})
        await engine.tasks.request_decomposition(second.id, **scripted([{"say": PLAN}]))
        question = await next_question(engine, second.id)
        assert question.kind is ApprovalKind.DECOMPOSITION
        assert await claims(engine) == {(first.id, True): "deploy"}
        (tmp_path / "gate").touch()
        assert await completes(engine, first)
        assert await claims(engine) == {}
        await second.cancel()


@pytest.mark.deep
async def test_a_task_that_a_human_blocks_in_the_queue_does_not_begin_before_it_is_unblocked(
    opened, repository, tmp_path
):
    async with opened() as engine:
        first = await holder(engine, repository, tmp_path, locks=["deploy"])
        second = await begin(engine, repository, "second", locks=["deploy"])
        await has_claims(engine, {(first.id, True): "deploy", (second.id, False): "deploy"})
        await engine.tasks.move(second.id, "blocked", "not before noon")
        (tmp_path / "gate").touch()
        assert await completes(engine, first)
        await has_claims(engine, {(second.id, True): "deploy"})
        assert await completes(engine, await begin(engine, repository, "other"))
        assert (await engine.tasks.view(second.id)).execution.status is ExecutionStatus.QUEUED
        await engine.tasks.move(second.id, "running", "it is noon")
        assert await completes(engine, second)
