"""Effects: what each timer stands for. It decides again, on the newest state, whether it is due."""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from aura_contracts.actors import ENGINE
from aura_contracts.aggregate import Command
from aura_contracts.approval import EscalateApproval, ExpireApproval, MoveApprovalTimes, RemindReviewers
from aura_contracts.errors import CommandRefused
from aura_contracts.execution import EXECUTION
from aura_contracts.ids import LeaseId, ScheduleId, TaskId
from aura_contracts.lease import WORKER_LEASE
from aura_contracts.ports.rows import TimerRow
from aura_contracts.timers import TimerPurpose
from aura_contracts.workflow import AdvanceWorkflow
from aura_contracts.workflow_schedule import WORKFLOW_SCHEDULE, MoveSchedule
from aura_engine.unit_of_work import CommandBus, UnitOfWork

Drive = Callable[[TaskId], Awaitable[object]]
"""Has a task driven by this engine, unless another one drives it: see `aura_engine.runtime.follower`."""

StartScheduled = Callable[[ScheduleId], Awaitable[bool]]
"""Starts what is due of a schedule, and tells whether anything was: see `aura_engine.orchestration.schedule_starts`."""

_COMMANDS: Mapping[TimerPurpose, Callable[[], Command[Any]]] = MappingProxyType(
    {
        TimerPurpose.REMIND: RemindReviewers,
        TimerPurpose.ESCALATE: EscalateApproval,
        TimerPurpose.EXPIRE: ExpireApproval,
        TimerPurpose.ADVANCE: AdvanceWorkflow,
    }
)
"""What AURA commands by itself. All else is a step of a task, which its driver takes."""


async def fire(bus: CommandBus, timer: TimerRow, start: StartScheduled, drive: Drive | None) -> bool:
    """Do what is due; return whether anything was recorded or, for a step of a task, whether it is driven.

    Nothing happens if it is not due, is done already, or has become pointless. Raises the errors of
    the log, and of the worker that a driver needs.
    """
    make = _COMMANDS.get(timer.purpose)
    if make is not None:
        return await _command(bus, timer, make())
    if timer.purpose is TimerPurpose.START:
        return await start(ScheduleId(timer.stream_id))
    if drive is None:
        return False
    task_id = await _task_of(bus, timer)
    return task_id is not None and bool(await drive(task_id))


async def move(bus: CommandBus, timer: TimerRow) -> None:
    """Have the timers of an approval or a schedule come earlier that count from a moment that is still to come.

    Raises the errors of the log.
    """
    await _command(bus, timer, MoveSchedule() if timer.kind == WORKFLOW_SCHEDULE.name else MoveApprovalTimes())


async def _command(bus: CommandBus, timer: TimerRow, command: Command[Any]) -> bool:
    units: list[UnitOfWork] = []

    async def decide(unit: UnitOfWork) -> None:
        units.append(unit)
        await unit.handle(timer.stream_id, command)

    try:
        await bus.transact(ENGINE, decide)
    except CommandRefused:
        return False
    return units[-1].position > 0


async def _task_of(bus: CommandBus, timer: TimerRow) -> TaskId | None:
    """Return the task whose driver takes the step."""
    if timer.task_id is not None:
        return TaskId(timer.task_id)
    lease = await bus.get(WORKER_LEASE, LeaseId(timer.stream_id))
    execution = None if lease is None else await bus.get(EXECUTION, lease.execution_id)
    return None if execution is None else execution.task_id
