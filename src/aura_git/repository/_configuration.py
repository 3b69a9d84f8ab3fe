"""Git's configuration of a repository, as git itself lists it: read once, and again when one of its files changes.

A listing is valid as long as none of the files that it came from, or could have come from, has changed. Their states
are taken *before* git reads them, so a change in between is never missed. Where an agent may have written them, their
contents count too: a file that changes twice within one tick of the clock may keep its state.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

from aura_contracts.ports.git_values import Identity
from aura_git.commandline._environment import repository_settings, without_filters, without_hooks
from aura_git.commandline._output import ConfigEntry, parse_config
from aura_git.repository import _paths

LISTING = ("config", "--list", "-z", "--show-scope", "--show-origin")

_State = tuple[int, int, int, int] | None
_PROGRAM_SECTIONS = ("filter.", "merge.", "remote.")
_PROGRAMS = (".clean", ".smudge", ".process", ".driver", ".promisor")
_TRUE = frozenset({"true", "yes", "on", "1"})
_MOST_BYTES = 1 << 20
"""Of a file that are compared; for the rest, its state has to do."""


class Configuration:
    """The configuration of a repository, as seen from one of its worktrees."""

    def __init__(self, entries: Iterable[ConfigEntry], *, pinned: bool = False) -> None:
        self.entries = tuple(entries)
        self.pinned = pinned
        """Whether it is what the user had before an agent began."""

    def get(self, key: str) -> str | None:
        """Return the value that wins; `key` in lower case."""
        return self._values.get(key)

    def flag(self, key: str) -> bool | None:
        """Return a yes-or-no setting, None where it is not set."""
        value = self._values.get(key)
        return None if value is None else value.lower() in _TRUE

    @cached_property
    def _values(self) -> dict[str, str]:
        return {entry.key: entry.value for entry in self.entries}

    @cached_property
    def for_files(self) -> dict[str, str]:
        """Settings for commands that read or write files: see `repository_settings`."""
        return repository_settings(self.entries, drivers_run=self.pinned)

    @cached_property
    def names_programs(self) -> bool:
        """Whether git may run a program of the user's: a filter, a merge driver, or what fetches missing objects."""
        return any(key.startswith(_PROGRAM_SECTIONS) and key.endswith(_PROGRAMS) for key in self._values)

    @cached_property
    def without_filters(self) -> dict[str, str]:
        """Settings that switch off every filter."""
        return without_filters(self.entries)

    @cached_property
    def without_hooks(self) -> dict[str, str]:
        """Settings that switch off every hook that is configured."""
        return without_hooks(self.entries)

    def author(self, fallback: Identity) -> dict[str, str]:
        """Return the environment variables for the committer: the configured user, or else `fallback`."""
        known = {key: value for key, value in self._values.items() if value}
        whole = "user.name" in known and "user.email" in known
        name = known["user.name"] if whole else fallback.name
        email = known["user.email"] if whole else fallback.email
        return {
            "GIT_AUTHOR_NAME": known.get("author.name", name),
            "GIT_AUTHOR_EMAIL": known.get("author.email", email),
            "GIT_COMMITTER_NAME": known.get("committer.name", name),
            "GIT_COMMITTER_EMAIL": known.get("committer.email", email),
        }


class _Cached(NamedTuple):
    states: dict[str, _State]
    contents: dict[str, bytes]
    configuration: Configuration

    def is_valid(self, *, exactly: bool) -> bool:
        return _states(self.states) == self.states and (not exactly or _contents(self.states) == self.contents)


class Configurations:
    """The configurations of all repositories that are in use. Safe to use from several threads."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        # By common directory, and by git directory ("" where that makes no difference).
        self._cache: dict[tuple[str, str], _Cached] = {}
        self._lock = threading.Lock()

    def of(
        self,
        path: str,
        git_dir: str,
        common_dir: str,
        listing: Callable[[], bytes],
        *,
        pinned: bool = False,
        exactly: bool = False,
    ) -> Configuration:
        """Return the configuration seen from `git_dir`; `listing` runs git in `path` with `LISTING`.

        Of a repository that is `pinned`, `common_dir` is the stand-in. With `exactly`, contents are compared too.
        """
        for key in ((common_dir, git_dir), (common_dir, "")):
            cached = self._cache.get(key)
            if cached is not None and cached.is_valid(exactly=exactly):
                return cached.configuration
        files = self._usual_files(git_dir, common_dir)
        while True:
            states, contents = _states(files), _contents(files)
            configuration = Configuration(parse_config(listing()), pinned=pinned)
            known = set(map(os.path.realpath, files))
            more = {
                file for file in self._named_files(configuration, path, git_dir) if os.path.realpath(file) not in known
            }
            if not more:
                break
            files |= more
        key = common_dir, git_dir if _depends_on_worktree(configuration) else ""
        with self._lock:
            self._cache = {
                one: known for one, known in self._cache.items() if all(map(os.path.isdir, filter(None, one)))
            }
            self._cache[key] = _Cached(states, contents, configuration)
        return configuration

    def _usual_files(self, git_dir: str, common_dir: str) -> set[str]:
        """Return where configuration is by default, whether or not there is any (git-config(1), "FILES")."""
        known = self._environment
        home = known.get("HOME", "")
        xdg = known.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        usual = (os.path.join(home, ".gitconfig"), os.path.join(xdg, "git", "config"), "/etc/gitconfig")
        named = (known[name] for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM") if known.get(name))
        own = (os.path.join(common_dir, "config"), os.path.join(git_dir, "config.worktree"))
        return {*usual, *named, *own}

    def _named_files(self, configuration: Configuration, path: str, git_dir: str) -> set[str]:
        """Return the files that entries came from, and those that they include or that decide on including."""
        files: set[str] = set()
        for entry in configuration.entries:
            kind, _, name = entry.origin.partition(":")
            origin = os.path.join(path, name) if kind == "file" else ""
            if origin:
                files.add(origin)
            if entry.key == "include.path" or (entry.key.startswith("includeif.") and entry.key.endswith(".path")):
                files.add(os.path.join(os.path.dirname(origin), self._expanded(entry.value)))
            if entry.key.startswith("includeif.onbranch:"):
                files.add(os.path.join(git_dir, "HEAD"))
        return files

    def _expanded(self, path: str) -> str:
        return os.path.join(self._environment.get("HOME", ""), path[2:]) if path.startswith("~/") else path


def _depends_on_worktree(configuration: Configuration) -> bool:
    """Whether another worktree of the repository may have another configuration."""
    conditional = any(entry.key.startswith("includeif.") for entry in configuration.entries)
    return conditional or bool(configuration.flag("extensions.worktreeconfig"))


def _states(files: Iterable[str]) -> dict[str, _State]:
    return {file: _state(file) for file in files}


def _state(file: str) -> _State:
    """Return what changes whenever a file is written or replaced; None if there is no such file."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _contents(files: Iterable[str]) -> dict[str, bytes]:
    """Return the digests of the files that can be read."""
    digests = {}
    for file in files:
        with suppress(OSError, ValueError):
            digests[file] = sha256(_paths.read_file(file, _MOST_BYTES)).digest()
    return digests
