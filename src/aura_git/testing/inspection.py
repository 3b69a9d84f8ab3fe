"""The part of the conformance suite about reading: inspect, status, operation."""

import os
import shutil
from pathlib import Path

import pytest

from aura_contracts.errors import NotARepository
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import ChangeKind, Operation, Status
from aura_git.testing.repositories import LINK_TARGETS, Conformance, MakeGit, Scratch, weird_names


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
