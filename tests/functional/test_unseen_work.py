"""The tables of ``docs/reference/unseen-work.md``: each situation with a real repository and a real agent."""

import os
import re
import shutil
from pathlib import Path

import pytest

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import InvalidInput
from aura_contracts.failures import FailureReason
from aura_contracts.task import ApprovalMode, TaskStatus
from aura_contracts.workspace import SnapshotReason, UnrecordedKind, WorkspaceStatus
from command_line import run_aura
from engines import AT_ONCE, events_of, open_questions, settled
from repositories import ENVIRONMENT, content, git, make_repository

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "unseen-work.md"

SITUATIONS: set[str] = set()
"""The situations that a test below is about."""


def about(*situations):
    SITUATIONS.update(situations)
    return lambda test: test


def test_each_situation_of_the_page_has_a_test():
    rows = re.findall(r"^\| (?!situation)([^|]+?) +\|", PAGE.read_text(), re.MULTILINE)
    assert set(rows) == SITUATIONS


# --- What the tests share ---------------------------------------------------------------------------------------------


def agent(script, **more):
    options = {"base_command": "sh", "params": ["-c", script]}
    return {"executor": "custom", "options": options, "retry": AT_ONCE, **more}


@pytest.fixture
def with_submodule(repository, tmp_path):
    """Give the repository a submodule ``lib``, and ignore ``*.out``."""
    library = make_repository(tmp_path / "library", {"l.txt": "lib\n"})
    git(repository, "-c", "protocol.file.allow=always", "submodule", "-q", "add", str(library), "lib")
    git(repository, "commit", "-qm", "with a submodule")
    return repository


async def reviewed(engine, repository, script, **more):
    """Run an agent up to the question about its changes; return the task's id and the question."""
    run = await engine.run("Do it", repositories=[str(repository)], **agent(script, **more))
    assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
    (question,) = await open_questions(engine, run.id)
    assert question.kind is ApprovalKind.CHANGES
    return run.id, question.proposed_solution


async def approved(engine, task_id):
    await engine.approvals.approve(task_id)
    task = await settled(engine, task_id)
    return task, (await engine.tasks.view(task_id)).workspace


async def kept(engine, task_id):
    """Approve, and expect the work to be merged and the worktree to stay; return the worktree."""
    task, workspace = await approved(engine, task_id)
    assert task.status is TaskStatus.COMPLETED
    assert workspace.status is WorkspaceStatus.READY
    assert f"aura workspace clean {workspace.id} --discard" in workspace.kept
    assert "workspace.kept" in [event.topic for event in await events_of(engine, workspace.id)]
    return Path(workspace.worktrees[0].path)


def sweep(home):
    for folder in (home / "workspaces").iterdir():
        shutil.rmtree(folder)


# --- Submodules -------------------------------------------------------------------------------------------------------


@about("submodules that the repository has copies of")
async def test_submodules_are_filled(opened, with_submodule):
    async with opened() as engine:
        task_id, text = await reviewed(engine, with_submodule, "cp lib/l.txt copy")
        assert "Not part" not in text
        task, workspace = await approved(engine, task_id)
    assert (task.status, workspace.status) == (TaskStatus.COMPLETED, WorkspaceStatus.REMOVED)
    assert content(with_submodule, "main", "copy") == "lib"


@about("a submodule without a copy")
async def test_an_empty_submodule_is_named(with_submodule, tmp_path):
    git(tmp_path, "clone", "-q", str(with_submodule), "clone")
    said = run_aura(
        *("run", "--executor", "custom", "--base-command", "ls", "--param", "lib", "--prompt", "Look", "--no-tui"),
        cwd=tmp_path / "clone",
        AURA_HOME=str(tmp_path / "home"),
    )
    assert said.code == 0, said.err
    assert "submodule clone/lib is empty" in said.err + said.out
    assert "git submodule update --init" in said.err + said.out


IN_SUBMODULE = "cd lib && echo new > n.txt && git add . && git commit -qm inside"


