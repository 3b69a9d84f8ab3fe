"""Tasks that need something for themselves alone, worked on by real processes: one at a time, whatever happens."""

import json
from functools import partial

import anyio
import pytest
from anyio import to_thread

from aura_contracts.approval import ApprovalKind, ApprovalStatus
from aura_contracts.errors import InvalidInput, RuleViolated
from aura_contracts.lock_table import LOCK_TABLE_ID, LocksReleased, LocksTaken
from aura_contracts.task import TaskChanges, TaskStatus
from aura_engine.runtime import lock_places
from command_line import call_aura
from conditions import until
from engines import AT_ONCE, ONCE, next_question, open_questions, scripted, settled, write
from repositories import content, git, make_repository

pytestmark = pytest.mark.anyio


async def begin(engine, repository, name, *steps, approval="auto", **options):
    """Start a run of a scripted agent that writes a file of this name, after `steps`."""
    given = {"repositories": [str(repository)], "approval": approval, "retry": ONCE, **options}
    return await engine.run(name, **given, **scripted([*steps, write(f"{name}.txt", f"{name}\n")]))


def gate(tmp_path, name="gate"):
    return {"wait_for": str(tmp_path / name)}


async def claim(engine, run):
    return next((one for one in await engine.tasks.locks() if one.task_id == run.id), None)


async def holds(engine, run):
    found = await claim(engine, run)
    return found is not None and found.held


async def waits(engine, run):
    found = await claim(engine, run)
    return found is not None and not found.held


async def completed(run, seconds=60):
    with anyio.fail_after(seconds):
        return (await run.result()).status is TaskStatus.COMPLETED


async def is_at_work(engine, run):
    """Whether an agent of the run has started."""
    return bool((await engine.tasks.view(run.id)).execution.processes)


# --- What collides ----------------------------------------------------------------------------------------------------


async def test_a_task_waits_until_the_one_with_its_lock_has_merged(opened, repository, tmp_path):
    async with opened() as engine:
        first = await begin(engine, repository, "first", gate(tmp_path), approval="changes", locks=["deploy"])
        await until(partial(holds, engine, first))
        second = await begin(engine, repository, "second", locks=["deploy", "staging"])
        await until(partial(waits, engine, second))
        assert (await claim(engine, second)).waits_for == (first.id,)
        (tmp_path / "gate").touch()
        question = await next_question(engine, first.id)
        assert await waits(engine, second), "it is released when the work is merged, not when the agent is done"
        await engine.approvals.approve(question.id)
        assert await completed(first)
        assert await completed(second)
        assert content(repository, "main", "first.txt") == "first"
        assert await engine.tasks.locks() == ()
        told = await engine.events.list(stream=LOCK_TABLE_ID, limit=1000)
        assert [*told] == [*await engine.events.list(types=["lock_table"], limit=1000)]
        assert told


@pytest.mark.deep
async def test_paths_collide_in_one_repository_and_where_a_file_matches_both(opened, repository, tmp_path):
    elsewhere = make_repository(tmp_path / "other", {"README": "hello\n"})
    async with opened() as engine:
        first = await begin(engine, repository, "first", gate(tmp_path), locked_paths=["src/api/**"])
        await until(partial(holds, engine, first))
        apart = await begin(engine, repository, "apart", locked_paths=["src/app/*", "docs/*"])
        other = await begin(engine, elsewhere, "other", locked_paths=["src/api/*"])
        assert await completed(apart)
        assert await completed(other)
        second = await begin(engine, repository, "second", locked_paths=["docs/*", "src/*/test.py"])
        await until(partial(waits, engine, second))
        (tmp_path / "gate").touch()
        assert await completed(second)


async def test_worktrees_of_one_repository_are_one_repository(opened, repository, tmp_path):
    git(repository, "worktree", "add", "-q", "-b", "side", tmp_path / "side")
    async with opened() as engine:
        first = await begin(engine, repository, "first", gate(tmp_path), locked_paths=["src/*"])
        await until(partial(holds, engine, first))
        second = await begin(engine, tmp_path / "side", "second", locked_paths=["src/*"])
        await until(partial(waits, engine, second))
        (tmp_path / "gate").touch()
        assert await completed(second)


