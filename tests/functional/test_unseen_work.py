"""The tables of ``docs/reference/unseen-work.md``: each situation with a real repository and a real agent."""

import os
import re
import shutil
from pathlib import Path

import pytest

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import (
    BranchInTheWay,
    FilterMissing,
    IgnoredSubfolder,
    InvalidInput,
    NoCommit,
    UncommittedSubfolder,
    UnknownRevision,
    UnsuitableFolder,
)
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


@pytest.fixture
def identified(monkeypatch):
    """Give agents that commit an author."""
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, ENVIRONMENT[name])


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


@pytest.mark.deep
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


@pytest.mark.deep
@about("a commit in a submodule")
async def test_a_commit_in_a_submodule_outlives_the_worktree(opened, with_submodule, identified):
    async with opened() as engine:
        task_id, _ = await reviewed(engine, with_submodule, IN_SUBMODULE)
        task, workspace = await approved(engine, task_id)
    assert (task.status, workspace.status) == (TaskStatus.COMPLETED, WorkspaceStatus.REMOVED)
    git(with_submodule, "submodule", "-q", "update", "--no-fetch")
    assert (with_submodule / "lib/n.txt").read_text() == "new\n"


@pytest.mark.deep
@about("a commit in a submodule without a copy")
async def test_a_commit_in_a_submodule_that_cannot_be_kept_is_asked_about(opened, with_submodule, identified):
    modules = with_submodule / ".git" / "modules"
    shutil.rmtree(modules)
    script = f"git -c protocol.file.allow=always submodule -q update --init && {IN_SUBMODULE}"
    async with opened() as engine:
        task_id, text = await reviewed(engine, with_submodule, script)
        assert "lib is a submodule with commits that are only here" in text
        task, _ = await approved(engine, task_id)
        assert task.status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, task_id)
        assert "which is only in the worktree: the repository has no copy of it" in question.proposed_solution
        assert "submodule update --init -- lib" in question.proposed_solution
        (with_submodule / "lib/.git").unlink()
        shutil.rmtree(with_submodule / "lib")
        git(with_submodule, "-c", "protocol.file.allow=always", "submodule", "-q", "update", "--init", "--", "lib")
        task, workspace = await approved(engine, task_id)
    assert (task.status, workspace.status) == (TaskStatus.COMPLETED, WorkspaceStatus.REMOVED)
    git(with_submodule, "submodule", "-q", "update", "--no-fetch")
    assert (with_submodule / "lib/n.txt").read_text() == "new\n"


@about("uncommitted changes in a submodule")
@pytest.mark.parametrize("rest", [pytest.param("", marks=pytest.mark.deep), "; echo more > new.txt"])
async def test_changes_in_a_submodule_stay(opened, with_submodule, rest):
    async with opened() as engine:
        task_id, text = await reviewed(engine, with_submodule, f"echo other > lib/n.txt{rest}")
        assert "-  lib is a submodule with uncommitted changes" in text
        tree = await kept(engine, task_id)
        assert (tree / "lib/n.txt").read_text() == "other\n"
        if rest:
            assert content(with_submodule, "main", "new.txt") == "more"


