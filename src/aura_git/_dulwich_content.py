"""What files hold against what is stored of them: line endings by ``.gitattributes`` and the repository's settings.

Filters (``filter=lfs``) are programs of the user, which this backend does not run: files that need one are refused.
"""
# ruff: noqa: PTH115, PTH123
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import errno
import os
import stat
from collections.abc import Callable

from dulwich.attrs import GitAttributes
from dulwich.line_ending import LineEndingFilter, line_ending_filter_for_action, resolve_crlf_action
from dulwich.objects import ObjectID

from aura_git._dulwich_repository import USE_THE_COMMAND, Opened

_UNSUPPORTED = (b"ident", b"working-tree-encoding")


class Conversion:
    """Converts contents as the attributes of the worktree (or of `tree`) say."""

    def __init__(self, repo: Opened, tree: ObjectID | None = None) -> None:
        self._repo = repo
        self._attributes: GitAttributes = repo.repo.get_gitattributes(tree)
        own = repo.repo.get_config()
        self._eol = _text(own.get, b"eol", "native")
        self._autocrlf = _text(own.get, b"autocrlf", "false").encode()

    def stored(self, path: bytes, data: bytes, staged: ObjectID | None = None) -> bytes:
        """Return what git would store of a file with this content; `staged` is what it has stored."""
        chosen = self._filter(path, lambda: staged is not None and b"\r\n" in self._repo.blob(staged))
        return data if chosen is None else chosen.clean(data, path)

    def written(self, path: bytes, data: bytes) -> bytes:
        """Return what git would write into the file."""
        chosen = self._filter(path, None)
        return data if chosen is None else chosen.smudge(data, path)

    def attribute(self, path: bytes, name: bytes) -> bytes | bool | None:
        return self._attributes.match_path(path).get(name)

    def _filter(self, path: bytes, has_crlf: Callable[[], bool] | None) -> LineEndingFilter | None:
        attributes = self._attributes.match_path(path)
        if attributes or self._autocrlf != b"false":
            self._refuse_programs(path, attributes.get(b"filter"))
            for name in _UNSUPPORTED:
                if attributes.get(name):
                    self._refuse(path, name)
            action = resolve_crlf_action(attributes, self._eol, self._autocrlf)
            return line_ending_filter_for_action(action, b"false", has_crlf)
        return None

    def _refuse_programs(self, path: bytes, name: bytes | bool | None) -> None:  # noqa: FBT001 - an attribute's value
        if isinstance(name, bytes) and any(
            self._repo.setting((b"filter", name), key) for key in (b"clean", b"smudge", b"process")
        ):
            self._refuse(path, b"filter=" + name)

    def _refuse(self, path: bytes, attribute: bytes) -> None:
        what = f"{os.fsdecode(path)} has the attribute {os.fsdecode(attribute)}, which dulwich does not follow"
        raise self._repo.failure(what, USE_THE_COMMAND)


def _text(get: Callable[[tuple[bytes, ...], bytes], bytes], name: bytes, default: str) -> str:
    try:
        return get((b"core",), name).decode("ascii", "replace").lower()
    except KeyError:
        return default


def read_file(path: bytes, found: os.stat_result) -> bytes:
    """Return the content of a file, or where a symbolic link leads."""
    if stat.S_ISLNK(found.st_mode):
        return os.readlink(path)
    with open(path, "rb") as file:
        return file.read()


def look(path: bytes) -> os.stat_result | None:
    """Return what is at `path`; None if nothing is or can be: there is a file, or a circle of links, above it."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise
