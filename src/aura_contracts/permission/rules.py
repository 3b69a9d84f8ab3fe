"""Rules: texts that people write to allow or refuse tool calls, and whether each can match anything. Pure."""

import re
from fnmatch import fnmatchcase
from typing import Self

import attrs
import msgspec

from aura_contracts.errors import InvalidInput
from aura_contracts.permission.calls import family_of
from aura_contracts.permission.paths import normal

_RULE = re.compile(r"(?P<tool>[^()]+)(?:\((?P<subject>.*)\))?", re.DOTALL)
_SERVER = re.compile(r"mcp__(?:(?!__)[^*?()])+")


class PermissionRules(msgspec.Struct, frozen=True, gc=False):
    """The calls that a run allows and refuses by rule. Refusals win; AURA asks a human about all other calls."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@attrs.frozen
class Rule:
    """A rule: the name of a tool, and what it is used on; None: anything."""

    tool: str
    subject: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the rule that `text` states. Raises `InvalidInput` for one that can match nothing."""
        text = text.strip()
        found = _RULE.fullmatch(text)
        if found is None:
            raise InvalidInput(field="rule", reason=f"{text!r} is not a rule", remedy="write TOOL, or TOOL(SUBJECT)")
        tool, subject = found["tool"].strip(), found["subject"]
        if re.search(r"\s", tool):
            remedy = f"write the tool's name with the command in brackets: Bash({text})"
            raise _matches_nothing(text, "names of tools have no spaces", remedy)
        if subject is not None:
            _require_subject(text, tool, subject.strip())
        return cls(tool, None if subject is None else subject.strip())

    def names(self, tool: str) -> bool:
        """Return whether the rule is about `tool`, by its exact name."""
        server = _SERVER.fullmatch(self.tool) is not None and tool.startswith(f"{self.tool}__")
        return server or fnmatchcase(tool, self.tool)


def _require_subject(text: str, tool: str, subject: str) -> None:
    family = family_of(tool)
    if not subject:
        raise _matches_nothing(text, "there is nothing between its brackets", f"write {tool} for all its calls")
    if family not in ("read", "search", "edit"):
        return
    if subject.startswith("!"):
        raise _matches_nothing(text, "an exclamation mark does not make an exception", "use a rule without it")
    if normal(subject).startswith("../") or normal(subject) == ".." or "/.." in subject:
        remedy = "write the path from the root, or from ~/"
        raise _matches_nothing(text, "a path that is relative stays in the working folder, which .. leaves", remedy)
    if re.match(r"~[^/]", subject):
        raise _matches_nothing(text, "home folders of other users are not looked up", "write the path from the root")
    if re.search(r"\$\{?\w|%\w+%", subject):
        raise _matches_nothing(text, "variables are not replaced in rules", "write the path itself, or begin with ~/")


def _matches_nothing(text: str, reason: str, remedy: str) -> InvalidInput:
    return InvalidInput(field="rule", reason=f"{text!r} would match nothing: {reason}", remedy=remedy)


def known_rule(text: str) -> Rule | None:
    """Return the rule that `text` states; None for a text that is not a rule, or can match nothing.

    >>> known_rule("Bash(git *)"), known_rule("git status")
    (Rule(tool='Bash', subject='git *'), None)
    """
    try:
        return Rule.parse(text)
    except InvalidInput:
        return None
