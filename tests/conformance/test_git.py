"""`CommandLineGit` keeps the promises of `aura_contracts.ports.git`, with this git and with the oldest supported one.

The oldest is imitated by a wrapper that reports version 2.34 and refuses what came later. If the environment variable
`AURA_OLD_GIT` names a real one, that is used as well.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aura_git import CommandLineGit
from aura_git.testing.conformance import GitConformance, MakeGit

GIT = shutil.which("git") or "git"

NEWER = (
    "cat-file *--batch-command*",  # 2.36
    "for-each-ref *--exclude*",  # 2.42
    "ls-files *--format*",  # 2.38
    "ls-tree *--format*",  # 2.36
    "merge *--into-name*",  # 2.35
    "merge-tree *--write-tree*",  # 2.38
    "rev-parse *--show-ref-format*",  # 2.44
    "worktree add *--orphan*",  # 2.42
    "worktree list *-z*",  # 2.36
)
"""Options that came after 2.34, as patterns of the shell."""


def imitate_2_34(folder: Path) -> str:
    """Return a git that reports version 2.34 and refuses newer options; ``-C <folder>`` comes first, as ever."""
    script = folder / "git-2.34"
    patterns = "|".join(pattern.replace(" ", "\\ ") for pattern in NEWER)
    script.write_text(
        f"""#!/bin/sh
case "$(shift 2; echo "$*")" in
    --version) echo 'git version 2.34.0'; exit ;;
    {patterns}) echo "fatal: git 2.34 does not know: $*" >&2; exit 129 ;;
esac
exec {GIT} "$@"
"""
    )
    script.chmod(0o755)
    return str(script)


class TestThisGit(GitConformance):
    @pytest.fixture
    def make_git(self) -> MakeGit:
        return lambda environment: CommandLineGit(GIT, environment=environment)


class TestOldGit(GitConformance):
    @pytest.fixture
    def make_git(self, tmp_path: Path) -> MakeGit:
        executable = os.environ.get("AURA_OLD_GIT") or imitate_2_34(tmp_path)
        return lambda environment: CommandLineGit(executable, environment=environment)


def test_the_imitation_refuses_what_is_newer(tmp_path: Path) -> None:
    old = [imitate_2_34(tmp_path), "-C", str(tmp_path)]
    refused = subprocess.run([*old, "merge-tree", "--write-tree", "a", "b"], capture_output=True, check=False)
    assert b"2.34 does not know" in refused.stderr
    assert subprocess.run([*old, "init", "-q"], check=True).returncode == 0
