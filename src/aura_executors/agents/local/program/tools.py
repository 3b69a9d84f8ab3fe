"""The tools that the model is offered, and how the arguments that it writes are understood. Pure."""

import json
import shlex
from collections.abc import Mapping
from typing import Any, NamedTuple

from aura_executors.agents.local.program.files import ToolFailed


class Parameter(NamedTuple):
    """A parameter: its type in JSON Schema, and what it means."""

    kind: str
    meaning: str
    required: bool = False


class Tool(NamedTuple):
    """A tool. `effect`: what it may change: nothing, files, or anything."""

    name: str
    meaning: str
    parameters: Mapping[str, Parameter]
    effect: str = ""

    def declaration(self) -> dict[str, Any]:
        """Return the tool as the chat completions API wants it."""
        schema = {
            "type": "object",
            "properties": {
                name: {"type": one.kind, "description": one.meaning} for name, one in self.parameters.items()
            },
            "required": [name for name, one in self.parameters.items() if one.required],
        }
        return {
            "type": "function",
            "function": {"name": self.name, "description": self.meaning, "parameters": schema},
        }


EDITS = "edits"
RUNS = "runs"

_PATH = Parameter("string", "path of the file, relative to the working folder", required=True)

TOOLS = {
    tool.name: tool
    for tool in (
        Tool(
            "read_file",
            "Read a text file. Long files are read in parts.",
            {
                "file_path": _PATH,
                "offset": Parameter("integer", "number of the first line, from 1"),
                "limit": Parameter("integer", "how many lines; 2000 if not given"),
            },
        ),
        Tool(
            "list_files",
            "List files, those that git ignores not.",
            {
                "path": Parameter("string", "folder; the working folder if not given"),
                "pattern": Parameter("string", "only these, such as *.py"),
            },
        ),
        Tool(
            "search",
            "Find lines that match a regular expression, in files that git does not ignore.",
            {
                "pattern": Parameter("string", "a regular expression as in Python", required=True),
                "path": Parameter("string", "folder or file; the working folder if not given"),
                "glob": Parameter("string", "only in these files, such as *.py"),
            },
        ),
        Tool(
            "write_file",
            "Make a file, or replace all that is in it.",
            {"file_path": _PATH, "content": Parameter("string", "the whole new content", required=True)},
            EDITS,
        ),
        Tool(
            "edit_file",
            "Replace text in a file. old_string must be exactly what the file has, and be in there once.",
            {
                "file_path": _PATH,
                "old_string": Parameter("string", "what is replaced", required=True),
                "new_string": Parameter("string", "what it is replaced by", required=True),
                "replace_all": Parameter("boolean", "replace it wherever it is"),
            },
            EDITS,
        ),
        Tool(
            "shell_command",
            "Run a shell command in the working folder, without standard input. Its output and exit code are returned; "
            "what it leaves running is ended.",
            {
                "command": Parameter("string", "the command", required=True),
                "timeout": Parameter("number", "seconds after which it is ended"),
            },
            RUNS,
        ),
    )
}
"""Under names, and with parameters, that models know from other agents."""

_ALIASES = {
    "path": "file_path",
    "filePath": "file_path",
    "filename": "file_path",
    "text": "content",
    "old": "old_string",
    "oldString": "old_string",
    "old_str": "old_string",
    "new": "new_string",
    "newString": "new_string",
    "new_str": "new_string",
    "replaceAll": "replace_all",
    "cmd": "command",
}
"""Parameters of other agents' tools, which models confuse with ours."""


def offered(autonomy: str) -> list[dict[str, Any]]:
    """Return the declarations of the tools that the model may use."""
    return [tool.declaration() for tool in TOOLS.values() if autonomy != "read-only" or not tool.effect]


def arguments_of(tool: Tool, text: str) -> dict[str, Any]:
    """Return the arguments of a call, those alone that the tool has. Raises `ToolFailed` with what is wrong."""
    try:
        given = json.loads(text or "{}", parse_constant=_refuse)
        if isinstance(given, str):  # JSON in JSON, as some models write it
            given = json.loads(given, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = f"the arguments are not valid JSON, perhaps cut off ({error}); write less at once"
        raise ToolFailed(reason) from error
    if not isinstance(given, dict):
        raise ToolFailed("the arguments are not a JSON object")
    arguments: dict[str, Any] = {}
    for said, value in given.items():
        name: str = said if said in tool.parameters else _ALIASES.get(str(said), "")
        if name in tool.parameters and value is not None:
            arguments[name] = _value(name, tool.parameters[name].kind, value)
    for name, parameter in tool.parameters.items():
        if parameter.required and name not in arguments:
            raise ToolFailed(f"{name} is missing; {tool.name} takes {', '.join(tool.parameters)}")
    return arguments


def _value(name: str, kind: str, value: object) -> Any:
    if kind == "string":
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode()
        if name == "command" and isinstance(value, list) and all(isinstance(word, str) for word in value) and value:
            return _command(value)
    elif kind == "boolean":
        known = {"true": True, "false": False, True: True, False: False}
        lowered = value.lower() if isinstance(value, str) else value
        if isinstance(lowered, str | bool) and lowered in known:
            return known[lowered]
    else:
        number = _number(value)
        if number is not None and abs(number) < 1 << 53:
            return int(number) if kind == "integer" else number
    raise ToolFailed(f"{name} is not of type {kind}")


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if number == number else None  # noqa: PLR0124 - not a number


def _command(words: list[str]) -> str:
    """Return a list of words as a command: of ``bash -lc SCRIPT``, the script."""
    return words[2] if len(words) == 3 and words[1] in {"-c", "-lc"} else shlex.join(words)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
