"""Both git backends keep the promises of `aura_contracts.ports.git`."""

import shutil
from pathlib import Path

import pytest

from aura_contracts.ports.git import Git, Status
from aura_contracts.workspace import MergeStyle
from aura_git import CommandLineGit, DulwichGit
from aura_git.testing.conformance import GitConformance, MakeGit
from aura_git.testing.repositories import Conformance, Scratch


class TestCommandLine(GitConformance):
    @pytest.fixture
    def make_git(self) -> MakeGit:
        executable = shutil.which("git")
        assert executable is not None
        return lambda environment: CommandLineGit(executable, environment=environment)


class TestDulwich(GitConformance):
    @pytest.fixture
    def make_git(self) -> MakeGit:
        return lambda environment: DulwichGit(environment=environment)


class TestEachOther(Conformance):
    """A machine may have git today and none tomorrow: what one backend has begun, the other ends."""

    @pytest.fixture(params=[0, 1], ids=["git then dulwich", "dulwich then git"])
    def pair(self, request: pytest.FixtureRequest, environment: dict[str, str]) -> tuple[Git, Git]:
        executable = shutil.which("git")
        assert executable is not None
        both = CommandLineGit(executable, environment=environment), DulwichGit(environment=environment)
        return both[request.param], both[1 - request.param]

    @pytest.mark.parametrize("staged", ["nothing", "some", "all"])
    def test_snapshots_of_one_are_restored_by_the_other(
        self, pair: tuple[Git, Git], repo: Scratch, staged: str
    ) -> None:
        one, other = pair
        repo.write("README", "staged\n")
        repo.write("new", "x\n")
        if staged != "nothing":
            repo.git("add", "-A")
        if staged == "some":
            repo.write("README", "and changed\n")
        before = repo.state()[:3]
        commit = one.snapshot(str(repo), "refs/aura/one", "m")
        repo.git("reset", "-q", "--hard")
        other.restore(str(repo), commit)
        assert repo.state()[:3] == before

    @pytest.mark.parametrize("style", list(MergeStyle))
    def test_a_merge_torn_in_one_is_ended_by_the_other(
        self, pair: tuple[Git, Git], repo: Scratch, style: MergeStyle
    ) -> None:
        one, other = pair
        repo.git("checkout", "-q", "-b", "work")
        repo.commit("work", {"src/app.py": "new\n", "new": "x\n"})
        repo.git("checkout", "-q", "main")
        old = repo.commit("main", {"main": "x\n"})
        commit = one.merge(
            str(repo), source="work", target_branch="main", style=style, message="m", keep="refs/aura/k"
        ).commit
        repo.git("reset", "-q", "--hard", old)
        repo.git("update-ref", "refs/heads/main", commit)
        done = other.merge(
            str(repo), source="work", target_branch="main", expected=old, style=style, message="m", keep="refs/aura/k"
        )
        assert (done.commit, done.changed, done.checkout) == (commit, False, str(repo))
        assert repo.porcelain() == ""

    def test_worktrees_of_one_are_worktrees_of_the_other(
        self, pair: tuple[Git, Git], repo: Scratch, tmp_path: Path
    ) -> None:
        one, other = pair
        one.ensure_branch(str(repo), "work", "main")
        one.add_worktree(str(repo), str(tmp_path / "linked"), "work")
        assert other.status(str(tmp_path / "linked")) == Status()
        assert other.list_worktrees(str(repo)) == one.list_worktrees(str(repo))
        other.move_worktree(str(repo), str(tmp_path / "linked"), str(tmp_path / "moved"))
        one.switch_worktree(str(tmp_path / "moved"), "work")
        other.remove_worktree(str(repo), str(tmp_path / "moved"))
        assert len(one.list_worktrees(str(repo))) == 1
