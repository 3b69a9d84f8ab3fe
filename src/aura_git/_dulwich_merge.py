"""Merging trees without a worktree: three states of a tree become one, or a list of paths in conflict.

What only one side changed is taken; what both changed is merged line by line. Renames are looked for where one side
has deleted what the other one touched, so that a change follows the file. Whatever is left open is a conflict: this
code would rather ask than guess.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from dulwich.objects import ObjectID

from aura_git._dulwich_content import Conversion
from aura_git._dulwich_history import History
from aura_git._dulwich_lines import merge_lines, split_lines
from aura_git._dulwich_renames import find_renames
from aura_git._dulwich_repository import Opened
from aura_git._dulwich_trees import (
    EXECUTABLE,
    FILE,
    Change,
    Entry,
    FileInTheWay,
    changed_tree,
    compare,
    find_folder,
)

_BINARY_WITHIN = 8000


@dataclass(frozen=True)
class Merged:
    """The tree, which holds markers where `conflicts` are; it then only serves as the base of another merge."""

    tree: ObjectID
    conflicts: tuple[bytes, ...]


def merge_commits(repo: Opened, history: History, ours: ObjectID, theirs: ObjectID) -> Merged:
    """Merge two commits over their best common ancestors; several of those are merged into one first."""
    bases = history.merge_bases(ours, theirs)
    base = _merged_bases(repo, history, bases) if bases else None
    return merge_trees(repo, base, repo.tree(ours), repo.tree(theirs))


def _merged_bases(repo: Opened, history: History, bases: list[ObjectID]) -> ObjectID:
    tree = repo.tree(bases[0])
    for number, other in enumerate(bases[1:]):
        if number == 0:
            tree = merge_commits(repo, history, bases[0], other).tree
        else:
            below = history.merge_bases(bases[0], other)
            common = _merged_bases(repo, history, below) if below else None
            tree = merge_trees(repo, common, tree, repo.tree(other)).tree
    return tree


def merge_trees(repo: Opened, base: ObjectID | None, ours: ObjectID, theirs: ObjectID) -> Merged:
    """Merge two trees that were made of a third."""
    if theirs in {ours, base}:
        return Merged(ours, ())
    if ours == base:
        return Merged(theirs, ())
    return _TreeMerge(repo, base, ours, theirs).run()


class _TreeMerge:
    """One merge: `edits` lead from our tree to the merged one."""

    def __init__(self, repo: Opened, base: ObjectID | None, ours: ObjectID, theirs: ObjectID) -> None:
        self._repo = repo
        self._base_tree = base
        self._our_tree = ours
        self._their_tree = theirs
        self._ours = compare(repo, base, ours)
        self._theirs = compare(repo, base, theirs)
        self._edits: dict[bytes, Entry | None] = {}
        self._conflicts: set[bytes] = set()
        self._settled: set[bytes] = set()
        self._conversion: Conversion | None = None

    def run(self) -> Merged:
        self._follow_renames()
        for path, (was, theirs) in self._theirs.items():
            if path in self._settled:
                continue
            if path not in self._ours:
                self._edits[path] = theirs
            else:
                self._settle(path, was, self._ours[path][1], theirs)
        while True:
            try:
                tree = changed_tree(self._repo, self._our_tree, self._edits)
            except FileInTheWay as clash:
                self._conflicts.add(clash.path)
                below = clash.path + b"/"
                for path in [path for path in self._edits if path == clash.path or path.startswith(below)]:
                    del self._edits[path]
            else:
                return Merged(tree, tuple(sorted(self._conflicts)))

    # --- One path -----------------------------------------------------------------------------------------------------

    def _settle(self, path: bytes, was: Entry | None, ours: Entry | None, theirs: Entry | None) -> None:
        """Decide on a path that both sides changed."""
        if ours == theirs:
            self._edits[path] = ours
            return
        merged = None if ours is None or theirs is None else self._merged(path, was, ours, theirs)
        self._edits[path] = merged or self._contradiction(path, ours, theirs)

    def _merged(self, path: bytes, was: Entry | None, ours: Entry, theirs: Entry) -> Entry | None:
        if not {ours[0], theirs[0]} <= {FILE, EXECUTABLE}:
            return None
        mode = ours[0] if was is None or ours[0] != was[0] else theirs[0]
        if was is None and ours[0] != theirs[0]:
            self._conflicts.add(path)
        if ours[1] == theirs[1]:
            return mode, ours[1]
        if was is not None and was[0] in {FILE, EXECUTABLE}:
            if ours[1] == was[1]:
                return mode, theirs[1]
            if theirs[1] == was[1]:
                return mode, ours[1]
        return self._merged_lines(path, was, ours, theirs, mode)

    def _merged_lines(self, path: bytes, was: Entry | None, ours: Entry, theirs: Entry, mode: int) -> Entry | None:
        known = was is not None and was[0] in {FILE, EXECUTABLE}
        base = self._repo.blob(was[1]) if was is not None and known else b""
        one, other = self._repo.blob(ours[1]), self._repo.blob(theirs[1])
        if any(b"\0" in data[:_BINARY_WITHIN] for data in (base, one, other)) or not self._is_text(path):
            return None
        lines, conflict = merge_lines(split_lines(base), split_lines(one), split_lines(other))
        if conflict:
            self._conflicts.add(path)
        return mode, self._repo.write_blob(b"".join(lines))

    def _is_text(self, path: bytes) -> bool:
        """Whether the attributes let a file be merged line by line; programs of the user are not run."""
        if self._conversion is None:
            self._conversion = Conversion(self._repo, self._our_tree)
        return self._conversion.attribute(path, b"merge") in {None, True, b"text"}

    def _contradiction(self, path: bytes, ours: Entry | None, theirs: Entry | None) -> Entry:
        self._conflicts.add(path)
        sides = b" ".join(b"nothing" if side is None else b"%o %s" % side for side in (ours, theirs))
        return FILE, self._repo.write_blob(b"<<<<<<< in conflict: %s >>>>>>>\n" % sides)

    # --- Renames ------------------------------------------------------------------------------------------------------

    def _follow_renames(self) -> None:
        """Let changes follow files that the other side renamed."""
        gone = [
            path for path in self._ours.keys() & self._theirs.keys()
            if self._ours[path][1] is None or self._theirs[path][1] is None
        ]  # fmt: skip
        misplaced = self._misplaced(self._ours, self._theirs, self._our_tree)
        misplaced_ours = self._misplaced(self._theirs, self._ours, self._their_tree)
        if not (gone or misplaced or misplaced_ours):
            return
        ours, theirs = self._renames(self._ours), self._renames(self._theirs)
        for path in sorted(gone):
            if self._ours[path][1] is None and self._theirs[path][1] is None:
                self._both_deleted(path, ours.get(path), theirs.get(path))
            elif self._ours[path][1] is None:
                self._renamed(path, ours.get(path), self._theirs)
            else:
                self._renamed(path, theirs.get(path), self._ours)
        for places, renames in ((misplaced, ours), (misplaced_ours, theirs)):
            self._conflicts.update(
                path for path, folder in places.items() if any(old.startswith(folder + b"/") for old in renames)
            )

    def _renames(self, changes: Mapping[bytes, Change]) -> dict[bytes, bytes]:
        """Return where one side's deleted files went; empty ones are too much alike to say."""
        empty = self._repo.name_of(b"")
        deleted = {path: was for path, (was, now) in changes.items() if was and now is None and was[1] != empty}
        added = {path: now for path, (was, now) in changes.items() if was is None and now and now[1] != empty}
        found = find_renames(deleted, added, self._read, self._read)
        return {old: new for new, (old, _) in found.items()}

    def _read(self, path: bytes, entry: Entry) -> bytes:
        return self._repo.blob(entry[1])

    def _renamed(self, path: bytes, to: bytes | None, other: Mapping[bytes, Change]) -> None:
        """One side deleted `path`, the other one (`other`) changed it: merge where the file is now."""
        if to is None:
            return
        was = self._ours[path][0]
        if to in other:
            self._conflicts.update((path, to))
            return
        moved = self._ours.get(to, self._theirs.get(to))
        assert moved is not None
        if other is self._theirs:
            self._settle(to, was, moved[1], other[path][1])
        else:
            self._settle(to, was, other[path][1], moved[1])
        self._edits[path] = None
        self._settled.update((path, to))

    def _both_deleted(self, path: bytes, ours: bytes | None, theirs: bytes | None) -> None:
        """Both sides deleted `path`; that may have been renames to different places."""
        if ours == theirs:
            if ours is not None:
                self._settle(ours, self._ours[path][0], self._ours[ours][1], self._theirs[ours][1])
                self._settled.add(ours)
            return
        self._conflicts.update(to for to in (ours, theirs) if to is not None)

    def _misplaced(
        self, one: Mapping[bytes, Change], other: Mapping[bytes, Change], tree: ObjectID
    ) -> dict[bytes, bytes]:
        """Return paths that `other` added to a folder that is no more in `tree`, which `one` leads to."""
        left = {path.rpartition(b"/")[0] for path, (_, now) in one.items() if now is None}
        left = {folder for folder in left if folder and find_folder(self._repo, tree, folder) is None}
        return {
            path: folder
            for path, (was, _) in other.items()
            if was is None and (folder := path.rpartition(b"/")[0]) in left and path not in one
        }