@about("a commit in a submodule")
async def test_a_commit_in_a_submodule_outlives_the_worktree(opened, with_submodule, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    async with opened() as engine:
        task_id, _ = await reviewed(engine, with_submodule, IN_SUBMODULE)
        task, workspace = await approved(engine, task_id)
    assert (task.status, workspace.status) == (TaskStatus.COMPLETED, WorkspaceStatus.REMOVED)
    git(with_submodule, "submodule", "-q", "update", "--no-fetch")
    assert (with_submodule / "lib/n.txt").read_text() == "new\n"


@about("a commit in a submodule without a copy")
async def test_a_commit_in_a_submodule_that_cannot_be_kept_is_asked_about(opened, with_submodule, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    modules = with_submodule / ".git" / "modules"
    shutil.rmtree(modules)
    script = f"git -c protocol.file.allow=always submodule -q update --init && {IN_SUBMODULE}"
    async with opened() as engine:
        task_id, text = await reviewed(engine, with_submodule, script)
        assert "lib is a submodule with commits that are only here" in text
        task, _ = await approved(engine, task_id)
        assert task.status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, task_id)
        assert "which is nowhere but in the worktree" in question.proposed_solution
        assert "submodule update --init -- lib" in question.proposed_solution
        (with_submodule / "lib/.git").unlink()
        shutil.rmtree(with_submodule / "lib")
        git(with_submodule, "-c", "protocol.file.allow=always", "submodule", "-q", "update", "--init", "--", "lib")
        task, workspace = await approved(engine, task_id)
    assert (task.status, workspace.status) == (TaskStatus.COMPLETED, WorkspaceStatus.REMOVED)
    git(with_submodule, "submodule", "-q", "update", "--no-fetch")
    assert (with_submodule / "lib/n.txt").read_text() == "new\n"


@about("uncommitted changes in a submodule")
@pytest.mark.parametrize("rest", ["", "; echo more > new.txt"])
async def test_changes_in_a_submodule_stay(opened, with_submodule, rest):
    async with opened() as engine:
        task_id, text = await reviewed(engine, with_submodule, f"echo other > lib/n.txt{rest}")
        assert "-  lib is a submodule with uncommitted changes" in text
        tree = await kept(engine, task_id)
        assert (tree / "lib/n.txt").read_text() == "other\n"
        if rest:
            assert content(with_submodule, "main", "new.txt") == "more"


# --- Repositories inside ----------------------------------------------------------------------------------------------

SCAFFOLD = "mkdir app && cd app && git init -q && echo itself > main.py"


@about("a repository inside the worktree")
@pytest.mark.parametrize("approval", [ApprovalMode.CHANGES, ApprovalMode.AUTO])
async def test_a_repository_inside_stays(opened, repository, approval):
    async with opened() as engine:
        if approval is ApprovalMode.CHANGES:
            task_id, text = await reviewed(engine, repository, SCAFFOLD)
            assert "-  app/ is a repository of its own" in text
            tree = await kept(engine, task_id)
        else:
            run = await engine.run("Do it", repositories=[str(repository)], approval=approval, **agent(SCAFFOLD))
            task_id = run.id
            assert (await settled(engine, task_id)).status is TaskStatus.COMPLETED
            tree = Path((await engine.tasks.view(task_id)).workspace.worktrees[0].path)
        assert (tree / "app/main.py").read_text() == "itself\n"
        workspace = (await engine.tasks.view(task_id)).workspace
        copies = [copy for copy in workspace.snapshots if copy.reason is SnapshotReason.REMOVE]
        assert [[one.path for one in copy.left_out] for copy in copies] == [["app/"]]
        removed = await engine.workspaces.clean(workspace.id, discard=True)
    assert removed.status is WorkspaceStatus.REMOVED
    assert not tree.exists()


@about("a repository inside that the agent staged")
async def test_a_repository_that_was_staged_is_not_merged_as_a_dangling_link(opened, repository, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    script = f"({SCAFFOLD} && git add . && git commit -qm app) && git add app && git commit -qm all"
    async with opened() as engine:
        task_id, _ = await reviewed(engine, repository, script)
        task, workspace = await approved(engine, task_id)
        assert task.status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, task_id)
        assert "rm -q --cached app" in question.proposed_solution
        tree = Path(workspace.worktrees[0].path)
        shutil.rmtree(tree / "app/.git")
        git(tree, "rm", "-q", "--cached", "app")
        await engine.approvals.approve(task_id)
        assert (await settled(engine, task_id)).status is TaskStatus.AWAITING_APPROVAL
        task, _ = await approved(engine, task_id)
    assert task.status is TaskStatus.COMPLETED
    assert content(repository, "main", "app/main.py") == "itself"


# --- Ignored files ----------------------------------------------------------------------------------------------------


def ignore(repository, *patterns):
    (repository / ".gitignore").write_text("".join(f"{pattern}\n" for pattern in patterns))
    git(repository, "add", ".gitignore")
    git(repository, "commit", "-qm", "ignore")


@about("only ignored output")
async def test_ignored_output_is_in_the_safety_copy(opened, repository):
    ignore(repository, "*.out")
    async with opened() as engine:
        task_id, text = await reviewed(engine, repository, "echo the only result > report.out")
        assert text.startswith("0 files changed")
        assert "-  report.out is ignored by git" in text
        task, workspace = await approved(engine, task_id)
    assert (task.status, workspace.status) == (TaskStatus.COMPLETED, WorkspaceStatus.REMOVED)
    git(repository, "restore", f"--source={workspace.snapshots[-1].ref}", "--", "report.out")
    assert (repository / "report.out").read_text() == "the only result\n"


@about("more ignored output than a copy takes")
async def test_too_much_ignored_output_stays(opened, repository):
    ignore(repository, "out/")
    async with opened() as engine:
        task_id, _ = await reviewed(engine, repository, "mkdir out; truncate -s 17M out/database; echo more > new.txt")
        tree = await kept(engine, task_id)
    assert (tree / "out/database").exists()
    assert content(repository, "main", "new.txt") == "more"


@about("caches and installed packages")
async def test_caches_do_not_ask(opened, repository):
    ignore(repository, "node_modules/", "__pycache__/", ".cache/")
    script = "mkdir node_modules __pycache__ .cache; touch node_modules/x __pycache__/x.pyc .cache/CACHEDIR.TAG"
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], **agent(script))
        assert (await settled(engine, run.id)).status is TaskStatus.COMPLETED
        workspace = (await engine.tasks.view(run.id)).workspace
    assert (workspace.status, workspace.snapshots) == (WorkspaceStatus.REMOVED, ())


