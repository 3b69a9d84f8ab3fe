"""Decisions about schedules of workflows.

Who may do what: humans save, pause, resume and remove them; AURA fires and moves them. An agent does not decide when
other agents are started."""

from datetime import datetime, timedelta
from itertools import groupby

from aura_contracts.clocks import is_ahead
from aura_contracts.errors import InvalidInput
from aura_contracts.workflow_definition import parse_reference
from aura_contracts.workflow_schedule import (
    WORKFLOW_SCHEDULE,
    FireSchedule,
    MissedRuns,
    MomentOutcome,
    MomentsOmitted,
    MoveSchedule,
    OmissionReason,
    OverlappingRuns,
    PauseSchedule,
    RecordScheduleRefusal,
    RemoveSchedule,
    ResumeSchedule,
    SaveSchedule,
    ScheduleCommandRefused,
    ScheduleCreated,
    ScheduleFailed,
    ScheduleFired,
    ScheduleMoved,
    SchedulePaused,
    SchedulePlan,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleRevised,
    ScheduleStatus,
    WorkflowSchedule,
    schedule_id,
    scheduled_workflow_id,
)
from aura_engine.cron import CronSchedule, due_runs
from aura_engine.decisions._decider import (
    Context,
    Decider,
    Events,
    RuleBroken,
    becomes,
    no_agent,
    only_system,
    require_zone,
)

NAME_LIMIT = 100
"""Characters of the name of a schedule."""

_INSTANT = timedelta(microseconds=1)

_no_agent = no_agent("agents do not schedule workflows")
_only_system = only_system("AURA fires schedules when they are due")


def cron_of(plan: SchedulePlan) -> CronSchedule:
    """Return when a plan is due. Raises `InvalidInput`."""
    return CronSchedule.parse(plan.cron, plan.zone)


def due_moments(state: WorkflowSchedule, until: datetime) -> tuple[datetime, ...]:
    """Return the moments that a schedule runs now, those until `until` that it has not dealt with; oldest first."""
    if state.status is not ScheduleStatus.ACTIVE or state.next_at is None or state.next_at > until:
        return ()
    return due_runs(cron_of(state.plan), state.next_at - _INSTANT, until, state.plan.missed)


# --- People -----------------------------------------------------------------------------------------------------------


def _save(state: WorkflowSchedule | None, command: SaveSchedule, context: Context) -> Events:
    _require_name(command)
    plan = command.plan
    cron = _required_cron(plan)
    if plan.missed is MissedRuns.ALL and plan.overlap is OverlappingRuns.SKIP:
        reason = "missed runs start at once, and all but the first would be left out because they overlap"
        raise RuleBroken("missed", reason, "have runs overlap, or make up for one missed run")
    next_at = cron.next_after(context.now)
    if state is None:
        ident = command.workflow_schedule_id
        return [ScheduleCreated(workflow_schedule_id=ident, name=command.name, plan=plan, next_at=next_at)]
    if state.status is ScheduleStatus.ACTIVE:
        if plan == state.plan:
            return []
        if cron == cron_of(state.plan):
            next_at = state.next_at  # what is due right now stays due
    return [ScheduleRevised(plan=plan, next_at=None if state.status is ScheduleStatus.PAUSED else next_at)]


def _required_cron(plan: SchedulePlan) -> CronSchedule:
    try:
        parse_reference(plan.workflow)
        return cron_of(plan)
    except InvalidInput as error:
        raise RuleBroken(error.field, error.reason, error.remedy) from None


def _require_name(command: SaveSchedule) -> None:
    name, derived = command.name, schedule_id(command.name)
    if command.workflow_schedule_id != derived:
        raise RuleBroken("schedule_id", f"the id of the schedule {name!r} is {derived}", "use that id")
    if not (0 < len(name) <= NAME_LIMIT and name.isprintable() and name == name.strip()):
        reason = f"{name[:NAME_LIMIT]!r} is not a name of 1 to {NAME_LIMIT} printable characters"
        raise RuleBroken("name", reason, "give it a short name")


def _resume(state: WorkflowSchedule, _command: ResumeSchedule, context: Context) -> Events:
    return [ScheduleResumed(next_at=cron_of(state.plan).next_after(context.now))]


# --- AURA -------------------------------------------------------------------------------------------------------------


def _fire(state: WorkflowSchedule, command: FireSchedule, context: Context) -> Events:
    """Nothing happens if nothing is due: another engine was faster."""
    require_zone("until", command.until, *(outcome.at for outcome in command.outcomes))
    first = state.next_at
    if command.until > context.now or first is None or first > command.until:
        return []
    due = due_moments(state, command.until)
    if tuple(outcome.at for outcome in command.outcomes) != due:
        raise RuleBroken("moments", "these are not the moments that the schedule runs", "look at what is due again")
    cron = cron_of(state.plan)
    next_at = cron.next_after(command.until)
    events: list[ScheduleFired | ScheduleFailed | MomentsOmitted] = []
    last_missed = cron.last_until(due[0] - _INSTANT if due else command.until)
    if last_missed is not None and last_missed >= first:
        events.append(_omitted(OmissionReason.MISSED, first, last_missed, next_at))
    failed = bool(state.problem)
    for omitted, group in groupby(command.outcomes, lambda outcome: outcome.omitted):
        outcomes = list(group)
        if omitted is not None:
            events.append(_omitted(omitted, outcomes[0].at, outcomes[-1].at, next_at))
            continue
        for outcome in outcomes:
            events.append(_run(state, outcome, next_at, failed=failed))
            failed = bool(outcome.problem)
    return events


def _run(
    state: WorkflowSchedule, outcome: MomentOutcome, next_at: datetime | None, *, failed: bool
) -> ScheduleFired | ScheduleFailed:
    if outcome.problem:
        return ScheduleFailed(scheduled_at=outcome.at, reason=outcome.problem, next_at=next_at, again=failed)
    started = scheduled_workflow_id(state.id, outcome.at)
    return ScheduleFired(scheduled_at=outcome.at, workflow_id=started, next_at=next_at)


def _omitted(reason: OmissionReason, first: datetime, last: datetime, next_at: datetime | None) -> MomentsOmitted:
    return MomentsOmitted(first_at=first, last_at=last, reason=reason, next_at=next_at)


def _move(state: WorkflowSchedule, _command: MoveSchedule, context: Context) -> Events:
    """Nothing happens unless the clock was set back."""
    if not is_ahead(state.counts_from, context.now):
        return []
    return [ScheduleMoved(next_at=cron_of(state.plan).next_after(context.now))]


WORKFLOW_SCHEDULE_DECIDER = Decider(
    WORKFLOW_SCHEDULE,
    {
        SaveSchedule: (_no_agent, _save),
        PauseSchedule: (_no_agent, becomes(SchedulePaused)),
        ResumeSchedule: (_no_agent, _resume),
        RemoveSchedule: (_no_agent, becomes(ScheduleRemoved)),
        FireSchedule: (_only_system, _fire),
        MoveSchedule: (_only_system, _move),
        RecordScheduleRefusal: (only_system("AURA records refusals"), becomes(ScheduleCommandRefused)),
    },
)
