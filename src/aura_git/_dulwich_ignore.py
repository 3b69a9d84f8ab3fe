"""Which untracked files git ignores (gitignore(5)): ``.gitignore``, ``info/exclude`` and the user's own list."""
# ruff: noqa: PTH118, PTH123
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import os
from dataclasses import dataclass
from io import BytesIO

from dulwich.ignore import IgnoreFilter, Pattern, read_ignore_patterns

from aura_git._dulwich_places import xdg_config
from aura_git._dulwich_repository import Opened

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Rules:
    """The patterns that hold in a folder, weakest first; each list with the folder (``a/b/``) that it was found in."""

    ignorecase: bool
    lists: tuple[tuple[bytes, tuple[Pattern, ...]], ...]

    def below(self, root: bytes, folder: bytes) -> "Rules":
        """Return what holds in `folder` (``a/b/``, empty for the top), with its own ``.gitignore``."""
        own = _patterns(os.path.join(root, folder, b".gitignore"), ignorecase=self.ignorecase, follow=False)
        return Rules(self.ignorecase, (*self.lists, (folder, own))) if own else self

    def ignore(self, path: bytes, *, folder: bool) -> bool:
        """Whether a file or folder is ignored by itself; that the folder it is in is not, the caller has seen."""
        for base, patterns in reversed(self.lists):
            name = path[len(base) :]
            for pattern in reversed(patterns):
                if pattern.matches(name, folder):
                    return pattern.is_exclude
        return False


def base_rules(repo: Opened) -> Rules:
    """Return the rules from outside the worktree."""
    ignorecase = repo.flag(b"core", b"ignorecase", default=False)
    files = [*_user_lists(repo), os.fsencode(os.path.join(repo.place.common_dir, "info", "exclude"))]
    return Rules(ignorecase, tuple((b"", _patterns(file, ignorecase=ignorecase, follow=True)) for file in files))


def _user_lists(repo: Opened) -> list[bytes]:
    named = repo.setting(b"core", b"excludesFile")
    if named is None:
        return [os.fsencode(os.path.join(folder, "git", "ignore")) for folder in xdg_config(repo.environment)]
    if named.startswith(b"~/"):
        home = repo.environment.get("HOME")
        return [os.fsencode(home) + named[1:]] if home else []
    return [os.path.join(repo.root, named)] if named else []


def _patterns(path: bytes, *, ignorecase: bool, follow: bool) -> tuple[Pattern, ...]:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)), "rb") as file:
            content = file.read().removeprefix(_BOM)
    except OSError:
        return ()
    return tuple(IgnoreFilter(read_ignore_patterns(BytesIO(content)), ignorecase).patterns)
