"""Schedules: stored definitions of workflows that are started again and again, at the moments of a cron expression.

    (new) ──saved──► active ◄──resumed── paused
                       │  ──paused───────►  │
                       └────── removed ◄────┘        saved again, it is active

A schedule's id is derived from its name (`schedule_id`), and the id of each workflow that it starts from the schedule
and the moment (`scheduled_workflow_id`). So a moment starts one workflow, however often it is fired.

`next_at` is the next moment that is due. Its timer fires the schedule, which deals with all moments until then: each
is started, or left out with a reason, and recorded with the start in one append.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import (
    TIME,
    Aggregate,
    Command,
    Evolve,
    HappenedFact,
    State,
    Table,
    given,
    in_every_status,
    sets,
    status_only,
)
from aura_contracts.events import CommandRefusal, Event, Instant
from aura_contracts.ids import ScheduleId, WorkflowId
from aura_contracts.plain_data import Plain

RUNS_LIMIT = 100
"""The most missed runs that are made up for."""


class ScheduleStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    """It starts nothing; the moments until it is resumed are left out."""
    REMOVED = "removed"
    """It starts nothing; what it started continues. Saved again, it is active."""


class MissedRuns(StrEnum):
    """What happens to moments that came while no engine ran."""

    SKIP = "skip"
    """They are left out."""
    ONCE = "once"
    """The latest of them runs; the others are left out."""
    ALL = "all"
    """They all run, the latest `RUNS_LIMIT` at most, oldest first."""


class OverlappingRuns(StrEnum):
    """What happens at a moment when the workflow that the schedule started last has not ended."""

    SKIP = "skip"
    """The moment is left out."""
    ALLOW = "allow"
    """Another workflow starts next to it."""


class OmissionReason(StrEnum):
    """Why moments started nothing."""

    MISSED = "missed"
    """No engine ran then, and `MissedRuns` leaves them out."""
    OVERLAP = "overlap"
    """The workflow before had not ended."""
    REPEATED = "repeated"
    """They had started a workflow before the clock was set back."""


class SchedulePlan(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """What a schedule starts, and when."""

    cron: str
    """Five fields, or a short form such as ``@daily``: see `aura_engine.cron`."""
    zone: str = "UTC"
    """A name of the IANA database, such as ``Europe/Berlin``."""
    workflow: str
    """A stored definition: ``build``, its newest revision at each start, or ``build@3``."""
    inputs: dict[str, Any] = {}
    missed: MissedRuns = MissedRuns.ONCE
    overlap: OverlappingRuns = OverlappingRuns.SKIP


_NAMESPACE = UUID("7f0c2c1e-3d64-5b0e-9c56-1f0b3c1f6a27")
"""The UUID namespace of the ids of schedules; never changed."""


def schedule_id(name: str) -> ScheduleId:
    """Return the id of the schedule of this name (UUIDv5)."""
    return ScheduleId(str(uuid5(_NAMESPACE, name)))


def scheduled_workflow_id(schedule: ScheduleId, moment: datetime) -> WorkflowId:
    """Return the id of the workflow that a schedule starts for a moment (UUIDv5)."""
    return WorkflowId(str(uuid5(UUID(schedule), moment.astimezone(UTC).isoformat())))


# --- Events -----------------------------------------------------------------------------------------------------------


class ScheduleCreated(Event, frozen=True, kw_only=True):
    """A schedule was stored under a new name."""

    topic = "workflow_schedule.created"
    workflow_schedule_id: ScheduleId
    name: str
    plan: SchedulePlan
    next_at: Instant | None
    """None: its expression names no moment of the next 50 years."""


class ScheduleRevised(Event, frozen=True, kw_only=True):
    """The schedule has another plan, or was saved again after it was removed."""

    topic = "workflow_schedule.revised"
    plan: SchedulePlan
    next_at: Instant | None


class SchedulePaused(Event, frozen=True, kw_only=True):
    """The schedule starts nothing until it is resumed."""

    topic = "workflow_schedule.paused"
    reason: str = ""


class ScheduleResumed(Event, frozen=True, kw_only=True):
    """The paused schedule starts workflows again. What came while it was paused is left out."""

    topic = "workflow_schedule.resumed"
    next_at: Instant | None


class ScheduleRemoved(Event, frozen=True, kw_only=True):
    """The schedule was removed: it starts nothing."""

    topic = "workflow_schedule.removed"
    reason: str = ""


class ScheduleFired(Event, frozen=True, kw_only=True):
    """The workflow of a moment was started, in the same append."""

    topic = "workflow_schedule.fired"
    scheduled_at: Instant
    workflow_id: WorkflowId
    next_at: Instant | None


class MomentsOmitted(Event, frozen=True, kw_only=True):
    """The moments from `first_at` until `last_at` started nothing."""

    topic = "workflow_schedule.moments_omitted"
    first_at: Instant
    last_at: Instant
    reason: OmissionReason
    next_at: Instant | None


class ScheduleFailed(Event, frozen=True, kw_only=True):
    """The workflow of a moment could not be started: its definition was retired, or does not take the inputs."""

    topic = "workflow_schedule.failed"
    scheduled_at: Instant
    reason: str
    next_at: Instant | None
    again: bool = False
    """The moment before failed, too: operators were notified then."""


class ScheduleMoved(Event, frozen=True, kw_only=True):
    """The clock had been ahead when the next moment was found, and was set back: an earlier one is the next."""

    topic = "workflow_schedule.moved"
    next_at: Instant | None


class ScheduleCommandRefused(Event, frozen=True, kw_only=True):
    """An actor was not allowed to give a command; nothing else of it was recorded."""

    topic = "workflow_schedule.command_refused"
    refusal: CommandRefusal


# --- State ------------------------------------------------------------------------------------------------------------


class WorkflowSchedule(State, frozen=True, kw_only=True):
    """The state of a schedule."""

    id: ScheduleId
    status: ScheduleStatus
    name: str
    plan: SchedulePlan
    next_at: datetime | None
    """The next moment; None while it is not active, or if none comes."""
    counts_from: datetime
    """When `next_at` was found."""
    last_at: datetime | None = None
    """The moment that started a workflow last."""
    last_workflow_id: WorkflowId | None = None
    problem: str = ""
    """Why the latest moment could not start a workflow; empty if it could."""
    paused_because: str = ""
    created_by: Actor
    created_at: datetime
    revised_by: Actor
    """Workflows are started on their behalf."""
    revised_at: datetime


# --- Commands ---------------------------------------------------------------------------------------------------------


class SaveSchedule(Command[WorkflowSchedule], frozen=True, kw_only=True):
    """Store a schedule under its name, or give the one that has the name another plan; an equal one changes nothing."""

    emits = (ScheduleCreated, ScheduleRevised)
    workflow_schedule_id: ScheduleId
    name: str
    plan: SchedulePlan


class PauseSchedule(Command[WorkflowSchedule], frozen=True, kw_only=True):
    """Start nothing until it is resumed."""

    emits = (SchedulePaused,)
    reason: str = ""


class ResumeSchedule(Command[WorkflowSchedule], frozen=True, kw_only=True):
    """Start workflows again, from the next moment on."""

    emits = (ScheduleResumed,)


class RemoveSchedule(Command[WorkflowSchedule], frozen=True, kw_only=True):
    """Remove the schedule."""

    emits = (ScheduleRemoved,)
    reason: str = ""


class MomentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a moment has come to: a workflow that is started with it, or the reason for none."""

    at: datetime
    omitted: OmissionReason | None = None
    problem: str = ""


