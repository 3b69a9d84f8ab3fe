"""Where a run works: in a repository, a subfolder of one, a folder in none. Asked for again, it runs again."""

from contextlib import aclosing

import pytest

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import (
    AmbiguousId,
    IgnoredSubfolder,
    InsideGitDirectory,
    InvalidInput,
    NotARepository,
    UncommittedSubfolder,
    UnsuitableFolder,
)
from aura_contracts.task import TaskStatus
from aura_engine import RunRequest
from engines import open_questions, scripted, settled, write
from repositories import git, make_repository, worktrees

pytestmark = pytest.mark.anyio


def shell(script, **more):
    return {"executor": "custom", "options": {"base_command": "sh", "params": ["-c", script]}, **more}


@pytest.fixture
def plain(tmp_path):
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "notes.txt").write_text("precious\n")
    return folder


# --- A folder in no repository ----------------------------------------------------------------------------------------


@pytest.mark.deep
async def test_a_folder_in_no_repository_is_changed_only_once_it_is_approved(opened, plain):
    async with opened() as engine:
        run = await engine.run("Tidy", repositories=[str(plain)], **shell("rm notes.txt; echo x > x"))
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        (question,) = await open_questions(engine, run.id)
        assert question.proposed_solution == "2 files changed, +1 -1\nD  notes.txt  +0 -1\nA  x  +1 -0"
        assert [path.name for path in plain.iterdir()] == ["notes.txt"]
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert [path.name for path in plain.iterdir()] == ["x"]


async def test_rejected_work_never_reaches_the_folder(opened, plain):
    async with opened() as engine:
        run = await engine.run("Write", repositories=[str(plain)], **scripted([write("bad.txt", "bad\n")]))
        await settled(engine, run.id)
        await engine.tasks.cancel(run.id)
        await settled(engine, run.id)
    assert [path.name for path in plain.iterdir()] == ["notes.txt"]


@pytest.mark.deep
async def test_a_conflict_with_the_folder_is_asked_about(opened, plain):
    async with opened() as engine:
        run = await engine.run("Write", repositories=[str(plain)], **shell("echo agent > notes.txt"))
        await settled(engine, run.id)
        (plain / "notes.txt").write_text("by hand\n")
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, run.id)
        assert question.kind is ApprovalKind.MERGE_CONFLICT
        assert (plain / "notes.txt").read_text() == "by hand\n"


async def test_a_folder_in_no_repository_has_no_target_branch(opened, plain):
    async with opened() as engine:
        with pytest.raises(InvalidInput, match="no branches"):
            await engine.run("Write", repositories=[str(plain)], target_branch="main", **shell("true"))


async def test_what_cannot_be_copied_is_refused_before_anything_is_made(opened, plain):
    make_repository(plain / "inner")
    async with opened() as engine:
        with pytest.raises(UnsuitableFolder, match="inner is a repository of its own") as refused:
            await engine.run("Write", repositories=[str(plain)], **shell("true"))
        assert "in_place=True" in refused.value.remedy
        assert not (await engine.tasks.list()).rows
        run = await engine.run("Write", repositories=[str(plain)], in_place=True, **shell("echo x > x"))
        assert (await settled(engine, run.id)).status in (TaskStatus.COMPLETED, TaskStatus.AWAITING_APPROVAL)
        assert (plain / "x").exists()


@pytest.mark.parametrize("inside", [".git/refs", ".git/worktrees/linked"])
@pytest.mark.parametrize("in_place", [False, True])
async def test_the_inside_of_a_git_folder_is_refused(opened, repository, in_place, inside):
    git(repository, "worktree", "add", "-q", str(repository.parent / "linked"))
    async with opened() as engine:
        with pytest.raises(InsideGitDirectory):
            await engine.run("W", repositories=[str(repository / inside)], in_place=in_place, **shell("true"))
        assert not (await engine.tasks.list()).rows


