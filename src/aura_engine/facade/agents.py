"""Agents: the pool that tasks are assigned from."""

from typing import Unpack

import attrs
import msgspec

from aura_contracts.agent import AGENT, Agent, AgentChanges, DisableAgent, EditAgent, EnableAgent, RegisterAgent
from aura_contracts.ids import AgentId
from aura_contracts.ports.read_models import AgentQuery
from aura_contracts.ports.rows import Page
from aura_engine import facade
from aura_engine.facade.core import Core
from aura_engine.facade.gate import gated
from aura_engine.facade.options import AgentFilters, NewAgentOptions
from aura_engine.unit_of_work import UnitOfWork


@gated
@attrs.frozen
class Agents:
    """The agents of the pool. Ids may be shortened to a unique prefix or suffix."""

    _core: Core

    async def get(self, agent: str) -> Agent:
        """Return an agent. Raises `AggregateNotFound`, `AmbiguousId`."""
        return await self._core.load(AGENT, agent)

    async def list(self, **filters: Unpack[AgentFilters]) -> Page[Agent]:
        """Return a page of agents, newest first unless `sort` and `descending` say otherwise."""
        return await self._core.reads.list(AgentQuery(**filters))

    async def add(
        self, name: str, executor: str, *, by: str | None = None, **options: Unpack[NewAgentOptions]
    ) -> Agent:
        """Add an agent to the pool. Raises `UnknownExecutor`, and `InvalidInput` for options its executor refuses."""
        given = facade.NewAgent.model_validate({"name": name, "executor": executor, **options})
        agent_id = AgentId(self._core.bus.ids())
        async with self._core.bus.unit(self._core.actor(by)) as unit:
            await facade.examine_options(self._core, given.executor, given.options, variant=given.variant or None)
            return await unit.handle(agent_id, RegisterAgent(agent_id=agent_id, spec=given.spec))

    async def edit(self, agent: str, changes: AgentChanges, *, by: str | None = None) -> Agent:
        """Edit an agent; fields that `changes` does not set stay as they are. If it is busy, its next run uses them.

        Its executor examines the options if they, the variant or the executor change. Raises `UnknownExecutor`, and
        `InvalidInput` for options its executor refuses.
        """
        agent_id = await self._core.find("agent", agent)

        async def decide(unit: UnitOfWork) -> Agent:
            found = await unit.require(AGENT, agent_id)
            edited = msgspec.structs.replace(found, **changes.given())
            if any(getattr(edited, name) != getattr(found, name) for name in ("executor", "options", "variant")):
                await facade.examine_options(
                    self._core, edited.executor, edited.options, variant=edited.variant or None
                )
            return await unit.handle(agent_id, EditAgent(changes=changes))

        return await self._core.bus.transact(self._core.actor(by), decide)

    async def disable(self, agent: str, reason: str = "", *, drop_task: bool = False, by: str | None = None) -> Agent:
        """Take an agent out of the pool, so it gets no more tasks. `drop_task` allows this while it works on one."""
        command = DisableAgent(reason=reason, drop_task=drop_task)
        return await self._core.handle(AGENT, agent, command, by)

    async def enable(self, agent: str, *, by: str | None = None) -> Agent:
        """Put an agent back into the pool."""
        return await self._core.handle(AGENT, agent, EnableAgent(), by)
