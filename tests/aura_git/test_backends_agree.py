"""Random work in one repository, seen by both backends: they say the same, and patches and merges come out the same.

The environment variable `AURA_GIT_SEEDS` is how many histories are tried, each in less than a second; by default 3, and
with `AURA_DEEP` 60.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aura_contracts.errors import AuraError, DirtyWorktree, MergeConflict
from aura_contracts.ports.git import Git
from aura_contracts.workspace import MergeStyle
from aura_git import CommandLineGit, DulwichGit
from aura_git.testing.repositories import Scratch

SEEDS = int(os.environ.get("AURA_GIT_SEEDS", "60" if os.environ.get("AURA_DEEP") else "3"))
FILES = (
    "a",
    "b",
    "dir/a",
    "dir/b",
    "dir/sub/c",
    "e e",
    "x.log",
    "build/o",
    "dir",
    'é\n"',
    "b/in",
    "moved",
    "dir/moved",
)
IGNORED = ("*.log\nbuild/\n", "/dir/*\n!/dir/a\n", "b*\n!b/\n", "**/sub\n")


class Chaos:
    """Somebody who works in a repository without a plan."""

    def __init__(self, scratch: Scratch, random: Random) -> None:
        self.scratch = scratch
        self.random = random

    def work(self) -> None:
        for _ in range(self.random.randrange(1, 5)):
            path = self.scratch.path / self.random.choice(FILES)
            with suppress(OSError):
                self._change(path)

    def _change(self, path: Path) -> None:
        match self.random.randrange(7):
            case 0 if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            case 0:
                path.unlink()
            case 1 if path.is_file():
                path.chmod(path.stat().st_mode ^ 0o111)
            case 2:
                path.rename(self.scratch.path / self.random.choice(FILES))
            case 3 if path.is_file() and not path.is_symlink():
                lines = path.read_bytes().split(b"\n")
                lines[self.random.randrange(len(lines))] = b"edit %d" % self.random.randrange(9)
                path.write_bytes(b"\n".join(lines))
            case 4 if not os.path.lexists(path):
                path.symlink_to(self.random.choice(("nowhere", "dir", "b", "../dir", "sub")))
            case _:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(self._content())

    def _content(self) -> bytes:
        lines = [b"line %d\n" % number for number in range(self.random.randrange(1, 30))]
        lines[self.random.randrange(len(lines))] = b"changed %d\n" % self.random.randrange(5)
        return self.random.choice(
            (b"".join(lines), b"".join(lines)[:-1], b"".join(lines), b"\0" + b"".join(lines), b"")
        )

    def commits(self, count: int) -> None:
        for _ in range(count):
            self.work()
            self.scratch.commit("chaos")
            self.scratch.git("clean", "-ffdxq")


def outcome(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or which error it raises."""
    try:
        return call()
    except AuraError as error:
        return type(error)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_both_backends_say_and_do_the_same(tmp_path: Path, seed: int):
    random = Random(seed)
    environment = {"HOME": str(tmp_path), "PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    repo = Scratch(tmp_path / "repo", environment)
    repo.path.mkdir()
    repo.git("init", "-q", "-b", "main")
    repo.write(".gitignore", random.choice(IGNORED))
    backends = (
        CommandLineGit(shutil.which("git") or "git", environment=environment),
        DulwichGit(environment=environment),
    )
    chaos = Chaos(repo, random)
    chaos.work()
    repo.commit("first")
    for number in range(3):
        chaos.work()
        looks_the_same(repo, backends, number)
        if random.random() < 0.7:
            random.choice(backends).stage(str(repo))
            random.choice(backends).commit(str(repo), "chaos")
    merges_the_same(repo, backends, chaos)
    repo.git("fsck", "--strict", "--no-dangling")


def looks_the_same(repo: Scratch, backends: tuple[Git, Git], number: int) -> None:
    path = str(repo)
    statuses = [outcome(lambda git=git: git.status(path)) for git in backends]
    assert statuses[0] == statuses[1]
    theirs, ours = (git.snapshot(path, f"refs/aura/{git.name}/{number}", "m") for git in backends)
    assert repo.tree_of(theirs) == repo.tree_of(ours)
    diff = backends[1].diff(path, "HEAD", patch=True, patch_limit=10_000_000)
    index = str(repo.path / ".git" / "scratch")
    repo.git("read-tree", "HEAD", GIT_INDEX_FILE=index)
    if diff.patch:
        repo.git("apply", "--cached", "--binary", "-", stdin=diff.patch, GIT_INDEX_FILE=index)
    assert repo.git("write-tree", GIT_INDEX_FILE=index) == repo.tree_of(ours)
    Chaos(repo, Random(number)).work()
    backends[number % 2].restore(path, ours)
    assert backends[1].status(path) == statuses[1]


def merges_the_same(repo: Scratch, backends: tuple[Git, Git], chaos: Chaos) -> None:
    path = str(repo)
    repo.commit("all")
    repo.git("clean", "-ffdxq")
    repo.git("checkout", "-q", "-b", "work")
    chaos.commits(2)
    repo.git("checkout", "-q", "-f", "main")
    chaos.commits(chaos.random.randrange(3))
    theirs, ours = (git.predict_merge(path, "main", "work") for git in backends)
    assert ours.merge_base == theirs.merge_base
    assert ours.tree in {theirs.tree, None}, "where dulwich sees no conflict, it merges as git does"
    chaos.work()
    before = repo.state()
    porcelain = repo.git("status", "--porcelain", "-z", "-uall")
    try:
        style = chaos.random.choice(list(MergeStyle))
        merged = backends[1].merge(path, source="work", target_branch="main", style=style, message="m")
    except (DirtyWorktree, MergeConflict):
        assert repo.state() == before
    else:
        assert repo.head == merged.commit
        assert repo.git("status", "--porcelain", "-z", "-uall") == porcelain
