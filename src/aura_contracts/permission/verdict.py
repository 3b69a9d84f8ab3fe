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
from aura_contracts.file_paths import is_within
from aura_contracts.permission import calls, commands, paths
from aura_contracts.permission.files import files_in
from aura_contracts.permission.paths import NOWHERE, Places, normal
from aura_contracts.permission.rules import Rule, known_rule
from aura_contracts.permission.shell import read_line
from aura_contracts.permission.values import PermissionRules
from aura_contracts.permission.wildcards import HOLE, Fit, fits, match

_PATH_LIMIT = 4_096
"""Maximum characters of an argument that may be a path."""


_ADDRESS = re.compile(r"[^\s'\"`<>|;()=,]*[.:][^\s'\"`<>|;(),]+")


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
    more = calls.more_of(arguments)
    if files:
        files += [*calls.folders_of(arguments), *more]  # folders: to write everywhere below, from now on
        return [_first(subjects, partial(_allows_path, path, places)) for path in files]
    others = [*calls.others_of(arguments), *more]
    return [_first(subjects, partial(_allows_text, text)) for text in others or [""]]


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
    return real is not None and is_within(real, base)


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
        return address.startswith(("http://", "https://")) and fits(host, _ascii(subject.removeprefix("domain:")))
    start, found, rest = subject.partition("://")
    wanted = re.split(r"[/?#]", rest, maxsplit=1)[0]
    leaves = ".." in unquote(address).split("/")
    return (not found or (fits(scheme, start) and fits(netloc, wanted))) and (not leaves and fits(address, subject))


def _host(address: str) -> str:
    try:
        return _ascii(urlsplit(address).hostname or "")
    except ValueError:
        return ""


def _ascii(host: str) -> str:
    """Return the name of a host as it is looked up (RFC 3490)."""
    host = host.rstrip(".").casefold()
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


# --- Refusing ---------------------------------------------------------------------------------------------------------


def refusing(text: str, call: ToolCall, places: Places = NOWHERE) -> Fit:
    """Return whether the deny rule `text` covers any part of `call`."""
    rule = known_rule(text)
    if rule is None:
        return Fit.NO
    wanted, family = calls.family_of(rule.tool), calls.family_of(call.tool)
    named = _is_named(rule, call.tool)
    alike = bool(wanted) and (wanted == family or (wanted, family) == ("read", "search"))
    if rule.subject is None and (named or (alike and wanted == "shell")):
        return Fit.YES
    if not (named or alike):
        return Fit.MAYBE if _may_be_named(rule, call.tool) else _refuses_other(rule, wanted, family, call, places)
    if rule.subject is None or calls.is_cut(call.arguments):
        return Fit.NO if rule.subject is None else Fit.YES
    return max(_refuses_part(rule.subject, call.arguments, places, searched=family == "search"), default=Fit.NO)


def _refuses_other(rule: Rule, wanted: str, family: str, call: ToolCall, places: Places) -> Fit:
    """Return whether a rule about files or commands covers a call of another tool, which uses them too."""
    subject, found = rule.subject or "", Fit.NO
    if wanted in ("read", "edit") and family in ("shell", "") and subject.strip("*/. "):
        found = max(_refuses_files(subject, call.arguments, places, editing=wanted == "edit"), default=Fit.NO)
        return max(found, Fit.NO if family else _may_use(subject, call.arguments, places))
    if wanted == "shell" and not family and subject:
        lines = (*calls.commands_of(call.arguments), *calls.listed_commands(call.arguments))
        found = max((commands.refuses_command(subject, one) for one in lines), default=Fit.NO)
    if subject.startswith("domain:"):
        words = (word for text in calls.texts(call.arguments) for word in _ADDRESS.findall(text))
        found = max((_refuses_text(subject, word) for word in words), default=Fit.NO)
    return min(Fit.MAYBE, found)


def _may_use(subject: str, arguments: Mapping[str, object], places: Places) -> Fit:
    """Return whether a tool of which nothing is known may use a file that is refused: an argument is its path."""
    texts = (text for text in calls.texts(arguments) if len(text) < _PATH_LIMIT and not re.search(r"\s", text))
    return max((min(Fit.MAYBE, paths.refuses_path(subject, text, places)) for text in texts), default=Fit.NO)


