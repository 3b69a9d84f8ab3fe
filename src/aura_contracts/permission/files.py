"""Files: what the commands of a line of shell name as files, wherever they go first. Pure."""

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import msgspec
from msgspec.structs import replace

from aura_contracts.permission.calls import commands_of, folders_of, more_of, others_of, paths_of
from aura_contracts.permission.command_line import SimpleCommand, Word
from aura_contracts.permission.commands import commands_in, programs_of, runs_nothing, texts_of
from aura_contracts.permission.programs import RUN_NOTHING
from aura_contracts.permission.wildcards import HOLE, Fit

_WRITERS = frozenset(
    {
        *("tee", "cp", "mv", "rm", "ln", "install", "dd", "truncate", "touch", "chmod", "chown", "patch", "scp"),
        *("rsync", "mkdir", "rmdir", "shred", "unlink", "ed", "ex", "vi", "vim", "nano", "sponge", "split"),
    }
)
_GIT_WRITERS = frozenset(
    {"apply", "am", "checkout", "checkout-index", "clean", "mv", "reset", "restore", "rm", "stash", "switch"}
)
_GIT_UNNAMED = frozenset(
    {
        *("am", "apply", "checkout", "checkout-index", "cherry-pick", "clean", "merge", "pull", "read-tree", "rebase"),
        *("revert", "stash", "switch"),
    }
)
_UNPACKERS = frozenset({"patch", "unzip", "cpio", "pax", "7z", "7za", "7zz", "unrar", "bsdtar"})
"""Programs that write files which their arguments do not name."""

_NOTHING_WRITTEN = frozenset({"-b", "-B", "-c", "-C", "--create", "--dry-run", "--check", "--stat", "list", "show"})
"""Arguments with which they write none."""

_READERS = (RUN_NOTHING - _WRITERS - {"uniq"}) | frozenset(
    {
        *("less", "more", "sort", "sed", "man", "test", "[", "git", "gh", "pytest", "mypy", "pyright", "tsc", "make"),
        *("python", "python3", "node", "bash", "sh", "npm", "pnpm", "yarn", "cargo", "go", "set", "export", "docker"),
    }
)
"""Programs that write none of the files that they are given, as far as their arguments say."""

_WRITES_BY_OPTION = re.compile(r"-(o|O|w|i).*|-[A-Za-z]*i\b.*|--(out|output|in-place|write|fix)\b.*")
_COPIERS = frozenset({"cp", "install", "rsync", "scp"})
_TARGET_OPTION = re.compile(r"-[A-Za-z]*t|--target-directory.*")
_EXTRACTS = re.compile(r"-?[A-Za-z]*x[A-Za-z]*|--(extract|get)")
_ONLY_NAME = frozenset({"echo", "printf"})
"""Programs that do not open the files that their arguments name."""

_GIVE_MORE = frozenset({"xargs", "parallel"})
"""Programs that add arguments which are not known."""

_TEXT = re.compile(r"[\s'\"]")
_TEXT_PARTS = re.compile(r"[\s'\"();,<>|&=:@!{}]+")

_SEARCHERS = frozenset({"rg", "ag", "ack", "find", "fd", "fdfind", "tar", "zip", "7z", "pax", "rsync", "scp"})
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
    read: Fit = Fit.YES
    """Whether the command reads it."""
    written: Fit = Fit.NO
    """Whether the command writes it."""
    searched: bool = False
    """Whether the command may read everything below it."""


def paths_in(arguments: Mapping[str, object]) -> list[str]:
    """Return everything in a call that may be a path, at most `PLACES_LIMIT`: the worker finds out where each leads."""
    found = [*paths_of(arguments), *folders_of(arguments), *others_of(arguments), *more_of(arguments)]
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
            yield replace(file, path=posixpath.join(folder, file.path), glob=posixpath.join(folder, file.glob))


