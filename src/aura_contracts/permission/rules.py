"""Rules: texts that people write to allow or refuse tool calls, and whether each can match anything. Pure."""

import re
from fnmatch import fnmatchcase
from typing import Self

import attrs

from aura_contracts.errors import InvalidInput
from aura_contracts.permission.calls import family_of
from aura_contracts.permission.paths import normal
from aura_contracts.quoting import is_visible, quoted

_RULE = re.compile(r"(?P<tool>[^()]+)(?:\((?P<subject>.*)\))?", re.DOTALL)
_NO_NAME = re.compile(r"[,;'\"`!#=&|<>$\\{}]")
_SEVERAL = re.compile(
    r"^[^()]+(\([^()]*\))?\s*[,;]\s*[\w*]+(\(|$)|^[^()]+\([^()]*\)\s*([|/&+]+|or\b|and\b)?\s*[\w*]+\("
)
_QUOTED = re.compile("'[^']+'|\"[^\"]+\"|`[^`]+`|\u201c[^\u201d]+\u201d|\u2018[^\u2019]+\u2019", re.DOTALL)
_CHOICE = re.compile(r"\([^()'\"]*\|[^()'\"]*\)|\{[^{}'\"]*,[^{}'\"]*\}")
_EXTENDED = re.compile(r"[!?+@]\(|\{-?\w+\.\.-?\w+\}")
_SERVER = re.compile(r"mcp__(?:(?!__)[^*?()])+")


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
        if _SEVERAL.search(text):
            raise _matches_nothing(text, "it is several rules in one", "give each of them by itself")
        if found is None:
            raise InvalidInput(field="rule", reason=f"{text!r} is not a rule", remedy="write TOOL, or TOOL(SUBJECT)")
        tool, subject = found["tool"].strip(), found["subject"]
        if re.search(r"\s", tool):
            remedy = f"write the tool's name with the command in brackets: Bash({text})"
            raise _matches_nothing(text, "names of tools have no spaces", remedy)
        name, colon, _ = tool.partition(":")
        if colon and family_of(name):
            remedy = f"write {name} for all its calls, or {name}(SUBJECT)"
            raise _matches_nothing(text, "what a tool is used on is in brackets", remedy)
        if _NO_NAME.search(tool) or not is_visible(tool):
            raise _matches_nothing(text, f"{quoted(tool)} is not the name of a tool", "write TOOL, or TOOL(SUBJECT)")
        if subject is not None:
            _require_subject(text, tool, subject.strip())
        return cls(tool, None if subject is None else subject.strip())

    def names(self, tool: str) -> bool:
        """Return whether the rule is about `tool`, by its exact name."""
        server = _SERVER.fullmatch(self.tool) is not None and tool.startswith(f"{self.tool}__")
        return server or fnmatchcase(tool, self.tool)


def _require_subject(text: str, tool: str, subject: str) -> None:
    if not subject:
        raise _matches_nothing(text, "there is nothing between its brackets", f"write {tool} for all its calls")
    if subject == ":*":
        raise _matches_nothing(text, "there is no command before :*", f"write {tool} for all its calls")
    if _QUOTED.fullmatch(subject):
        raise _matches_nothing(text, "it is in quotes", f"write {tool}({subject[1:-1]})")
    if subject.startswith("domain:") and not re.fullmatch(r"[^\s/:@]+|\[[0-9a-fA-F:]+\]", subject[len("domain:") :]):
        raise _matches_nothing(text, "a domain is the name of a host alone", f"write {tool}(domain:example.org)")
    family = family_of(tool)
    if family == "shell" and "*" in subject and _CHOICE.search(subject):
        raise _matches_nothing(text, "a pattern for commands has no alternatives", "write a rule for each of them")
    if family in ("read", "search", "edit"):
        _require_path(text, tool, subject)


def _require_path(text: str, tool: str, subject: str) -> None:
    if not is_visible(subject):
        raise _matches_nothing(text, f"{quoted(subject)} has invisible characters", "write the path without them")
    if subject.startswith("!") and not subject.startswith("!("):
        raise _matches_nothing(text, "an exclamation mark does not make an exception", "use a rule without it")
    if _EXTENDED.search(subject):
        raise _matches_nothing(text, "it is a pattern of a shell that is not known here", "write a rule for each path")
    if subject.endswith(":*") or "://" in subject:
        raise _matches_nothing(text, "a rule about files is a path", f"write {tool}(PATH), with * for any text")
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