@about("a changed copy of an untracked file (`--copy`)")
async def test_a_changed_copy_is_in_the_safety_copy(opened, repository):
    ignore(repository, ".env")
    (repository / ".env").write_text("PORT=1\n")
    async with opened() as engine:
        task_id, text = await reviewed(engine, repository, "echo PORT=2 > .env", copy_files=[".env"])
        assert "-  .env was copied here, and changed" in text
        _, workspace = await approved(engine, task_id)
    assert workspace.status is WorkspaceStatus.REMOVED
    assert content(repository, workspace.snapshots[-1].ref, ".env") == "PORT=2"
    assert (repository / ".env").read_text() == "PORT=1\n"


# --- Commits ----------------------------------------------------------------------------------------------------------

COMMIT = "echo x > left && git add left && git -c user.name=a -c user.email=a@example.org commit -qm left"


@about("a commit on no branch")
async def test_a_commit_on_no_branch_is_kept(opened, repository):
    script = f"git checkout -q --detach && {COMMIT} && git checkout -q -"
    async with opened() as engine:
        task_id, text = await reviewed(engine, repository, script)
        task, workspace = await approved(engine, task_id)
    assert (task.status, workspace.status) == (TaskStatus.COMPLETED, WorkspaceStatus.REMOVED)
    (commit,) = git(repository, "for-each-ref", "--format=%(objectname)", "refs/aura/left").split()
    assert f"-  {commit} is a commit on no branch" in text
    git(repository, "gc", "-q", "--prune=now")
    git(repository, "cherry-pick", commit)
    assert (repository / "left").exists()


