"""Entries: recorded once, with their output, and whatever an agent may say, the next one is recorded too."""

import attrs
import pytest
from talking_agent import made, question, talking_agent

from agents_at_work import ALICE
from aura_contracts.actors import ENGINE
from aura_contracts.approval import ApprovalStatus
from aura_contracts.entries import ErrorReported, Message, SessionStarted, ToolCalled, Unknown, Usage, UsageReported
from aura_contracts.errors import RuleViolated, StoreUnavailable
from aura_contracts.events import Append, Fact
from aura_contracts.execution import (
    Action,
    AgentErrorReported,
    CancelExecution,
    LeaseExecution,
    MessageSaid,
    ProgressReported,
)
from aura_contracts.ids import WorkerId, lease_of
from aura_contracts.output import Chunk, OutputSource
from aura_engine.host import now
from aura_worker_protocol.messages import AppendOutput, ParsedRecord

pytestmark = pytest.mark.anyio


def deep(levels):
    value = inner = {}
    for _ in range(levels):
        inner["a"] = {}
        inner = inner["a"]
    return value


def batch(agent, first, *said, epoch=1):
    """Return a batch of as many records as there are words, each understood as a message."""
    return AppendOutput(
        execution_id=agent.work.execution_id,
        epoch=epoch,
        token="1",
        first=first,
        chunks=tuple(Chunk.of(OutputSource.STDOUT, now(), word.encode()) for word in said),
        parsed=tuple(ParsedRecord(record=n, entries=(Message(text=word),)) for n, word in enumerate(said, first)),
    )


async def said(agent):
    return [about["text"] for name, about in await agent.work.actions() if name == "message_said"]


async def test_what_comes_twice_is_recorded_once():
    async with talking_agent() as agent:
        append = agent.gateway.handlers[AppendOutput]
        await append(batch(agent, 1, "a", "b"))
        await append(batch(agent, 1, "a", "b"))
        assert (await append(batch(agent, 2, "b", "c"))).next == 4
        assert await said(agent) == ["a", "b", "c"]


class Troubled:
    """A log to which something happens before the first append."""

    def __init__(self, log, happens):
        self._log, self._happens = log, [happens]

    def __getattr__(self, name):
        return getattr(self._log, name)

    async def append(self, *appends):
        if self._happens:
            await self._happens.pop()()
        return await self._log.append(*appends)


async def test_output_and_entries_are_recorded_together_or_not_at_all():
    async with talking_agent() as agent:

        async def fails():
            raise StoreUnavailable(store="x", reason="it is away", waited=0, attempts=1)

        agent.gateway.outputs._bus = attrs.evolve(agent.bus, log=Troubled(agent.bus.log, fails))
        with pytest.raises(StoreUnavailable):
            await agent.says(Message(text="a"), question())
        assert (await said(agent), await agent.approvals()) == ([], [])
        assert await agent.gateway.outputs.next(agent.work.execution_id) == 1
        assert (await agent.says(Message(text="a"), question())).next == 2
        with pytest.raises(RuleViolated) as refused:
            await agent.gateway.handlers[AppendOutput](batch(agent, 9, "x"))
        assert refused.value.rule == "sequence_gap"
        assert await said(agent) == ["a"]
        assert len(await agent.approvals()) == 1


async def test_it_is_decided_again_when_somebody_else_was_faster():
    async with talking_agent() as agent:
        execution_id, log = agent.work.execution_id, agent.bus.log

        async def races():
            fact = Fact(ProgressReported(message="other"), now(), ENGINE, "c", "c")
            await log.append(Append(execution_id, len(await log.facts(execution_id)), (fact,)))

        agent.gateway.outputs._bus = attrs.evolve(agent.bus, log=Troubled(log, races))
        await agent.says(Message(text="a"), question())
        assert [name for name, _ in await agent.work.actions()] == [
            "progress_reported",
            "message_said",
            "permission_asked",
        ]
        assert len(await agent.approvals()) == 1


