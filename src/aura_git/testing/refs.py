"""The part of the conformance suite about names, history, branches and refs."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aura_contracts.errors import (
    BranchInUse,
    GitError,
    InvalidBranchName,
    RefChanged,
    UnknownRevision,
)
from aura_contracts.ports.git import Git
from aura_git.testing.repositories import Conformance, Scratch

VALID = ["main", "a/b", "aura/0192-fix-it", "ä", "a.b", "a@b", "x-", "a{b", "@a", os.fsdecode(b"\xe9"), "heads", "v1.0"]
INVALID = [
    "",
    "@",
    "HEAD",
    "-x",
    "a..b",
    "a b",
    "a~b",
    "a^b",
    "a:b",
    "a?b",
    "a*b",
    "a[b",
    "a\\b",
    "a//b",
    "/a",
    "a/",
    "a.",
    ".a",
    "a/.b",
    "a.lock",
    "a.lock/b",
    "a@{b",
    "@{-1}",
    "a\nb",
    "a\x7fb",
    "a\0b",
    "\ud800",
]


class RefConformance(Conformance):
    # --- Names --------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("name", VALID)
    def test_a_branch_may_be_called(self, git: Git, repo: Scratch, name: str) -> None:
        assert git.ensure_branch(str(repo), name, "HEAD") == repo.head
        assert git.find_ref(str(repo), f"refs/heads/{name}") == repo.head

    @pytest.mark.parametrize("name", INVALID)
    def test_no_branch_may_be_called(self, git: Git, repo: Scratch, name: str) -> None:
        with pytest.raises(InvalidBranchName):
            git.ensure_branch(str(repo), name, "HEAD")

    def test_resolve_takes_all_kinds_of_names(self, git: Git, repo: Scratch) -> None:
        repo.git("tag", "-a", "-m", "annotated", "v1")
        repo.git("branch", "side")
        first, second = repo.head, repo.commit("second")
        for name in ("HEAD", "main", "refs/heads/main", second, second[:10]):
            assert git.resolve(str(repo), name) == second
        for name in ("v1", "refs/tags/v1", "side", "heads/side", "HEAD~1", "main^"):
            assert git.resolve(str(repo), name) == first

    @pytest.mark.parametrize(
        "name", ["nope", "refs/heads/nope", "1" * 40, "", "-x", "a\nb", "a\0b", "HEAD:README", ".."]
    )
    def test_resolve_refuses_what_is_no_commit(self, git: Git, repo: Scratch, name: str) -> None:
        with pytest.raises(UnknownRevision):
            git.resolve(str(repo), name)

    def test_nothing_resolves_in_an_empty_repository(self, git: Git, empty: Scratch) -> None:
        for name in ("HEAD", "main"):
            with pytest.raises(UnknownRevision):
                git.resolve(str(empty), name)

    def test_refs_are_found_by_full_name_only(self, git: Git, repo: Scratch) -> None:
        repo.git("update-ref", "refs/aura/one", "HEAD")
        repo.git("update-ref", "refs/aura/one-more/x", "HEAD")
        repo.git("pack-refs", "--all")
        repo.git("update-ref", "refs/aura/two", "HEAD")
        assert git.find_ref(str(repo), "refs/aura/one") == repo.head
        assert git.find_ref(str(repo), "refs/aura/two") == repo.head
        assert git.find_ref(str(repo), "refs/aura/none") is None
        assert git.find_ref(str(repo), "main") is None

    def test_refs_are_read_as_they_are_now(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        old = repo.head
        for pack in (False, True, True):
            new = repo.commit("more")
            repo.git("branch", "-f", "side")
            if pack:
                repo.git("pack-refs", "--all")
            assert [git.find_ref(str(repo), f"refs/heads/{name}") for name in ("main", "side")] == [new, new]
            assert git.resolve(str(repo), "refs/heads/side") == new
        repo.git("branch", "-D", "side")
        assert git.find_ref(str(repo), "refs/heads/side") is None
        repo.git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
        assert git.find_ref(str(repo), "refs/heads/alias") == repo.head
        repo.git("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), old)
        linked = Scratch(tmp_path / "linked", repo.environment)
        linked.git("update-ref", "refs/worktree/own", old)
        assert git.find_ref(str(linked), "HEAD") == git.find_ref(str(linked), "refs/worktree/own") == old
        assert git.find_ref(str(repo), "refs/worktree/own") is None

    # --- History ------------------------------------------------------------------------------------------------------

    def test_a_commit_has_paths(self, git: Git, repo: Scratch) -> None:
        first = repo.head
        second = repo.commit("more", {"ein/ä b/:(top)/-x": "x\n"})
        for path in ("ein", "ein/ä b", "ein/ä b/:(top)", "ein/ä b/:(top)/-x"):
            assert git.has_path(str(repo), second, path)
            assert not git.has_path(str(repo), first, path)
        for path in ("ei", "ein/ä b/-x", "README/x", "*"):
            assert not git.has_path(str(repo), second, path)

    def test_merge_base_and_ancestors(self, git: Git, repo: Scratch) -> None:
        base = repo.head
        repo.git("checkout", "-q", "-b", "side")
        side = repo.commit("side")
        repo.git("checkout", "-q", "main")
        main = repo.commit("main")
        where = str(repo)
        assert git.merge_base(where, "main", "side") == git.merge_base(where, side, main) == base
        assert git.merge_base(where, main, main) == main
        assert git.is_ancestor(where, base, side)
        assert git.is_ancestor(where, side, side)
        assert not git.is_ancestor(where, main, side)
        with pytest.raises(UnknownRevision):
            git.merge_base(where, "main", "nope")

    def test_unrelated_histories_have_no_merge_base(self, git: Git, repo: Scratch) -> None:
        repo.git("checkout", "-q", "--orphan", "other")
        repo.commit("other")
        assert git.merge_base(str(repo), "main", "other") is None
        assert not git.is_ancestor(str(repo), "main", "other")

    # --- Branches and refs --------------------------------------------------------------------------------------------

    def test_ensure_branch_makes_it_once(self, git: Git, repo: Scratch) -> None:
        first = repo.head
        assert git.ensure_branch(str(repo), "aura/work", "main") == first
        repo.commit("second")
        assert git.ensure_branch(str(repo), "aura/work", "main") == first
        assert repo.commit_of("aura/work") == first
        assert repo.git("config", "--get-regexp", "^branch", codes=(0, 1)) == ""

    def test_ensure_branch_refuses_bad_names_and_starts(self, git: Git, repo: Scratch) -> None:
        with pytest.raises(InvalidBranchName):
            git.ensure_branch(str(repo), "a..b", "main")
        with pytest.raises(UnknownRevision):
            git.ensure_branch(str(repo), "work", "nope")
        with pytest.raises(GitError):
            git.ensure_branch(str(repo), "main/below", "main")

    def test_many_at_once_ensure_one_branch(self, git: Git, repo: Scratch) -> None:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda _: git.ensure_branch(str(repo), "work", "main"), range(16)))
        assert set(made) == {repo.head}

    def test_delete_branch_only_where_it_is_expected(self, git: Git, repo: Scratch) -> None:
        repo.git("branch", "work")
        first, second = repo.head, repo.commit("second")
        with pytest.raises(RefChanged) as changed:
            git.delete_branch(str(repo), "work", second)
        assert (changed.value.ref, changed.value.actual) == ("refs/heads/work", first)
        repo.git("pack-refs", "--all")
        git.delete_branch(str(repo), "work", first)
        assert git.find_ref(str(repo), "refs/heads/work") is None
        git.delete_branch(str(repo), "work", first)

    def test_delete_branch_spares_what_is_checked_out(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.git("worktree", "add", "-q", "-b", "work", str(tmp_path / "linked"))
        for branch, where in (("main", repo.path), ("work", tmp_path / "linked")):
            with pytest.raises(BranchInUse) as used:
                git.delete_branch(str(repo), branch, repo.head)
            assert used.value.worktree == str(where)

    def test_update_ref_compares_and_swaps(self, git: Git, repo: Scratch) -> None:
        where, ref = str(repo), "refs/aura/keep"
        first, second = repo.head, repo.commit("second")
        git.update_ref(where, ref, first, None, "made")
        assert git.find_ref(where, ref) == first
        with pytest.raises(RefChanged) as changed:
            git.update_ref(where, ref, second, None, "again")
        assert (changed.value.expected, changed.value.actual) == (None, first)
        with pytest.raises(RefChanged):
            git.update_ref(where, ref, second, second, "wrong")
        git.update_ref(where, ref, second, first, "moved")
        assert git.find_ref(where, ref) == second
        with pytest.raises(RefChanged):
            git.update_ref(where, ref, None, first, "wrong")
        git.update_ref(where, ref, None, second, "gone")
        assert git.find_ref(where, ref) is None
        with pytest.raises(RefChanged):
            git.update_ref(where, ref, second, first, "gone already")

    def test_update_ref_refuses_what_is_no_commit_and_no_ref(self, git: Git, repo: Scratch) -> None:
        with pytest.raises(UnknownRevision):
            git.update_ref(str(repo), "refs/aura/x", "1" * 40, None, "")
        with pytest.raises(GitError):
            git.update_ref(str(repo), "refs/aura/..", repo.head, None, "")
        with pytest.raises(GitError):
            git.update_ref(str(repo), "nowhere", repo.head, None, "")

    def test_of_many_that_swap_at_once_one_wins(self, git: Git, repo: Scratch) -> None:
        first = repo.head
        commits = [repo.commit(f"change {number}") for number in range(8)]
        repo.git("update-ref", "refs/aura/x", first)

        def swap(commit: str) -> str | None:
            try:
                git.update_ref(str(repo), "refs/aura/x", commit, first, "race")
            except (RefChanged, GitError):
                return None
            return commit

        with ThreadPoolExecutor(8) as pool:
            won = [commit for commit in pool.map(swap, commits) if commit]
        assert won == [git.find_ref(str(repo), "refs/aura/x")]
