"""Vocabulary: what a policy file may hold. Closed and strict.

Pydantic checks it because it finds all faults of a file, each with the path to it; msgspec stops at the first. These
models exist only while a file is read: see `aura_engine.policy.policy_file`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from aura_contracts.approval import OnExpiry
from aura_contracts.permission import fits
from aura_engine.policy.field_types import (
    Clock,
    Commands,
    Days,
    Duration,
    Globs,
    Kinds,
    Number,
    Priorities,
    Share,
    Tools,
    Word,
    Words,
    Zone,
    wrong,
)

RULE_LIMIT = 500
"""The most rules in a file."""

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
    """What humans decided before about such work of the agent: of this kind and type of task, with this model."""

    lower_bound: Shares | None = None
    """The lower end of the 90 % interval of the share that they approved; unknown below 20 decisions."""
    count: Numbers | None = None
    """How many times they decided."""

    @model_validator(mode="after")
    def _is_given(self) -> Self:
        if self.lower_bound is None and self.count is None:
            raise wrong("empty", "give lower_bound, count, or both")
        return self


class Hours(_Model):
    """Times of day, the second excluded, in a time zone; from a later to an earlier one includes midnight."""

    begin: Clock = Field(alias="from")
    """A time of day, `09:00`."""
    end: Clock = Field(alias="to")
    """A time of day, excluded; earlier than `from` means the next morning."""
    zone: Zone
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
    """How such work of the agent was received before; unknown without an agent of AURA."""
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