@pytest.mark.deep_but_first
@about("commits in a submodule besides the one that it is at", "ignored output in a submodule")
@pytest.mark.parametrize(
    ("script", "kind", "stays"),
    [
        (f"{IN_SUBMODULE} && git checkout -q HEAD~1", UnrecordedKind.ASIDE, False),
        ("echo result > lib/report.out", UnrecordedKind.IGNORED, True),
    ],
    ids=["commits", "ignored"],
)
async def test_what_a_submodule_holds_besides_is_named(opened, with_submodule, identified, script, kind, stays):
    (with_submodule / "lib/.gitignore").write_text("*.out\n")
    git(with_submodule / "lib", "add", "-A")
    git(with_submodule / "lib", "commit", "-qm", "ignore")
    git(with_submodule, "commit", "-qam", "ignore")
    async with opened() as engine:
        task_id, text = await reviewed(engine, with_submodule, script)
        assert "Not part of the work" in text
        execution = (await engine.tasks.view(task_id)).execution
        assert [one.kind for one in execution.outcome.unrecorded] == [kind]
        if stays:
            assert (await kept(engine, task_id) / "lib/report.out").exists()
            return
        task, workspace = await approved(engine, task_id)
    assert (task.status, workspace.status) == (TaskStatus.COMPLETED, WorkspaceStatus.REMOVED)
    refs = git(with_submodule / "lib", "for-each-ref", "--format=%(refname)", "refs/aura/submodules/*/aura/left/*")
    assert git(with_submodule / "lib", "show", f"{refs}:n.txt") == "new"


# --- Repositories inside ----------------------------------------------------------------------------------------------

SCAFFOLD = "mkdir app && cd app && git init -q && echo itself > main.py"


@pytest.mark.deep_but_first
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


@pytest.mark.deep
@about("a repository inside that the agent staged")
async def test_a_repository_that_was_staged_is_not_merged_as_a_dangling_link(opened, repository, identified):
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


@about("only folders without a file")
def test_empty_folders_are_named_where_nothing_else_changed(repository, tmp_path):
    def told(script, cwd=repository):
        words = ("run", "--no-tui", "--executor", "custom", "--base-command", "sh", "--param", "-c", "--param", script)
        said = run_aura(*words, "--prompt", "Make", "--approval", "auto", cwd=cwd, AURA_HOME=str(tmp_path / "home"))
        assert said.code == 0, said.err
        return [line for line in said.out.splitlines() if "without a file" in line]

    named = "[aura] nothing changed: git keeps no folder without a file, such as "
    assert told("mkdir -p build/a build/b 'x y'") == [f"{named}build/, x y/"]
    assert told("mkdir build; echo x > new.txt") == []
    (repository / "sub").mkdir()
    assert told("true", repository / "sub") == []


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


@pytest.mark.deep_but_first
@about("a continued branch under another name")
@pytest.mark.parametrize("how", ["--detach", "-b mine"])
async def test_a_branch_under_another_name_is_followed(opened, repository, how):
    async with opened() as engine:
        task_id, text = await reviewed(engine, repository, f"git checkout -q {how} && {COMMIT}")
        assert "Not part" not in text
        task, _ = await approved(engine, task_id)
    assert task.status is TaskStatus.COMPLETED
    assert content(repository, "main", "left") == "x"


@pytest.mark.deep_but_first
@about("commits on another branch", "a stash")
@pytest.mark.parametrize(
    ("script", "named", "kept_by"),
    [
        (f"git checkout -q -b aside && {COMMIT} && git checkout -q -", "-  aside is a branch", "aside:left"),
        ("echo stashed > a.txt; git -c user.name=a -c user.email=a@b stash -q", " is a stash", "stash:a.txt"),
    ],
    ids=["branch", "stash"],
)
async def test_work_on_another_branch_or_in_the_stash_is_named(opened, repository, script, named, kept_by):
    async with opened() as engine:
        task_id, text = await reviewed(engine, repository, script)
        assert named in text
        task, workspace = await approved(engine, task_id)
    assert (task.status, workspace.status) == (TaskStatus.COMPLETED, WorkspaceStatus.REMOVED)
    assert git(repository, "show", kept_by)


@about("the commit that the work started from is undone on the branch")
@pytest.mark.parametrize("rest", [pytest.param("", marks=pytest.mark.deep), "; echo new > new.txt"])
async def test_a_branch_that_went_back_behind_its_start_is_shown_as_it_is_merged(opened, repository, rest):
    (repository / "a.txt").write_text("newer\n")
    git(repository, "commit", "-qam", "newer")
    async with opened() as engine:
        task_id, text = await reviewed(engine, repository, f"git reset -q --hard HEAD~1{rest}")
        assert text.startswith("1 file changed" if rest else "0 files changed")
        assert f"-  {git(repository, 'rev-parse', 'HEAD')} is undone on the branch" in text
        assert "a.txt" not in text
        assert (await approved(engine, task_id))[0].status is TaskStatus.COMPLETED
    assert content(repository, "main", "a.txt") == "newer"


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


