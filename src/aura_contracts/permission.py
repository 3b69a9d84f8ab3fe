"""Permission: rules that allow or refuse tool calls without asking a human, and fingerprints of calls. Pure.

A rule is the name of a tool, optionally followed by its target in brackets. Both may contain shell wildcards:

    Read                 every call of the tool Read
    mcp__github__*       every tool of that server
    Bash(git status)     this command
    Bash(npm run *)      commands that start like this
    Edit(src/*)          files below src in the agent's working directory
    *                    everything

Rules look at the text of a call, not at its effects. **Allow rules** are narrow: a wildcard stands for the rest of one
command, never for a second one. That rest may still do anything the command can: ``git *`` allows ``git -c
core.pager=...``, and ``find *`` allows ``-exec``. **Deny rules** are a guard rail, not a security boundary:
``Bash(rm *)`` catches ``ls; /bin/rm x``, ``A=1 rm x`` and ``"rm"  x``, but not ``sudo rm``, ``sh -c 'rm x'`` or
``find -delete``. To be safe, allow little: AURA asks a human about every call that no rule covers. No rule allows a
call that is too long to be seen whole, and every deny rule about its tool refuses it.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from types import MappingProxyType
from typing import Any

import msgspec

from aura_contracts.approval import ToolCall
from aura_contracts.errors import InvalidInput

_RULE = re.compile(r"(?P<tool>[^()]+)(?:\((?P<subject>.*)\))?", re.DOTALL)

CUT_MARK = "characters left out; the output has them"
"""Marks every text in an entry that was cut; no rule allows what cannot be seen whole."""

_COMMANDS = ("command", "cmd")
_PATHS = ("file_path", "filePath", "path", "paths", "notebook_path")
_OTHERS = ("url", "pattern", "query")
_SUBJECTS = (*_COMMANDS, *_PATHS, *_OTHERS)
"""Arguments that name what a tool is used on, the most specific first."""

_SEVERAL = re.compile(r"[;&|`<>(\n\r]|\$\{")
"""Text that may turn a line into several commands or redirect it; no wildcard allows such a line.

An opening bracket alone starts a subshell; after ``$``, ``<`` or (in zsh) ``=`` it starts a substitution.
"""

_BEFORE = re.compile(r"(?:(?:[A-Za-z_]\w*=\S*|if|then|elif|else|do|while|until|exec|command|time)\s+)*")
"""What may precede the command itself: variables, and keywords of the shell."""

_MARKS = str.maketrans("", "", "\"'\\")
"""Characters that a shell removes before it looks up the command."""


class PermissionRules(msgspec.Struct, frozen=True, gc=False):
    """The calls that a run allows and refuses by rule. Refusals win; AURA asks a human about all other calls."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


_FREE: Mapping[str, object] = MappingProxyType(
    {
        **dict.fromkeys(("yolo", "allow_all_tools"), True),
        "autonomy": "full",
        "permission_mode": "bypassPermissions",
        "approval_policy": "never",
        "protocol": "exec",
    }
)
"""Executor options that stop agents from asking."""


def require_questions(rules: PermissionRules, executor: str, options: Mapping[str, object], *, asks: bool) -> None:
    """Refuse rules that would never be used, because their author relies on them. Raises `InvalidInput`.

    `asks` says whether agents of this executor ask for permission at all.
    """
    if not rules.allow and not rules.deny:
        return
    field = "deny" if rules.deny else "allow"
    if not asks:
        reason = f"executor {executor} asks for no permission, so rules would have no effect"
        raise InvalidInput(field=field, reason=reason, remedy="remove the rules, or use an executor that asks")
    for name, value in _FREE.items():
        if options.get(name) == value:
            reason = f"with option {name}={value} the agent asks for nothing, so rules would have no effect"
            raise InvalidInput(field=field, reason=reason, remedy=f"remove the rules or option {name}")


def is_rule(text: str) -> bool:
    """Return whether `text` is a rule.

    >>> is_rule("Bash(git *)"), is_rule("Bash(git"), is_rule("")
    (True, False, False)
    """
    return bool(text.strip()) and _RULE.fullmatch(text.strip()) is not None


