"""Permission: rules by which tool calls are allowed or refused without asking a human. Pure.

A rule is the name of a tool, or that and what it is used on in brackets; both may hold the wildcards of file names:

    Read                 every call of the tool Read
    mcp__github__*       every tool of that server
    Bash(git status)     this command
    Bash(npm run *)      commands that begin so
    Edit(src/*)          files below src in the folder that the agent works in
    *                    everything

Rules look at what is said, not at what it does. What is **allowed** is narrow: a wildcard stands for the rest of one
command, never for a second one. But the rest may do anything that the command can: ``git *`` allows ``git -c
core.pager=...``, and ``find *`` allows ``-exec``. What is **refused** is a fence and no wall: ``Bash(rm *)`` knows
``ls; /bin/rm x``, ``A=1 rm x`` and ``"rm"  x``, and not ``sudo rm``, ``sh -c 'rm x'`` or ``find -delete``. To be sure,
allow little: about what no rule is about, a human is asked. A call that is too long to be seen whole is allowed by no
rule, and refused by each that refuses something of its tool.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import msgspec

from aura_contracts.approval import ToolCall
from aura_contracts.errors import InvalidInput

_RULE = re.compile(r"(?P<tool>[^()]+)(?:\((?P<subject>.*)\))?", re.DOTALL)

CUT_MARK = "characters left out; the output has them"
"""Stands in every text of an entry that was cut: what is not seen whole is allowed by no rule."""

_COMMANDS = ("command", "cmd")
_PATHS = ("file_path", "filePath", "path", "paths", "notebook_path")
_OTHERS = ("url", "pattern", "query")
_SUBJECTS = (*_COMMANDS, *_PATHS, *_OTHERS)
"""Arguments that say what a tool is used on, the most telling first."""

_SEVERAL = re.compile(r"[;&|`<>(\n\r]|\$\{")
"""What makes more than one command of a line, redirects it, or may: such a line is allowed by no wildcard.

An opening bracket alone begins a subshell, with ``$``, ``<`` or (in zsh) ``=`` before it a substitution.
"""

_BEFORE = re.compile(r"(?:(?:[A-Za-z_]\w*=\S*|if|then|elif|else|do|while|until|exec|command|time)\s+)*")
"""What may stand before the command itself: variables for it, and words of the shell's own."""

_MARKS = str.maketrans("", "", "\"'\\")
"""What a shell takes away before it looks for the command."""


class PermissionRules(msgspec.Struct, frozen=True, gc=False):
    """What a run allows and refuses by rule; refusals go first, and what no rule is about a human is asked."""

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
"""Options of executors with which agents ask for nothing."""


def require_questions(rules: PermissionRules, executor: str, options: Mapping[str, Any], *, asks: bool) -> None:
    """Refuse rules about questions that are never asked: who wrote them relies on them. Raises `InvalidInput`.

    `asks` says whether agents of the executor ask at all.
    """
    if not rules.allow and not rules.deny:
        return
    field = "deny" if rules.deny else "allow"
    if not asks:
        reason = f"executor {executor} asks for no permission, so no rule would be looked at"
        raise InvalidInput(field=field, reason=reason, remedy="leave the rules out, or use an executor that asks")
    for name, value in _FREE.items():
        if options.get(name) == value:
            reason = f"with option {name}={value} the agent asks for nothing, so no rule would be looked at"
            raise InvalidInput(field=field, reason=reason, remedy=f"leave the rules or option {name} out")


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
        hidden = wanted is None or _is_cut(call.arguments)
        return named and (hidden or any(_hits(wanted or "", part) for part in _parts(call.arguments)))
    if not is_about(rule, call.tool) or _is_cut(call.arguments):
        return False
    return wanted is None or _covers(wanted, call.arguments)


def _is_cut(arguments: Mapping[str, Any]) -> bool:
    return any(CUT_MARK in text for text in _texts(arguments))


def _covers(wanted: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether everything that a call is used on is what is allowed."""
    commands, paths, others = (list(_named(names, arguments)) for names in (_COMMANDS, _PATHS, _OTHERS))
    if commands:
        return not paths and all(_fits(wanted, one, unclear=_SEVERAL.search(one) is not None) for one in commands)
    subjects = paths or others[:1]
    return bool(subjects) and all(_fits(wanted, one, unclear=".." in re.split(r"[/\\]", one)) for one in subjects)


def _fits(wanted: str, subject: str, *, unclear: bool) -> bool:
    return subject == wanted or (not unclear and fnmatchcase(subject, wanted))


def _named(names: tuple[str, ...], arguments: Mapping[str, Any]) -> Iterator[str]:
    """Yield the arguments of these names; a list of words is a command, one of paths is several."""
    for name in names:
        value = arguments.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list) and all(isinstance(word, str) for word in value):
            yield from [" ".join(value)] if name in _COMMANDS else value


def relative_to(folder: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return `arguments` with the paths below `folder` as they are within it, for rules that people write.

    >>> relative_to("/app", {"file_path": "/app/src/a.py", "content": "/app/x"})
    {'file_path': 'src/a.py', 'content': '/app/x'}
    """
    below = folder.rstrip("/") + "/"

    def within(value: Any) -> Any:
        if isinstance(value, list):
            return [within(one) for one in value]
        return value.removeprefix(below) if isinstance(value, str) else value

    return {name: within(value) if name in _PATHS else value for name, value in arguments.items()}


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
            plain = " ".join(part.translate(_MARKS).strip("!{}() \t").split())
            yield plain
            yield _BEFORE.sub("", plain, count=1)


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
    return next(_named(_SUBJECTS, arguments), None)
