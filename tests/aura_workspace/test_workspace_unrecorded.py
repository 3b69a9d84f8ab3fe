"""Work that git does not see in the usual way: it is named, kept where it can be, and never goes with a worktree."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds import World, tip, tree

from aura_contracts.errors import SubmoduleCommitMissing, WorkspaceObstacle
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import MergeStyle, Unrecorded, UnrecordedKind
from aura_workspace._unrecorded import COPIED_BYTES, COPIED_FILES
from repositories import content, git

REF = "refs/aura/snapshots/x/1"


@pytest.fixture
def spec(world: World) -> WorkspaceSpec:
    return world.prepared(world.spec())


def unrecorded(world: World, spec: WorkspaceSpec) -> list[tuple[UnrecordedKind, str, str]]:
    found = world.workspaces.collect(spec, "work").outcome.unrecorded
    assert [one for one in found if one.kind is not UnrecordedKind.COMMIT] == [
        *world.workspaces.inspect(spec).unrecorded
    ]
    return [(one.kind, one.repository, one.path) for one in found]


def make_nested(folder: Path) -> None:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "main.py").write_text("the app itself\n")


def with_submodule(world: World) -> None:
    """Give `api` the repository `web` as its submodule ``lib``."""
    git(world.api, "-c", "protocol.file.allow=always", "submodule", "-q", "add", str(world.web), "lib")
    git(world.api, "commit", "-qm", "with a submodule")


# --- Named ------------------------------------------------------------------------------------------------------------


def test_a_repository_inside_is_named_and_the_rest_is_merged(world: World, spec: WorkspaceSpec) -> None:
    make_nested(tree(spec) / "app")
    (tree(spec) / "new").write_text("new\n")
    assert unrecorded(world, spec) == [(UnrecordedKind.REPOSITORY, "api", "app/")]
    assert not world.workspaces.inspect(spec).dirty
    world.workspaces.merge(spec, MergeStyle.MERGE, "merged")
    assert content(world.api, "main", "new") == "new"
    taken = world.workspaces.snapshot(spec, REF, whole=True)
    assert taken.left_out == (Unrecorded(kind=UnrecordedKind.REPOSITORY, path="app/", repository="api"),)


def test_its_files_are_work_once_it_is_no_repository(world: World, spec: WorkspaceSpec) -> None:
    make_nested(tree(spec) / "app")
    assert world.workspaces.collect(spec, "nothing yet").outcome.changed_files == 0
    shutil.rmtree(tree(spec) / "app" / ".git")
    assert world.workspaces.collect(spec, "the app").outcome.changed_files == 1
    assert content(world.api, spec.branch, "app/main.py") == "the app itself"


def test_ignored_files_are_named_and_in_a_whole_copy(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / "report.log").write_text("the only result\n")
    assert unrecorded(world, spec) == [(UnrecordedKind.IGNORED, "api", "report.log")]
    assert world.workspaces.snapshot(spec, REF).left_out == ()
    assert tip(world.api, REF) == tip(world.api, "main")
    assert world.workspaces.snapshot(spec, f"{REF}0", whole=True).left_out == ()
    assert content(world.api, f"{REF}0", "report.log") == "the only result"


@pytest.mark.parametrize("excess", ["files", "bytes", "repository", "unreadable"])
def test_what_is_too_much_for_a_copy_is_named(world: World, spec: WorkspaceSpec, excess: str) -> None:
    (tree(spec) / ".gitignore").write_text("out/\n*.log\n")
    (tree(spec) / "small.log").write_text("small\n")
    out = tree(spec) / "out"
    out.mkdir()
    match excess:
        case "files":
            for number in range(COPIED_FILES + 1):
                (out / str(number)).touch()
        case "bytes":
            with (out / "big").open("wb") as big:
                big.truncate(COPIED_BYTES + 1)
        case "repository":
            make_nested(out / "clone")
        case "unreadable":
            (out / "loop").symlink_to("loop")
            (out / "pipe").touch()
            (out / "dir").mkdir()
            (out / "dir").chmod(0)
            if (out / "dir").exists() and list_is_allowed(out / "dir"):
                (out / "dir").chmod(0o755)
                pytest.skip("this user may read everything")
    left_out = world.workspaces.snapshot(spec, REF, whole=True).left_out
    assert [one.path for one in left_out] == ["out/"]
    assert content(world.api, REF, "small.log") == "small"
    for folder in out.rglob("*"):
        if folder.is_dir() and not folder.is_symlink():
            folder.chmod(0o755)


def list_is_allowed(folder: Path) -> bool:
    try:
        list(folder.iterdir())
    except OSError:
        return False
    return True


def test_copied_files_count_only_when_they_were_changed(world: World) -> None:
    (world.api / ".env").write_text("KEY=1\n")
    (world.api / "local.cfg").write_text("a\n")
    spec = world.prepared(world.spec(copy_globs=(".env", "local.cfg")))
    assert unrecorded(world, spec) == []
    (tree(spec) / ".env").write_text("KEY=2\n")
    (tree(spec) / "local.cfg").write_text("b\n")
    assert unrecorded(world, spec) == [
        (UnrecordedKind.COPIED, "api", ".env"),
        (UnrecordedKind.COPIED, "api", "local.cfg"),
    ]
    assert world.workspaces.snapshot(spec, REF, whole=True).left_out == ()
    assert content(world.api, REF, ".env") == "KEY=2"


def test_commits_left_on_no_branch_are_named_and_kept(world: World, spec: WorkspaceSpec) -> None:
    git(tree(spec), "checkout", "-q", "--detach")
    (tree(spec) / "left").write_text("left\n")
    git(tree(spec), "add", "left")
    git(tree(spec), "commit", "-qm", "left")
    left = tip(tree(spec), "HEAD")
    git(tree(spec), "checkout", "-q", spec.branch)
    assert unrecorded(world, spec) == [(UnrecordedKind.COMMIT, "api", left)]
    world.workspaces.remove(spec, delete_branch=True)
    git(world.api, "gc", "-q", "--prune=now")
    assert content(world.api, left, "left") == "left"


# --- Submodules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warm", [False, True])
def test_submodules_are_filled(world: World, warm: bool) -> None:
    with_submodule(world)
    if warm:
        world.workspaces.warm(str(world.api), 1)
    made = world.workspaces.prepare(world.spec())
    assert (made.from_pool, made.empty_submodules) == (("api",) if warm else (), ())
    assert (Path(made.worktrees[0].path) / "lib/README").read_text() == "hello\n"
    assert git(Path(made.worktrees[0].path), "status", "--porcelain") == ""


def test_submodules_without_a_copy_are_named(world: World) -> None:
    with_submodule(world)
    clone = world.folder / "clone"
    git(world.folder, "clone", "-q", str(world.api), str(clone))
    assert world.workspaces.prepare(world.spec(clone)).empty_submodules == ("clone/lib",)


@pytest.mark.deep
def test_changes_in_a_submodule_are_named_and_the_rest_is_merged(world: World) -> None:
    with_submodule(world)
    spec = world.prepared(world.spec())
    (tree(spec) / "lib/new").write_text("x\n")
    (tree(spec) / "new").write_text("x\n")
    assert unrecorded(world, spec) == [(UnrecordedKind.SUBMODULE, "api", "lib")]
    world.workspaces.merge(spec, MergeStyle.MERGE, "merged")
    assert content(world.api, "main", "new") == "x"
    assert [one.path for one in world.workspaces.snapshot(spec, REF, whole=True).left_out] == ["lib"]


def commit_inside(spec: WorkspaceSpec) -> str:
    inside = tree(spec) / "lib"
    (inside / "new").write_text("x\n")
    git(inside, "add", "new")
    git(inside, "commit", "-qm", "inside")
    return tip(inside, "HEAD")


@pytest.mark.deep_but_first
@pytest.mark.parametrize("gone", [False, True])
def test_a_commit_in_a_submodule_is_kept_and_merged(world: World, gone: bool) -> None:
    with_submodule(world)
    spec = world.prepared(world.spec())
    commit = commit_inside(spec)
    collected = world.workspaces.collect(spec, "points to it")
    assert (collected.outcome.changed_files, collected.outcome.unrecorded) == (1, ())
    if gone:
        shutil.rmtree(spec.root)
    world.workspaces.merge(spec, MergeStyle.MERGE, "merged")
    world.workspaces.remove(spec, delete_branch=True)
    assert tip(world.api, "main:lib") == commit
    git(world.api, "submodule", "-q", "update", "--no-fetch")
    assert (world.api / "lib/new").read_text() == "x\n"


@pytest.mark.deep
def test_a_commit_that_cannot_be_kept_is_not_merged(world: World) -> None:
    with_submodule(world)
    spec = world.prepared(world.spec())
    shutil.move(world.api / ".git/modules", world.folder / "modules")
    git(tree(spec), "config", "-f", "lib/.git/config", "user.name", "x")
    (tree(spec) / "lib/.git/objects/info/alternates").write_text(f"{world.folder}/modules/lib/objects\n")
    commit = commit_inside(spec)
    collected = world.workspaces.collect(spec, "points to it")
    assert [(one.kind, one.path) for one in collected.outcome.unrecorded] == [(UnrecordedKind.UNKEPT, "lib")]
    before = tip(world.api, "main")
    with pytest.raises(SubmoduleCommitMissing, match=r"git -C .* submodule update --init -- lib") as raised:
        world.workspaces.merge(spec, MergeStyle.MERGE, "merged")
    assert (raised.value.commit, raised.value.paths) == (commit, ("lib",))
    assert tip(world.api, "main") == before
    assert [one.path for one in world.workspaces.snapshot(spec, REF, whole=True).left_out] == ["lib"]

    shutil.move(world.folder / "modules", world.api / ".git/modules")
    (tree(spec) / "lib/.git/objects/info/alternates").write_text(f"{world.api}/.git/modules/lib/objects\n")
    world.workspaces.merge(spec, MergeStyle.MERGE, "merged")
    assert tip(world.api, "main:lib") == commit


# --- Orphans ----------------------------------------------------------------------------------------------------------


def test_an_orphan_that_holds_what_no_copy_can_stays(world: World, spec: WorkspaceSpec) -> None:
    make_nested(tree(spec) / "app")
    (orphan,) = world.workspaces.orphans([])
    assert orphan.dirty
    with pytest.raises(WorkspaceObstacle, match=r"app/ is a repository of its own; .* rm -rf"):
        world.workspaces.remove_orphan(orphan, REF)
    assert (tree(spec) / "app/main.py").exists()
    shutil.rmtree(tree(spec) / "app/.git")
    world.workspaces.remove_orphan(orphan, REF)
    assert content(world.api, REF, "app/main.py") == "the app itself"
    assert not tree(spec).exists()


def test_an_orphan_s_ignored_files_are_in_its_copy(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / "report.log").write_text("the only result\n")
    (orphan,) = world.workspaces.orphans([])
    assert world.workspaces.remove_orphan(orphan, REF)
    assert content(world.api, REF, "report.log") == "the only result"


def test_work_in_place_is_left_alone(world: World) -> None:
    (world.api / "report.log").write_text("mine\n")
    make_nested(world.api / "app")
    spec = replace(world.spec(), in_place=True, root=str(world.api))
    spec = world.prepared(spec)
    assert world.workspaces.collect(spec, "in place").outcome.unrecorded == ()
    assert world.workspaces.inspect(spec).unrecorded == ()


# --- Other corners ----------------------------------------------------------------------------------------------------


def test_a_file_next_to_the_worktrees_is_named_and_stays(world: World) -> None:
    spec = world.prepared(world.spec(world.api, world.web))
    (Path(spec.root) / "report.md").write_text("about both\n")
    (Path(spec.root) / "notes").mkdir()
    assert unrecorded(world, spec) == [
        (UnrecordedKind.OUTSIDE, "", "notes/"),
        (UnrecordedKind.OUTSIDE, "", "report.md"),
    ]
    taken = world.workspaces.snapshot(spec, REF, whole=True)
    assert [one.path for one in taken.left_out] == ["notes/", "report.md"]


@pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_in_a_file_marked_as_unchanged_is_work(world: World, spec: WorkspaceSpec, mark: str) -> None:
    git(tree(spec), "update-index", mark, "README")
    (tree(spec) / "README").write_text("changed\n")
    marked = git(tree(spec), "ls-files", "-v", "README")
    world.workspaces.inspect(spec)
    assert git(tree(spec), "ls-files", "-v", "README") == marked, "an inspection changes nothing"
    world.workspaces.repair(spec)
    assert world.workspaces.inspect(spec).dirty
    git(tree(spec), "update-index", mark, "README")
    assert world.workspaces.collect(spec, "work").outcome.changed_files == 1


def test_a_worktree_whose_link_was_removed_is_mended(world: World, spec: WorkspaceSpec) -> None:
    (tree(spec) / ".git").unlink()
    (tree(spec) / "new").write_text("new\n")
    assert not world.workspaces.inspect(spec).exists
    assert not (tree(spec) / ".git").exists()
    world.workspaces.repair(spec)
    assert world.workspaces.inspect(spec).dirty
    assert world.workspaces.collect(spec, "work").outcome.changed_files == 1


def test_a_worktree_that_became_a_repository_of_its_own_is_not_taken_for_empty(
    world: World, spec: WorkspaceSpec
) -> None:
    (tree(spec) / ".git").unlink()
    git(tree(spec), "init", "-q")
    condition = world.workspaces.inspect(spec)
    assert (condition.exists, [one.path for one in condition.unrecorded]) == (False, ["./"])
    taken = world.workspaces.snapshot(spec, REF, whole=True)
    assert [(one.kind, one.path) for one in taken.left_out] == [(UnrecordedKind.REPOSITORY, "./")]
    assert (tree(spec) / "README").exists()


@pytest.mark.parametrize("left", ["noise.log", "app"])
def test_an_unmarked_worktree_that_holds_something_is_taken_over(world: World, spec: WorkspaceSpec, left: str) -> None:
    if left == "app":
        make_nested(tree(spec) / "app")
    else:
        (tree(spec) / left).write_text("the only result\n")
    (marker,) = (world.api / ".git/worktrees").glob("*/aura-workspace.json")
    marker.unlink()
    world.workspaces.prepare(spec)
    assert (tree(spec) / left).exists()
