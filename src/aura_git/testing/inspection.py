"""The part of the conformance suite about reading: inspect, names, history, status, diff."""

import os
import shutil
from pathlib import Path

import pytest

from aura_contracts.errors import InvalidBranchName, NotARepository, UnknownRevision
from aura_contracts.ports.git import ChangeKind, FileChange, Git, Operation, Status
from aura_git.testing.repositories import LINK_TARGETS, Conformance, MakeGit, Scratch, weird_names

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


class InspectionConformance(Conformance):
    # --- inspect ------------------------------------------------------------------------------------------------------

    def test_inspect_tells_the_worktree_from_any_folder_below(self, git: Git, repo: Scratch) -> None:
        info = git.inspect(str(repo.path / "src"))
        assert info.worktree == str(repo)
        assert info.git_dir == info.common_dir == str(repo.path / ".git")
        assert (info.branch, info.head) == ("main", repo.head)
        assert (info.bare, info.linked) == (False, False)
        assert git.inspect(str(repo)) == info

    def test_inspect_tells_a_linked_worktree(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.git("worktree", "add", "-q", "-b", "work", str(tmp_path / "linked"))
        info = git.inspect(str(tmp_path / "linked"))
        assert info.linked
        assert info.common_dir == str(repo.path / ".git")
        assert info.git_dir == str(repo.path / ".git" / "worktrees" / "linked")
        assert (info.worktree, info.branch) == (str(tmp_path / "linked"), "work")

    def test_inspect_tells_a_bare_repository(self, git: Git, bare: Scratch) -> None:
        info = git.inspect(str(bare))
        assert info.bare
        assert info.worktree is None
        assert (info.git_dir, info.common_dir) == (str(bare), str(bare))
        assert (info.branch, info.head) == ("main", bare.head)

    def test_inspect_tells_an_empty_repository(self, git: Git, empty: Scratch) -> None:
        info = git.inspect(str(empty))
        assert (info.branch, info.head) == ("main", None)

    def test_inspect_tells_a_detached_head(self, git: Git, repo: Scratch) -> None:
        repo.git("checkout", "-q", "--detach")
        info = git.inspect(str(repo))
        assert (info.branch, info.head) == (None, repo.head)

    @pytest.fixture
    def with_submodule(self, repo: Scratch, tmp_path: Path) -> Scratch:
        """A repository with `repo` as submodule ``sub``."""
        path = tmp_path / "super"
        path.mkdir()
        outer = Scratch(path, repo.environment)
        outer.git("init", "-q", "-b", "main")
        outer.git("-c", "protocol.file.allow=always", "submodule", "-q", "add", str(repo), "sub")
        outer.commit("with submodule", {"file": "x\n"})
        return outer

    @pytest.mark.parametrize("name", ["with space", "new\nline", "ä", 'a "quoted" one', "back\\slash", "co:lon"])
    def test_repositories_may_be_called_anything(self, git: Git, repo: Scratch, tmp_path: Path, name: str) -> None:
        moved = Scratch(tmp_path / name, repo.environment)
        repo.path.rename(moved.path)
        info = git.inspect(str(moved))
        assert (info.worktree, info.git_dir) == (str(moved), str(moved.path / ".git"))
        moved.write("new")
        assert git.status(str(moved)).untracked == ("new",)
        moved.write("README", "changed\n")
        assert [change.path for change in git.diff(str(moved), "HEAD").files] == ["README", "new"]

    def test_where_there_is_no_repository_everything_says_so(self, git: Git, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "missing"):
            for call in (
                git.inspect,
                git.status,
                git.operation,
                git.stage,
                git.list_worktrees,
                lambda where: git.resolve(where, "HEAD"),
                lambda where: git.find_ref(where, "refs/heads/main"),
                lambda where: git.switch_worktree(where, "main"),
                lambda where: git.snapshot(where, "refs/aura/s", ""),
            ):
                with pytest.raises(NotARepository):
                    call(str(path))

    def test_a_repository_that_is_deleted_is_none_any_more(self, git: Git, repo: Scratch) -> None:
        assert git.status(str(repo)) == Status()
        shutil.rmtree(repo.path)
        with pytest.raises(NotARepository):
            git.status(str(repo))

    def test_a_repository_around_a_worktree_is_not_meant(self, git: Git, repo: Scratch) -> None:
        (repo.path / "lost").mkdir()
        before = repo.state()
        for call in (git.status, git.stage, git.operation):
            with pytest.raises(NotARepository):
                call(str(repo.path / "lost"))
        with pytest.raises(NotARepository):
            git.switch_worktree(str(repo.path / "lost"), "main")
        with pytest.raises(NotARepository):
            git.restore(str(repo.path / "lost"), repo.head)
        assert repo.state() == before

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

    # --- status -------------------------------------------------------------------------------------------------------

    def test_a_fresh_commit_is_clean(self, git: Git, repo: Scratch) -> None:
        repo.write("build.log")
        assert git.status(str(repo)) == Status()
        assert not git.status(str(repo)).dirty

    def test_status_tells_apart_where_things_differ(self, git: Git, repo: Scratch) -> None:
        repo.commit("more", {"gone": "x\n", "removed": "x\n", "both": "x\n", "renamed": "y\n" * 9})
        repo.write("README", "changed\n")
        (repo.path / "gone").unlink()
        repo.git("rm", "-q", "removed")
        repo.git("mv", "renamed", "new name")
        repo.write("both", "staged\n")
        repo.git("add", "both")
        repo.write("both", "and changed\n")
        repo.write("folder/deep/untracked")
        repo.write("staged")
        repo.git("add", "staged")
        found = git.status(str(repo))
        assert found.staged == ("both", "new name", "removed", "renamed", "staged")
        assert found.unstaged == ("README", "both", "gone")
        assert found.untracked == ("folder/deep/untracked",)
        assert found.conflicted == ()
        assert found.dirty

    def test_status_knows_all_names(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        names = weird_names(tmp_path)
        for name in names:
            repo.write(name)
        assert git.status(str(repo)).untracked == tuple(sorted(names))
        repo.git("add", "-A")
        assert git.status(str(repo)).staged == tuple(sorted(names))
        repo.git("commit", "-q", "-m", "names")
        for name in names:
            repo.write(name, "changed\n")
        assert git.status(str(repo)).unstaged == tuple(sorted(names))

    def test_status_tells_conflicts(self, git: Git, repo: Scratch) -> None:
        self.make_conflict(repo, "merge")
        found = git.status(str(repo))
        assert found.conflicted == ("README",)
        assert "README" not in found.staged + found.unstaged + found.untracked

    def test_status_in_an_empty_repository(self, git: Git, empty: Scratch) -> None:
        empty.write("a")
        empty.write("b")
        empty.git("add", "a")
        assert git.status(str(empty)) == Status(staged=("a",), untracked=("b",))

    def test_status_sees_modes_types_and_links(self, git: Git, repo: Scratch) -> None:
        repo.commit("more", {"script": "#!/bin/sh\n", "file": "x\n"})
        (repo.path / "script").chmod(0o755)
        (repo.path / "file").unlink()
        (repo.path / "file").symlink_to("nowhere")
        (repo.path / "dangling").symlink_to("nowhere")
        found = git.status(str(repo))
        assert found == Status(unstaged=("file", "script"), untracked=("dangling",))

    def test_status_is_not_fooled_by_the_same_size_within_a_second(self, git: Git, repo: Scratch) -> None:
        repo.commit("racy", {"racy": "aaaa\n"})
        repo.write("racy", "bbbb\n")
        assert git.status(str(repo)).unstaged == ("racy",)

    def test_a_file_that_was_only_touched_is_unchanged(self, git: Git, repo: Scratch) -> None:
        os.utime(repo.path / "README", (1_000_000_000, 1_000_000_000))
        before = (repo.path / ".git" / "index").read_bytes()
        assert git.status(str(repo)) == Status()
        assert (repo.path / ".git" / "index").read_bytes() == before

    def test_ignore_rules_of_all_places(
        self, make_git: MakeGit, environment: dict[str, str], repo: Scratch, tmp_path: Path
    ) -> None:
        (tmp_path / "home" / "ignore").write_text("*.user\n")
        repo.git("config", "--file", str(tmp_path / "home" / ".gitconfig"), "core.excludesFile", "~/ignore")
        (repo.path / ".git" / "info").mkdir(exist_ok=True)
        (repo.path / ".git" / "info" / "exclude").write_text("*.info\n")
        repo.write("src/.gitignore", "!kept.log\nbuild/\n/top\n")
        for name in ("a.user", "a.info", "a.log", "src/kept.log", "src/build/x", "src/top", "src/deep/top", "top"):
            repo.write(name)
        found = make_git(environment).status(str(repo))
        assert found.untracked == ("src/.gitignore", "src/deep/top", "src/kept.log", "top")

    @pytest.mark.parametrize("target", LINK_TARGETS)
    def test_what_was_in_a_folder_that_became_a_link_is_gone(
        self, git: Git, repo: Scratch, tmp_path: Path, target: str
    ) -> None:
        self.make_link_of_folder(repo, tmp_path, target)
        assert git.status(str(repo)) == Status(unstaged=("dir/a", "dir/sub/b"), untracked=("dir",))
        assert [(change.path, change.kind) for change in git.diff(str(repo), "HEAD").files] == [
            ("dir", ChangeKind.ADDED),
            ("dir/a", ChangeKind.DELETED),
            ("dir/sub/b", ChangeKind.DELETED),
        ]
        (repo.path / ".gitignore").write_text("dir\n")
        assert git.status(str(repo)) == Status(unstaged=(".gitignore", "dir/a", "dir/sub/b"))

    def test_changes_in_a_submodule_are_unstaged_changes(self, git: Git, with_submodule: Scratch) -> None:
        assert git.status(str(with_submodule)) == Status()
        with_submodule.write("sub/README", "changed\n")
        assert git.status(str(with_submodule)) == Status(unstaged=("sub",))
        Scratch(with_submodule.path / "sub", with_submodule.environment).commit("inside")
        assert git.status(str(with_submodule)) == Status(unstaged=("sub",))

    def test_worktrees_of_the_repository_inside_of_it_are_no_files_of_it(self, git: Git, repo: Scratch) -> None:
        repo.git("worktree", "add", "-q", "-b", "work", str(repo.path / "trees" / "work"))
        assert git.status(str(repo)) == Status()
        git.stage(str(repo))
        assert git.commit(str(repo), "nothing") is None

    # --- operation ----------------------------------------------------------------------------------------------------

    def make_conflict(self, repo: Scratch, *command: str) -> None:
        """Have ``git <command> side`` stop with a conflict in ``README``."""
        repo.git("checkout", "-q", "-b", "side")
        repo.commit("theirs", {"README": "theirs\n", "clean": "x\n"})
        repo.git("checkout", "-q", "main")
        repo.commit("ours", {"README": "ours\n"})
        repo.git(*command, "side", codes=(1,))

    @pytest.mark.parametrize(
        ("command", "operation"),
        [("merge", Operation.MERGE), ("rebase", Operation.REBASE), ("cherry-pick", Operation.CHERRY_PICK)],
    )
    def test_operations_under_way(self, git: Git, repo: Scratch, command: str, operation: Operation) -> None:
        assert git.operation(str(repo)) is None
        self.make_conflict(repo, command)
        assert git.operation(str(repo)) is operation
        repo.git(command, "--abort")
        assert git.operation(str(repo)) is None

    def test_a_revert_a_bisection_and_a_mailbox_under_way(self, git: Git, repo: Scratch) -> None:
        first = repo.head
        second = repo.commit("second", {"README": "second\n"})
        repo.commit("third", {"README": "third\n"})
        repo.git("revert", "--no-edit", second, codes=(1,))
        assert git.operation(str(repo)) is Operation.REVERT
        repo.git("revert", "--abort")
        repo.git("bisect", "start", "HEAD", first)
        assert git.operation(str(repo)) is Operation.BISECT
        repo.git("bisect", "reset")
        repo.git("am", stdin=repo.run("format-patch", "--stdout", f"{first}..{second}"), codes=(128,))
        assert git.operation(str(repo)) is Operation.AM
        repo.git("am", "--abort")
        assert git.operation(str(repo)) is None

    def test_an_operation_in_a_linked_worktree_is_its_own(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.git("worktree", "add", "-q", "-b", "work", str(tmp_path / "linked"))
        linked = Scratch(tmp_path / "linked", repo.environment)
        linked.commit("theirs", {"README": "theirs\n"})
        repo.commit("ours", {"README": "ours\n"})
        linked.git("merge", "main", codes=(1,))
        assert git.operation(str(linked)) is Operation.MERGE
        assert git.operation(str(repo)) is None

    # --- diff ---------------------------------------------------------------------------------------------------------

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
            FileChange(path="README", kind=ChangeKind.MODIFIED, added=1, removed=0),
            FileChange(path="added", kind=ChangeKind.ADDED, added=3, removed=0),
            FileChange(path="bin", kind=ChangeKind.MODIFIED, added=None, removed=None),
            FileChange(path="exe", kind=ChangeKind.MODIFIED, added=0, removed=0),
            FileChange(path="gone", kind=ChangeKind.DELETED, added=0, removed=2),
            FileChange(path="new", kind=ChangeKind.RENAMED, old_path="old", added=0, removed=0),
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
            FileChange(path="docs/README", kind=ChangeKind.RENAMED, old_path="README", added=1, removed=1),
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
            FileChange(path="binary", kind=ChangeKind.ADDED, added=None, removed=None),
            FileChange(path="exe", kind=ChangeKind.MODIFIED, added=0, removed=0),
            FileChange(path="gone", kind=ChangeKind.DELETED, added=0, removed=1),
            FileChange(path="link", kind=ChangeKind.ADDED, added=1, removed=0),
            FileChange(path="new", kind=ChangeKind.RENAMED, old_path="old", added=0, removed=0),
            FileChange(path="staged", kind=ChangeKind.MODIFIED, added=1, removed=0),
            FileChange(path="untracked/deep", kind=ChangeKind.ADDED, added=2, removed=0),
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
            FileChange(path="announced", kind=ChangeKind.ADDED, added=1, removed=0),
            FileChange(path="changed", kind=ChangeKind.MODIFIED, added=1, removed=0),
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
            assert found.files == (FileChange(path="sub", kind=ChangeKind.MODIFIED, added=1, removed=1),)

    def test_diff_of_unknown_commits(self, git: Git, repo: Scratch) -> None:
        for base, target in (("nope", "HEAD"), ("HEAD", "nope"), ("nope", None)):
            with pytest.raises(UnknownRevision):
                git.diff(str(repo), base, target)

    def test_diff_in_a_bare_repository(self, git: Git, repo: Scratch, bare: Scratch) -> None:
        base = bare.head
        target = repo.commit("more", {"more": "x\n"})
        repo.git("push", "-q", str(bare), "main")
        assert [change.path for change in git.diff(str(bare), base, target).files] == ["more"]
