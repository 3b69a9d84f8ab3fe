"""Context documents: reads the files of a worktree that an agent gets before it begins.

The files are those of other people and of agents, so nothing about them is trusted. Nothing outside the worktree is
read, whatever links there are and however they change meanwhile: a path is resolved first, and what it resolves to is
opened part by part, following no link. A pipe is not waited for, and of a file only the beginning is read.
"""

import os
import stat
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import attrs

from aura_contracts.context_documents import (
    CONTEXT_LIMIT,
    DOCUMENT_LIMIT,
    DOCUMENTS_LIMIT,
    LEFT_OUT_LIMIT,
    ContextDocument,
    DocumentPlace,
    FoundDocument,
    FoundDocuments,
    LeftOutDocument,
    is_document,
    is_wild,
    require_document_pattern,
)
from aura_contracts.file_paths import relative
from aura_contracts.quoting import cut, one_line, printable
from aura_contracts.secrets import secret_in

ENTRIES_LIMIT = 100_000
"""Files and folders of a worktree that are looked at for one pattern."""

_LEAST = 1024
"""Bytes; where there is less room, a document is left out and not cut."""

_TRIES = 3
"""Times that a file is read which changes meanwhile."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@attrs.frozen
class _Unsuitable(Exception):
    """Why a file is left out."""

    reason: str


@attrs.define
class _Reading:
    """What was found so far."""

    documents: list[FoundDocument] = attrs.field(factory=list)
    left_out: list[LeftOutDocument] = attrs.field(factory=list)
    more: int = 0
    room: int = CONTEXT_LIMIT

    def leave_out(self, place: DocumentPlace | None, path: str, reason: str) -> None:
        if len(self.left_out) >= LEFT_OUT_LIMIT:
            self.more += 1
            return
        repository = "" if place is None else place.repository
        self.left_out.append(LeftOutDocument(repository=repository, path=cut(one_line(path)), reason=reason))

    def take(self, place: DocumentPlace, path: str) -> None:
        """Read a document, as far as there is room."""
        if len(self.documents) >= DOCUMENTS_LIMIT or self.room < _LEAST:
            self.leave_out(place, path, "there is no more room")
            return
        try:
            size, text, shortened = _read(place.path, path, min(DOCUMENT_LIMIT, self.room))
        except _Unsuitable as unsuitable:
            self.leave_out(place, path, unsuitable.reason)
            return
        except OSError as error:
            self.leave_out(place, path, f"it cannot be read: {error.strerror or error}")
            return
        kept = len(text.encode())
        self.room -= kept
        document = ContextDocument(
            repository=place.repository, path=cut(one_line(path)), size=size, kept=kept, cut=shortened
        )
        self.documents.append(FoundDocument(document=document, text=text))


def read_documents(
    places: Sequence[DocumentPlace], patterns: Sequence[str], without: Collection[str]
) -> FoundDocuments:
    """See `WorkspaceProvider.documents`."""
    reading, seen, own = _Reading(), set[tuple[str, str]](), list[tuple[str, str]]()
    known = {(place.path, _target(place, path)) for place in places for path in without}
    for pattern in patterns:
        require_document_pattern(pattern)
        found = False
        for place in places:
            for path in _matches(place, pattern, reading):
                found = True
                file = (place.path, _target(place, path))
                if file in seen:
                    continue
                seen.add(file)
                if file in known:
                    own.append((place.repository, path))
                else:
                    reading.take(place, path)
        if not found:
            reading.leave_out(None, pattern, "no file matches" if is_wild(pattern) else "there is no such file")
    return FoundDocuments(
        documents=tuple(reading.documents),
        left_out=tuple(reading.left_out),
        more=reading.more,
        without=tuple(own),
    )


def _target(place: DocumentPlace, path: str) -> str:
    """Return what is the same for a document and for links to it in its repository."""
    top = os.path.realpath(place.path)
    return relative(os.path.realpath(f"{top}/{path}"), top) or path


# --- Finding ----------------------------------------------------------------------------------------------------------


def _matches(place: DocumentPlace, pattern: str, reading: _Reading) -> list[str]:
    """Return the paths in a place that match a pattern, sorted. Links to folders are not followed by wildcards."""
    if not is_wild(pattern):
        return [pattern] if os.path.lexists(f"{place.path}/{pattern}") else []
    folders = pattern.split("/")[:-1]
    fixed = next((number for number, part in enumerate(folders) if is_wild(part)), len(folders))
    depth = None if "**" in folders else len(folders) - fixed
    entries = _files(place.path, "/".join(folders[:fixed]), depth)
    looked = list(islice(entries, ENTRIES_LIMIT + 1))
    if len(looked) > ENTRIES_LIMIT:
        reading.leave_out(place, pattern, f"only the first {ENTRIES_LIMIT:,} files and folders were looked at")
    return sorted(path for path in looked[:ENTRIES_LIMIT] if path is not None and is_document(path, pattern))


def _files(top: str, folder: str, depth: int | None) -> Iterator[str | None]:
    """Yield the files in a folder and `depth` levels below, relative to `top`, and None for each folder."""
    if relative(os.path.realpath(f"{top}/{folder}"), os.path.realpath(top)) is None:
        return
    waiting = [(folder, 0)]
    while waiting:
        above, level = waiting.pop()
        for name, is_folder in _listed(f"{top}/{above}"):
            path = f"{above}/{name}" if above else name
            if not is_folder:
                yield path
                continue
            yield None
            if level != depth:
                waiting.append((path, level + 1))


def _listed(folder: str) -> list[tuple[str, bool]]:
    """Return the names in a folder without links to folders, and whether each is one; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in islice(entries, ENTRIES_LIMIT + 1)
                if entry.name.casefold() != ".git" and not (entry.is_symlink() and os.path.isdir(entry.path))  # noqa: PTH112 - raises nothing
            ]
    except OSError:
        return []


