"""Lease: the right of one worker to run one execution, and the fence against workers that lost that right.

    granted (epoch 1) ──► held ──worker silent──► offline ──grace over──► free (lost)
                          ▲  │                       │
                          │  ├────────returned───────┤
                          │  └──released, revoked────┴──revoked──► free ──closed──► closed
                          └───────────granted (epoch + 1)────────────┘

Each execution has one lease, which outlives its grants. Each grant increases the **fencing epoch** by one, and every
report from a worker names its epoch. A report under the current epoch is applied. A report under a future epoch is
refused. A report under a past epoch is recorded and adjudicated (adopted or refused), and never silently applied or
dropped.

Heartbeats are not events: one per worker every 5 s would flood the log. Their effects on a lease are events.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import TIME, Aggregate, Command, Evolve, HappenedFact, State, Table, sets, status_only
from aura_contracts.events import Event, Instant
from aura_contracts.failures import Failure
from aura_contracts.ids import ExecutionId, LeaseId, ProcessIdentity, WorkerId, WorkerIdentity

HEARTBEAT_INTERVAL = 5.0
"""Seconds between two heartbeats of a worker (specification, "Remote Worker Model")."""

OFFLINE_AFTER = 15.0
"""Seconds of silence after which a worker is offline (specification, "Remote Worker Model")."""

RETURN_GRACE = 30.0
"""Seconds for an offline worker to return before its executions fail with ``WorkerLost``.

AURA's own choice, long enough to restart a daemon. With 0 a worker is lost as soon as it is offline.
"""

GRACE_LIMIT = 7 * 24 * 3600.0
"""Seconds; a worker that is away for more than a week will not return."""


class LeaseStatus(StrEnum):
    HELD = "held"
    OFFLINE = "offline"
    """Held by a worker that fell silent and may still return."""
    FREE = "free"
    CLOSED = "closed"
    """The execution is over; the lease is never granted again."""


class GrantEnd(StrEnum):
    """How a grant ended."""

    RELEASED = "released"
    LOST = "lost"
    REVOKED = "revoked"


class Verdict(StrEnum):
    """What happens to a report under a past epoch."""

    ADOPT = "adopt"
    REFUSE = "refuse"


class LateReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A report under a past epoch; `digest` covers the whole report."""

    report_id: str
    epoch: int
    kind: str
    digest: str
    summary: str = ""


class StaleReport(LateReport, frozen=True, kw_only=True, gc=False):
    """A recorded report under a past epoch; `verdict` is None until it is adjudicated."""

    recorded_at: datetime
    verdict: Verdict | None = None
    reason: str = ""
    adjudicated_by: Actor | None = None


# --- Events -----------------------------------------------------------------------------------------------------------


class LeaseGranted(Event, frozen=True, kw_only=True):
    """A worker was given the right to run the execution, under a new epoch, for the engine that drives its task.

    `grace` is in seconds.
    """

    topic = "lease.granted"
    lease_id: LeaseId
    execution_id: ExecutionId
    worker_id: WorkerId
    identity: WorkerIdentity
    epoch: int
    grace: float
    engine_id: str = ""


class GrantEvent(Event, frozen=True, kw_only=True):
    """Base of the events of one grant, which its epoch names."""

    epoch: int


class LeaseProcessStarted(GrantEvent, frozen=True, kw_only=True):
    """The worker started a process for the execution, which replaces any earlier one."""

    topic = "lease.process_started"
    process: ProcessIdentity


class WorkerWentOffline(GrantEvent, frozen=True, kw_only=True):
    """The worker had been silent since `last_seen`, longer than the offline timeout.

    Again, if the clock was set back behind the moment at which it went offline: then its grace period begins once more.
    """

    topic = "lease.worker_went_offline"
    last_seen: Instant


class WorkerReturned(GrantEvent, frozen=True, kw_only=True):
    """The worker returned within the grace period and still had its executions."""

    topic = "lease.worker_returned"


class LeaseLost(GrantEvent, frozen=True, kw_only=True):
    """The worker did not return in time; its execution failed."""

    topic = "lease.lost"
    failure: Failure


