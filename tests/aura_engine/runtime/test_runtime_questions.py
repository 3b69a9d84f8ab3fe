"""Questions: which call is the same question, who answers it, and what must never be allowed by mistake."""

from datetime import timedelta

import attrs
import pytest
from talking_agent import made, question, rules, talking_agent

from agents_at_work import ALICE
from aura_contracts.approval import ApprovalStatus, Reject, Remember
from aura_contracts.entries import PermissionWithdrawn, SessionStarted
from aura_engine.host import now
from aura_engine.permissions.questions import questions_of_task

pytestmark = pytest.mark.anyio

PENDING, APPROVED, REJECTED = ApprovalStatus.PENDING, ApprovalStatus.APPROVED, ApprovalStatus.REJECTED
ALL = {"remember": Remember.TASK}
REMEMBERED = (
    ALL,
    {"remember": Remember.SESSION},
    {"remember": Remember.PATTERN, "pattern": "Bash(make*)"},
)


# --- The same question, and another one -------------------------------------------------------------------------------


async def test_a_call_that_was_not_made_is_the_same_question_for_the_next_process():
    async with talking_agent() as agent:
        first = await agent.asks()
        assert (await agent.asks(process=2)).id == first.id
        await agent.approve(first)
        assert (await agent.asks(process=3)).status is APPROVED
        assert (await agent.asks("make test", process=3)).status is PENDING


async def test_it_is_for_the_next_execution_too():
    async with talking_agent() as agent:
        first = await agent.asks()
        await agent.reject(first)
        again = await agent.again()
        assert (await again.asks(process=2)).status is REJECTED


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_call_that_was_made_is_asked_for_again(at_once):
    async with talking_agent() as agent:
        await agent.approve(await agent.asks())
        if at_once:  # its end comes in one append with the next question
            await agent.says(made(1), question(number=2))
        else:
            await agent.says(made(1))
            await agent.says(question(number=2), process=2)
        first, second = await agent.approvals()
        assert second.status is PENDING
        assert second.id != first.id


async def test_the_same_call_twice_at_once_is_two_questions():
    async with talking_agent() as agent:
        await agent.says(question(number=1), question(number=2))
        first, second = await agent.approvals()
        assert first.id != second.id


@pytest.mark.parametrize("command", ["make", "rm x"])
async def test_a_name_that_is_used_again_is_another_question(command):
    async with talking_agent() as agent:
        await agent.says(question(number=1), question(number=1))
        first, same = await agent.approvals()
        assert first.id == same.id, "while it is open, it is the same"
        await agent.approve(first)
        await agent.says(question(command, number=1))
        await agent.says(question(command, number=1), process=1)
        *_, third, fourth = await agent.approvals()
        assert third.status is PENDING
        assert third.id != first.id
        assert fourth.id == third.id


async def test_what_was_taken_back_is_asked_anew_even_if_that_came_at_once():
    async with talking_agent() as agent:
        first = await agent.asks("make", PermissionWithdrawn(request_id="1"))
        assert first.status is ApprovalStatus.WITHDRAWN
        assert (await agent.asks(process=2)).status is PENDING


async def test_an_agent_that_names_no_calls_goes_on_when_one_was_made():
    async with talking_agent() as agent:
        await agent.asks(call_id="")
        (asked,) = await questions_of_task(agent.bus, agent.work.task_id)
        assert (asked.made, asked.answered) == (False, False)
        await agent.says(made(7), process=1)
        (asked,) = await questions_of_task(agent.bus, agent.work.task_id)
        assert not asked.made, "nobody has told it to go on"


async def test_a_question_without_a_name_is_asked_all_the_same():
    async with talking_agent() as agent:
        asked = await agent.asks(tool=" ", fingerprint="")
        assert asked.status is PENDING
        assert asked.tool_call.tool == "(a tool without a name)"
        assert asked.tool_call.fingerprint


# --- Rules ------------------------------------------------------------------------------------------------------------


async def test_rules_answer_and_refusals_go_first():
    async with talking_agent(**rules("Bash(make*)", deny=["Bash(* install)"])) as agent:
        assert (await agent.asks("make test")).status is APPROVED
        assert (await agent.asks("make install")).status is REJECTED
        assert (await agent.asks("make test; make install")).status is REJECTED
        assert (await agent.asks("ls")).status is PENDING


async def test_rules_look_at_what_is_redacted_too():
    async with talking_agent(**rules("Bash(git *)")) as agent:
        asked = await agent.asks("git clone https://a:b$(id)@example.org")
        assert asked.status is PENDING
        assert asked.tool_call.arguments == {"command": "git clone https://a:[redacted]@example.org"}


async def test_secrets_in_a_diff_are_redacted():
    async with talking_agent() as agent:
        asked = await agent.asks(diff="+origin = https://a:secret@example.org\n", arguments={"apiKey": "secret"})
        assert "secret" not in str(asked.tool_call)


async def test_what_the_rules_of_this_run_refuse_is_refused_whatever_was_decided_before():
    async with talking_agent() as agent:
        await agent.approve(await agent.asks())
        again = await agent.again(**rules(deny=["Bash(make)"]))
        assert (await again.asks(process=2)).status is REJECTED