# --- Reading ----------------------------------------------------------------------------------------------------------


def _read(top: str, path: str, limit: int) -> tuple[int, str, bool]:
    """Return the size of a document, its text in at most `limit` bytes, and whether that was cut."""
    for _ in range(_TRIES):
        descriptor = _open(os.path.realpath(top), path)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise _Unsuitable("it is a folder" if stat.S_ISDIR(before.st_mode) else "it is not a regular file")
            content = _beginning(descriptor, limit + 1)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return before.st_size, *_text(content, limit)
    raise _Unsuitable("it changes while it is read")


def _open(top: str, path: str) -> int:
    """Open a file below `top`, which is a real path, following only links that stay below it."""
    try:
        real = os.path.realpath(f"{top}/{path}", strict=True)
    except FileNotFoundError:
        raise _Unsuitable("it is a link to nothing") from None
    inside = relative(real, top)
    if inside is None or inside == ".":
        raise _Unsuitable("it leads out of the repository")
    parts = inside.split("/")
    if any(part.casefold() == ".git" for part in parts):
        raise _Unsuitable("it is in git's own folder")
    folder = os.open(top, _FLAGS | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            below = os.open(part, _FLAGS | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(parts[-1], _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _beginning(descriptor: int, size: int) -> bytes:
    content = b""
    while len(content) < size and (piece := os.read(descriptor, size - len(content))):
        content += piece
    return content


def _text(content: bytes, limit: int) -> tuple[str, bool]:
    """Return the text of a document that is shown as it is, in at most `limit` bytes, and whether it was cut."""
    if b"\0" in content:
        raise _Unsuitable("it is binary")
    whole = len(content) <= limit
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if whole or error.reason != "unexpected end of data":
            raise _Unsuitable("it is not text in UTF-8") from None
        text = content[: error.start].decode("utf-8-sig")
    if found := secret_in(text):
        raise _Unsuitable(f"it holds what looks like a secret: {found}")
    shown = printable(text.replace("\r\n", "\n"), keep="\n\t")
    encoded = shown.encode()
    if whole and len(encoded) <= limit:
        return shown, False
    return _at_line(encoded[:limit].decode("utf-8", "ignore")), True


def _at_line(text: str) -> str:
    """Return a text without the line that was cut in the middle, unless that is most of it."""
    kept = text[: text.rfind("\n") + 1]
    return kept if len(kept) > len(text) // 2 else text
