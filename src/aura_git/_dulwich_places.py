"""Where a repository's parts and the user's configuration are: found by looking at files."""
# ruff: noqa: PTH112, PTH113, PTH118, PTH120, PTH123
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import os
from collections.abc import Mapping
from dataclasses import dataclass

from aura_contracts.errors import NotARepository


@dataclass(frozen=True)
class Place:
    """Where the parts of a repository are."""

    git_dir: str
    common_dir: str
    worktree: str | None

    @property
    def linked(self) -> bool:
        return self.git_dir != self.common_dir


# --- The repository ---------------------------------------------------------------------------------------------------


def find_repository(path: str, *, search: bool) -> tuple[str, str | None]:
    """Return the git directory that `path` belongs to, and the folder whose ``.git`` led to it."""
    if not os.path.isdir(path):
        raise NotARepository(repository=path)
    at = os.path.realpath(path)
    while True:
        dot = os.path.join(at, ".git")
        if os.path.isfile(dot):
            target = read_link_file(dot)
            if target is None or not is_git_dir(target):
                raise NotARepository(repository=path)
            return target, at
        if is_git_dir(dot):
            return os.path.realpath(dot), at
        if is_git_dir(at):
            return at, None
        above = os.path.dirname(at)
        if above == at or not search:
            raise NotARepository(repository=path)
        at = above


def read_link_file(dot: str) -> str | None:
    """Return the git directory that a ``.git`` file names, None if it names none."""
    try:
        with open(dot, "rb") as file:
            content = file.read(1 << 16)
    except OSError:
        return None
    if not content.startswith(b"gitdir: "):
        return None
    return os.path.realpath(os.path.join(os.path.dirname(dot), os.fsdecode(content[8:].rstrip(b"\r\n"))))


def is_git_dir(path: str) -> bool:
    if not os.path.lexists(os.path.join(path, "HEAD")):
        return False
    common = read_common_dir(path)
    return os.path.isdir(os.path.join(common, "objects")) and os.path.isdir(os.path.join(common, "refs"))


def read_common_dir(git_dir: str) -> str:
    try:
        with open(os.path.join(git_dir, "commondir"), "rb") as file:
            return os.path.realpath(os.path.join(git_dir, os.fsdecode(file.read().rstrip(b"\r\n"))))
    except OSError:
        return git_dir


# --- The user ---------------------------------------------------------------------------------------------------------


def user_configuration(environment: Mapping[str, str]) -> list[str]:
    """Return where the configuration of the user and of the machine may be, strongest first."""
    home = environment.get("HOME", "")
    if "GIT_CONFIG_GLOBAL" in environment:
        files = [environment["GIT_CONFIG_GLOBAL"]]
    else:
        files = [os.path.join(home, ".gitconfig")] if home else []
        files += [os.path.join(folder, "git", "config") for folder in xdg_config(environment)]
    if "GIT_CONFIG_SYSTEM" in environment:
        files.append(environment["GIT_CONFIG_SYSTEM"])
    elif "GIT_CONFIG_NOSYSTEM" not in environment:
        files.append("/etc/gitconfig")
    return files


def xdg_config(environment: Mapping[str, str]) -> list[str]:
    """Return the folder of the user's configuration, by the XDG Base Directory Specification; none without a home."""
    if folder := environment.get("XDG_CONFIG_HOME"):
        return [folder]
    home = environment.get("HOME")
    return [os.path.join(home, ".config")] if home else []
