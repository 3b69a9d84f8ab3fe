"""Conversation: the same is asked of an agent whoever asks, and what was lost is told again, once."""

import pytest
from talking_agent import made, talking_agent

from aura_contracts.actors import ENGINE
from aura_contracts.entries import Message, SessionStarted, ToolCalled
from aura_contracts.execution import (
    FinishCoding,
    Outcome,
    RecordSession,
    RecordStageFailure,
    RequestFollowUp,
    RetryStage,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ExecutionId
from aura_contracts.run_plan import RunPlan
from aura_contracts.task import RetryPolicy
from aura_engine.agent_types import AgentTypeFile
from aura_engine.clockwork.wall_clock import WallClock
from aura_engine.profiles import ProfileFiles
from aura_engine.record import Tally
from aura_engine.runtime.attempts import requeue
from aura_engine.runtime.context import Runtime, Slots
from aura_engine.runtime.prompts import Prompts
from aura_engine.runtime.session_replay import HISTORY_LIMIT, beginning_of, prompt_of
from aura_engine.runtime.views import load_view

pytestmark = pytest.mark.anyio

LOST = Failure(FailureReason.SESSION_LOST, "No conversation found")
PATIENT = RetryPolicy(max_attempts=5, base_delay=0, max_delay=0, jitter=0)


def runtime_of(agent):
    return Runtime(
        bus=agent.bus,
        reads=agent.reads,
        gateway=agent.gateway,
        prompts=Prompts(agent.reads),
        slots=Slots(None, {}),
        profiles=ProfileFiles(),
        agent_types=AgentTypeFile(),
        clock=WallClock(agent.bus.clock),
        tally=Tally(agent.reads),
        random=lambda: 0.5,
    )


async def prompt(agent):
    begun, _, since = await beginning_of(agent.bus, ExecutionId(agent.work.execution_id))
    view = await load_view(agent.bus, agent.work.task_id)
    return await prompt_of(runtime_of(agent), view, begun, since)


async def fail(agent, failure=LOST):
    """Have the attempt fail, and begin the next one if there is to be one."""
    execution = await agent.bus.handle(
        ENGINE, agent.work.execution_id, RecordStageFailure(epoch=1, failure=failure, delay=0)
    )
    if execution.retry_at is not None:
        execution = await agent.bus.handle(ENGINE, agent.work.execution_id, RetryStage())
    return execution


async def replayed(agent):
    return [about for name, about in await agent.work.actions() if name == "conversation_replayed"]


async def test_who_asks_again_asks_for_the_session_that_was_there_at_the_beginning():
    async with talking_agent(session_id="one") as agent:
        await agent.says(SessionStarted(session_id="two"), Message(text="a"))
        begun, _, since = await beginning_of(agent.bus, ExecutionId(agent.work.execution_id))
        assert begun.session_id == "one"
        assert (await agent.execution()).session_id == "two"
        assert len(since) == 2
        await fail(agent, Failure(FailureReason.AGENT_ERROR))
        begun, _, since = await beginning_of(agent.bus, ExecutionId(agent.work.execution_id))
        assert (begun.session_id, begun.attempt, since) == ("two", 2, [])
        assert await prompt(agent) == "Do it"


async def test_a_lost_session_is_told_again_once_and_the_same_whoever_asks():
    async with talking_agent(session_id="one", retry=PATIENT) as agent:
        await agent.says(
            Message(text="I looked at it"), ToolCalled(call_id="1", tool="Bash", arguments={"command": "ls"})
        )
        await agent.says(made(1, success=False, output="no such folder"))
        await fail(agent)
        told = await prompt(agent)
        for line in ("I looked at it", "You used Bash: {'command': 'ls'}", "It failed: no such folder"):
            assert line in told
        assert told.rstrip().endswith("Do it")
        assert told.count("Do it") == 2, "once for the execution that went before"
        await agent.says(SessionStarted(session_id="two"), Message(text="and went on"))
        assert await prompt(agent) == told
        assert [one["prompt"] for one in await replayed(agent)] == [told]


async def test_a_follow_up_tells_what_went_before_and_its_own_prompt_last():
    async with talking_agent(session_id="one") as agent:
        await agent.says(Message(text="first answer"))
        await agent.bus.handle(ENGINE, agent.work.execution_id, FinishCoding(epoch=1, outcome=Outcome(0)))
        await agent.bus.handle(
            ENGINE, agent.work.execution_id, RequestFollowUp(feedback="louder", prompt="Louder, please")
        )
        await fail(agent)
        told = await prompt(agent)
        assert told.index("Do it") < told.index("first answer") < told.index("Louder, please")
        assert told.count("Louder, please") == 1


async def test_of_much_the_newest_is_told():
    async with talking_agent(session_id="one") as agent:
        for number in range(60):
            await agent.says(Message(text=f"message {number} " + "\N{HIRAGANA LETTER A}" * 1_000))
        await fail(agent)
        told = await prompt(agent)
        assert len(told.encode()) < HISTORY_LIMIT + 1_000
        assert "message 59" in told
        assert "message 1 " not in told
        assert "earlier conversation omitted" in told


async def test_an_agent_that_always_loses_its_session_fails():
    async with talking_agent(session_id="one", retry=PATIENT) as agent:
        for number in range(20):
            execution = await fail(agent)
            if execution.ended_at is not None:
                break
            record = RecordSession(epoch=1, session_id=f"another-{number}")
            await agent.bus.handle(ENGINE, agent.work.execution_id, record)
        assert execution.failure.reason is FailureReason.SESSION_LOST
        assert number == PATIENT.max_attempts - 1


async def test_a_session_that_is_lost_after_another_failure_is_given_up_too():
    async with talking_agent(session_id="one", retry=PATIENT) as agent:
        await fail(agent)
        await agent.says(SessionStarted(session_id="two"))
        assert (await fail(agent, Failure(FailureReason.AGENT_ERROR))).session_id == "two"
        assert (await fail(agent)).dropped_session_id == "two"


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("session", "then", "wanted"),
    [("one", "", "one"), ("one", "dropped", "one"), ("one", "named", "two"), (None, "", None)],
)
@pytest.mark.parametrize("fork", [True, False])
async def test_what_follows_goes_on_with_what_there_was(session, then, wanted, fork):
    async with talking_agent(session_id=session, retry=PATIENT, plan=RunPlan(fork=fork)) as agent:
        if then == "dropped":
            await fail(agent)
        elif then == "named":
            await agent.says(SessionStarted(session_id="two"))
        ended = await agent.execution()
        await agent.work.end()
        view = await load_view(agent.bus, agent.work.task_id)
        async with agent.bus.unit(ENGINE) as unit:
            execution_id = (await requeue(runtime_of(agent), unit, view.task, ended)).execution_id
        begun = (await beginning_of(agent.bus, execution_id)).execution
        somebody_elses = session is not None and then != "named"
        assert (begun.session_id, begun.fork) == (wanted, fork and somebody_elses)