def is_about(rule: str, tool: str) -> bool:
    """Return whether `rule` allows some calls of `tool`.

    >>> is_about("Bash(git *)", "Bash"), is_about("git *", "Bash")
    (True, False)
    """
    parsed = _RULE.fullmatch(rule.strip())
    return parsed is not None and fnmatchcase(tool, parsed["tool"].strip())


def matches(rule: str, call: ToolCall, *, denying: bool = False) -> bool:
    """Return whether `rule` covers `call`. When in doubt, an allow rule does not match and a deny rule does.

    A wildcard in an allow rule never matches a line of several commands or a path with ``..``, however they start. For
    a deny rule (`denying`) it is enough to match any part of the call, case-insensitively and from any folder.

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
        hidden = wanted is None or _is_cut(call.arguments)
        return named and (hidden or any(_hits(wanted or "", part) for part in _parts(call.arguments)))
    if not is_about(rule, call.tool) or _is_cut(call.arguments):
        return False
    return wanted is None or _covers(wanted, call.arguments)


def _is_cut(arguments: Mapping[str, object]) -> bool:
    return any(CUT_MARK in text for text in _texts(arguments))


def _covers(wanted: str, arguments: Mapping[str, object]) -> bool:
    """Return whether `wanted` allows everything that a call is used on."""
    commands, paths, others = (list(_named(names, arguments)) for names in (_COMMANDS, _PATHS, _OTHERS))
    if commands:
        return not paths and all(_fits(wanted, one, unclear=_SEVERAL.search(one) is not None) for one in commands)
    subjects = paths or others[:1]
    return bool(subjects) and all(_fits(wanted, one, unclear=".." in re.split(r"[/\\]", one)) for one in subjects)


def _fits(wanted: str, subject: str, *, unclear: bool) -> bool:
    return subject == wanted or (not unclear and fnmatchcase(subject, wanted))


def _named(names: tuple[str, ...], arguments: Mapping[str, object]) -> Iterator[str]:
    """Yield the arguments with these names; a list of words is one command, a list of paths is several paths."""
    for name in names:
        value = arguments.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list) and all(isinstance(word, str) for word in value):
            yield from [" ".join(value)] if name in _COMMANDS else value


def relative_to(folder: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    """Return `arguments` with paths below `folder` made relative to it, the form that people use in rules.

    >>> relative_to("/app", {"file_path": "/app/src/a.py", "content": "/app/x"})
    {'file_path': 'src/a.py', 'content': '/app/x'}
    """
    below = folder.rstrip("/") + "/"

    def within(value: object) -> object:
        if isinstance(value, list):
            return [within(one) for one in value]
        return value.removeprefix(below) if isinstance(value, str) else value

    return {name: within(value) if name in _PATHS else value for name, value in arguments.items()}


def _hits(wanted: str, part: str) -> bool:
    wanted, part = wanted.casefold(), part.casefold()
    return fnmatchcase(part, wanted) or fnmatchcase(part, f"*/{wanted}")


def _parts(arguments: Mapping[str, object]) -> Iterator[str]:
    """Yield everything that a call may be used on: each part of a command, and a path in its plain form too."""
    known = {name: value for name, value in arguments.items() if name in _SUBJECTS}
    for text in _texts(known or arguments):
        yield text
        yield posixpath.normpath(text.replace("\\", "/"))
        for part in _SEVERAL.split(text):
            plain = " ".join(part.translate(_MARKS).strip("!{}() \t").split())
            yield plain
            yield _BEFORE.sub("", plain, count=1)


def _texts(value: object) -> Iterator[str]:
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


def subject_of(arguments: Mapping[str, object]) -> str | None:
    """Return what a tool is used on, according to its arguments: a command, path or address; None if unknown."""
    return next(_named(_SUBJECTS, arguments), None)


def fingerprint_of(tool: str, arguments: Mapping[str, object]) -> str:
    """Return the digest of a call: equal for the same tool and arguments, regardless of their order.

    `arguments` are JSON values. Leave out anything that differs when the agent asks again, such as ids and times.

    >>> fingerprint_of("Bash", {"a": 1, "b": 2}) == fingerprint_of("Bash", {"b": 2, "a": 1})
    True
    """
    return sha256(msgspec.json.encode([tool, dict(arguments)], order="sorted")).hexdigest()[:32]
