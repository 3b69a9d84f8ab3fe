"""Valid names of branches and refs, by git-check-ref-format(1): pure functions."""

import os
import re

_FORBIDDEN = re.compile(rb"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock/")


def _bytes(name: str) -> bytes | None:
    """Return `name` as the file system stores it; None if it cannot."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        return None


def is_valid_ref(name: str) -> bool:
    """Whether git accepts `name` as a full ref name: at least two components, rules 1 to 9 of the manual page."""
    encoded = _bytes(name)
    if encoded is None or b"/" not in encoded or _FORBIDDEN.search(encoded):
        return False
    return not encoded.startswith((b"/", b".", b"-")) and not encoded.endswith((b"/", b".", b".lock"))


def is_valid_branch(name: str) -> bool:
    """Whether git accepts `name` as a branch, literally: ``@{-1}`` and the like stand for other branches.

    ``@`` stands for HEAD: ``git branch @`` makes such a branch, but no other command can reach it.
    """
    return name not in {"", "@", "HEAD"} and not name.startswith("-") and is_valid_ref(f"refs/heads/{name}")
