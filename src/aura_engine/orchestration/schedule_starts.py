"""Schedule starts: starts the workflows of a schedule that are due, each moment once.

A moment is dealt with in one append: its workflow starts, and the schedule records that. So there is nothing between
the two that a crash could leave undone, and of two engines that fire at once one has a conflict, looks again, and finds
that nothing is due. The id of the workflow follows from the moment, should its moment come twice by a clock that was
set back.
"""

from datetime import datetime

import attrs
import msgspec

from aura_contracts.actors import ENGINE
from aura_contracts.errors import CommandRefused, InvalidInput, StoreError
from aura_contracts.ids import ScheduleId, WorkflowId
from aura_contracts.quoting import cut, one_line
from aura_contracts.workflow import WORKFLOW, StartWorkflow
from aura_contracts.workflow_schedule import (
    WORKFLOW_SCHEDULE,
    FireSchedule,
    MomentOutcome,
    OmissionReason,
    OverlappingRuns,
    SchedulePlan,
    WorkflowSchedule,
    scheduled_workflow_id,
)
from aura_engine.decisions.workflow_rules import require_correct_definition
from aura_engine.decisions.workflow_schedule import due_moments
from aura_engine.orchestration.library import Library
from aura_engine.orchestration.schemas import completed_inputs
from aura_engine.unit_of_work import CommandBus, UnitOfWork

_REASON_LIMIT = 500
"""Characters of the reason why a workflow could not be started."""


async def require_startable(bus: CommandBus, plan: SchedulePlan) -> None:
    """Refuse a plan whose workflow could not be started now.

    Raises `UnknownDefinition`, `CyclicDefinitions`, and `InvalidInput` for inputs that do not fit.
    """
    await _start(bus, WorkflowId(""), plan)


async def _start(bus: CommandBus, workflow_id: WorkflowId, plan: SchedulePlan) -> StartWorkflow:
    """Return the command that starts the workflow of a plan; see `require_startable`."""
    library = Library(bus)
    found = await library.find(plan.workflow)
    require_correct_definition(found.definition)
    return StartWorkflow(
        workflow_id=workflow_id,
        definition=found.definition,
        inputs=completed_inputs(found.definition.inputs, plan.inputs),
        pins=await library.pins(found.definition, found.revision),
        revision=str(found),
    )


@attrs.frozen
class ScheduleFiring:
    """Fires schedules."""

    _bus: CommandBus

    async def fire(self, schedule_id: ScheduleId) -> bool:
        """Deal with what is due of a schedule; return whether anything was. Raises the errors of the log."""
        units: list[UnitOfWork] = []

        async def decide(unit: UnitOfWork) -> None:
            units.append(unit)
            await self._decide(unit, schedule_id)

        try:
            await self._bus.transact(ENGINE, decide)
        except CommandRefused:  # it was paused or removed
            return False
        return units[-1].position > 0

    async def _decide(self, unit: UnitOfWork, schedule_id: ScheduleId) -> None:
        schedule = await unit.require(WORKFLOW_SCHEDULE, schedule_id)
        now = self._bus.clock()
        if schedule.next_at is None or schedule.next_at > now:
            return
        outcomes = [await self._run(unit, schedule, moment) for moment in due_moments(schedule, now)]
        await unit.handle(schedule_id, FireSchedule(until=now, outcomes=tuple(outcomes)))

    async def _run(self, unit: UnitOfWork, schedule: WorkflowSchedule, moment: datetime) -> MomentOutcome:
        """Start the workflow of a moment, on behalf of the one who saved the schedule, unless something prevents it."""
        started = scheduled_workflow_id(schedule.id, moment)
        if await unit.get(WORKFLOW, started) is not None:
            return MomentOutcome(at=moment, omitted=OmissionReason.REPEATED)
        if schedule.plan.overlap is OverlappingRuns.SKIP and await self._runs(schedule.last_workflow_id):
            return MomentOutcome(at=moment, omitted=OmissionReason.OVERLAP)
        try:
            command = await _start(self._bus, started, schedule.plan)
            context = {"schedule": schedule.name, "scheduled_at": moment.isoformat()}
            command = msgspec.structs.replace(command, context=context)
            await unit.acting_as(schedule.revised_by).handle(started, command)
        except StoreError:
            raise
        except (InvalidInput, CommandRefused) as error:
            return MomentOutcome(at=moment, problem=cut(one_line(str(error)), _REASON_LIMIT))
        return MomentOutcome(at=moment)

    async def _runs(self, workflow_id: WorkflowId | None) -> bool:
        workflow = None if workflow_id is None else await self._bus.fetch(WORKFLOW, workflow_id)
        return workflow is not None and not workflow.ended
