"""Preparing: all worktrees or none, always at the same paths, and what is there already is taken over or left alone."""

import shutil
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds import GIT, World, recorded, tip, tree

from aura_contracts.errors import GitFailed, GitUnavailable, NotARepository, WorkspaceError
from aura_contracts.file_locks import try_lock
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import Repository, workspace_folder
from aura_git import CommandLineGit
from aura_workspace import LocalWorkspaces
from aura_workspace._worktrees import MARKER_FILE, linked_git_dir, read_marker
from repositories import ENVIRONMENT, git


def test_one_worktree_per_repository_at_paths_that_follow_from_the_spec(world: World) -> None:
    spec = world.spec(world.api, world.web)
    made = world.workspaces.prepare(spec)
    root = world.home / "workspaces" / workspace_folder(spec.id, spec.slug)
    assert made.root == made.directory == str(root)
    assert [(t.repository, t.path) for t in made.worktrees] == [("api", f"{root}/api"), ("web", f"{root}/web")]
    for worktree, repository in zip(made.worktrees, (world.api, world.web), strict=True):
        assert worktree.base_commit == worktree.head == tip(repository, "main")
        assert git(Path(worktree.path), "status", "--porcelain", "--branch") == f"## {spec.branch}"
        assert (Path(worktree.path) / "src/app.py").read_text() == "one\ntwo\nthree\n"
        assert git(repository, "status", "--porcelain", "--branch") == "## main"
    assert world.workspaces.inspect(recorded(spec, made)).exists


def test_the_directory_of_one_repository_is_its_worktree(world: World) -> None:
    made = world.workspaces.prepare(world.spec())
    assert made.directory == made.worktrees[0].path


def test_a_workspace_prepared_again_is_as_it_was_left(world: World) -> None:
    spec = world.prepared(world.spec())
    (tree(spec) / "README").write_text("edited\n")
    (tree(spec) / "ignored.log").write_text("kept\n")
    again = world.prepared(spec)
    assert again.worktrees == spec.worktrees
    assert (tree(spec) / "README").read_text() == "edited\n"
    assert (tree(spec) / "ignored.log").exists()


def test_a_worktree_in_the_middle_of_a_rebase_is_taken_over_as_it_is(world: World) -> None:
    spec = world.prepared(world.spec())
    git(tree(spec), "checkout", "-q", "--detach")
    assert world.prepared(spec).worktrees == spec.worktrees


def test_a_workspace_comes_back_at_its_path_with_its_branch_as_it_is(world: World) -> None:
    spec = world.prepared(world.spec())
    (tree(spec) / "new").write_text("new\n")
    world.workspaces.collect(spec, "work")
    world.workspaces.remove(spec, delete_branch=False)
    assert not tree(spec).exists()
    (world.api / "README").write_text("main goes on\n")
    git(world.api, "commit", "-qam", "on")
    again = world.prepared(spec)
    assert (tree(again), again.worktrees[0].base_commit) == (tree(spec), spec.worktrees[0].base_commit)
    assert again.worktrees[0].head == tip(world.api, spec.branch)
    assert (tree(again) / "new").read_text() == "new\n"
    forgotten = world.prepared(replace(spec, worktrees=(), root=""))
    assert forgotten.worktrees == again.worktrees


@pytest.mark.deep_but_first
@pytest.mark.parametrize("damage", ["folder", "link", "git_dir"])
def test_a_broken_worktree_is_mended(world: World, damage: str) -> None:
    spec = world.prepared(world.spec())
    (tree(spec) / "new").write_text("new\n")
    world.workspaces.collect(spec, "work")
    match damage:
        case "folder":
            shutil.rmtree(tree(spec))
        case "link":
            (tree(spec) / ".git").unlink()
        case "git_dir":
            shutil.rmtree(world.api / ".git/worktrees")
            shutil.rmtree(tree(spec))
    again = world.prepared(spec)
    assert (tree(again) / "new").read_text() == "new\n"
    assert git(tree(again), "status", "--porcelain", "--branch") == f"## {spec.branch}"