# --- The order --------------------------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_the_urgent_one_goes_first_and_one_with_many_locks_is_not_passed_by(opened, repository, tmp_path):
    async with opened() as engine:
        first = await begin(engine, repository, "first", gate(tmp_path), locks=["a"])
        await until(partial(holds, engine, first))
        many = await begin(engine, repository, "many", locks=["a", "b"])
        await until(partial(waits, engine, many))
        few = await begin(engine, repository, "few", locks=["b"])
        await until(partial(waits, engine, few))
        urgent = await begin(engine, repository, "urgent", priority="high", locks=["a"])
        await until(partial(waits, engine, urgent))
        order = {one.id: (await claim(engine, one)).waits_for for one in (many, few, urgent)}
        assert order == {many.id: (first.id, urgent.id), few.id: (many.id,), urgent.id: (first.id,)}
        (tmp_path / "gate").touch()
        for run in (first, urgent, many, few):
            assert await completed(run)
        taken = [one.task_id for one in await table_events(engine, LocksTaken)]
        assert taken == [first.id, urgent.id, many.id, few.id]


async def table_events(engine, kind):
    return [record.event for record in await engine._core.log.stream(LOCK_TABLE_ID) if isinstance(record.event, kind)]


# --- The end ----------------------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
@pytest.mark.parametrize("end", ["fails", "is cancelled", "is rejected", "is killed"])
async def test_whatever_ends_a_task_releases_its_locks(opened, repository, tmp_path, end):
    steps = [gate(tmp_path), *([{"fail": 1}] if end == "fails" else [])]
    async with opened() as engine:
        mode = "changes" if end == "is rejected" else "auto"
        first = await begin(engine, repository, "first", *steps, approval=mode, locks=["deploy"])
        await until(partial(is_at_work, engine, first))
        second = await begin(engine, repository, "second", locks=["deploy"])
        await until(partial(waits, engine, second))
        match end:
            case "is cancelled":
                await first.cancel("not needed")
            case "is killed":
                await first.kill()
            case _:
                (tmp_path / "gate").touch()
        if end == "is rejected":
            question = await next_question(engine, first.id)
            await engine.approvals.reject(question.id, "no")
            assert (await settled(engine, first.id)).status is TaskStatus.AWAITING_APPROVAL, "it has revised its work"
            assert await waits(engine, second)
            await first.cancel()
        assert await completed(second)
        await until(partial(all_released, engine))


async def all_released(engine):
    return await engine.tasks.locks() == ()


