"""Leases: grants of an execution to the worker of the engine that drives it, each under a new epoch."""

from aura_contracts.actors import ENGINE
from aura_contracts.errors import WorkerUnavailable
from aura_contracts.execution import Execution, LeaseExecution, StartPreparation
from aura_contracts.ids import lease_of
from aura_contracts.lease import GrantLease
from aura_engine.runtime.context import Runtime
from aura_engine.runtime.lock_claims import are_held
from aura_engine.runtime.views import View
from aura_engine.unit_of_work import UnitOfWork


async def lease(runtime: Runtime, view: View) -> None:
    """Grant the execution to the connected worker, under a new epoch."""
    execution = view.require_execution()
    async with runtime.bus.unit(ENGINE) as unit:
        if not await are_held(unit, view):
            return  # look again
        epoch = await _grant(runtime, unit, execution)
        await unit.handle(execution.id, StartPreparation(epoch=epoch))


async def lease_again(runtime: Runtime, view: View) -> None:
    """Grant an execution in review to the connected worker: it has lost nothing."""
    execution = view.require_execution()
    async with runtime.bus.unit(ENGINE) as unit:
        await _grant(runtime, unit, execution)


async def take_over(runtime: Runtime, view: View) -> None:
    """Grant an execution that another engine drove to this one. What runs of it continues, and reports to this engine.

    The new epoch fences the other engine, if it is still there: it can record nothing more about the execution.
    """
    execution = view.require_execution()
    assert view.lease is not None, "it is taken over from a holder"
    async with runtime.bus.unit(ENGINE) as unit:
        await _grant(runtime, unit, execution, revoking=view.lease.epoch)


async def _grant(runtime: Runtime, unit: UnitOfWork, execution: Execution, *, revoking: int | None = None) -> int:
    gateway, lease_id = runtime.gateway, lease_of(execution.id)
    if gateway.worker_id is None or gateway.identity is None:
        raise WorkerUnavailable(reason="no worker is connected")
    command = GrantLease(
        lease_id=lease_id,
        execution_id=execution.id,
        worker_id=gateway.worker_id,
        identity=gateway.identity,
        grace=runtime.grace,
        revoking=revoking,
        engine_id=gateway.engine_id,
    )
    granted = await unit.handle(lease_id, command)
    epoch: int = granted.epoch
    await unit.handle(execution.id, LeaseExecution(lease_id=lease_id, epoch=epoch, worker_id=gateway.worker_id))
    return epoch