def test_a_worktree_whose_marker_was_lost_is_taken_over_with_the_work_in_it(world: World) -> None:
    spec = world.prepared(world.spec())
    (tree(spec) / "new").write_text("new\n")
    (linked_git_dir(tree(spec)) / MARKER_FILE).unlink()  # type: ignore[operator]
    again = world.prepared(spec)
    assert (tree(again) / "new").exists()
    assert world.workspaces.inspect(again).dirty


def test_what_fails_in_the_second_repository_undoes_the_first(world: World) -> None:
    spec = world.spec(world.api, world.web)
    (root := world.home / "workspaces" / workspace_folder(spec.id, spec.slug)).mkdir(parents=True)
    (root / "web").write_text("somebody's file")
    with pytest.raises(WorkspaceError, match="something else"):
        world.workspaces.prepare(spec)
    assert (root / "web").read_text() == "somebody's file"
    (root / "web").unlink()
    root.rmdir()
    assert world.left_over() == []


class _FullDisk(CommandLineGit):
    """Git that has no room for files of one repository, and with `clinging` cannot remove those of another."""

    clinging = False

    def add_worktree(self, repo: str, path: str, branch: str) -> None:
        if repo.endswith("web"):
            raise GitFailed(repository=repo, command="git worktree add", reason="No space left on device")
        super().add_worktree(repo, path, branch)

    def remove_worktree(self, repo: str, path: str, *, force: bool = False) -> None:
        if self.clinging:
            raise GitFailed(repository=repo, command="git worktree remove", reason="Input/output error")
        super().remove_worktree(repo, path, force=force)


def test_a_failure_half_way_leaves_nothing(world: World) -> None:
    adapter = _FullDisk(GIT, environment=ENVIRONMENT)
    with pytest.raises(WorkspaceError, match="No space left") as caught:
        LocalWorkspaces(world.home, adapter).prepare(world.spec(world.api, world.web))
    assert world.left_over() == []
    assert len(caught.value.cleaned_up) == 3  # a worktree, two branches
    assert caught.value.left_behind == ()


def test_what_cannot_be_removed_is_named(world: World) -> None:
    adapter = _FullDisk(GIT, environment=ENVIRONMENT)
    adapter.clinging = True
    spec = world.spec(world.api, world.web)
    with pytest.raises(WorkspaceError, match="left behind") as caught:
        LocalWorkspaces(world.home, adapter).prepare(spec)
    path = str(world.home / "workspaces" / workspace_folder(spec.id, spec.slug) / "api")
    assert caught.value.left_behind == (path, f"branch {spec.branch} in {world.api}")
    assert world.prepared(spec).worktrees[0].path == path


@pytest.mark.parametrize("where", ["missing", "plain", "twice", "target", "base", "name"])
def test_what_cannot_be_prepared_is_refused_before_anything_is_made(world: World, where: str) -> None:
    (world.folder / "plain").mkdir()
    second = {
        "missing": Repository("x", str(world.folder / "nowhere"), "main"),
        "plain": Repository("x", str(world.folder / "plain"), "main"),
        "twice": Repository("x", str(world.api / "src"), "main"),
        "target": Repository("x", str(world.web), "no-such-branch"),
        "base": Repository("x", str(world.web), "main", "no-such-revision"),
        "name": Repository("../x", str(world.web), "main"),
    }[where]
    spec = world.spec(world.api)
    spec = replace(spec, repositories=(*spec.repositories, second))
    with pytest.raises(WorkspaceError):
        world.workspaces.prepare(spec)
    assert world.left_over() == []


def test_an_empty_repository_is_refused_with_a_remedy(world: World) -> None:
    empty = world.folder / "empty"
    git(world.folder, "init", "-q", "-b", "main", str(empty))
    with pytest.raises(WorkspaceError, match=r"no commit yet; make a first one: git -C .* commit"):
        world.workspaces.prepare(world.spec(empty))


