"""Agent files: the agents that Claude Code defines in ``.claude/agents/*.md``, read as profiles.

    ---
    name: reviewer
    description: Use this agent to review changes. Examples: <example>...
    tools: Read, Grep, Bash(git diff *)
    model: sonnet
    ---

    You review changes ...

The front matter is written for a reader that is not strict: a description holds colons, which YAML refuses. So it is
read line by line here: ``key: value`` to the end of the line, values in quotes, lists, and blocks after ``|`` or ``>``.
Keys that AURA does not know are left out, and named.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from aura_contracts.agent import AgentSpec
from aura_contracts.errors import AgentFileProblem, AgentFilesRefused, InvalidInput
from aura_contracts.permission import PermissionRules, Rule
from aura_contracts.secrets import require_no_secret
from aura_contracts.task import AgentType, parse_agent_type
from aura_engine.decisions.agent import AGENT_PROMPT_LIMIT, NAME_LIMIT

SIZE_LIMIT = AGENT_PROMPT_LIMIT
"""Bytes of a file."""

FILES_LIMIT = 1000
"""Files that one import reads."""

KNOWN = ("name", "description", "tools", "model")

READING_TOOLS = frozenset({"Read", "Grep", "Glob", "LS", "NotebookRead", "TodoRead", "TodoWrite"})
"""Tools that change nothing but the agent's own notes: where they are listed, no human is asked."""

OTHER_TOOLS = ("Bash", "Edit", "MultiEdit", "NotebookEdit", "Task", "WebFetch", "WebSearch", "Write")
"""The other tools of Claude Code."""

_Refuse = Callable[[int, str, str, str], None]
"""``(line, field, reason, remedy)``: notes a problem."""

_KEY = re.compile(r"(?P<key>[A-Za-z][\w-]*)\s*:(?:\s+(?P<value>.*)|\s*)")


@attrs.frozen
class AgentFile:
    """A definition, with the lines of its fields for messages."""

    path: str
    name: str
    description: str
    model: str
    """Empty: the executor's default."""
    tools: tuple[Rule, ...] | None
    """None: all of them."""
    prompt: str
    ignored: tuple[str, ...]
    """Keys that AURA does not know."""

    @property
    def type(self) -> AgentType:
        """Its name where that is one word, because tasks ask for it by that; otherwise ``developer``."""
        try:
            return parse_agent_type(self.name)
        except InvalidInput:
            return AgentType("developer")

    @property
    def rules(self) -> PermissionRules:
        """The tools as rules: others are refused, those that only read are allowed; a human is asked about the rest.

        A tool that is listed is one that the agent has, not one that it may use without asking.
        """
        if self.tools is None:
            return PermissionRules()
        named = {rule.tool for rule in self.tools}
        harmless = [rule for rule in self.tools if rule.subject is not None or rule.tool in READING_TOOLS]
        allow = [rule.tool if rule.subject is None else f"{rule.tool}({rule.subject})" for rule in harmless]
        deny = [tool for tool in (*OTHER_TOOLS, *sorted(READING_TOOLS)) if tool not in named]
        return PermissionRules(allow=tuple(allow), deny=tuple(deny))

    def spec(self, executor: str, *, asks: bool) -> AgentSpec:
        """Return the profile; `asks` is whether agents of the executor ask for permission, without which rules do
        nothing."""
        return AgentSpec(
            name=self.name,
            type=self.type,
            executor=executor,
            description=self.description,
            model=self.model,
            prompt=self.prompt,
            permissions=self.rules if asks else PermissionRules(),
        )


def read_agent_files(paths: Sequence[str]) -> list[AgentFile]:
    """Return the definitions in files, and in the ``*.md`` files of folders and those below. Blocks.

    Raises `AgentFilesRefused` with everything that is wrong in any of them.
    """
    found: list[AgentFile] = []
    problems: list[AgentFileProblem] = []
    for path in _files(paths, problems):
        try:
            found.append(parse_agent_file(_text(path), str(path)))
        except AgentFilesRefused as refused:
            problems += refused.problems
    first: dict[str, str] = {}
    for each in found:
        if (other := first.setdefault(each.name, each.path)) != each.path:
            reason = f"{each.name} is the name of {other}, too"
            problems.append(AgentFileProblem(each.path, 1, "name", reason, "give each agent a name of its own"))
    if problems:
        raise AgentFilesRefused(problems=tuple(problems))
    return found


