"""Reverting merged work in a workspace that was made for it."""

from collections.abc import Mapping, Sequence

from aura_contracts.errors import RevertConflict
from aura_contracts.ports.git import Git
from aura_contracts.ports.workspaces import MergedWorkspace
from aura_contracts.workspace import ConflictedFiles, RepositoryCommit
from aura_workspace._checkouts import RepositoryCheckout, base_of


def revert(
    git: Git, checkouts: Sequence[RepositoryCheckout], commits: Mapping[str, str], message: str
) -> MergedWorkspace:
    """See `WorkspaceProvider.revert`."""
    made: list[RepositoryCommit] = []
    conflicts: list[ConflictedFiles] = []
    for checkout in checkouts:
        commit, path = commits.get(checkout.name), str(checkout.path)
        if commit is None or git.resolve(path, "HEAD") != base_of(checkout, checkout.require_marker()):
            continue
        try:
            new = git.revert(path, commit, message)
        except RevertConflict as conflict:
            conflicts.append(ConflictedFiles(checkout.name, conflict.paths))
        else:
            made += [] if new is None else [RepositoryCommit(checkout.name, new)]
    return MergedWorkspace(commits=tuple(made), conflicts=tuple(conflicts))
