"""Back-tests: which past answers another policy would change, the dangerous ones first."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from aura_contracts.approval import (
    Approval,
    ApprovalDecision,
    ApprovalKind,
    ApprovalStatus,
    ChangeSize,
    Evidence,
    PolicyDecision,
    PolicyVerdict,
)
from aura_contracts.ids import ApprovalId
from aura_engine.policy.back_test import changed_verdicts
from aura_engine.policy.policy_file import read_policy
from aura_engine.policy.rulebook import Rulebook

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
NEVER, REJECT, ASK, APPROVE = PolicyVerdict
REJECTED = ApprovalDecision.REJECTED


def past(number, path="a", decision=ApprovalDecision.APPROVED, by="human:alice", said=None):
    return Approval(
        id=ApprovalId(f"0192f0c1-2d3e-7abc-8def-{number:012}"),
        kind=ApprovalKind.CHANGES,
        status=ApprovalStatus(decision),
        reviewers=("alice",),
        requested_by="system:engine",
        requested_at=NOW + timedelta(minutes=number),
        waits_since=NOW + timedelta(minutes=number),
        level_since=NOW + timedelta(minutes=number),
        open_since=NOW + timedelta(minutes=number),
        decision=decision,
        reviewed_by=by,
        evidence=Evidence(change=ChangeSize(files=1, paths=(path,))),
        policy=None if said is None else PolicyDecision(verdict=said),
    )


def changed_by(rule, *approvals):
    policy = read_policy(f"rules:\n  - {{{rule}}}\n".encode(), "p.yaml").require("p.yaml")
    return changed_verdicts(Rulebook((policy,)), approvals)


def test_what_a_human_refused_comes_first_then_by_direction_and_the_newest():
    policy = "approve: all, when: {paths: {all: 'docs/*'}}"
    found = changed_by(
        policy,
        past(1, "docs/a"),
        past(2, "docs/a", ApprovalDecision.REJECTED),
        past(3, "src/a"),
        past(4, "src/a", by="system:policy", said=APPROVE),
        past(5, "docs/a"),
        past(6, "docs/a", by="system:policy", said=APPROVE),
    )
    assert [(one.approval[-1], one.was, one.would_be, one.refused) for one in found] == [
        ("2", ASK, APPROVE, True),
        ("5", ASK, APPROVE, False),
        ("1", ASK, APPROVE, False),
        ("4", APPROVE, ASK, False),
    ]
    assert found[0].rules == ("all",)
    assert found[0].decision is ApprovalDecision.REJECTED


@pytest.mark.parametrize(
    ("approval", "rule", "would_be"),
    [
        (past(1, by="system:policy"), "ask: a, when: always", None),  # a rule of the run: it would hold again
        (past(1, by="system:policy"), "approve: a, when: always", None),
        (past(1, by="system:policy"), "never: a, when: always", NEVER),
        (past(1, by="system:policy"), "reject: a, when: always, because: x", REJECT),
        (past(1, decision=ApprovalDecision.REJECTED, by="system:policy"), "approve: a, when: always", None),
        (
            past(1, decision=ApprovalDecision.REJECTED, by="system:policy", said=REJECT),
            "approve: a, when: always",
            APPROVE,
        ),
        (past(1, said=NEVER), "never: a, when: always", None),
        (past(1, said=NEVER), "ask: a, when: always", ASK),
        (past(1), "never: a, when: always", NEVER),
        (past(1, by="system:policy"), "reject: a, when: {model: opus}, because: x", ASK),  # unsure, but held back
    ],
)
def test_answers_given_in_advance_hold_where_a_policy_would_ask(approval, rule, would_be):
    found = changed_by(rule, approval)
    assert [one.would_be for one in found] == ([] if would_be is None else [would_be])


def test_what_was_never_recorded_is_unknown():
    old = replace(past(1), evidence=Evidence())
    assert changed_by("approve: a, when: {files: {at_most: 3}}", old) == []
