"""The command line is chosen where there is a git that can do what is needed; else dulwich, and it is said why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aura_contracts.errors import GitFailed
from aura_git import choose_git, find_git

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def fake_git(folder: Path, version: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "git").write_text(f"#!/bin/sh\necho '{version}'\n")
    (folder / "git").chmod(0o755)
    return str(folder)


def test_a_new_git_is_chosen() -> None:
    found = find_git(os.environ["PATH"], ENVIRONMENT)
    assert found.usable
    assert found.version.startswith("git version 2.")
    assert choose_git(os.environ["PATH"], environment=ENVIRONMENT).name == "git"
    assert choose_git(os.environ["PATH"], environment=ENVIRONMENT, prefer="git").name == "git"


@pytest.mark.parametrize("version", ["git version 2.37.9", "git version 1.8.3.1", "gibberish", ""])
def test_an_old_git_is_not(tmp_path: Path, version: str) -> None:
    path = fake_git(tmp_path / "bin", version)
    found = find_git(path, ENVIRONMENT)
    assert not found.usable
    assert str(tmp_path / "bin" / "git") in found.reason
    assert choose_git(path, environment=ENVIRONMENT).name == "dulwich"
    with pytest.raises(GitFailed, match="newer git"):
        choose_git(path, environment=ENVIRONMENT, prefer="git")


@pytest.mark.parametrize("version", ["git version 2.38.0", "git version 2.50.1 (Apple Git-155)", "git version 3.0.rc1"])
def test_newer_ones_are(tmp_path: Path, version: str) -> None:
    assert find_git(fake_git(tmp_path / "bin", version), ENVIRONMENT).usable


def test_without_git_there_is_dulwich(tmp_path: Path) -> None:
    for path in (None, "", str(tmp_path)):
        assert find_git(path, ENVIRONMENT).executable is None
        assert choose_git(path, environment=ENVIRONMENT).name == "dulwich"
    assert choose_git(os.environ["PATH"], environment=ENVIRONMENT, prefer="dulwich").name == "dulwich"


def test_dulwich_is_not_imported_for_the_command_line() -> None:
    code = "import os, sys, aura_git; aura_git.choose_git(os.environ['PATH'], environment={}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name for name in done.stdout.split() if name.split(".")[0] in {"dulwich", "anyio", "urllib3"}}
