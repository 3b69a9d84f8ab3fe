"""Conditions: whether a rule matches a question. Pure; a match may depend on a value that is unknown.

A condition about what a question of another kind has, such as the files of a tool call, does not hold: a rule about
files is a rule about changes. A value that the question could have and has not, such as the confidence of an agent that
stated none, is unknown.

Rules that approve look at tool calls narrowly, all others widely, as `aura_contracts.permission` says of rules that
allow and deny.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from fnmatch import translate
from functools import partial
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import attrs
import msgspec

from aura_contracts.approval import Approval, ApprovalKind, Evidence, PolicyVerdict, Question, ToolCall
from aura_contracts.first_use import convert
from aura_contracts.permission import NOWHERE, Fit, Places, allowing, family_of, fits, refusing
from aura_contracts.plain_data import short
from aura_contracts.secrets import redact

_SHOWN = 50
"""The most items of a list that a decision records."""

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_SIZES = ("files", "added", "deleted", "binary", "renames")

_ABOUT_CHANGES = frozenset({ApprovalKind.CHANGES})
_ABOUT_CALLS = frozenset({ApprovalKind.TOOL_CALL})
_ABOUT_PROPOSALS = frozenset({ApprovalKind.PLAN, ApprovalKind.CHANGES, ApprovalKind.DECOMPOSITION})
_ABOUT_WORK = _ABOUT_PROPOSALS | _ABOUT_CALLS

KINDS_WITH: Mapping[str, frozenset[ApprovalKind]] = MappingProxyType(
    {
        **dict.fromkeys(
            (*_SIZES, "paths", "tests_passed"),
            _ABOUT_CHANGES,
        ),
        **dict.fromkeys(("tools", "commands"), _ABOUT_CALLS),
        "record": _ABOUT_WORK,
        "confidence": _ABOUT_PROPOSALS,
    }
)
"""The kinds of question that have what a condition is about; all kinds, if it is not here."""


@attrs.frozen(kw_only=True)
class PolicySubject:
    """A question as policies see it, when it is asked or long after."""

    kind: ApprovalKind
    at: datetime
    """When it was asked."""
    reviewers: tuple[str, ...]
    """Who is asked if no policy says otherwise."""
    evidence: Evidence
    confidence: float | None = None
    tool_call: ToolCall | None = None
    proposal: str = ""
    places: Places | None = None
    """Where the paths of the tool call lead."""

    @classmethod
    def of(cls, question: Question, at: datetime, call: ToolCall | None = None) -> "PolicySubject":
        """Return a question as policies see it; `call` is its tool call before secrets were removed."""
        places = question.evidence.places
        return cls(
            kind=question.kind,
            at=at,
            reviewers=question.reviewers,
            evidence=question.evidence,
            confidence=question.confidence,
            tool_call=call or question.tool_call,
            proposal=question.proposed_solution,
            places=None if places is None else convert(places, Places),
        )

    @classmethod
    def recorded(cls, approval: Approval) -> "PolicySubject":
        """Return a question that was asked before."""
        return cls.of(approval, approval.requested_at)


Test = Callable[[PolicySubject], Fit]


@attrs.frozen
class Condition:
    """A condition by its key; `given` is what the file says, for comparison with others."""

    key: str
    given: Any
    test: Test = attrs.field(eq=False, repr=False)

    @property
    def kinds(self) -> frozenset[ApprovalKind]:
        """The kinds of question for which it may hold."""
        if self.key == "kind":
            return frozenset(self.given)
        return KINDS_WITH.get(self.key, frozenset(ApprovalKind))


def conditions_of(when: Mapping[str, Any], verdict: PolicyVerdict) -> tuple[Condition, ...]:
    """Return the conditions of a rule, the kind first, because it is the cheapest and decides most.

    `when` is what a policy file says, checked: see `aura_engine.policy.vocabulary`.
    """
    made = []
    for key, maker in _MAKERS.items():
        if key in when:
            made.append(Condition(key, when[key], maker(key, when[key], verdict)))
    return tuple(made)


def _fit(holds: bool) -> Fit:  # noqa: FBT001 - what it converts
    return Fit.YES if holds else Fit.NO


# --- Words and numbers ------------------------------------------------------------------------------------------------


def _kind(key: str, given: Sequence[ApprovalKind], verdict: PolicyVerdict) -> Test:
    kinds = frozenset(given)
    return lambda subject: _fit(subject.kind in kinds)


def _words(key: str, given: Sequence[str], verdict: PolicyVerdict) -> Test:
    """An unknown executor or model may be any; a task without a project, say, has none."""
    absent = Fit.MAYBE if key in ("executor", "model") else Fit.NO
    patterns = tuple(map(str, given))

    def test(subject: PolicySubject) -> Fit:
        value = getattr(subject.evidence, key)
        return absent if value is None else _fit(any(fits(value, pattern) for pattern in patterns))

    return test


def _size(key: str, given: Mapping[str, int], verdict: PolicyVerdict) -> Test:
    def test(subject: PolicySubject) -> Fit:
        change = subject.evidence.change
        return Fit.MAYBE if change is None else _fit(_is_in(given, getattr(change, key)))

    return test


def _confidence(key: str, given: Mapping[str, float], verdict: PolicyVerdict) -> Test:
    def test(subject: PolicySubject) -> Fit:
        return Fit.MAYBE if subject.confidence is None else _fit(_is_in(given, subject.confidence))

    return test


def _is_in(bounds: Mapping[str, float], value: float) -> bool:
    low, high = bounds.get("at_least"), bounds.get("at_most")
    return (low is None or value >= low) and (high is None or value <= high)


def _record(key: str, given: Mapping[str, Mapping[str, float]], verdict: PolicyVerdict) -> Test:
    """The bound is unknown after too few decisions, their number is not; without an agent both are."""
    count, bound = given.get("count"), given.get("lower_bound")

    def test(subject: PolicySubject) -> Fit:
        record = subject.evidence.record
        if record is None:
            return Fit.MAYBE
        if count is not None and not _is_in(count, record.count):
            return Fit.NO
        if bound is None:
            return Fit.YES
        return Fit.MAYBE if record.lower_bound is None else _fit(_is_in(bound, record.lower_bound))

    return test


def _self_review(key: str, given: bool, verdict: PolicyVerdict) -> Test:  # noqa: FBT001 - what the file says
    def test(subject: PolicySubject) -> Fit:
        reviews = _reviews_own(subject)
        return Fit.MAYBE if reviews is None else _fit(reviews is given)

    return test


def _reviews_own(subject: PolicySubject) -> bool | None:
    creator = subject.evidence.creator
    return None if creator is None else creator in subject.reviewers


def _hours(key: str, given: Mapping[str, Any], verdict: PolicyVerdict) -> Test:
    zone, begin, end = ZoneInfo(given["zone"]), given["begin"], given["end"]
    days = frozenset(DAYS.index(day) for day in given.get("days", DAYS))

    def test(subject: PolicySubject) -> Fit:
        local = subject.at.astimezone(zone)
        clock, day = local.time(), local.weekday()
        if begin < end:
            return _fit(begin <= clock < end and day in days)
        if clock >= begin:
            return _fit(day in days)
        return _fit(clock < end and (day - 1) % 7 in days)  # the night belongs to the day it began on

    return test


# --- Changes ----------------------------------------------------------------------------------------------------------


def _paths(key: str, given: Mapping[str, Sequence[str]], verdict: PolicyVerdict) -> Test:
    return _of_several(given, lambda subject: None if (change := subject.evidence.change) is None else change.paths)


def _labels(key: str, given: Mapping[str, Sequence[str]], verdict: PolicyVerdict) -> Test:
    return _of_several(given, lambda subject: subject.evidence.labels)


def _of_several(given: Mapping[str, Sequence[str]], texts_of: Callable[[PolicySubject], Sequence[str] | None]) -> Test:
    """What is said of all, any or none of several texts; the first does not hold for an empty list."""
    every, some, none = (_pattern(given.get(name, ())) for name in ("all", "any", "none"))

    def test(subject: PolicySubject) -> Fit:
        if (texts := texts_of(subject)) is None:
            return Fit.MAYBE
        holds = (
            (every is None or (bool(texts) and all(map(every, texts))))
            and (some is None or any(map(some, texts)))
            and (none is None or not any(map(none, texts)))
        )
        return _fit(holds)

    return test


def _pattern(globs: Sequence[str]) -> Callable[[str], object] | None:
    """Return what matches the texts that fit one of `globs`, as `fits` does; None without any."""
    if not globs:
        return None
    return re.compile("|".join(f"(?:{translate(glob.replace('[', '[[]'))})" for glob in globs)).match


def _tests_passed(key: str, given: Sequence[str], verdict: PolicyVerdict) -> Test:
    """The last run of every command that matches ended with 0, and no file was changed after it."""
    rules = tuple(f"Bash({pattern})" for pattern in given)

    def test(subject: PolicySubject) -> Fit:
        runs = [run for run in subject.evidence.commands if _is_one_of(run.command, rules)]
        if any(run.exit_code for run in runs):
            return Fit.NO
        return Fit.YES if runs and not any(run.stale for run in runs) else Fit.MAYBE

    return test


def _is_one_of(command: str, rules: Sequence[str]) -> bool:
    """Whether rules cover all of a command line: ``pytest || true`` always ends with 0, and is not ``pytest *``."""
    return bool(allowing(rules, ToolCall("Bash", "", {"command": command})))


# --- Tool calls -------------------------------------------------------------------------------------------------------


def _tools(key: str, given: Sequence[str], verdict: PolicyVerdict) -> Test:
    rules = tuple(given)
    return _of_call(partial(_allows if verdict is PolicyVerdict.APPROVE else _covers, rules))


def _commands(key: str, given: Sequence[str], verdict: PolicyVerdict) -> Test:
    if verdict is not PolicyVerdict.APPROVE:
        return _of_call(partial(_covers, tuple(f"Bash({pattern})" for pattern in given)))
    allows = partial(_allows, tuple(f"*({pattern})" for pattern in given))
    return _of_call(lambda call, places: allows(call, places) if family_of(call.tool) == "shell" else Fit.NO)


def _allows(rules: Sequence[str], call: ToolCall, places: Places | None) -> Fit:
    return _fit(bool(allowing(rules, call, places)))


def _covers(rules: Sequence[str], call: ToolCall, places: Places | None) -> Fit:
    return max(refusing(rule, call, NOWHERE if places is None else places) for rule in rules)


_KNOWN_CALLS = 4_096
"""How many calls a condition remembers: agents make the same ones over and over, and reading a line of shell takes
long. What identifies a call is all of it; its fingerprint comes from the agent."""


def _of_call(fit: Callable[[ToolCall, Places | None], Fit]) -> Test:
    known: dict[bytes, Fit] = {}

    def test(subject: PolicySubject) -> Fit:
        call, places = subject.tool_call, subject.places
        if call is None:
            return Fit.NO
        key = msgspec.json.encode((call.tool, call.arguments, places))
        found = known.get(key)
        if found is None:
            if len(known) >= _KNOWN_CALLS:
                known.clear()
            found = known[key] = fit(call, places)
        return found

    return test


_MAKERS: Mapping[str, Callable[[str, Any, PolicyVerdict], Test]] = MappingProxyType(
    {
        "kind": _kind,
        **dict.fromkeys(("agent", "executor", "model", "task_type", "priority", "project"), _words),
        **dict.fromkeys(_SIZES, _size),
        "paths": _paths,
        "labels": _labels,
        "tests_passed": _tests_passed,
        "tools": _tools,
        "commands": _commands,
        "confidence": _confidence,
        "record": _record,
        "self_review": _self_review,
        "hours": _hours,
    }
)
"""What makes the test of each condition."""


# --- Values -----------------------------------------------------------------------------------------------------------


def value_of(key: str, subject: PolicySubject) -> Any:
    """Return the value that the condition `key` looks at, as JSON has it; None if it is unknown or does not exist."""
    if subject.kind not in KINDS_WITH.get(key, (subject.kind,)):
        return None
    if key in _VALUES:
        return _VALUES[key](subject)
    holder = subject.evidence.change if key in _SIZES else subject.evidence
    return None if holder is None else getattr(holder, key)


def _shown_paths(subject: PolicySubject) -> list[str] | None:
    change = subject.evidence.change
    return None if change is None or change.paths is None else list(change.paths[:_SHOWN])


def _shown_labels(subject: PolicySubject) -> list[str] | None:
    labels = subject.evidence.labels
    return None if labels is None else list(labels[:_SHOWN])


def _shown_call(subject: PolicySubject) -> str | None:
    """Return the recorded form of a call, without secrets."""
    call = subject.tool_call
    return None if call is None else short({"tool": call.tool, **redact(call.arguments)})


def _shown_record(subject: PolicySubject) -> dict[str, Any] | None:
    record = subject.evidence.record
    return None if record is None else msgspec.to_builtins(record)


def _shown_runs(subject: PolicySubject) -> list[Any]:
    return [msgspec.to_builtins(run) for run in subject.evidence.commands[-_SHOWN:]]


_VALUES: Mapping[str, Callable[[PolicySubject], Any]] = MappingProxyType(
    {
        "kind": lambda subject: str(subject.kind),
        "paths": _shown_paths,
        "labels": _shown_labels,
        "tests_passed": _shown_runs,
        "tools": _shown_call,
        "commands": _shown_call,
        "confidence": lambda subject: subject.confidence,
        "record": _shown_record,
        "self_review": _reviews_own,
        "hours": lambda subject: subject.at.isoformat(),
    }
)
"""What conditions look at, apart from single fields of the evidence."""
