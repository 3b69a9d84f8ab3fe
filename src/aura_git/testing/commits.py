"""The part of the conformance suite about branches, refs, staging and committing."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aura_contracts.errors import (
    BranchInUse,
    GitError,
    InvalidBranchName,
    OperationInProgress,
    RefChanged,
    UnknownRevision,
)
from aura_contracts.ports.git import Git, Status
from aura_contracts.workspace import MergeStyle
from aura_git.testing.repositories import LINK_TARGETS, Conformance, MakeGit, Scratch, weird_names

HOOKS = (
    "commit-msg",
    "post-checkout",
    "post-commit",
    "post-index-change",
    "post-merge",
    "post-rewrite",
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
    "reference-transaction",
    "update",
)


class CommitConformance(Conformance):
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

    # --- Other people's settings --------------------------------------------------------------------------------------

    @pytest.fixture
    def hostile(self, repo: Scratch, tmp_path: Path, environment: dict[str, str], make_git: MakeGit) -> Git:
        """A backend for a user whose configuration gets in the way wherever it can."""
        config = str(tmp_path / "home" / ".gitconfig")
        trap = tmp_path / "trap"
        trap.write_text(f"#!/bin/sh\ntouch '{tmp_path}/sprung'\nexit 1\n")
        trap.chmod(0o755)
        hooks = tmp_path / "hooks"
        hooks.mkdir()
        for folder in (hooks, repo.path / ".git" / "hooks"):
            folder.mkdir(exist_ok=True)
            for hook in ("pre-commit", "commit-msg", "post-commit", "post-checkout", "reference-transaction"):
                (folder / hook).unlink(missing_ok=True)
                (folder / hook).symlink_to(trap)
        settings = {
            "core.hooksPath": str(hooks),
            "core.autocrlf": "true",
            "core.safecrlf": "true",
            "core.eol": "crlf",
            "core.quotePath": "false",
            "core.editor": str(trap),
            "core.pager": str(trap),
            "core.fsmonitor": str(trap),
            "commit.gpgSign": "true",
            "tag.gpgSign": "true",
            "gpg.program": str(trap),
            "commit.template": str(trap),
            "commit.cleanup": "strip",
            "diff.renames": "false",
            "diff.noprefix": "true",
            "diff.mnemonicPrefix": "true",
            "diff.external": str(trap),
            "diff.context": "0",
            "diff.ignoreSubmodules": "all",
            "merge.ff": "only",
            "merge.renames": "false",
            "merge.conflictStyle": "diff3",
            "rerere.enabled": "true",
            "status.showUntrackedFiles": "no",
            "status.renames": "copies",
            "status.relativePaths": "false",
            "color.ui": "always",
            "i18n.commitEncoding": "latin1",
            "i18n.logOutputEncoding": "latin1",
            "alias.status": f"!{trap}",
            "alias.commit": f"!{trap}",
            "log.showSignature": "true",
            "submodule.recurse": "true",
            "checkout.guess": "false",
            "branch.autoSetupMerge": "always",
            "user.useConfigOnly": "true",
            "safe.bareRepository": "explicit",
            "core.attributesFile": str(tmp_path / "attributes"),
        }
        for key, value in settings.items():
            repo.git("config", "--file", config, key, value)
        (tmp_path / "attributes").write_text("* text=auto eol=crlf\n")
        others = {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere/index", "GIT_WORK_TREE": "/nowhere"}
        return make_git({**environment, **others, "EDITOR": str(trap), "LANG": "de_DE.UTF-8", "LANGUAGE": "de"})

    def test_other_peoples_settings_change_nothing(self, hostile: Git, repo: Scratch, tmp_path: Path) -> None:
        base, where = repo.head, str(repo)
        repo.write("ä\n", "a\nb\n")
        repo.write("crlf", "a\r\nb\r\n")
        (repo.path / "README").rename(repo.path / "READ ME")
        status = hostile.status(where)
        assert status == Status(unstaged=("README",), untracked=("READ ME", "crlf", "ä\n"))
        found = hostile.diff(where, base, patch=True)
        assert [(change.path, change.old_path, change.added) for change in found.files] == [
            ("READ ME", "README", 0),
            ("crlf", None, 2),
            ("ä\n", None, 2),
        ]
        assert found.patch is not None
        assert b"rename from README" in found.patch
        assert b"+++ b/crlf" in found.patch
        hostile.stage(where)
        commit = hostile.commit(where, "Größe\n\n#1 stays\n")
        assert commit is not None
        raw = repo.run("cat-file", "commit", commit)
        assert raw.endswith("\n\nGröße\n\n#1 stays\n".encode())
        assert b"gpgsig" not in raw
        assert b"author AURA <aura@localhost>" in raw
        assert repo.show(commit, "crlf") == b"a\r\nb\r\n"
        linked = str(tmp_path / "linked")
        hostile.ensure_branch(where, "work", base)
        hostile.add_worktree(where, linked, "work")
        assert Path(linked, "README").read_bytes() == repo.show(base, "README")
        side = Scratch(Path(linked), repo.environment)
        side.write("README", side.read("README").replace("line 20", "line twenty"))
        hostile.stage(linked)
        assert hostile.commit(linked, "side")
        merged = hostile.merge(where, source="work", target_branch="main", message="both")
        assert b"line twenty" in repo.show("main", "READ ME")
        assert (merged.changed, merged.checkout) == (True, where)
        assert hostile.status(where) == Status()
        hostile.remove_worktree(where, linked)
        assert not (tmp_path / "sprung").exists()

    def test_hooks_and_monitors_of_the_repository_are_not_run(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        """Not those of a single worktree either, whose configuration comes last of all."""
        trap = tmp_path / "trap"
        trap.write_text(f"#!/bin/sh\necho $0 >> '{tmp_path}/sprung'\nexit 1\n")
        trap.chmod(0o755)
        (tmp_path / "hooks").mkdir()
        for hook in HOOKS:
            (tmp_path / "hooks" / hook).symlink_to(trap)
        where, linked = str(repo), Scratch(tmp_path / "linked", repo.environment)
        git.ensure_branch(where, "work", "main")
        git.ensure_branch(where, "next", "main")
        settings = {"core.hooksPath": str(tmp_path / "hooks"), "core.fsmonitor": str(trap)}
        repo.git("config", "extensions.worktreeConfig", "true")
        for key, value in settings.items():
            repo.git("config", key, value)
            repo.git("config", "--worktree", key, value)
        git.add_worktree(where, str(linked), "work")
        for key, value in settings.items():
            linked.git("config", "--worktree", key, value)
        (tmp_path / "sprung").unlink(missing_ok=True)  # our own `git config` may have asked the monitor
        linked.write("new")
        assert git.status(str(linked)) == Status(untracked=("new",))
        git.stage(str(linked))
        assert git.commit(str(linked), "new")
        linked.write("README", "changed\n")
        assert git.diff(str(linked), "main", patch=True).files
        saved = git.snapshot(str(linked), "refs/aura/saved", "m")
        git.switch_worktree(str(linked), "next")
        git.restore(str(linked), saved)
        for style in MergeStyle:
            git.merge(where, source="work", target_branch="main", style=style, message="m")
        git.move_worktree(where, str(linked), str(tmp_path / "moved"))
        git.remove_worktree(where, str(tmp_path / "moved"), force=True)
        git.add_detached_worktree(where, str(tmp_path / "pool"), "main")
        git.delete_branch(where, "work", repo.commit_of("work"))
        assert not (tmp_path / "sprung").exists()

    def test_the_repositorys_own_line_ends_are_kept(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.commit("attributes", {".gitattributes": "*.txt text eol=crlf\n", "a.txt": "a\r\nb\r\n"})
        assert repo.show("HEAD", "a.txt") == b"a\nb\n"
        repo.write("a.txt", "a\r\nb\r\nc\r\n")
        repo.write("b.txt", "b\r\n")
        git.stage(str(repo))
        assert git.commit(str(repo), "more")
        assert repo.show("HEAD", "a.txt") == b"a\nb\nc\n"
        assert repo.show("HEAD", "b.txt") == b"b\n"
        git.ensure_branch(str(repo), "work", "main")
        git.add_worktree(str(repo), str(tmp_path / "linked"), "work")
        assert (tmp_path / "linked" / "a.txt").read_bytes() == b"a\r\nb\r\nc\r\n"
        assert git.status(str(tmp_path / "linked")) == Status()

    def test_a_stale_lock_is_named_and_does_not_hang(self, git: Git, repo: Scratch) -> None:
        lock = repo.path / ".git" / "index.lock"
        lock.touch()
        repo.write("new")
        with pytest.raises(GitError, match=r"index\.lock") as failed:
            git.stage(str(repo))
        assert str(lock) in failed.value.remedy
        assert git.status(str(repo)).untracked == ("new",)
        lock.unlink()
        lock = repo.path / ".git" / "refs" / "heads" / "main.lock"
        lock.touch()
        with pytest.raises(GitError, match=r"main\.lock"):
            git.update_ref(str(repo), "refs/heads/main", repo.head, repo.head, "")
