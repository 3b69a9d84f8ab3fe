"""A worktree that goes while a question about its work waits: the answer holds, and no agent runs for nothing."""

import shutil
from pathlib import Path

import pytest

from aura_contracts.task import ApprovalMode, TaskStatus
from engines import ONCE, open_questions, scripted, settled, write
from repositories import content, git

pytestmark = pytest.mark.anyio


def sweep(home):
    for folder in (home / "workspaces").iterdir():
        shutil.rmtree(folder)


def appending(log):
    """Return an agent that does its work once per start, and counts its starts."""
    script = f"echo line >> b; echo run >> {log}"
    return {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", script]}, "retry": ONCE}


async def test_approved_work_is_merged_without_its_folder(opened, repository, tmp_path):
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], **appending(tmp_path / "runs"))
        await settled(engine, run.id)
        sweep(tmp_path / "home")
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "b") == "line"
    assert (tmp_path / "runs").read_text() == "run\n"


async def test_rejected_work_goes_on_in_a_folder_that_has_come_back(opened, repository, tmp_path):
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], **appending(tmp_path / "runs"))
        await settled(engine, run.id)
        before = (await engine.tasks.view(run.id)).workspace
        sweep(tmp_path / "home")
        await engine.approvals.reject(run.id, "once more")
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        after = (await engine.tasks.view(run.id)).workspace
        assert after.directory == before.directory
        assert (Path(after.directory) / "b").read_text() == "line\nline\n"
        assert len(await open_questions(engine, run.id)) == 1


def add_again(repository, workspace, *how):
    """Remove the worktree and add it again by hand, as no run does."""
    path = workspace.worktrees[0].path
    git(repository, "worktree", "remove", "--force", path)
    git(repository, "worktree", "add", "-q", *how[:-1], path, how[-1])


@pytest.mark.deep
async def test_a_worktree_that_was_added_again_by_hand_is_worked_in(opened, repository, tmp_path):
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], **appending(tmp_path / "runs"))
        await settled(engine, run.id)
        workspace = (await engine.tasks.view(run.id)).workspace
        add_again(repository, workspace, workspace.branch)
        await engine.approvals.reject(run.id, "once more")
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "b") == "line\nline"


@pytest.mark.deep_but_first
@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_a_worktree_that_was_added_again_elsewhere_is_found_before_the_agent_starts(
    opened, repository, tmp_path, decision
):
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], **appending(tmp_path / "runs"))
        await settled(engine, run.id)
        workspace = (await engine.tasks.view(run.id)).workspace
        add_again(repository, workspace, "--detach", "main")
        told = "something else is in the place of the worktree"
        if decision == "approve":
            await engine.approvals.approve(run.id)
            assert (await settled(engine, run.id)).status is TaskStatus.BLOCKED
            (question,) = await open_questions(engine, run.id)
            assert told in question.proposed_solution
        else:
            await engine.approvals.reject(run.id, "once more")
            task = await settled(engine, run.id)
            assert task.status is TaskStatus.FAILED
            assert told in task.failure.message
        assert (tmp_path / "runs").read_text() == "run\n"
        git(repository, "worktree", "remove", workspace.worktrees[0].path)
        if decision == "approve":
            await engine.approvals.approve(run.id)
        else:
            await engine.tasks.retry(run.id)
        status = (await settled(engine, run.id)).status
    assert status is (TaskStatus.COMPLETED if decision == "approve" else TaskStatus.AWAITING_APPROVAL)


@pytest.mark.deep
async def test_an_approved_plan_is_carried_out_in_a_folder_that_has_come_back(opened, repository, tmp_path):
    agent = scripted([{"say": "I plan to."}], [write("new.txt", "more\n")])
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], approval=ApprovalMode.PLAN, **agent)
        await settled(engine, run.id)
        sweep(tmp_path / "home")
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


@pytest.mark.deep
async def test_a_conflict_is_resolved_on_the_branch_without_the_folder(opened, repository, tmp_path):
    edit = scripted([{"edit": {"path": "a.txt", "old": "two", "new": "zwei"}}])
    async with opened() as engine:
        run = await engine.run("Translate", repositories=[str(repository)], **edit)
        await settled(engine, run.id)
        base = git(repository, "rev-parse", "HEAD")
        (repository / "a.txt").write_text("one\ndeux\nthree\n")
        git(repository, "commit", "-q", "-am", "theirs")
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.BLOCKED
        sweep(tmp_path / "home")
        git(repository, "reset", "-q", "--hard", base)
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert content(repository, "main", "a.txt") == "one\nzwei\nthree"
