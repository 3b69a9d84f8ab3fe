"""Proposals that a program submits for an agent: what waits for the decision, and who may do what meanwhile."""

import pytest

from aura_contracts.agent import AgentStatus
from aura_contracts.approval import ApprovalStatus
from aura_contracts.errors import ActorNotAllowed, AuraError, CommandRefused, InvalidInput
from aura_contracts.execution import ExecutionStatus
from aura_contracts.task import TaskChanges, TaskStatus
from conditions import until
from engines import ONCE, all_questions, open_questions, scripted, settled, write
from repositories import branches, content, git

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("asked", [True, False])
async def test_a_proposal_is_approved_by_whom_it_says(opened, asked):
    async with opened() as engine:
        task = await engine.tasks.create("Write", approval="auto")
        await engine.tasks.assign(task.id, executor="scripted")
        approval = await engine.tasks.submit(task.id, "I write it", requires_approval=asked)
        status = (await engine.tasks.get(task.id)).status
        if asked:
            assert (approval.status, status) == (ApprovalStatus.PENDING, TaskStatus.AWAITING_APPROVAL)
            assert [question.id for question in await open_questions(engine, task.id)] == [approval.id]
        else:
            assert (approval.status, status) == (ApprovalStatus.APPROVED, TaskStatus.APPROVED)
            assert approval.automatic
            assert not await open_questions(engine, task.id)


async def test_each_proposal_is_a_question_of_its_own_until_the_task_has_ended(opened):
    async with opened(record_only=True) as engine:
        task = await engine.tasks.create("Write", approval="auto")
        await engine.tasks.assign(task.id, executor="scripted")
        first = await engine.tasks.submit(task.id, "I write it", requires_approval=False)
        second = await engine.tasks.submit(task.id, "I write more")
        assert (first.status, second.status) == (ApprovalStatus.APPROVED, ApprovalStatus.PENDING)
        for asked in (True, False):
            with pytest.raises(CommandRefused):
                await engine.tasks.submit(task.id, "I write at once", requires_approval=asked)
        with pytest.raises(CommandRefused):
            await engine.tasks.complete(task.id)
        await engine.approvals.approve(second.id)
        assert (await engine.tasks.complete(task.id, {"lines": 1})).status is TaskStatus.COMPLETED
        for asked in (True, False):
            with pytest.raises(CommandRefused, match="completed"):
                await engine.tasks.submit(task.id, "I write more", requires_approval=asked)
        assert [question.id for question in await all_questions(engine, task.id)] == [first.id, second.id]
        assert (await engine.tasks.get(task.id)).status is TaskStatus.COMPLETED