class LeaseReleased(GrantEvent, frozen=True, kw_only=True):
    """The worker returned the lease after finishing its work."""

    topic = "lease.released"


class LeaseRevoked(GrantEvent, frozen=True, kw_only=True):
    """A human or the engine took the lease from the worker."""

    topic = "lease.revoked"
    reason: str = ""


class StaleReportRecorded(Event, frozen=True, kw_only=True):
    """A worker reported under a past epoch; nothing was applied."""

    topic = "lease.stale_report_recorded"
    report: LateReport


class StaleReportAdjudicated(Event, frozen=True, kw_only=True):
    """A report under a past epoch was adopted or refused."""

    topic = "lease.stale_report_adjudicated"
    report_id: str
    verdict: Verdict
    reason: str


class LeaseClosed(Event, frozen=True, kw_only=True):
    """The execution was over, and the lease is not granted again."""

    topic = "lease.closed"


# --- State ------------------------------------------------------------------------------------------------------------


class WorkerLease(State, frozen=True, kw_only=True):
    """The state of a lease. The holder's fields are None while the lease is free."""

    id: LeaseId
    status: LeaseStatus
    execution_id: ExecutionId
    epoch: int
    """The epoch of the newest grant, starting at 1."""
    worker_id: WorkerId | None = None
    identity: WorkerIdentity | None = None
    engine_id: str = ""
    """The engine that the newest grant was made for; one that took over grants it to its own worker again."""
    process: ProcessIdentity | None = None
    """The newest process of this grant that the worker reported."""
    grace: float = RETURN_GRACE
    """Seconds from going offline to being lost."""
    granted_at: datetime
    last_seen: datetime | None = None
    offline_since: datetime | None = None
    """When the engine noticed that the worker was offline; None while it is online."""
    last_end: GrantEnd | None = None
    """How the previous grant ended."""
    stale_reports: tuple[StaleReport, ...] = ()

    @property
    def unadjudicated(self) -> tuple[StaleReport, ...]:
        """The reports under past epochs that wait for a verdict."""
        return tuple(report for report in self.stale_reports if report.verdict is None)


# --- Commands ---------------------------------------------------------------------------------------------------------


class GrantLease(Command[WorkerLease], frozen=True, kw_only=True):
    """Give a worker the right to run the execution.

    `revoking` names the epoch of a grant that this one replaces in the same step; without it, a held lease is not
    granted. `grace` is in seconds, at least 0.
    """

    emits = (LeaseRevoked, LeaseGranted)
    lease_id: LeaseId
    execution_id: ExecutionId
    worker_id: WorkerId
    identity: WorkerIdentity
    grace: float = RETURN_GRACE
    revoking: int | None = None
    engine_id: str = ""


class GrantCommand(Command[WorkerLease], frozen=True, kw_only=True):
    """Base of the commands about one grant, which its epoch names."""

    epoch: int


class RecordProcess(GrantCommand, frozen=True, kw_only=True):
    """Record the process that the worker started, so that it can be identified when the worker returns."""

    emits = (LeaseProcessStarted,)
    process: ProcessIdentity


class RecordOffline(GrantCommand, frozen=True, kw_only=True):
    """Record that the worker has been silent since `last_seen` (aware)."""

    emits = (WorkerWentOffline,)
    last_seen: Instant


class RecordReturn(GrantCommand, frozen=True, kw_only=True):
    """Record that the worker is back and still has its execution.

    `process` is the process known to the lease, confirmed by the worker from its own records (None if the lease knows
    none). Whatever happened to it in the meantime follows as reports.
    """

    emits = (WorkerReturned,)
    worker_id: WorkerId
    identity: WorkerIdentity
    process: ProcessIdentity | None = None


class DeclareLost(GrantCommand, frozen=True, kw_only=True):
    """Declare the worker lost after the grace period."""

    emits = (LeaseLost,)


class ReleaseLease(GrantCommand, frozen=True, kw_only=True):
    """Return the lease after finishing the work."""

    emits = (LeaseReleased,)
    worker_id: WorkerId


class RevokeLease(Command[WorkerLease], frozen=True, kw_only=True):
    """Take the lease from the worker."""

    emits = (LeaseRevoked,)
    reason: str = ""


