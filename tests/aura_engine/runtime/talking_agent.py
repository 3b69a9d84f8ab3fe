"""An agent that talks: what it says arrives at the gateway as from its worker, and is recorded on a log of its own."""

from contextlib import asynccontextmanager
from itertools import count

import attrs

from agents_at_work import ALICE, AtWork, agent_at_work, begin
from aura_contracts.approval import APPROVAL, Approval, Approve, Reject
from aura_contracts.entries import PermissionRequested, ToolFinished
from aura_contracts.execution import EXECUTION, Execution
from aura_contracts.output import Chunk, OutputSource
from aura_contracts.permission import PermissionRules, fingerprint_of
from aura_contracts.ports.read_models import ReadModels
from aura_contracts.run_plan import RunPlan
from aura_engine.host import now
from aura_engine.permissions.questions import Reviewers
from aura_engine.runtime.context import reviewers_of
from aura_engine.runtime.gateway import Gateway
from aura_store import open_read_models
from aura_worker_protocol.messages import AppendOutput, ParsedRecord


@attrs.define
class Talking:
    """The processes of an agent's executions; they go by numbers."""

    work: AtWork
    gateway: Gateway
    reads: ReadModels
    _numbers: object = attrs.field(factory=lambda: count(1))

    @property
    def bus(self):
        return self.work.bus

    async def says(self, *entries, process=1, epoch=1, raw=b"x"):
        """Have a process say something that is understood as these entries, in one batch."""
        first = await self.gateway.outputs.next(self.work.execution_id)
        batch = AppendOutput(
            execution_id=self.work.execution_id,
            epoch=epoch,
            token=str(process),
            first=first,
            chunks=(Chunk.of(OutputSource.STDOUT, now(), raw),),
            parsed=(ParsedRecord(record=first, entries=tuple(entries)),),
        )
        return await self.gateway.handlers[AppendOutput](batch)

    async def asks(self, command="make", *beside, process=1, **given):
        """Have a process ask for a command; return the approval that it waits for."""
        await self.says(question(command, next(self._numbers), **given), *beside, process=process)
        return (await self.approvals())[-1]

    async def approvals(self) -> list[Approval]:
        """Return what was asked by now, once for each time that it was asked."""
        asked = [about["approval_id"] for name, about in await self.work.actions() if name == "permission_asked"]
        return [await self.bus.get(APPROVAL, one) for one in asked]

    async def approve(self, approval, **how):
        return await self.bus.handle(ALICE, approval.id, Approve(**how))

    async def reject(self, approval):
        return await self.bus.handle(ALICE, approval.id, Reject(feedback="no"))

    async def again(self, **given) -> "Talking":
        """Lose the worker, and begin another execution."""
        await self.work.end()
        execution_id = await begin(self.bus, self.work.task_id, self.work.agent_id, **given)
        return attrs.evolve(self, work=attrs.evolve(self.work, execution_id=execution_id))

    async def execution(self) -> Execution:
        return await self.bus.get(EXECUTION, self.work.execution_id)


def question(command="make", number=1, *, tool="Bash", **given):
    arguments = {"command": command}
    known = {"fingerprint": fingerprint_of(tool, arguments), "call_id": f"call-{number}", "arguments": arguments}
    return PermissionRequested(**{"request_id": str(number), "tool": tool, **known, **given})


def made(number=1, **given):
    return ToolFinished(call_id=f"call-{number}", **given)


def rules(*allow, deny=()):
    return {"plan": RunPlan(permissions=PermissionRules(allow=allow, deny=tuple(deny)))}


@asynccontextmanager
async def talking_agent(**given):
    """Put an agent to work that talks; `given` are more of what its execution is queued with."""
    async with agent_at_work() as work, open_read_models(work.bus.log) as reads:
        gateway = Gateway(bus=work.bus, engine_id="e", reviewers=Reviewers(reviewers_of))
        talking = Talking(work, gateway, reads)
        yield await talking.again(**given) if given else talking
