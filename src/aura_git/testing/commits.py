"""The part of the conformance suite about recording work: stage, commit."""

import os
from pathlib import Path

import pytest

from aura_contracts.errors import OperationInProgress
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import Status
from aura_git.testing.repositories import LINK_TARGETS, Conformance, Scratch, weird_names


class CommitConformance(Conformance):
    # --- stage --------------------------------------------------------------------------------------------------------

    def test_stage_takes_everything_that_is_not_ignored(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.commit("more", {"gone": "x\n", "exe": "x\n", "file": "x\n", "folder/a": "x\n"})
        names = weird_names(tmp_path)
        for name in names:
            repo.write(name)
        repo.write("README", "changed\n")
        repo.write("ignored.log")
        (repo.path / "gone").unlink()
        (repo.path / "exe").chmod(0o755)
        (repo.path / "file").unlink()
        repo.write("file/now a folder")
        (repo.path / "folder/a").unlink()
        (repo.path / "folder").rmdir()
        repo.write("folder", "now a file")
        git.stage(str(repo))
        staged = repo.git("write-tree")
        repo.git("add", "-A")
        assert repo.git("write-tree") == staged
        assert git.status(str(repo)).unstaged == git.status(str(repo)).untracked == ()
        git.stage(str(repo))
        assert repo.git("write-tree") == staged

    def test_stage_takes_chosen_paths(self, git: Git, repo: Scratch) -> None:
        repo.commit("more", {"gone": "x\n", "src/deep/x": "x\n"})
        for name in ("README", "src/app.py", "src/deep/x", "src/new", "new", "*"):
            repo.write(name, "changed\n")
        (repo.path / "gone").unlink()
        git.stage(str(repo), ["gone", "src", "*"])
        assert git.status(str(repo)) == Status(
            staged=("*", "gone", "src/app.py", "src/deep/x", "src/new"), unstaged=("README",), untracked=("new",)
        )

    def test_what_is_unstaged_stays_in_the_worktree(self, git: Git, repo: Scratch) -> None:
        for name in ("new", "-other", "stays"):
            repo.write(name)
        git.stage(str(repo))
        git.unstage_added(str(repo), ["new", "-other"])
        assert git.status(str(repo)) == Status(staged=("stays",), untracked=("-other", "new"))

    def test_stage_resolves_conflicts(self, git: Git, repo: Scratch) -> None:
        repo.git("checkout", "-q", "-b", "side")
        repo.commit("theirs", {"README": "theirs\n"})
        repo.git("checkout", "-q", "main")
        repo.commit("ours", {"README": "ours\n"})
        repo.git("merge", "side", codes=(1,))
        with pytest.raises(OperationInProgress):
            git.commit(str(repo), "too early")
        repo.write("README", "both\n")
        git.stage(str(repo))
        assert git.status(str(repo)) == Status(staged=("README",))
        commit = git.commit(str(repo), "resolved")
        assert repo.git("rev-list", "--parents", "-n1", "HEAD").split()[0] == commit
        assert repo.git("rev-parse", "HEAD^2") == repo.commit_of("side")
        assert git.operation(str(repo)) is None

    def test_stage_leaves_repositories_inside_alone(self, git: Git, repo: Scratch) -> None:
        inner = Scratch(repo.path / "inner", repo.environment)
        inner.path.mkdir()
        inner.git("init", "-q")
        repo.write("new")
        git.stage(str(repo))
        inner.commit("inside", {"file": "x\n"})
        git.stage(str(repo))
        assert git.status(str(repo)).staged == ("new",)

    # --- commit -------------------------------------------------------------------------------------------------------

    def test_commit_takes_what_is_staged(self, git: Git, repo: Scratch) -> None:
        parent = repo.head
        repo.write("staged")
        repo.git("add", "staged")
        repo.write("README", "changed\n")
        commit = git.commit(str(repo), "A title\n\n# not a comment\nbody äöü\n")
        assert commit == repo.head == repo.commit_of("main")
        assert repo.git("rev-parse", "HEAD^") == parent
        assert repo.git("log", "-1", "--format=%B").rstrip() == "A title\n\n# not a comment\nbody äöü"
        assert git.status(str(repo)) == Status(unstaged=("README",))
        assert repo.git("log", "-1", "--format=%an %ae %cn %ce") == "AURA aura@localhost AURA aura@localhost"
        assert repo.git("reflog", "-1", "--format=%H", "main") == commit

    def test_commit_of_nothing_is_none(self, git: Git, repo: Scratch) -> None:
        repo.write("README", "changed\n")
        before = repo.head
        assert git.commit(str(repo), "nothing") is None
        assert repo.head == before
        commit = git.commit(str(repo), "empty", allow_empty=True)
        assert commit == repo.head != before
        assert repo.tree_of("HEAD") == repo.tree_of("HEAD^")

    def test_the_first_commit(self, git: Git, empty: Scratch) -> None:
        assert git.commit(str(empty), "nothing") is None
        empty.write("a")
        git.stage(str(empty))
        commit = git.commit(str(empty), "first")
        assert commit == empty.head == empty.commit_of("main")
        assert empty.git("rev-list", "--count", "HEAD") == "1"

    def test_commit_on_a_detached_head(self, git: Git, repo: Scratch) -> None:
        main = repo.head
        repo.git("checkout", "-q", "--detach")
        repo.write("a")
        git.stage(str(repo))
        assert git.commit(str(repo), "detached") == repo.head
        assert repo.commit_of("main") == main

    def test_commits_are_in_the_name_of_the_configured_user(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        config = str(tmp_path / "home" / ".gitconfig")
        repo.git("config", "--file", config, "user.name", "Glöbal")
        repo.git("config", "--file", config, "user.email", "global@example.org")
        git.commit(str(repo), "one", allow_empty=True)
        assert (
            repo.git("log", "-1", "--format=%an %ae %cn %ce") == "Glöbal global@example.org Glöbal global@example.org"
        )
        repo.git("config", "user.name", "Local")
        repo.git("config", "user.email", "local@example.org")
        git.commit(str(repo), "two", allow_empty=True)
        assert repo.git("log", "-1", "--format=%an %ae %cn %ce") == "Local local@example.org Local local@example.org"

    @pytest.mark.parametrize("target", LINK_TARGETS)
    def test_stage_takes_a_folder_that_became_a_link(
        self, git: Git, repo: Scratch, tmp_path: Path, target: str
    ) -> None:
        self.make_link_of_folder(repo, tmp_path, target)
        git.stage(str(repo), ["dir/a"])
        assert repo.names(repo.git("write-tree")) == [".gitignore", "README", "dir/sub/b", "src/app.py"]
        git.stage(str(repo))
        assert git.status(str(repo)) == Status(staged=("dir", "dir/a", "dir/sub/b"))
        commit = git.commit(str(repo), "link")
        assert commit is not None
        assert repo.names(commit) == [".gitignore", "README", "dir", "src/app.py"]
        assert repo.porcelain() == ""

    def test_more_names_than_a_command_line_holds(self, git: Git, repo: Scratch) -> None:
        length = os.pathconf(repo.path, "PC_PATH_MAX") // 2
        folder = "/".join(["a-rather-long-name-for-a-folder-that-makes-the-list-of-names-long"] * (length // 66))
        for number in range(min(os.sysconf("SC_ARG_MAX") // len(folder) + 1, 3000)):
            repo.write(f"{folder}/{number}", "")
        git.stage(str(repo))
        assert git.commit(str(repo), "many")
        assert git.status(str(repo)) == Status()
