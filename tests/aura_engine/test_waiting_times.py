"""How long questions wait: as the environment says, unless a policy says otherwise."""

from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.approval import WAIT_LIMIT, ApprovalKind, Question, ToolCall, WaitingTimes
from aura_contracts.errors import InvalidInput
from aura_engine.host import Host
from aura_engine.policy.consultation import consult
from aura_engine.policy.policy_file import read_policy
from aura_engine.policy.rulebook import Rulebook
from engines import opened

__all__ = ["opened"]

NOON = datetime(2026, 1, 4, 12, tzinfo=UTC)
ID = "0192f0c1-2d3e-7abc-8def-000000000001"
TIMES = WaitingTimes(remind_after=3600.0, escalate_after=7200.0, answer_within=1800.0)
ENVIRONMENT = {"AURA_REMIND_AFTER": "3600", "AURA_ESCALATE_AFTER": "7200", "AURA_ANSWER_WITHIN": "1800"}
CALL = ToolCall(tool="Bash", fingerprint="5f2c", arguments={"command": "ls"})


def asked(kind, *, policy="", waiting=TIMES):
    policies = (read_policy(policy.encode(), "p.yaml").require("p.yaml"),) if policy else ()
    call = CALL if kind is ApprovalKind.TOOL_CALL else None
    question = Question(kind=kind, reviewers=("alice",), execution_id=ID, tool_call=call)
    return consult(Rulebook(policies, waiting=waiting), ID, question, NOON)[0]


def test_the_environment_says_how_long_questions_wait():
    assert Host(environment=ENVIRONMENT).waiting_times == TIMES
    assert Host(environment={"AURA_REMIND_AFTER": ""}).waiting_times == WaitingTimes()
    day = 24 * 3600.0
    assert WaitingTimes() == WaitingTimes(remind_after=day, escalate_after=2 * day, answer_within=day)


@pytest.mark.parametrize("name", ENVIRONMENT)
@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "24h", "soon", str(WAIT_LIMIT + 1)])
def test_what_is_no_such_time_is_refused(name, text):
    with pytest.raises(InvalidInput) as refused:
        _ = Host(environment={name: text}).waiting_times
    assert (refused.value.field, text in refused.value.reason) == (name, True)
    assert refused.value.remedy


@pytest.mark.parametrize("kind", [ApprovalKind.CHANGES, ApprovalKind.QUESTION, ApprovalKind.TOOL_CALL])
def test_questions_wait_so_long(kind):
    question = asked(kind)
    assert (question.remind_after, question.escalate_after) == (3600.0, 7200.0)
    calls = kind is ApprovalKind.TOOL_CALL
    assert question.deadline == (NOON + timedelta(seconds=1800) if calls else None)


def test_a_policy_says_otherwise():
    policy = "rules:\n  - {ask: a, when: always, then: {deadline: 3h, remind_after: 1m}}\n"
    question = asked(ApprovalKind.TOOL_CALL, policy=policy)
    assert (question.remind_after, question.escalate_after) == (60.0, 7200.0)
    assert question.deadline == NOON + timedelta(hours=3)


@pytest.mark.anyio
async def test_an_engine_with_a_time_that_is_none_does_not_open(opened):
    with pytest.raises(InvalidInput, match="AURA_REMIND_AFTER"):
        async with opened(host=Host(environment={"AURA_REMIND_AFTER": "never", "AURA_USER": "alice"})):
            pass
