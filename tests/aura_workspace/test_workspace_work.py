"""While a workspace is worked in: looking, committing, comparing, safety copies."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds import World, tip, tree

from aura_contracts.errors import OperationInProgress, WorkspaceError
from aura_contracts.ports.git_values import ChangeKind
from aura_contracts.ports.workspaces import WorkspaceSpec
from repositories import git


@pytest.fixture
def spec(world: World) -> WorkspaceSpec:
    return world.prepared(world.spec(world.api, world.web))


def work(spec: WorkspaceSpec) -> None:
    (tree(spec) / "src/app.py").write_text("one\n2\nthree\n")
    (tree(spec) / "new file").write_text("a\nb\n")
    (tree(spec) / "noise.log").write_text("ignored\n")
    (tree(spec, 1) / "README").unlink()


def test_collecting_commits_everything_and_counts_the_whole_branch(world: World, spec: WorkspaceSpec) -> None:
    work(spec)
    assert world.workspaces.inspect(spec).dirty
    collected = world.workspaces.collect(spec, "The message\n\nwith a body")
    outcome = collected.outcome
    assert (outcome.changed_files, outcome.lines_added, outcome.lines_removed) == (3, 3, 2)
    assert outcome.commits == {"api": tip(world.api, spec.branch), "web": tip(world.web, spec.branch)}
    assert [(head.repository, head.commit) for head in collected.heads] == list(outcome.commits.items())
    assert collected.clean
    assert git(tree(spec), "log", "-1", "--format=%B") == "The message\n\nwith a body"
    assert not world.workspaces.inspect(spec).dirty

    assert world.workspaces.collect(spec, "again") == collected
    (tree(spec) / "src/app.py").write_text("one\ntwo\nthree\n")
    assert world.workspaces.collect(spec, "taken back").outcome.changed_files == 2


def test_nothing_changed_nothing_committed(world: World, spec: WorkspaceSpec) -> None:
    collected = world.workspaces.collect(spec, "nothing")
    assert (collected.outcome.changed_files, collected.clean) == (0, True)
    assert [head.commit for head in collected.heads] == [tree.base_commit for tree in spec.worktrees]


def test_what_the_agent_committed_counts(world: World, spec: WorkspaceSpec) -> None:
    work(spec)
    git(tree(spec), "add", "-A")
    git(tree(spec), "commit", "-qm", "by the agent")
    assert world.workspaces.collect(spec, "the rest").outcome.changed_files == 3
    assert git(tree(spec), "log", "-1", "--format=%s") == "by the agent"


@pytest.mark.parametrize("how", [("checkout", "-q", "-b", "mine"), ("checkout", "-q", "--detach")])
def test_an_agent_that_went_on_elsewhere_is_followed(world: World, spec: WorkspaceSpec, how: tuple[str, ...]) -> None:
    git(tree(spec), *how)
    work(spec)
    collected = world.workspaces.collect(spec, "work")
    assert collected.outcome.commits["api"] == tip(world.api, spec.branch) == tip(tree(spec), "HEAD")


def test_an_agent_that_went_back_is_not(world: World, spec: WorkspaceSpec) -> None:
    work(spec)
    world.workspaces.collect(spec, "work")
    git(tree(spec), "checkout", "-q", "-b", "other", "HEAD~")
    with pytest.raises(WorkspaceError, match="on branch other, which lacks commits of aura/"):
        world.workspaces.collect(spec, "work")


@pytest.mark.deep
@pytest.mark.parametrize("operation", ["merge", "rebase"])
def test_an_unfinished_operation_is_not_committed(world: World, spec: WorkspaceSpec, operation: str) -> None:
    work(spec)
    world.workspaces.collect(spec, "work")
    (world.api / "src/app.py").write_text("one\nII\nthree\n")
    git(world.api, "commit", "-qam", "on")
    with pytest.raises(AssertionError):
        git(tree(spec), operation, "main")
    head = tip(world.api, spec.branch)
    assert world.workspaces.inspect(spec).operations == {"api": operation}
    (tree(spec, 1) / "other").touch()
    with pytest.raises(OperationInProgress, match=f"has a {operation} in progress"):
        world.workspaces.collect(spec, "work")
    assert tip(world.api, spec.branch) == head
    assert world.workspaces.prepare(spec).root == spec.root


def test_conflicts_without_an_operation_are_not_committed(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / "README").write_text("stashed\n")
    git(tree(spec), "stash")
    (tree(spec) / "README").write_text("other\n")
    git(tree(spec), "commit", "-qam", "other")
    with pytest.raises(AssertionError):
        git(tree(spec), "stash", "pop")
    with pytest.raises(OperationInProgress):
        world.workspaces.collect(spec, "work")


def test_a_repository_in_the_worktree_is_left_and_said(world: World, spec: WorkspaceSpec) -> None:
    git(tree(spec), "init", "-q", "nested")
    (tree(spec) / "nested" / "x").touch()
    git(tree(spec) / "nested", "add", "-A")
    git(tree(spec) / "nested", "commit", "-qm", "x")
    collected = world.workspaces.collect(spec, "work")
    assert (collected.outcome.changed_files, collected.clean) == (0, False)


def test_the_diff_has_uncommitted_work_and_shares_its_limit(world: World, spec: WorkspaceSpec) -> None:
    work(spec)
    world.workspaces.collect(spec, "work")
    (tree(spec) / "later").write_text("x\n" * 1000)
    api, web = world.workspaces.diff(spec, patch=True)
    assert [(file.path, file.kind) for file in api.diff.files] == [
        ("later", ChangeKind.ADDED),
        ("new file", ChangeKind.ADDED),
        ("src/app.py", ChangeKind.MODIFIED),
    ]
    assert [file.path for file in web.diff.files] == ["README"]
    assert b"+x\n" in (api.diff.patch or b"")
    short = world.workspaces.diff(spec, patch=True, patch_limit=500)
    assert sum(len(one.diff.patch or b"") for one in short) <= 500
    assert short[0].diff.truncated
    assert world.workspaces.diff(spec, patch=False)[0].diff.patch is None


def test_a_worktree_that_is_gone_is_said_and_its_branch_still_compared(world: World, spec: WorkspaceSpec) -> None:
    work(spec)
    world.workspaces.collect(spec, "work")
    world.workspaces.remove(spec, delete_branch=False)
    assert len(world.workspaces.diff(spec, patch=False)[0].diff.files) == 2
    condition = world.workspaces.inspect(spec)
    assert (condition.exists, condition.dirty, condition.missing) == (False, False, ("api", "web"))
    with pytest.raises(WorkspaceError, match="missing; prepare the workspace again"):
        world.workspaces.collect(spec, "work")


def test_a_snapshot_and_its_restore(world: World, spec: WorkspaceSpec) -> None:
    work(spec)
    ref = f"refs/aura/snapshots/{spec.id}/1"
    commits = world.workspaces.snapshot(spec, ref).commits
    assert [(c.repository, c.commit) for c in commits] == [("api", tip(world.api, ref)), ("web", tip(world.web, ref))]
    (tree(spec) / "new file").unlink()
    (tree(spec) / "src/app.py").write_text("spoilt")
    (tree(spec) / "more").touch()
    world.workspaces.restore(spec, ref)
    assert (tree(spec) / "new file").read_text() == "a\nb\n"
    assert (tree(spec) / "src/app.py").read_text() == "one\n2\nthree\n"
    assert not (tree(spec) / "more").exists()
    assert not (tree(spec, 1) / "README").exists()
    with pytest.raises(WorkspaceError, match="has no snapshot"):
        world.workspaces.restore(spec, ref + "9")


def test_a_snapshot_without_a_worktree_holds_the_branch(world: World, spec: WorkspaceSpec) -> None:
    world.workspaces.remove(spec, delete_branch=False)
    commits = world.workspaces.snapshot(spec, f"refs/aura/snapshots/{spec.id}/1").commits
    assert commits[0].commit == tip(world.api, spec.branch)


# --- In place ---------------------------------------------------------------------------------------------------------


def test_in_place_nothing_is_committed(world: World) -> None:
    spec = world.prepared(world.spec(in_place=True, root=str(world.api)))
    (world.api / "new").write_text("a\nb\n")
    git(world.api, "commit", "-q", "--allow-empty", "-m", "on")
    collected = world.workspaces.collect(spec, "work")
    assert (collected.outcome.changed_files, collected.outcome.lines_added, collected.clean) == (1, 2, False)
    assert collected.outcome.commits == {"api": tip(world.api, "HEAD")}
    assert git(world.api, "log", "-1", "--format=%s") == "on"
    assert [file.path for file in world.workspaces.diff(spec, patch=True)[0].diff.files] == ["new"]
    assert world.workspaces.merge(spec, "merge", "m").commits == ()  # type: ignore[arg-type]


def test_in_place_without_a_commit_what_was_there_at_the_start_does_not_count(world: World) -> None:
    git(world.folder, "init", "-q", "-b", "main", "empty")
    top: Path = world.folder / "empty"
    (top / "before").write_text("x\n")
    spec = world.prepared(world.spec(top, in_place=True, root=str(top)))
    assert spec.worktrees[0].base_commit == ""
    (top / "after").write_text("x\ny\n")
    outcome = world.workspaces.collect(spec, "work").outcome
    assert (outcome.changed_files, outcome.lines_added, outcome.commits) == (1, 2, {})
    git(top, "add", "-A")
    git(top, "commit", "-qm", "by the agent")
    outcome = world.workspaces.collect(replace(spec), "work").outcome
    assert (outcome.changed_files, outcome.lines_added, outcome.commits) == (1, 2, {"empty": tip(top, "HEAD")})
    world.workspaces.remove(spec, delete_branch=True)
    assert git(top, "for-each-ref", "refs/aura") == ""
