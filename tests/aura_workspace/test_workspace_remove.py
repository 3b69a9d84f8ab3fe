"""Removing workspaces, and finding and removing what nobody knows of any more."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds import World, tip, tree

from aura_contracts.errors import WorkspaceError
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_workspace._worktrees import MARKER_FILE, linked_git_dir
from repositories import git

REF = "refs/aura/orphans/x/1"


@pytest.fixture
def spec(world: World) -> WorkspaceSpec:
    return world.prepared(world.spec(world.api, world.web))


def test_removing_leaves_the_branch_and_doing_it_again_is_harmless(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / "unsaved").touch()
    world.workspaces.remove(spec, delete_branch=False)
    assert world.left_over() == [spec.branch, spec.branch]
    world.workspaces.remove(spec, delete_branch=True)
    assert world.left_over() == []
    world.workspaces.remove(spec, delete_branch=True)


def test_folders_that_may_not_be_changed_are_removed(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / "module/cache").mkdir(parents=True)
    (tree(spec) / "module/cache/file").touch()
    for folder in ("module/cache", "module"):
        (tree(spec) / folder).chmod(0o555)
    world.workspaces.remove(spec, delete_branch=True)
    assert world.left_over() == []


def test_a_workspace_that_was_never_prepared_can_be_removed(world: World) -> None:
    world.workspaces.remove(world.spec(), delete_branch=True)
    assert world.left_over() == []


def test_files_beside_the_worktrees_stay(world: World, spec: WorkspaceSpec) -> None:
    (Path(spec.root) / "notes").write_text("by an agent")
    world.workspaces.remove(spec, delete_branch=True)
    assert [path.name for path in Path(spec.root).iterdir()] == ["notes"]


def test_what_cannot_be_removed_is_named_and_the_rest_goes(world: World, spec: WorkspaceSpec) -> None:
    git(world.api, "worktree", "lock", str(tree(spec)))
    with pytest.raises(WorkspaceError, match="locked") as caught:
        world.workspaces.remove(spec, delete_branch=True)
    assert (caught.value.left_behind, caught.value.cleaned_up) == ((str(tree(spec)),), (str(tree(spec, 1)),))
    assert (tree(spec) / "README").exists()
    assert not tree(spec, 1).exists()


# --- Orphans ----------------------------------------------------------------------------------------------------------


def test_what_no_record_knows_is_an_orphan(world: World, spec: WorkspaceSpec) -> None:
    assert world.workspaces.orphans({spec.id}) == ()
    (tree(spec) / "unsaved").touch()
    first, second = world.workspaces.orphans(())
    assert (first.workspace_id, first.path, first.repository, first.branch, first.dirty) == (
        spec.id,
        str(tree(spec)),
        "api",
        spec.branch,
        True,
    )
    assert (second.repository, second.dirty) == ("web", False)
    assert "no longer known" in first.reason


def test_unsaved_work_is_kept_before_an_orphan_goes(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / "unsaved").write_text("precious\n")
    first, second = world.workspaces.orphans(())
    (saved,) = world.workspaces.remove_orphan(first, REF)
    assert saved.commit == tip(world.api, REF)
    assert git(world.api, "show", f"{REF}:unsaved") == "precious"
    assert world.workspaces.remove_orphan(second, REF) == ()
    assert world.left_over() == [spec.branch, spec.branch]
    assert world.workspaces.orphans(()) == ()
    assert world.workspaces.remove_orphan(first, REF) == ()


def test_commits_that_no_branch_has_are_unsaved_work(world: World, spec: WorkspaceSpec) -> None:
    git(tree(spec), "checkout", "-q", "--detach")
    git(tree(spec), "commit", "-q", "--allow-empty", "-m", "on no branch")
    lost = tip(tree(spec), "HEAD")
    orphan = world.workspaces.orphans(())[0]
    assert orphan.dirty
    assert world.workspaces.remove_orphan(orphan, REF)[0].commit == lost == tip(world.api, REF)


def test_only_marker_and_place_together_prove_an_orphan(world: World, spec: WorkspaceSpec) -> None:
    workspaces = world.home / "workspaces"
    git(world.api, "worktree", "add", "-q", "-b", "mine", str(workspaces / "mine" / "api"))
    shutil.copytree(tree(spec), workspaces / "copy" / "api")
    git(world.web, "worktree", "move", str(tree(spec, 1)), str(workspaces / "moved"))
    (workspaces / "link").symlink_to(spec.root)
    (workspaces / "plain" / "folder").mkdir(parents=True)
    (workspaces / "file").touch()
    found = world.workspaces.orphans(())
    assert [orphan.path for orphan in found] == [str(tree(spec))]
    for path in ("mine/api", "copy/api", "link/api", "plain/folder"):
        with pytest.raises(WorkspaceError, match="nothing proves"):
            world.workspaces.remove_orphan(replace(found[0], path=str(workspaces / path)), REF)
    (linked_git_dir(tree(spec)) / MARKER_FILE).write_text("{}")  # type: ignore[operator]
    assert world.workspaces.orphans(()) == ()
    with pytest.raises(WorkspaceError, match="nothing proves"):
        world.workspaces.remove_orphan(found[0], REF)
    assert (tree(spec) / "README").exists()


def test_a_damaged_orphan_counts_as_unsaved(world: World, spec: WorkspaceSpec) -> None:
    (linked_git_dir(tree(spec)) / "HEAD").write_text("garbage")  # type: ignore[operator]
    assert world.workspaces.orphans(())[0].dirty
