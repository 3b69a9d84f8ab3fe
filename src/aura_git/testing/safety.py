"""The part of the conformance suite about snapshots."""

import os
from pathlib import Path

import pytest

from aura_contracts.errors import UnknownRevision
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import Operation, Status
from aura_git.testing.repositories import LINK_TARGETS, Conformance, Scratch, weird_names

REF = "refs/aura/snapshots/one"


class SafetyConformance(Conformance):
    def make_a_mess(self, repo: Scratch) -> None:
        """Have everything that a worktree may hold: staged, changed after, deleted, untracked, ignored."""
        repo.commit("more", {"gone": "x\n", "removed": "x\n", "both": "x\n", "exe": "x\n"})
        repo.write("README", "changed\n")
        (repo.path / "gone").unlink()
        repo.git("rm", "-q", "removed")
        repo.write("both", "staged\n")
        repo.write("new staged", "staged\n")
        repo.git("add", "both", "new staged")
        repo.write("both", "and changed\n")
        repo.write("deep/untracked", b"\0binary\r\n")
        repo.write("ignored.log", "ignored\n")
        (repo.path / "exe").chmod(0o755)
        (repo.path / "link").symlink_to("nowhere")

    def test_a_snapshot_touches_nothing_and_holds_everything(self, git: Git, repo: Scratch) -> None:
        self.make_a_mess(repo)
        raw = (repo.path / ".git" / "index").read_bytes()
        head, before = repo.head, repo.state()[:3]
        commit = git.snapshot(str(repo), REF, "before something")
        assert repo.state()[:3] == before
        assert (repo.path / ".git" / "index").read_bytes() == raw
        assert repo.commit_of(REF) == commit != head
        assert repo.git("rev-parse", f"{commit}^1") == head
        assert repo.git("log", "-1", "--format=%s", commit) == "before something"
        assert repo.show(f"{commit}^2", "both") == b"staged\n"
        assert repo.show(commit, "both") == b"and changed\n"
        assert repo.show(commit, "deep/untracked") == b"\0binary\r\n"
        names = set(repo.names(commit))
        assert not {"gone", "removed", "ignored.log"} & names
        assert {"link", "new staged", "README"} <= names
        assert repo.git("ls-tree", commit, "exe").startswith("100755")

    def test_what_was_saved_is_restored(self, git: Git, repo: Scratch) -> None:
        self.make_a_mess(repo)
        before, status = repo.state()[:3], git.status(str(repo))
        commit = git.snapshot(str(repo), REF, "")
        repo.git("reset", "-q", "--hard")
        repo.git("clean", "-q", "-fd")
        repo.commit("later", {"README": "later\n", "later": "x\n", "deep/later": "x\n"})
        repo.git("reset", "-q", "--soft", "HEAD^")
        repo.write("untracked now")
        repo.write("one/more/folder")
        git.restore(str(repo), commit)
        assert repo.state()[:3] == before
        assert git.status(str(repo)) == status
        assert not (repo.path / "one").exists()

    @pytest.mark.parametrize("staged", [True, False])
    def test_whether_it_was_staged_is_restored(self, git: Git, repo: Scratch, staged: bool) -> None:  # noqa: FBT001
        repo.write("README", "changed\n")
        repo.write("new")
        if staged:
            repo.git("add", "-A")
        before = repo.state()[:3]
        commit = git.snapshot(str(repo), REF, "m")
        repo.git("reset", "-q", "--hard")
        repo.write("new", "other\n")
        git.restore(str(repo), commit)
        assert repo.state()[:3] == before

    def test_a_clean_worktree_needs_no_new_commit(self, git: Git, repo: Scratch) -> None:
        repo.write("ignored.log")
        assert git.snapshot(str(repo), REF, "m") == repo.head == repo.commit_of(REF)
        repo.write("README", "changed\n")
        repo.write("new")
        git.restore(str(repo), repo.head)
        assert git.status(str(repo)) == Status()
        assert not (repo.path / "new").exists()
        assert (repo.path / "ignored.log").exists()

    def test_a_snapshot_can_be_taken_again(self, git: Git, repo: Scratch) -> None:
        repo.write("new", "1\n")
        first = git.snapshot(str(repo), REF, "m")
        repo.write("new", "2\n")
        second = git.snapshot(str(repo), REF, "m")
        assert repo.commit_of(REF) == second
        assert repo.show(first, "new") == b"1\n"
        assert repo.show(second, "new") == b"2\n"

    def test_in_a_repository_without_commits(self, git: Git, empty: Scratch) -> None:
        empty.write("staged", "a\n")
        empty.git("add", "staged")
        empty.write("staged", "b\n")
        empty.write("untracked")
        before = empty.index(), dict(empty.files())
        commit = git.snapshot(str(empty), REF, "m")
        assert (empty.index(), dict(empty.files())) == before
        assert sorted(empty.names(commit)) == ["staged", "untracked"]
        empty.git("rm", "-q", "-f", "staged")
        empty.write("other")
        git.restore(str(empty), commit)
        assert (empty.index(), dict(empty.files())) == before
        assert git.inspect(str(empty)).head is None

    def test_in_a_repository_with_nothing_at_all(self, git: Git, empty: Scratch) -> None:
        commit = git.snapshot(str(empty), REF, "m")
        assert empty.names(commit) == []
        empty.write("new")
        git.restore(str(empty), commit)
        assert dict(empty.files()) == {}
        assert git.status(str(empty)) == Status()

    def test_in_the_middle_of_a_merge(self, git: Git, repo: Scratch) -> None:
        repo.git("checkout", "-q", "-b", "side")
        repo.commit("theirs", {"README": "theirs\n", "clean": "x\n", "src/app.py": None})
        repo.git("checkout", "-q", "main")
        repo.commit("ours", {"README": "ours\n", "src/app.py": "ours\n"})
        repo.git("merge", "side", codes=(1,))
        before = repo.state()[:3]
        commit = git.snapshot(str(repo), REF, "m")
        assert repo.state()[:3] == before
        assert git.operation(str(repo)) is Operation.MERGE
        assert repo.show(commit, "README").startswith(b"<<<<<<<")
        assert repo.show(commit, "clean") == b"x\n"
        files = dict(repo.files())
        repo.git("merge", "--abort")
        git.restore(str(repo), commit)
        assert dict(repo.files()) == files
        assert git.status(str(repo)).conflicted == ()

    def test_all_names_are_saved(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        names = weird_names(tmp_path)
        for name in names:
            repo.write(name, f"{name!r}\n")
        before = repo.state()[:3]
        commit = git.snapshot(str(repo), REF, "m")
        assert set(names) <= set(repo.names(commit))
        for name in names:
            (repo.path / name).unlink()
        git.restore(str(repo), commit)
        assert repo.state()[:3] == before

    def test_files_and_folders_that_changed_places(self, git: Git, repo: Scratch) -> None:
        repo.commit("base", {"file": "x\n", "folder/x": "x\n"})
        (repo.path / "file").unlink()
        repo.write("file/now a folder", "x\n")
        (repo.path / "folder" / "x").unlink()
        (repo.path / "folder").rmdir()
        repo.write("folder", "now a file\n")
        before = dict(repo.files())
        commit = git.snapshot(str(repo), REF, "m")
        (repo.path / "folder").unlink()
        (repo.path / "file" / "now a folder").unlink()
        (repo.path / "file").rmdir()
        repo.git("reset", "-q", "--hard")
        git.restore(str(repo), commit)
        assert dict(repo.files()) == before

    @pytest.mark.parametrize("target", LINK_TARGETS)
    def test_a_folder_that_became_a_link_comes_and_goes(
        self, git: Git, repo: Scratch, tmp_path: Path, target: str
    ) -> None:
        first = repo.head
        outside = self.make_link_of_folder(repo, tmp_path, target)
        there = sorted(outside.rglob("*")) if outside.is_dir() else []
        link = git.snapshot(str(repo), REF, "m")
        assert repo.names(link) == [".gitignore", "README", "dir", "src/app.py"]
        git.restore(str(repo), repo.head)
        assert repo.porcelain() == ""
        assert repo.read("dir/sub/b") == "b\n"
        git.restore(str(repo), link)
        assert (repo.path / "dir").is_symlink()
        git.restore(str(repo), first)
        assert not os.path.lexists(repo.path / "dir")
        assert (sorted(outside.rglob("*")) if outside.is_dir() else []) == there

    def test_what_is_ignored_now_survives_a_snapshot_that_did_not_ignore_it(self, git: Git, repo: Scratch) -> None:
        commit = git.snapshot(str(repo), REF, "m")
        repo.write(".gitignore", "*.log\n.env\n")
        repo.write(".env", "SECRET=1\n")
        git.restore(str(repo), commit)
        assert repo.read(".gitignore") == "*.log\n"
        assert repo.read(".env") == "SECRET=1\n"

    def test_in_a_linked_worktree_only_that_one(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.git("worktree", "add", "-q", "-b", "work", str(tmp_path / "linked"))
        linked = Scratch(tmp_path / "linked", repo.environment)
        repo.write("mine")
        linked.write("README", "changed\n")
        commit = git.snapshot(str(linked), REF, "m")
        linked.git("reset", "-q", "--hard")
        before = repo.state()
        git.restore(str(linked), commit)
        assert linked.read("README") == "changed\n"
        assert repo.state() == before

    def test_a_snapshot_survives_gc(self, git: Git, repo: Scratch) -> None:
        self.make_a_mess(repo)
        commit = git.snapshot(str(repo), REF, "m")
        before = repo.state()[:3]
        repo.git("gc", "-q", "--prune=now")
        repo.git("reset", "-q", "--hard")
        git.restore(str(repo), commit)
        assert repo.state()[:3] == before

    def test_restore_of_what_is_not_there(self, git: Git, repo: Scratch) -> None:
        repo.write("new")
        with pytest.raises(UnknownRevision):
            git.restore(str(repo), "1" * 40)
        assert os.path.exists(repo.path / "new")

    def test_a_snapshot_has_an_author(self, git: Git, repo: Scratch) -> None:
        repo.write("new")
        commit = git.snapshot(str(repo), REF, "m")
        assert repo.git("log", "-1", "--format=%an <%ae>", commit) == "AURA <aura@localhost>"
