"""The part of the conformance suite about linked worktrees."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aura_contracts.errors import BranchInUse, DirtyWorktree, GitError, GitFailed, UnknownRevision, WorktreeExists
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import Status
from aura_git.testing.repositories import LINK_TARGETS, Conformance, Scratch


class WorktreeConformance(Conformance):
    @pytest.fixture
    def linked(self, git: Git, repo: Scratch, tmp_path: Path) -> Scratch:
        """A worktree of `repo` on branch ``work``, made by the backend."""
        git.ensure_branch(str(repo), "work", "main")
        git.add_worktree(str(repo), str(tmp_path / "linked"), "work")
        return Scratch(tmp_path / "linked", repo.environment)

    # --- Making -------------------------------------------------------------------------------------------------------

    def test_a_new_worktree_is_a_worktree_to_git(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        assert linked.porcelain() == ""
        assert linked.git("symbolic-ref", "HEAD") == "refs/heads/work"
        assert dict(linked.files()) == dict(repo.files())
        assert linked.git("fsck", "--no-dangling") == ""
        main, other = git.list_worktrees(str(linked))
        assert (main.path, main.branch, main.head) == (str(repo), "main", repo.head)
        assert (other.path, other.branch, other.head) == (str(linked), "work", repo.head)
        assert (other.bare, other.locked, other.prunable) == (False, False, False)
        linked.commit("in it", {"new": "x\n"})
        assert git.status(str(linked)) == Status()

    def test_a_worktree_needs_a_free_place(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        git.ensure_branch(str(repo), "work", "main")
        (tmp_path / "file").write_text("x")
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "file").write_text("x")
        (tmp_path / "dangling").symlink_to("nowhere")
        for name in ("file", "full", "dangling"):
            with pytest.raises(WorktreeExists):
                git.add_worktree(str(repo), str(tmp_path / name), "work")
        assert (tmp_path / "full" / "file").read_text() == "x"
        (tmp_path / "empty").mkdir()
        git.add_worktree(str(repo), str(tmp_path / "empty"), "work")
        git.add_detached_worktree(str(repo), str(tmp_path / "deep" / "er"), repo.head)
        assert len(git.list_worktrees(str(repo))) == 3

    def test_a_branch_has_one_worktree(self, git: Git, repo: Scratch, linked: Scratch, tmp_path: Path) -> None:
        for branch, where in (("main", repo), ("work", linked)):
            with pytest.raises(BranchInUse) as used:
                git.add_worktree(str(repo), str(tmp_path / "again"), branch)
            assert used.value.worktree == str(where)
        with pytest.raises(UnknownRevision):
            git.add_worktree(str(repo), str(tmp_path / "again"), "nope")
        assert not (tmp_path / "again").exists()

    def test_a_failed_worktree_leaves_nothing(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        git.ensure_branch(str(repo), "work", "main")
        blob = repo.git("rev-parse", "work:README")
        (repo.path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
        for name in ("new", "deep/new"):
            with pytest.raises(GitError):
                git.add_worktree(str(repo), str(tmp_path / name), "work")
        assert not (tmp_path / "new").exists()
        assert not (tmp_path / "deep").exists()
        assert len(git.list_worktrees(str(repo))) == 1
        (tmp_path / "empty").mkdir()
        with pytest.raises(GitError):
            git.add_worktree(str(repo), str(tmp_path / "empty"), "work")
        assert list((tmp_path / "empty").iterdir()) == []

    def test_a_worktree_comes_back_where_its_folder_was_lost(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        commit = linked.commit("in it")
        shutil.rmtree(linked.path)
        (gone,) = [tree for tree in git.list_worktrees(str(repo)) if tree.prunable]
        assert gone.path == str(linked)
        git.add_worktree(str(repo), str(linked), "work")
        assert linked.head == commit
        assert linked.porcelain() == ""
        assert len(git.list_worktrees(str(repo))) == 2

    def test_a_detached_worktree_is_on_no_branch(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        first = repo.head
        repo.commit("second", {"second": "x\n"})
        git.add_detached_worktree(str(repo), str(tmp_path / "pool"), first)
        pool = Scratch(tmp_path / "pool", repo.environment)
        assert pool.head == first
        assert pool.git("symbolic-ref", "-q", "HEAD", codes=(1,)) == ""
        assert git.list_worktrees(str(repo))[1].branch is None
        with pytest.raises(UnknownRevision):
            git.add_detached_worktree(str(repo), str(tmp_path / "more"), "1" * 40)

    def test_a_worktree_of_a_bare_repository(self, git: Git, bare: Scratch, tmp_path: Path) -> None:
        git.ensure_branch(str(bare), "work", "main")
        git.add_worktree(str(bare), str(tmp_path / "linked"), "work")
        main, linked = git.list_worktrees(str(bare))
        assert (main.bare, main.path) == (True, str(bare))
        assert (linked.bare, linked.path, linked.branch) == (False, str(tmp_path / "linked"), "work")

    def test_many_worktrees_at_once(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        def make(number: int) -> None:
            git.ensure_branch(str(repo), f"work-{number}", "main")
            git.add_worktree(str(repo), str(tmp_path / f"tree-{number}" / "repo"), f"work-{number}")

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(make, range(8)))
        assert len(git.list_worktrees(str(repo))) == 9
        for number in range(8):
            linked = Scratch(tmp_path / f"tree-{number}" / "repo", repo.environment)
            assert linked.git("symbolic-ref", "HEAD") == f"refs/heads/work-{number}"
            assert linked.porcelain() == ""

    def test_names_of_folders_and_branches_with_anything_in_them(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        git.ensure_branch(str(repo), "wörk/ß", "main")
        for name in ("with space", "new\nline", "-dash", os.fsdecode(b"latin-\xe9")):
            path = str(tmp_path / name)
            git.add_worktree(str(repo), path, "wörk/ß")
            assert [tree.path for tree in git.list_worktrees(str(repo))] == [str(repo), path]
            assert git.status(path) == Status()
            git.remove_worktree(str(repo), path)

    def test_a_tag_of_the_same_name_is_not_meant(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        for name in ("work", "heads/work"):
            repo.git("update-ref", f"refs/tags/{name}", repo.head)
        commits = {}
        for name in ("work", "heads/work"):
            commits[name] = repo.commit(name, {"name": name})
            repo.git("update-ref", f"refs/heads/{name}", commits[name])
        for number, (name, commit) in enumerate(commits.items()):
            linked = Scratch(tmp_path / f"linked-{number}", repo.environment)
            git.add_worktree(str(repo), str(linked), name)
            assert (linked.head, linked.read("name"), linked.porcelain()) == (commit, name, "")
            git.remove_worktree(str(repo), str(linked))
        git.add_detached_worktree(str(repo), str(tmp_path / "pool"), repo.head)
        pool = Scratch(tmp_path / "pool", repo.environment)
        for name, commit in commits.items():
            git.switch_worktree(str(pool), name)
            assert pool.git("symbolic-ref", "HEAD") == f"refs/heads/{name}"
            assert (pool.head, pool.read("name"), pool.porcelain()) == (commit, name, "")

    # --- Using again --------------------------------------------------------------------------------------------------

    def test_switch_makes_it_like_new(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        repo.commit("more", {"README": "other\n", "new/file": "x\n", "src/app.py": None})
        git.ensure_branch(str(repo), "next", "main")
        for name in ("untracked", "ignored.log", "node_modules/x/y.log", "new", "README"):
            linked.write(name, "mine\n")
        linked.write("staged")
        linked.git("add", "staged")
        inner = Scratch(linked.path / "inner", repo.environment)
        inner.path.mkdir()
        inner.git("init", "-q")
        inner.commit("inside", {"file": "x\n"})
        git.switch_worktree(str(linked), "next")
        assert dict(linked.files()) == dict(repo.files())
        assert linked.porcelain() == ""
        assert linked.git("symbolic-ref", "HEAD") == "refs/heads/next"
        assert repo.commit_of("next") == repo.head

    def test_switch_ends_operations(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        repo.commit("ours", {"README": "ours\n"})
        git.ensure_branch(str(repo), "next", "main")
        for command in (("merge",), ("rebase",), ("cherry-pick",)):
            linked.commit("theirs", {"README": "theirs\n"})
            linked.git(*command, "main", codes=(1,))
            assert git.operation(str(linked)) is not None
            git.switch_worktree(str(linked), "next")
            assert git.operation(str(linked)) is None
            assert linked.porcelain() == ""
            git.switch_worktree(str(linked), "work")

    def test_switch_refuses_what_others_have(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        linked.write("untracked")
        with pytest.raises(BranchInUse):
            git.switch_worktree(str(linked), "main")
        with pytest.raises(UnknownRevision):
            git.switch_worktree(str(linked), "nope")
        assert (linked.path / "untracked").exists()
        git.switch_worktree(str(linked), "work")
        assert not (linked.path / "untracked").exists()

    @pytest.mark.parametrize("target", LINK_TARGETS)
    def test_switch_puts_folders_back_that_became_links(
        self, git: Git, repo: Scratch, linked: Scratch, tmp_path: Path, target: str
    ) -> None:
        outside = self.make_link_of_folder(linked, tmp_path, target)
        there = sorted(outside.rglob("*")) if outside.is_dir() else []
        git.switch_worktree(str(linked), "work")
        assert linked.porcelain() == ""
        assert linked.read("dir/a") == "a\n"
        git.ensure_branch(str(repo), "next", "main")
        (linked.path / "dir").rename(tmp_path / "moved away")
        (linked.path / "dir").symlink_to(tmp_path / "moved away")
        git.switch_worktree(str(linked), "next")
        assert dict(linked.files()) == dict(repo.files())
        assert (tmp_path / "moved away" / "sub" / "b").exists()
        assert (sorted(outside.rglob("*")) if outside.is_dir() and target != "itself" else []) == there

    @pytest.mark.parametrize("option", ["--assume-unchanged", "--skip-worktree"])
    def test_switch_throws_away_what_git_was_told_not_to_look_at(
        self, git: Git, repo: Scratch, linked: Scratch, option: str
    ) -> None:
        linked.git("update-index", option, "README", "src/app.py")
        linked.write("README", "hidden\n")
        (linked.path / "src" / "app.py").unlink()
        git.switch_worktree(str(linked), "work")
        assert dict(linked.files()) == dict(repo.files())
        linked.write("README", "changed\n")
        assert git.status(str(linked)) == Status(unstaged=("README",))

    def test_switch_writes_only_what_differs(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        repo.commit("more", {"src/app.py": "other\n"})
        git.ensure_branch(str(repo), "next", "main")
        before = (linked.path / "README").stat()
        git.switch_worktree(str(linked), "next")
        assert (linked.path / "README").stat().st_mtime_ns == before.st_mtime_ns
        assert (linked.path / "README").stat().st_ino == before.st_ino
        assert linked.read("src/app.py") == "other\n"

    def test_switch_from_a_detached_head(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        git.add_detached_worktree(str(repo), str(tmp_path / "pool"), repo.head)
        git.ensure_branch(str(repo), "next", "main")
        git.move_worktree(str(repo), str(tmp_path / "pool"), str(tmp_path / "in place"))
        git.switch_worktree(str(tmp_path / "in place"), "next")
        assert git.inspect(str(tmp_path / "in place")).branch == "next"

    # --- Moving and repairing -----------------------------------------------------------------------------------------

    def test_a_moved_worktree_stays_what_it_was(self, git: Git, repo: Scratch, linked: Scratch, tmp_path: Path) -> None:
        linked.write("untracked")
        git.move_worktree(str(repo), str(linked), str(tmp_path / "deep" / "moved"))
        moved = Scratch(tmp_path / "deep" / "moved", repo.environment)
        assert not linked.path.exists()
        assert git.status(str(moved)) == Status(untracked=("untracked",))
        assert [tree.path for tree in git.list_worktrees(str(repo))] == [str(repo), str(moved)]
        (tmp_path / "taken").mkdir()
        with pytest.raises(WorktreeExists):
            git.move_worktree(str(repo), str(moved), str(tmp_path / "taken"))
        with pytest.raises(GitFailed):
            git.move_worktree(str(repo), str(repo), str(tmp_path / "elsewhere"))
        with pytest.raises(GitFailed):
            git.move_worktree(str(repo), str(tmp_path / "taken"), str(tmp_path / "elsewhere"))

    def test_repair_mends_what_was_moved_by_hand(
        self, git: Git, repo: Scratch, linked: Scratch, tmp_path: Path
    ) -> None:
        linked.path.rename(tmp_path / "moved")
        git.repair_worktree(str(repo), str(tmp_path / "moved"))
        assert git.list_worktrees(str(repo))[1].path == str(tmp_path / "moved")
        assert git.status(str(tmp_path / "moved")) == Status()
        repo.path.rename(tmp_path / "moved repo")
        git.repair_worktree(str(tmp_path / "moved repo"), str(tmp_path / "moved"))
        assert git.status(str(tmp_path / "moved")) == Status()

    # --- Removing -----------------------------------------------------------------------------------------------------

    def test_remove_leaves_nothing_but_the_branch(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        commit = linked.commit("in it")
        linked.write("ignored.log")
        git.remove_worktree(str(repo), str(linked))
        assert not linked.path.exists()
        assert len(git.list_worktrees(str(repo))) == 1
        assert git.find_ref(str(repo), "refs/heads/work") == commit
        git.remove_worktree(str(repo), str(linked))

    def test_remove_spares_work_unless_forced(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        linked.write("untracked")
        linked.write("README", "changed\n")
        with pytest.raises(DirtyWorktree) as dirty:
            git.remove_worktree(str(repo), str(linked))
        assert dirty.value.paths == ("README", "untracked")
        assert (linked.path / "untracked").exists()
        git.remove_worktree(str(repo), str(linked), force=True)
        assert not linked.path.exists()
        assert len(git.list_worktrees(str(repo))) == 1

    def test_remove_takes_what_is_half_gone(self, git: Git, repo: Scratch, linked: Scratch, tmp_path: Path) -> None:
        shutil.rmtree(linked.path)
        git.remove_worktree(str(repo), str(linked))
        assert len(git.list_worktrees(str(repo))) == 1
        git.add_worktree(str(repo), str(linked), "work")
        (linked.path / ".git").unlink()
        git.remove_worktree(str(repo), str(linked), force=True)
        assert not linked.path.exists()
        assert len(git.list_worktrees(str(repo))) == 1

    def test_a_worktree_that_git_is_removing_holds_no_branch(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        """Git removes its files one by one, and continues when who asked for it was killed."""
        (directory,) = (repo.path / ".git" / "worktrees").iterdir()
        shutil.rmtree(linked.path)
        (directory / "gitdir").unlink()
        assert len(git.list_worktrees(str(repo))) == 1
        git.remove_worktree(str(repo), str(linked), force=True)
        tip = git.find_ref(str(repo), "refs/heads/work")
        assert tip is not None
        git.delete_branch(str(repo), "work", tip)
        assert git.find_ref(str(repo), "refs/heads/work") is None

    def test_remove_refuses_what_is_no_linked_worktree(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        for path in (repo.path, tmp_path / "folder"):
            with pytest.raises(GitFailed):
                git.remove_worktree(str(repo), str(path), force=True)
            assert path.exists()

    def test_a_locked_worktree_is_said_to_be(self, git: Git, repo: Scratch, linked: Scratch) -> None:
        repo.git("worktree", "lock", str(linked))
        assert git.list_worktrees(str(repo))[1].locked

    def test_worktrees_with_submodules_can_be_moved_and_removed(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        outer = Scratch(tmp_path / "super", repo.environment)
        outer.path.mkdir()
        outer.git("init", "-q", "-b", "main")
        outer.git("-c", "protocol.file.allow=always", "submodule", "-q", "add", str(repo), "sub")
        outer.commit("with submodule")
        git.ensure_branch(str(outer), "work", "main")
        git.add_worktree(str(outer), str(tmp_path / "linked"), "work")
        assert git.status(str(tmp_path / "linked")) == Status()
        git.move_worktree(str(outer), str(tmp_path / "linked"), str(tmp_path / "moved"))
        (tmp_path / "moved" / "sub" / "left over").touch()
        git.switch_worktree(str(tmp_path / "moved"), "work")
        assert list((tmp_path / "moved" / "sub").iterdir()) == []
        assert git.status(str(tmp_path / "moved")) == Status()
        git.remove_worktree(str(outer), str(tmp_path / "moved"))
        assert not (tmp_path / "moved").exists()
