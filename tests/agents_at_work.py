"""A task that an agent is at work on, made on a log of its own: nothing runs, but the log says so."""

from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from aura_contracts.actors import Actor, human, system
from aura_contracts.agent import AgentSpec, RegisterAgent, TakeTask
from aura_contracts.events import event_fields
from aura_contracts.execution import (
    EXECUTION,
    Action,
    ExecutionSpec,
    FailExecution,
    FinishPreparation,
    FinishSetup,
    LeaseExecution,
    QueueExecution,
    StartPreparation,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import AgentId, ExecutionId, IdFactory, TaskId, WorkerId, lease_of
from aura_contracts.ports import Clock, EventLog
from aura_contracts.ports.read_models import ReadModels
from aura_contracts.task import AssignTask, CreateTask, StartExecution, TaskSpec
from aura_engine.agent_tools.access import TaskScope
from aura_engine.agent_tools.api import OwnTask
from aura_engine.host import new_ids, now
from aura_engine.state_cache import StateCache
from aura_engine.unit_of_work import CommandBus
from aura_store import open_log, open_read_models
from aura_store.repository import AggregateRepository

ALICE = human("alice")
ENGINE = system("engine")


@attrs.frozen
class AtWork:
    """An agent at work, and the bus at which others may act."""

    bus: CommandBus
    reads: ReadModels
    task_id: TaskId
    agent_id: AgentId
    execution_id: ExecutionId

    @property
    def scope(self) -> TaskScope:
        return TaskScope(task_id=self.task_id, execution_id=self.execution_id)

    @property
    def own(self) -> OwnTask:
        return OwnTask(self.bus, self.reads, self.scope)

    async def create(self, title: str, parent_id: TaskId | None = None, **fields) -> TaskId:
        return await create(self.bus, title, parent_id, **fields)

    async def end(self) -> None:
        """End the execution, as when its worker is lost."""
        failure = Failure(FailureReason.WORKER_LOST, "it is gone")
        await self.bus.handle(ENGINE, self.execution_id, FailExecution(failure=failure))

    async def again(self) -> "AtWork":
        """End the execution and begin another one for the same task."""
        await self.end()
        return attrs.evolve(self, execution_id=await begin(self.bus, self.task_id, self.agent_id))

    async def actions(self) -> list[tuple[str, dict]]:
        facts = await self.bus.log.facts(self.execution_id)
        done = [fact.event for fact in facts if isinstance(fact.event, Action)]
        fields = [{name: value for name, value in event_fields(event).items() if value is not None} for event in done]
        names = [event.topic.removeprefix("execution.") for event in done]
        return [(name, about.get("entry", about)) for name, about in zip(names, fields, strict=True)]


def bus_on(log: EventLog, *, clock: Clock = now, ids: IdFactory | None = None) -> CommandBus:
    """Return a bus on a log, as an engine makes it."""
    return CommandBus(log=log, states=StateCache(AggregateRepository(log).load), clock=clock, ids=ids or new_ids())


async def create(bus: CommandBus, title: str, parent_id: TaskId | None = None, by: Actor = ALICE, **fields) -> TaskId:
    task_id = TaskId(bus.ids())
    await bus.handle(
        by, task_id, CreateTask(task_id=task_id, spec=TaskSpec(title=title, parent_id=parent_id, **fields))
    )
    return task_id


async def begin(bus: CommandBus, task_id: TaskId, agent_id: AgentId, **given) -> ExecutionId:
    """Begin an execution of the task, which gets as far as its agent; `given` are more of what it is queued with."""
    execution_id, worker_id = ExecutionId(bus.ids()), WorkerId(bus.ids())
    queue = QueueExecution(
        execution_id=execution_id,
        spec=ExecutionSpec(task_id=task_id, executor="custom", prompt="Do it", agent_id=agent_id, **given),
    )
    async with bus.unit(ENGINE) as unit:
        await unit.handle(execution_id, queue)
        await unit.handle(task_id, StartExecution(execution_id=execution_id))
        lease = LeaseExecution(lease_id=lease_of(execution_id), epoch=1, worker_id=worker_id)
        for command in (lease, StartPreparation(epoch=1)):
            await unit.handle(execution_id, command)
        await unit.handle(execution_id, FinishPreparation(epoch=1, workspace_id=bus.ids()))
        coding = await unit.handle(execution_id, FinishSetup(epoch=1))
    assert EXECUTION.fold(await bus.log.facts(execution_id)) == coding
    return execution_id


async def put_to_work(bus: CommandBus, reads: ReadModels, title: str = "Fix the login", **fields) -> AtWork:
    """Create a task and have an agent work on it."""
    task_id = await create(bus, title, **fields)
    agent_id = AgentId(bus.ids())
    async with bus.unit(ALICE) as unit:
        register = RegisterAgent(
            agent_id=agent_id, spec=AgentSpec(name=f"ada-{agent_id}", type="developer", executor="custom")
        )
        await unit.handle(agent_id, register)
        await unit.handle(task_id, AssignTask(agent_id=agent_id))
        await unit.handle(agent_id, TakeTask(task_id=task_id))
    return AtWork(bus, reads, task_id, agent_id, await begin(bus, task_id, agent_id))


@asynccontextmanager
async def agent_at_work(store: str | Path = "memory:", **fields):
    """Open a bus on `store` and put an agent to work."""
    url = f"sqlite:///{store}" if isinstance(store, Path) else store
    async with open_log(url) as log, open_read_models(log) as reads:
        yield await put_to_work(bus_on(log), reads, **fields)
