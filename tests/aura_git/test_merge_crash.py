"""Whoever merges is killed at each step; doing the merge again brings it to its end, and nobody's work is lost.

With the environment variable `AURA_DEEP` set, in all styles.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from aura_contracts.ports.git import Status
from aura_contracts.workspace import MergeStyle
from aura_git import CommandLineGit
from aura_git.testing.repositories import Conformance, Scratch

GIT = shutil.which("git") or "git"
KEEP = "refs/aura/kept"
STYLES = tuple(MergeStyle) if os.environ.get("AURA_DEEP") else (MergeStyle.SQUASH,)
WRITING = ("update-index", "commit-tree", "update-ref", "read-tree")


class TestKilledMerges(Conformance):
    @pytest.mark.parametrize("style", STYLES)
    def test_killed_at_each_step(
        self, repo: Scratch, environment: dict[str, str], tmp_path: Path, style: MergeStyle
    ) -> None:
        repo.commit("more", {"gone": "x\n"})
        old = repo.head
        repo.git("checkout", "-q", "-b", "work")
        work = repo.commit("work", {"src/app.py": "new\n", "gone": None, "deep/new": "x\n"})
        repo.git("checkout", "-q", "main")
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

        def merge(executable: str) -> str:
            return (
                "from aura_git import CommandLineGit; from aura_contracts.workspace import MergeStyle\n"
                f"CommandLineGit({executable!r}, environment={environment!r}).merge({str(repo)!r}, source={work!r},"
                f"target_branch='main', expected={old!r}, style=MergeStyle({str(style)!r}), message='m', keep={KEEP!r})"
            )

        killed = 0
        for step in range(1, 20):
            (tmp_path / "step").write_text(str(step))
            (tmp_path / "calls").write_text("")
            done = subprocess.run([sys.executable, "-c", merge(str(fake))], check=False)
            killed += done.returncode == -9
            outcome = git.merge(
                str(repo), source=work, target_branch="main", expected=old, style=style, message="m", keep=KEEP
            )
            assert outcome.commit == repo.head
            assert repo.tree_of("main") == repo.git("merge-tree", "--write-tree", old, work)
            assert repo.git("rev-list", "--count", "--first-parent", f"{old}..main") == "1"
            assert git.status(str(repo)) == Status(unstaged=("README",), untracked=("untracked",))
            assert (repo.read("README"), repo.read("untracked")) == ("mine\n", "mine\n")
            assert not list((repo.path / ".git").glob("aura-undo*"))
            if done.returncode == 0:
                break
            repo.git("update-ref", "-d", KEEP)
            repo.git("stash", "-q")
            repo.git("reset", "-q", "--hard", old)
            repo.git("stash", "pop", "-q")
        assert killed >= 5
