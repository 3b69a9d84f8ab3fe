"""Reverting merged work: a new task, with an approval of its own."""

import anyio
import pytest

from aura_contracts.approval import Level
from aura_contracts.errors import ActorNotAllowed, InvalidInput
from aura_contracts.task import TaskStatus
from engines import open_questions, scripted, settled, write
from repositories import git

pytestmark = pytest.mark.anyio


async def merged(engine, repository, name="new.txt", text="x\n", **options):
    """Return a completed task that wrote a file."""
    given = {"repositories": [str(repository)], "approval": "auto", **options}
    run = await engine.run("Write it", **given, **scripted([write(name, text)]))
    return await run.result()


@pytest.mark.deep
async def test_merged_work_is_reverted_once_that_is_approved(opened, repository):
    async with opened() as engine:
        done = await merged(engine, repository, labels=["shop"])
        assert (repository / "new.txt").exists()
        undo = await engine.tasks.revert(done.id, "it broke the shop", by="alice")
        asked = await settled(engine, undo.id)
        assert (asked.status, asked.reverts, asked.labels) == (TaskStatus.AWAITING_APPROVAL, done.id, ("shop",))
        assert (repository / "new.txt").exists()
        (question,) = await open_questions(engine, undo.id)
        assert (question.kind, "D  new.txt  +0 -1" in question.proposed_solution) == ("changes", True)
        with pytest.raises(InvalidInput, match="reverts it already, and is awaiting_approval"):
            await engine.tasks.revert(done.id)
        await engine.approvals.approve(question.id)
        assert (await settled(engine, undo.id)).status is TaskStatus.COMPLETED
        assert not (repository / "new.txt").exists()
        commit = done.result["merged"]["app"]
        assert f"This reverts commit {commit}." in git(repository, "log", "--format=%B")
        again = await engine.tasks.revert(undo.id)
        await settled(engine, again.id)
        await engine.approvals.approve(again.id)
        assert (await settled(engine, again.id)).status is TaskStatus.COMPLETED
        assert (repository / "new.txt").exists()


@pytest.mark.deep
async def test_a_conflict_names_the_files_and_an_agent_goes_on(opened, repository):
    async with opened() as engine:
        done = await merged(engine, repository, "a.txt", "first\n")
        await merged(engine, repository, "a.txt", "second\n")
        undo = await engine.tasks.revert(done.id)
        failed = await settled(engine, undo.id)
        assert (failed.status, failed.failure.reason) == (TaskStatus.FAILED, "Conflict")
        assert "others have changed the same lines since, in app: a.txt;" in failed.failure.message
        await engine.tasks.assign(undo.id, **scripted([write("a.txt", "one\ntwo\nthree\n")]))
        assert (await settled(engine, undo.id)).status is TaskStatus.AWAITING_APPROVAL
        await engine.approvals.approve(undo.id)
        assert (await settled(engine, undo.id)).status is TaskStatus.COMPLETED
        assert (repository / "a.txt").read_text() == "one\ntwo\nthree\n"


@pytest.mark.deep
async def test_a_revert_that_is_not_approved_changes_nothing(opened, repository):
    async with opened() as engine:
        done = await merged(engine, repository)
        undo = await engine.tasks.revert(done.id)
        await settled(engine, undo.id)
        await engine.approvals.reject(undo.id, "it is needed")
        failed = await settled(engine, undo.id)
        assert (failed.status, failed.failure.reason) == (TaskStatus.FAILED, "ApprovalRejected")
        assert "it is needed" in failed.failure.message
        assert (repository / "new.txt").exists()
        assert (await engine.tasks.revert(done.id)).id != undo.id


async def test_only_merged_work_is_reverted_by_those_it_concerns(opened, repository):
    async with opened() as engine:
        pending = await engine.tasks.create("Later")
        with pytest.raises(InvalidInput, match="name a completed task"):
            await engine.tasks.revert(pending.id)
        terms = {"reviewers": ["bob"], "no_self_approval": True, "levels": [Level(reviewers=("lead",))]}
        done = await merged(engine, repository, **terms)
        with pytest.raises(ActorNotAllowed):
            await engine.tasks.revert(done.id, by="carol")
        undo = await reverted_once(opened, done)
        assert (undo.reviewers, undo.no_self_approval, undo.levels) == (("alice", "bob"), True, done.levels)
        unchanged = await engine.run("Nothing", repositories=[str(repository)], **scripted([{"say": "no"}]))
        await unchanged.result()
        with pytest.raises(InvalidInput, match="no work of it was merged"):
            await engine.tasks.revert(unchanged.id)


@pytest.mark.deep
async def test_a_failed_revert_does_not_begin_again_after_another_one_was_made(opened, repository):
    async with opened() as engine:
        done = await merged(engine, repository)
        failed = await engine.tasks.revert(done.id)
        await settled(engine, failed.id)
        await engine.approvals.reject(failed.id, "not yet")
        await settled(engine, failed.id)
        agent = scripted([{"say": "later"}])
        undo = await engine.tasks.revert(done.id)
        for again in (engine.tasks.assign(failed.id, **agent), engine.tasks.retry(failed.id)):
            with pytest.raises(InvalidInput, match=f"task {undo.id} reverts the same task"):
                await again
        await engine.tasks.cancel(undo.id)
        assert (await engine.tasks.assign(failed.id, **agent)).status is TaskStatus.IN_PROGRESS


async def reverted_once(opened, done):
    """Have two engines revert a task at once; return the one revert. A cancelled one may be followed by another."""
    made, refused = [], []

    async def revert(one):
        try:
            made.append(await one.tasks.revert(done.id))
        except InvalidInput as error:
            refused.append(error.reason)

    async with opened(record_only=True) as one, opened(record_only=True) as other:
        async with anyio.create_task_group() as group:
            group.start_soon(revert, one)
            group.start_soon(revert, other)
        (undo,) = made
        assert refused == [f"task {undo.id} reverts it already, and is in_progress"]
        await one.tasks.cancel(undo.id)
        again = await other.tasks.revert(done.id)
        assert again.id != undo.id
        return again


@pytest.mark.deep
async def test_another_engine_makes_a_revert_whose_engine_died(opened, repository):
    async with opened() as engine:
        done = await merged(engine, repository)
    async with opened(record_only=True) as recorder:
        undo = await recorder.tasks.revert(done.id)
    async with opened(drive_all=True) as engine:
        assert (await settled(engine, undo.id)).status is TaskStatus.AWAITING_APPROVAL
