"""Permission: rules by which tool calls are allowed or refused without asking a human. Pure.

A rule is the name of a tool, or that and what it is used on in brackets; both may hold the wildcards of file names:

    Read                 every call of the tool Read
    mcp__github__*       every tool of that server
    Bash(git status)     this command
    Bash(npm run *)      commands that begin so
    Edit(src/*)          files below src, if the agent names them so
    *                    everything

Rules look at what is said, not at what it does. What is **allowed** is narrow: a wildcard stands for the rest of one
command, never for a second one. But the rest may do anything that the command can: ``git *`` allows ``git -c
core.pager=...``, and ``find *`` allows ``-exec``. What is **refused** is a fence and no wall: ``Bash(rm *)`` knows
``ls; /bin/rm x`` and ``"rm"  x``, and not ``sudo rm``, ``sh -c 'rm x'`` or ``find -delete``. To be sure, allow little:
about what no rule is about, a human is asked.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from aura_contracts.approval import ToolCall

_RULE = re.compile(r"(?P<tool>[^()]+)(?:\((?P<subject>.*)\))?", re.DOTALL)

_SUBJECTS = ("command", "cmd", "file_path", "filePath", "path", "notebook_path", "url", "pattern", "query")
"""Arguments that say what a tool is used on, the most telling first."""

_COMMANDS = ("command", "cmd")

_SEVERAL = re.compile(r"[;&|`<>(\n\r]|\$\{")
"""What makes more than one command of a line, redirects it, or may: such a line is allowed by no wildcard.

An opening bracket alone begins a subshell, with ``$``, ``<`` or (in zsh) ``=`` before it a substitution.
"""

_MARKS = str.maketrans("", "", "\"'\\")
"""What a shell takes away before it looks for the command."""


class PermissionRules(msgspec.Struct, frozen=True, gc=False):
    """What a run allows and refuses by rule; refusals go first, and what no rule is about a human is asked."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


def is_rule(text: str) -> bool:
    """Return whether `text` is a rule.

    >>> is_rule("Bash(git *)"), is_rule("Bash(git"), is_rule("")
    (True, False, False)
    """
    return bool(text.strip()) and _RULE.fullmatch(text.strip()) is not None


def is_about(rule: str, tool: str) -> bool:
    """Return whether `rule` allows calls of `tool`, on something or other.

    >>> is_about("Bash(git *)", "Bash"), is_about("git *", "Bash")
    (True, False)
    """
    parsed = _RULE.fullmatch(rule.strip())
    return parsed is not None and fnmatchcase(tool, parsed["tool"].strip())


def matches(rule: str, call: ToolCall, *, denying: bool = False) -> bool:
    """Return whether `rule` is about `call`. What cannot be told apart is not allowed, and is refused.

    A wildcard never allows a line of several commands, or a path with ``..`` in it, whatever they begin with. To refuse
    a call (`denying`), a match of any part of it is enough, in capital letters or small ones, from any folder on.

    >>> call = ToolCall("Bash", "f", {"command": "git status; rm -rf ."})
    >>> matches("Bash(git *)", call), matches("Bash(rm *)", call, denying=True), matches("Bash", call)
    (False, True, True)
    """
    parsed = _RULE.fullmatch(rule.strip())
    if parsed is None:
        return False
    tool, wanted = parsed["tool"].strip(), parsed["subject"]
    if denying:
        named = fnmatchcase(call.tool.casefold(), tool.casefold())
        return named and (wanted is None or any(_hits(wanted, part) for part in _parts(call.arguments)))
    if not is_about(rule, call.tool):
        return False
    subject, is_command = _subject(call.arguments)
    if wanted is None or subject is None:
        return wanted is None
    unclear = _SEVERAL.search(subject) is not None if is_command else ".." in re.split(r"[/\\]", subject)
    return subject == wanted or (not unclear and fnmatchcase(subject, wanted))


def _hits(wanted: str, part: str) -> bool:
    wanted, part = wanted.casefold(), part.casefold()
    return fnmatchcase(part, wanted) or fnmatchcase(part, f"*/{wanted}")


def _parts(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield whatever a call may be used on: of a command each part, of a path also its plain form."""
    known = {name: value for name, value in arguments.items() if name in _SUBJECTS}
    for text in _texts(known or arguments):
        yield text
        yield posixpath.normpath(text.replace("\\", "/"))
        for part in _SEVERAL.split(text):
            yield " ".join(part.translate(_MARKS).strip("!{}() \t").split())


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            if all(isinstance(word, str) for word in value):
                yield " ".join(value)
            for one in value:
                yield from _texts(one)
        case Mapping():
            for one in value.values():
                yield from _texts(one)
        case _:
            pass


def subject_of(arguments: Mapping[str, Any]) -> str | None:
    """Return what a tool is used on, by its arguments: a command, a path, an address; None if they do not say."""
    return _subject(arguments)[0]


def _subject(arguments: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Return what a tool is used on, and whether that is a command."""
    for name in _SUBJECTS:
        value = arguments.get(name)
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            value = " ".join(value)
        if isinstance(value, str):
            return value, name in _COMMANDS
    return None, False
