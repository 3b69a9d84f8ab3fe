"""Choosing the backend: the git command line where there is a new enough one, else dulwich, which needs none."""

import re
import shutil
from collections.abc import Mapping
from typing import Literal, NamedTuple

from aura_contracts.errors import GitError, GitFailed
from aura_contracts.ports.git import Git, Identity
from aura_git._command import Command
from aura_git._environment import MINIMAL_VERSION

Backend = Literal["git", "dulwich"]

_VERSION = re.compile(r"git version (\d+)\.(\d+)")


class FoundGit(NamedTuple):
    """What git there is on this machine, for `choose_git` and for `aura doctor`."""

    executable: str | None
    """None where there is none."""
    version: str
    usable: bool
    reason: str
    """Why it is, or is not, used; a sentence for people."""


def find_git(search_path: str | None, environment: Mapping[str, str]) -> FoundGit:
    """Look for a git on `search_path` (as ``PATH``; None: nowhere) and ask for its version."""
    executable = shutil.which("git", path=search_path) if search_path else None
    if executable is None:
        return FoundGit(None, "", usable=False, reason="there is no git on the search path")
    try:
        version = Command(executable, environment, 10.0).run("/", "--version").text
    except GitError as error:
        return FoundGit(executable, "", usable=False, reason=f"{executable} does not say its version: {error}")
    found = _VERSION.match(version)
    if found is None:
        return FoundGit(executable, version, usable=False, reason=f"{executable} says {version!r} for a version")
    if (int(found[1]), int(found[2])) < MINIMAL_VERSION:
        needed = ".".join(map(str, MINIMAL_VERSION))
        return FoundGit(executable, version, usable=False, reason=f"{executable} is {version}, {needed} is needed")
    return FoundGit(executable, version, usable=True, reason=f"{executable} is {version}")


def choose_git(
    search_path: str | None,
    *,
    environment: Mapping[str, str],
    identity: Identity = Identity(),  # noqa: B008 - it is immutable
    timeout: float = 120.0,
    prefer: Backend | None = None,
) -> Git:
    """Return a backend: `prefer`, or the better one of those that work here; see `find_git` for the reason.

    Raises `GitFailed` when ``git`` is asked for and there is none that will do.
    """
    if prefer != "dulwich":
        found = find_git(search_path, environment)
        if found.usable and found.executable is not None:
            from aura_git._cli import CommandLineGit  # noqa: PLC0415 - what is not chosen is not imported

            return CommandLineGit(found.executable, identity=identity, timeout=timeout, environment=environment)
        if prefer == "git":
            raise GitFailed(
                repository="",
                command="git --version",
                reason=found.reason,
                remedy="install a newer git, or let AURA work without it (backend dulwich)",
            )
    from aura_git._dulwich import DulwichGit  # noqa: PLC0415 - importing dulwich takes 300 ms

    return DulwichGit(identity=identity, environment=environment)
