"""Merging: in all repositories or in none, again after a crash, and never into somebody's unsaved work."""

import pytest
from worlds import GIT, World, tip, tree

from aura_contracts.errors import DirtyWorktree, GitFailed, OperationInProgress, WorkspaceError
from aura_contracts.ports.git_values import MergeOutcome
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import MergeStyle
from aura_git import CommandLineGit
from aura_workspace import LocalWorkspaces
from repositories import ENVIRONMENT, git

STYLES = pytest.mark.parametrize(
    "style",
    [
        MergeStyle.SQUASH,
        *(pytest.param(style, marks=pytest.mark.deep) for style in (MergeStyle.MERGE, MergeStyle.REBASE)),
    ],
)


@pytest.fixture
def spec(world: World) -> WorkspaceSpec:
    spec = world.prepared(world.spec(world.api, world.web))
    for number in (0, 1):
        (tree(spec, number) / "new").write_text("new\n")
        (tree(spec, number) / "src/app.py").write_text("one\n2\nthree\n")
    world.workspaces.collect(spec, "work")
    return spec


@STYLES
def test_all_repositories_are_merged_and_their_checkouts_brought_up_to_date(
    world: World, spec: WorkspaceSpec, style: MergeStyle
) -> None:
    (world.api / "mine").write_text("untracked, and mine\n")
    merged = world.workspaces.merge(spec, style, "Merge the work")
    assert [(c.repository, c.commit) for c in merged.commits] == [
        ("api", tip(world.api, "main")),
        ("web", tip(world.web, "main")),
    ]
    assert (world.api / "new").read_text() == "new\n"
    assert git(world.api, "status", "--porcelain") == "?? mine"


@STYLES
def test_merging_again_merges_nothing_twice(world: World, spec: WorkspaceSpec, style: MergeStyle) -> None:
    merged = world.workspaces.merge(spec, style, "m")
    (world.api / "src/app.py").write_text("one\nII\nthree\n")
    git(world.api, "commit", "-qam", "goes on over the same line")
    before = tip(world.api, "main"), tip(world.web, "main")
    again = world.workspaces.merge(spec, style, "m")
    assert again.conflicts == ()
    assert set(again.commits) <= set(merged.commits)
    assert (tip(world.api, "main"), tip(world.web, "main")) == before


@pytest.mark.deep
@STYLES
def test_work_that_goes_on_after_a_merge_is_merged_too(world: World, spec: WorkspaceSpec, style: MergeStyle) -> None:
    world.workspaces.merge(spec, style, "m")
    (tree(spec) / "more").write_text("more\n")
    world.workspaces.collect(spec, "more work")
    merged = world.workspaces.merge(spec, style, "m")
    assert "api" in {commit.repository for commit in merged.commits}
    assert (world.api / "more").exists()
    assert (world.api / "new").exists()


def test_repositories_without_changes_are_left_out(world: World) -> None:
    spec = world.prepared(world.spec(world.api, world.web))
    (tree(spec, 1) / "new").write_text("new\n")
    world.workspaces.collect(spec, "work")
    assert [c.repository for c in world.workspaces.merge(spec, MergeStyle.MERGE, "m").commits] == ["web"]


@STYLES
def test_a_conflict_in_one_repository_touches_none(world: World, spec: WorkspaceSpec, style: MergeStyle) -> None:
    (world.web / "src/app.py").write_text("one\nII\nthree\n")
    git(world.web, "commit", "-qam", "on")
    before = tip(world.api, "main"), tip(world.web, "main")
    merged = world.workspaces.merge(spec, style, "m")
    assert [(c.repository, c.paths) for c in merged.conflicts] == [("web", ("src/app.py",))]
    assert merged.commits == ()
    assert (tip(world.api, "main"), tip(world.web, "main")) == before


