"""The part of the conformance suite about merges: prediction, styles, uncommitted work."""

import os
from pathlib import Path

import pytest

from aura_contracts.errors import (
    DirtyWorktree,
    GitFailed,
    MergeConflict,
    OperationInProgress,
    RefChanged,
    UnknownRevision,
)
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import Status
from aura_contracts.workspace import MergeStyle
from aura_git.testing.repositories import Conformance, Scratch

KEEP = "refs/aura/kept"
STYLES = tuple(MergeStyle)


class MergeConformance(Conformance):
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
