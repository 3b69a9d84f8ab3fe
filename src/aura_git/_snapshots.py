"""How a snapshot is written down, the same by every backend: so each can restore what another has saved.

A snapshot is a commit whose tree holds the files. Its message ends with a trailer that says where the index is:

    Aura-Index: head      the index was as HEAD: the first parent, or empty where there is none
    Aura-Index: files     the index was as the files: the snapshot's own tree
    Aura-Index: parent    the index was unlike both: the last parent's tree

A commit without the trailer is no snapshot but a plain commit: index and files are its tree.
"""

from enum import StrEnum

_TRAILER = "Aura-Index: "

INDEX_MESSAGE = "index of a snapshot"
"""The message of the commit that holds an index of its own."""


class IndexPlace(StrEnum):
    HEAD = "head"
    FILES = "files"
    PARENT = "parent"


def index_place(index: str, head: str | None, files: str) -> IndexPlace:
    """Say where an index is to be found, by trees; `head` is None where there is no commit yet and the index is not
    empty.
    """
    if index == head:
        return IndexPlace.HEAD
    return IndexPlace.FILES if index == files else IndexPlace.PARENT


def write_message(message: str, place: IndexPlace) -> str:
    """Return the message of the snapshot."""
    return f"{message.rstrip()}\n\n{_TRAILER}{place}\n"


def read_place(message: str) -> IndexPlace | None:
    """Return where the index is, None for a commit that is no snapshot."""
    last = message.rstrip().rsplit("\n", 1)[-1]
    place = last.removeprefix(_TRAILER)
    return IndexPlace(place) if last.startswith(_TRAILER) and place in set(IndexPlace) else None
