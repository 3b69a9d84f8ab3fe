"""Agent files: the agents that Claude Code defines in ``.claude/agents/*.md``, read as profiles.

    ---
    name: reviewer
    description: Use this agent to review changes. Examples: <example>...
    tools: Read, Grep, Bash(git diff *)
    model: sonnet
    ---

    You review changes ...

The front matter is YAML, but for the description: it holds colons, which YAML refuses, and is read to the end of its
line, unless it is in quotes or a block. Keys that AURA does not know are left out, and named; one that takes something
from the agent is refused instead, because the agent would be given more than its author wanted.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.agent import AgentSpec
from aura_contracts.errors import AgentFileProblem, AgentFilesRefused, Fault, InvalidInput
from aura_contracts.permission import PermissionRules, Rule
from aura_contracts.quoting import cut
from aura_contracts.secrets import require_no_secret
from aura_contracts.settled_files import read_settled
from aura_contracts.task import AgentType, parse_agent_type
from aura_engine.decisions.agent import AGENT_PROMPT_LIMIT, agent_name_problem
from aura_engine.yaml_document import YamlDocument, read_yaml

SIZE_LIMIT = AGENT_PROMPT_LIMIT
"""Bytes of a file."""

FILES_LIMIT = 1000
"""Files that one import reads."""

KNOWN = ("name", "description", "tools", "disallowedTools", "model")

_TAKES_NOTHING = {"permissionMode": ("default", "acceptEdits", "bypassPermissions")}
"""Values of keys that only give an agent more; AURA asks a human all the same."""

_TAKES = re.compile(
    r"permission|allow|den[yi]|forbid|block|restrict|sandbox|read_?only|hook|max_?turns|limit", re.IGNORECASE
)
"""Names of keys that take something from an agent, in the documentation of Claude Code or by what they say."""

READING_TOOLS = frozenset({"Read", "Grep", "Glob", "LS", "NotebookRead", "TodoRead", "TodoWrite"})
"""Tools that change nothing but the agent's own notes: where they are listed, no human is asked."""

OTHER_TOOLS = ("Bash", "Edit", "MultiEdit", "NotebookEdit", "Task", "WebFetch", "WebSearch", "Write")
"""The other tools of Claude Code."""

_Refuse = Callable[[int, str, str, str], None]
"""``(line, field, reason, remedy)``: notes a problem."""

_KEY = re.compile(r"[\"']?(?P<key>[A-Za-z][\w-]*)[\"']?\s*:(?:\s.*)?")
_DESCRIPTION = re.compile(r"description\s*:\s+(?P<text>[^\s'\"|>].*)")


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
    denied: tuple[Rule, ...] = ()
    """Tools that it may not use."""
    lines: Mapping[str, int] = attrs.field(factory=dict, eq=False)
    """The line of each key."""

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
        denied = tuple(map(_text_of, self.denied))
        if self.tools is None:
            return PermissionRules(deny=denied)
        named = {rule.tool for rule in self.tools}
        harmless = [rule for rule in self.tools if rule.subject is not None or rule.tool in READING_TOOLS]
        others = [tool for tool in (*OTHER_TOOLS, *sorted(READING_TOOLS)) if tool not in named]
        allow = dict.fromkeys(map(_text_of, harmless))
        return PermissionRules(allow=tuple(allow), deny=tuple(dict.fromkeys((*others, *denied))))

    def spec(self, executor: str, *, asks: bool) -> AgentSpec:
        """Return the profile; `asks` is whether agents of the executor ask for permission, without which rules do
        nothing. Raises `AgentFilesRefused` if tools are denied that the agent could use all the same."""
        if self.denied and not asks:
            reason = f"executor {executor} asks for no permission, so that it could not be kept"
            line = self.lines["disallowedTools"]
            raise _refused(self.path, line, "disallowedTools", reason, "import it with an executor that asks")
        return AgentSpec(
            name=self.name,
            type=self.type,
            executor=executor,
            description=self.description,
            model=self.model,
            prompt=self.prompt,
            permissions=self.rules if asks else PermissionRules(),
        )


def _text_of(rule: Rule) -> str:
    return rule.tool if rule.subject is None else f"{rule.tool}({rule.subject})"


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
        data = read_settled(path, SIZE_LIMIT + 1)
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

    matter = _front_matter(["", *lines[1:end]], path, refuse)
    if problems:
        raise AgentFilesRefused(problems=tuple(problems))
    name, description, model = (matter.text(key, refuse) for key in ("name", "description", "model"))
    if not name and isinstance(matter.values.get("name"), str | None):
        refuse(matter.line("name"), "name", "it is required", "add a line: name: NAME")
    elif name and (wrong := agent_name_problem(name)) is not None:
        refuse(matter.line("name"), "name", wrong, "name it with a word or two")
    prompt = "\n".join(lines[end + 1 :]).strip()
    _check_text("prompt", end + 2, prompt, refuse)
    tools, denied = matter.rules("tools", refuse), matter.rules("disallowedTools", refuse)
    _refuse_limits(matter, refuse)
    if problems:
        raise AgentFilesRefused(problems=tuple(problems))
    return AgentFile(
        path=path,
        name=name,
        description=description,
        model="" if model == "inherit" else model,
        tools=None if not tools or any(rule.tool == "*" for rule in tools) else tools,
        prompt=prompt,
        ignored=tuple(key for key in matter.values if key not in KNOWN),
        denied=denied,
        lines={key: matter.line(key) for key in matter.values},
    )


