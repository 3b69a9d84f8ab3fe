"""The part of the conformance suite about diffs."""

import os
from pathlib import Path

import pytest

from aura_contracts.errors import UnknownRevision
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import ChangedFile, ChangeKind
from aura_git.testing.repositories import Conformance, Scratch, weird_names


class DiffConformance(Conformance):
    def apply(self, repo: Scratch, base: str, patch: bytes | None, tmp_path: Path) -> str:
        """Return the tree that `patch` makes of `base`, by ``git apply``."""
        index = str(tmp_path / "applied-index")
        repo.run("read-tree", base, GIT_INDEX_FILE=index)
        if patch:
            repo.run("apply", "--cached", "--whitespace=nowarn", "-", stdin=patch, GIT_INDEX_FILE=index)
        return repo.git("write-tree", GIT_INDEX_FILE=index)

    def test_diff_between_commits(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        base = repo.commit("base", {"gone": "a\nb\n", "old": "same\n" * 20, "bin": b"\0\1\2", "exe": "x\n"})
        (repo.path / "old").rename(repo.path / "new")
        (repo.path / "exe").chmod(0o755)
        target = repo.commit(
            "target", {"gone": None, "README": repo.read("README") + "more\n", "bin": b"\0\1\3", "added": "1\n2\n3\n"}
        )
        found = git.diff(str(repo), base, target, patch=True)
        assert found.files == (
            ChangedFile(path="README", kind=ChangeKind.MODIFIED, added=1, removed=0),
            ChangedFile(path="added", kind=ChangeKind.ADDED, added=3, removed=0),
            ChangedFile(path="bin", kind=ChangeKind.MODIFIED, added=None, removed=None),
            ChangedFile(path="exe", kind=ChangeKind.MODIFIED, added=0, removed=0),
            ChangedFile(path="gone", kind=ChangeKind.DELETED, added=0, removed=2),
            ChangedFile(path="new", kind=ChangeKind.RENAMED, old_path="old", added=0, removed=0),
        )
        assert (found.lines_added, found.lines_removed, found.truncated) == (4, 2, False)
        assert self.apply(repo, base, found.patch, tmp_path) == repo.tree_of(target)
        assert git.diff(str(repo), base, base) == git.diff(str(repo), target, target)
        assert git.diff(str(repo), base, base).files == ()
        assert git.diff(str(repo), base, target).patch is None

    def test_diff_of_a_rename_with_changes(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        base = repo.head
        text = repo.read("README").replace("line 3\n", "line three\n")
        target = repo.commit("move", {"README": None, "docs/README": text})
        found = git.diff(str(repo), base, target, patch=True)
        assert found.files == (
            ChangedFile(path="docs/README", kind=ChangeKind.RENAMED, old_path="README", added=1, removed=1),
        )
        assert self.apply(repo, base, found.patch, tmp_path) == repo.tree_of(target)

    def test_diff_of_type_changes(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        base = repo.commit("base", {"file": "target"})
        (repo.path / "file").unlink()
        (repo.path / "file").symlink_to("target")
        target = repo.commit("link")
        found = git.diff(str(repo), base, target, patch=True)
        assert [(change.path, change.kind) for change in found.files] == [("file", ChangeKind.TYPE_CHANGED)]
        assert self.apply(repo, base, found.patch, tmp_path) == repo.tree_of(target)

    def test_diff_knows_all_names(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        base, names = repo.head, weird_names(tmp_path)
        target = repo.commit("names", {name: f"{number}\n" for number, name in enumerate(names)})
        found = git.diff(str(repo), base, target, patch=True)
        assert [change.path for change in found.files] == sorted(names)
        assert self.apply(repo, base, found.patch, tmp_path) == repo.tree_of(target)
        moved = repo.commit("delete", dict.fromkeys(names))
        assert {change.kind for change in git.diff(str(repo), target, moved).files} == {ChangeKind.DELETED}

    def test_diff_of_content_that_is_hard_to_print(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        base = repo.commit("base", {"no newline": "a\nb", "crlf": "a\r\nb\r\n", "latin": b"\xe9\n", "empty": ""})
        target = repo.commit(
            "target", {"no newline": "a\nc", "crlf": "a\r\nc\r\n", "latin": b"\xe8\n", "empty": None, "empty too": ""}
        )
        found = git.diff(str(repo), base, target, patch=True)
        assert self.apply(repo, base, found.patch, tmp_path) == repo.tree_of(target)

    def test_diff_to_the_files(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        base = repo.commit("base", {"gone": "a\n", "old": "same\n" * 20, "staged": "a\n", "exe": "x\n"})
        before_index = (repo.path / ".git" / "index").read_bytes()
        (repo.path / "gone").unlink()
        (repo.path / "old").rename(repo.path / "new")
        (repo.path / "exe").chmod(0o755)
        repo.write("staged", "a\nb\n")
        repo.write("untracked/deep", "1\n2\n")
        (repo.path / "link").symlink_to("README")
        repo.write("binary", b"\0")
        repo.write("ignored.log")
        found = git.diff(str(repo), base, patch=True)
        assert (repo.path / ".git" / "index").read_bytes() == before_index
        assert found.files == (
            ChangedFile(path="binary", kind=ChangeKind.ADDED, added=None, removed=None),
            ChangedFile(path="exe", kind=ChangeKind.MODIFIED, added=0, removed=0),
            ChangedFile(path="gone", kind=ChangeKind.DELETED, added=0, removed=1),
            ChangedFile(path="link", kind=ChangeKind.ADDED, added=1, removed=0),
            ChangedFile(path="new", kind=ChangeKind.RENAMED, old_path="old", added=0, removed=0),
            ChangedFile(path="staged", kind=ChangeKind.MODIFIED, added=1, removed=0),
            ChangedFile(path="untracked/deep", kind=ChangeKind.ADDED, added=2, removed=0),
        )
        tree = self.apply(repo, base, found.patch, tmp_path)
        repo.git("add", "-A")
        assert tree == repo.git("write-tree")
        assert git.diff(str(repo), base, patch=True) == found

    def test_diff_to_the_files_from_an_older_commit(self, git: Git, repo: Scratch) -> None:
        base = repo.head
        repo.commit("second", {"second": "x\n"})
        repo.write("third")
        assert [change.path for change in git.diff(str(repo), base).files] == ["second", "third"]
        os.utime(repo.path / "README", (1_000_000_000, 1_000_000_000))
        assert [change.path for change in git.diff(str(repo), base).files] == ["second", "third"]

    def test_diff_to_the_files_does_not_ask_the_index(self, git: Git, repo: Scratch) -> None:
        repo.commit("more", {"same": "x\n", "changed": "x\n"})
        repo.git("rm", "-q", "--cached", "same", "changed")
        repo.write("changed", "x\ny\n")
        repo.write("announced", "1\n")
        repo.git("add", "--intent-to-add", "announced")
        repo.write("staged and gone")
        repo.git("add", "staged and gone")
        (repo.path / "staged and gone").unlink()
        objects = set((repo.path / ".git" / "objects").rglob("*"))
        found = git.diff(str(repo), "HEAD", patch=True)
        assert found.files == (
            ChangedFile(path="announced", kind=ChangeKind.ADDED, added=1, removed=0),
            ChangedFile(path="changed", kind=ChangeKind.MODIFIED, added=1, removed=0),
        )
        assert found.patch is not None
        assert b"same" not in found.patch
        assert set((repo.path / ".git" / "objects").rglob("*")) == objects

    def test_diff_to_the_files_in_the_middle_of_a_merge(self, git: Git, repo: Scratch) -> None:
        self.make_conflict(repo, "merge")
        found = git.diff(str(repo), "HEAD")
        assert [(change.path, change.kind) for change in found.files] == [
            ("README", ChangeKind.MODIFIED),
            ("clean", ChangeKind.ADDED),
        ]

    def test_a_patch_ends_at_the_limit_at_the_end_of_a_line(self, git: Git, repo: Scratch) -> None:
        base = repo.head
        target = repo.commit("big", {"big": "".join(f"line {number}\n" for number in range(50_000))})
        found = git.diff(str(repo), base, target, patch=True, patch_limit=10_000)
        assert found.truncated
        assert found.patch is not None
        assert 9_000 < len(found.patch) <= 10_000
        assert found.patch.endswith(b"\n")
        assert found.lines_added == 50_000
        whole = git.diff(str(repo), base, target, patch=True)
        assert not whole.truncated
        assert whole.patch is not None
        assert whole.patch.startswith(found.patch)

    def test_diff_of_submodules_is_of_their_commits(self, git: Git, repo: Scratch, with_submodule: Scratch) -> None:
        base = with_submodule.head
        Scratch(with_submodule.path / "sub", repo.environment).commit("inside", {"x": "x\n"})
        for target in (None, with_submodule.commit("newer")):
            found = git.diff(str(with_submodule), base, target)
            assert found.files == (ChangedFile(path="sub", kind=ChangeKind.MODIFIED, added=1, removed=1),)

    def test_diff_of_unknown_commits(self, git: Git, repo: Scratch) -> None:
        for base, target in (("nope", "HEAD"), ("HEAD", "nope"), ("nope", None)):
            with pytest.raises(UnknownRevision):
                git.diff(str(repo), base, target)

    def test_diff_in_a_bare_repository(self, git: Git, repo: Scratch, bare: Scratch) -> None:
        base = bare.head
        target = repo.commit("more", {"more": "x\n"})
        repo.git("push", "-q", str(bare), "main")
        assert [change.path for change in git.diff(str(bare), base, target).files] == ["more"]