@pytest.mark.deep
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
    again = re.search(r"aura task retry \S+", said.err)[0].split()[1:]
    assert run_aura(*again, cwd=repository, before=unprivileged, AURA_HOME=str(tmp_path / "home")).code != 0
    for folder in (tmp_path / "home" / "workspaces").glob("*/*/d"):
        folder.chmod(0o755)
        assert (folder / "x").read_text() == "precious\n"
    assert said.code != 0
    assert "d/ in " in said.err
    assert "chmod -R u+rwX" in said.err
    assert "b.txt" not in git(repository, "ls-tree", "--name-only", "main")
    assert run_aura(*again, cwd=repository, AURA_HOME=str(tmp_path / "home")).code == 0
    assert content(repository, "main", "d/x") == "precious"
    assert (tmp_path / "home/runs").read_text() == "run\n", "the work was done"


@pytest.mark.deep_but_first
@about("another root, or an unfinished operation such as a bisection")
@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("git switch -q --orphan other; echo new > new.txt", "checkout -q {branch}"),
        ("git bisect start; echo new > new.txt", "bisect reset"),
    ],
    ids=["another root", "an unfinished operation"],
)
async def test_work_that_cannot_be_collected_is_collected_by_a_retry(opened, repository, tmp_path, script, command):
    async with opened() as engine:
        script = f"echo run >> {tmp_path}/runs; {script}"
        run = await engine.run("Do it", repositories=[str(repository)], **agent(script))
        task = await settled(engine, run.id)
        assert (task.status, task.failure.reason) == (TaskStatus.FAILED, FailureReason.WORKSPACE_ERROR)
        workspace = (await engine.tasks.view(run.id)).workspace
        tree = Path(workspace.worktrees[0].path)
        git(tree, *command.format(branch=workspace.branch).split())
        await engine.tasks.retry(run.id)
        task = await settled(engine, run.id)
        assert task.status is TaskStatus.AWAITING_APPROVAL, task.failure
        await approved(engine, run.id)
    assert content(repository, "main", "new.txt") == "new"
    assert (tmp_path / "runs").read_text() == "run\n"


# --- Before a run -----------------------------------------------------------------------------------------------------


async def refused(opened, repository, kind, match, **more):
    """Expect a run and a task to be refused with an error that can be caught, and nothing to be made."""
    before = git(repository, "for-each-ref"), sorted(path.name for path in (repository / ".git").iterdir())
    async with opened() as engine:
        with pytest.raises(kind, match=match):
            await engine.run("Do it", repositories=[str(repository)], **agent("true"), **more)
        with pytest.raises(kind, match=match):
            await engine.tasks.create("Do it", repositories=[str(repository)], **more)
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
    await refused(opened, repository, FilterMissing, r"a\.bin .* 'lfs'.* git-lfs-not-here is not installed; install")


@about("a subfolder that git ignores")
async def test_a_subfolder_that_git_ignores_is_refused(opened, repository):
    (repository / ".gitignore").write_text("play/\n")
    (repository / "play").mkdir()
    async with opened() as engine:
        with pytest.raises(IgnoredSubfolder, match="git ignores play"):
            await engine.run("Do it", repositories=[str(repository / "play")], **agent("true"))


@about("a subfolder with files of which none is committed")
async def test_a_subfolder_without_a_committed_file_is_refused(opened, repository):
    (repository / "play").mkdir()
    (repository / "play/draft").write_text("mine\n")
    async with opened() as engine:
        with pytest.raises(UncommittedSubfolder, match="no file of play"):
            await engine.run("Do it", repositories=[str(repository / "play")], **agent("true"))
        assert not (await engine.tasks.list()).rows


