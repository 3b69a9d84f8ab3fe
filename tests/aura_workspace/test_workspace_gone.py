"""Worktrees that go while work in them is not finished: they come back from the branch, or from a safety copy."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds import World, tip, tree

from aura_contracts.errors import WorkspaceError
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import MergeStyle
from repositories import content, git


def collected(world: World, spec: WorkspaceSpec) -> WorkspaceSpec:
    """Make one commit, and return the spec with it recorded."""
    (tree(spec) / "new").write_text("work\n")
    head = world.workspaces.collect(spec, "work").heads[0].commit
    return replace(spec, worktrees=(replace_head(spec, head),))


def replace_head(spec: WorkspaceSpec, head: str) -> object:
    known = spec.worktrees[0]
    return type(known)(known.repository, known.path, known.base_commit, head)


def by_git(world: World, spec: WorkspaceSpec) -> None:
    git(world.api, "worktree", "remove", "--force", str(tree(spec)))


def by_hand(world: World, spec: WorkspaceSpec) -> None:
    shutil.rmtree(spec.root)


def by_hand_and_pruned(world: World, spec: WorkspaceSpec) -> None:
    shutil.rmtree(spec.root)
    git(world.api, "worktree", "prune")


def with_its_branch(world: World, spec: WorkspaceSpec) -> None:
    by_git(world, spec)
    git(world.api, "branch", "-D", spec.branch)


WAYS = (by_git, by_hand, by_hand_and_pruned, with_its_branch)


@pytest.fixture
def spec(world: World) -> WorkspaceSpec:
    return collected(world, world.prepared(world.spec()))


@pytest.mark.deep_but_first
@pytest.mark.parametrize("go", WAYS)
def test_a_merge_needs_no_folder(world: World, spec: WorkspaceSpec, go: Callable[[World, WorkspaceSpec], None]) -> None:
    go(world, spec)
    found = world.workspaces.collect(spec, "again", from_branch=True)
    assert [head.commit for head in found.heads] == [spec.worktrees[0].head]
    assert (found.outcome.changed_files, found.clean) == (1, True)
    world.workspaces.merge(spec, MergeStyle.MERGE, "merged")
    assert content(world.api, "main", "new") == "work"
    world.workspaces.remove(spec, delete_branch=True)
    assert world.left_over() == []


@pytest.mark.deep_but_first
@pytest.mark.parametrize("go", WAYS)
def test_the_folder_comes_back_with_the_commits(
    world: World, spec: WorkspaceSpec, go: Callable[[World, WorkspaceSpec], None]
) -> None:
    go(world, spec)
    again = world.prepared(spec)
    assert again.worktrees == spec.worktrees
    assert (tree(again) / "new").read_text() == "work\n"
    assert git(tree(again), "symbolic-ref", "--short", "HEAD") == spec.branch


def test_uncommitted_work_comes_back_from_the_newest_copy(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / "new").write_text("more work\n")
    (tree(spec) / "untracked").write_text("too\n")
    world.workspaces.snapshot(spec, "refs/aura/snapshots/x/1")
    by_hand(world, spec)
    again = world.prepared(replace(spec, copies=("refs/aura/snapshots/x/1",)))
    assert (tree(again) / "new").read_text() == "more work\n"
    assert (tree(again) / "untracked").read_text() == "too\n"
    assert world.workspaces.inspect(spec).dirty


def test_a_copy_of_earlier_work_does_not_come_back_over_later_commits(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / "new").write_text("draft\n")
    world.workspaces.snapshot(spec, "refs/aura/snapshots/x/1")
    (tree(spec) / "new").write_text("final\n")
    head = world.workspaces.collect(spec, "final").heads[0].commit
    by_hand(world, spec)
    again = world.prepared(
        replace(spec, worktrees=(replace_head(spec, head),), copies=("refs/aura/snapshots/x/1", "refs/aura/gone"))
    )
    assert (tree(again) / "new").read_text() == "final\n"


def test_a_folder_that_the_agent_removed_is_no_finished_work(world: World, spec: WorkspaceSpec) -> None:
    by_hand(world, spec)
    with pytest.raises(WorkspaceError, match="missing"):
        world.workspaces.collect(spec, "again")


def test_work_of_which_nothing_is_left_is_not_begun_anew(world: World, spec: WorkspaceSpec, tmp_path: Path) -> None:
    lost = replace(spec, worktrees=(replace_head(spec, "1" * 40),))
    with_its_branch(world, spec)
    for operation in (world.workspaces.prepare, lambda one: world.workspaces.collect(one, "again", from_branch=True)):
        with pytest.raises(WorkspaceError, match="nor its last commit"):
            operation(lost)
    assert world.left_over() == []
    assert tip(world.api, "main") == spec.worktrees[0].base_commit
