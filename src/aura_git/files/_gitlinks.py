"""Gitlinks: the entries of an index or a tree that stand for another repository, such as a submodule."""

import os
from typing import NamedTuple

from aura_contracts.errors import NotARepository
from aura_git.commandline._output import GITLINK, paths
from aura_git.files._index import may_have_gitlinks
from aura_git.repository import _paths
from aura_git.repository._git_repository import GitRepository


class Gitlink(NamedTuple):
    """An entry for another repository."""

    path: str
    commit: str


def gitlinks(repository: GitRepository) -> list[Gitlink]:
    """Return the gitlinks in the index. An index without any is recognised without running git."""
    if not may_have_gitlinks(repository.git_dir):
        return []
    links = []
    for entry in paths(repository.git("ls-files", "-s", "-z").out):
        facts, path = entry.split("\t", 1)
        mode, commit, stage = facts.split(" ")
        if mode == GITLINK and stage in {"0", "2"}:
            links.append(Gitlink(path, commit))
    return links


def filled(repository: GitRepository, path: str) -> GitRepository | None:
    """Return the repository in the place of a gitlink; None if it is empty."""
    place = os.path.join(repository.path, path)
    try:
        _paths.git_dir(place)
    except NotARepository:
        return None
    return repository.at(place) if os.path.lexists(os.path.join(place, ".git")) else None