@pytest.mark.parametrize(
    ("folder", "refused"), [("bare.git", NotARepository), ("bare.git/refs", NotARepository), ("home", UnsuitableFolder)]
)
async def test_work_in_place_needs_a_folder_of_the_user(opened, repository, tmp_path, folder, refused):
    git(tmp_path, "clone", "-q", "--bare", str(repository), "bare.git")
    async with opened() as engine:
        with pytest.raises(refused):
            await engine.run("W", repositories=[str(tmp_path / folder)], in_place=True, **shell("true"))
        assert not (await engine.tasks.list()).rows
        run = await engine.run("W", repositories=[str(tmp_path / "bare.git")], **shell("true"))
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED


# --- A subfolder ------------------------------------------------------------------------------------------------------


@pytest.fixture
def monorepo(repository):
    (repository / "packages/app").mkdir(parents=True)
    (repository / "packages/app/x").write_text("x\n")
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "app")
    return repository


@pytest.mark.deep_but_first
@pytest.mark.parametrize("in_place", [False, True])
async def test_agent_and_scripts_begin_in_the_subfolder(opened, monorepo, in_place):
    place = {"repositories": [str(monorepo / "packages/app")], "in_place": in_place, "approval": "auto"}
    scripts = {"setup": "cp x setup", "cleanup": "cp x cleanup"}
    async with opened() as engine:
        run = await engine.run("Work", **shell('cp x agent; pwd > "$PWD/where"'), **place, **scripts)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        workspace = (await engine.tasks.view(run.id)).workspace
    assert workspace.subfolder == "packages/app"
    made = {path.name for path in (monorepo / "packages/app").iterdir()}
    assert {"setup", "agent", "cleanup"} <= made
    assert (monorepo / "packages/app/where").read_text().strip() == workspace.directory


async def test_a_subfolder_that_git_ignores_is_refused(opened, monorepo):
    (monorepo / ".gitignore").write_text("play/\n")
    (monorepo / "play").mkdir()
    place = {"repositories": [str(monorepo / "play")]}
    async with opened() as engine:
        with pytest.raises(IgnoredSubfolder, match="git ignores play") as refused:
            await engine.run("Work", **shell("true"), **place)
        assert "in_place=True" in refused.value.remedy
        assert not (await engine.tasks.list()).rows
        (monorepo / "play/kept").touch()
        git(monorepo, "add", "-f", "play/kept")
        git(monorepo, "commit", "-qm", "kept")
        run = await engine.run("Work", **shell("test -e kept"), **place)
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.COMPLETED, task.failure


@pytest.mark.parametrize("target", ["", "old"])
async def test_a_subfolder_without_a_committed_file_is_refused(opened, monorepo, target):
    """The agent would begin in an empty folder, and not among the files that its user sees there."""
    git(monorepo, "branch", "old", "HEAD~1")
    folder = monorepo / ("packages/app" if target else "play/inner")
    folder.mkdir(parents=True, exist_ok=True)
    place = {"repositories": [str(folder)], "target_branch": target, "approval": "auto"}
    async with opened() as engine:
        if not target:
            run = await engine.run("Work", **shell("test ! -e draft"), **place)
            assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED, "it is empty, and misses no file"
            (folder / "draft").write_text("mine\n")
            git(monorepo, "add", ".")
        with pytest.raises(UncommittedSubfolder, match=f"is committed on {target or 'main'}") as refused:
            await engine.run("Work", **shell("true"), **place)
        assert all(way in refused.value.remedy for way in ("commit", "copy_files", "in_place=True"))
        with pytest.raises(UncommittedSubfolder):
            await engine.run("Work", **shell("true"), **place, copy_files=["*.env", "packages/ap"])
        work = shell(f"test -e {'x' if target else 'draft'}")
        for given in ({"copy_files": [f"{folder.parent.name}/**"]}, {"in_place": True, "target_branch": ""}):
            run = await engine.run("Work", **work, **(place | given))
            assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED


