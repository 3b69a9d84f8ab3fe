"""Configuration is read once, and again as soon as it changes, wherever it comes from."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from aura_contracts.ports.git import Git
from aura_git import CommandLineGit
from aura_git.repository import _configuration, _paths
from aura_git.testing.conformance import MakeGit
from aura_git.testing.repositories import Conformance, Scratch

GIT = shutil.which("git") or "git"


class TestConfiguration(Conformance):
    @pytest.fixture
    def calls(self, tmp_path: Path) -> Callable[[], int]:
        """Return how often git has listed its configuration since the last call."""
        log = tmp_path / "calls"

        def count() -> int:
            number = len(log.read_text().splitlines()) if log.exists() else 0
            log.unlink(missing_ok=True)
            return number

        return count

    @pytest.fixture
    def make_git(self, tmp_path: Path) -> MakeGit:
        counting = tmp_path / "counting-git"
        counting.write_text(f"#!/bin/sh\ncase $* in *--list*) echo x >> '{tmp_path}/calls';; esac\nexec {GIT} \"$@\"\n")
        counting.chmod(0o755)
        return lambda environment: CommandLineGit(str(counting), environment=environment)

    def author(self, git: Git, repo: Scratch) -> str:
        """Return who commits now."""
        commit = git.commit(str(repo), "m", allow_empty=True)
        assert commit is not None
        return repo.git("log", "-1", "--format=%an", commit)

    def test_it_is_read_once_for_all_worktrees(
        self, git: Git, repo: Scratch, tmp_path: Path, calls: Callable[[], int]
    ) -> None:
        git.ensure_branch(str(repo), "work", "main")
        git.add_worktree(str(repo), str(tmp_path / "linked"), "work")
        linked = Scratch(tmp_path / "linked", repo.environment)
        for one in (repo, linked, repo):
            git.status(str(one))
            assert self.author(git, one) == "AURA"
        assert calls() == 1

    @pytest.mark.parametrize("whose", ["the repository's", "the user's", "the other file of the user's"])
    def test_a_change_is_noticed(self, git: Git, repo: Scratch, tmp_path: Path, whose: str) -> None:
        (tmp_path / "home" / ".config" / "git").mkdir(parents=True)
        file = {
            "the repository's": repo.path / ".git" / "config",
            "the user's": tmp_path / "home" / ".gitconfig",
            "the other file of the user's": tmp_path / "home" / ".config" / "git" / "config",
        }[whose]
        before = file.read_text() if file.exists() else ""
        assert self.author(git, repo) == "AURA"
        for name in ("Una", "Eva", "Ida"):
            file.write_text(f"{before}[user]\n\tname = {name}\n\temail = x@y\n")
            assert self.author(git, repo) == name
        file.write_text(before)
        assert self.author(git, repo) == "AURA"

    def test_a_link_that_leads_elsewhere_is_noticed(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        link = tmp_path / "home" / ".gitconfig"
        for name in ("Una", "Eva"):
            (tmp_path / name).write_text(f"[user]\n\tname = {name}\n\temail = x@y\n")
            link.unlink(missing_ok=True)
            link.symlink_to(tmp_path / name)
            assert self.author(git, repo) == name

    def test_included_files_count_as_well_even_before_they_exist(
        self, git: Git, repo: Scratch, tmp_path: Path, calls: Callable[[], int]
    ) -> None:
        repo.git("config", "include.path", str(tmp_path / "included"))
        assert self.author(git, repo) == "AURA"
        calls()
        assert self.author(git, repo) == "AURA"
        assert calls() == 0
        (tmp_path / "included").write_text("[user]\n\tname = Una\n\temail = x@y\n")
        assert self.author(git, repo) == "Una"
        (tmp_path / "included").write_text("[user]\n\tname = Eva\n\temail = x@y\n")
        assert self.author(git, repo) == "Eva"

    def test_conditions_on_branches_and_folders_hold(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        for name in ("branch", "folder"):
            (tmp_path / name).write_text(f"[user]\n\tname = {name}\n\temail = x@y\n")
        repo.git("config", "includeIf.onbranch:work.path", str(tmp_path / "branch"))
        repo.git("config", "includeIf.gitdir:**/worktrees/**.path", str(tmp_path / "folder"))
        assert self.author(git, repo) == "AURA"
        repo.git("checkout", "-q", "-b", "work")
        assert self.author(git, repo) == "branch"
        git.add_detached_worktree(str(repo), str(tmp_path / "linked"), "main")
        assert self.author(git, Scratch(tmp_path / "linked", repo.environment)) == "folder"
        repo.git("checkout", "-q", "main")
        assert self.author(git, repo) == "AURA"

    def test_pinning_and_unpinning_read_it_once_unless_it_changes(
        self, make_git: MakeGit, repo: Scratch, tmp_path: Path, calls: Callable[[], int]
    ) -> None:
        git = CommandLineGit(str(tmp_path / "counting-git"), environment=repo.environment, pins=tmp_path / "pins")
        git.inspect(str(repo))
        git.pin_configuration(str(repo), "a")
        git.rest_configuration(str(repo), "a")
        git.unpin_configuration(str(repo), "a")
        assert calls() == 1
        git.pin_configuration(str(repo), "b")
        repo.git("config", "user.name", "Una")
        git.rest_configuration(str(repo), "b")
        assert calls() == 1

    def test_contents_count_where_the_states_of_files_say_nothing(
        self, repo: Scratch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_configuration, "_state", lambda _: None)
        git = CommandLineGit(environment=repo.environment, pins=tmp_path / "pins")
        git.pin_configuration(str(repo), "a")
        repo.git("config", "filter.x.clean", "cat")
        git.rest_configuration(str(repo), "a")
        (distrusted,) = (tmp_path / "pins" / "repositories").glob("*/distrusted")
        assert "filter.x.clean" in distrusted.read_text()

    def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "config")
        with pytest.raises(OSError, match="not a regular file"):
            _paths.read_file(str(tmp_path / "config"))

    def test_a_worktree_may_have_its_own(self, git: Git, repo: Scratch, tmp_path: Path) -> None:
        repo.git("config", "extensions.worktreeConfig", "true")
        git.add_detached_worktree(str(repo), str(tmp_path / "linked"), "main")
        linked = Scratch(tmp_path / "linked", repo.environment)
        for name in ("Una", "Eva"):
            linked.git("config", "--worktree", "user.name", name)
            linked.git("config", "--worktree", "user.email", "x@y")
            assert (self.author(git, linked), self.author(git, repo)) == (name, "AURA")
