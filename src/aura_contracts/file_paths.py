"""File paths: whether one is within a folder. Pure, and by the text of both: resolve links first where they matter.

Paths are absolute and normal, as `os.path.realpath` returns them.
"""


def relative(path: str, folder: str) -> str | None:
    """Return `path` as seen from `folder`, ``.`` for the folder itself; None if it is not within it.

    >>> relative("/a/b", "/a"), relative("/a", "/a"), relative("/ab", "/a"), relative("/a", "/")
    ('b', '.', None, 'a')
    """
    if path == folder:
        return "."
    start = folder.rstrip("/") + "/"
    return path.removeprefix(start) if path.startswith(start) else None


def is_within(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or below it."""
    return relative(path, folder) is not None


def is_below(path: str, folder: str) -> bool:
    """Whether `path` is below `folder`, and not the folder itself."""
    return relative(path, folder) not in (None, ".")