async def test_work_in_place_is_shown_without_what_was_changed_before(opened, monorepo):
    (monorepo / "a.txt").write_text("mine\n")
    (monorepo / "mine.txt").write_text("precious\n")
    place = {"repositories": [str(monorepo)], "in_place": True}
    async with opened() as engine:
        run = await engine.run("Work", **shell("true"), **place)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        run = await engine.run("Work", **shell("rm mine.txt; echo new > new.txt"), **place)
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        (question,) = await open_questions(engine, run.id)
        assert question.proposed_solution.splitlines()[1:] == ["D  mine.txt  +0 -1", "A  new.txt  +1 -0"]
        workspace = (await engine.tasks.view(run.id)).workspace
        await engine.approvals.approve(run.id)
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert git(monorepo, "show", f"refs/aura/bases/{workspace.id}:mine.txt") == "precious"
    assert (monorepo / "a.txt").read_text() == "mine\n"


@pytest.mark.deep_but_first
@pytest.mark.parametrize("in_place", [False, True])
async def test_a_relative_rule_is_about_the_subfolder(opened, monorepo, in_place):
    paths = ("x", "./new/y", "../other", "packages/app/x", str(monorepo / "x"))
    calls = [{"ask": {"tool": "Edit", "arguments": {"path": path}}} for path in paths]
    place = {"repositories": [str(monorepo / "packages/app")], "in_place": in_place, "approval": "auto"}
    async with opened() as engine:
        run = await engine.run(
            "Work", **scripted([*calls, write("y", "y\n")]), **place, allow=["Edit(./x)", "Edit(new/)"]
        )
        asked = []
        async with aclosing(run.questions()) as questions:
            async for question in questions:
                asked.append(question.tool_call.arguments["path"])
                await engine.approvals.reject(question.id, "no")
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
    assert asked == ["../other", "packages/app/x", str(monorepo / "x")]


async def test_the_newest_session_is_that_of_the_same_folder(opened, monorepo):
    places = {"top": monorepo, "app": monorepo / "packages/app"}
    more = {"approval": "auto", **scripted([{"session": "one"}])}
    async with opened() as engine:
        for path in places.values():
            run = await engine.run("Work", repositories=[str(path)], **more)
            assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        found = [await engine.sessions.latest(executor="scripted", folders=[str(path)]) for path in places.values()]
        assert [row.directory.endswith("packages/app") for row in found] == [False, True]
        assert await engine.sessions.latest(executor="scripted", folders=[str(monorepo / "packages")]) is None
        if found[0].id == found[1].id:
            with pytest.raises(AmbiguousId, match="packages/app"):
                await engine.sessions.get(found[0].id)


# --- Again ------------------------------------------------------------------------------------------------------------


@pytest.mark.deep
@pytest.mark.parametrize("kind", ["plain", "in place", "subfolder in place", "worktree", "nothing changed"])
async def test_the_same_request_after_the_first_has_completed_runs_again(opened, monorepo, plain, tmp_path, kind):
    where = {"plain": plain, "subfolder in place": monorepo / "packages/app"}.get(kind, monorepo)
    script = f"echo x >> {tmp_path / 'runs'}" + ("" if kind == "nothing changed" else "; echo x >> more")
    request = RunRequest(
        prompt="Go", repositories=(str(where),), in_place="in place" in kind, approval="auto", **shell(script)
    )
    async with opened() as engine:
        for _ in range(2):
            assert await engine.resume_interrupted(request) is None
            run = await engine.start(request)
            assert (await run.result()).status is TaskStatus.COMPLETED
            await (await engine.resume(run.id)).result()
            async for _ in run.events(until_end=True):
                pass
    assert (tmp_path / "runs").read_text() == "x\nx\n"
    assert not worktrees(monorepo)


@pytest.mark.deep
async def test_the_command_of_a_run_is_told_about_it(opened, repository):
    told = "$AURA_SESSION_ID $AURA_MODEL $AURA_REVIEW_MODE $area $OPENAI_BASE_URL"
    script = f'echo "{told}" > told'
    work = shell(script)
    work["options"] |= {"model": "small", "openai_endpoint": "http://127.0.0.1:1"}
    async with opened() as engine:
        run = await engine.run(
            "Work", repositories=[str(repository)], session_id="s1", variables={"area": "api"}, **work
        )
        await settled(engine, run.id)
        branch = (await engine.tasks.view(run.id)).workspace.branch
    assert git(repository, "show", f"{branch}:told") == "s1 small changes api http://127.0.0.1:1/v1"
