"""Vocabulary: what a policy file may hold. Closed and strict.

Pydantic checks it because it finds all faults of a file, each with the path to it; msgspec stops at the first. These
models exist only while a file is read: see `aura_engine.policy.policy_file`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import time
from typing import Annotated, Any, Literal, LiteralString, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from aura_contracts.approval import ApprovalKind, OnExpiry
from aura_contracts.errors import InvalidInput
from aura_contracts.permission import Rule, fits
from aura_contracts.task import Priority

RULE_LIMIT = 500
"""The most rules in a file."""

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def wrong(code: LiteralString, message: str, key: str = "") -> PydanticCustomError:
    """Return a fault of a model, at one of its keys."""
    return PydanticCustomError(code, "{message}", {"message": message, "key": key})


# --- Words ------------------------------------------------------------------------------------------------------------


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


def _duration(value: object) -> object:
    """Return the seconds of ``90s``, ``30m``, ``8h`` or ``2d``."""
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise wrong("duration", "write a number and a unit, as in 30m, 8h or 2d")
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > 366 * _SECONDS["d"]:
        raise wrong("duration", "this is more than a year")
    return seconds


Duration = Annotated[float, BeforeValidator(_duration)]
Number = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


# --- Conditions -------------------------------------------------------------------------------------------------------


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, populate_by_name=True)


class _Bounds(_Model):
    """A range. Both ends belong to it."""

    at_least: Any = None
    at_most: Any = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise wrong("empty", "give at_least, at_most, or both")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise wrong("contradiction", f"no number is at least {self.at_least} and at most {self.at_most}")
        return self


class Numbers(_Bounds):
    """A range of whole numbers."""

    at_least: Number | None = None
    at_most: Number | None = None


class Shares(_Bounds):
    """A range of numbers from 0 to 1."""

    at_least: Share | None = None
    at_most: Share | None = None


def _is_excluded(pattern: str, by: Sequence[str]) -> bool:
    """Whether all that fits a pattern surely fits another one; a shorter pattern may cover a longer one."""
    return any(fits(pattern, one) for one in by)


class _Several(_Model):
    """What is said of all, any or none of several texts."""

    all: Any = None
    any: Any = None
    none: Any = None

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.all is None and self.any is None and self.none is None:
            raise wrong("empty", "give all, any or none")
        for name in ("all", "any"):
            required = getattr(self, name)
            if required is not None and all(_is_excluded(one, self.none or ()) for one in required):
                raise wrong("contradiction", f"all that fits {', '.join(required)} is excluded under none", "none")
        return self


class Paths(_Several):
    """Patterns for the paths of changed files; ``*`` is any text, slashes included."""

    all: Globs | None = None
    """Every path fits one of these."""
    any: Globs | None = None
    """At least one path fits one of these."""
    none: Globs | None = None
    """No path fits any of these."""


class Labels(_Several):
    """Patterns for the labels of a task; ``*`` is any text."""

    all: Words | None = None
    """Every label fits one of these, and there is at least one."""
    any: Words | None = None
    """At least one label fits one of these."""
    none: Words | None = None
    """No label fits any of these."""


class Record(_Model):
    """How an agent's proposals were received before. Unknown until AURA keeps such a record."""

    lower_bound: Shares | None = None
    """The lower bound of the share that humans approved."""
    count: Numbers | None = None
    """How many proposals humans decided about."""

    @model_validator(mode="after")
    def _is_given(self) -> Self:
        if self.lower_bound is None and self.count is None:
            raise wrong("empty", "give lower_bound, count, or both")
        return self


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


class Hours(_Model):
    """Times of day, the second excluded, in a time zone; from a later to an earlier one includes midnight."""

    begin: Annotated[time, BeforeValidator(_clock)] = Field(alias="from")
    """A time of day, `09:00`."""
    end: Annotated[time, BeforeValidator(_clock)] = Field(alias="to")
    """A time of day, excluded; earlier than `from` means the next morning."""
    zone: Annotated[Word, AfterValidator(_zone)]
    """A time zone, `Europe/Madrid`."""
    days: Days | None = None
    """`mon` to `sun`; a night belongs to the day it begins on. All days by default."""

    @model_validator(mode="after")
    def _is_some_time(self) -> Self:
        if self.begin == self.end:
            raise wrong("contradiction", "from and to are the same: no time is between them", "to")
        return self


