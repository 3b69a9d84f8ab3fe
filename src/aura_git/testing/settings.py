"""The part of the conformance suite about other people's settings: none changes a result or runs a program."""

from pathlib import Path

import pytest

from aura_contracts.errors import GitError
from aura_contracts.ports.git import Git
from aura_contracts.ports.git_values import Status
from aura_contracts.workspace import MergeStyle
from aura_git.testing.repositories import Conformance, MakeGit, Scratch

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


def _in_the_way(trap: Path, hooks: Path, attributes: Path) -> dict[str, str]:
    """Return settings that change what git does, or run `trap`."""
    return {
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
        "worktree.useRelativePaths": "true",
        "user.useConfigOnly": "true",
        "safe.bareRepository": "explicit",
        "core.attributesFile": str(attributes),
    }


class SettingsConformance(Conformance):
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
        for key, value in _in_the_way(trap, hooks, tmp_path / "attributes").items():
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
