"""The subfolder that a run works in."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds import tree

from aura_contracts.errors import WorkspaceError
from repositories import git


@pytest.mark.parametrize(
    ("where", "subfolder"),
    [
        ("", ""),
        ("src", "src"),
        ("src/new", "src/new"),
        (".github", ".github"),
        ("linked", "src"),
        ("../outside", "src"),
    ],
)
def test_a_path_in_a_repository_is_described_with_its_place(world, where, subfolder):
    (world.api / "src/new").mkdir()
    (world.api / ".github").mkdir()
    (world.api / "linked").symlink_to("src")
    (world.folder / "outside").symlink_to("api/src")
    found = world.workspaces.describe(str(world.api / where))
    assert (found.path, found.subfolder) == (str(world.api), subfolder)


def test_the_inside_of_a_bare_repository_has_no_place(world):
    git(world.folder, "clone", "-q", "--bare", str(world.api), "bare.git")
    found = world.workspaces.describe(str(world.folder / "bare.git/hooks"))
    assert (found.path, found.subfolder) == (str(world.folder / "bare.git"), "")


@pytest.mark.parametrize("in_place", [False, True])
def test_agents_begin_in_the_subfolder(world, in_place):
    root = str(world.api) if in_place else ""
    made = world.workspaces.prepare(world.spec(subfolder="src", in_place=in_place, root=root))
    assert made.directory == f"{made.worktrees[0].path}/src"
    assert (Path(made.directory) / "app.py").exists()


def test_a_folder_that_git_does_not_keep_is_made(world):
    spec = world.prepared(world.spec(subfolder="build/new"))
    assert (tree(spec) / "build/new").is_dir()
    assert not world.workspaces.inspect(spec).dirty


def test_a_folder_that_the_agent_removed_is_there_for_what_runs_next(world):
    spec = world.prepared(world.spec(subfolder="src"))
    (tree(spec) / "src/app.py").unlink()
    (tree(spec) / "src").rmdir()
    world.workspaces.collect(spec, "gone")
    assert (tree(spec) / "src").is_dir()
    (tree(spec) / "src").rmdir()
    (tree(spec) / "src").write_text("a file\n")
    world.workspaces.collect(spec, "a file instead")


def test_a_link_out_of_the_worktree_is_no_place_to_work_in(world):
    spec = world.prepared(world.spec(subfolder="src"))
    (tree(spec) / "src/app.py").unlink()
    (tree(spec) / "src").rmdir()
    (tree(spec) / "src").symlink_to("/")
    with pytest.raises(WorkspaceError, match="leads out of the worktree"):
        world.workspaces.collect(spec, "a link")
    git(world.api, "checkout", "-q", "-b", "linked")
    git(world.api, "rm", "-rq", "src")
    (world.api / "src").symlink_to("/")
    git(world.api, "add", ".")
    git(world.api, "commit", "-qm", "link")
    other = world.spec(subfolder="src")
    (repository,) = other.repositories
    with pytest.raises(WorkspaceError, match="leads out of the worktree"):
        world.workspaces.prepare(replace(other, repositories=(replace(repository, target_branch="linked"),)))