async def test_a_worker_of_a_past_epoch_says_nothing_even_when_nobody_has_looked():
    """Another engine has given the execution to another worker, and this one does not know yet."""
    async with talking_agent() as agent:
        await agent.says(Message(text="a"))
        lease = LeaseExecution(lease_id=lease_of(agent.work.execution_id), epoch=2, worker_id=WorkerId(agent.bus.ids()))
        await agent.bus.handle(ENGINE, agent.work.execution_id, lease)
        with pytest.raises(RuleViolated, match="epoch"):
            await agent.says(Message(text="b"), question())
        assert await said(agent) == ["a"]
        assert await agent.approvals() == []


async def test_of_an_execution_that_has_ended_the_output_is_kept():
    async with talking_agent() as agent:
        await agent.bus.handle(ALICE, agent.work.execution_id, CancelExecution(reason="enough"))
        await agent.says(Message(text="a"), question(), raw=b"last words")
        assert await agent.work.actions() == []
        _, chunks, _ = await agent.gateway.outputs.read(agent.work.execution_id, 0)
        assert [chunk.raw for chunk in chunks] == [b"last words"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (UsageReported(usage=Usage(input_tokens=-1)), "UsageReported is left out: tokens and cost are amounts"),
        (SessionStarted(session_id=" "), "SessionStarted is left out: the session id is empty"),
        (Message(text="x" * 2_000_000), "Message is left out: it has 2000028 bytes"),
        (Message(text="\ud800"), "Message is left out: it cannot be stored"),
        (ToolCalled(call_id="1", tool="t", arguments=deep(5_000)), "ToolCalled is left out: it cannot be stored"),
    ],
)
async def test_what_makes_no_sense_is_left_out_and_the_rest_is_recorded(entry, told):
    async with talking_agent() as agent:
        await agent.says(Message(text="before"), entry, Message(text="after"))
        facts = [fact.event for fact in await agent.bus.log.facts(agent.work.execution_id)]
        logged = [event for event in facts if isinstance(event, Action)]
        assert [type(event) for event in logged] == [MessageSaid, AgentErrorReported, MessageSaid]
        assert told in logged[1].error


async def test_what_no_database_stores_is_replaced():
    async with talking_agent() as agent:
        await agent.says(
            Message(text="a\0b \\u0000"),
            ToolCalled(call_id="1", tool="t", arguments={"k\0": ["v\0", 1, None], "deep": deep(300)}),
            ErrorReported(message="\0"),
            Unknown(text="\0"),
            made(1, success=False, output="\0"),
            question("make\0", number=1),
        )
        actions = dict(await agent.work.actions())
        assert actions["message_said"] == {"type": "message", "text": "a\ufffdb \\u0000"}
        assert actions["call_started"]["arguments"]["k\ufffd"] == ["v\ufffd", 1, None]
        assert "nested too deeply" in str(actions["call_started"]["arguments"]["deep"])
        assert (await agent.approvals())[0].tool_call.arguments == {"command": "make\ufffd"}


@pytest.mark.parametrize("arguments", [{"command": "x" * 2_000_000}, {"command": "\ud800"}, deep(5_000)])
async def test_a_question_that_nobody_can_be_shown_is_answered_with_no(arguments):
    async with talking_agent() as agent:
        await agent.says(question(arguments=arguments), Message(text="after"))
        (asked,) = await agent.approvals()
        assert asked.status is ApprovalStatus.REJECTED
        assert "PermissionRequested is left out" in asked.feedback
        assert await said(agent) == ["after"]


async def test_secrets_are_redacted():
    async with talking_agent() as agent:
        await agent.says(ToolCalled(call_id="1", tool="t", arguments={"apiKey": "secret", "url": "https://a:secret@x"}))
        assert "secret" not in str(await agent.work.actions())


async def test_each_kind_of_entry_is_an_event_of_its_own():
    async with talking_agent() as agent:
        await agent.says(Message(text="a"), ErrorReported(message="b"), made(1, success=False, output="c"))
        assert [name for name, _ in await agent.work.actions()] == ["message_said", "agent_error_reported", "call_made"]