def test_the_work_starts_from_the_base_that_was_asked_for(world: World) -> None:
    first = tip(world.api, "main")
    (world.api / "README").write_text("second\n")
    git(world.api, "commit", "-qam", "second")
    spec = replace(world.spec(), repositories=(Repository("api", str(world.api), "main", first),))
    assert world.prepared(spec).worktrees[0].base_commit == first


def test_bare_repositories_and_folders_below_the_top_will_do(world: World) -> None:
    git(world.folder, "clone", "-q", "--bare", str(world.api), "store.git")
    spec = world.spec()
    bare = Repository("store", str(world.folder / "store.git"), "main")
    below = Repository("web", str(world.web / "src"), "main")
    made = world.workspaces.prepare(replace(spec, repositories=(bare, below), copy_globs=(".env",)))
    assert all((Path(t.path) / "README").exists() for t in made.worktrees)


@pytest.mark.parametrize("what", ["file", "folder", "link", "foreign worktree", "other workspace"])
def test_what_is_somebody_elses_is_left_alone(world: World, what: str) -> None:
    spec = world.spec()
    path = world.home / "workspaces" / workspace_folder(spec.id, spec.slug) / "api"
    path.parent.mkdir(parents=True)
    other = world.prepared(world.spec(title="Other"))
    match what:
        case "file":
            path.write_text("mine")
        case "folder":
            path.mkdir()
            (path / "mine").touch()
        case "link":
            path.symlink_to(tree(other))
        case "foreign worktree":
            git(world.api, "worktree", "add", "-q", "-b", "mine", str(path))
        case "other workspace":
            git(world.api, "worktree", "move", str(tree(other)), str(path))
    before = sorted(path.iterdir()) if path.is_dir() else path.read_text()
    with pytest.raises(WorkspaceError, match="something else"):
        world.workspaces.prepare(spec)
    with pytest.raises(WorkspaceError):
        world.workspaces.remove(spec, delete_branch=True)
    assert (sorted(path.iterdir()) if path.is_dir() else path.read_text()) == before


def test_an_empty_folder_in_the_place_is_used(world: World) -> None:
    spec = world.spec()
    (world.home / "workspaces" / workspace_folder(spec.id, spec.slug) / "api").mkdir(parents=True)
    assert (tree(world.prepared(spec)) / "README").exists()


def test_a_worktree_that_was_moved_by_hand_is_left_alone(world: World) -> None:
    spec = world.prepared(world.spec())
    git(world.api, "worktree", "move", str(tree(spec)), str(world.folder / "moved"))
    with pytest.raises(WorkspaceError, match="is checked out at"):
        world.workspaces.prepare(spec)
    assert (world.folder / "moved" / "README").exists()
    assert world.workspaces.orphans(()) == ()
    condition = world.workspaces.inspect(spec)
    assert (condition.exists, condition.missing) == (False, ("api",))


def test_a_home_behind_a_link_is_one_home(world: World) -> None:
    world.home.mkdir()
    (link := world.folder / "link").symlink_to(world.home)
    spec = world.spec()
    through_link = LocalWorkspaces(link, world.git).prepare(spec)
    assert world.workspaces.prepare(spec) == replace(through_link, from_pool=())


def test_a_root_that_is_recorded_is_used_wherever_it_is(world: World) -> None:
    spec = world.prepared(world.spec(root=str(world.folder / "elsewhere" / "root")))
    assert tree(spec) == world.folder / "elsewhere" / "root" / "api"
    assert world.prepared(spec) == spec


def test_a_repository_that_is_gone_is_said_to_be(world: World) -> None:
    spec = world.prepared(world.spec())
    shutil.rmtree(world.api)
    with pytest.raises(WorkspaceError, match="not in a git repository"):
        world.workspaces.prepare(spec)
    assert world.workspaces.inspect(spec).missing == ("api",)
    world.workspaces.remove(spec, delete_branch=True)
    assert not tree(spec).exists()