@about("a continued branch under another name")
@pytest.mark.parametrize("how", ["--detach", "-b mine"])
async def test_a_branch_under_another_name_is_followed(opened, repository, how):
    async with opened() as engine:
        task_id, text = await reviewed(engine, repository, f"git checkout -q {how} && {COMMIT}")
        assert "Not part" not in text
        task, _ = await approved(engine, task_id)
    assert task.status is TaskStatus.COMPLETED
    assert content(repository, "main", "left") == "x"


# --- Other corners ----------------------------------------------------------------------------------------------------


@about("a changed file that the agent marked as unchanged")
async def test_a_mark_hides_nothing(opened, repository):
    async with opened() as engine:
        task_id, text = await reviewed(engine, repository, "git update-index --skip-worktree a.txt; echo new > a.txt")
        assert "M  a.txt" in text
        assert (await approved(engine, task_id))[0].status is TaskStatus.COMPLETED
    assert content(repository, "main", "a.txt") == "new"


@about("a file next to the worktrees of several repositories")
async def test_a_file_next_to_the_worktrees_stays(opened, repository, tmp_path):
    both = [str(repository), str(make_repository(tmp_path / "other"))]
    async with opened() as engine:
        run = await engine.run("Do it", repositories=both, **agent("echo about both > report.md"))
        assert (await settled(engine, run.id)).status is TaskStatus.AWAITING_APPROVAL
        (question,) = await open_questions(engine, run.id)
        assert "-  report.md is in no repository" in question.proposed_solution
        await kept(engine, run.id)
        root = Path((await engine.tasks.view(run.id)).workspace.root)
    assert (root / "report.md").read_text() == "about both\n"


@about("a worktree whose `.git` is gone")
async def test_a_link_that_is_gone_is_restored(opened, repository):
    async with opened() as engine:
        task_id, _ = await reviewed(engine, repository, "echo more > new.txt; rm .git")
        assert (await approved(engine, task_id))[0].status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


# --- Permissions ------------------------------------------------------------------------------------------------------


@about("a folder that may not be read")
def test_a_folder_that_may_not_be_read_fails_at_once(repository, tmp_path):
    unprivileged = []
    if os.geteuid() == 0:
        if (setpriv := shutil.which("setpriv")) is None:
            pytest.skip("root reads everything, and there is no setpriv to prevent it")
        dropped = "-dac_override,-dac_read_search"
        unprivileged = [setpriv, f"--bounding-set={dropped}", f"--inh-caps={dropped}"]
    script = "mkdir d; echo precious > d/x; chmod 000 d; echo y > b.txt; echo run >> ../../../runs"
    said = run_aura(
        *("run", "--executor", "custom", "--base-command", "sh", "--param", "-c", "--param", script),
        *("--prompt", "Do it", "--approval", "auto", "--no-tui"),
        cwd=repository,
        before=unprivileged,
        AURA_HOME=str(tmp_path / "home"),
    )
    for folder in (tmp_path / "home" / "workspaces").glob("*/*/d"):
        folder.chmod(0o755)
        assert (folder / "x").read_text() == "precious\n"
    assert said.code != 0
    assert "d/ in " in said.err
    assert "chmod -R u+rwX" in said.err
    assert (tmp_path / "home/runs").read_text() == "run\n", "a retry would not help"
    assert "b.txt" not in git(repository, "ls-tree", "--name-only", "main")


# --- Before a run -----------------------------------------------------------------------------------------------------


async def refused(opened, repository, match, **more):
    """Expect a run to be refused before there is a task, and nothing to be made in the repository."""
    before = git(repository, "for-each-ref"), sorted(path.name for path in (repository / ".git").iterdir())
    async with opened() as engine:
        with pytest.raises(InvalidInput, match=match):
            await engine.run("Do it", repositories=[str(repository)], **agent("true"), **more)
        assert not (await engine.tasks.list()).rows
    assert (git(repository, "for-each-ref"), sorted(path.name for path in (repository / ".git").iterdir())) == before


