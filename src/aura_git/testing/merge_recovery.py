"""The part of the conformance suite about the target of a merge, and about crashes and races."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from shutil import rmtree

import pytest

from aura_contracts.errors import GitError, MergeConflict, RefChanged
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import Status
from aura_contracts.workspace import MergeStyle
from aura_git.testing.repositories import Conformance, Scratch

KEEP = "refs/aura/kept"
STYLES = tuple(MergeStyle)


class MergeRecoveryConformance(Conformance):
    # --- Where the target is ------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("style", STYLES)
    def test_a_target_that_is_checked_out_elsewhere(
        self, git: Git, forked: Scratch, tmp_path: Path, style: MergeStyle
    ) -> None:
        forked.git("worktree", "add", "-q", str(tmp_path / "linked"), "work")
        linked = Scratch(tmp_path / "linked", forked.environment)
        linked.write("mine")
        before = linked.state()[:3]
        done = git.merge(str(linked), source="work", target_branch="main", style=style, message="m")
        assert done.checkout == str(forked)
        assert forked.porcelain() == ""
        assert forked.head == done.commit
        assert linked.state()[:3] == before

    @pytest.mark.parametrize("style", STYLES)
    def test_a_target_that_is_checked_out_nowhere(self, git: Git, forked: Scratch, style: MergeStyle) -> None:
        forked.git("checkout", "-q", "--detach")
        tree = self.merged_tree(forked, "main", "work")
        before = forked.state()[:3]
        done = git.merge(str(forked), source="work", target_branch="main", style=style, message="m")
        assert done.checkout is None
        assert forked.state()[:3] == before
        assert forked.tree_of("main") == tree

    @pytest.mark.parametrize("style", STYLES)
    def test_a_bare_repository(self, git: Git, forked: Scratch, tmp_path: Path, style: MergeStyle) -> None:
        forked.git("clone", "-q", "--bare", str(forked), str(tmp_path / "bare.git"))
        bare = Scratch(tmp_path / "bare.git", forked.environment)
        tree = self.merged_tree(bare, "main", "work")
        done = git.merge(str(bare), source="work", target_branch="main", style=style, message="m", keep=KEEP)
        assert (done.changed, done.checkout) == (True, None)
        assert bare.tree_of("main") == tree

    def test_a_checkout_whose_folder_is_gone_is_no_checkout(self, git: Git, forked: Scratch, tmp_path: Path) -> None:
        forked.git("worktree", "add", "-q", str(tmp_path / "linked"), "work")
        (tmp_path / "linked").rename(tmp_path / "unplugged")
        done = git.merge(str(forked), source="main", target_branch="work", message="m")
        assert (done.changed, done.checkout) == (True, None)

    def test_submodules_are_merged_as_commits(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        outer = Scratch(tmp_path / "super", repo.environment)
        outer.path.mkdir()
        outer.git("init", "-q", "-b", "main")
        outer.commit("base", {"file": "x\n"})
        outer.git("checkout", "-q", "-b", "work")
        outer.git("-c", "protocol.file.allow=always", "submodule", "-q", "add", str(repo), "sub")
        outer.commit("with submodule")
        outer.git("checkout", "-q", "main")
        rmtree(outer.path / "sub", ignore_errors=True)  # git leaves what was in it
        outer.commit("ours", {"main": "m\n"})
        git.merge(str(outer), source="work", target_branch="main", message="m")
        assert outer.git("rev-parse", "main:sub") == repo.head
        assert git.status(str(outer)) == Status()

    def test_a_shallow_clone_merges_what_it_has(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.commit("second", {"second": "x\n"})
        repo.git("clone", "-q", "--depth=1", f"file://{repo}", str(tmp_path / "shallow"))
        shallow = Scratch(tmp_path / "shallow", repo.environment)
        shallow.git("checkout", "-q", "-b", "work")
        for number in range(2):
            shallow.commit(f"work {number}", {f"work {number}": "x\n"})
        shallow.git("checkout", "-q", "main")
        shallow.commit("main", {"main": "x\n"})
        for style in STYLES:
            shallow.git("branch", "-f", f"into-{style}", "main")
            git.merge(str(shallow), source="work", target_branch=f"into-{style}", style=style, message="m")
            assert shallow.tree_of(f"into-{style}") == self.merged_tree(shallow, "main", "work")

    def test_a_conflict_in_the_middle_of_a_rebase(self, git: Git, forked: Scratch) -> None:
        """Commits that contradict the target, and are taken back later: a merge is clean, a rebase is not."""
        forked.git("checkout", "-q", "work")
        text = forked.read("README")
        forked.commit("there", {"README": text.replace("line 1\n", "contradiction\n")})
        forked.commit("and back", {"README": text})
        forked.git("checkout", "-q", "main")
        before = forked.state()
        with pytest.raises(MergeConflict) as conflict:
            git.merge(str(forked), source="work", target_branch="main", style=MergeStyle.REBASE, message="m")
        assert conflict.value.paths == ("README",)
        assert forked.state() == before
        assert git.merge(str(forked), source="work", target_branch="main", message="m").changed

    # --- Crashes and races --------------------------------------------------------------------------------------------

    def tear(self, repo: Scratch, commit: str, old: str) -> None:
        """Leave `repo` as a crash does between moving the branch and bringing the files along."""
        repo.git("reset", "-q", "--hard", old)
        repo.git("update-ref", "refs/heads/main", commit)

    @pytest.mark.parametrize("style", STYLES)
    def test_a_merge_torn_by_a_crash_is_finished_by_doing_it_again(
        self, git: Git, forked: Scratch, style: MergeStyle
    ) -> None:
        old = forked.head

        def again() -> tuple[str, bool, str | None]:
            done = git.merge(
                str(forked), source="work", target_branch="main", expected=old, style=style, message="m", keep=KEEP
            )
            return done.commit, done.changed, done.checkout

        commit, _, _ = again()
        assert again() == (commit, False, None)
        self.tear(forked, commit, old)
        forked.write("main", "my change\n")
        forked.write("mine", "mine\n")
        assert again() == (commit, False, str(forked))
        assert forked.read("main") == "my change\n"
        assert git.status(str(forked)) == Status(unstaged=("main",), untracked=("mine",))
        assert dict(forked.files())["one"] == b"1\n"

    @pytest.mark.parametrize("style", STYLES)
    def test_a_merge_torn_in_the_middle_of_the_files(self, git: Git, forked: Scratch, style: MergeStyle) -> None:
        old = forked.head
        merge = partial(git.merge, str(forked), source="work", target_branch="main", message="m", keep=KEEP)
        commit = merge(style=style).commit
        self.tear(forked, commit, old)
        forked.write("one", forked.show(commit, "one"))
        forked.write("README", forked.show(commit, "README"))
        (forked.path / "src" / "app.py").unlink()
        assert not merge(style=style).changed
        assert forked.porcelain() == ""

    def test_a_merge_torn_before_the_branch_moved_is_done(self, git: Git, forked: Scratch) -> None:
        old = forked.head
        merge = partial(git.merge, str(forked), source="work", target_branch="main", message="m", keep=KEEP)
        commit = merge().commit
        forked.git("reset", "-q", "--hard", old)
        done = merge()
        assert done.changed
        assert forked.tree_of("main") == forked.tree_of(commit)

    @pytest.mark.parametrize("style", STYLES)
    def test_more_work_on_a_merged_branch_is_merged(self, git: Git, forked: Scratch, style: MergeStyle) -> None:
        merge = partial(git.merge, str(forked), source="work", target_branch="main", message="m", keep=KEEP)
        merge()
        forked.git("checkout", "-q", "work")
        forked.commit("more", {"more": "x\n"})
        forked.git("checkout", "-q", "main")
        assert merge(style=style).changed
        assert forked.read("more") == "x\n"

    def test_of_two_merges_at_once_into_what_was_expected_one_wins(self, git: Git, repo: Scratch) -> None:
        old = repo.head
        for number in range(4):
            repo.git("checkout", "-q", "-b", f"work-{number}", "main")
            repo.commit(f"work {number}", {f"file-{number}": "x\n"})
        repo.git("checkout", "-q", "main")

        def merge(number: int, expected: str | None) -> bool:
            try:
                git.merge(
                    str(repo), source=f"work-{number}", target_branch="main", expected=expected, message=f"{number}"
                )
            except RefChanged:
                return False
            return True

        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(lambda number: merge(number, old), range(4)))
        assert won.count(True) == 1
        assert repo.git("rev-list", "--count", "--first-parent", f"{old}..main") == "1"
        assert repo.porcelain() == ""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: merge(number, None), range(4)))
        assert {f"file-{number}" for number in range(4)} <= set(repo.names("main"))
        assert repo.porcelain() == ""

    def test_an_error_on_the_way_to_the_files_takes_the_merge_back(self, git: Git, forked: Scratch) -> None:
        (forked.path / ".git" / "index.lock").touch()
        before = forked.state()
        with pytest.raises(GitError, match=r"index\.lock"):
            git.merge(str(forked), source="work", target_branch="main", message="m")
        assert forked.state() == before