# --- One at a time ----------------------------------------------------------------------------------------------------


def test_two_operations_on_one_workspace_do_not_meet(world: World) -> None:
    spec = world.prepared(world.spec())
    lock = try_lock(world.home / "locks" / spec.id)
    assert lock is not None
    with pytest.raises(WorkspaceError, match=r"more than 0\.2 s"):
        world.workspaces.inspect(spec)
    threading.Timer(0.05, lock.release).start()
    assert LocalWorkspaces(world.home, world.git, patience=30).inspect(spec).exists


def test_many_threads_prepare_the_same_workspace_and_others(world: World) -> None:
    specs = [world.spec(title=f"Task {number}") for number in range(3)] * 2
    patient = LocalWorkspaces(world.home, world.git, patience=60)
    made: list[tuple[WorkspaceSpec, str]] = []
    threads = [
        threading.Thread(target=lambda spec=spec: made.append((spec, patient.prepare(spec).directory)))
        for spec in specs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6
    assert len({directory for _, directory in made}) == 3
    assert all(git(Path(directory), "branch", "--show-current") == spec.branch for spec, directory in made)


# --- In place ---------------------------------------------------------------------------------------------------------


def test_in_place_the_worktree_is_the_repository(world: World) -> None:
    (world.api / "mine").write_text("unsaved\n")
    spec = world.prepared(world.spec(in_place=True, root=str(world.api)))
    assert spec.root == str(world.api)
    assert (spec.worktrees[0].path, spec.worktrees[0].base_commit) == (str(world.api), tip(world.api, "main"))
    git(world.api, "commit", "-q", "--allow-empty", "-m", "on")
    assert world.prepared(spec).worktrees[0].base_commit == tip(world.api, "main~1")
    world.workspaces.remove(spec, delete_branch=True)
    assert (world.api / "mine").exists()
    assert world.left_over() == []


def test_a_plain_folder_is_worked_in_as_it_is(world: World) -> None:
    (plain := world.folder / "plain").mkdir()
    spec = replace(world.spec(in_place=True, root=str(plain)), repositories=())
    assert world.workspaces.prepare(spec).directory == str(plain)
    assert world.workspaces.inspect(spec).exists
    assert world.workspaces.collect(spec, "x").outcome.changed_files == 0
    world.workspaces.remove(spec, delete_branch=True)
    assert plain.exists()
    with pytest.raises(WorkspaceError, match="does not exist"):
        world.workspaces.prepare(replace(spec, root=str(world.folder / "nowhere")))


def test_the_marker_lies_outside_of_the_worktree(world: World) -> None:
    spec = world.prepared(world.spec())
    marker = read_marker(linked_git_dir(tree(spec)))  # type: ignore[arg-type]
    assert marker is not None
    assert (marker.workspace_id, marker.repository, marker.branch, marker.ready) == (spec.id, "api", spec.branch, True)
    assert not any(path.name == MARKER_FILE for path in tree(spec).rglob("*"))


def test_describing_paths(world: World) -> None:
    (plain := world.folder / "..x y").mkdir()
    found = world.workspaces.describe(str(world.api / "src"))
    assert (found.path, found.name, found.repository, found.branch) == (str(world.api), "api", True, "main")
    found = world.workspaces.describe(str(plain))
    assert (found.path, found.name, found.repository) == (str(plain), "x-y", False)
    with pytest.raises(NotARepository):
        world.workspaces.describe(str(world.folder / "nowhere"))


def test_without_git_only_plain_folders_can_be_used(world: World) -> None:
    workspaces = LocalWorkspaces(world.home, CommandLineGit(environment={"PATH": str(world.folder)}))
    (plain := world.folder / "plain").mkdir()
    assert not workspaces.describe(str(plain)).repository
    with pytest.raises(GitUnavailable):
        workspaces.describe(str(world.api))
    with pytest.raises(WorkspaceError, match="install git"):
        workspaces.prepare(world.spec())
    assert world.left_over() == []