class RecordStaleReport(Command[WorkerLease], frozen=True, kw_only=True):
    """Record a report under a past epoch; recording the same one again changes nothing."""

    emits = (StaleReportRecorded,)
    report: LateReport


class AdjudicateStaleReport(Command[WorkerLease], frozen=True, kw_only=True):
    """Adopt or refuse a report under a past epoch."""

    emits = (StaleReportAdjudicated,)
    report_id: str
    verdict: Verdict
    reason: str


class CloseLease(Command[WorkerLease], frozen=True, kw_only=True):
    """End the lease with its execution; reports that still wait for a verdict are refused, on the record."""

    emits = (StaleReportAdjudicated, LeaseClosed)


# --- Table ------------------------------------------------------------------------------------------------------------

_S = LeaseStatus

_TABLE: Table = MappingProxyType(
    {
        None: {LeaseGranted: _S.HELD},
        _S.HELD: {
            LeaseProcessStarted: _S.HELD,
            WorkerWentOffline: _S.OFFLINE,
            LeaseReleased: _S.FREE,
            LeaseRevoked: _S.FREE,
            StaleReportRecorded: _S.HELD,
            StaleReportAdjudicated: _S.HELD,
        },
        _S.OFFLINE: {
            WorkerWentOffline: _S.OFFLINE,
            WorkerReturned: _S.HELD,
            LeaseLost: _S.FREE,
            LeaseRevoked: _S.FREE,
            StaleReportRecorded: _S.OFFLINE,
            StaleReportAdjudicated: _S.OFFLINE,
        },
        _S.FREE: {
            LeaseGranted: _S.HELD,
            StaleReportRecorded: _S.FREE,
            StaleReportAdjudicated: _S.FREE,
            LeaseClosed: _S.CLOSED,
        },
    }
)


# --- Evolve -----------------------------------------------------------------------------------------------------------


def _granted(state: WorkerLease | None, event: LeaseGranted, fact: HappenedFact, status: LeaseStatus) -> WorkerLease:
    return WorkerLease(
        id=event.lease_id,
        status=status,
        execution_id=event.execution_id,
        epoch=event.epoch,
        worker_id=event.worker_id,
        identity=event.identity,
        engine_id=event.engine_id,
        grace=event.grace,
        granted_at=fact.time,
        last_end=state.last_end if state else None,
        stale_reports=state.stale_reports if state else (),
    )


def _freed(end: GrantEnd) -> Evolve[WorkerLease]:
    return sets(worker_id=None, identity=None, process=None, offline_since=None, last_end=end)


def _recorded(state: WorkerLease, event: StaleReportRecorded, fact: HappenedFact, status: LeaseStatus) -> WorkerLease:
    report = StaleReport(recorded_at=fact.time, **asdict(event.report))
    return replace(state, status=status, stale_reports=(*state.stale_reports, report))


def _adjudicated(
    state: WorkerLease, event: StaleReportAdjudicated, fact: HappenedFact, status: LeaseStatus
) -> WorkerLease:
    reports = tuple(
        replace(report, verdict=event.verdict, reason=event.reason, adjudicated_by=fact.actor)
        if report.report_id == event.report_id
        else report
        for report in state.stale_reports
    )
    return replace(state, status=status, stale_reports=reports)


_EVOLVERS: Mapping[type[Event], Evolve[WorkerLease]] = MappingProxyType(
    {
        LeaseGranted: _granted,
        LeaseProcessStarted: sets("process"),
        WorkerWentOffline: sets("last_seen", offline_since=TIME),
        WorkerReturned: sets(last_seen=TIME, offline_since=None),
        LeaseLost: _freed(GrantEnd.LOST),
        LeaseReleased: _freed(GrantEnd.RELEASED),
        LeaseRevoked: _freed(GrantEnd.REVOKED),
        StaleReportRecorded: _recorded,
        StaleReportAdjudicated: _adjudicated,
        LeaseClosed: status_only,
    }
)

WORKER_LEASE = Aggregate(
    name="lease",
    state=WorkerLease,
    statuses=LeaseStatus,
    table=_TABLE,
    evolvers=_EVOLVERS,
)
