"""A reader of repositories that shares nothing with git: trees from their files, and patches applied by hand."""

import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from stat import S_ISREG

from dulwich.objects import Blob, Commit, ShaFile
from dulwich.objects import Tree as Tree_

Tree = dict[str, tuple[int, bytes]]
_NUMBERS = {b"commit": 1, b"tree": 2, b"blob": 3}


class Objects:
    """Reads the objects of a repository that has not packed them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _read(self, name: bytes) -> ShaFile:
        content = zlib.decompress((self._folder / os.fsdecode(name[:2]) / os.fsdecode(name[2:])).read_bytes())
        head, _, body = content.partition(b"\0")
        found = ShaFile.from_raw_string(_NUMBERS[head.split()[0]], body)
        assert found.id == name
        return found

    def tree(self, commit: str) -> Tree:
        """Return the mode and content of the files of a commit; a submodule is shown as git shows it."""
        found = self._read(commit.encode())
        assert isinstance(found, Commit)
        return dict(self._files(found.tree, b""))

    def _files(self, name: bytes, above: bytes) -> Iterator[tuple[str, tuple[int, bytes]]]:
        tree = self._read(name)
        assert isinstance(tree, Tree_)
        for one in tree.iteritems():
            path = above + one.path
            if one.mode == 0o040000:
                yield from self._files(one.sha, path + b"/")
            else:
                yield os.fsdecode(path), (one.mode, self._content(one.mode, one.sha))

    def _content(self, mode: int, name: bytes) -> bytes:
        if mode == 0o160000:
            return b"Subproject commit " + name + b"\n"
        blob = self._read(name)
        assert isinstance(blob, Blob)
        return blob.data


def changed(old: Tree, new: Tree) -> set[str]:
    return {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


_SECTION = re.compile(rb"^diff --git ", re.MULTILINE)
_MODES = (b"new mode", b"new file mode")
_HUNK = re.compile(rb"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@.*$")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"a": b"\a", b"f": b"\f", b"v": b"\v"}


def patched(old: Tree, patch: bytes) -> Tree:
    """Return a tree with a patch applied; what a patch does not say of a binary file is taken from nowhere: b"?"."""
    new = dict(old)
    for section in _SECTION.split(patch)[1:]:
        lines = section.split(b"\n")[:-1]
        end = next((n for n, line in enumerate(lines) if line.startswith((b"@@", b"GIT binary patch"))), len(lines))
        said = lines[1:end]
        modes = {name: int(line.split()[-1], 8) for line in said for name in _MODES if line.startswith(name + b" ")}
        source, target = paths_of(lines[0], said)
        created = b"new file mode" in modes
        mode, content = (modes.get(b"new file mode", 0), b"") if created else old[source]
        deleted = any(line.startswith(b"deleted file") for line in said)
        content = b"?" if lines[end : end + 1] == [b"GIT binary patch"] else apply(content, lines[end:])
        if source != target and any(line.startswith(b"rename from") for line in said):
            new.pop(source, None)
        if deleted:
            assert content in {b"", b"?"}
            new.pop(source)
        else:
            new[target] = modes.get(b"new mode", mode), content
    return new


def paths_of(first: bytes, said: Sequence[bytes]) -> tuple[str, str]:
    """Return the old and the new path of a section of a patch."""
    if of := {line.split(b" ")[1]: line.split(b" ", 2)[2] for line in said if line.startswith(b"rename ")}:
        return unquoted(of[b"from"]), unquoted(of[b"to"])
    half = first[: len(first) // 2]  # both are the same
    return (path := unquoted(half, prefix=True)), path


def unquoted(name: bytes, *, prefix: bool = False) -> str:
    if name.startswith(b'"'):
        name = _ESCAPE.sub(lambda m: bytes([int(m[1], 8)]) if m[1].isdigit() else _LETTERS.get(m[1], m[1]), name[1:-1])
    return os.fsdecode(name[2:] if prefix else name)


def apply(content: bytes, lines: Sequence[bytes]) -> bytes:
    """Apply the hunks of one file."""
    old = content.split(b"\n")
    rest = [line + b"\n" for line in old[:-1]] + [line for line in old[-1:] if line]
    made: list[bytes] = []
    at = 0
    for number, line in enumerate(lines):
        if hunk := _HUNK.match(line):
            start = int(hunk[1]) - (0 if hunk[2] == b"0" else 1)
            made += rest[at:start]
            at = start
            continue
        text = line[1:] if lines[number + 1 : number + 2] == [b"\\ No newline at end of file"] else line[1:] + b"\n"
        if line.startswith((b" ", b"-")):
            assert rest[at] == text
            at += 1
        if line.startswith((b" ", b"+")):
            made.append(text)
    return b"".join(made + rest[at:])


def is_binary(*contents: bytes) -> bool:
    return any(b"\0" in content[:8000] for content in contents)


def snapshot(*folders: Path) -> dict[str, tuple[int, bytes]]:
    """Return the mode and content of all files, but those in a git directory at the top."""
    found = {}
    for top in folders:
        for folder, names, files in os.walk(top):
            if folder == str(top) and ".git" in names:
                names.remove(".git")
            for name in (*files, *names):
                file = Path(folder, name)
                mode = file.lstat().st_mode
                content = (
                    os.fsencode(file.readlink()) if file.is_symlink() else file.read_bytes() if S_ISREG(mode) else b""
                )
                found[str(file.relative_to(top) if len(folders) == 1 else file)] = mode, content
    return found
