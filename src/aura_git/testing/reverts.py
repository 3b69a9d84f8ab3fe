"""The part of the conformance suite about reverting commits."""

import pytest

from aura_contracts.errors import DirtyWorktree, OperationInProgress, RevertConflict, UnknownRevision
from aura_contracts.ports.git import Git
from aura_git.testing.repositories import Conformance, Scratch


class RevertConformance(Conformance):
    def test_the_opposite_of_a_commit_is_committed(self, git: Git, repo: Scratch) -> None:
        before = repo.tree_of("HEAD")
        changed = repo.commit(files={"README": "changed\n", "new": "new\n"})
        made = git.revert(str(repo), changed, "Undo it\n")
        assert made == repo.git("rev-parse", "HEAD")
        assert repo.git("rev-parse", "HEAD^") == changed
        assert repo.tree_of("HEAD") == before
        assert repo.git("log", "-1", "--format=%B").strip() == "Undo it"
        assert not git.status(str(repo)).dirty
        assert git.operation(str(repo)) is None

    def test_a_merge_is_reverted_to_its_first_parent(self, git: Git, forked: Scratch) -> None:
        before = forked.tree_of("main")
        merged = git.merge(str(forked), source="work", target_branch="main", message="Merge").commit
        forked.git("checkout", "-q", "main")
        assert git.revert(str(forked), merged, "Undo") is not None
        assert forked.tree_of("main") == before

    def test_what_is_undone_already_makes_no_commit(self, git: Git, repo: Scratch) -> None:
        changed = repo.commit(files={"README": "changed\n"})
        once = git.revert(str(repo), changed, "Undo")
        assert git.revert(str(repo), changed, "Undo") is None
        assert repo.git("rev-parse", "HEAD") == once
        assert git.operation(str(repo)) is None

    def test_lines_that_changed_since_are_a_conflict(self, git: Git, repo: Scratch) -> None:
        changed = repo.commit(files={"README": "changed\n", "other": "x\n"})
        repo.commit(files={"README": "again\n"})
        (repo.path / "untracked").write_text("mine")
        before = repo.state()
        with pytest.raises(RevertConflict) as refused:
            git.revert(str(repo), changed, "Undo")
        assert (refused.value.commit, refused.value.paths) == (changed, ("README",))
        assert repo.state() == before
        assert git.operation(str(repo)) is None

    def test_a_revert_that_was_cut_off_begins_anew(self, git: Git, repo: Scratch) -> None:
        changed = repo.commit(files={"README": "changed\n"})
        repo.git("revert", "--no-commit", changed)
        assert git.revert(str(repo), changed, "Undo") == repo.git("rev-parse", "HEAD")
        assert repo.git("rev-parse", "HEAD^") == changed

    def test_nothing_is_reverted_over_uncommitted_changes(self, git: Git, repo: Scratch) -> None:
        changed = repo.commit(files={"README": "changed\n"})
        (repo.path / "README").write_text("mine\n")
        with pytest.raises(DirtyWorktree):
            git.revert(str(repo), changed, "Undo")
        assert (repo.path / "README").read_text() == "mine\n"

    def test_nothing_is_reverted_during_another_operation(self, git: Git, conflicting: Scratch) -> None:
        conflicting.git("checkout", "-q", "main")
        conflicting.run("merge", "work", codes=(1,))
        with pytest.raises(OperationInProgress):
            git.revert(str(conflicting), "work", "Undo")
        with pytest.raises(UnknownRevision):
            git.revert(str(conflicting), "nowhere", "Undo")
