"""Tasks without locks that change the same files: whoever reviews one of them is told of the others."""

import subprocess

import pytest

from aura_contracts.task import TaskStatus
from aura_engine import Overlap
from engines import ONCE, next_question, scripted, settled, write
from repositories import git, make_repository

pytestmark = pytest.mark.anyio


async def propose(engine, title, repositories, *paths, rounds=()):
    """Return a task whose scripted agent has proposed to change these files, and the question about it."""
    steps = [write(path, f"{title}\n") for path in paths]
    given = {"repositories": [*map(str, repositories)], "approval": "changes", "retry": ONCE}
    run = await engine.run(title, **given, **scripted(steps, *rounds))
    return run, await next_question(engine, run.id)


async def overlaps(engine, question):
    """Return what overlaps, by title."""
    return {one.title: (one.status, one.files, one.paths) for one in await engine.approvals.overlaps(question.id)}


@pytest.mark.deep
async def test_each_review_names_the_other_one_until_it_has_merged(opened, repository):
    async with opened() as engine:
        first, asked = await propose(engine, "first", [repository], "a.txt", "b.txt", "only")
        assert await engine.approvals.overlaps(asked.id) == ()
        second, other = await propose(engine, "second", [repository], "b.txt", "a.txt", "c.txt")
        await propose(engine, "apart", [repository], "d.txt")
        expected = {"files": 2, "paths": ("a.txt", "b.txt"), "status": TaskStatus.AWAITING_APPROVAL}
        assert await engine.approvals.overlaps(asked.id) == (Overlap(task_id=second.id, title="second", **expected),)
        assert await engine.approvals.overlaps(other.id) == (Overlap(task_id=first.id, title="first", **expected),)
        await engine.approvals.approve(asked.id)
        assert (await settled(engine, first.id)).status is TaskStatus.COMPLETED
        assert await engine.approvals.overlaps(other.id) == ()
        await second.cancel()


@pytest.mark.deep
async def test_work_that_is_revised_or_whose_merge_waits_is_named(opened, repository, tmp_path):
    async with opened() as engine:
        gate = [{"wait_for": str(tmp_path / "gate")}]
        revised, asked = await propose(engine, "revised", [repository], "a.txt", rounds=[gate])
        blocked, refused = await propose(engine, "blocked", [repository], "a.txt")
        _, question = await propose(engine, "asks", [repository], "a.txt")
        await engine.approvals.request_changes(asked.id, "shorter")
        (repository / "a.txt").write_text("mine\n")
        git(repository, "commit", "-qam", "mine")
        await engine.approvals.approve(refused.id)
        assert (await settled(engine, blocked.id)).status is TaskStatus.BLOCKED
        found = await overlaps(engine, question)
        assert found["blocked"] == (TaskStatus.BLOCKED, 1, ("a.txt",))
        assert found["revised"] == (TaskStatus.IN_PROGRESS, 1, ("a.txt",))
        (tmp_path / "gate").touch()
        assert (await settled(engine, revised.id)).status is TaskStatus.AWAITING_APPROVAL


@pytest.mark.deep
async def test_a_file_of_that_name_in_another_repository_is_another_file(opened, repository, tmp_path):
    lib, tools = (make_repository(tmp_path / name, {"README": "hello\n"}) for name in ("lib", "tools"))
    git(lib, "worktree", "add", "-q", "-b", "side", tmp_path / "side")
    async with opened() as engine:
        _, asked = await propose(engine, "app", [repository], "README")
        await propose(engine, "tools", [tools], "README")
        assert await overlaps(engine, asked) == {}
        both = [repository, lib]
        _, several = await propose(engine, "several", both, "lib/README", "lib/x", "app/b.txt")
        assert await overlaps(engine, several) == {}
        assert await overlaps(engine, asked) == {}
        await propose(engine, "side", [tmp_path / "side"], "README", "b.txt")
        assert await overlaps(engine, several) == {"side": (TaskStatus.AWAITING_APPROVAL, 1, ("README",))}
        await propose(engine, "all", both, "app/README")
        assert set(await overlaps(engine, asked)) == {"all"}


async def test_of_many_files_the_first_are_named_and_all_are_counted(opened, repository):
    paths = [f"f{number:02}.txt" for number in range(25)]
    async with opened() as engine:
        await propose(engine, "many", [repository], *paths)
        _, asked = await propose(engine, "others", [repository], *paths)
        assert await overlaps(engine, asked) == {"many": (TaskStatus.AWAITING_APPROVAL, 25, tuple(paths[:20]))}


@pytest.mark.deep
async def test_it_takes_no_git_and_a_few_questions_to_the_database_however_many_tasks_there_are(
    opened, repository, monkeypatch
):
    async with opened() as engine:
        for number in range(3):
            _, asked = await propose(engine, f"task {number}", [repository], "a.txt")
        reads, listing, asked_for = engine._core.reads, type(engine._core.reads).list, []

        async def counted(self, query, **more):
            asked_for.append(query)
            return await listing(self, query, **more)

        monkeypatch.setattr(type(reads), "list", counted)
        monkeypatch.setattr(subprocess, "Popen", None)  # any process that it would start is an error
        assert len(await overlaps(engine, asked)) == 2
        assert len(asked_for) == 3