async def test_what_a_rule_refused_before_is_decided_by_the_rules_of_this_run():
    async with talking_agent(**rules(deny=["Bash"])) as agent:
        assert (await agent.asks()).status is REJECTED
        again = await agent.again(**rules("Bash"))
        assert (await again.asks(process=2)).status is APPROVED


# --- What is remembered -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "same_session", "other_session", "other_call"),
    [
        ({}, PENDING, PENDING, PENDING),
        ({"remember": Remember.SESSION}, APPROVED, PENDING, PENDING),
        ({"remember": Remember.TASK}, APPROVED, APPROVED, PENDING),
        ({"remember": Remember.PATTERN, "pattern": "Bash(make t*)"}, PENDING, PENDING, APPROVED),
    ],
)
async def test_an_answer_holds_as_far_as_was_said(how, same_session, other_session, other_call):
    async with talking_agent() as agent:
        await agent.says(SessionStarted(session_id="one"))
        await agent.approve(await agent.asks("make"), **how)
        await agent.says(made(1))
        assert (await agent.asks("make")).status is same_session
        assert (await agent.asks("make test")).status is other_call
        assert (await agent.asks("make test; rm x")).status is PENDING
        await agent.says(made(2), SessionStarted(session_id="a fork of it"))
        assert (await agent.asks("make")).status is (PENDING if same_session is PENDING else other_session)


async def test_who_refuses_later_has_changed_their_mind():
    async with talking_agent() as agent:
        first, second = await agent.asks(), await agent.asks()
        await agent.approve(first, remember=Remember.TASK)
        assert (await agent.asks()).status is APPROVED
        await agent.reject(second)
        await agent.says(made(1), made(2), made(3))
        assert (await agent.asks()).status is PENDING


@pytest.mark.deep_but_first
@pytest.mark.parametrize("newer_first", [True, False])
@pytest.mark.parametrize("how", REMEMBERED)
async def test_a_refusal_takes_back_what_was_allowed_before_whichever_was_asked_first(how, newer_first):
    async with talking_agent() as agent:
        await agent.says(SessionStarted(session_id="one"))
        pair = [await agent.asks(), await agent.asks()]
        allowed, refused = reversed(pair) if newer_first else pair
        await agent.approve(allowed, **how)
        await agent.reject(refused)
        await agent.says(made(1), made(2))
        assert (await agent.asks()).status is PENDING


@pytest.mark.parametrize("newer_first", [True, False])
@pytest.mark.parametrize("how", REMEMBERED)
async def test_who_allows_after_a_refusal_has_changed_their_mind_whichever_was_asked_first(how, newer_first):
    async with talking_agent() as agent:
        await agent.says(SessionStarted(session_id="one"))
        pair = [await agent.asks(), await agent.asks()]
        refused, allowed = reversed(pair) if newer_first else pair
        await agent.reject(refused)
        await agent.approve(allowed, **how)
        await agent.says(made(1), made(2))
        assert (await agent.asks()).status is APPROVED


async def test_the_log_tells_which_answer_came_last_though_a_clock_is_wrong():
    async with talking_agent() as agent:
        first, second = await agent.asks(), await agent.asks()
        await agent.approve(second, remember=Remember.TASK)
        elsewhere = attrs.evolve(agent.bus, clock=lambda: now() - timedelta(hours=1))
        await elsewhere.handle(ALICE, first.id, Reject(feedback="no"))
        await agent.says(made(1), made(2))
        assert (await agent.asks()).status is PENDING


@pytest.mark.parametrize("newer_first", [True, False])
async def test_the_next_process_gets_the_answer_given_last_to_a_call_that_was_not_made(newer_first):
    async with talking_agent() as agent:
        pair = [await agent.asks(), await agent.asks()]
        first, last = reversed(pair) if newer_first else pair
        await agent.approve(first, remember=Remember.TASK)
        await agent.reject(last)
        assert (await agent.asks(process=2)).id == last.id
        assert (await agent.asks(process=2)).id == first.id, "one answer for each call"


@pytest.mark.parametrize(
    ("first", "last", "verdict"),
    [(None, {}, REJECTED), (None, ALL, APPROVED), ({}, None, PENDING), (ALL, None, PENDING)],
)
async def test_what_was_answered_since_about_a_call_that_is_over_may_take_an_answer_back(first, last, verdict):
    """An answer for one call, as far as it was made, says nothing about the call that was not."""
    async with talking_agent() as agent:
        pair = [await agent.asks(), await agent.asks()]
        for asked, how in zip(pair, (first, last), strict=True):
            await (agent.reject(asked) if how is None else agent.approve(asked, **how))
        await agent.says(made(2))
        assert (await agent.asks(process=2)).status is verdict


async def test_what_was_asked_since_an_answer_is_still_asked():
    async with talking_agent() as agent:
        await agent.reject(await agent.asks())
        open_one = await agent.asks()
        assert (await agent.asks(process=2)).id == open_one.id


async def test_only_what_was_allowed_is_remembered():
    async with talking_agent() as agent:
        await agent.reject(await agent.asks())
        await agent.says(made(1, success=False, output="no"))
        assert (await agent.asks()).status is PENDING