@about(
    "a folder in no repository of which AURA [keeps no versions](../explanation/lifecycle.md#where-a-run-works)",
)
async def test_a_folder_of_the_system_is_refused(opened):
    async with opened() as engine:
        with pytest.raises(UnsuitableFolder, match="it belongs to the system") as refused:
            await engine.run("Do it", repositories=["/etc"], **agent("true"))
    assert "name the folder of one project" in refused.value.remedy


@about("a repository without a commit")
async def test_a_repository_without_a_commit_is_refused(opened, tmp_path):
    git(tmp_path, "init", "-q", "-b", "main", "empty")
    text = r"no commit yet; .*git -C .*empty commit --allow-empty .*in_place=True"
    await refused(opened, tmp_path / "empty", NoCommit, text)


@about("a branch called `aura`")
async def test_a_branch_in_the_way_is_refused(opened, repository):
    git(repository, "branch", "aura")
    await refused(opened, repository, BranchInTheWay, r"git -C .* branch -m aura aura-old")


@about("a detached HEAD")
async def test_a_detached_head_is_refused(opened, repository):
    git(repository, "checkout", "-q", "--detach")
    await refused(opened, repository, InvalidInput, r"target_branch=BRANCH.* git -C .* switch BRANCH")


@about("a target branch that does not exist")
async def test_a_target_branch_that_does_not_exist_is_refused(opened, repository):
    text = r"no commit 'later'; .*target_branch=BRANCH.* git -C .* branch later"
    await refused(opened, repository, UnknownRevision, text, target_branch="later")


# --- While a question waits: see also test_worktree_gone.py -----------------------------------------------------------


@pytest.mark.deep_but_first
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


@pytest.mark.deep_but_first
@about("the target was rewound or rewritten")
@pytest.mark.parametrize("how", ["rebase", "merge"])
async def test_commits_that_the_target_lost_do_not_come_back_unasked(opened, repository, how):
    (repository / "a.txt").write_text("wrong\n")
    git(repository, "commit", "-qam", "wrong")
    wrong = git(repository, "rev-parse", "HEAD")
    async with opened() as engine:
        task_id, _ = await reviewed(engine, repository, "echo new > new.txt")
        git(repository, "reset", "-q", "--hard", "HEAD~1")
        assert (await approved(engine, task_id))[0].status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, task_id)
        command = re.search(rf"\(git -C (\S+) ({how} [^)]+)\)", question.proposed_solution)
        git(Path(command[1]), *command[2].split())
        task, _ = await approved(engine, task_id)
        if how == "rebase":  # the commit to be merged is another one now
            (question,) = await open_questions(engine, task_id)
            assert "a.txt" not in question.proposed_solution
            task, _ = await approved(engine, task_id)
    assert task.status is TaskStatus.COMPLETED
    assert content(repository, "main", "new.txt") == "new"
    assert (wrong in git(repository, "log", "--format=%H", "main").split()) is (how == "merge")


@about("the target branch is gone")
async def test_a_target_that_is_gone_is_asked_about(opened, repository):
    git(repository, "branch", "release")
    async with opened() as engine:
        task_id, _ = await reviewed(engine, repository, "echo new > new.txt", target_branch="release")
        git(repository, "branch", "-D", "release")
        assert (await approved(engine, task_id))[0].status is TaskStatus.BLOCKED
        (question,) = await open_questions(engine, task_id)
        command = re.search(r"git -C (\S+) (branch release \w+)", question.proposed_solution)
        git(Path(command[1]), *command[2].split())
        assert (await approved(engine, task_id))[0].status is TaskStatus.COMPLETED
    assert content(repository, "release", "new.txt") == "new"


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
