"""Trees as flat tables of paths: reading, comparing, changing and writing them."""

import stat
from collections.abc import Mapping
from typing import TypeAlias

from dulwich.objects import S_IFGITLINK, ObjectID, Tree

from aura_git._dulwich_repository import Opened

Entry: TypeAlias = tuple[int, ObjectID]
"""Mode and object name of a file, symbolic link or submodule."""
Change: TypeAlias = tuple[Entry | None, Entry | None]
"""What a path was and is; None: it is not there."""

FILE = 0o100644
EXECUTABLE = 0o100755
LINK = 0o120000
SUBMODULE = S_IFGITLINK


class FileInTheWay(Exception):
    """A path would be a file and a folder at once."""

    def __init__(self, path: bytes) -> None:
        super().__init__(path)
        self.path = path


def canonical(mode: int) -> int:
    """Return one of the four modes that git knows for what is not a folder."""
    if stat.S_ISLNK(mode):
        return LINK
    if mode & 0o170000 == SUBMODULE:
        return SUBMODULE
    return EXECUTABLE if mode & 0o100 else FILE


def flatten(repo: Opened, tree: ObjectID | None, prefix: bytes = b"") -> dict[bytes, Entry]:
    """Return all paths of a tree, folders left out."""
    found: dict[bytes, Entry] = {}
    if tree is None:
        return found
    pending = [(prefix, tree)]
    while pending:
        prefix, tree = pending.pop()
        for name, mode, sha in repo.entries(tree):
            if stat.S_ISDIR(mode):
                pending.append((prefix + name + b"/", sha))
            else:
                found[prefix + name] = (canonical(mode), sha)
    return found


def compare(repo: Opened, old: ObjectID | None, new: ObjectID | None) -> dict[bytes, Change]:
    """Return the paths that differ; folders that are the same are not read."""
    found: dict[bytes, Change] = {}
    pending = [(b"", old, new)]
    while pending:
        prefix, old, new = pending.pop()
        if old == new:
            continue
        before = _listing(repo, old)
        after = _listing(repo, new)
        for name in before.keys() | after.keys():
            was, now = before.get(name), after.get(name)
            if was == now:
                continue
            path = prefix + name
            was_folder = was[1] if was and stat.S_ISDIR(was[0]) else None
            now_folder = now[1] if now and stat.S_ISDIR(now[0]) else None
            if was_folder or now_folder:
                pending.append((path + b"/", was_folder, now_folder))
            was_file = None if was is None or was_folder else (canonical(was[0]), was[1])
            now_file = None if now is None or now_folder else (canonical(now[0]), now[1])
            if was_file != now_file:
                found[path] = (was_file, now_file)
    return found


def _listing(repo: Opened, tree: ObjectID | None) -> dict[bytes, Entry]:
    return {} if tree is None else {name: (mode, sha) for name, mode, sha in repo.entries(tree)}


def compare_tables(old: Mapping[bytes, Entry], new: Mapping[bytes, Entry]) -> dict[bytes, Change]:
    """Return the paths that differ between two flat tables."""
    found: dict[bytes, Change] = {}
    for path, was in old.items():
        now = new.get(path)
        if was != now:
            found[path] = (was, now)
    for path, now in new.items():
        if path not in old:
            found[path] = (None, now)
    return found


def changed_tree(repo: Opened, tree: ObjectID | None, changes: Mapping[bytes, Entry | None]) -> ObjectID:
    """Write the tree that `tree` becomes by setting paths, or (None) removing them.

    Raises `FileInTheWay` when a path would be a file and a folder.
    """
    return _changed(repo, tree, changes, b"") or repo.empty_tree()


def written_tree(repo: Opened, table: Mapping[bytes, Entry]) -> ObjectID:
    """Write the tree of a flat table."""
    return changed_tree(repo, None, table)


def _changed(
    repo: Opened, tree: ObjectID | None, changes: Mapping[bytes, Entry | None], prefix: bytes
) -> ObjectID | None:
    """Return the changed tree, None if nothing is left in it."""
    before = _listing(repo, tree)
    entries = dict(before)
    here: dict[bytes, Entry] = {}
    below: dict[bytes, dict[bytes, Entry | None]] = {}
    for path, entry in changes.items():
        name, slash, rest = path.partition(b"/")
        if slash:
            below.setdefault(name, {})[rest] = entry
        elif entry is not None:
            here[name] = entry
        elif name in entries and not stat.S_ISDIR(entries[name][0]):
            del entries[name]
    for name, deeper in below.items():
        _change_folder(repo, entries, name, deeper, prefix, replaced=name in here)
    for name, entry in here.items():
        if name in entries and stat.S_ISDIR(entries[name][0]):
            raise FileInTheWay(prefix + name)
        entries[name] = entry
    if entries == before and tree is not None and entries:
        return tree
    return _write_tree(repo, entries) if entries else None


def _change_folder(
    repo: Opened,
    entries: dict[bytes, Entry],
    name: bytes,
    changes: Mapping[bytes, Entry | None],
    prefix: bytes,
    *,
    replaced: bool,
) -> None:
    """Change one of the folders in `entries`, or make it; `replaced`: a file is to be there."""
    was = entries.get(name)
    folder = was[1] if was and stat.S_ISDIR(was[0]) else None
    changed = _changed(repo, folder, changes, prefix + name + b"/")
    if changed is not None:
        if was is not None and folder is None and not replaced:
            raise FileInTheWay(prefix + name)
        entries[name] = (stat.S_IFDIR, changed)
    elif folder is not None:
        del entries[name]


def _write_tree(repo: Opened, entries: Mapping[bytes, Entry]) -> ObjectID:
    made = Tree()
    for name, (mode, sha) in entries.items():
        made.add(name, mode, sha)
    return repo.write(made)


def find_folder(repo: Opened, tree: ObjectID, path: bytes) -> ObjectID | None:
    """Return the tree of the folder at `path`, None if there is none."""
    for part in path.split(b"/"):
        entry = _listing(repo, tree).get(part)
        if entry is None or not stat.S_ISDIR(entry[0]):
            return None
        tree = entry[1]
    return tree
