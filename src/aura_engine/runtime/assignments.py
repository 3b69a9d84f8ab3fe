"""Assignments: records that the pool has given a task to an agent, and begins the work."""

import attrs

from aura_contracts.actors import ENGINE
from aura_contracts.agent import AGENT, TakeTask
from aura_contracts.ids import ExecutionId
from aura_contracts.task import AssignTask, Task
from aura_contracts.workspace import WORKSPACE
from aura_engine.runtime.agent_profiles import queue_first
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.drivers import Drivers
from aura_engine.runtime.first_prompts import first_prompt
from aura_engine.runtime.lock_waits import LockWaits, Overtaken
from aura_engine.runtime.views import view_in, workspace_of
from aura_engine.scheduling import Allocation
from aura_engine.unit_of_work import UnitOfWork


@attrs.frozen
class Assignments:
    """Records assignments in one unit of work each, with the versions of task and agent that it was decided on."""

    _runtime: Runtime
    _drivers: Drivers
    _lock_waits: LockWaits

    async def record(self, chosen: Allocation) -> None:
        """Record an assignment and begin the work. Raises `Overtaken`, and the errors of commands and drivers."""
        task_id = chosen.task.id
        slots, begun = self._runtime.slots, list[ExecutionId]()

        async def create() -> None:
            async with self._runtime.bus.unit(ENGINE) as unit:
                task = await self._assign(unit, chosen)
            if task.execution_id is not None:
                begun.append(task.execution_id)
                slots.claim(task.execution_id, chosen.executor)  # before others that begin meanwhile

        if await self._runtime.bus.fetch(WORKSPACE, workspace_of(task_id)) is None:
            await create()
            return
        await self._runtime.gateway.capability(chosen.executor)
        driven = False
        try:
            driven = await self._drivers.begin(task_id, create)
        finally:
            for execution_id in () if driven else begun:
                slots.give_back(execution_id)

    async def _assign(self, unit: UnitOfWork, chosen: Allocation) -> Task:
        """Add to `unit` the assignment, and the execution unless the agent is one outside AURA."""
        task_id = chosen.task.id
        view = await view_in(unit, task_id)
        agent = await unit.get(AGENT, chosen.agent_id)
        request = view.task.request
        if not view.task.pooled or request is None or agent is None or not agent.room:
            raise Overtaken
        wanted, why = request.agent_type, request.agent_type_reason  # an agent of any type does not bind the next one
        assign = AssignTask(agent_id=agent.id, agent_type=wanted, reason=why, selection=chosen.selection)
        task = await unit.handle(task_id, assign)
        await unit.handle(agent.id, TakeTask(task_id=task_id))
        await self._lock_waits.require_locks(unit, view)
        if view.workspace is None:
            return task
        prompt = await first_prompt(self._runtime, view, request.plan, agent.executor)
        return await queue_first(self._runtime, unit, task, agent, prompt, request.plan, variant=request.variant)