@pytest.mark.deep
async def test_the_locks_of_a_cancelled_task_are_released_once_its_agent_has_ended(opened, repository, tmp_path):
    """Its agent does not listen: only the end of its process frees what it may still be using."""
    agent = f"trap '' INT TERM; echo $$ > {tmp_path}/pid; until [ -e {tmp_path}/gate ]; do sleep 0.02; done"
    stubborn = {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", agent]}, "approval": "auto"}
    probe = f"kill -0 $(cat {tmp_path}/pid) 2>/dev/null && echo both > {tmp_path}/clash; true"
    after = {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", probe]}, "approval": "auto"}
    async with opened() as engine:
        places = {"repositories": [str(repository)], "locks": ["deploy"], "retry": ONCE}
        first = await engine.run("first", **stubborn, **places)
        await until((tmp_path / "pid").exists)
        second = await engine.run("second", **after, **places)
        await until(partial(waits, engine, second))
        await first.cancel()
        assert await completed(second)
        assert not (tmp_path / "clash").exists()


async def test_a_task_that_is_cancelled_while_it_waits_is_waited_for_no_longer(opened, repository, tmp_path):
    async with opened() as engine:
        first = await begin(engine, repository, "first", gate(tmp_path), locks=["a"])
        await until(partial(holds, engine, first))
        second = await begin(engine, repository, "second", locks=["a", "b"])
        await until(partial(waits, engine, second))
        third = await begin(engine, repository, "third", locks=["b"])
        await until(partial(waits, engine, third))
        await second.cancel()
        assert await completed(third)
        (tmp_path / "gate").touch()
        assert await completed(first)
        assert await engine.tasks.locks() == ()


@pytest.mark.deep
async def test_a_task_keeps_its_locks_while_it_is_tried_again_and_gives_them_back_with_its_failure(
    opened, repository, tmp_path
):
    async with opened() as engine:
        given = {"locks": ["deploy"], "retry": AT_ONCE, "repositories": [str(repository)], "approval": "auto"}
        failing = [{"fail": 1}], [gate(tmp_path), {"fail": 1}], [{"fail": 1}]
        first = await engine.run("first", **given, **scripted(*failing, [write("first.txt", "x")]))
        await until(partial(holds, engine, first))
        second = await begin(engine, repository, "second", locks=["deploy"])
        await until(partial(waits, engine, second))
        (tmp_path / "gate").touch()
        assert await completed(second)
        assert (await first.task()).status is TaskStatus.FAILED
        await engine.tasks.retry(first.id)
        assert await completed(first)
        taken = [one.task_id for one in await table_events(engine, LocksTaken)]
        assert taken == [first.id, second.id, first.id]


@pytest.mark.deep
async def test_a_task_that_waits_for_others_has_no_locks(opened, repository, tmp_path):
    """Or it would wait for one that waits for its lock: also if that is decided after it had begun."""
    async with opened() as engine:
        blocker = await begin(engine, repository, "blocker", gate(tmp_path), locks=["b"])
        await until(partial(holds, engine, blocker))
        second = await begin(engine, repository, "second", locks=["a", "b"])
        await until(partial(waits, engine, second))
        third = await engine.tasks.create("third", approval="auto", locks=["a"])
        await engine.tasks.edit(second.id, TaskChanges(after=(third.id,)))
        await until(lambda: is_gone(engine, second))
        work = {"repositories": [str(repository)], **scripted([write("third.txt", "x")])}
        await engine.tasks.assign(third.id, **work)
        assert (await settled(engine, third.id)).status is TaskStatus.COMPLETED
        (tmp_path / "gate").touch()
        assert await completed(second)


async def is_gone(engine, run):
    return await claim(engine, run) is None


async def test_parts_have_the_locks_of_the_whole_which_has_them_no_longer(opened, repository):
    async with opened() as engine:
        whole = await engine.tasks.create(
            "Whole", repositories=[str(repository)], approval="auto", locks=["deploy"], locked_paths=["src/*"]
        )
        plan = json.dumps({"subtasks": [{"id": "a", "title": "A"}, {"id": "b", "title": "B"}]})
        await engine.tasks.request_decomposition(whole.id, **scripted([{"say": plan}]))
        await settled(engine, whole.id)
        (question,) = await open_questions(engine, whole.id)
        await engine.approvals.approve(question.id)
        await until(lambda: is_split(engine, whole))
        parts = await engine.tasks.parts(whole.id)
        assert [(part.locks, part.locked_paths) for part in parts] == [(("deploy",), ("src/*",))] * 2
        options = {"rounds": [[{"wait_for": "README"}]]}
        await engine.agents.add("dev", executor="scripted", options=options, capacity=2)
        for part in parts:
            await engine.resume(part.id)
        for part in parts:
            assert (await settled(engine, part.id)).status is TaskStatus.COMPLETED
        assert (await engine.tasks.get(whole.id)).status is TaskStatus.COMPLETED
        steps = [type(one).__name__ for one in await table_events(engine, (LocksTaken, LocksReleased))]
        assert steps == ["LocksTaken", "LocksReleased"] * 2, "one after the other"


async def is_split(engine, whole):
    return (await engine.tasks.get(whole.id)).decomposed


# --- Asking -----------------------------------------------------------------------------------------------------------


async def collision(engine, repository, tmp_path):
    """Return a run that has a lock, and one that asks about it, with the question."""
    first = await begin(engine, repository, "first", gate(tmp_path), locks=["deploy"])
    await until(partial(holds, engine, first))
    second = await begin(engine, repository, "second", locks=["deploy"], on_collision="ask")
    question = await next_question(engine, second.id)
    assert (question.kind, (await second.task()).status) == (ApprovalKind.LOCK_CONFLICT, TaskStatus.BLOCKED)
    assert f"It needs deploy for itself, and so does task {first.id} (first)" in question.proposed_solution
    return first, second, question


@pytest.mark.deep
async def test_a_human_lets_a_task_run_all_the_same(opened, repository, tmp_path):
    async with opened() as engine:
        first, second, question = await collision(engine, repository, tmp_path)
        third = await begin(engine, repository, "third", locks=["deploy"])
        await until(partial(waits, engine, third))
        await engine.approvals.approve(question.id)
        assert await completed(second)
        assert await holds(engine, first)
        assert await waits(engine, third), "it was allowed to the second one only"
        assert (await claim(engine, third)).waits_for == (first.id,)
        (tmp_path / "gate").touch()
        assert await completed(third)


async def test_a_human_cancels_the_task(opened, repository, tmp_path):
    async with opened() as engine:
        first, second, question = await collision(engine, repository, tmp_path)
        await engine.approvals.reject(question.id, "not today")
        await until(lambda: has_status(engine, second, TaskStatus.CANCELLED))
        assert [one.task_id for one in await engine.tasks.locks()] == [first.id]
        (tmp_path / "gate").touch()
        assert await completed(first)


async def test_a_task_that_a_human_cancelled_does_not_run_because_nothing_is_in_the_way_by_now(opened, repository):
    async with opened() as engine:
        outside = await engine.agents.add("outside", "scripted", type="developer")
        first = await engine.tasks.create("first", locks=["deploy"])
        await engine.tasks.assign(first.id, agent=outside.id)
        second = await begin(engine, repository, "second", locks=["deploy"], on_collision="ask")
        question = await next_question(engine, second.id)
    async with opened(record_only=True) as engine:
        await engine.approvals.reject(question.id, "never")
        await engine.tasks.cancel(first.id)
        assert [(one.task_id, one.held) for one in await engine.tasks.locks()] == [(second.id, True)]
    async with opened(drive_all=True) as engine:
        await until(lambda: has_status(engine, second, TaskStatus.CANCELLED))
        assert await engine.tasks.locks() == ()
        assert "second.txt" not in git(repository, "ls-tree", "--name-only", "main")


async def has_status(engine, run, status):
    return (await engine.tasks.get(run.id)).status is status


@pytest.mark.deep_but_first
@pytest.mark.parametrize("answer", [None, "wait for it"])
async def test_without_an_answer_and_with_that_one_the_task_waits(opened, repository, tmp_path, answer):
    async with opened() as engine:
        _, second, question = await collision(engine, repository, tmp_path)
        if answer is not None:
            await engine.approvals.request_changes(question.id, answer)
            await until(lambda: has_status(engine, second, TaskStatus.IN_PROGRESS))
            assert await waits(engine, second)
        (tmp_path / "gate").touch()
        assert await completed(second)
        closed = await engine.approvals.get(question.id)
        assert closed.status is (ApprovalStatus.WITHDRAWN if answer is None else ApprovalStatus.NEEDS_CHANGES)


async def test_the_question_of_a_task_that_is_cancelled_is_withdrawn(opened, repository, tmp_path):
    async with opened() as engine:
        first, second, question = await collision(engine, repository, tmp_path)
        await second.cancel()
        await until(lambda: is_withdrawn(engine, question))
        (tmp_path / "gate").touch()
        assert await completed(first)
        assert not await open_questions(engine)


async def is_withdrawn(engine, question):
    return (await engine.approvals.get(question.id)).status is ApprovalStatus.WITHDRAWN


# --- The pool ---------------------------------------------------------------------------------------------------------


async def test_a_task_of_the_queue_that_waits_for_a_lock_keeps_no_agent_from_others(opened, repository, tmp_path):
    async with opened() as engine, opened() as other:
        await engine.agents.add("dev", executor="scripted", options={"steps": [{"say": "done"}]})
        first = await begin(other, repository, "first", gate(tmp_path), locks=["deploy"])
        await until(partial(holds, engine, first))
        given = {"repositories": [str(repository)], "approval": "auto"}
        pooled = await engine.tasks.create("pooled", locks=["deploy"], priority="high", **given)
        pooled = await engine.tasks.assign(pooled.id, agent_type="developer")
        assert pooled.pooled
        (place,) = await engine.tasks.queue()
        assert (place.place, place.reason) == (None, f"it waits for task {first.id}, which has deploy")
        free = await engine.tasks.create("free", **given)
        await engine.tasks.assign(free.id, agent_type="developer")
        assert (await settled(engine, free.id)).status is TaskStatus.COMPLETED
        assert (await engine.tasks.get(pooled.id)).pooled
        (tmp_path / "gate").touch()
        with anyio.fail_after(60):
            done = await (await engine.attach(pooled.id)).result()
        assert done.status is TaskStatus.COMPLETED


@pytest.mark.deep
async def test_a_task_that_has_waited_long_in_the_queue_gets_its_place_before_others(
    opened, repository, tmp_path, monkeypatch
):
    """It gets an agent and a claim, and a task that comes later waits for it."""
    async with opened() as engine:
        await engine.agents.add("dev", executor="scripted", options={"steps": [{"say": "done"}]})
        first = await begin(engine, repository, "first", gate(tmp_path), locks=["deploy"])
        await until(partial(holds, engine, first))
        pooled = await engine.tasks.create("pooled", locks=["deploy"], repositories=[str(repository)], approval="auto")
        pooled = await engine.tasks.assign(pooled.id, agent_type="developer")
        monkeypatch.setattr(lock_places, "AGEING", 0.0)
        later = await begin(engine, repository, "later", locks=["deploy"])
        await until(partial(waits, engine, pooled))
        await until(partial(waits, engine, later))
        assert (await claim(engine, pooled)).waits_for == (first.id,)
        assert set((await claim(engine, later)).waits_for) == {first.id, pooled.id}
        (tmp_path / "gate").touch()
        assert await completed(later)
        assert (await engine.tasks.get(pooled.id)).status is TaskStatus.COMPLETED


async def test_an_agent_outside_aura_gets_a_task_only_with_its_locks(opened, repository, tmp_path):
    async with opened() as engine:
        first = await begin(engine, repository, "first", gate(tmp_path), locks=["deploy"])
        await until(partial(holds, engine, first))
        task = await engine.tasks.create("outside", locks=["deploy"], approval="auto")
        with pytest.raises(InvalidInput, match=f"it needs deploy, and task {first.id} goes first"):
            await engine.tasks.assign(task.id, executor="scripted")
        (tmp_path / "gate").touch()
        assert await completed(first)
        await until(partial(all_released, engine))
        await engine.tasks.assign(task.id, executor="scripted")
        assert await holds(engine, task)
        await engine.tasks.cancel(task.id)
        assert await all_released(engine)


# --- Holders that no engine drives ------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_those_that_wait_are_told_that_no_engine_drives_the_holder_and_what_resumes_it(
    opened, repository, tmp_path
):
    async with opened() as other:
        async with opened() as engine:
            first = await begin(engine, repository, "first", gate(tmp_path), locks=["deploy"])
            await until(partial(is_at_work, engine, first))
            second = await begin(other, repository, "second", locks=["deploy"])
            await until(partial(waits, other, second))
            await other.agents.add("dev", executor="scripted", options={"steps": [{"say": "done"}]})
            pooled = await other.tasks.create("pooled", locks=["deploy"], repositories=[str(repository)])
            await other.tasks.assign(pooled.id, agent_type="developer")
            assert [one.undriven for one in await other.tasks.locks()] == ["", ""]
        told = f"no engine drives it: aura task resume {first.id}"
        assert {one.task_id: one.undriven for one in await other.tasks.locks()} == {first.id: told, second.id: ""}
        (place,) = await other.tasks.queue()
        assert place.reason == f"it waits for task {first.id}, which has deploy; {told}"
        named = f"task {first.id} has deploy; {told}\n"
        for command in (["task", "show", second.id], ["task", "locks"]):
            said = await to_thread.run_sync(partial(call_aura, *command, "--store", f"sqlite:///{tmp_path}/aura.db"))
            assert named in said.out + said.err
        (tmp_path / "gate").touch()
        await other.resume(first.id)
        assert [one.undriven for one in await other.tasks.locks(first.id)] == [""]
        assert await completed(second)


async def test_what_waits_for_a_human_or_an_agent_outside_aura_needs_no_engine(opened, repository):
    async with opened() as other:
        async with opened() as engine:
            first = await begin(engine, repository, "first", approval="changes", locks=["deploy"])
            await next_question(engine, first.id)
            task = await engine.tasks.create("outside", locks=["staging"], approval="auto")
            await engine.tasks.assign(task.id, executor="scripted")
        assert [(one.held, one.undriven) for one in await other.tasks.locks()] == [(True, ""), (True, "")]


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"locked_paths": ["/src/*"]}, "locked_paths"),
        ({"locked_paths": ["src/../a"]}, "locked_paths"),
        ({"locked_paths": ["*"] * 21}, "locked_paths"),
        ({"locks": [""]}, "locks"),
        ({"locks": ["x" * 101]}, "locks"),
        ({"locks": ["a"] * 21}, "locks"),
        ({"on_collision": "fight"}, "on_collision"),
    ],
)
async def test_what_nothing_can_be_locked_by_is_refused(opened, repository, given, field):
    async with opened() as engine:
        with pytest.raises((InvalidInput, RuleViolated)) as refused:
            await begin(engine, repository, "first", **given)
        assert getattr(refused.value, "field", None) or refused.value.rule == field
        assert refused.value.remedy
        assert not (await engine.tasks.list()).rows