class When(_Model):
    """The conditions of a rule, all of which must hold."""

    kind: Kinds | None = None
    """The kind of question."""
    agent: Words | None = None
    """The name of the agent."""
    executor: Words | None = None
    """The executor; unknown for an agent outside AURA."""
    model: Words | None = None
    """The model that the agent reported, or was given; unknown if neither."""
    task_type: Words | None = None
    """The type of agent that the task is for."""
    priority: Priorities | None = None
    """The priority of the task."""
    project: Words | None = None
    """The project of the task."""
    labels: Labels | None = None
    """The labels of the task."""
    files: Numbers | None = None
    """Changed files."""
    added: Numbers | None = None
    """Added lines of text files."""
    deleted: Numbers | None = None
    """Deleted lines of text files."""
    binary: Numbers | None = None
    """Changed binary files."""
    renames: Numbers | None = None
    """Renamed files."""
    paths: Paths | None = None
    """Paths of changed files, old names included; unknown if there are more than 1,000."""
    tests_passed: Commands | None = None
    """Commands whose last run by the agent ended with 0, as its program reported; unknown if none ran, or if a file was
    changed after it."""
    tools: Tools | None = None
    """Tool calls."""
    commands: Commands | None = None
    """Commands of tool calls, by the patterns of `Bash(...)`."""
    confidence: Shares | None = None
    """The confidence that the agent stated; unknown if it stated none."""
    record: Record | None = None
    """How the agent's proposals were received before. Unknown so far: no record is kept yet."""
    self_review: bool | None = None
    """Whether the human who created the task, or the one that it is part of, is asked to decide about it; unknown if no
    human did."""
    hours: Hours | None = None
    """When the question is asked."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        most = None if self.files is None else self.files.at_most
        if most is None:
            return self
        for name in ("binary", "renames", "added", "deleted"):
            least = getattr(getattr(self, name), "at_least", None) or 0
            if least > most and (most == 0 or name in ("binary", "renames")):
                raise wrong("contradiction", f"{name} cannot be {least} or more with at most {most} files", name)
        if most == 0 and self.paths is not None and (self.paths.all or self.paths.any):
            raise wrong("contradiction", "no path fits if there are at most 0 files", "paths")
        return self


def _conditions(value: object) -> object:
    if value == "always":
        return When.model_construct()
    if value in (None, {}):
        raise wrong("empty", "a rule has conditions; write `when: always` for one that matches every question")
    return value


# --- Rules ------------------------------------------------------------------------------------------------------------


class LevelEntry(_Model):
    """People who are asked once those before them have approved."""

    reviewers: Words
    """Their names."""
    quorum: Annotated[int, Field(ge=1, le=100)] = 1
    """How many of them must approve."""

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if self.quorum > len(set(self.reviewers)):
            message = f"{self.quorum} approvals cannot come from {len(set(self.reviewers))} people"
            raise wrong("contradiction", message, "quorum")
        return self


class Then(_Model):
    """On what terms a human is asked, and which share of approvals a human sees all the same."""

    reviewers: Words | None = None
    """Names of the humans to ask instead of the creator and the reviewers of the task; besides them, if they are fewer
    than must approve. Who may not decide, or is asked at a later level, is left out."""
    quorum: Annotated[int, Field(ge=1, le=100)] | None = None
    """How many of them must approve; at least as many as the task demands."""
    levels: Annotated[list[LevelEntry], Field(min_length=1, max_length=10)] | None = None
    """Who is asked after them, one level after another, each with a quorum of its own; besides those of the task."""
    deadline: Duration | None = None
    """How long to wait for an answer to a question of kind `plan`, `changes`, `decomposition` or `tool_call` that a run
    waits for."""
    on_expiry: Annotated[OnExpiry, Field(strict=False)] | None = None
    """What no answer means: `deny` or `continue`."""
    remind_after: Duration | None = None
    """How long until the first reminder, and between reminders."""
    escalate_after: Duration | None = None
    """How long until the question goes to `escalate_to` as well."""
    escalate_to: Words | None = None
    """Names of the humans to escalate to."""
    audit: Annotated[float, Field(gt=0, le=1)] | None = None
    """Of `approve`: the share of approvals, up to 1, that a human decides all the same; their ids say which ones."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not self.model_fields_set:
            raise wrong("empty", "there is nothing under then")
        if self.escalate_after is not None and self.escalate_to is None:
            raise wrong("contradiction", "escalate_after has no effect without escalate_to", "escalate_after")
        people = {*(self.reviewers or ()), *(self.escalate_to or ())}
        if self.quorum is not None and self.quorum > 1 and self.reviewers is None:
            raise wrong("contradiction", "name the reviewers of a quorum, so that it can be reached", "quorum")
        if self.quorum is not None and self.quorum > max(len(people), 1):
            message = f"{self.quorum} approvals cannot come from {len(people)} people"
            raise wrong("contradiction", message, "quorum")
        later = [name for level in self.levels or () for name in {*level.reviewers}]
        if doubled := next((name for name in later if later.count(name) > 1 or name in (self.reviewers or ())), None):
            raise wrong("contradiction", f"{doubled} is asked twice, but votes once: name them at one level", "levels")
        for name, after in (("remind_after", self.remind_after), ("escalate_after", self.escalate_after)):
            if after is not None and self.deadline is not None and after >= self.deadline:
                raise wrong("contradiction", f"{name} is not before the deadline, so it has no effect", name)
        return self


class RuleEntry(_Model):
    """A rule: its verdict with its name, when it matches, and what follows."""

    never: Word | None = None
    """The name of a rule that leaves a question to humans."""
    reject: Word | None = None
    """The name of a rule that rejects."""
    ask: Word | None = None
    """The name of a rule that has a human asked."""
    approve: Word | None = None
    """The name of a rule that approves."""
    when: Annotated[When, BeforeValidator(_conditions)]
    """The conditions, all of which must hold; `always` for a rule without any."""
    then: Then | None = None
    """On what terms a human is asked."""
    because: Word | None = None
    """Its words: to the agent if it rejects, to the human if it asks."""


class PolicyEntry(_Model):
    """A policy file, whose rules are checked one by one, so that a fault in one hides none in another."""

    name: Word | None = None
    """Its name in decisions; by default `user`, or the name of the repository's folder."""
    rules: Annotated[list[Any], Field(min_length=1, max_length=RULE_LIMIT)]
    """The rules, in any order."""


MODELS: Mapping[str, type[BaseModel]] = {
    "when": When,
    "then": Then,
    "paths": Paths,
    "labels": Labels,
    "hours": Hours,
    "record": Record,
    "levels": LevelEntry,
    **dict.fromkeys(("files", "added", "deleted", "binary", "renames", "count"), Numbers),
    **dict.fromkeys(("confidence", "lower_bound"), Shares),
}
"""The model under each key."""
