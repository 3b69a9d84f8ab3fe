"""The configuration of a repository is pinned from before a workspace is made until it is removed."""

from pathlib import Path

import pytest
from msgspec.structs import replace
from worlds import ENVIRONMENT, World, tree

from aura_contracts.errors import WorkspaceError
from aura_git import CommandLineGit
from repositories import git


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A world whose git pins."""
    return World(tmp_path, CommandLineGit(environment=ENVIRONMENT, pins=tmp_path / "home" / "workspaces" / ".pins"))


def owners(world: World) -> list[str]:
    return sorted(file.name for file in (world.home / "workspaces" / ".pins").glob("repositories/*/owners/*"))


def test_from_before_the_agent_until_the_workspace_is_removed(world: World) -> None:
    spec = world.prepared(world.spec(world.api, world.web))
    assert owners(world) == [spec.id, spec.id]
    world.workspaces.collect(spec, "work")
    assert owners(world) == [spec.id, spec.id]
    world.workspaces.remove(spec, delete_branch=True)
    assert owners(world) == []


def test_in_place_too(world: World) -> None:
    spec = world.spec(in_place=True)
    made = world.workspaces.prepare(spec)
    trap = world.folder / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {world.folder}/sprung\ncat\n")
    trap.chmod(0o755)
    git(world.api, "config", "filter.x.clean", str(trap))
    (world.api / ".gitattributes").write_text("* filter=x\n")
    (world.api / "README").write_text("HELLO\n")
    done = world.workspaces.collect(replace(spec, root=made.root, worktrees=made.worktrees), "work")
    assert done.outcome.changed_files == 2
    assert not (world.folder / "sprung").exists()


def test_not_by_a_workspace_that_could_not_be_made(world: World) -> None:
    spec = world.spec(world.api, world.web)
    broken = replace(spec, repositories=(spec.repositories[0], replace(spec.repositories[1], target_branch="none")))
    with pytest.raises(WorkspaceError):
        world.workspaces.prepare(broken)
    assert owners(world) == []


def test_orphans_end_their_pins(world: World) -> None:
    world.prepared(world.spec())
    (orphan,) = world.workspaces.orphans([])
    world.workspaces.remove_orphan(orphan, "refs/aura/saved")
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


def test_work_is_not_committed_on_the_branch_that_it_is_reviewed_for(world: World) -> None:
    spec = world.prepared(world.spec())
    before = git(world.api, "rev-parse", "main")
    git(tree(spec), "symbolic-ref", "HEAD", "refs/heads/main")
    (tree(spec) / "README").write_text("bad\n")
    with pytest.raises(WorkspaceError, match="it is on main"):
        world.workspaces.collect(spec, "work")
    assert git(world.api, "rev-parse", "main") == before