@attrs.frozen
class _FrontMatter:
    """The keys above the prompt."""

    document: YamlDocument
    values: Mapping[str, Any]

    def line(self, key: str) -> int:
        """Return the line of a key; 1 without it."""
        place = self.document.keys.get((key,))
        return 1 if place is None else place.line

    def text(self, key: str, refuse: _Refuse) -> str:
        """Return a text; empty without one."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, str):
            refuse(self.line(key), key, "it is not a text", "put it in quotes if it is one")
        text = value.strip() if isinstance(value, str) else ""
        _check_text(key, self.line(key), text, refuse)
        return text

    def rules(self, key: str, refuse: _Refuse) -> tuple[Rule, ...]:
        """Return tools as rules. For nothing at all, as for ``*``, Claude Code takes all tools."""
        value = self.values.get(key)
        named = _split(value) if isinstance(value, str) else [] if value is None else value
        if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
            refuse(self.line(key), key, "it is not a list of tools", "name tools, separated by commas")
            return ()
        if value == []:
            refuse(self.line(key), key, "it is empty, and would mean all tools", "leave it out, or name tools")
        found: list[Rule] = []
        for text in named:
            _check_text(key, self.line(key), text, refuse)
            try:
                found.append(Rule.parse(text))
            except InvalidInput as error:
                refuse(self.line(key), key, cut(error.reason, 500), error.remedy or "name tools, separated by commas")
        return tuple(found)


def _front_matter(lines: list[str], path: str, refuse: _Refuse) -> _FrontMatter:
    """Return the keys in lines; the first is that of the file."""
    description = _taken_description(lines)
    document = read_yaml("\n".join(lines).encode("utf-8", "surrogatepass"), path)
    for fault in document.faults:
        line, field = _place_of(fault, lines)
        remedy = "keep one of them" if fault.code == "duplicate_key" else "write it as KEY: VALUE, in YAML"
        refuse(line, field, fault.message, remedy)
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        refuse(2, "front matter", "it is not a table of keys and values", "write each as KEY: VALUE")
        data = {}
    return _FrontMatter(document, data if description is None else {**data, "description": description})


def _taken_description(lines: list[str]) -> str | None:
    """Take the description that YAML may refuse out of lines, and return it; None if it is in quotes or a block."""
    for place, line in enumerate(lines):
        if (found := _DESCRIPTION.fullmatch(line.rstrip())) is None:
            continue
        end = place + 1
        while end < len(lines) and lines[end][:1] in (" ", "\t"):
            end += 1
        said = [found["text"], *(more.strip() for more in lines[place + 1 : end])]
        lines[place:end] = ["description:", *[""] * (end - place - 1)]
        return " ".join(said)
    return None


def _place_of(fault: Fault, lines: Sequence[str]) -> tuple[int, str]:
    """Return the line and the key that a fault is about: what is not closed is only missed at the end."""
    at = min(fault.line, len(lines)) - 1
    begun = next((number for number in range(at, 0, -1) if lines[number][:1].strip()), at)
    found = _KEY.fullmatch(lines[begun])
    return begun + 1, "front matter" if found is None else found["key"]


def _refuse_limits(matter: _FrontMatter, refuse: _Refuse) -> None:
    """Refuse keys that take something from the agent in a way that AURA does not know, and known ones misspelt."""
    plain = {key.lower(): key for key in KNOWN}
    for key, value in matter.values.items():
        meant = plain.get(re.sub(r"[-_]", "", key).lower())
        if key in KNOWN or value in _TAKES_NOTHING.get(key, ()):
            continue
        if meant is not None:
            refuse(matter.line(key), key, "there is no such key", f"write it as {meant}")
        elif _TAKES.search(key):
            reason = "it takes something from the agent, and AURA does not know how"
            remedy = "remove it, and say with disallowedTools what the agent may not use"
            refuse(matter.line(key), key, reason, remedy)


def _check_text(field: str, line: int, text: str, refuse: _Refuse) -> None:
    if "\0" in text:
        refuse(line, field, "it holds a NUL character", "remove the character")
    try:
        require_no_secret(text, field)
    except InvalidInput as error:
        refuse(line, field, error.reason, error.remedy)


def _split(text: str) -> list[str]:
    """Return the parts between commas that are in no brackets.

    >>> _split("Read, Bash(git log, x), Grep")
    ['Read', 'Bash(git log, x)', 'Grep']
    """
    return [part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip()]
