"""Git in a repository that is not the user's: with nothing of its configuration, which may name programs."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from aura_git.commandline._command import GitCommand
from aura_git.commandline._output import ConfigEntry, fields
from aura_git.repository import _paths
from aura_git.repository._git_repository import LocalCommand
from aura_git.repository._pins import config_file

_FORMAT = frozenset({"core.repositoryformatversion", "extensions.objectformat", "extensions.refstorage"})
"""Settings without which a repository cannot be read."""

_LINKED = ("HEAD", "objects", "refs", "packed-refs", "info", "shallow", "reftable")


@contextmanager
def neutral_git(command: GitCommand, path: str) -> Iterator[LocalCommand]:
    """Give a git for the worktree at `path`, on a stand-in for its common directory. Raises `NotARepository`."""
    git_dir = os.path.realpath(_paths.git_dir(path))
    common = _paths.common_dir(git_dir)
    with TemporaryDirectory(prefix="aura-neutral-") as folder:
        for name in _LINKED:
            Path(folder, name).symlink_to(Path(common, name))
        listed = command.run("/", "config", "--file", os.path.join(common, "config"), "--list", "-z", codes=range(256))
        pairs = (os.fsdecode(field).partition("\n") for field in fields(listed.out))
        entries = [ConfigEntry("local", "", key, value) for key, _, value in pairs if key in _FORMAT]
        Path(folder, "config").write_text(config_file(entries), encoding="utf-8")
        where = {"GIT_DIR": git_dir, "GIT_COMMON_DIR": folder, "GIT_WORK_TREE": path}
        yield LocalCommand(command.with_variables(where), path)


def has_changes(command: GitCommand, path: str) -> bool:
    """Whether the repository at `path`, or a submodule of it, has changes or untracked files."""
    with neutral_git(command, path) as git:
        options = ("--porcelain=v2", "-z", "--untracked-files=all", "--ignore-submodules=dirty")
        if git("status", *options).out:
            return True
        return any(has_changes(command, one) for one in submodules(git))


def submodules(git: LocalCommand) -> list[str]:
    """Return the folders of the submodules that are filled."""
    if not os.path.lexists(os.path.join(git.path, ".gitmodules")):
        return []
    entries = (os.fsdecode(field) for field in fields(git("ls-files", "-s", "-z").out))
    folders = [os.path.join(git.path, entry.split("\t", 1)[1]) for entry in entries if entry.startswith("160000 ")]
    found = []
    for folder in folders:
        with suppress(OSError):
            if not os.path.islink(folder) and os.path.lexists(os.path.join(folder, ".git")):
                found.append(folder)
    return found
