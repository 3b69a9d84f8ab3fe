"""Git is looked for when it is first needed; without one, or with an old one, a repository is a typed error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aura_contracts.errors import GitUnavailable, NotARepository
from aura_git import CommandLineGit, find_git

ENVIRONMENT = {"PATH": os.environ["PATH"]}


def fake_git(folder: Path, version: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "git").write_text(f"#!/bin/sh\necho '{version}'\n")
    (folder / "git").chmod(0o755)
    return str(folder)


@pytest.fixture
def repo(tmp_path: Path) -> str:
    subprocess.run(["git", "init", "-q", str(tmp_path / "repo")], check=True)
    return str(tmp_path / "repo")


def test_this_git_is_usable() -> None:
    found = find_git(os.environ["PATH"], ENVIRONMENT)
    assert (found.usable, found.remedy) == (True, "")
    assert found.version.startswith("git version 2.")


@pytest.mark.parametrize("version", ["git version 2.33.8", "git version 1.8.3.1", "gibberish", ""])
def test_an_old_git_is_refused_when_a_repository_needs_it(tmp_path: Path, repo: str, version: str) -> None:
    path = fake_git(tmp_path / "bin", version)
    found = find_git(path, ENVIRONMENT)
    assert not found.usable
    assert str(tmp_path / "bin" / "git") in found.reason
    git = CommandLineGit(environment={"PATH": path})
    for call in (git.inspect, git.status, lambda repo: git.resolve(repo, "HEAD")):
        with pytest.raises(GitUnavailable, match=r"install git 2\.34 or newer") as refused:
            call(repo)
        assert (refused.value.code, refused.value.repository) == ("git_unavailable", repo)


@pytest.mark.parametrize("version", ["git version 2.34.0", "git version 2.50.1 (Apple Git-155)", "git version 3.0.rc1"])
def test_newer_ones_are_usable(tmp_path: Path, version: str) -> None:
    assert find_git(fake_git(tmp_path / "bin", version), ENVIRONMENT).usable


def test_without_git_only_repositories_are_refused(tmp_path: Path, repo: str) -> None:
    for path in (None, "", str(tmp_path)):
        assert find_git(path, ENVIRONMENT).executable is None
        git = CommandLineGit(environment={} if path is None else {"PATH": path})
        with pytest.raises(GitUnavailable, match="not on the search path"):
            git.inspect(repo)
        with pytest.raises(NotARepository):
            git.inspect(str(tmp_path))


def test_a_git_that_is_installed_meanwhile_is_found(tmp_path: Path, repo: str) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    git = CommandLineGit(environment={"PATH": f"{path}", "HOME": str(tmp_path)})
    with pytest.raises(GitUnavailable):
        git.inspect(repo)
    (path / "git").symlink_to(subprocess.check_output(["which", "git"], text=True).strip())
    assert git.inspect(repo).worktree == repo


def test_dulwich_is_imported_for_repositories_only() -> None:
    code = "import sys, aura_git; aura_git.CommandLineGit(environment={}); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name for name in done.stdout.split() if name.split(".")[0] in {"dulwich", "anyio", "urllib3"}}