@pytest.mark.deep
def test_a_conflict_that_only_rebasing_meets_touches_none(world: World, spec: WorkspaceSpec) -> None:
    """The branch changes a line and changes it back; the target changed it meanwhile."""
    top = tree(spec, 1)
    for text in ("hello you\n", "hello\n"):
        (top / "README").write_text(text)
        git(top, "commit", "-qam", text)
    (world.web / "README").write_text("goodbye\n")
    git(world.web, "commit", "-qam", "on")
    before = tip(world.api, "main")
    merged = world.workspaces.merge(spec, MergeStyle.REBASE, "m")
    assert [(c.repository, c.paths) for c in merged.conflicts] == [("web", ("README",))]
    assert tip(world.api, "main") == before
    assert not git(world.web, "branch", "--list", "*trial")
    assert len(world.workspaces.merge(spec, MergeStyle.MERGE, "m").commits) == 2


@pytest.mark.deep_but_first
@pytest.mark.parametrize("how", ["unstaged", "staged", "untracked"])
def test_unsaved_work_in_the_last_target_stops_all(world: World, spec: WorkspaceSpec, how: str) -> None:
    match how:
        case "unstaged":
            (world.web / "src/app.py").write_text("mine\n")
        case "staged":
            (world.web / "README").write_text("mine\n")
            git(world.web, "add", "README")
        case "untracked":
            (world.web / "new").write_text("mine\n")
    before = tip(world.api, "main"), tip(world.web, "main")
    with pytest.raises(DirtyWorktree):
        world.workspaces.merge(spec, MergeStyle.MERGE, "m")
    assert (tip(world.api, "main"), tip(world.web, "main")) == before


def test_an_operation_in_the_last_target_stops_all(world: World, spec: WorkspaceSpec) -> None:
    git(world.web, "bisect", "start")
    before = tip(world.api, "main")
    with pytest.raises(OperationInProgress):
        world.workspaces.merge(spec, MergeStyle.MERGE, "m")
    assert tip(world.api, "main") == before


def test_work_that_is_not_on_the_branch_stops_the_merge(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / "unsaved").touch()
    with pytest.raises(DirtyWorktree, match="unsaved"):
        world.workspaces.merge(spec, MergeStyle.MERGE, "m")


class _Failing(CommandLineGit):
    """Git that fails to merge in `web`."""

    def merge(self, repo: str, **how: object) -> MergeOutcome:
        if repo.endswith("web"):
            raise GitFailed(repository=repo, command="git merge", reason="somebody was faster")
        return super().merge(repo, **how)  # type: ignore[arg-type]


@pytest.mark.deep_but_first
@pytest.mark.parametrize("checked_out", [False, True])
def test_what_fails_late_is_undone_or_said(world: World, spec: WorkspaceSpec, checked_out: bool) -> None:
    if not checked_out:
        git(world.api, "checkout", "-q", "--detach")
    before = tip(world.api, "main")
    failing = LocalWorkspaces(world.home, _Failing(GIT, environment=ENVIRONMENT))
    with pytest.raises(WorkspaceError if checked_out else GitFailed, match="somebody was faster") as caught:
        failing.merge(spec, MergeStyle.MERGE, "m")
    assert (tip(world.api, "main") != before) is checked_out
    if checked_out:
        assert caught.value.left_behind == ("api",)  # type: ignore[attr-defined]
    merged = world.workspaces.merge(spec, MergeStyle.MERGE, "m")
    assert [c.commit for c in merged.commits] == [tip(world.api, "main"), tip(world.web, "main")]
    assert git(world.api, "rev-list", "--count", "--merges", "main") == "1"


@pytest.mark.deep
@STYLES
def test_the_branch_goes_once_its_work_is_merged(world: World, spec: WorkspaceSpec, style: MergeStyle) -> None:
    world.workspaces.remove(spec, delete_branch=True)
    assert git(world.api, "branch", "--list", spec.branch)
    world.workspaces.merge(spec, style, "m")
    world.workspaces.remove(spec, delete_branch=True)
    assert world.left_over() == []
