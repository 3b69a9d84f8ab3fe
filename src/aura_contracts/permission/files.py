"""Files: what the commands of a line of shell name as files, wherever they go first. Pure."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec

from aura_contracts.permission.calls import commands_of, folders_of, others_of, paths_of
from aura_contracts.permission.commands import commands_in
from aura_contracts.permission.shell import SimpleCommand, Word

_WRITERS = frozenset(
    {
        *("tee", "cp", "mv", "rm", "ln", "install", "sed", "dd", "truncate", "touch", "chmod", "chown", "patch"),
        *("rsync", "mkdir", "rmdir", "shred", "unlink", "ed", "ex", "vi", "vim", "nano", "sponge", "split"),
    }
)
_SEARCHERS = frozenset({"rg", "ag", "ack", "find", "fd", "fdfind", "tar", "zip", "rsync", "scp"})
"""Programs that read everything below a folder."""

_SEARCHERS_BY_OPTION = frozenset({"grep", "egrep", "fgrep", "cp"})
_RECURSIVE = re.compile(r"-[A-Za-z]*[rRa][A-Za-z]*|--recursive|--archive|--dereference-recursive")
_CHANGE_FOLDER = frozenset({"cd", "pushd"})
_FOLDER_OPTIONS = frozenset({"-C", "--directory", "--chdir", "--git-dir", "--work-tree", "--cwd", "--prefix"})
_FOLDERS_LIMIT = 16

PLACES_LIMIT = 250
"""Maximum number of paths of a call whose real place is looked up."""


class NamedFile(msgspec.Struct, frozen=True, gc=False):
    """A word of a command that may be the path of a file; `glob` has holes for a shell's wildcards."""

    path: str
    glob: str
    written: bool = False
    """Whether the command may write it."""
    searched: bool = False
    """Whether the command may read everything below it."""


def paths_in(arguments: Mapping[str, object]) -> list[str]:
    """Return everything in a call that may be a path, at most `PLACES_LIMIT`: the worker finds out where each leads."""
    found = [*paths_of(arguments), *folders_of(arguments), *others_of(arguments)]
    for command in commands_of(arguments):
        found += [one.path for one in files_in(command, folders_of(arguments))[0]]
    return list(dict.fromkeys(one for one in found if one and "\0" not in one))[:PLACES_LIMIT]


def files_in(line: str, folders: Sequence[str] = ()) -> tuple[list[NamedFile], bool]:
    """Return what a line of shell may name as files, and whether it was understood.

    A relative path is also seen from `folders`, and from those that the line goes to.
    """
    commands, certain = commands_in(line)
    went = [*folders]
    for command in commands:
        for folder in _folders_of(command):
            if len(went) <= _FOLDERS_LIMIT:  # it doubles each time
                went += [folder, *(posixpath.join(before, folder) for before in went)]
    named = (one for command in commands for one in _named_by(command))
    found = list(islice((one for file in named for one in _seen_from(went[:_FOLDERS_LIMIT], file)), PLACES_LIMIT))
    return found, certain and len(went) <= _FOLDERS_LIMIT and len(found) < PLACES_LIMIT


def _seen_from(folders: Sequence[str], file: NamedFile) -> Iterator[NamedFile]:
    yield file
    if not file.path.startswith(("/", "~")):
        for folder in folders:
            path, glob = posixpath.join(folder, file.path), posixpath.join(folder, file.glob)
            yield NamedFile(path, glob, file.written, file.searched)


def _folders_of(command: SimpleCommand) -> Iterator[str]:
    """Yield the folders that a command goes to."""
    changes = _names(command.words) & _CHANGE_FOLDER
    if changes and len(command.words) == 1:
        yield "~"
    for before, word in zip(command.words, command.words[1:], strict=False):
        if (changes and not word.text.startswith("-")) or before.text in _FOLDER_OPTIONS:
            yield word.text
    yield from (
        word.text.partition("=")[2] for word in command.words if word.text.partition("=")[0] in _FOLDER_OPTIONS - {"-C"}
    )


def _names(words: Sequence[Word]) -> set[str]:
    return {posixpath.basename(word.text) for word in words}


def _named_by(command: SimpleCommand) -> Iterator[NamedFile]:
    names = _names(command.words)
    recursive = any(_RECURSIVE.fullmatch(word.text) for word in command.words)
    searched = bool(names & _SEARCHERS) or (recursive and bool(names & _SEARCHERS_BY_OPTION))
    if searched:
        yield NamedFile(".", ".", searched=True)
    for word in command.words:
        for path, glob in _path_parts(word.text, word.glob):
            yield NamedFile(path, glob, bool(names & _WRITERS), searched)
    for redirection in command.redirections:
        if not redirection.operator.startswith("<<"):
            target = redirection.target
            yield NamedFile(target.text, target.glob, ">" in redirection.operator)


def _path_parts(text: str, glob: str) -> Iterator[tuple[str, str]]:
    """Yield a word, and the parts of it that programs take for a path: ``--file=.env``, ``@.env``, ``HEAD:.env``."""
    yield text, glob
    for mark in "=:@,":
        if mark in text:
            yield from ((part, part) for part in text.split(mark) if part)
    if text.startswith("-") and not text.startswith("--") and len(text) > 2:
        yield text[2:], glob[2:] if len(glob) > 2 else text[2:]
