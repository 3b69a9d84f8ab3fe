"""Ruling: what the rules of a run say about a tool call. Pure.

Refusals are wide and win; allowances are narrow; whatever is left, and whatever is unclear, a human decides.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from urllib.parse import unquote, urlsplit

import attrs

from aura_contracts.approval import ToolCall
from aura_contracts.permission import calls, commands, paths
from aura_contracts.permission.files import files_in
from aura_contracts.permission.paths import NOWHERE, Places
from aura_contracts.permission.rules import PermissionRules, Rule, known_rule
from aura_contracts.permission.shell import read_line
from aura_contracts.permission.wildcards import HOLE, Fit, fits, match


class Ruling(StrEnum):
    """What happens to a call."""

    REFUSED = "refused"
    ALLOWED = "allowed"
    ASKED = "asked"
    """A human decides."""


@attrs.frozen
class Judgement:
    """A verdict with the rules it is based on: those that allow, or the one that refuses or may refuse."""

    verdict: Ruling
    rules: tuple[str, ...] = ()


def judge(rules: PermissionRules, call: ToolCall, places: Places | None = None) -> Judgement:
    """Return what `rules` say about `call`, whose paths are in `places` (None: unknown).

    1. A deny rule that covers the call refuses it.
    2. If a deny rule may cover it, a human is asked.
    3. Allow rules that together cover all that the call is used on allow it.
    4. A human is asked.

    >>> rules = PermissionRules(allow=("Bash(git *)",), deny=("Bash(git push *)",))
    >>> [judge(rules, ToolCall("Bash", "", {"command": text})).verdict.value for text in (
    ...     "git log && git diff", "git log; git push", "git $X", "make")]
    ['allowed', 'refused', 'asked', 'asked']
    """
    places = NOWHERE if places is None else places
    doubtful = ""
    for rule in rules.deny:
        found = refusing(rule, call, places)
        if found is Fit.YES:
            return Judgement(Ruling.REFUSED, (rule,))
        doubtful = doubtful or (rule if found is Fit.MAYBE else "")
    if doubtful:
        return Judgement(Ruling.ASKED, (doubtful,))
    used = allowing(rules.allow, call, places)
    return Judgement(Ruling.ALLOWED, used) if used else Judgement(Ruling.ASKED)


# --- Allowing ---------------------------------------------------------------------------------------------------------


def allowing(rules: Sequence[str], call: ToolCall, places: Places | None = None) -> tuple[str, ...]:
    """Return the first of `rules` that allow all that a call is used on; none if some of it is not allowed."""
    places = NOWHERE if places is None else places
    if calls.is_cut(call.arguments):
        return ()
    parsed = {text: rule for text in rules if (rule := known_rule(text)) is not None and rule.names(call.tool)}
    whole = next((text for text, rule in parsed.items() if rule.subject is None), None)
    if whole is not None:
        return (whole,)
    used: list[str] = []
    for allowed in _needed({text: rule.subject or "" for text, rule in parsed.items()}, call, places):
        if allowed is None:
            return ()
        used.append(allowed)
    return tuple(dict.fromkeys(used))


def _needed(subjects: Mapping[str, str], call: ToolCall, places: Places) -> list[str | None]:
    """Return for each thing that a call is used on the rule that allows it."""
    arguments = call.arguments
    lines, files = calls.commands_of(arguments), calls.paths_of(arguments)
    if not calls.is_readable(arguments):
        return [None]
    if lines:
        here = all(_is_in_folder(folder, places) for folder in calls.folders_of(arguments))
        ambiguous = set(calls.listed_commands(arguments)[:1]) - set(lines)  # words that a line would split further
        if files or ambiguous or not here or calls.is_widened(arguments):
            return [None]
        return [allowed for line in lines for allowed in _needed_commands(subjects, line)]
    if files:
        return [_first(subjects, partial(_allows_path, path, places)) for path in files]
    return [_first(subjects, partial(_allows_text, text)) for text in calls.others_of(arguments) or [""]]


def _needed_commands(subjects: Mapping[str, str], text: str) -> list[str | None]:
    exact = next((rule for rule, subject in subjects.items() if subject == text), None)
    if exact is not None:
        return [exact]
    sources = None if text[:1].isspace() else commands.allowed_sources(read_line(text))
    if sources is None:
        return [None]
    return [_first(subjects, partial(_allows_command, source)) for source in sources]


def _first(subjects: Mapping[str, str], allows: Callable[[str], bool]) -> str | None:
    return next((rule for rule, subject in subjects.items() if allows(subject)), None)


def _allows_command(source: str, subject: str) -> bool:
    return commands.allows_command(subject, source)


def _allows_path(path: str, places: Places, subject: str) -> bool:
    return paths.allows_path(subject, path, places)


def _is_in_folder(folder: str, places: Places) -> bool:
    real = places.real.get(folder)
    base = places.real.get(places.folder, places.folder)
    return real is not None and paths.relative(real, base) is not None


def _allows_text(text: str, subject: str) -> bool:
    """Return whether `subject` allows an address or a search text."""
    if subject == text:
        return bool(text)
    if "://" in text:
        return _allows_address(text, subject)
    leaves = ".." in re.split(r"[/\\]", text) or (text[:1] in ("/", "~") and subject[:1] != text[:1])
    return bool(text) and not leaves and fits(text, subject)


def _allows_address(address: str, subject: str) -> bool:
    """Return whether `subject` allows an address; a wildcard for a host cannot match its path, or hide a user."""
    host = _host(address)
    scheme, _, behind = address.partition("://")
    netloc = re.split(r"[/?#]", behind, maxsplit=1)[0]
    if not host or re.search(r"[\s\\\x00-\x1f]", address) or "@" in netloc:
        return False
    if subject.startswith("domain:"):
        return address.startswith(("http://", "https://")) and fits(host, subject.removeprefix("domain:").casefold())
    start, found, rest = subject.partition("://")
    wanted = re.split(r"[/?#]", rest, maxsplit=1)[0]
    leaves = ".." in unquote(address).split("/")
    return (not found or (fits(scheme, start) and fits(netloc, wanted))) and (not leaves and fits(address, subject))


def _host(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".").casefold()
    except ValueError:
        return ""


# --- Refusing ---------------------------------------------------------------------------------------------------------


def refusing(text: str, call: ToolCall, places: Places = NOWHERE) -> Fit:
    """Return whether the deny rule `text` covers any part of `call`."""
    rule = known_rule(text)
    if rule is None:
        return Fit.NO
    wanted, family = calls.family_of(rule.tool), calls.family_of(call.tool)
    named = _is_named(rule, call.tool)
    alike = bool(wanted) and (wanted == family or (wanted, family) == ("read", "search"))
    if rule.subject is None:
        return Fit.YES if named or (alike and wanted == "shell") else Fit.NO
    if named or alike:
        if calls.is_cut(call.arguments):
            return Fit.YES
        return max(_refuses_part(rule.subject, call.arguments, places, searched=family == "search"), default=Fit.NO)
    if wanted in ("read", "edit") and family in ("shell", "") and rule.subject.strip("*/. "):
        return max(_refuses_files(rule.subject, call.arguments, places, editing=wanted == "edit"), default=Fit.NO)
    return Fit.NO


def _is_named(rule: Rule, tool: str) -> bool:
    """Return whether a rule is about a tool, in any spelling; ``server.tool`` is ``mcp__server__tool``."""
    names = {tool.casefold(), tool.casefold().replace("-", "_")}
    names |= {f"mcp__{one.replace('.', '__')}" for one in names if "." in one}
    lower = Rule(rule.tool.casefold(), rule.subject)
    return any(lower.names(one) for one in names)


def _refuses_part(subject: str, arguments: Mapping[str, object], places: Places, *, searched: bool) -> Iterator[Fit]:
    lines, files, others = calls.commands_of(arguments), calls.paths_of(arguments), calls.others_of(arguments)
    if searched and not files:
        files = ["."]
    for line in (*lines, *calls.listed_commands(arguments)):
        yield commands.refuses_command(subject, line)
    for path in files:
        yield paths.refuses_path(subject, path, places, searched=searched)
    for other in others:
        yield _refuses_text(subject, other)
        yield paths.refuses_path(subject, other, places, re.sub(r"[*?\[{]", HOLE, other))
    if not (lines or files or others):
        for text in calls.texts(arguments):
            yield _refuses_text(subject, text)
            yield commands.refuses_command(subject, text)
            yield paths.refuses_path(subject, text, places)


def _refuses_text(subject: str, text: str) -> Fit:
    if subject.startswith("domain:"):
        wanted, host = subject.removeprefix("domain:").casefold(), _host(text)
        return max(match(host, wanted), match(host, f"*.{wanted}")) if host else Fit.NO
    return max(match(one.casefold(), subject.casefold()) for one in (text, unquote(text)))


def _refuses_files(subject: str, arguments: Mapping[str, object], places: Places, *, editing: bool) -> Iterator[Fit]:
    """Yield whether the commands of a call read, or with `editing` write, what a rule about files refuses."""
    for line in calls.commands_of(arguments):
        files, certain = files_in(line, calls.folders_of(arguments))
        if not certain:
            yield Fit.MAYBE
        for file in files:
            if file.written or not editing:
                yield paths.refuses_path(subject, file.path, places, file.glob, searched=file.searched)
