"""Both ways to merge, with ``merge-tree`` and without, agree on random histories.

The environment variable `AURA_GIT_HISTORIES` is the number of histories, about a second each; by default 5, with
`AURA_DEEP` 60.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from aura_contracts.errors import DirtyWorktree, MergeConflict
from aura_contracts.workspace import MergeStyle
from aura_git import CommandLineGit
from aura_git.testing.repositories import Scratch
from old_git import GIT, old_git

HISTORIES = int(os.environ.get("AURA_GIT_HISTORIES", "60" if os.environ.get("AURA_DEEP") else "5"))
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


@pytest.mark.deep_but_first
@pytest.mark.parametrize("number", range(HISTORIES))
def test_an_old_git_predicts_and_merges_the_same(tmp_path: Path, number: int):
    random = Random(number)
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1"}
    repo = Scratch(tmp_path / "repo", environment)
    repo.path.mkdir()
    repo.git("init", "-q", "-b", "main")
    repo.write(".gitignore", random.choice(IGNORED))
    repo.write(".gitattributes", random.choice(("", "a merge=union\n", "* text=auto\n", "dir/* -merge\n")))
    new = CommandLineGit(GIT, environment=environment)
    old = CommandLineGit(old_git(tmp_path), environment=environment)
    chaos = Chaos(repo, random)
    chaos.work()
    repo.commit("first")
    repo.git("clean", "-ffdxq")
    repo.git("checkout", "-q", "-b", "work")
    chaos.commits(2)
    repo.git("checkout", "-q", "-f", "main")
    chaos.commits(random.randrange(3))
    assert old.predict_merge(str(repo), "main", "work") == new.predict_merge(str(repo), "main", "work")
    chaos.work()
    before = repo.state()
    porcelain = repo.git("status", "--porcelain", "-z", "-uall")
    style = random.choice(list(MergeStyle))
    try:
        merged = old.merge(str(repo), source="work", target_branch="main", style=style, message="m")
    except (DirtyWorktree, MergeConflict) as error:
        assert repo.state() == before
        with pytest.raises(type(error)):
            new.merge(str(repo), source="work", target_branch="main", style=style, message="m")
    else:
        assert repo.head == merged.commit
        assert repo.git("status", "--porcelain", "-z", "-uall") == porcelain
        repo.git("branch", "again", merged.previous)
        again = new.merge(str(repo), source="work", target_branch="again", style=style, message="m")
        assert repo.tree_of(again.commit) == repo.tree_of(merged.commit)
    repo.git("fsck", "--strict", "--no-dangling")
