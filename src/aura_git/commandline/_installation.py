"""The git that is installed here: found when it is first needed, and asked for its version once."""

import re
import shutil
import threading
from collections.abc import Mapping
from typing import NamedTuple

from aura_contracts.errors import GitError, GitUnavailable
from aura_git.commandline._command import GitCommand

MINIMAL_VERSION = (2, 34)

_REMEDY = "install git {}.{} or newer, and make sure that it is on the PATH".format(*MINIMAL_VERSION)
_VERSION = re.compile(r"git version (\d+)\.(\d+)")
_VERSION_TIMEOUT = 10.0


class FoundGit(NamedTuple):
    """The result of `find_git`."""

    executable: str | None
    """None if there is no git."""
    version: str
    usable: bool
    reason: str
    """Why git is, or is not, usable: a sentence for people."""
    remedy: str = ""
    """What to do if it is not usable."""


def find_git(search_path: str | None, environment: Mapping[str, str], name: str = "git") -> FoundGit:
    """Look for `name` on `search_path` (a ``PATH``; None: nowhere) and ask it for its version."""
    executable = shutil.which(name, path=search_path or "")
    if executable is None:
        return FoundGit(None, "", usable=False, reason=f"{name} is not on the search path", remedy=_REMEDY)
    try:
        version = GitCommand(executable, environment, _VERSION_TIMEOUT).run("/", "--version").text
    except GitError as error:
        reason = f"{executable} does not report its version: {error}"
        return FoundGit(executable, "", usable=False, reason=reason, remedy=_REMEDY)
    number = parse_version(version)
    if number is None:
        reason = f"{executable} reports the version {version!r}"
        return FoundGit(executable, version, usable=False, reason=reason, remedy=_REMEDY)
    if number < MINIMAL_VERSION:
        reason = f"{executable} is {version}, which is too old"
        return FoundGit(executable, version, usable=False, reason=reason, remedy=_REMEDY)
    return FoundGit(executable, version, usable=True, reason=f"{executable} is {version}")


def parse_version(text: str) -> tuple[int, int] | None:
    """Read the output of ``git --version``; vendors append their own words to it."""
    found = _VERSION.match(text)
    return None if found is None else (int(found[1]), int(found[2]))


class Installation:
    """Finds git when it is first needed. A missing or old git is looked for again each time: it may be installed."""

    def __init__(self, name: str, environment: Mapping[str, str], timeout: float) -> None:
        self._name = name
        self._environment = environment
        self._timeout = timeout
        self._command: GitCommand | None = None
        self._lock = threading.Lock()

    def command(self, repository: str) -> GitCommand:
        """Return what runs git. Raises `GitUnavailable`, naming the `repository` that it was needed for."""
        with self._lock:
            if self._command is None:
                found = find_git(self._environment.get("PATH"), self._environment, self._name)
                version = parse_version(found.version)
                if not found.usable or found.executable is None or version is None:
                    raise GitUnavailable(repository=repository, reason=found.reason, remedy=found.remedy)
                self._command = GitCommand(found.executable, self._environment, self._timeout, version)
            return self._command
