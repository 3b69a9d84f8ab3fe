"""Context documents: the files of a project that an agent is given with its first prompt, and their patterns.

A pattern is relative to the top of a repository. ``*``, ``?`` and ``[...]`` stay within one folder and also match names
that begin with a dot, ``**`` is any number of folders. Nothing in ``.git`` matches.
"""

import re
from fnmatch import fnmatchcase
from pathlib import PurePosixPath, PureWindowsPath

import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.quoting import is_visible, one_line

DOCUMENT_LIMIT = 32 * 1024
"""Bytes in UTF-8 that are given of one document."""

CONTEXT_LIMIT = 64 * 1024
"""Bytes in UTF-8 that are given of all documents together. Agents that take their prompt as an argument accept at most
128 KiB."""

DOCUMENTS_LIMIT = 100
"""Documents that are given to an agent."""

LEFT_OUT_LIMIT = 20
"""Documents that are named as left out; the others are counted."""

PATTERN_LIMIT = 500
"""Characters of a pattern."""

_RELATIVE = "write it relative to the top of the repository, like docs/*.md, or docs/**/* for all files in a folder"

_WILD = re.compile(r"[*?\[]")


class ContextDocument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A document that an agent was given. Sizes in bytes."""

    repository: str
    """The name of the repository in the workspace; empty for a folder in none."""
    path: str
    """Relative to the top of the repository; what cannot be seen is escaped."""
    size: int
    """Of the file."""
    kept: int
    """Of its text as the agent was given it: without what was cut, and with what cannot be seen escaped."""
    cut: bool = False
    """Whether its end is left out."""


class LeftOutDocument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A document that an agent was not given, and why."""

    repository: str
    path: str
    reason: str


class AgentContext(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The documents of a project, as an agent gets them before its first prompt."""

    project: str
    text: str
    """What stands before the prompt; empty: nothing."""
    documents: tuple[ContextDocument, ...] = ()
    left_out: tuple[LeftOutDocument, ...] = ()
    more: int = 0
    """How many further ones are left out."""


class FoundDocument(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A document with its text."""

    document: ContextDocument
    text: str


class FoundDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """What patterns match, in the order of the patterns and, for each, of the paths."""

    documents: tuple[FoundDocument, ...] = ()
    left_out: tuple[LeftOutDocument, ...] = ()
    more: int = 0
    """How many further ones are left out."""
    without: tuple[tuple[str, str], ...] = ()
    """Repository and path of those that match, and that the reader was asked to leave out."""


class DocumentPlace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where to look for documents: the top of a worktree, by absolute path, and the name of its repository."""

    repository: str
    path: str


def is_wild(pattern: str) -> bool:
    """Whether a pattern may match several files."""
    return _WILD.search(pattern) is not None


def require_document_pattern(pattern: str, field: str = "documents") -> str:
    """Return a pattern. Raises `InvalidInput` for one that matches nothing, or leads out of the repository."""
    if not pattern.strip() or len(pattern) > PATTERN_LIMIT:
        reason = f"a pattern has 1 to {PATTERN_LIMIT} characters, this one has {len(pattern)}"
        raise InvalidInput(field=field, reason=reason, remedy=_RELATIVE)
    parts = pattern.split("/")
    both = (PurePosixPath(pattern), PureWindowsPath(pattern))
    problems = {
        "has characters that cannot be seen": not is_visible(pattern) or pattern != pattern.strip(),
        "leads out of the repository": any(path.anchor or ".." in path.parts for path in both),
        "has a backslash, where folders are separated with '/'": "\\" in pattern,
        "is a folder": parts[-1] in ("", "**"),
        "matches nothing": not {"", "."}.isdisjoint(parts),
        "is in git's own folder": any(part.casefold() == ".git" for part in parts),
        "has '**' where it is not a whole folder": any("**" in part and part != "**" for part in parts),
        "has a bracket that is not closed": any(map(_is_open, parts)),
    }
    for problem, found in problems.items():
        if found:
            raise InvalidInput(field=field, reason=f"{one_line(pattern)!r} {problem}", remedy=_RELATIVE)
    return pattern


def _is_open(part: str) -> bool:
    """Whether a bracket opens a class that does not end."""
    place = part.find("[")
    while place >= 0:
        end = part.find("]", place + (3 if part[place + 1 : place + 2] == "!" else 2))
        if end < 0:
            return True
        place = part.find("[", end)
    return False


def is_document(path: str, pattern: str) -> bool:
    """Return whether a path, relative to the top of a repository, matches a pattern.

    >>> [is_document(path, "docs/**/*.md") for path in ("docs/a.md", "docs/x/y/a.md", "a.md", "docs/a.md/b")]
    [True, True, False, False]
    """
    wanted = pattern.split("/")
    places = _behind_folders({0}, wanted)
    for part in path.split("/"):
        places = {
            place if wanted[place] == "**" else place + 1
            for place in places
            if place < len(wanted) and (wanted[place] == "**" or fnmatchcase(part, wanted[place]))
        }
        places = _behind_folders(places, wanted)
    return len(wanted) in places


def _behind_folders(places: set[int], wanted: list[str]) -> set[int]:
    """Return the places in a pattern with those behind each ``**``, which may be no folder at all."""
    found = set(places)
    for place in range(len(wanted)):
        if place in found and wanted[place] == "**":
            found.add(place + 1)
    return found
