"""Snapshots of everything that a worktree holds: commits whose tree holds the files.

The message of a snapshot ends with a trailer that says where the index is:

    Aura-Index: head      the index was as HEAD: the first parent, or empty without a parent
    Aura-Index: files     the index was as the files: the snapshot's own tree
    Aura-Index: parent    the index differed from both: the last parent's tree

A commit without the trailer is a plain commit: index and files are its tree.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

from aura_git.commandline._output import paths
from aura_git.files._changes import record_files, remove_links_in_place_of_folders, status, untracked
from aura_git.repository._git_repository import GitRepository

_TRAILER = "Aura-Index: "

INDEX_MESSAGE = "index of a snapshot"
"""The message of the commit that holds the index."""


class IndexPlace(StrEnum):
    HEAD = "head"
    FILES = "files"
    PARENT = "parent"


def index_place(index: str, head: str, files: str) -> IndexPlace:
    """Return where to find the tree `index`, given those of HEAD and of the files."""
    if index == head:
        return IndexPlace.HEAD
    return IndexPlace.FILES if index == files else IndexPlace.PARENT


def write_message(message: str, place: IndexPlace) -> str:
    """Return the message of the snapshot."""
    return f"{message.rstrip()}\n\n{_TRAILER}{place}\n"


def read_place(message: str) -> IndexPlace | None:
    """Return where the index is, None for a commit that is not a snapshot."""
    last = message.rstrip().rsplit("\n", 1)[-1]
    place = last.removeprefix(_TRAILER)
    return IndexPlace(place) if last.startswith(_TRAILER) and place in set(IndexPlace) else None


def snapshot(repository: GitRepository, ref: str, message: str, also: Sequence[str] = ()) -> str:
    """See `GitFiles.snapshot`."""
    repository.require_ref(ref)
    head = repository.head()
    with repository.scratch_index() as scratch:
        found = status(repository)
        if not found.dirty and head and not also:
            if repository.find_ref(ref) != head:
                repository.git("update-ref", "-m", "snapshot: nothing differs from HEAD", ref, head)
            return head
        if found.conflicted:
            _take_ours(repository, scratch)
        index_tree = repository.git("write-tree", variables=scratch).text
        record_files(repository, found, scratch)
        if also:
            stdin = b"".join(os.fsencode(path) + b"\0" for path in also)
            repository.on_files("update-index", "-z", "--add", "--stdin", stdin=stdin, variables=scratch)
        files_tree = repository.git("write-tree", variables=scratch).text
    head_tree = repository.tree(head) if head else repository.empty_tree()
    place = index_place(index_tree, head_tree, files_tree)
    parents = [head] if head else []
    if place is IndexPlace.PARENT:
        parents.append(repository.commit_tree(index_tree, parents, INDEX_MESSAGE))
    commit = repository.commit_tree(files_tree, parents, write_message(message, place))
    repository.git("update-ref", "-m", "snapshot", ref, commit)
    return commit


def _take_ours(repository: GitRepository, scratch: dict[str, str]) -> None:
    """Make the scratch index hold our side of each file in conflict: a tree cannot hold more than one."""
    ours: dict[str, str] = {}
    for entry in paths(repository.git("ls-files", "-u", "-z").out):
        facts, path = entry.split("\t", 1)
        mode, name, number = facts.split(" ")
        if number == "2":
            ours[path] = f"{mode} {name} 0"
        else:
            ours.setdefault(path, f"0 {'0' * len(name)} 0")
    entries = b"".join(os.fsencode(f"{facts}\t{path}") + b"\0" for path, facts in ours.items())
    repository.git("update-index", "-z", "--index-info", stdin=entries, variables=scratch)


def restore(repository: GitRepository, commit: str) -> None:
    """See `GitFiles.restore`."""
    found = repository.resolve(commit)
    index_tree = _index_tree(repository, found)
    remove_links_in_place_of_folders(repository, found)
    unsaved = untracked(repository)  # ignored files are in no snapshot, whatever its own .gitignore says
    repository.on_files("read-tree", "--reset", "-u", repository.tree(found))
    left = set(untracked(repository))
    _remove_files(repository.path, [path for path in unsaved if path in left])
    repository.on_files("read-tree", "--reset", index_tree)
    repository.on_files("update-index", "-q", "--refresh", codes=(0, 1))


def _index_tree(repository: GitRepository, commit: str) -> str:
    message = repository.git("cat-file", "commit", commit).out.partition(b"\n\n")[2]
    place = read_place(message.decode("utf-8", "replace"))
    parents = repository.git("rev-parse", f"{commit}^@").text.split()
    if place is IndexPlace.HEAD:
        return repository.tree(parents[0]) if parents else repository.empty_tree()
    if place is IndexPlace.PARENT and parents:
        return repository.tree(parents[-1])
    return repository.tree(commit)


def _remove_files(top: str, names: list[str]) -> None:
    """Remove files, and the folders that this leaves empty."""
    folders: set[Path] = set()
    for name in names:
        file = Path(top, name)
        file.unlink(missing_ok=True)
        folders.update(parent for parent in file.parents if Path(top) in parent.parents)
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        with suppress(OSError):
            folder.rmdir()
