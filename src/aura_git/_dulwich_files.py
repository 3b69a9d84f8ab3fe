"""Writing the files of a worktree.

A file is written beside its place and moved there, so that whoever looks sees the old or the new one, whole. Names that
would lead out of the worktree, or into ``.git``, are refused, and so is writing through a symbolic link.
"""
# ruff: noqa: PTH102, PTH104, PTH106, PTH108, PTH114, PTH118, PTH123, PTH211
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import errno
import os
import secrets
import shutil
import stat
from contextlib import suppress

from dulwich.index import IndexEntry, get_path_element_validator, validate_path
from dulwich.objects import ObjectID

from aura_git._dulwich_content import Conversion
from aura_git._dulwich_index import fresh_entry, unseen_entry
from aura_git._dulwich_repository import Opened
from aura_git._dulwich_trees import EXECUTABLE, LINK, SUBMODULE, Entry


class Files:
    """The files of one worktree; `tree` is what they become, whose attributes hold.

    `force`: what is in the way is removed, folders with all that is in them; otherwise it is a `GitFailed`.
    `fresh`: nothing is there yet, files are written where they belong.
    """

    def __init__(self, repo: Opened, tree: ObjectID, *, force: bool = False, fresh: bool = False) -> None:
        self._repo = repo
        self._root = repo.root
        self._conversion = Conversion(repo, tree)
        self._validator = get_path_element_validator(repo.config)
        self._symlinks = repo.flag(b"core", b"symlinks", default=True)
        self._force = force
        self._fresh = fresh
        self._folders: set[bytes] = {b""}
        self._passing = os.path.join(os.fsencode(repo.place.git_dir), b"aura-" + secrets.token_hex(8).encode())

    def put(self, path: bytes, entry: Entry) -> IndexEntry:
        """Make the file what `entry` says; return its new index entry."""
        if not validate_path(path, self._validator):
            raise self._repo.failure(f"{os.fsdecode(path)!r} is not a name for a file in a worktree")
        mode, sha = entry
        full = os.path.join(self._root, path)
        self._make_folders(path)
        if mode == SUBMODULE:
            self._make_submodule(full)
            return unseen_entry(entry)
        data = self._repo.blob(sha)
        if mode != LINK:
            data = self._conversion.written(path, data)
        place = full if self._fresh else self._passing
        try:
            self._create(place, mode, data)
            if not self._fresh:
                self._move(full, mode, data)
        except BaseException:
            with suppress(OSError):
                os.unlink(place)
            raise
        return fresh_entry(os.lstat(full), entry)

    def _create(self, place: bytes, mode: int, data: bytes) -> None:
        if mode == LINK and self._symlinks:
            os.symlink(data, place)
            return
        allowed = 0o777 if mode == EXECUTABLE else 0o666
        with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, allowed), "wb") as file:
            file.write(data)

    def _move(self, full: bytes, mode: int, data: bytes) -> None:
        self._clear_folder(full)
        try:
            os.rename(self._passing, full)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            os.unlink(self._passing)
            beside = full + b".aura-" + secrets.token_hex(4).encode()
            try:
                self._create(beside, mode, data)
                os.rename(beside, full)
            except BaseException:
                with suppress(OSError):
                    os.unlink(beside)
                raise

    def _clear_folder(self, full: bytes) -> None:
        """Remove a folder where a file is to be: an empty one, or with `force` any."""
        try:
            is_folder = stat.S_ISDIR(os.lstat(full).st_mode)
        except FileNotFoundError:
            return
        if is_folder and self._force:
            shutil.rmtree(full)
        elif is_folder:
            os.rmdir(full)

    def _make_submodule(self, full: bytes) -> None:
        try:
            found = os.lstat(full)
        except FileNotFoundError:
            os.mkdir(full)
            return
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(full)
            os.mkdir(full)

    def _make_folders(self, path: bytes) -> None:
        folder = path.rpartition(b"/")[0]
        if folder in self._folders:
            return
        self._make_folders(folder)
        full = os.path.join(self._root, folder)
        try:
            os.mkdir(full)
        except FileExistsError:
            if not stat.S_ISDIR(os.lstat(full).st_mode):
                if not self._force:
                    raise self._repo.failure(f"{os.fsdecode(folder)} is in the way, and not a folder") from None
                os.unlink(full)
                os.mkdir(full)
        self._folders.add(folder)

    def remove(self, path: bytes, mode: int) -> None:
        """Remove a file and the folders that are empty then. Submodules that hold something stay.

        What is below a symbolic link is somebody else's, and stays.
        """
        if _is_below_link(self._root, path):
            return
        full = os.path.join(self._root, path)
        if mode == SUBMODULE:
            with suppress(OSError):
                os.rmdir(full)
        else:
            with suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(full)
        remove_empty(self._root, path)
        self._folders = {b""}


def _is_below_link(root: bytes, path: bytes) -> bool:
    folder = path.rpartition(b"/")[0]
    return bool(folder) and (os.path.islink(os.path.join(root, folder)) or _is_below_link(root, folder))


def remove_empty(root: bytes, path: bytes) -> None:
    """Remove the folders above `path` that are empty, up to the top."""
    folder = path.rpartition(b"/")[0]
    while folder:
        try:
            os.rmdir(os.path.join(root, folder))
        except FileNotFoundError:
            pass
        except OSError:
            return
        folder = folder.rpartition(b"/")[0]