def _files(paths: Sequence[str], problems: list[AgentFileProblem]) -> list[Path]:
    found: dict[Path, None] = {}
    for given in map(Path, paths):
        inside = sorted(path for path in given.rglob("*.md") if path.is_file()) if given.is_dir() else [given]
        if not inside:
            problems.append(
                AgentFileProblem(str(given), 0, "file", "no file in this folder ends in .md", "name another")
            )
        found |= dict.fromkeys(inside)
    if len(found) > FILES_LIMIT:
        reason = f"these are {len(found)} files; the limit is {FILES_LIMIT}"
        problems.append(AgentFileProblem(", ".join(paths), 0, "file", reason, "import fewer at once"))
        return []
    return list(found)


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():  # reading a pipe would not end
        raise _refused(path, 0, "file", "it is not a file", "name a file or a folder")
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise _refused(path, 0, "file", f"it cannot be read: {error.strerror or error}", "check the path") from error
    if len(data) > SIZE_LIMIT:
        raise _refused(path, 0, "file", f"it is larger than {SIZE_LIMIT} bytes", "shorten it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise _refused(path, line, "file", "it is not UTF-8", "save it as UTF-8") from error


def _refused(path: object, line: int, field: str, reason: str, remedy: str) -> AgentFilesRefused:
    return AgentFilesRefused(problems=(AgentFileProblem(str(path), line, field, reason, remedy),))


# --- One file ---------------------------------------------------------------------------------------------------------


@attrs.define
class _Value:
    """The value of a key, and the line of the key."""

    line: int
    text: str
    items: list[str] | None = None
    """Its items, if it is a list."""


def parse_agent_file(text: str, path: str) -> AgentFile:
    """Return the definition in a text. Raises `AgentFilesRefused` with everything that is wrong in it."""
    lines = text.replace("\r\n", "\n").split("\n")
    end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
    if lines[0].rstrip() != "---" or end is None:
        missing = "does not begin with a line ---" if lines[0].rstrip() != "---" else "has no second line ---"
        remedy = "write its name and its description between two lines ---, above the prompt"
        raise _refused(path, 1, "front matter", f"it does not define an agent: it {missing}", remedy)
    problems: list[AgentFileProblem] = []

    def refuse(line: int, field: str, reason: str, remedy: str) -> None:
        problems.append(AgentFileProblem(path, line, field, reason, remedy))

    values: dict[str, _Value] = {}
    for key, value in _values(lines[1:end], refuse):
        if key in values:
            refuse(value.line, key, f"it is also in line {values[key].line}", "keep one of them")
        values.setdefault(key, value)
    name = _name(values, refuse)
    model = values["model"].text if "model" in values else ""
    prompt = "\n".join(lines[end + 1 :]).strip()
    for field, line, said in (
        ("prompt", end + 2, prompt),
        *((key, value.line, value.text) for key, value in values.items()),
    ):
        _check_text(field, line, said, refuse)
    tools = _tools(values["tools"], refuse) if "tools" in values else None
    if problems:
        raise AgentFilesRefused(problems=tuple(problems))
    return AgentFile(
        path=path,
        name=name,
        description=values["description"].text if "description" in values else "",
        model="" if model == "inherit" else model,
        tools=tools,
        prompt=prompt,
        ignored=tuple(key for key in values if key not in KNOWN),
    )


def _name(values: Mapping[str, _Value], refuse: _Refuse) -> str:
    found = values.get("name")
    if found is None or not found.text.strip():
        refuse(1 if found is None else found.line, "name", "it is required", "add a line: name: NAME")
        return ""
    if len(found.text) > NAME_LIMIT:
        refuse(found.line, "name", f"it has more than {NAME_LIMIT} characters", "shorten it")
    return found.text


def _check_text(field: str, line: int, text: str, refuse: _Refuse) -> None:
    if "\0" in text:
        refuse(line, field, "it holds a NUL character", "remove the character")
    try:
        require_no_secret(text, field)
    except InvalidInput as error:
        refuse(line, field, error.reason, error.remedy)


def _tools(value: _Value, refuse: _Refuse) -> tuple[Rule, ...] | None:
    """Return the tools as rules; None for ``*``, and for nothing at all, which Claude Code takes for all tools."""
    named = value.items if value.items is not None else _split(value.text)
    found: list[Rule] = []
    for text in named:
        try:
            found.append(Rule.parse(text))
        except InvalidInput as error:
            refuse(value.line, "tools", error.reason, error.remedy or "name tools, separated by commas")
    return None if not named or any(rule.tool == "*" for rule in found) else tuple(found)


def _split(text: str) -> list[str]:
    """Return the parts between commas that are in no brackets.

    >>> _split("Read, Bash(git log, x), Grep")
    ['Read', 'Bash(git log, x)', 'Grep']
    """
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]


def _values(lines: Sequence[str], refuse: _Refuse) -> Iterator[tuple[str, _Value]]:
    """Yield each key with its value; the first of `lines` is the second of the file."""
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 2
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _KEY.fullmatch(line.rstrip())
        if found is None:
            refuse(number, "front matter", f"{line.strip()[:60]!r} is not a key with a value", "write it as KEY: VALUE")
            continue
        more = []
        while at < len(lines) and (not lines[at].strip() or lines[at][0] in " \t-"):
            more.append(lines[at])
            at += 1
        yield found["key"], _value(number, found["key"], (found["value"] or "").strip(), more, refuse)


def _value(number: int, key: str, text: str, more: list[str], refuse: _Refuse) -> _Value:
    told = [line.strip() for line in more if line.strip()]
    if text[:1] in ("|", ">") and len(text) <= 2:
        return _Value(number, ("\n" if text[0] == "|" else " ").join(told))
    if not text and told and all(line.startswith("-") for line in told):
        items = [_unquoted(line[1:].strip()) or "" for line in told]
        return _Value(number, ", ".join(items), items)
    if text.startswith("[") and text.endswith("]"):
        items = [_unquoted(part) or "" for part in _split(text[1:-1])]
        return _Value(number, ", ".join(items), items)
    whole = _unquoted(" ".join(part for part in (text, *told) if part))
    if whole is None:
        refuse(number, key, "its quotation mark is not closed", "close it, or leave both out")
    return _Value(number, whole or "")


def _unquoted(text: str) -> str | None:
    """Return a value without its quotation marks; None if the first is not closed."""
    if text[:1] not in ("'", '"'):
        return text
    if len(text) < 2 or text[-1] != text[0]:
        return None
    if text[0] == "'":
        return text[1:-1].replace("''", "'")
    try:
        return str(json.loads(text))
    except ValueError:
        return text[1:-1]
