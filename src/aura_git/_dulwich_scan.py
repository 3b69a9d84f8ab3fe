"""Looking through a worktree once: which tracked files differ from the index, which files are untracked."""
# ruff: noqa: PTH118
# Names of files here are bytes, or text of any bytes: os.path, not pathlib.

import os
import stat
from dataclasses import dataclass, field

from dulwich.index import IndexEntry
from dulwich.objects import ObjectID

from aura_contracts.errors import NotARepository
from aura_git._dulwich_content import Conversion, look, read_file
from aura_git._dulwich_ignore import Rules, base_rules
from aura_git._dulwich_index import Staged, ignores_file, is_announced, is_clean, plain_mode, read_index
from aura_git._dulwich_repository import Opened
from aura_git._dulwich_trees import LINK, SUBMODULE, Entry, flatten


@dataclass
class Scan:
    """What was found."""

    modified: dict[bytes, Entry | None] = field(default_factory=dict)
    """Tracked paths that differ from the index, with what they are now; None: gone."""
    dirty_submodules: set[bytes] = field(default_factory=set)
    """Those of `modified` whose commit is the staged one, but which have changes of their own."""
    untracked: list[bytes] = field(default_factory=list)
    """Files, and with a ``/`` at the end repositories within this one."""
    refreshed: dict[bytes, os.stat_result] = field(default_factory=dict)
    """Tracked files that had to be read and are what is staged."""


class Scanner:
    """One walk over the files of a worktree. `hidden`: also those that git was told not to look at."""

    def __init__(self, repo: Opened, staged: Staged, *, submodules: bool = True, hidden: bool = False) -> None:
        self._repo = repo
        self._root = repo.root
        self.staged = self._staged = staged
        self._submodules = submodules
        self._hidden = hidden
        self._conversion: Conversion | None = None
        self._executable = repo.flag(b"core", b"fileMode", default=True)
        self._ctime = repo.flag(b"core", b"trustctime", default=True)
        self._folders = _folders(staged)
        self._seen: set[bytes] = set()
        self.scan = Scan()

    def run(self) -> Scan:
        """Walk; a folder that cannot be read is a `GitFailed` by way of its `OSError`."""
        self._walk(b"", base_rules(self._repo), ignored=False)
        for path, entry in self._staged.entries.items():
            if path not in self._seen and (self._hidden or not ignores_file(entry)):
                self.scan.modified[path] = None
        self.scan.untracked.sort()
        return self.scan

    def _walk(self, folder: bytes, rules: Rules, *, ignored: bool) -> None:
        if not ignored:
            rules = rules.below(self._root, folder)
        with os.scandir(os.path.join(self._root, folder)) as found:
            items = list(found)
        for item in items:
            name = item.name
            if name == b".git":
                continue
            path = folder + name
            entry = self._staged.entries.get(path)
            if entry is not None and self._is_tracked(path, entry, item):
                continue
            if path in self._staged.conflicted and not item.is_dir(follow_symlinks=False):
                continue
            if item.is_dir(follow_symlinks=False):
                self._folder(path, rules, ignored=ignored)
            elif not ignored and (item.is_symlink() or item.is_file()) and not rules.ignore(path, folder=False):
                self.scan.untracked.append(path)

    def _folder(self, path: bytes, rules: Rules, *, ignored: bool) -> None:
        tracked = path in self._folders
        if not tracked and ignored:
            return
        ignored = ignored or rules.ignore(path, folder=True)
        if tracked:
            self._walk(path + b"/", rules, ignored=ignored)
        elif not ignored:
            if is_repository(os.path.join(self._root, path)):
                self.scan.untracked.append(path + b"/")
            else:
                self._walk(path + b"/", rules, ignored=False)

    def _is_tracked(self, path: bytes, entry: IndexEntry, item: "os.DirEntry[bytes]") -> bool:
        """Compare a path that is in the index; False where a folder has taken the place of a file."""
        found = item.stat(follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode) and entry.mode != SUBMODULE:
            return False
        self._seen.add(path)
        if ignores_file(entry) and not self._hidden:
            return True
        if is_announced(entry):
            self.scan.modified[path] = self.entry_of(path, entry, found)
        elif entry.mode == SUBMODULE and stat.S_ISDIR(found.st_mode):
            self._submodule(path, entry)
        elif not is_clean(entry, found, self._staged.written_ns, ctime=self._ctime, executable=self._executable):
            now = self.entry_of(path, entry, found)
            if now != (entry.mode, entry.sha):
                self.scan.modified[path] = now
            else:
                self.scan.refreshed[path] = found
        return True

    def entry_at(self, path: bytes) -> Entry | None:
        """Return what would be staged of what is at `path` now; None if nothing is."""
        staged = self._staged.entries.get(path)
        full = os.path.join(self._root, path)
        found = look(full)
        if found is None:
            return None
        if stat.S_ISDIR(found.st_mode):
            if staged is None or staged.mode != SUBMODULE:
                return None
            head, _ = submodule_state(self._repo, full) if is_repository(full) else (None, False)
            return SUBMODULE, head or staged.sha
        return self.entry_of(path, staged, found)

    def entry_of(self, path: bytes, staged: IndexEntry | None, found: os.stat_result) -> Entry | None:
        """Return what would be staged of a file; None for what git does not store (pipes, sockets)."""
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            return None
        data = self.content(path, found, staged.sha if staged and staged.mode != SUBMODULE else None)
        return self.mode_of(staged, found), self._repo.name_of(data)

    def mode_of(self, staged: IndexEntry | None, found: os.stat_result) -> int:
        """Return the mode that would be staged of a file."""
        mode = plain_mode(found, staged.mode if staged else None, executable=self._executable)
        if staged and staged.mode == LINK and not self._repo.flag(b"core", b"symlinks", default=True):
            return LINK
        return mode

    def content(self, path: bytes, found: os.stat_result, staged: ObjectID | None = None) -> bytes:
        """Return what git would store of a file."""
        data = read_file(os.path.join(self._root, path), found)
        if stat.S_ISLNK(found.st_mode):
            return data
        if self._conversion is None:
            self._conversion = Conversion(self._repo)
        return self._conversion.stored(path, data, staged)

    def _submodule(self, path: bytes, entry: IndexEntry) -> None:
        full = os.path.join(self._root, path)
        if not self._submodules or not is_repository(full):
            return
        head, dirty = submodule_state(self._repo, full)
        if head is not None and head != entry.sha:
            self.scan.modified[path] = (SUBMODULE, head)
        elif dirty:
            self.scan.modified[path] = (SUBMODULE, entry.sha)
            self.scan.dirty_submodules.add(path)


