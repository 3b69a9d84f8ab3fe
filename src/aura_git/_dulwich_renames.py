"""Renames: which deleted file an added one is alike, as git finds them (gitdiffcore(7)): 50 % of the bytes or more."""

from collections import Counter
from collections.abc import Callable, Mapping

from aura_git._dulwich_trees import EXECUTABLE, FILE, Entry

_ALIKE = 0.5
_PAIRS = 100_000
"""Where there are more pairs of files to compare than this, only equal ones are found (git: a million)."""

Read = Callable[[bytes, Entry], bytes]
"""Returns the content of a path."""


def find_renames(
    deleted: Mapping[bytes, Entry], added: Mapping[bytes, Entry], read_old: Read, read_new: Read
) -> dict[bytes, tuple[bytes, int]]:
    """Return for each added path that is a renamed one where it was, and how alike the two are in percent."""
    found = _equal(deleted, added)
    taken = {old for old, _ in found.values()}
    left = {path: entry for path, entry in deleted.items() if path not in taken and _is_file(entry)}
    new = {path: entry for path, entry in added.items() if path not in found and _is_file(entry)}
    if left and new and len(left) * len(new) <= _PAIRS:
        found |= _similar(left, new, read_old, read_new)
    return found


def _is_file(entry: Entry) -> bool:
    return entry[0] in {FILE, EXECUTABLE}


def _equal(deleted: Mapping[bytes, Entry], added: Mapping[bytes, Entry]) -> dict[bytes, tuple[bytes, int]]:
    """Pair what is the same; of several, what has the same name, then what comes first."""
    by_content: dict[tuple[bool, bytes], list[bytes]] = {}
    for path in sorted(deleted):
        by_content.setdefault((_is_file(deleted[path]), deleted[path][1]), []).append(path)
    found: dict[bytes, tuple[bytes, int]] = {}
    for path in sorted(added):
        sources = by_content.get((_is_file(added[path]), added[path][1]))
        if sources:
            source = min(sources, key=lambda source: _name(source) != _name(path))
            sources.remove(source)
            found[path] = (source, 100)
    return found


def _name(path: bytes) -> bytes:
    return path.rpartition(b"/")[2]


def _similar(
    deleted: Mapping[bytes, Entry], added: Mapping[bytes, Entry], read_old: Read, read_new: Read
) -> dict[bytes, tuple[bytes, int]]:
    old = {path: _Profile(read_old(path, entry)) for path, entry in deleted.items()}
    new = {path: _Profile(read_new(path, entry)) for path, entry in added.items()}
    scores = [
        (-score, _name(path) != _name(source), path, source)
        for path, profile in new.items()
        for source, other in old.items()
        if (score := profile.alike(other)) >= _ALIKE
    ]
    found: dict[bytes, tuple[bytes, int]] = {}
    taken: set[bytes] = set()
    for score, _, path, source in sorted(scores):
        if path not in found and source not in taken:
            taken.add(source)
            found[path] = (source, int(-score * 100))
    return found


class _Profile:
    """How many bytes of a content are in which lines; long lines count in pieces of 64 bytes."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self.pieces: Counter[bytes] = Counter()
        for line in data.split(b"\n"):
            ended = line + b"\n"
            for start in range(0, len(ended), 64):
                piece = ended[start : start + 64]
                self.pieces[piece] += len(piece)
        if data.endswith(b"\n") or not data:
            self.pieces[b"\n"] -= 1

    def alike(self, other: "_Profile") -> float:
        """Return which part of the larger content both have."""
        small, large = sorted((self.size, other.size))
        if not small or small < large * _ALIKE:
            return 0.0
        shared = sum(min(count, other.pieces[piece]) for piece, count in self.pieces.items() if piece in other.pieces)
        return min(shared / large, 0.99)
