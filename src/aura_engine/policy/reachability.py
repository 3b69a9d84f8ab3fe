"""Reachability: warnings about rules that can never match, or change nothing. Pure.

A rule is covered by another one that matches whenever it does, as far as their conditions show without knowing any
question: every condition of the other rule follows from one of this rule.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import Fault
from aura_contracts.permission import fits
from aura_engine.policy.conditions import KINDS_WITH
from aura_engine.policy.rulebook import PolicyRule
from aura_engine.yaml_document import YamlDocument

_UNASKED = frozenset({ApprovalKind.WORKFLOW_STEP, ApprovalKind.INSTRUCTIONS})
"""Kinds of question that this version never asks."""


_EFFORT_LIMIT = 500_000
"""How much is compared, in looks at the beginning of a pattern: about a second."""

_EFFORT_OF_MATCH = 30
"""What it takes to match a whole pattern, in such looks."""

_WILDCARD = re.compile(r"[*?]")

_Fits = Callable[[str, str], bool]


class _TooManyComparisons(Exception):
    """The rest is not compared."""


class _Patterns:
    """Matches texts with patterns, as `fits` does, until that has taken too much effort."""

    def __init__(self) -> None:
        self._heads: dict[str, str] = {}
        self._left = _EFFORT_LIMIT

    def __call__(self, text: str, pattern: str) -> bool:
        if (head := self._heads.get(pattern)) is None:
            head = self._heads[pattern] = _WILDCARD.split(pattern, maxsplit=1)[0]
        plausible = text.startswith(head)
        self._left -= _EFFORT_OF_MATCH if plausible else 1
        if self._left < 0:
            raise _TooManyComparisons
        return plausible and fits(text, pattern)


def warnings_about(document: YamlDocument, rules: Sequence[PolicyRule]) -> list[Fault]:
    """Return a warning for each rule of a file that has no effect, and one if they are too many to compare."""
    found: list[Fault] = []
    fit = _Patterns()
    ready = [_Rule(place, rule, fit) for place, rule in enumerate(rules)]
    for one in ready:
        path = ("rules", one.place, str(one.rule.verdict))
        if (reason := _impossible(one.rule)) is not None:
            found.append(document.warning(path, "never_matches", reason))
            continue
        try:
            said = next((said for other in ready if other is not one and (said := one.useless_by(other))), None)
        except _TooManyComparisons:
            reason = "from here on, it is not known which rules have no effect: there are too many to compare them all"
            found.append(document.warning(path, "not_compared", reason))
            break
        if said is not None:
            found.append(document.warning(path, "shadowed", said))
    return found


def _impossible(rule: PolicyRule) -> str | None:
    kinds = _given(rule).get("kind")
    if kinds is not None and set(kinds) <= _UNASKED:
        return f"{rule.name!r} never matches: policies are not asked about questions of kind {', '.join(sorted(kinds))}"
    return None


@attrs.frozen
class _Rule:
    """A rule to be compared with others."""

    place: int
    rule: PolicyRule
    fits: _Fits
    given: Mapping[str, Any] = attrs.field(
        init=False, default=attrs.Factory(lambda one: _given(one.rule), takes_self=True)
    )

    def useless_by(self, other: "_Rule") -> str | None:
        """Return why the rule changes nothing next to another one, None if it may change something."""
        mine, its = self.rule, other.rule
        if mine.terms is not None or its.verdict.rank > mine.verdict.rank or not other.covers(self):
            return None
        if its.verdict.rank < mine.verdict.rank:
            return (
                f"{mine.name!r} has no effect: whenever it matches, so does {its.name!r} (line {its.line}),"
                f" and {its.verdict} is stronger than {mine.verdict}"
            )
        if mine.audit > its.audit:
            return None
        if self.place < other.place and self.covers(other):
            return None  # of two equal rules, the second gets the warning
        return f"{mine.name!r} adds nothing: whenever it matches, so does {its.name!r} (line {its.line})"

    def covers(self, narrow: "_Rule") -> bool:
        """Return whether this rule surely matches whenever `narrow` may."""
        return all(self._follows(key, given, narrow.given) for key, given in self.given.items())

    def _follows(self, key: str, given: Any, narrow: Mapping[str, Any]) -> bool:
        """Return whether a condition follows from those of a narrower rule."""
        if key == "kind":
            return _kinds(narrow) <= set(given)
        return key in narrow and _FOLLOWS.get(key, _equals)(narrow[key], given, self.fits)


def _given(rule: PolicyRule) -> dict[str, Any]:
    return {condition.key: condition.given for condition in rule.conditions}


def _kinds(given: Mapping[str, Any]) -> set[ApprovalKind]:
    kinds = set(given.get("kind", ApprovalKind))
    for key, having in KINDS_WITH.items():
        if key in given:
            kinds &= having
    return kinds


def _within(inner: Mapping[str, float], outer: Mapping[str, float], fits: _Fits) -> bool:
    low, high = outer.get("at_least"), outer.get("at_most")
    above = low is None or ("at_least" in inner and inner["at_least"] >= low)
    below = high is None or ("at_most" in inner and inner["at_most"] <= high)
    return above and below


def _record_follows(
    inner: Mapping[str, Mapping[str, float]], outer: Mapping[str, Mapping[str, float]], fits: _Fits
) -> bool:
    return all(key in inner and _within(inner[key], bounds, fits) for key, bounds in outer.items())


def _texts_follow(inner: Mapping[str, Sequence[str]], outer: Mapping[str, Sequence[str]], fits: _Fits) -> bool:
    """Return whether what `inner` says of all, any or none of several texts implies what `outer` says."""
    if "all" in outer and not ("all" in inner and _words_follow(inner["all"], outer["all"], fits)):
        return False
    if "any" in outer:
        some = inner.get("any") or inner.get("all")
        if some is None or not _words_follow(some, outer["any"], fits):
            return False
    return "none" not in outer or ("none" in inner and set(outer["none"]) <= set(inner["none"]))


def _words_follow(inner: Sequence[str], outer: Sequence[str], fits: _Fits) -> bool:
    return all(any(fits(str(word), str(pattern)) for pattern in outer) for word in inner)


def _is_subset(inner: Sequence[str], outer: Sequence[str], fits: _Fits) -> bool:
    return set(inner) <= set(outer)


def _equals(inner: object, outer: object, fits: _Fits) -> bool:
    return inner == outer


_FOLLOWS: Mapping[str, Callable[[Any, Any, _Fits], bool]] = MappingProxyType(
    {
        **dict.fromkeys(("files", "added", "deleted", "binary", "renames", "confidence"), _within),
        **dict.fromkeys(("agent", "executor", "model", "task_type", "priority", "project"), _words_follow),
        **dict.fromkeys(("tools", "commands"), _is_subset),
        **dict.fromkeys(("paths", "labels"), _texts_follow),
        "record": _record_follows,
    }
)
"""Whether the second form of a condition follows from the first; other conditions have to be equal."""
