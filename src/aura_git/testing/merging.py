"""The part of the conformance suite about predicting and doing merges."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from shutil import rmtree

import pytest

from aura_contracts.errors import (
    DirtyWorktree,
    GitError,
    GitFailed,
    MergeConflict,
    OperationInProgress,
    RefChanged,
    UnknownRevision,
)
from aura_contracts.ports.git import Git, Status
from aura_contracts.workspace import MergeStyle
from aura_git.testing.repositories import Conformance, Scratch

KEEP = "refs/aura/kept"
STYLES = tuple(MergeStyle)


class MergingConformance(Conformance):
    @pytest.fixture
    def conflicting(self, forked: Scratch) -> Scratch:
        """`forked`, and ``main`` contradicts ``work`` in two files."""
        forked.commit("contradict", {"README": "all new\n", "one": "uno\n"})
        return forked

    def merged_tree(self, repo: Scratch, ours: str, theirs: str) -> str:
        """Return the tree of a merge, by git itself."""
        return repo.git("merge-tree", "--write-tree", ours, theirs)

    # --- Predicting ---------------------------------------------------------------------------------------------------

    def test_a_clean_merge_is_predicted_with_its_tree(self, git: Git, forked: Scratch) -> None:
        before, base = forked.state(), forked.git("merge-base", "main", "work")
        found = git.predict_merge(str(forked), "main", "work")
        assert found.tree == self.merged_tree(forked, "main", "work")
        assert (found.conflicts, found.merge_base, found.already_merged) == ((), base, False)
        assert forked.state() == before

    def test_a_conflict_is_predicted_with_its_paths(self, git: Git, conflicting: Scratch) -> None:
        before = conflicting.state()
        found = git.predict_merge(str(conflicting), "main", "work")
        assert found.conflicts == ("README", "one")
        assert found.tree is None
        assert conflicting.state() == before

    def test_what_is_merged_already_is_said_to_be(self, git: Git, forked: Scratch) -> None:
        base = forked.git("merge-base", "main", "work")
        for source in (base, "main"):
            found = git.predict_merge(str(forked), "main", source)
            assert found.already_merged
            assert found.tree == forked.tree_of("main")
        assert git.predict_merge(str(forked), base, "main").tree == forked.tree_of("main")

    @pytest.mark.parametrize(
        ("ours", "theirs", "conflicts"),
        [
            ({"README": None}, {"README": "changed\n"}, ("README",)),  # deleted and changed
            ({"new": "a\n"}, {"new": "b\n"}, ("new",)),  # both added
            ({"new": "a\n"}, {"new": "a\n"}, ()),  # both added the same
            ({"README": None}, {"README": None}, ()),  # both deleted
            ({"bin": b"\0a"}, {"bin": b"\0b"}, ("bin",)),
        ],
    )
    def test_changes_on_both_sides(
        self,
        git: Git,
        repo: Scratch,
        ours: dict[str, str | bytes | None],
        theirs: dict[str, str | bytes | None],
        conflicts: tuple[str, ...],
    ) -> None:
        repo.git("checkout", "-q", "-b", "work")
        repo.commit("theirs", theirs)
        repo.git("checkout", "-q", "main")
        repo.commit("ours", ours)
        found = git.predict_merge(str(repo), "main", "work")
        assert found.conflicts == conflicts
        if not conflicts:
            assert found.tree == self.merged_tree(repo, "main", "work")

    def test_a_rename_on_one_side_and_a_change_on_the_other(self, git: Git, repo: Scratch) -> None:
        text = repo.read("README")
        repo.git("checkout", "-q", "-b", "work")
        repo.commit("theirs", {"README": text.replace("line 9", "line nine")})
        repo.git("checkout", "-q", "main")
        repo.commit("ours", {"README": None, "docs/README": text})
        found = git.predict_merge(str(repo), "main", "work")
        assert found.conflicts == ()
        assert found.tree == self.merged_tree(repo, "main", "work")

    def test_modes_links_and_names_are_merged(self, git: Git, repo: Scratch) -> None:
        weird = os.fsdecode(b"l\xe9 \n")
        repo.commit("base", {weird: "a\nb\nc\nd\ne\nf\n", "exe": "x\n"})
        repo.git("checkout", "-q", "-b", "work")
        (repo.path / "exe").chmod(0o755)
        (repo.path / "link").symlink_to("exe")
        repo.commit("theirs", {weird: "A\nb\nc\nd\ne\nf\n"})
        repo.git("checkout", "-q", "main")
        repo.commit("ours", {weird: "a\nb\nc\nd\ne\nF\n", "exe": "y\n"})
        assert git.predict_merge(str(repo), "main", "work").tree == self.merged_tree(repo, "main", "work")
        assert git.merge(str(repo), source="work", target_branch="main", message="m").changed
        assert repo.porcelain() == ""
        assert (repo.path / "link").is_symlink()
        assert os.access(repo.path / "exe", os.X_OK)

    @pytest.mark.parametrize("whose", ["the repository's", "the user's"])
    def test_merge_drivers_are_not_run(self, git: Git, repo: Scratch, tmp_path: Path, whose: str) -> None:
        file = ("--file", str(tmp_path / "home" / ".gitconfig")) if whose == "the user's" else ()
        for name in ("mine", "Other.one = two"):
            repo.git("config", *file, f"merge.{name}.driver", f"touch '{tmp_path}/sprung'")
        repo.git("config", *file, "merge.default", "mine")
        repo.git("config", *file, "merge.mine.recursive", "Other.one = two")
        contents = {"binary": b"\0\n", "x": b"x\n", "y": b"y\n"}
        repo.commit("base", {".gitattributes": "x merge=mine\nbinary merge=mine\n", **contents})
        repo.git("checkout", "-q", "-b", "work")
        repo.commit("theirs", {name: b"theirs " + content for name, content in contents.items()})
        repo.git("checkout", "-q", "main")
        repo.commit("ours", {name: b"ours " + content for name, content in contents.items()})
        before = repo.state()
        assert git.predict_merge(str(repo), "main", "work").conflicts == ("binary", "x", "y")
        for style in STYLES:
            with pytest.raises(MergeConflict) as conflict:
                git.merge(str(repo), source="work", target_branch="main", style=style, message="m")
            assert conflict.value.paths == ("binary", "x", "y")
        assert repo.state() == before
        assert not (tmp_path / "sprung").exists()

    def test_a_file_against_a_folder_is_a_conflict(self, git: Git, repo: Scratch) -> None:
        repo.git("checkout", "-q", "-b", "work")
        repo.commit("theirs", {"x/file": "a\n"})
        repo.git("checkout", "-q", "main")
        repo.commit("ours", {"x": "b\n"})
        assert git.predict_merge(str(repo), "main", "work").conflicts

    def test_crossed_histories_are_merged(self, git: Git, forked: Scratch) -> None:
        main, work = forked.commit_of("main"), forked.commit_of("work")
        forked.git("merge", "-q", "-m", "one way", work)
        forked.git("checkout", "-q", "work")
        forked.git("merge", "-q", "-m", "other way", main)
        forked.commit("on", {"after": "x\n"})
        forked.git("checkout", "-q", "main")
        found = git.predict_merge(str(forked), "main", "work")
        assert found.conflicts == ()
        assert found.tree == self.merged_tree(forked, "main", "work")

    def test_unrelated_histories_are_not_merged(self, git: Git, repo: Scratch) -> None:
        repo.git("checkout", "-q", "--orphan", "other")
        repo.commit("other", {"other": "x\n"})
        repo.git("checkout", "-q", "main")
        before = repo.state()
        for style in STYLES:
            with pytest.raises((GitFailed, MergeConflict)):
                git.merge(str(repo), source="other", target_branch="main", style=style, message="m")
        with pytest.raises((GitFailed, MergeConflict)):
            git.predict_merge(str(repo), "main", "other")
        assert repo.state() == before

    # --- Merging into what is checked out -----------------------------------------------------------------------------

    def test_a_merge_commit(self, git: Git, forked: Scratch) -> None:
        old, work, tree = forked.head, forked.commit_of("work"), self.merged_tree(forked, "main", "work")
        done = git.merge(str(forked), source="work", target_branch="main", message="Merge it\n\nbody\n", keep=KEEP)
        assert (done.previous, done.changed, done.checkout) == (old, True, str(forked))
        assert done.commit == forked.head == forked.commit_of("main") == forked.commit_of(KEEP)
        assert forked.tree_of("main") == tree
        assert forked.git("rev-parse", "HEAD^1", "HEAD^2").split() == [old, work]
        assert forked.git("log", "-1", "--format=%B").rstrip() == "Merge it\n\nbody"
        assert forked.git("log", "-1", "--format=%an %ce") == "AURA aura@localhost"
        assert forked.porcelain() == ""
        assert git.status(str(forked)) == Status()
        assert not (forked.path / "src" / "app.py").exists()
        assert done.commit in forked.git("reflog", "--no-abbrev", "HEAD")

    def test_a_merge_commit_is_made_where_it_could_go_forward(self, git: Git, repo: Scratch) -> None:
        repo.git("branch", "old")
        new = repo.commit("new", {"new": "x\n"})
        done = git.merge(str(repo), source="main", target_branch="old", message="m")
        assert done.commit not in {new, done.previous}
        assert done.checkout is None
        assert repo.tree_of("old") == repo.tree_of(new)

    def test_a_squash_is_one_commit(self, git: Git, forked: Scratch) -> None:
        old, tree = forked.head, self.merged_tree(forked, "main", "work")
        done = git.merge(str(forked), source="work", target_branch="main", style=MergeStyle.SQUASH, message="All\n")
        assert done.commit == forked.head
        assert forked.git("rev-list", "--parents", "-n1", "HEAD").split() == [done.commit, old]
        assert forked.tree_of("HEAD") == tree
        assert forked.porcelain() == ""

    def test_a_rebase_keeps_authors_dates_and_messages(self, git: Git, forked: Scratch) -> None:
        old, tree = forked.head, self.merged_tree(forked, "main", "work")
        form = "--format=%an <%ae> %ad %B"
        done = git.merge(str(forked), source="work", target_branch="main", style=MergeStyle.REBASE, message="unused")
        assert done.commit == forked.head
        assert forked.tree_of("HEAD") == tree
        assert forked.git("log", form, f"{old}..main") == forked.git("log", form, f"{old}..work")
        assert forked.git("rev-list", "--min-parents=2", f"{old}..main") == ""
        assert forked.git("rev-parse", "main~3") == old
        assert forked.git("log", "-1", "--format=%cn") == "AURA"
        assert forked.porcelain() == ""

    def test_a_rebase_of_odd_commits(self, git: Git, forked: Scratch) -> None:
        forked.git("checkout", "-q", "work")
        forked.write("latin", "x\n")
        forked.git("add", "-A")
        forked.git("config", "i18n.commitEncoding", "latin1")
        forked.run("commit", "-q", "--cleanup=verbatim", "-F", "-", stdin=b"\xe9t\xe9\n\n\n  odd  \n")
        forked.git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
        forked.git("checkout", "-q", "main")
        git.merge(str(forked), source="work", target_branch="main", style=MergeStyle.REBASE, message="")
        raw = forked.run("cat-file", "commit", "main~1")
        assert raw.endswith(b"\n\n\xe9t\xe9\n\n\n  odd  \n")
        assert b"\nencoding " in raw
        assert forked.run("cat-file", "commit", "main").endswith(b"\n\n")

    def test_a_rebase_leaves_out_what_the_target_has(self, git: Git, forked: Scratch) -> None:
        forked.git("cherry-pick", "work~2")
        old = forked.head
        git.merge(str(forked), source="work", target_branch="main", style=MergeStyle.REBASE, message="")
        assert forked.git("log", "--format=%s", f"{old}..main").split("\n") == ["work two", "nothing in it"]

    def test_a_rebase_goes_forward_where_it_can(self, git: Git, repo: Scratch) -> None:
        repo.git("branch", "old")
        new = repo.commit("new", {"new": "x\n"})
        done = git.merge(str(repo), source="main", target_branch="old", style=MergeStyle.REBASE, message="m")
        assert done.commit == new

    def test_a_rebase_does_not_lose_what_a_merge_in_it_holds(self, git: Git, conflicting: Scratch) -> None:
        conflicting.git("checkout", "-q", "work")
        conflicting.git("merge", "main", codes=(1,))
        work = conflicting.commit("resolved", {"README": "resolved\n", "one": "resolved\n"})
        conflicting.git("checkout", "-q", "main")
        before = conflicting.state()
        with pytest.raises(MergeConflict):
            git.merge(str(conflicting), source=work, target_branch="main", style=MergeStyle.REBASE, message="")
        assert conflicting.state() == before
        git.merge(str(conflicting), source=work, target_branch="main", style=MergeStyle.SQUASH, message="")
        assert conflicting.tree_of("main") == conflicting.tree_of(work)

    @pytest.mark.parametrize("style", STYLES)
    def test_nothing_to_merge_changes_nothing(self, git: Git, forked: Scratch, style: MergeStyle) -> None:
        base = forked.git("merge-base", "main", "work")
        before = forked.state()
        done = git.merge(str(forked), source=base, target_branch="main", style=style, message="m", keep=KEEP)
        assert (done.commit, done.previous, done.changed) == (forked.head, forked.head, False)
        assert forked.state() == before

    @pytest.mark.parametrize("style", STYLES)
    def test_a_conflict_touches_nothing(self, git: Git, conflicting: Scratch, style: MergeStyle) -> None:
        conflicting.write("mine")
        before = conflicting.state()
        with pytest.raises(MergeConflict) as conflict:
            git.merge(str(conflicting), source="work", target_branch="main", style=style, message="m", keep=KEEP)
        assert set(conflict.value.paths) == {"README", "one"}
        assert conflicting.state() == before

    @pytest.mark.parametrize("style", STYLES)
    def test_a_branch_that_moved_is_not_merged_into(self, git: Git, forked: Scratch, style: MergeStyle) -> None:
        before = forked.state()
        stale = forked.git("rev-parse", "main^")
        with pytest.raises(RefChanged) as changed:
            git.merge(
                str(forked), source="work", target_branch="main", expected=stale, style=style, message="m", keep=KEEP
            )
        assert (changed.value.expected, changed.value.actual) == (stale, forked.head)
        assert forked.state() == before
        done = git.merge(
            str(forked), source="work", target_branch="main", expected=forked.head, style=style, message="m"
        )
        assert done.changed

    def test_merging_with_what_is_not_there(self, git: Git, forked: Scratch) -> None:
        with pytest.raises(UnknownRevision):
            git.merge(str(forked), source="nope", target_branch="main", message="m")
        with pytest.raises(UnknownRevision):
            git.merge(str(forked), source="work", target_branch="nope", message="m")

    # --- Uncommitted work ---------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("style", STYLES)
    def test_other_work_stays_as_it_is(self, git: Git, forked: Scratch, style: MergeStyle) -> None:
        forked.write("main", "my change\r\n")
        forked.write("deep/mine", "mine\n")
        forked.write("build.log", "mine\n")
        (forked.path / ".gitignore").unlink()
        inode = (forked.path / "main").stat().st_ino
        git.merge(str(forked), source="work", target_branch="main", style=style, message="m")
        assert (forked.path / "main").stat().st_ino == inode
        assert (forked.path / "main").read_bytes() == b"my change\r\n"
        assert git.status(str(forked)) == Status(unstaged=(".gitignore", "main"), untracked=("build.log", "deep/mine"))
        assert forked.read("deep/two") == "2\n"

    @pytest.mark.parametrize(
        ("style", "name", "content", "told"),
        [
            ("merge", "README", "mine\n", "README"),  # changed on both sides
            ("squash", "README", None, "README"),  # deleted here
            ("rebase", "src/app.py", "mine\n", "src/app.py"),  # deleted by the merge
            ("merge", "deep/two", "mine\n", "deep/two"),  # untracked, where a new file will be
            ("squash", "deep/two", "2\n", "deep/two"),  # even if it is the same
            ("rebase", "deep", "mine\n", "deep"),  # untracked, where a folder will be
            ("merge", "one/mine", "mine\n", "one/mine"),  # a folder of untracked files, where a file will be
        ],
    )
    def test_work_in_the_way_stops_it_before_anything(
        self, git: Git, forked: Scratch, style: str, name: str, content: str | None, told: str
    ) -> None:
        """Whatever the style is: one is tried for each case."""
        if content is None:
            (forked.path / name).unlink()
        else:
            forked.write(name, content)
        before = forked.state()
        with pytest.raises(DirtyWorktree) as dirty:
            git.merge(str(forked), source="work", target_branch="main", style=MergeStyle(style), message="m", keep=KEEP)
        assert dirty.value.paths == (told,)
        assert dirty.value.worktree == str(forked)
        assert forked.state() == before

    def test_an_ignored_file_in_the_way_counts(self, git: Git, repo: Scratch) -> None:
        repo.git("checkout", "-q", "-b", "work")
        repo.write("a.log", "theirs\n")
        repo.git("add", "-f", "a.log")
        repo.commit("theirs")
        repo.git("checkout", "-q", "main")
        repo.write("a.log", "mine\n")
        before = repo.state()
        with pytest.raises(DirtyWorktree):
            git.merge(str(repo), source="work", target_branch="main", message="m")
        assert repo.state() == before

    def test_anything_staged_stops_it(self, git: Git, forked: Scratch) -> None:
        forked.write("staged")
        forked.git("add", "staged")
        before = forked.state()
        with pytest.raises(DirtyWorktree) as dirty:
            git.merge(str(forked), source="work", target_branch="main", message="m")
        assert dirty.value.paths == ("staged",)
        assert forked.state() == before

    def test_a_file_that_was_only_touched_is_not_in_the_way(self, git: Git, forked: Scratch) -> None:
        os.utime(forked.path / "README", (1_000_000_000, 1_000_000_000))
        assert git.merge(str(forked), source="work", target_branch="main", message="m").changed
        assert forked.porcelain() == ""

    @pytest.mark.parametrize("command", ["merge", "cherry-pick", "rebase"])
    def test_an_operation_in_the_target_stops_it(self, git: Git, conflicting: Scratch, command: str) -> None:
        conflicting.git("branch", "free", "main~1")
        free = conflicting.commit_of("free")
        conflicting.git("checkout", "-q", "-b", "other", "main~2")
        other = conflicting.commit("other", {"other": "x\n"})
        conflicting.git("checkout", "-q", "main")
        conflicting.git(command, "work" if command != "cherry-pick" else "work~2", codes=(1,))
        before = conflicting.state()
        with pytest.raises(OperationInProgress) as under_way:
            git.merge(str(conflicting), source=other, target_branch="main", message="m", keep=KEEP)
        assert under_way.value.operation == command
        assert conflicting.state() == before
        assert git.merge(str(conflicting), source=other, target_branch="free", message="m").previous == free

    def test_folders_and_files_that_change_places(self, git: Git, repo: Scratch) -> None:
        repo.commit("base", {"a/x": "1\n", "b": "2\n"})
        repo.git("checkout", "-q", "-b", "work")
        (repo.path / "a" / "x").unlink()
        (repo.path / "a").rmdir()
        (repo.path / "b").unlink()
        repo.commit("swap", {"a": "now a file\n", "b/y": "now a folder\n"})
        repo.git("checkout", "-q", "main")
        repo.write("a/mine", "mine\n")
        before = repo.state()
        with pytest.raises(DirtyWorktree):
            git.merge(str(repo), source="work", target_branch="main", message="m")
        assert repo.state() == before
        (repo.path / "a" / "mine").unlink()
        git.merge(str(repo), source="work", target_branch="main", message="m")
        assert repo.porcelain() == ""
        assert repo.read("a") == "now a file\n"

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
