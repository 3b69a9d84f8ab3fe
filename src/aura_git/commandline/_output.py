"""Parsing git's output for programs: pure functions of bytes, always separated by NUL (``-z``).

Paths become text as names of the file system do (`os.fsdecode`).
"""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from aura_contracts.ports.git_values import ChangedFile, ChangeKind, LinkedWorktree, Status

GITLINK = "160000"
"""The mode of a submodule in a tree and in the index."""

LINK = "120000"
"""The mode of a symbolic link."""

TREE_DIFF = ("diff-tree", "-r", "-z", "--no-renames", "--ignore-submodules=none")
"""Compares two trees, whatever a ``.gitmodules`` says of ignoring submodules."""

_KINDS = {
    b"A": ChangeKind.ADDED,
    b"C": ChangeKind.ADDED,
    b"D": ChangeKind.DELETED,
    b"M": ChangeKind.MODIFIED,
    b"R": ChangeKind.RENAMED,
    b"T": ChangeKind.TYPE_CHANGED,
}


def fields(output: bytes) -> list[bytes]:
    """Split at NULs; the last field ends with one, too."""
    return output.split(b"\0")[:-1]


def paths(output: bytes) -> list[str]:
    """Return a list of paths."""
    return [os.fsdecode(field) for field in fields(output)]


def parse_status(output: bytes) -> Status:
    """Read ``status --porcelain=v2 -z --no-renames``."""
    staged, unstaged, untracked, conflicted = set[str](), set[str](), set[str](), set[str]()
    for record in fields(output):
        match record[:1]:
            case b"1":
                path = os.fsdecode(record.split(b" ", 8)[8])
                if record[2:3] != b".":
                    staged.add(path)
                if record[3:4] != b".":
                    unstaged.add(path)
            case b"u":
                conflicted.add(os.fsdecode(record.split(b" ", 10)[10]))
            case b"?":
                untracked.add(os.fsdecode(record[2:]))
            case _:  # headers and ignored files were not requested
                pass
    return Status(
        staged=tuple(sorted(staged)),
        unstaged=tuple(sorted(unstaged)),
        untracked=tuple(sorted(untracked)),
        conflicted=tuple(sorted(conflicted)),
    )


def parse_changes(output: bytes) -> tuple[ChangedFile, ...]:
    """Read ``diff-tree -z --raw --numstat``: a record of each kind for each file, all raw ones first."""
    rest = iter(fields(output))
    kinds: dict[str, tuple[ChangeKind, str | None]] = {}
    counts: dict[str, tuple[int | None, int | None]] = {}
    for field in rest:
        if field.startswith(b":"):
            letter = field.rsplit(b" ", 1)[1][:1]
            old = os.fsdecode(next(rest)) if letter in b"RC" else None
            path = os.fsdecode(next(rest))
            kinds[path] = _KINDS.get(letter, ChangeKind.MODIFIED), old if letter == b"R" else None
        else:
            added, removed, name = field.split(b"\t", 2)
            if not name:  # renamed: old and new name follow
                next(rest)
                name = next(rest)
            counts[os.fsdecode(name)] = _count(added), _count(removed)
    return tuple(
        ChangedFile(path=path, kind=kinds[path][0], old_path=kinds[path][1], added=added, removed=removed)
        for path in sorted(kinds)
        for added, removed in [counts.get(path, (0, 0))]
    )


def _count(text: bytes) -> int | None:
    return None if text == b"-" else int(text)


def parse_worktrees(output: bytes) -> tuple[LinkedWorktree, ...]:
    """Read ``worktree list --porcelain -z``."""
    return tuple(_worktree(record) for record in _records(fields(output)))


def _records(lines: Iterable[bytes]) -> Iterator[dict[bytes, bytes]]:
    record: dict[bytes, bytes] = {}
    for line in lines:
        if line:
            key, _, value = line.partition(b" ")
            record[key] = value
        elif record:
            yield record
            record = {}
    if record:
        yield record


def _worktree(record: dict[bytes, bytes]) -> LinkedWorktree:
    head, branch = record.get(b"HEAD", b"").decode(), record.get(b"branch")
    return LinkedWorktree(
        path=os.fsdecode(record[b"worktree"]),
        head=head if head.strip("0") else None,
        branch=None if branch is None else os.fsdecode(branch).removeprefix("refs/heads/"),
        bare=b"bare" in record,
        locked=b"locked" in record,
        prunable=b"prunable" in record,
    )


class ConfigEntry(NamedTuple):
    """One line of git's configuration; later entries win."""

    scope: str
    """``system``, ``global``, ``local``, ``worktree`` or ``command``."""
    origin: str
    """``file:<path>``, or ``command line:``."""
    key: str
    """Section and variable in lower case, the subsection as written."""
    value: str


def parse_config(output: bytes) -> list[ConfigEntry]:
    """Read ``config --list -z --show-scope --show-origin``; a key without equals sign is true (git-config(1)).

    The format of a repository is left out where git does not look for it: in files that its own one includes, and in
    the settings of a worktree or a person.
    """
    entries: list[ConfigEntry] = []
    own: str | None = None
    rest = iter(fields(output))
    for scope in rest:
        origin = next(rest)
        key, has_value, value = next(rest).partition(b"\n")
        text = os.fsdecode(value) if has_value else "true"
        entry = ConfigEntry(scope.decode(), os.fsdecode(origin), os.fsdecode(key), text)
        if entry.scope == "local" and own is None:
            own = entry.origin  # what it includes is listed after the line that does
        if not _is_format(entry.key) or (entry.scope, entry.origin) == ("local", own):
            entries.append(entry)
    return entries


def _is_format(key: str) -> bool:
    """Whether a setting says in which form a repository is kept."""
    return key == "core.repositoryformatversion" or key.startswith("extensions.")
