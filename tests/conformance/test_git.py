"""`CommandLineGit` keeps the promises of `aura_contracts.ports.git`, with this git and with an old one."""

import subprocess
from pathlib import Path

import pytest

from aura_git import CommandLineGit
from aura_git.repository._git_repository import GitRepository
from aura_git.testing.conformance import GitConformance, MakeGit
from aura_git.testing.inspection import InspectionConformance
from aura_git.testing.refs import RefConformance
from aura_git.testing.worktree_lifecycle import WorktreeConformance
from old_git import GIT, imitation, old_git


class TestThisGit(GitConformance):
    @pytest.fixture
    def make_git(self) -> MakeGit:
        return lambda environment: CommandLineGit(GIT, environment=environment)


class OldGit:
    @pytest.fixture
    def make_git(self, tmp_path_factory: pytest.TempPathFactory) -> MakeGit:
        executable = old_git(tmp_path_factory.mktemp("bin"))
        return lambda environment: CommandLineGit(executable, environment=environment)


@pytest.mark.deep
class TestOldGit(OldGit, GitConformance):
    pass


class UnreadableRefs:
    """Refs that only git can read, as in a reftable."""

    @pytest.fixture
    def make_git(self, monkeypatch: pytest.MonkeyPatch) -> MakeGit:
        monkeypatch.setattr(GitRepository, "reader", None)
        return lambda environment: CommandLineGit(GIT, environment=environment)


class TestUnreadableRefs(UnreadableRefs, RefConformance, InspectionConformance):
    pass


@pytest.mark.deep
class TestUnreadableRefsOfWorktrees(UnreadableRefs, WorktreeConformance):
    pass


def test_the_imitation_refuses_what_is_newer(tmp_path: Path) -> None:
    old = [imitation(tmp_path), "-C", str(tmp_path)]
    refused = subprocess.run([*old, "merge-tree", "--write-tree", "a", "b"], capture_output=True, check=False)
    assert b"2.34 does not know" in refused.stderr
    assert subprocess.run([*old, "init", "-q"], check=True).returncode == 0
