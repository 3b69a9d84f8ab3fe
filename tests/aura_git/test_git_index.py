"""What is told of an index without git is what git tells of it, or that git has to be asked."""

import os
from pathlib import Path

import pytest

from aura_git import CommandLineGit
from aura_git.files._index import may_have_marks
from aura_git.testing.repositories import Conformance, Scratch
from repositories import git, make_repository

LONG = "/".join(["folder" * 20] * 40)
"""Too long for the length that an entry holds."""


class TestMarks(Conformance):
    @pytest.mark.parametrize("name_format", ["sha1", "sha256"])
    @pytest.mark.parametrize("mark", ["--assume-unchanged", "--skip-worktree"])
    def test_each_is_found_among_paths_of_every_length(self, empty: Scratch, name_format: str, mark: str) -> None:
        empty.git("init", "-q", "--object-format", name_format, "inner")
        repo = Scratch(empty.path / "inner", empty.environment)
        blob = repo.git("hash-object", "-w", "--stdin")
        names = [*("x" * length for length in range(1, 20)), LONG, "z"]
        listed = "".join(f"100644 {blob} 0\t{name}\n" for name in names)
        repo.git("update-index", "--index-info", stdin=listed.encode())
        length = len(blob) // 2
        assert not may_have_marks(str(repo.path / ".git"), length)
        for name in ("x", "x" * 8, LONG, "z"):
            repo.git("update-index", mark, name)
            assert may_have_marks(str(repo.path / ".git"), length)
            repo.git("update-index", f"--no-{mark[2:]}", name)
            assert not may_have_marks(str(repo.path / ".git"), length)

    @pytest.mark.parametrize("option", ["--index-version=4", "--split-index"])
    def test_git_is_asked_about_other_formats(self, repo: Scratch, option: str) -> None:
        repo.git("update-index", option)
        assert may_have_marks(str(repo.path / ".git"), 20)

    def test_a_path_with_an_end_inside_does_not_lead_past_a_mark(self, repo: Scratch) -> None:
        repo.git("update-index", "--assume-unchanged", "src/app.py")
        index = repo.path / ".git" / "index"
        index.write_bytes(index.read_bytes().replace(b"README\0\0", b"R\0ADME\0\0"))
        assert may_have_marks(str(index.parent), 20)

    @pytest.mark.parametrize("content", [b"", b"DIRC\0\0\0\2\0\0\0\1", b"DIRC\0\0\0\2\0\0\0\1" + b"x" * 70])
    def test_git_is_asked_about_what_is_damaged(self, repo: Scratch, content: bytes) -> None:
        (repo.path / ".git" / "index").write_bytes(content)
        assert may_have_marks(str(repo.path / ".git"), 20)


def test_a_file_that_the_untracked_cache_does_not_know_is_found(tmp_path: Path) -> None:
    place = make_repository(tmp_path / "app")
    for setting in ("core.trustctime false", "core.untrackedCache true", "status.showUntrackedFiles all"):
        git(place, "config", *setting.split())
    os.utime(place, (1, 1))  # long ago, or git does not rely on it
    git(place, "update-index", "--force-untracked-cache")
    for _ in range(2):
        git(place, "status", "--porcelain", "--untracked-files=all")
    before = place.stat()
    (place / "hidden").touch()
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert git(place, "status", "--porcelain", "--untracked-files=all") == "", "git relies on it"
    assert CommandLineGit(environment=os.environ).status(str(place)).untracked == ("hidden",)