class FireSchedule(Command[WorkflowSchedule], frozen=True, kw_only=True):
    """Deal with all moments until `until`: those that the schedule runs have these outcomes, the others were missed."""

    emits = (ScheduleFired, MomentsOmitted, ScheduleFailed)
    until: datetime
    outcomes: tuple[MomentOutcome, ...]


class MoveSchedule(Command[WorkflowSchedule], frozen=True, kw_only=True):
    """Find the next moment again, if it was found by a clock that has been set back since."""

    emits = (ScheduleMoved,)


class RecordScheduleRefusal(Command[WorkflowSchedule], frozen=True, kw_only=True):
    """Record that an actor was not allowed to give a command."""

    emits = (ScheduleCommandRefused,)
    refusal: CommandRefusal


# --- Table ------------------------------------------------------------------------------------------------------------

_S = ScheduleStatus

_TABLE: Table = MappingProxyType(
    {
        None: {ScheduleCreated: _S.ACTIVE},
        _S.ACTIVE: {
            ScheduleRevised: _S.ACTIVE,
            SchedulePaused: _S.PAUSED,
            ScheduleRemoved: _S.REMOVED,
            ScheduleFired: _S.ACTIVE,
            MomentsOmitted: _S.ACTIVE,
            ScheduleFailed: _S.ACTIVE,
            ScheduleMoved: _S.ACTIVE,
        },
        _S.PAUSED: {
            ScheduleRevised: _S.PAUSED,
            ScheduleResumed: _S.ACTIVE,
            ScheduleRemoved: _S.REMOVED,
        },
        _S.REMOVED: {
            ScheduleRevised: _S.ACTIVE,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _created(_: None, event: ScheduleCreated, fact: HappenedFact, status: ScheduleStatus) -> WorkflowSchedule:
    return WorkflowSchedule(
        id=event.workflow_schedule_id,
        status=status,
        name=event.name,
        plan=event.plan,
        next_at=event.next_at,
        counts_from=fact.time,
        created_by=fact.actor,
        created_at=fact.time,
        revised_by=fact.actor,
        revised_at=fact.time,
    )


def _revised(
    state: WorkflowSchedule, event: ScheduleRevised, fact: HappenedFact, status: ScheduleStatus
) -> WorkflowSchedule:
    return replace(
        state,
        status=status,
        plan=event.plan,
        next_at=event.next_at,
        counts_from=fact.time,
        problem="",
        revised_by=fact.actor,
        revised_at=fact.time,
    )


_EVOLVERS: Mapping[type[Event], Evolve[WorkflowSchedule]] = MappingProxyType(
    {
        ScheduleCreated: _created,
        ScheduleRevised: _revised,
        SchedulePaused: sets(paused_because=given("reason"), next_at=None),
        ScheduleResumed: sets("next_at", counts_from=TIME, paused_because=""),
        ScheduleRemoved: sets(next_at=None, paused_because="", problem=""),
        ScheduleFired: sets(
            "next_at",
            counts_from=TIME,
            last_at=given("scheduled_at"),
            last_workflow_id=given("workflow_id"),
            problem="",
        ),
        MomentsOmitted: sets("next_at", counts_from=TIME),
        ScheduleFailed: sets("next_at", counts_from=TIME, problem=given("reason")),
        ScheduleMoved: sets("next_at", counts_from=TIME),
        ScheduleCommandRefused: status_only,
    }
)

WORKFLOW_SCHEDULE = Aggregate(
    name="workflow_schedule",
    state=WorkflowSchedule,
    statuses=ScheduleStatus,
    table=in_every_status(_TABLE, ScheduleCommandRefused, ScheduleStatus),
    evolvers=_EVOLVERS,
)
