"""The part of the conformance suite about obstacles that last: each is a typed error, before anything is made."""

import os

import pytest

from aura_contracts.errors import BranchInTheWay, FilterMissing, Recovery, UnreadableFiles
from aura_contracts.ports.git import Git
from aura_git.testing.repositories import Conformance, Scratch


class ObstacleConformance(Conformance):
    # --- Branches -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("other", ["a", "a/b"])
    @pytest.mark.parametrize("refs", ["loose", "packed"])
    def test_a_branch_with_the_name_of_a_folder_is_in_the_way(
        self, git: Git, repo: Scratch, other: str, refs: str
    ) -> None:
        repo.git("branch", other)
        if refs == "packed":
            repo.git("pack-refs", "--all")
        for call in (
            lambda: git.ensure_branch(str(repo), "a/b/c", "main"),
            lambda: git.require_free_branch(str(repo), "a/b/c"),
        ):
            with pytest.raises(BranchInTheWay, match=f"git -C .* branch -m {other} {other}-old") as raised:
                call()
            assert raised.value.other == other
            assert raised.value.recovery is Recovery.HUMAN
        git.require_free_branch(str(repo), f"{other}x/c")

    # --- Filters ------------------------------------------------------------------------------------------------------

    def keep_with_filter(self, repo: Scratch, attributes: str = "*.bin filter=big", **settings: str) -> str:
        """Commit a file with a filter; then configure the filter."""
        commit = repo.commit("filtered", {".gitattributes": f"{attributes}\n", "a.bin": "pointer\n"})
        for name, value in settings.items():
            repo.git("config", f"filter.big.{name}", value)
        return commit

    @pytest.mark.parametrize("step", ["process", "smudge", "clean"])
    @pytest.mark.parametrize("command", ["no-such-program %f", "/no/such/program", "'/no such/program' -- %f"])
    def test_the_program_of_a_filter_is_missing(self, git: Git, repo: Scratch, step: str, command: str) -> None:
        commit = self.keep_with_filter(repo, required="true", **{step: command})
        with pytest.raises(FilterMissing) as raised:
            git.require_filters(str(repo), commit)
        error = raised.value
        assert (error.path, error.filter, error.recovery) == ("a.bin", "big", Recovery.HUMAN)
        assert error.program in command
        assert error.program in error.remedy
        git.require_filters(str(repo), f"{commit}^")

    @pytest.mark.parametrize("command", ["cat", "git cat-file --filters", "/bin/cat", "FOO=1 nothing", "nope | cat"])
    def test_the_program_of_a_filter_is_there_or_known_to_the_shell_alone(
        self, git: Git, repo: Scratch, command: str
    ) -> None:
        git.require_filters(str(repo), self.keep_with_filter(repo, required="true", smudge=command))

    def test_a_filter_that_is_not_required_is_not_missed(self, git: Git, repo: Scratch) -> None:
        git.require_filters(str(repo), self.keep_with_filter(repo, smudge="no-such-program"))

    @pytest.mark.parametrize("attributes", ["*.txt filter=big", "*.bin filter=big\n*.bin -filter", "#*.bin filter=big"])
    def test_a_filter_that_no_file_has_is_not_missed(self, git: Git, repo: Scratch, attributes: str) -> None:
        git.require_filters(
            str(repo), self.keep_with_filter(repo, attributes, required="true", smudge="no-such-program")
        )

    # --- Permissions --------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("mode", [0o000, 0o444, 0o111])
    @pytest.mark.parametrize("content", ["tracked", "untracked"])
    def test_a_folder_that_may_not_be_read_is_named(self, git: Git, repo: Scratch, mode: int, content: str) -> None:
        folder = repo.write("closed/file").parent
        if content == "tracked":
            repo.commit("closed")
            repo.write("closed/untracked")
        folder.chmod(mode)
        try:
            if os.access(folder, os.R_OK | os.X_OK):
                pytest.skip("this user may read everything")
            for call in (git.status, git.stage, lambda path: git.snapshot(path, "refs/aura/s", "")):
                with pytest.raises(UnreadableFiles, match=r"closed/.*chmod") as raised:
                    call(str(repo))
                assert raised.value.paths == ("closed/",)
            assert git.find_ref(str(repo), "refs/aura/s") is None
        finally:
            folder.chmod(0o755)

    def test_a_file_that_may_not_be_read_is_named(self, git: Git, repo: Scratch) -> None:
        file = repo.write("closed")
        file.chmod(0)
        if os.access(file, os.R_OK):
            pytest.skip("this user may read everything")
        with pytest.raises(UnreadableFiles, match="closed"):
            git.stage(str(repo))
        (repo.path / "dangling").symlink_to("nowhere")
        file.chmod(0o644)
        git.stage(str(repo))
