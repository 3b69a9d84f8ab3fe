"""The attacks on a pinned repository, on the private one of a folder that is in none: an agent can write that, too."""

import random
import shutil
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from hostile_world import World
from msgspec.structs import replace
from test_pinned_configuration import ATTACKS, ELSEWHERE

from aura_contracts.errors import GitError
from aura_contracts.ids import WorkspaceId, uuid7_factory
from aura_contracts.ports.workspaces import WorkspaceSpec
from aura_contracts.workspace import PLAIN_TARGET, MergeStyle, Repository
from aura_git import CommandLineGit
from aura_workspace import LocalWorkspaces

pytestmark = pytest.mark.deep

new_id = uuid7_factory(lambda: 1_767_225_600_000, random.Random(7).getrandbits)


class PlainWorld(World):
    """A folder in no repository, and a worktree of it in which an agent has worked; `repo/.git` is its private one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.plain = self.repo.rename(folder / "plain")
        shutil.rmtree(self.plain / ".git")
        home = folder / "aura"
        self.git = CommandLineGit(environment=self.environment, pins=home / "workspaces" / ".pins")
        self.workspaces = LocalWorkspaces(home, self.git)

    def begin(self) -> None:
        self.spec = self.prepared()
        self.tree = Path(self.spec.worktrees[0].path)
        (private,) = (self.folder / "aura" / "folders").iterdir()
        self.repo.mkdir()
        (self.repo / ".git").symlink_to(private)
        (private / "hooks").mkdir()

    def prepared(self) -> WorkspaceSpec:
        known = WorkspaceId(new_id())
        plain = Repository("plain", str(self.plain), PLAIN_TARGET, plain=True)
        spec = WorkspaceSpec(id=known, title="t", slug="t", branch=f"aura/{known}", repositories=(plain,))
        made = self.workspaces.prepare(spec)
        return replace(spec, root=made.root, worktrees=made.worktrees)

    def finish(self) -> str:
        merged = self.merged(self.spec)
        self.workspaces.remove(self.spec, delete_branch=True)
        again = self.prepared()
        Path(again.worktrees[0].path, "c.txt").write_text("c\n")
        self.merged(again)
        return merged

    def merged(self, spec: WorkspaceSpec) -> str:
        self.workspaces.repair(spec)
        self.workspaces.inspect(spec)
        self.workspaces.diff(spec, patch=True)
        self.workspaces.snapshot(spec, "refs/aura/saved", whole=True)
        (head,) = self.workspaces.collect(spec, "work").heads
        spec = replace(spec, worktrees=(replace(spec.worktrees[0], head=head.commit),))
        (commit,) = self.workspaces.merge(spec, MergeStyle.MERGE, "merged").commits
        return commit.commit


@pytest.fixture
def world(tmp_path: Path) -> PlainWorld:
    return PlainWorld(tmp_path)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_no_program_of_an_agent_is_run(world: PlainWorld, attack: str) -> None:
    world.begin()
    world.sh(world.tree, f"{attack}\necho x > b.txt")
    world.trace.unlink(missing_ok=True)  # the agent's own git ran it
    own_work = any(word in attack for word in ("promisor", "submodule"))  # it may destroy that, or not hand it over
    with suppress(GitError) if own_work else nullcontext():
        world.finish()
    assert not world.trace.exists(), world.trace.read_text()


@pytest.mark.parametrize("attack", ELSEWHERE.values(), ids=ELSEWHERE)
def test_nothing_outside_of_the_worktree_is_read(world: PlainWorld, attack: str) -> None:
    (world.home / "id_rsa").write_text("PRIVATE")
    world.begin()
    world.sh(world.tree, f"echo x > b.txt\n{attack}")
    merged = world.finish()
    names = world.sh(world.repo, f"git --git-dir .git -c core.worktree= ls-tree -r --name-only {merged}")
    assert "id_rsa" not in names
    assert "b.txt" in names
    assert not (world.plain / "id_rsa").exists()
