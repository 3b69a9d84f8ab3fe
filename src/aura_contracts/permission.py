"""Permission: rules by which tool calls are allowed or refused without asking a human. Pure.

A rule is the name of a tool, or that and what it is used on in brackets; both may hold the wildcards of file names:

    Read                 every call of the tool Read
    mcp__github__*       every tool of that server
    Bash(git status)     this command
    Bash(npm run *)      commands that begin so
    Edit(src/*)          files below src
    *                    everything
"""

import posixpath
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from aura_contracts.approval import ToolCall

_RULE = re.compile(r"(?P<tool>[^()]+)(?:\((?P<subject>.*)\))?", re.DOTALL)

_SUBJECTS = ("command", "cmd", "file_path", "filePath", "path", "notebook_path", "url", "pattern", "query")
"""Arguments that say what a tool is used on, the most telling first."""

_COMMANDS = ("command", "cmd")

_SEVERAL = re.compile(r"[;&|`<>\n\r]|\$\(|\$\{")
"""What makes more than one command of a line, or redirects it: such a line is allowed by no wildcard."""


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


def matches(rule: str, call: ToolCall, *, denying: bool = False) -> bool:
    """Return whether `rule` is about `call`. What cannot be told apart is not allowed, and is refused.

    A wildcard never allows a line of several commands, or a path with ``..`` in it, whatever they begin with; to refuse
    one (`denying`), a match of any of its parts is enough.

    >>> call = ToolCall("Bash", "f", {"command": "git status; rm -rf ."})
    >>> matches("Bash(git *)", call), matches("Bash(rm *)", call, denying=True), matches("Bash", call)
    (False, True, True)
    """
    parsed = _RULE.fullmatch(rule.strip())
    if parsed is None or not fnmatchcase(call.tool, parsed["tool"].strip()):
        return False
    wanted = parsed["subject"]
    subject, is_command = _subject(call.arguments)
    if wanted is None or subject is None:
        return wanted is None
    if denying:
        parts = _SEVERAL.split(subject) if is_command else [posixpath.normpath(subject)]
        return any(fnmatchcase(part.strip(), wanted) for part in (subject, *parts))
    unclear = _SEVERAL.search(subject) is not None if is_command else ".." in subject.split("/")
    return subject == wanted or (not unclear and fnmatchcase(subject, wanted))


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
