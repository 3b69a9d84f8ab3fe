"""The part of the conformance suite about folders that are in no repository."""

import stat
from pathlib import Path

import pytest

from aura_contracts.errors import DirtyWorktree, NotARepository
from aura_contracts.ports.git import Git
from aura_git.testing.repositories import Conformance


class FolderConformance(Conformance):
    @pytest.fixture
    def kept(self, git: Git, tmp_path: Path) -> str:
        """A bare repository for the versions of a folder."""
        path = tmp_path / "kept.git"
        git.create_repository(str(path), "folder")
        return str(path)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "plain"
        (folder / "deep").mkdir(parents=True)
        (folder / "notes").write_text("one\n")
        (folder / "deep/secret").write_text("one\n")
        (folder / "deep/secret").chmod(0o600)
        (folder / "run").write_text("#!/bin/sh\n")
        (folder / "run").chmod(0o755)
        return folder

    def test_a_repository_is_created_once(self, git: Git, kept: str) -> None:
        git.create_repository(kept, "folder")
        found = git.inspect(kept)
        assert (found.bare, found.branch, found.head) == (True, "folder", None)
        assert stat.S_IMODE(Path(kept).stat().st_mode) == 0o700

    def test_a_folder_is_recorded_and_not_touched(self, git: Git, kept: str, folder: Path) -> None:
        first = git.record_folder(kept, str(folder), None, "first")
        assert git.record_folder(kept, str(folder), first, "again") == first
        assert sorted(path.name for path in folder.iterdir()) == ["deep", "notes", "run"]
        (folder / "notes").unlink()
        (folder / ".gitignore").write_text("*.log\n")
        (folder / "a.log").write_text("ignored\n")
        second = git.record_folder(kept, str(folder), first, "second")
        changed = {file.path: str(file.kind) for file in git.diff(kept, first, second).files}
        assert changed == {"notes": "deleted", ".gitignore": "added"}

    def test_a_folder_is_taken_to_another_version(self, git: Git, kept: str, folder: Path) -> None:
        first = git.record_folder(kept, str(folder), None, "first")
        git.update_ref(kept, "HEAD", first, None, "recorded")
        (folder / "deep/secret").write_text("two\n")
        (folder / "run").chmod(0o644)
        (folder / "new").write_text("new\n")
        second = git.record_folder(kept, str(folder), first, "second")
        git.update_ref(kept, "HEAD", second, first, "recorded")
        git.update_folder(kept, str(folder), second, first)
        assert (folder / "deep/secret").read_text() == "one\n"
        assert stat.S_IMODE((folder / "deep/secret").stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "run").stat().st_mode) == 0o755
        assert not (folder / "new").exists()

    def test_what_was_changed_since_is_not_overwritten(self, git: Git, kept: str, folder: Path) -> None:
        first = git.record_folder(kept, str(folder), None, "first")
        git.update_ref(kept, "HEAD", first, None, "recorded")
        (folder / "notes").write_text("two\n")
        (folder / "run").write_text("two\n")
        second = git.record_folder(kept, str(folder), first, "second")
        git.update_ref(kept, "HEAD", second, first, "recorded")
        (folder / "notes").write_text("by hand\n")
        with pytest.raises(DirtyWorktree):
            git.update_folder(kept, str(folder), second, first)
        assert [(folder / name).read_text() for name in ("notes", "run")] == ["by hand\n", "two\n"]

    def test_a_folder_that_is_gone(self, git: Git, kept: str, tmp_path: Path) -> None:
        with pytest.raises(NotARepository):
            git.record_folder(kept, str(tmp_path / "nowhere"), None, "first")
