"""Delivery: an answer reaches the agent that waits for it, although its worker is away when it is given."""

import anyio
import attrs
import pytest
from talking_agent import talking_agent

from agents_at_work import ALICE, agent_at_work
from aura_contracts.approval import Approve
from aura_contracts.errors import ProcessGone, RemoteError, WorkerUnavailable
from aura_contracts.execution import EXECUTION
from aura_engine.agent_tools.api import BETWEEN_WAITS
from aura_engine.clockwork.wall_clock import WallClock
from aura_engine.permissions import delivery
from aura_engine.permissions.delivery import Deliveries, answer_decided
from aura_engine.unit_of_work import CommandBus
from aura_worker_protocol.messages import NoteWaiting
from aura_worker_protocol.request import Result

pytestmark = pytest.mark.anyio


@attrs.define
class Line:
    """A connection that refuses requests with these errors, one after the other, before it takes one."""

    bus: CommandBus
    refusals: list
    answered: set = attrs.field(factory=set)
    sent: list = attrs.field(factory=list)

    async def request(self, request):
        if self.refusals:
            raise self.refusals.pop(0)
        self.sent.append(request.seconds if isinstance(request, NoteWaiting) else request.answer.granted)
        return Result()


@pytest.mark.parametrize(
    ("refusal", "sent"),
    [(WorkerUnavailable(reason="it is away"), [True]), (ProcessGone(token="1", reason="it has ended"), [])],
)
async def test_an_answer_is_sent_until_the_worker_has_it(monkeypatch, refusal, sent):
    monkeypatch.setattr(delivery, "_RETRY_AFTER", 0.0)
    async with talking_agent() as agent:
        approval = await agent.asks()
        await agent.approve(approval)
        line = Line(agent.bus, [refusal])
        deliveries = Deliveries(line, lambda _: True, WallClock(line.bus.clock))
        decided = (await agent.bus.log.stream(approval.id))[-1]
        async with anyio.create_task_group() as group:
            deliveries.on_record(decided, group)
        assert line.sent == sent
        assert any(name == "permission_answered" for name, _ in await agent.work.actions()) is bool(sent)


async def test_that_an_agent_waits_is_noted_until_the_worker_has_it(monkeypatch):
    monkeypatch.setattr(delivery, "_RETRY_AFTER", 0.0)
    async with agent_at_work() as work:
        asked = await work.own.ask("May I?")
        await work.own.wait(asked.id, 0.01)
        line = Line(work.bus, [WorkerUnavailable(reason="it is away")])
        awaited = (await work.bus.log.stream(work.execution_id))[-1]
        async with anyio.create_task_group() as group:
            Deliveries(line, lambda _: True, WallClock(line.bus.clock)).on_record(awaited, group)
        (seconds,) = line.sent
        assert 0 < seconds <= 0.01 + BETWEEN_WAITS


async def test_a_process_that_was_taken_over_is_told_that_it_no_longer_waits():
    """The decision came, and the agent received it, while the worker was away."""
    async with agent_at_work() as work:
        asked = await work.own.ask("May I?")
        await work.own.wait(asked.id, 0.01)
        await work.bus.handle(ALICE, asked.id, Approve())
        await work.own.wait(asked.id)
        execution = await work.bus.require(EXECUTION, work.execution_id)
        line = Line(work.bus, [])
        await answer_decided(line, execution, str(execution.process_token))
        assert line.sent == [0.0]


async def test_what_the_worker_fails_on_does_not_end_an_agent_that_runs():
    async with talking_agent() as agent:
        approval = await agent.asks()
        await agent.approve(approval)
        execution = await agent.bus.require(EXECUTION, agent.work.execution_id)
        refusals = [RemoteError(remote_code="bug", reason="it failed", details={})]
        await answer_decided(Line(agent.bus, refusals), execution, str(execution.process_token))
        assert not refusals