async def test_only_those_whom_a_task_concerns_submit_and_no_one_waives_its_approval(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Write", approval="plan", reviewers=["bob"], no_self_approval=True)
        await engine.tasks.assign(task.id, executor="scripted")
        for stranger in ("carol", "observer:bob", "agent:0192f0c1-2d3e-7abc-8def-000000000005"):
            with pytest.raises(ActorNotAllowed):
                await engine.tasks.submit(task.id, "I do what I like", by=stranger)
        for concerned in ("alice", "bob"):
            with pytest.raises(InvalidInput, match="the approval mode of task"):
                await engine.tasks.submit(task.id, "I do what I like", requires_approval=False, by=concerned)
        asked = await engine.tasks.submit(task.id, "I write it", by="bob")
        agent = (await engine.tasks.get(task.id)).assigned_agent
        assert (asked.status, asked.requested_by) == (ApprovalStatus.PENDING, f"agent:{agent}")


@pytest.mark.deep_but_first
@pytest.mark.parametrize("asked", [True, False])
async def test_the_agent_waits_for_the_decision_and_then_works(opened, repository, asked):
    async with opened(record_only=True) as engine:
        task = await engine.tasks.create("Write", repositories=[str(repository)], approval="auto")
        work = scripted([write("new.txt", "x\n")])
        await engine.tasks.assign(task.id, **work)
        await engine.tasks.submit(task.id, "I write it", requires_approval=asked)
    async with opened() as engine:
        if asked:
            run = await engine.resume(task.id)
            view = await engine.tasks.view(task.id)
            assert view.agent.status is AgentStatus.WAITING_FOR_APPROVAL
            assert (await settled(engine, task.id)).status is TaskStatus.AWAITING_APPROVAL
            assert (await engine.tasks.view(task.id)).execution.status is ExecutionStatus.QUEUED
            assert not (repository / "new.txt").exists()
            await engine.approvals.approve(task.id)
        else:
            run = await engine.resume(task.id)
        assert (await run.result()).status is TaskStatus.COMPLETED
        assert (await engine.tasks.get(task.id)).executions == 1
    assert (repository / "new.txt").exists()


async def test_agents_and_humans_change_only_what_concerns_them(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Write", reviewers=["bob"])
        await engine.tasks.assign(task.id, executor="scripted")
        agent = (await engine.tasks.get(task.id)).assigned_agent
        other = await engine.agents.add("other", executor="scripted")
        for stranger in ("carol", f"agent:{other.id}"):
            with pytest.raises(ActorNotAllowed):
                await engine.tasks.edit(task.id, TaskChanges(title="Mine"), by=stranger)
            with pytest.raises(ActorNotAllowed):
                await engine.tasks.cancel(task.id, by=stranger)
        for concerned, title in (("alice", "A"), ("bob", "B"), (f"agent:{agent}", "C")):
            assert (await engine.tasks.edit(task.id, TaskChanges(title=title), by=concerned)).title == title
        assert (await engine.tasks.cancel(task.id, by=f"agent:{agent}")).status is TaskStatus.CANCELLED


async def test_strangers_do_nothing_with_a_task(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Write")
        await engine.tasks.assign(task.id, executor="scripted")
        agent = (await engine.tasks.get(task.id)).assigned_agent
        other = await engine.agents.add("other", executor="scripted")
        pending, tasks = await engine.tasks.create("Later"), engine.tasks
        for stranger in ("carol", f"agent:{other.id}"):
            for command in (
                tasks.delete(pending.id, by=stranger),
                tasks.assign(pending.id, executor="scripted", by=stranger),
                tasks.reparent(pending.id, task.id, by=stranger),
                tasks.move(task.id, "ready", by=stranger),
                tasks.move(task.id, "blocked", "why", by=stranger),
                tasks.decompose(task.id, ["one"], by=stranger),
                tasks.interrupt(task.id, by=stranger),
            ):
                with pytest.raises(ActorNotAllowed):
                    await command
        await tasks.interrupt(task.id, by=f"agent:{agent}")
        await tasks.decompose(task.id, ["one"], by=f"agent:{agent}")


# --- Parts ------------------------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
@pytest.mark.parametrize("last", ["completed", "cancelled", "deleted"])
async def test_a_task_that_was_split_completes_with_its_parts(opened, repository, last):
    async with opened() as engine:
        whole = await engine.tasks.create("Build it", approval="auto")
        await engine.tasks.assign(whole.id, executor="scripted")
        await engine.tasks.decompose(whole.id, ["one", "two"])
        await engine.approvals.approve(whole.id)
        one, two = (await engine.tasks.list(parent=whole.id, descending=False)).rows
        assert (one.queued, two.queued) == (True, True)
        for number, part in enumerate((one, two)):
            if part is two and last != "completed":
                await (engine.tasks.cancel if last == "cancelled" else engine.tasks.delete)(part.id)
                continue
            work = scripted([write(f"{number}.txt", "x\n")])
            await engine.tasks.assign(part.id, **work, repositories=[str(repository)])
            assert (await settled(engine, part.id)).status is TaskStatus.COMPLETED
            if part is one:
                assert (await engine.tasks.get(whole.id)).status is TaskStatus.APPROVED
        done = await engine.tasks.get(whole.id)
        assert (done.status, done.result) == (TaskStatus.COMPLETED, {"parts": 2 if last == "completed" else 1})


async def test_a_part_that_is_retried_completes_the_task_whose_other_parts_ended_in_other_ways(opened, repository):
    rounds = [{"fail": {"exit_code": 3, "message": "not yet"}}], [write("late.txt", "x\n")]
    async with opened() as engine:
        whole = await engine.tasks.create("Build it")
        done, gone, failed = [
            await engine.tasks.create(title, parent=whole.id, approval="auto", retry=ONCE) for title in "abc"
        ]
        await engine.tasks.assign(done.id, **scripted([write("early.txt", "x\n")]), repositories=[str(repository)])
        assert (await settled(engine, done.id)).status is TaskStatus.COMPLETED
        await engine.tasks.assign(failed.id, **scripted(*rounds), repositories=[str(repository)])
        assert (await settled(engine, failed.id)).status is TaskStatus.FAILED
        await engine.tasks.cancel(gone.id)
        assert (await engine.tasks.get(whole.id)).status is TaskStatus.PENDING
        await engine.tasks.retry(failed.id)
        assert (await settled(engine, failed.id)).status is TaskStatus.COMPLETED
        ended = await engine.tasks.get(whole.id)
        assert (ended.status, ended.result) == (TaskStatus.COMPLETED, {"parts": 2})


# --- A completed task -------------------------------------------------------------------------------------------------


@pytest.mark.deep_but_first
@pytest.mark.parametrize("in_place", [False, True])
async def test_feedback_on_a_completed_task_begins_it_again(opened, repository, in_place):
    rounds = [{"say": "I am Tom."}, write("one.txt", "1\n")], [{"say": "Still Tom."}, write("two.txt", "2\n")]
    where = {"repositories": [str(repository)], "in_place": in_place}
    async with opened() as engine:
        run = await engine.run("Write", **where, **scripted(*rounds))
        await settled(engine, run.id)
        if (await engine.tasks.get(run.id)).status is TaskStatus.AWAITING_APPROVAL:
            await engine.approvals.approve(run.id)
            await settled(engine, run.id)
        before = await engine.tasks.view(run.id)
        assert before.task.status is TaskStatus.COMPLETED
        await engine.tasks.follow_up(run.id, "And two")
        await settled(engine, run.id)
        view = await engine.tasks.view(run.id)
        assert (view.task.status, view.task.executions) == (TaskStatus.AWAITING_APPROVAL, 2)
        assert view.workspace.branch == before.workspace.branch
        assert view.workspace.directory == before.workspace.directory
        (question,) = await open_questions(engine, run.id)
        assert "two.txt" in question.proposed_solution
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert (repository / "one.txt").exists()
    assert (repository / "two.txt").exists()


@pytest.mark.parametrize("by_hand", ["two.txt", pytest.param("one.txt", marks=pytest.mark.deep)])
async def test_a_completed_task_begins_again_on_the_target_as_it_is_now(opened, repository, by_hand):
    rounds = [write("one.txt", "1\n")], [write("one.txt", "2\n")]
    async with opened() as engine:
        run = await engine.run("Write", repositories=[str(repository)], approval="auto", **scripted(*rounds))
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        branch = (await engine.tasks.view(run.id)).workspace.branch
        await until(lambda: branch not in branches(repository))
        (repository / by_hand).write_text("by hand\n")
        git(repository, "add", ".")
        git(repository, "commit", "-qm", "by hand")
        await engine.tasks.follow_up(run.id, "Once more")
        task = await settled(engine, run.id)
        assert (task.status, task.executions) == (TaskStatus.COMPLETED, 2)
    assert (repository / "one.txt").read_text() == "2\n"
    assert content(repository, "main~1", by_hand) == "by hand" or content(repository, "main^2~1", by_hand) == "by hand"
    assert git(repository, "status", "--porcelain") == ""


async def test_a_second_follow_up_while_the_first_one_runs_is_heard_once(opened, repository, tmp_path):
    script = f"echo run >> {tmp_path}/runs; test ! -e a.txt.done || until [ -e {tmp_path}/gate ]; do sleep 0.02; done"
    work = {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", f"{script}; touch a.txt.done"]}}
    async with opened() as engine:
        run = await engine.run("Write", repositories=[str(repository)], approval="auto", **work)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        await engine.tasks.follow_up(run.id, "And two")
        await until(lambda: (tmp_path / "runs").read_text().count("run") == 2)
        with pytest.raises(AuraError) as refused:
            await engine.tasks.follow_up(run.id, "And three")
        assert refused.value.remedy
        (tmp_path / "gate").touch()
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert (tmp_path / "runs").read_text().count("run") == 2


@pytest.mark.deep
async def test_feedback_from_another_engine_waits_until_the_worktree_is_removed(opened, repository):
    rounds = [write("one.txt", "1\n")], [write("two.txt", "2\n")]
    async with opened() as engine, opened() as other:
        run = await engine.run("Write", repositories=[str(repository)], approval="auto", **scripted(*rounds))

        async def completed():
            return (await other.tasks.get(run.id)).status is TaskStatus.COMPLETED

        await until(completed)
        await other.tasks.follow_up(run.id, "And two")
        await until((repository / "two.txt").exists)
        assert (await settled(other, run.id)).executions == 2


@pytest.mark.deep
async def test_feedback_on_a_completed_task_continues_in_a_worktree_that_was_kept(opened, repository):
    ignore = "echo out > .gitignore; mkdir -p out; truncate -s 17M out/database; echo more >> new.txt"
    work = {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", ignore]}, "approval": "auto"}
    async with opened() as engine:
        run = await engine.run("Write", repositories=[str(repository)], **work)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        assert (await engine.tasks.view(run.id)).workspace.kept
        await engine.tasks.follow_up(run.id, "Once more")
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert (repository / "new.txt").read_text() == "more\nmore\n"


@pytest.mark.parametrize("mode", ["plan", pytest.param("both", marks=pytest.mark.deep)])
async def test_a_completed_task_that_begins_again_is_planned_again(opened, repository, mode):
    rounds = [{"say": "Plan one"}], [write("one.txt", "1\n")], [{"say": "Plan two"}], [write("two.txt", "2\n")]
    async with opened() as engine:
        run = await engine.run("Write", repositories=[str(repository)], approval=mode, **scripted(*rounds))
        asked = []
        for feedback in (None, "And two"):
            if feedback is not None:
                await engine.tasks.follow_up(run.id, feedback)
            while (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL:
                (question,) = await open_questions(engine, run.id)
                asked.append(question.proposed_solution if question.kind == "plan" else "changes")
                await engine.approvals.approve(question.id)
    each = ["changes"] if mode == "both" else []
    assert asked == ["Plan one", *each, "Plan two", *each]
    assert (repository / "two.txt").exists()


async def test_a_failed_task_whose_worktree_was_cleared_away_is_retried(opened, repository, tmp_path):
    script = f"echo 1 >> one.txt; test -e {tmp_path / 'go'}"
    work = {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", script]}, "approval": "auto"}
    async with opened() as engine:
        run = await engine.run("Write", repositories=[str(repository)], retry=ONCE, **work)
        assert (await settled(engine, run.id)).status is TaskStatus.FAILED
        await engine.workspaces.clean(run.id)
        (tmp_path / "go").touch()
        await engine.tasks.retry(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert (repository / "one.txt").exists()


async def test_feedback_on_a_task_without_work_is_refused(opened):
    async with opened() as engine:
        task = await engine.tasks.create("Write")
        with pytest.raises(InvalidInput, match="none of its work is in review"):
            await engine.tasks.follow_up(task.id, "Go on")
