"""The warm pool: worktrees that are ready before anybody asks, taken by one only, and never in the way."""

import shutil
import threading
from pathlib import Path

import pytest
from worlds import World, tip, tree

from aura_contracts.errors import WorkspaceError
from aura_contracts.file_locks import try_lock
from repositories import git


def entries(world: World) -> list[Path]:
    return sorted(path for path in world.home.glob("pool/*/[0-9]*") if path.is_dir())


def test_a_warm_worktree_is_moved_into_place(world: World) -> None:
    assert world.workspaces.warm(str(world.api), 2) == 2
    assert world.workspaces.warm(str(world.api / "src"), 2) == 0
    assert len(entries(world)) == 2
    (world.api / "README").write_text("later\n")
    git(world.api, "commit", "-qam", "later")
    inode = entries(world)[0].stat().st_ino
    spec = world.spec()
    made = world.workspaces.prepare(spec)
    assert made.from_pool == ("api",)
    top = Path(made.directory)
    assert top.stat().st_ino == inode
    assert git(top, "status", "--porcelain", "--branch", "--ignored") == f"## {spec.branch}"
    assert (top / "README").read_text() == "later\n"
    assert tip(top, "HEAD") == tip(world.api, "main")
    assert len(entries(world)) == 1
    assert world.workspaces.orphans((spec.id,)) == ()
    assert world.workspaces.warm(str(world.api), 2) == 1


@pytest.mark.deep_but_first
@pytest.mark.parametrize("damage", ["folder", "link", "index", "file", "head", "moved"])
def test_broken_worktrees_in_the_pool_are_mended_or_replaced(world: World, damage: str) -> None:
    world.workspaces.warm(str(world.api), 1)
    (entry,) = entries(world)
    git_dir = next((world.api / ".git/worktrees").iterdir())
    match damage:
        case "folder":
            shutil.rmtree(entry)
        case "link":
            (git_dir / "gitdir").write_text("/nowhere/.git\n")
        case "index":
            (git_dir / "index").write_bytes(b"garbage")
        case "file":
            shutil.rmtree(entry)
            entry.write_text("what is this")
        case "head":
            (git_dir / "HEAD").write_text("garbage")
        case "moved":
            entry.rename(world.folder / "moved")
    spec = world.spec()
    made = world.workspaces.prepare(spec)
    assert git(Path(made.directory), "status", "--porcelain", "--branch") == f"## {spec.branch}"
    assert entries(world) == []
    world.workspaces.warm(str(world.api), 1)
    assert len(entries(world)) == 1


def test_what_a_process_left_half_done_is_swept(world: World) -> None:
    world.workspaces.warm(str(world.api), 2)
    first, second = entries(world)
    Path(f"{first}.ready").unlink()
    git(first, "checkout", "-q", "-b", "torn")
    assert world.workspaces.orphans(()) == ()
    assert entries(world) == [second]
    assert "torn" not in git(world.api, "worktree", "list")


def test_an_entry_that_somebody_is_at_is_left_alone(world: World) -> None:
    world.workspaces.warm(str(world.api), 1)
    (entry,) = entries(world)
    lock = try_lock(Path(f"{entry}.lock"))
    assert lock is not None
    Path(f"{entry}.ready").unlink()
    world.workspaces.orphans(())
    assert world.workspaces.prepare(world.spec()).from_pool == ()
    assert entries(world) == [entry]
    lock.release()
    world.workspaces.orphans(())
    assert entries(world) == []


def test_two_that_take_at_once_get_different_worktrees(world: World) -> None:
    world.workspaces.warm(str(world.api), 3)
    specs = [world.spec(title=f"Task {number}") for number in range(4)]
    made: dict[str, tuple[str, ...]] = {}

    def prepare(number: int) -> None:
        prepared = world.workspaces.prepare(specs[number])
        made[prepared.directory] = prepared.from_pool

    threads = [threading.Thread(target=prepare, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4
    assert sorted(made.values()) == [(), ("api",), ("api",), ("api",)]
    assert all(git(Path(path), "status", "--porcelain") == "" for path in made)


def test_the_pool_of_a_repository_that_is_gone_goes_too(world: World) -> None:
    world.workspaces.warm(str(world.api), 1)
    shutil.rmtree(world.api)
    world.workspaces.warm(str(world.web), 1)
    assert len(list((world.home / "pool").iterdir())) == 1


def test_an_empty_repository_has_no_pool(world: World) -> None:
    git(world.folder, "init", "-q", "empty")
    with pytest.raises(WorkspaceError, match="make a first one: git -C "):
        world.workspaces.warm(str(world.folder / "empty"), 1)


def test_a_home_on_another_file_system_than_the_root(world: World, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is one file system only")
    root = other / f"aura-test-{world.spec().id}"
    try:
        world.workspaces.warm(str(world.api), 1)
        spec = world.prepared(world.spec(root=str(root)))
        assert (tree(spec) / "README").exists()
        assert world.prepared(spec) == spec
        world.workspaces.remove(spec, delete_branch=True)
        assert not root.exists()
    finally:
        shutil.rmtree(root, ignore_errors=True)
