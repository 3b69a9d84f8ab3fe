"""Submodules of worktrees: the part of the port of git about repositories inside a repository.

The repository's own copies of them are the git directories from which ``git submodule update`` fills the main worktree.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping


class GitSubmodules(ABC):
    """The submodules of a worktree. Thread-safe. See `aura_contracts.ports.git` for paths, commits and errors."""

    @abstractmethod
    def fill_submodules(self, worktree: str) -> tuple[str, ...]:
        """Check out the submodules that are empty, from the repository's own copies of them, at any depth.

        Nothing is downloaded, and no configuration of the repository is changed. Returns the paths of those that stay
        empty, since the repository has no copy, or the copy lacks the commit.
        """

    @abstractmethod
    def keep_submodules(self, worktree: str, name: str) -> Mapping[str, str]:
        """Take new commits in the submodules over into the repository's own copies of them.

        They are kept there on refs below ``refs/aura/submodules/<name>``. Returns the paths that `unkept_submodules`
        returns then, and why the copy has not all of their commits.
        """

    @abstractmethod
    def unkept_submodules(self, worktree: str) -> tuple[str, ...]:
        """Return the paths of submodules with commits that neither a copy of the repository's own nor, as far as is
        known here, the submodule's remote has. Changes nothing.
        """

    @abstractmethod
    def missing_submodule_commits(
        self, repo: str, base: str, commit: str, worktree: str | None = None
    ) -> dict[str, str]:
        """Return the submodules that `commit` changes from `base` to a commit that would be lost, with that commit.

        It is there if the repository's own copy of the submodule has it, or the submodule in `worktree` has it from its
        remote.
        """
