"""Reachability: warnings about rules that can never match, or change nothing. Pure.

A rule is covered by another one that matches whenever it does, as far as their conditions show without knowing any
question: every condition of the other rule follows from one of this rule.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from aura_contracts.approval import ApprovalKind
from aura_contracts.errors import Fault
from aura_contracts.permission import fits
from aura_engine.policy.conditions import KINDS_WITH
from aura_engine.policy.rulebook import PolicyRule
from aura_engine.yaml_document import YamlDocument

_UNASKED = frozenset({ApprovalKind.WORKFLOW_STEP})
"""Kinds of question that this version never asks."""


def warnings_about(document: YamlDocument, rules: Sequence[PolicyRule]) -> list[Fault]:
    """Return a warning for each rule of a file that has no effect."""
    found: list[Fault] = []
    for place, rule in enumerate(rules):
        path = ("rules", place, str(rule.verdict))
        if (reason := _impossible(rule)) is not None:
            found.append(document.warning(path, "never_matches", reason))
            continue
        for other in rules:
            if other is not rule and (said := _useless(rule, other, rules)) is not None:
                found.append(document.warning(path, "shadowed", said))
                break
    return found


def _impossible(rule: PolicyRule) -> str | None:
    given = _given(rule)
    if "record" in given:
        return f"{rule.name!r} never matches yet: it looks at the record of agents, which AURA does not keep so far"
    kinds = given.get("kind")
    if kinds is not None and set(kinds) <= _UNASKED:
        return f"{rule.name!r} never matches yet: nothing asks questions of kind {', '.join(sorted(kinds))} so far"
    return None


def _useless(rule: PolicyRule, other: PolicyRule, rules: Sequence[PolicyRule]) -> str | None:
    """Return why a rule changes nothing next to another one, None if it may change something."""
    if rule.terms is not None or not _covers(other, rule):
        return None
    if other.verdict.rank < rule.verdict.rank:
        return (
            f"{rule.name!r} has no effect: whenever it matches, so does {other.name!r} (line {other.line}),"
            f" and {other.verdict} is stronger than {rule.verdict}"
        )
    if other.verdict is not rule.verdict or rule.audit > other.audit:
        return None
    if _covers(rule, other) and rules.index(rule) < rules.index(other):
        return None  # of two equal rules, the second gets the warning
    return f"{rule.name!r} adds nothing: whenever it matches, so does {other.name!r} (line {other.line})"


def _given(rule: PolicyRule) -> dict[str, Any]:
    return {condition.key: condition.given for condition in rule.conditions}


def _covers(other: PolicyRule, rule: PolicyRule) -> bool:
    """Return whether `other` surely matches whenever `rule` may."""
    wide, narrow = _given(other), _given(rule)
    return all(_follows(key, given, narrow) for key, given in wide.items())


def _follows(key: str, given: Any, narrow: Mapping[str, Any]) -> bool:
    """Return whether a condition follows from those of a narrower rule."""
    if key == "kind":
        return _kinds(narrow) <= set(given)
    follows = _FOLLOWS.get(key, _equals)
    return key in narrow and follows(narrow[key], given)


def _kinds(given: Mapping[str, Any]) -> set[ApprovalKind]:
    kinds = set(given.get("kind", ApprovalKind))
    for key, having in KINDS_WITH.items():
        if key in given:
            kinds &= having
    return kinds


def _within(inner: Mapping[str, float], outer: Mapping[str, float]) -> bool:
    low, high = outer.get("at_least"), outer.get("at_most")
    above = low is None or ("at_least" in inner and inner["at_least"] >= low)
    below = high is None or ("at_most" in inner and inner["at_most"] <= high)
    return above and below


def _paths_follow(inner: Mapping[str, Sequence[str]], outer: Mapping[str, Sequence[str]]) -> bool:
    """Return whether what `inner` says of paths implies what `outer` says."""

    def covered(pattern: str, by: Sequence[str]) -> bool:
        return any(fits(pattern, one) for one in by)

    every = all(covered(one, outer["all"]) for one in inner["all"]) if "all" in outer and "all" in inner else None
    if "all" in outer and not every:
        return False
    if "any" in outer:
        some = inner.get("any") or inner.get("all")
        if some is None or not all(covered(one, outer["any"]) for one in some):
            return False
    return "none" not in outer or ("none" in inner and set(outer["none"]) <= set(inner["none"]))


def _words_follow(inner: Sequence[str], outer: Sequence[str]) -> bool:
    return all(any(fits(str(word), str(pattern)) for pattern in outer) for word in inner)


def _is_subset(inner: Sequence[str], outer: Sequence[str]) -> bool:
    return set(inner) <= set(outer)


def _equals(inner: object, outer: object) -> bool:
    return inner == outer


_FOLLOWS: Mapping[str, Callable[[Any, Any], bool]] = MappingProxyType(
    {
        **dict.fromkeys(("files", "added", "deleted", "binary", "renames", "confidence"), _within),
        **dict.fromkeys(("agent", "executor", "model", "task_type", "priority", "project"), _words_follow),
        **dict.fromkeys(("tools", "commands"), _is_subset),
        "paths": _paths_follow,
    }
)
"""Whether the second form of a condition follows from the first; other conditions have to be equal."""
