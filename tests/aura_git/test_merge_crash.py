"""Whoever merges is killed at each step; doing the merge again brings it to its end, and nobody's work is lost."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aura_contracts.errors import GitTimeout
from aura_contracts.ports.git_values import MergeOutcome, Status
from aura_contracts.workspace import MergeStyle
from aura_git import CommandLineGit
from aura_git.testing.repositories import Conformance, Scratch

GIT = shutil.which("git") or "git"
KEEP = "refs/aura/kept"
STYLES = (MergeStyle.SQUASH, *(pytest.param(style, marks=pytest.mark.deep) for style in ("merge", "rebase")))
WRITING = ("update-index", "commit-tree", "update-ref", "read-tree")


class Merge:
    """A merge of a branch with work into main: in a process of its own, which may be killed, and again in this one."""

    def __init__(self, repo: Scratch, environment: dict[str, str], style: str = MergeStyle.SQUASH) -> None:
        self.repo, self.environment, self.style = repo, environment, MergeStyle(style)
        self.old = repo.commit("more", {"gone": "x\n"})
        repo.git("checkout", "-q", "-b", "work")
        self.work = repo.commit("work", {"src/app.py": "new\n", "gone": None, "deep/new": "x\n"})
        repo.git("checkout", "-q", "main")

    def elsewhere(self, executable: Path) -> int:
        """Merge in another process, with another git; return its exit code."""
        program = (
            "from aura_git import CommandLineGit; from aura_contracts.workspace import MergeStyle\n"
            f"CommandLineGit({str(executable)!r}, environment={self.environment!r}).merge({str(self.repo)!r},"
            f"source={self.work!r}, target_branch='main', expected={self.old!r}, style=MergeStyle({str(self.style)!r}),"
            f"message='m', keep={KEEP!r})"
        )
        return subprocess.run([sys.executable, "-c", program], check=False).returncode

    def here(self, timeout: float = 60) -> MergeOutcome:
        return CommandLineGit(GIT, environment=self.environment, timeout=timeout).merge(
            str(self.repo),
            source=self.work,
            target_branch="main",
            expected=self.old,
            style=self.style,
            message="m",
            keep=KEEP,
        )


class TestKilledMerges(Conformance):
    @pytest.mark.deep
    @pytest.mark.parametrize("style", STYLES)
    def test_killed_at_each_step(self, repo: Scratch, environment: dict[str, str], tmp_path: Path, style: str) -> None:
        merge = Merge(repo, environment, style)
        repo.write("README", "mine\n")
        repo.write("untracked", "mine\n")
        fake = tmp_path / "git"
        fake.write_text(
            f'#!/bin/sh\ncase "$*" in {"|".join(f"*{name}*" for name in WRITING)})\n'
            f"echo x >> '{tmp_path}/calls'\n"
            f"[ $(wc -l < '{tmp_path}/calls') -eq $(cat '{tmp_path}/step') ] && kill -9 $PPID;;\n"
            f'esac\nexec {GIT} "$@"\n'
        )
        fake.chmod(0o755)
        git = CommandLineGit(GIT, environment=environment)
        killed = 0
        for step in range(1, 20):
            (tmp_path / "step").write_text(str(step))
            (tmp_path / "calls").write_text("")
            code = merge.elsewhere(fake)
            killed += code == -9
            outcome = merge.here()
            assert outcome.commit == repo.head
            assert repo.tree_of("main") == repo.git("merge-tree", "--write-tree", merge.old, merge.work)
            assert repo.git("rev-list", "--count", "--first-parent", f"{merge.old}..main") == "1"
            assert git.status(str(repo)) == Status(unstaged=("README",), untracked=("untracked",))
            assert (repo.read("README"), repo.read("untracked")) == ("mine\n", "mine\n")
            assert not list((repo.path / ".git").glob("aura-undo*"))
            if code == 0:
                break
            repo.git("update-ref", "-d", KEEP)
            repo.git("stash", "-q")
            repo.git("reset", "-q", "--hard", merge.old)
            repo.git("stash", "pop", "-q")
        assert killed >= 5

    def test_the_git_that_a_killed_merge_left_is_waited_for(
        self, repo: Scratch, environment: dict[str, str], tmp_path: Path
    ) -> None:
        merge = Merge(repo, environment)
        fake = tmp_path / "git"
        fake.write_text(
            f"#!/bin/sh\ncase \"$*\" in *update-ref*refs/heads/main*) kill -9 $PPID; read go < '{tmp_path}/go';; esac\n"
            f'exec {GIT} "$@"\n'
        )
        fake.chmod(0o755)
        os.mkfifo(tmp_path / "go")
        assert merge.elsewhere(fake) == -9
        with pytest.raises(GitTimeout):
            merge.here(timeout=0.3)
        assert repo.commit_of("main") == merge.old
        (tmp_path / "go").write_text("\n")
        assert merge.here().commit == repo.commit_of("main") == repo.commit_of(KEEP)
        assert repo.tree_of("main") == repo.tree_of(merge.work)

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere, what left its group is not found")
    @pytest.mark.parametrize("leaves", ["", "setsid "])
    def test_what_a_finished_merge_leaves_running_does_not_hold_its_lock(
        self, repo: Scratch, environment: dict[str, str], tmp_path: Path, leaves: str
    ) -> None:
        repo.write(".gitattributes", "src/app.py filter=served\n")
        repo.git("add", ".gitattributes")
        merge = Merge(repo, environment)
        pids = tmp_path / "pids"
        daemon = f"sh -c '{leaves}sleep 600 <&- >&- 2>&- & echo $! >> {pids}; exec cat'"
        repo.git("config", "filter.served.smudge", daemon)
        assert merge.here().commit == repo.commit_of("main")
        assert merge.here(timeout=0.3).commit == repo.commit_of("main")
        assert not [pid for pid in pids.read_text().split() if _runs(int(pid))]

    @pytest.mark.deep_but_first
    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere, what left its group is not found")
    @pytest.mark.parametrize("leaves", ["", "setsid "])
    def test_what_a_killed_merge_left_running_does_not_keep_its_lock(
        self, repo: Scratch, environment: dict[str, str], tmp_path: Path, leaves: str
    ) -> None:
        repo.write(".gitattributes", "src/app.py filter=served\n")
        repo.git("add", ".gitattributes")
        merge = Merge(repo, environment)
        pids = tmp_path / "pids"
        daemon = f"sh -c '{leaves}sleep 600 <&- >&- 2>&- & echo $! >> {pids}; kill -9 {{}}; exec cat'"
        fake = tmp_path / "git"
        repo.git("config", "filter.served.smudge", daemon.format("$(cat " + str(tmp_path / "caller") + ")"))
        fake.write_text(f'#!/bin/sh\necho $PPID > {tmp_path}/caller\nexec {GIT} "$@"\n')
        fake.chmod(0o755)
        assert merge.elsewhere(fake) == -9
        repo.git("config", "filter.served.smudge", "cat")
        assert any(_runs(int(pid)) for pid in pids.read_text().split())
        assert merge.here(timeout=60).commit == repo.commit_of("main")
        assert not [pid for pid in pids.read_text().split() if _runs(int(pid))]


def _runs(pid: int) -> bool:
    """Whether a process exists, and not only as a zombie."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(found.strip()) and not found.startswith("Z")
