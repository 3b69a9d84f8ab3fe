"""Whatever an agent writes, through the whole life of a workspace: see `tests/aura_git/test_hostile_model.py`."""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from worlds import ENVIRONMENT, World, tree

import hostile_writes as writes
from aura_contracts.errors import GitError, WorkspaceError
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import MergeStyle
from aura_git import CommandLineGit
from hostile_writes import File, Write
from independent_reader import Objects, changed, snapshot
from repositories import git, make_repository

DEEP = settings().max_examples > 1_000
SHARDS = 20 if DEEP else 1


class Stage:
    """A world with a prepared workspace that is put back before each example."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "w"
        self.folder.mkdir()
        pinning = CommandLineGit(
            environment={**ENVIRONMENT, "HOME": str(self.folder / "user")},
            pins=self.folder / "home" / "workspaces" / ".pins",
            timeout=10,
        )
        self.world = world = World(self.folder, pinning)
        self.trace, self.trap = self.folder / "trace", self.folder / "trap"
        self.trap.write_text(f'#!/bin/sh\necho "$0 $*" >> {self.trace}\nexit 1\n')
        self.trap.chmod(0o755)
        (self.folder / "agent").mkdir()
        other = make_repository(self.folder / "user" / "other", {"file": "PRIVATE\n"})
        (self.folder / "user" / ".profile").write_text("PRIVATE\n")
        git(world.api, "worktree", "add", "-q", "-b", "mine", str(self.folder / "user" / "mine"))
        (self.folder / "user" / "mine" / "kept").write_text("PRIVATE\n")
        self.spec = world.prepared(world.spec())
        git(other, "branch", self.spec.branch)
        git(other, "pack-refs", "--all")
        (tree(self.spec) / "evil.txt").write_text("evil\n")
        (tree(self.spec) / "trap").write_bytes(self.trap.read_bytes())
        self.base = git(world.api, "rev-parse", "main")
        git_dir = git(tree(self.spec), "rev-parse", "--absolute-git-dir")
        self.places = {
            "T": tree(self.spec), "C": world.api / ".git", "G": Path(git_dir), "A": self.folder / "agent",
            "H": self.folder / "user", "U": self.folder / "user", "TRAP": self.trap, "COMMIT": Path(self.base),
        }  # fmt: skip
        self.belongings = snapshot(self.folder / "user", world.web)
        self._copy = folder / "copy"
        shutil.copytree(self.folder, self._copy, symlinks=True)

    def put_back(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self._copy, self.folder, symlinks=True)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


def live(stage: Stage, looks: list[str]) -> str:
    """Collect, show and merge; return the merged commit, or "" where that was refused or nothing was left to merge."""
    workspaces, spec = stage.world.workspaces, stage.spec
    with suppress(GitError, WorkspaceError):
        for look in looks:
            with suppress(GitError, WorkspaceError):
                LOOKS[look](stage, spec)
        (head,) = workspaces.collect(spec, "work").heads
        spec = replace(spec, worktrees=(replace(spec.worktrees[0], head=head.commit),))
        (shown,) = workspaces.diff(spec, patch=True)
        commits = workspaces.merge(spec, MergeStyle.MERGE, "merged").commits
        if not commits:  # the agent had its safety copy name the base, and that was restored
            assert not shown.diff.files
            return ""
        (merged,) = commits
        objects = Objects(stage.places["C"] / "objects")
        before, after = objects.tree(stage.base), objects.tree(merged.commit)
        assert {name for file in shown.diff.files for name in (file.path, file.old_path) if name} == changed(
            before, after
        )
        assert not any(b"PRIVATE" in content for _, content in after.values())
        return merged.commit
    return ""


LOOKS: dict[str, Callable[[Stage, WorkspaceSpec], object]] = {
    "inspect": lambda stage, spec: stage.world.workspaces.inspect(spec),
    "describe": lambda stage, _: stage.world.workspaces.describe(str(stage.world.api)),
    "describe the worktree": lambda stage, spec: stage.world.workspaces.describe(spec.worktrees[0].path),
    "diff": lambda stage, spec: stage.world.workspaces.diff(spec, patch=True),
    "save": lambda stage, spec: stage.world.workspaces.snapshot(spec, "refs/aura/saved", whole=True),
    "restore": lambda stage, spec: stage.world.workspaces.restore(spec, "refs/aura/saved"),
    "prepare": lambda stage, spec: stage.world.workspaces.prepare(spec),
    "orphans": lambda stage, _: stage.world.workspaces.orphans([]),
    "warm": lambda stage, _: stage.world.workspaces.warm(str(stage.world.api), 1),
    "distrusted": lambda stage, _: stage.world.git.distrusted_settings(),
}

written_by_agents = st.lists(
    writes.hooks | writes.includes | writes.switches | writes.git_files | writes.git_links | writes.git_gone
    | writes.marks | writes.files | writes.links_in_tree | writes.inner
    | writes.attributes("T/.gitattributes C/info/attributes"),
    min_size=1,
    max_size=8,
)  # fmt: skip
PROGRAMS = File(
    "C/config",
    "".join(
        f'[filter "{name}"]\nclean = {{TRAP}}\nsmudge = {{TRAP}}\nprocess = {{TRAP}}\n'
        f'[merge "{name}"]\ndriver = {{TRAP}}\n'
        f'[diff "{name}"]\ncommand = {{TRAP}}\ntextconv = {{TRAP}}\n'
        for name in ("x", "up", "evil")
    )
    + "[core]\nfsmonitor = {TRAP}\nhooksPath = {A}/hooks\npager = {TRAP}\nsshCommand = {TRAP}\n"
    + "[diff]\nexternal = {TRAP}\n"
    + '[remote "evil"]\nurl = {U}/other\nuploadpack = {TRAP}\npromisor = true\n[extensions]\npartialClone = evil\n',
    more=True,
)
"""Settings of each kind that is run, which every example has."""


@pytest.mark.deep
@pytest.mark.parametrize("shard", range(SHARDS))
@settings(
    max_examples=4_000 // SHARDS if DEEP else 10,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    deadline=None,
)
@given(written=written_by_agents, looks=st.lists(st.sampled_from(sorted(LOOKS)), max_size=3))
def test_nothing_of_the_users_is_reached(stage: Stage, shard: int, written: list[Write], looks: list[str]) -> None:
    stage.put_back()
    for one in (PROGRAMS, *written):
        one.write(stage.places)
    event("merged" if live(stage, looks) else "refused")
    workspaces = stage.world.workspaces
    for step in (
        lambda: workspaces.remove(stage.spec, delete_branch=True),
        lambda: workspaces.describe(str(stage.world.api)),
        lambda: workspaces.describe(str(stage.folder / "user" / "mine")),
        lambda: workspaces.warm(str(stage.world.api), 1),
    ):
        with suppress(GitError, WorkspaceError):
            step()
    assert not stage.trace.exists(), stage.trace.read_text()
    assert snapshot(stage.folder / "user", stage.world.web) == stage.belongings
