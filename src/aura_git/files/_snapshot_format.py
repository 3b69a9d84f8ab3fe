"""The format of a snapshot: a commit whose tree holds the files.

Its message ends with a trailer that says where the index is:

    Aura-Index: head      the index was as HEAD: the first parent, or empty without a parent
    Aura-Index: files     the index was as the files: the snapshot's own tree
    Aura-Index: parent    the index differed from both: the last parent's tree

A commit without the trailer is a plain commit: index and files are its tree.
"""

from enum import StrEnum

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
