"""The order of those who decide a tool call: each pair that could disagree."""

from datetime import UTC, datetime

import pytest

from aura_contracts.approval import Approval, ApprovalDecision, ApprovalKind, ApprovalStatus, Remember, ToolCall
from aura_contracts.ids import ApprovalId
from aura_contracts.permission import PermissionRules, Ruling
from aura_engine.permissions.precedence import GivenAnswer, decide_call

ALLOWED, ASKED, REFUSED = Ruling.ALLOWED, Ruling.ASKED, Ruling.REFUSED
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def call(command="git push", fingerprint="push"):
    return ToolCall("Bash", fingerprint, {"command": command})


def answer(decision=ApprovalStatus.APPROVED, remember=Remember.ONCE, pattern=None, fingerprint="push", session="one"):
    granted = decision is ApprovalStatus.APPROVED
    approval = Approval(
        id=ApprovalId("0192f0c1-2d3e-7abc-8def-0123456789ab"),
        kind=ApprovalKind.TOOL_CALL,
        status=decision,
        reviewers=("ann",),
        requested_by="system:engine",
        requested_at=NOW,
        waits_since=NOW,
        level_since=NOW,
        open_since=NOW,
        decision=ApprovalDecision.APPROVED if granted else ApprovalDecision.REJECTED,
        reviewed_by="human:ann",
        remember=remember,
        pattern=pattern,
    )
    return GivenAnswer(approval, fingerprint, session)


def decided(tool_call=None, *answers, allow=(), deny=(), session="one"):
    rules = PermissionRules(allow=tuple(allow), deny=tuple(deny))
    return decide_call(rules, tool_call or call(), None, answers, session)


TASK = answer(remember=Remember.TASK)
SESSION = answer(remember=Remember.SESSION)
PATTERN = answer(remember=Remember.PATTERN, pattern="Bash(git *)")
NO = answer(ApprovalStatus.REJECTED)


@pytest.mark.parametrize("stronger", [{}, {"allow": ["Bash(git *)"]}, {"allow": ["*"]}])
@pytest.mark.parametrize("answers", [(), (TASK,), (SESSION,), (PATTERN,)])
def test_a_deny_rule_is_stronger_than_everything(stronger, answers):
    assert decided(None, *answers, deny=["Bash(git push *)"], **stronger).verdict is REFUSED


@pytest.mark.parametrize("allow", [[], ["Bash"], ["*"]])
def test_what_a_deny_rule_may_cover_only_a_human_allows(allow):
    unclear = call("git $X")
    assert decided(unclear, allow=allow, deny=["Bash(git push *)"]).verdict is ASKED
    assert decided(unclear, PATTERN, allow=allow, deny=["Bash(git push *)"]).verdict is ASKED
    assert decided(unclear, TASK, allow=allow, deny=["Bash(git push *)"]).verdict is ALLOWED  # this very call


def test_an_allow_rule_holds_although_a_human_refused_the_call_in_an_earlier_run():
    assert decided(None, NO).verdict is ASKED
    assert decided(None, NO, allow=["Bash(git *)"]).verdict is ALLOWED


@pytest.mark.parametrize(
    ("answers", "session", "verdict"),
    [
        ((answer(),), "one", ASKED),
        ((TASK,), "two", ALLOWED),
        ((SESSION,), "one", ALLOWED),
        ((SESSION,), "two", ASKED),
        ((SESSION,), None, ASKED),
        ((PATTERN,), "two", ALLOWED),
        ((NO, TASK), "one", ASKED),  # the newest first
        ((TASK, NO), "one", ALLOWED),
        ((NO, PATTERN), "one", ASKED),
        ((answer(remember=Remember.TASK, fingerprint="other"),), "one", ASKED),
        ((answer(ApprovalStatus.REJECTED, fingerprint="other"), TASK), "one", ALLOWED),
    ],
)
def test_what_humans_said_holds_until_they_take_it_back(answers, session, verdict):
    assert decided(None, *answers, session=session).verdict is verdict


def test_patterns_add_to_the_rules_of_the_run():
    both = call("git diff && make")
    make = answer(remember=Remember.PATTERN, pattern="Bash(make)", fingerprint="other")
    assert decided(both, allow=["Bash(git *)"]).verdict is ASKED
    assert decided(both, make).verdict is ASKED
    together = decided(both, make, allow=["Bash(git *)"])
    assert together.verdict is ALLOWED
    assert together.reason.startswith("human:ann allowed it in approval ")
    assert together.reason.endswith("; the rule 'Bash(git *)' of this run")


def test_the_reason_names_the_rules():
    assert decided(deny=["Bash(git push *)"]).reason == "the rule 'Bash(git push *)' of this run does not permit it"
    two = decided(call("git diff; make"), allow=["Bash(git *)", "Bash(make)"])
    assert two.reason == "the rules 'Bash(git *)', 'Bash(make)' of this run"
