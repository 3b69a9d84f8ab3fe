"""The configuration of a repository is pinned from before a workspace is made until it is removed."""

import os
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds import ENVIRONMENT, World, new_id, tree

from aura_contracts.errors import RefChanged, WorkspaceError
from aura_contracts.ids import WorkspaceId
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import PLAIN_TARGET, MergeStyle, Repository, workspace_folder
from aura_git import CommandLineGit
from aura_workspace._worktrees import MARKER_FILE, change_marker
from repositories import git


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world whose git pins."""
    return World(tmp_path, CommandLineGit(environment=ENVIRONMENT, pins=tmp_path / "home" / "workspaces" / ".pins"))


def owners(world: World) -> list[str]:
    return sorted(file.name for file in (world.home / "workspaces" / ".pins").glob("repositories/*/owners/*"))


@pytest.fixture
def spec(two: WorkspaceSpec) -> WorkspaceSpec:
    """A workspace of a repository, or of a folder that is in none."""
    return replace(two, repositories=two.repositories[:1])


@pytest.fixture(params=["repository", "plain folder"])
def two(world: World, request: pytest.FixtureRequest) -> WorkspaceSpec:
    """A workspace of two."""
    if request.param == "repository":
        return world.spec(world.api, world.web)
    for name in ("notes", "drafts"):
        (world.folder / name).mkdir()
        (world.folder / name / "README").write_text("hello\n")
    folders = tuple(Repository(one, str(world.folder / one), PLAIN_TARGET, plain=True) for one in ("notes", "drafts"))
    return replace(world.spec(), repositories=folders)


def trap(world: World) -> str:
    """Return a program that leaves a trace."""
    program = world.folder / "trap"
    program.write_text(f"#!/bin/sh\ntouch {world.folder}/sprung\ncat\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.deep
def test_from_before_the_agent_until_the_workspace_is_removed(world: World, two: WorkspaceSpec) -> None:
    spec = world.prepared(two)
    assert owners(world) == [spec.id, spec.id]
    world.workspaces.collect(spec, "work")
    assert owners(world) == [spec.id, spec.id]
    world.workspaces.remove(spec, delete_branch=True)
    assert owners(world) == []


@pytest.mark.deep
def test_no_program_of_an_agent_is_run_then_or_later(world: World, spec: WorkspaceSpec) -> None:
    again = replace(spec, id=WorkspaceId(new_id()), branch="aura/again")
    spec = world.prepared(spec)
    git(tree(spec), "config", "filter.x.clean", trap(world))
    git(tree(spec), "config", "filter.x.smudge", trap(world))
    (tree(spec) / ".gitattributes").write_text("* filter=x\n")
    (tree(spec) / "README").write_text("bye\n")
    heads = {one.repository: one.commit for one in world.workspaces.collect(spec, "work").heads}
    spec = replace(spec, worktrees=tuple(replace(one, head=heads[one.repository]) for one in spec.worktrees))
    assert world.workspaces.merge(spec, MergeStyle.MERGE, "merged").commits
    world.workspaces.remove(spec, delete_branch=True)
    again = world.prepared(again)
    (tree(again) / "README").write_text("hello again\n")
    world.workspaces.collect(again, "work")
    assert not (world.folder / "sprung").exists()


def test_it_rests_while_the_work_is_reviewed(world: World, spec: WorkspaceSpec) -> None:
    world.workspaces.collect(world.prepared(spec), "work")
    idle = [file.read_text() for file in (world.home / "workspaces" / ".pins").glob("repositories/*/owners/*")]
    assert idle == ['{"idle": true}']


def test_in_place_too(world: World) -> None:
    spec = world.spec(in_place=True)
    made = world.workspaces.prepare(spec)
    git(world.api, "config", "filter.x.clean", trap(world))
    (world.api / ".gitattributes").write_text("* filter=x\n")
    (world.api / "README").write_text("HELLO\n")
    done = world.workspaces.collect(replace(spec, root=made.root, worktrees=made.worktrees), "work")
    assert done.outcome.changed_files == 2
    assert not (world.folder / "sprung").exists()


@pytest.mark.deep
def test_the_private_repository_of_a_plain_folder_too(world: World) -> None:
    """Even what an earlier agent left in its configuration is not read."""
    folder = world.folder / "plain"
    folder.mkdir()
    (folder / "notes.txt").write_text("one\n")
    plain = Repository("plain", str(folder), PLAIN_TARGET, plain=True)
    for number in range(2):
        spec = world.prepared(replace(world.spec(), repositories=(plain,)))
        git(tree(spec), "config", "filter.x.clean", f"touch {world.folder}/sprung; cat")
        git(tree(spec), "config", "filter.x.smudge", f"touch {world.folder}/sprung; cat")
        git(tree(spec), "config", "core.fsmonitor", f"touch {world.folder}/sprung")
        (tree(spec) / ".gitattributes").write_text("* filter=x\n")
        (tree(spec) / "notes.txt").write_text(f"two {number}\n")
        (head,) = world.workspaces.collect(spec, "work").heads
        done = replace(spec, worktrees=(replace(spec.worktrees[0], head=head.commit),))
        world.workspaces.merge(done, MergeStyle.MERGE, "merge")
        world.workspaces.remove(done, delete_branch=True)
        assert (folder / "notes.txt").read_text() == f"two {number}\n"
    assert not (world.folder / "sprung").exists()
    assert owners(world) == []


def test_not_by_a_workspace_that_could_not_be_made(world: World, two: WorkspaceSpec) -> None:
    occupied = world.home / "workspaces" / workspace_folder(two.id, two.slug) / two.repositories[1].name
    occupied.mkdir(parents=True)
    (occupied / "file").touch()
    with pytest.raises(WorkspaceError):
        world.workspaces.prepare(two)
    assert owners(world) == []


def test_orphans_end_their_pins(world: World, spec: WorkspaceSpec) -> None:
    world.prepared(spec)
    (orphan,) = world.workspaces.orphans([])
    world.workspaces.remove_orphan(orphan, "refs/aura/saved")
    assert owners(world) == []


def test_a_repository_that_is_gone_does_not_keep_the_pin(world: World, spec: WorkspaceSpec) -> None:
    spec = world.prepared(spec)
    for repository in (world.api, *(world.home / "folders").glob("*")):
        shutil.rmtree(repository)
    world.workspaces.remove(spec, delete_branch=True)
    assert owners(world) == []


def test_warm_worktrees_are_made_without_what_agents_left(world: World) -> None:
    spec = world.prepared(world.spec())
    git(tree(spec), "config", "filter.x.smudge", f"touch {world.folder}/sprung; cat")
    world.workspaces.collect(spec, "work")
    world.workspaces.remove(spec, delete_branch=True)
    (world.api / ".gitattributes").write_text("* filter=x\n")
    git(world.api, "add", ".")
    git(world.api, "-c", "filter.x.smudge=cat", "commit", "-qm", "attributes")
    assert world.workspaces.warm(str(world.api), 1) == 1
    assert not (world.folder / "sprung").exists()
    assert owners(world) == []


def test_two_that_warm_at_once_have_a_pin_each(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = world.workspaces._pool
    seen: list[int] = []

    def warm(*_: object) -> int:
        seen.append(len(owners(world)))
        if len(seen) == 1:
            world.workspaces.warm(str(world.api), 1)
            seen.append(len(owners(world)))
        return 0

    monkeypatch.setattr(pool, "warm", warm)
    world.workspaces.warm(str(world.api), 1)
    assert seen == [1, 2, 1]
    assert owners(world) == []


def test_work_is_not_committed_on_the_branch_that_it_is_reviewed_for(world: World, spec: WorkspaceSpec) -> None:
    spec = world.prepared(spec)
    target = f"refs/heads/{spec.repositories[0].target_branch}"
    before = git(tree(spec), "rev-parse", target)
    git(tree(spec), "symbolic-ref", "HEAD", target)
    (tree(spec) / "README").write_text("bad\n")
    with pytest.raises(WorkspaceError, match="it is on "):
        world.workspaces.collect(spec, "work")
    assert git(tree(spec), "rev-parse", target) == before


def test_a_branch_that_stands_for_the_target_is_not_committed_on_either(world: World) -> None:
    spec = world.prepared(world.spec())
    before = git(world.api, "rev-parse", "main")
    git(tree(spec), "symbolic-ref", f"refs/heads/{spec.branch}", "refs/heads/main")
    (tree(spec) / "README").write_text("bad\n")
    with pytest.raises(WorkspaceError, match="update-ref --no-deref"):
        world.workspaces.collect(spec, "work")
    assert git(world.api, "rev-parse", "main") == before
    git(tree(spec), "update-ref", "--no-deref", f"refs/heads/{spec.branch}", "HEAD")
    assert world.workspaces.collect(spec, "work").outcome.changed_files == 1
    assert git(world.api, "rev-parse", "main") == before


def test_a_marker_that_an_agent_writes_hides_no_commit_from_the_review(world: World) -> None:
    spec = world.prepared(world.spec())
    git_dir = Path(git(tree(spec), "rev-parse", "--absolute-git-dir"))
    (tree(spec) / "evil").write_text("evil\n")
    git(tree(spec), "add", "evil")
    git(tree(spec), "commit", "-qm", "evil")
    assert change_marker(git_dir, copied=("evil", "./"))
    collected = world.workspaces.collect(spec, "work")
    (shown,) = world.workspaces.diff(spec, patch=True, patch_limit=1000)
    assert [file.path for file in shown.diff.files] == ["evil"]
    assert b"+evil\n" in (shown.diff.patch or b"")
    assert collected.outcome.unrecorded == ()


def test_what_an_agent_puts_into_its_git_directory_is_not_moved(world: World) -> None:
    spec = world.prepared(world.spec())
    git_dir = Path(git(tree(spec), "rev-parse", "--absolute-git-dir"))
    (world.folder / "mine").mkdir()
    (world.folder / "mine" / "thesis").write_text("mine\n")
    (git_dir / "aura-aside").symlink_to(world.folder / "mine")
    (tree(spec) / "new").write_text("new\n")
    assert world.workspaces.collect(spec, "work").outcome.changed_files == 1
    assert (world.folder / "mine" / "thesis").exists()


def test_nothing_is_written_where_an_agent_says_that_another_worktree_is(world: World) -> None:
    """Git's own repair of the worktrees of a repository writes a ``.git`` wherever one is said to be."""
    spec = world.prepared(world.spec())
    mine, evil = world.folder / "mine", world.api / ".git/worktrees/evil"
    mine.mkdir()
    evil.mkdir()
    for name, text in {"HEAD": "ref: refs/heads/x", "commondir": "../..", "gitdir": f"{mine}/.git"}.items():
        (evil / name).write_text(f"{text}\n")
    (tree(spec) / ".git").unlink()
    (tree(spec) / "new").write_text("new\n")
    assert world.workspaces.collect(spec, "work").outcome.changed_files == 1
    assert list(mine.iterdir()) == []


def test_a_pipe_is_no_marker(world: World) -> None:
    spec = world.prepared(world.spec())
    marker = Path(git(tree(spec), "rev-parse", "--absolute-git-dir")) / MARKER_FILE
    marker.unlink()
    os.mkfifo(marker)
    with pytest.raises(WorkspaceError):
        world.workspaces.collect(spec, "work")


def test_work_that_was_replaced_after_it_was_recorded_is_not_merged(world: World) -> None:
    """By an agent of another task, say, between the last look and the merge."""
    spec = world.prepared(world.spec())
    (tree(spec) / "new").write_text("good\n")
    (head,) = world.workspaces.collect(spec, "work").heads
    recorded = replace(spec, worktrees=(replace(spec.worktrees[0], head=head.commit),))
    (tree(spec) / "new").write_text("bad\n")
    git(tree(spec), "commit", "-q", "-a", "--amend", "-m", "bad")
    with pytest.raises(RefChanged):
        world.workspaces.merge(recorded, MergeStyle.MERGE, "merge")
    assert not (world.api / "new").exists()