@about("a filter such as Git LFS without its program")
async def test_a_filter_without_its_program_is_refused(opened, repository):
    (repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (repository / "a.bin").write_text("version https://git-lfs.github.com/spec/v1\n")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "lfs")
    for step in ("process", "smudge", "clean"):
        git(repository, "config", f"filter.lfs.{step}", f"git-lfs-not-here {step}")
    git(repository, "config", "filter.lfs.required", "true")
    await refused(opened, repository, r"a\.bin .* 'lfs'.* git-lfs-not-here is not installed; install")


@about("a repository without a commit")
async def test_a_repository_without_a_commit_is_refused(opened, tmp_path):
    git(tmp_path, "init", "-q", "-b", "main", "empty")
    await refused(opened, tmp_path / "empty", r"no commit yet; .*git -C .*empty commit --allow-empty .*--in-place")


@about("a branch called `aura`")
async def test_a_branch_in_the_way_is_refused(opened, repository):
    git(repository, "branch", "aura")
    await refused(opened, repository, r"git -C .* branch -m aura aura-old")


@about("a detached HEAD")
async def test_a_detached_head_is_refused(opened, repository):
    git(repository, "checkout", "-q", "--detach")
    await refused(opened, repository, r"--target-branch BRANCH.* git -C .* switch BRANCH")


# --- While a question waits: see also test_worktree_gone.py -----------------------------------------------------------


@about("the worktree is gone, and you approve", "the worktree and the branch are gone")
@pytest.mark.parametrize("branch", ["left", "gone"])
async def test_work_is_merged_without_its_worktree(opened, repository, tmp_path, branch):
    async with opened() as engine:
        task_id, _ = await reviewed(engine, repository, "echo more > new.txt")
        sweep(tmp_path / "home")
        if branch == "gone":
            git(repository, "worktree", "prune")
            git(repository, "branch", "-D", (await engine.tasks.view(task_id)).workspace.branch)
        task, _ = await approved(engine, task_id)
    assert task.status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "more"


@about("the worktree is gone, and you reject")
async def test_the_worktree_comes_back_for_feedback(opened, repository, tmp_path):
    async with opened() as engine:
        task_id, _ = await reviewed(engine, repository, "echo line >> new.txt")
        workspace = (await engine.tasks.view(task_id)).workspace
        (Path(workspace.worktrees[0].path) / "mine.txt").write_text("from the reviewer\n")
        await engine.workspaces.snapshot(workspace.id)
        sweep(tmp_path / "home")
        await engine.approvals.reject(task_id, "once more")
        assert (await settled(engine, task_id)).status is TaskStatus.AWAITING_APPROVAL
        await approved(engine, task_id)
    assert content(repository, "main", "new.txt") == "line\nline"
    assert content(repository, "main", "mine.txt") == "from the reviewer"


@about("uncommitted changes in the target are in the way")
async def test_a_dirty_target_is_asked_about(opened, repository):
    async with opened() as engine:
        task_id, _ = await reviewed(engine, repository, "echo theirs > a.txt")
        (repository / "a.txt").write_text("mine\n")
        task, _ = await approved(engine, task_id)
        assert task.status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, task_id)
        assert f"git -C {repository} stash -u" in question.proposed_solution
        git(repository, "stash", "-u", "-q")
        task, _ = await approved(engine, task_id)
    assert task.status is TaskStatus.COMPLETED
    assert content(repository, "main", "a.txt") == "theirs"


async def test_a_worktree_that_its_agent_removed_is_a_failure(opened, repository):
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], **agent("rm -rf $PWD"))
        task = await settled(engine, run.id)
    assert (task.status, task.failure.reason) == (TaskStatus.FAILED, FailureReason.WORKSPACE_ERROR)


async def test_what_was_named_once_is_no_change_of_the_next_round(opened, repository):
    script = f"test -d app || ({SCAFFOLD})"
    async with opened() as engine:
        task_id, _ = await reviewed(engine, repository, script)
        await engine.approvals.reject(task_id, "leave it")
        await settled(engine, task_id)
        execution = (await engine.tasks.view(task_id)).execution
    assert [one.kind for one in execution.outcome.unrecorded] == [UnrecordedKind.REPOSITORY]