def is_repository(folder: bytes) -> bool:
    return os.path.lexists(os.path.join(folder, b".git"))


def submodule_state(repo: Opened, folder: bytes) -> tuple[ObjectID | None, bool]:
    """Return what a submodule has checked out, and whether it has changes of its own."""
    try:
        with repo.another(os.fsdecode(folder)) as inner:
            if inner.place.worktree != os.path.realpath(os.fsdecode(folder)):
                return None, False
            head = inner.head()
            staged = read_index(inner)
            scan = Scanner(inner, staged).run()
            return head, bool(scan.modified or scan.untracked or staged.conflicted or _is_staged(inner, staged))
    except NotARepository:
        return None, False


def _is_staged(repo: Opened, staged: Staged) -> bool:
    return staged.table() != flatten(repo, repo.head_tree())


def _folders(staged: Staged) -> set[bytes]:
    """Return all folders that have something in the index."""
    found: set[bytes] = set()
    for table in (staged.entries, staged.conflicted):
        for path in table:
            cut = path.rfind(b"/")
            while cut > 0 and path[:cut] not in found:
                found.add(path[:cut])
                cut = path.rfind(b"/", 0, cut)
    return found


def stored_entry(scanner: Scanner, repo: Opened, path: bytes, staged: IndexEntry | None) -> Entry | None:
    """Write the file at `path` as an object; return its entry, None if it is gone or nothing that git stores."""
    full = os.path.join(repo.root, path)
    found = look(full)
    if found is None:
        return None
    if stat.S_ISDIR(found.st_mode):
        if not is_repository(full):
            return (SUBMODULE, staged.sha) if staged and staged.mode == SUBMODULE else None
        head, _ = submodule_state(repo, full)
        return None if head is None else (SUBMODULE, head)
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)):
        return None
    before = staged.sha if staged and staged.mode != SUBMODULE else None
    mode = scanner.mode_of(staged, found)
    return mode, repo.write_blob(scanner.content(path, found, before))
