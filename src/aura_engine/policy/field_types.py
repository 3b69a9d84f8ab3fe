"""Field types: what may stand at one key of a policy file, each with the check that a schema cannot state.

Patterns for paths and tool calls, durations, times of day and zones: a fault is raised where it is written, with the
words to write instead. A list may be given as one word.
"""

import re
from collections.abc import Mapping
from datetime import time
from typing import Annotated, Literal, LiteralString
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import InvalidInput
from aura_contracts.permission import Rule
from aura_contracts.task import Priority

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def wrong(code: LiteralString, message: str, key: str = "") -> PydanticCustomError:
    """Return a fault of a model, at one of its keys."""
    return PydanticCustomError(code, "{message}", {"message": message, "key": key})


def _several(value: object) -> object:
    """Return a list for one word."""
    return [value] if isinstance(value, str) else value


_NAME_IN_BRACKETS = re.compile(r"(?!\[(\w-\w)+\w*\])\[{1,2}[\w.-]+\]{1,2}(\.\w+)*")
"""How frameworks name files: ``[id]``, ``[[...path]].tsx``. ``[a-z]`` is not one: it means any letter."""


def _glob(pattern: str) -> str:
    """Check a pattern for paths, which git lists without ``./``, relative to their repository."""
    parts = pattern.split("/")
    if pattern != pattern.strip():
        raise wrong("glob", "a pattern does not begin or end with a space")
    if pattern.startswith(("/", "~", "./")):
        raise wrong("glob", f"{pattern!r} matches nothing: paths are relative to the repository, as in docs/*")
    if not {".", ".."}.isdisjoint(parts) or "" in parts[:-1] or parts[-1] == "":
        raise wrong("glob", f"{pattern!r} matches nothing: changed files are not named so; write {_fixed(parts)}")
    if pattern.startswith("!"):
        raise wrong("glob", "an exclamation mark makes no exception; put the pattern under none")
    if re.search(r"\{[^{}]*,[^{}]*\}", pattern):
        raise wrong("glob", f"{pattern!r} matches nothing: braces are ordinary characters; write each pattern out")
    if not all(_NAME_IN_BRACKETS.fullmatch(part) for part in parts if "[" in part or "]" in part):
        raise wrong("glob", f"{pattern!r}: brackets are ordinary characters; write ? for any character")
    if "\\" in pattern:
        raise wrong("glob", f"{pattern!r} matches nothing: paths have forward slashes")
    return pattern


def _fixed(parts: list[str]) -> str:
    kept = [part for part in parts if part not in ("", ".", "..")]
    return "/".join([*kept, "*"] if parts[-1] == "" else kept)


def _tool(rule: str) -> str:
    """Check a rule about tool calls."""
    try:
        Rule.parse(rule)
    except InvalidInput as error:
        raise wrong("tool_rule", f"{error.reason}; {error.remedy}") from error
    return rule


def _command(pattern: str) -> str:
    """Check a pattern for commands, by the rules of ``Bash(...)``."""
    _tool(f"Bash({pattern})")
    return pattern


Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^\S(.*\S)?$")]
Words = Annotated[list[Word], Field(min_length=1), BeforeValidator(_several)]
Glob = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_glob)]
Globs = Annotated[list[Glob], Field(min_length=1), BeforeValidator(_several)]
Tools = Annotated[list[Annotated[Word, AfterValidator(_tool)]], Field(min_length=1), BeforeValidator(_several)]
Commands = Annotated[list[Annotated[Word, AfterValidator(_command)]], Field(min_length=1), BeforeValidator(_several)]
Kinds = Annotated[list[Annotated[ApprovalKind, Field(strict=False)]], Field(min_length=1), BeforeValidator(_several)]
Priorities = Annotated[list[Annotated[Priority, Field(strict=False)]], Field(min_length=1), BeforeValidator(_several)]
Days = Annotated[list[Day], Field(min_length=1), BeforeValidator(_several)]

_DURATION = re.compile(r"([1-9][0-9]{0,6})\s*(s|m|h|d)")
_SECONDS: Mapping[str, float] = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(value: object) -> object:
    """Return the seconds of ``90s``, ``30m``, ``8h`` or ``2d``."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise wrong("duration", "write a number and a unit, as in 30m, 8h or 2d")
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > 366 * _SECONDS["d"]:
        raise wrong("duration", "this is more than a year")
    return seconds


Duration = Annotated[float, BeforeValidator(duration)]
Number = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


def _clock(value: object) -> object:
    if not isinstance(value, str) or not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise wrong("time", "write a time of day as in 09:30")
    return time.fromisoformat(value)


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise wrong("zone", f"there is no time zone {value!r}; write one as in Europe/Madrid, or UTC") from error
    return value


Clock = Annotated[time, BeforeValidator(_clock)]
Zone = Annotated[Word, AfterValidator(_zone)]