def _folders_of(command: SimpleCommand) -> Iterator[str]:
    """Yield the folders that a command goes to."""
    changes = programs_of(command.words) & _CHANGE_FOLDER
    if changes and len(command.words) == 1:
        yield "~"
    for before, word in zip(command.words, command.words[1:], strict=False):
        if (changes and not word.text.startswith("-")) or before.text in _FOLDER_OPTIONS:
            yield word.text
    yield from (
        word.text.partition("=")[2] for word in command.words if word.text.partition("=")[0] in _FOLDER_OPTIONS - {"-C"}
    )


def _named_by(command: SimpleCommand) -> Iterator[NamedFile]:
    words = command.words
    names = programs_of(words)
    recursive = any(_RECURSIVE.fullmatch(word.text) for word in words)
    searched = bool(names & _SEARCHERS) or (recursive and bool(names & _SEARCHERS_BY_OPTION))
    if searched or {"git", "grep"} <= {word.text for word in words}:
        yield NamedFile(".", ".", searched=True)
    read, written = Fit.MAYBE if names & _ONLY_NAME else Fit.YES, _writing(names, words)
    target = _only_target(names, words)
    for word in words:
        writes = written if target in (None, word) else Fit.NO
        for path, glob in _path_parts(word.text, word.glob):
            yield NamedFile(path, glob, read, writes, searched)
    if names & _GIVE_MORE or _writes_unnamed(names, words):
        sure = (read, written) if names & _GIVE_MORE else (Fit.NO, Fit.MAYBE)
        yield from (NamedFile(path, path, *sure) for path in (HOLE, f"/{HOLE}"))
    if not runs_nothing(words):
        for text in (*(word.text for word in texts_of(words) if _TEXT.search(word.text)), *command.inputs):
            for part in _TEXT_PARTS.split(text):
                yield NamedFile(part, part, Fit.MAYBE, Fit.MAYBE)
    for redirection in command.redirections:
        if not redirection.operator.startswith("<<"):
            target = redirection.target
            yield NamedFile(target.text, target.glob, written=Fit.YES if ">" in redirection.operator else Fit.NO)


def _writing(names: frozenset[str], words: Sequence[Word]) -> Fit:
    """Return whether a command writes the files that it names; of a program that is not known, it may."""
    texts = {word.text for word in words}
    if names & _WRITERS or ("git" in names and texts & _GIT_WRITERS):
        return Fit.YES
    options = any(_WRITES_BY_OPTION.fullmatch(word.text) for word in words if not names & RUN_NOTHING)
    if options:
        return Fit.YES if "sed" in names else Fit.MAYBE
    return Fit.NO if names & _READERS and not {"docker", "cp"} <= texts else Fit.MAYBE


def _writes_unnamed(names: frozenset[str], words: Sequence[Word]) -> bool:
    """Return whether a command may write files that its arguments do not name: those of a patch, branch or archive."""
    texts = {word.text for word in words}
    if texts & _NOTHING_WRITTEN:
        return False
    if "git" in names:
        return bool(texts & _GIT_UNNAMED) or {"reset", "--hard"} <= texts
    return bool(names & _UNPACKERS) or ("tar" in names and any(_EXTRACTS.fullmatch(word.text) for word in words[1:2]))


def _only_target(names: frozenset[str], words: Sequence[Word]) -> Word | None:
    """Return the only argument that is written; None if it may be any."""
    if not names & _COPIERS or any(_TARGET_OPTION.fullmatch(word.text) for word in words):
        return None
    return next((word for word in reversed(words) if not word.text.startswith("-")), None)


def _path_parts(text: str, glob: str) -> Iterator[tuple[str, str]]:
    """Yield a word, and the parts of it that programs take for a path: ``--file=.env``, ``@.env``, ``HEAD:.env``."""
    yield text, glob
    for mark in "=:@,":
        if mark in text:
            yield from ((part, part) for part in text.split(mark) if part)
    if text.startswith("-") and not text.startswith("--") and len(text) > 2:
        yield text[2:], glob[2:] if len(glob) > 2 else text[2:]
