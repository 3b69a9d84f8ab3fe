"""Calls: what a tool call is used on, according to its arguments; and its fingerprint. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

import msgspec

from aura_contracts.permission.commands import line_of

CUT_MARK = "characters left out; the output has them"
"""Marks every text in an entry that was cut; no rule allows what cannot be seen whole."""

_COMMANDS = ("command", "cmd")
_PATHS = (
    *("file_path", "filePath", "filepath", "path", "paths", "notebook_path", "to", "file", "fileName", "filename"),
    *("absolute_path", "absolutePath", "target_file", "targetFile"),
)
_OTHERS = ("url", "pattern", "query")
_FOLDERS = ("cwd", "workdir", "working_directory", "workingDirectory", "root", "dir_path", "directory", "dir")
"""Arguments that name where a command runs."""

_SUBJECTS = (*_COMMANDS, *_PATHS, *_OTHERS)
"""Arguments that name what a tool is used on, the most specific first."""

_BESIDE = re.compile(
    r"description|title|reason|justification|explanation|summary|label|(is_?|run_in_)?background|async|mode|wait\w*|login"
    r"|(shell|session|terminal|process|call|tool_?call|item|turn)_?id|\w*time_?(out)?(_?(ms|seconds|secs?))?|max_\w+|item"
    r"|\w*_ms|tty|detach|kind",
    re.IGNORECASE,
)
"""Arguments of a command that change nothing in what it does."""

_MORE = re.compile(
    r"\w*(paths?|ur[il]s?|href|proxy)|destination|dest|dst|target|from|(rename|move)\w*|(new|old)_?(file)?_?name",
    re.IGNORECASE,
)
"""Arguments that may name a file or an address besides those above."""

_READING = ("read", "view", "readfile", "notebookread", "openfile", "viewimage", "fsread", "cat")
_SEARCHING = (
    *("grep", "glob", "ls", "search", "listdirectory", "listdir", "searchfilecontent", "findfiles", "list"),
    *("readmanyfiles", "grepsearch", "filesearch", "codebasesearch"),
)
_EDITING = (
    *("edit", "write", "multiedit", "notebookedit", "writefile", "createfile", "editfile", "replace", "create"),
    *("strreplace", "strreplaceeditor", "strreplacebasededittool", "applypatch", "patch", "fswrite", "delete", "move"),
)
_SHELLS = (
    *("bash", "shell", "execute", "runshellcommand", "runcommand", "terminal", "exec", "execcommand", "localshell"),
    *("runinterminal", "runterminalcommand", "executebash", "executecommand"),
)
_FAMILIES = {
    **dict.fromkeys(_READING, "read"),
    **dict.fromkeys(_SEARCHING, "search"),
    **dict.fromkeys(_EDITING, "edit"),
    **dict.fromkeys(_SHELLS, "shell"),
}


def family_of(tool: str) -> str:
    """Return what a tool is for, whatever the agent calls it: read, search, edit, shell; empty if unknown."""
    return _FAMILIES.get(re.sub(r"[\s_-]", "", tool).casefold(), "")


def is_cut(arguments: Mapping[str, object]) -> bool:
    """Return whether some text of a call was too long to be kept."""
    return any(CUT_MARK in text for text in texts(arguments))


def is_widened(arguments: Mapping[str, object]) -> bool:
    """Return whether a call asks for more than its command: variables, an input, the network, no sandbox."""
    known = (*_COMMANDS, *_FOLDERS)
    return any(value and name not in known and not _BESIDE.fullmatch(name) for name, value in arguments.items())


def texts(value: object) -> Iterator[str]:
    """Yield every text in a JSON value; a list of words also as one."""
    match value:
        case str():
            yield value
        case list():
            if words := _words(value):
                yield " ".join(words)
            for one in value:
                yield from texts(one)
        case Mapping():
            for one in value.values():
                yield from texts(one)
        case _:
            pass


def commands_of(arguments: Mapping[str, object]) -> list[str]:
    """Return the commands of a call; a list of words is one."""
    return list(_named(_COMMANDS, arguments))


def listed_commands(arguments: Mapping[str, object]) -> list[str]:
    """Return the commands that are lists of words, read as if the words were one line."""
    found = (arguments.get(name) for name in _COMMANDS)
    return [text for value in found if not isinstance(value, str) for text in texts(value)]


def paths_of(arguments: Mapping[str, object]) -> list[str]:
    """Return the files that a call is used on; those in a list of changes too."""
    found = list(_named(_PATHS, arguments))
    for name in ("changes", "edits", "files"):
        several = arguments.get(name)
        if isinstance(several, list):
            found += [path for one in several if isinstance(one, Mapping) for path in _named(_PATHS, one)]
            found += [one for one in several if isinstance(one, str) and name != "edits"]
        elif isinstance(several, Mapping) and name != "edits":
            found += [path for path in several if isinstance(path, str)]
    return found


def folders_of(arguments: Mapping[str, object]) -> list[str]:
    """Return the folders that a command is to run in."""
    return list(_named(_FOLDERS, arguments))


def others_of(arguments: Mapping[str, object]) -> list[str]:
    """Return the addresses and search texts that a call is used on."""
    return list(_named(_OTHERS, arguments))


def more_of(arguments: Mapping[str, object]) -> list[str]:
    """Return texts in other arguments, at any depth, that may be files or addresses by their names.

    >>> more_of({"path": "a", "edits": [{"new_path": "b"}], "options": {"proxy": "c"}, "old_string": "d"})
    ['b', 'c']
    """
    return list(dict.fromkeys(text for text in _more_in(arguments, (*_SUBJECTS, *_FOLDERS)) if text))


def _more_in(value: object, known: Sequence[str]) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _more_in(one, known)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            if isinstance(name, str) and name not in known and _MORE.fullmatch(name):
                yield from texts(one)
            else:
                yield from _more_in(one, known)


def _named(names: Iterable[str], arguments: Mapping[str, object]) -> Iterator[str]:
    """Yield the arguments with these names; a list of words is one command, a list of paths is several paths."""
    for name in names:
        value = arguments.get(name)
        words = _words(value)
        yield from [line_of(words)] if name in _COMMANDS and words and not isinstance(value, str) else words


def _words(value: object) -> list[str]:
    """Return a text, or the texts of a list; nothing for any other value."""
    values = value if isinstance(value, list) else [value]
    words: list[str] = [one for one in values if isinstance(one, str)]
    return words if len(words) == len(values) else []


def is_readable(arguments: Mapping[str, object]) -> bool:
    """Return whether what a call is used on is said in texts or lists of them."""
    return all(_words(arguments[name]) for name in (*_SUBJECTS, *_FOLDERS) if arguments.get(name) not in (None, []))


def subject_of(arguments: Mapping[str, object]) -> str | None:
    """Return what a tool is used on, according to its arguments: a command, path or address; None if unknown."""
    for name in _SUBJECTS:
        words = _words(arguments.get(name))
        if words:
            return " ".join(words) if name in _COMMANDS else words[0]
    return None


def fingerprint_of(tool: str, arguments: Mapping[str, object]) -> str:
    """Return the digest of a call: equal for the same tool and arguments, regardless of their order.

    `arguments` are JSON values. Leave out anything that differs when the agent asks again, such as ids and times.

    >>> fingerprint_of("Bash", {"a": 1, "b": 2}) == fingerprint_of("Bash", {"b": 2, "a": 1})
    True
    """
    return sha256(msgspec.json.encode([tool, dict(arguments)], order="sorted")).hexdigest()[:32]