def _is_named(rule: Rule, tool: str) -> bool:
    """Return whether a rule is about a tool, in any spelling; ``server.tool`` is ``mcp__server__tool``."""
    names = {tool.casefold(), tool.casefold().replace("-", "_")}
    names |= {f"mcp__{one.replace('.', '__')}" for one in names if "." in one}
    lower = Rule(rule.tool.casefold(), rule.subject)
    return any(lower.names(one) for one in names)


def _may_be_named(rule: Rule, tool: str) -> bool:
    """Return whether a rule is about a server's tool in the words of another agent: ``server-tool``."""
    name = _words_of(tool)
    if rule.subject is not None:
        return name == _words_of(f"{rule.tool} {rule.subject}") and "*" not in rule.subject
    wanted = _words_of(rule.tool).rstrip("_")
    return rule.tool.casefold().startswith("mcp__") and wanted.strip("*_") != "" and fits(f"{name}_", f"{wanted}_*")


def _words_of(name: str) -> str:
    return re.sub(r"[^\w*]+|_+", "_", name.casefold()).removeprefix("mcp_")


def _refuses_part(subject: str, arguments: Mapping[str, object], places: Places, *, searched: bool) -> Iterator[Fit]:
    lines, files, others = calls.commands_of(arguments), calls.paths_of(arguments), calls.others_of(arguments)
    if searched and not files:
        files = ["."]
    for line in (*lines, *calls.listed_commands(arguments)):
        yield commands.refuses_command(subject, line)
    for path in files:
        yield paths.refuses_path(subject, path, places, searched=searched)
    for other in (*others, *calls.more_of(arguments)):
        yield _refuses_text(subject, other)
        yield paths.refuses_path(subject, other, places, re.sub(r"[*?\[{]", HOLE, other))
    if not (lines or files or others):
        for text in calls.texts(arguments):
            yield _refuses_text(subject, text)
            yield commands.refuses_command(subject, text)
            yield paths.refuses_path(subject, text, places)


def _refuses_text(subject: str, text: str) -> Fit:
    if subject.startswith("domain:"):
        wanted = _ascii(subject.removeprefix("domain:"))
        hosts = {_host(text), _host(_loose(text))} - {""}
        return max((match(host, one) for host in hosts for one in (wanted, f"*.{wanted}")), default=Fit.NO)
    spellings = {text, unquote(text), *([_plain(text)] if "://" in subject else [])}
    return max(match(one.casefold(), subject.casefold()) for one in spellings)


def _loose(text: str) -> str:
    r"""Return an address as browsers take it (WHATWG URL, section 4.4): with other slashes, or without its scheme.

    >>> _loose(r" https:\\example.org"), _loose("example.org/a")
    ('https://example.org', 'https://example.org/a')
    """
    plain = re.sub(r"[\t\r\n]", "", text.strip()).replace("\\", "/")
    plain = re.sub(r"^(?:view-source:)?(\w[\w+.-]*):/*(?=[^/\d])", r"\1://", plain)
    return plain if "://" in plain else f"https://{plain.lstrip('/')}"


def _plain(text: str) -> str:
    """Return an address with its host as it is looked up, without a user and a usual port, and with a path."""
    plain = _loose(text)
    scheme, _, rest = plain.partition("://")
    netloc = re.split(r"[/?#]", rest, maxsplit=1)[0]
    port = re.search(r":(\d+)$", netloc)
    shown = "" if port is None or port[1] in ("80", "443") else port[0]
    path = rest[len(netloc) :]
    return f"{scheme}://{_host(plain)}{shown}{path if path.startswith('/') else f'/{path}'}"


def _refuses_files(subject: str, arguments: Mapping[str, object], places: Places, *, editing: bool) -> Iterator[Fit]:
    """Yield whether the commands of a call read, or with `editing` write, what a rule about files refuses."""
    for line in calls.commands_of(arguments):
        files, certain = files_in(line, calls.folders_of(arguments))
        if not certain:
            yield Fit.MAYBE
        for file in files:
            if (sure := file.written if editing else file.read) is not Fit.NO:
                emptied = editing and (sure is Fit.YES or normal(file.path) != ".")
                found = paths.refuses_path(
                    subject, file.path, places, file.glob, searched=file.searched, emptied=emptied
                )
                yield min(sure, found)
