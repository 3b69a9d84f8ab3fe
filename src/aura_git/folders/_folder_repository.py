"""Folders that are in no repository: a bare repository keeps their versions, with the folder as its work tree.

The index of the bare repository is that of the folder, so that only changed files are read. Nothing is written into the
folder but the files of a version.
"""

import os
import stat
from contextlib import suppress
from functools import cached_property
from pathlib import Path

from aura_contracts.errors import NotARepository
from aura_git.commandline._command import GitCommand
from aura_git.files._changes import record_files, status
from aura_git.merging._checkout import Checkout
from aura_git.repository._git_repository import GitRepository, Repositories
from aura_git.repository._pins import PinnedPlace


class FolderRepository(GitRepository):
    """A bare repository whose commands work on the files of a folder elsewhere."""

    def __init__(self, shared: Repositories, repository: str, folder: str) -> None:
        if not os.path.isdir(folder):
            raise NotARepository(repository=folder, remedy="restore the folder")
        super().__init__(shared, folder)
        self._repository = repository

    @cached_property
    def place(self) -> PinnedPlace | None:
        """What was recorded of the bare repository; the folder itself leads to none."""
        return self.at(self._repository).place

    @cached_property
    def git_dir(self) -> str:
        return os.path.realpath(self._repository)

    @cached_property
    def command(self) -> GitCommand:
        """Runs git on the folder, whatever repository is around it."""
        return super().command.on_work_tree(self.git_dir, self.path)


def create(shared: Repositories, repository: str, branch: str) -> None:
    """See `GitFiles.create_repository`."""
    os.makedirs(repository, mode=0o700, exist_ok=True)
    command = shared.installation.command(repository)
    command.run(repository, "init", "--quiet", "--bare", "--template=", f"--initial-branch={branch}", ".")


def record(repository: FolderRepository, parent: str | None, message: str) -> str:
    """See `GitFiles.record_folder`."""
    record_files(repository, status(repository), {})
    tree = repository.git("write-tree").text
    if parent is not None and repository.tree(parent) == tree:
        return parent
    return repository.commit_tree(tree, () if parent is None else (parent,), message)


def update(repository: FolderRepository, old: str, new: str) -> None:
    """See `GitFiles.update_folder`."""
    checkout = Checkout(repository)
    checkout.require_room(old, new)
    files = [Path(repository.path, path) for path in repository.changed_paths(old, new)]
    modes = {file: mode for file in files if (mode := _mode(file)) is not None}
    checkout.go(old, new)
    for file, before in modes.items():  # git knows one permission only: whether a file can be executed
        after = _mode(file)
        if after is not None:
            file.chmod(before | before >> 2 & 0o111 if after & stat.S_IXUSR else before & ~0o111)


def _mode(file: Path) -> int | None:
    """Return the permissions of a regular file, None for anything else."""
    with suppress(OSError):
        found = file.lstat()
        if stat.S_ISREG(found.st_mode):
            return stat.S_IMODE(found.st_mode)
    return None
