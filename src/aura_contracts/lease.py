"""Lease: the right of one worker to run one execution, and the fence against those who no longer have it.

    granted (epoch 1) ──► held ──worker silent──► offline ──grace over──► free (lost)
                          ▲  │                       │
                          │  ├────────returned───────┤
                          │  └──released, revoked────┴──revoked──► free ──closed──► closed
                          └───────────granted (epoch + 1)────────────┘

One lease per execution; it outlives its grants. Each grant raises the **fencing epoch** by one, and whatever a worker
says, it says under an epoch. A report under the epoch in force is applied; under an epoch to come it is refused; under
a past one it is recorded and adjudicated (adopt or refuse), never applied silently and never dropped silently.

Heartbeats are no events: one per worker every 5 s would bury the log. What they change about a lease is.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec.structs import asdict, replace

from aura_contracts.actors import Actor
from aura_contracts.aggregate import Aggregate, Command, Evolve, HappenedFact, State, Table, status_only
from aura_contracts.events import Event, Instant
from aura_contracts.failures import Failure
from aura_contracts.ids import ExecutionId, LeaseId, WorkerId

HEARTBEAT_INTERVAL = 5.0
"""Seconds between two heartbeats of a worker (specification, "Remote Worker Model")."""

OFFLINE_AFTER = 15.0
"""Seconds of silence after which a worker is offline (specification, "Remote Worker Model")."""

RETURN_GRACE = 30.0
"""Seconds that an offline worker has to come back before its executions fail with ``WorkerLost``.

AURA's own choice, long enough for a daemon to be restarted; with 0 a worker is lost as soon as it is offline.
"""

GRACE_LIMIT = 7 * 24 * 3600.0
"""Seconds; a worker that is away for longer than a week is not coming back."""


class LeaseStatus(StrEnum):
    HELD = "held"
    OFFLINE = "offline"
    """Held by a worker that has fallen silent and may still come back."""
    FREE = "free"
    CLOSED = "closed"
    """The execution is over; the lease is never granted again."""


class GrantEnd(StrEnum):
    """How a grant ended."""

    RELEASED = "released"
    LOST = "lost"
    REVOKED = "revoked"


class Verdict(StrEnum):
    """What becomes of a report that came under a past epoch."""

    ADOPT = "adopt"
    REFUSE = "refuse"


class WorkerIdentity(msgspec.Struct, frozen=True, gc=False):
    """Which worker it is, beyond the id it goes by.

    `instance` is a random word that the worker keeps beside its agents' spools: a restarted worker that finds them has
    the same one, a worker that starts with nothing has a new one. It is no secret.
    """

    host: str
    instance: str


class ProcessIdentity(msgspec.Struct, frozen=True, gc=False):
    """Which operating system process it is; a `pid` alone is used again.

    `started` is the start time as the system gives it (Linux: field 22 of ``/proc/PID/stat``), compared as text;
    `token` is the word in the environment of the process by which its descendants are known. It is no secret.
    """

    pid: int
    started: str
    token: str


class LateReport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A report under a past epoch; `digest` is that of the whole report."""

    report_id: str
    epoch: int
    kind: str
    digest: str
    summary: str = ""


class StaleReport(LateReport, frozen=True, kw_only=True, gc=False):
    """What became of a report under a past epoch; `verdict` is None until it is adjudicated."""

    recorded_at: datetime
    verdict: Verdict | None = None
    reason: str = ""
    adjudicated_by: Actor | None = None


# --- Events -----------------------------------------------------------------------------------------------------------


class LeaseGranted(Event, frozen=True, kw_only=True):
    """A worker was given the right to run the execution, under a new epoch. `grace` is in seconds."""

    topic = "lease.granted"
    lease_id: LeaseId
    execution_id: ExecutionId
    worker_id: WorkerId
    identity: WorkerIdentity
    epoch: int
    grace: float


class ProcessStarted(Event, frozen=True, kw_only=True):
    """The worker started a process for the execution; it replaced the one known before."""

    topic = "lease.process_started"
    epoch: int
    process: ProcessIdentity


class WorkerWentOffline(Event, frozen=True, kw_only=True):
    """The worker had been silent since `last_seen`, longer than the offline timeout."""

    topic = "lease.worker_went_offline"
    epoch: int
    last_seen: Instant


class WorkerReturned(Event, frozen=True, kw_only=True):
    """The worker came back within the grace period and still had what it was given."""

    topic = "lease.worker_returned"
    epoch: int


class LeaseLost(Event, frozen=True, kw_only=True):
    """The worker did not come back in time; what it ran failed."""

    topic = "lease.lost"
    epoch: int
    failure: Failure


class LeaseReleased(Event, frozen=True, kw_only=True):
    """The worker gave the lease back, its work done."""

    topic = "lease.released"
    epoch: int


class LeaseRevoked(Event, frozen=True, kw_only=True):
    """The lease was taken from the worker by a human or by the engine."""

    topic = "lease.revoked"
    epoch: int
    reason: str = ""


class StaleReportRecorded(Event, frozen=True, kw_only=True):
    """A worker reported under an epoch that was over; nothing was applied."""

    topic = "lease.stale_report_recorded"
    report: LateReport


class StaleReportAdjudicated(Event, frozen=True, kw_only=True):
    """It was decided whether a report under a past epoch counts."""

    topic = "lease.stale_report_adjudicated"
    report_id: str
    verdict: Verdict
    reason: str


class LeaseClosed(Event, frozen=True, kw_only=True):
    """The execution was over; the lease is granted no more."""

    topic = "lease.closed"


# --- State ------------------------------------------------------------------------------------------------------------


class WorkerLease(State, frozen=True, kw_only=True):
    """What a lease is at some moment. What belongs to the holder is None while nobody holds it."""

    id: LeaseId
    status: LeaseStatus
    execution_id: ExecutionId
    epoch: int
    """The epoch of the newest grant, from 1."""
    worker_id: WorkerId | None = None
    identity: WorkerIdentity | None = None
    process: ProcessIdentity | None = None
    """The newest process of this grant that the worker reported."""
    grace: float = RETURN_GRACE
    """Seconds, from going offline to being lost."""
    granted_at: datetime
    last_seen: datetime | None = None
    offline_since: datetime | None = None
    """When the engine noted that the worker was offline; None while it is not."""
    last_end: GrantEnd | None = None
    """How the grant before ended."""
    stale_reports: tuple[StaleReport, ...] = ()

    def in_force(self, epoch: int, worker_id: WorkerId) -> bool:
        """Whether a report of this worker under this epoch may be applied."""
        return epoch == self.epoch and worker_id == self.worker_id

    @property
    def unadjudicated(self) -> tuple[StaleReport, ...]:
        """The reports under past epochs that nobody has decided about."""
        return tuple(report for report in self.stale_reports if report.verdict is None)


# --- Commands ---------------------------------------------------------------------------------------------------------


class GrantLease(Command[WorkerLease], frozen=True, kw_only=True):
    """Give a worker the right to run the execution.

    `revoking` names the epoch of a grant that this one replaces in the same step; without it a lease that is held is
    not granted. `grace` is in seconds, at least 0.
    """

    emits = (LeaseRevoked, LeaseGranted)
    lease_id: LeaseId
    execution_id: ExecutionId
    worker_id: WorkerId
    identity: WorkerIdentity
    grace: float = RETURN_GRACE
    revoking: int | None = None


class RecordProcess(Command[WorkerLease], frozen=True, kw_only=True):
    """Record the process that the worker started, so that it is known again when the worker comes back."""

    emits = (ProcessStarted,)
    epoch: int
    process: ProcessIdentity


class RecordOffline(Command[WorkerLease], frozen=True, kw_only=True):
    """Record that the worker has been silent since `last_seen` (aware)."""

    emits = (WorkerWentOffline,)
    epoch: int
    last_seen: Instant


class RecordReturn(Command[WorkerLease], frozen=True, kw_only=True):
    """Record that the worker is back and still has what it was given.

    `process` is the one that the lease knows, confirmed by the worker from its own records (None if the lease knows
    none); what happened to it meanwhile follows as reports.
    """

    emits = (WorkerReturned,)
    epoch: int
    worker_id: WorkerId
    identity: WorkerIdentity
    process: ProcessIdentity | None = None


class DeclareLost(Command[WorkerLease], frozen=True, kw_only=True):
    """Give the worker up after the grace period."""

    emits = (LeaseLost,)
    epoch: int


class ReleaseLease(Command[WorkerLease], frozen=True, kw_only=True):
    """Give the lease back, the work done."""

    emits = (LeaseReleased,)
    epoch: int
    worker_id: WorkerId


class RevokeLease(Command[WorkerLease], frozen=True, kw_only=True):
    """Take the lease from the worker."""

    emits = (LeaseRevoked,)
    reason: str = ""


class RecordStaleReport(Command[WorkerLease], frozen=True, kw_only=True):
    """Record a report that came under a past epoch; recording the same one again changes nothing."""

    emits = (StaleReportRecorded,)
    report: LateReport


class AdjudicateStaleReport(Command[WorkerLease], frozen=True, kw_only=True):
    """Decide whether a report under a past epoch counts."""

    emits = (StaleReportAdjudicated,)
    report_id: str
    verdict: Verdict
    reason: str


class CloseLease(Command[WorkerLease], frozen=True, kw_only=True):
    """End the lease with its execution; stale reports that nobody decided about are refused, on the record."""

    emits = (StaleReportAdjudicated, LeaseClosed)


# --- Table ------------------------------------------------------------------------------------------------------------

_S = LeaseStatus

_TABLE: Table = MappingProxyType(
    {
        None: {LeaseGranted: _S.HELD},
        _S.HELD: {
            ProcessStarted: _S.HELD,
            WorkerWentOffline: _S.OFFLINE,
            LeaseReleased: _S.FREE,
            LeaseRevoked: _S.FREE,
            StaleReportRecorded: _S.HELD,
            StaleReportAdjudicated: _S.HELD,
        },
        _S.OFFLINE: {
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
        grace=event.grace,
        granted_at=fact.time,
        last_end=state.last_end if state else None,
        stale_reports=state.stale_reports if state else (),
    )


def _process(state: WorkerLease, event: ProcessStarted, fact: HappenedFact, status: LeaseStatus) -> WorkerLease:
    return replace(state, status=status, process=event.process)


def _offline(state: WorkerLease, event: WorkerWentOffline, fact: HappenedFact, status: LeaseStatus) -> WorkerLease:
    return replace(state, status=status, last_seen=event.last_seen, offline_since=fact.time)


def _returned(state: WorkerLease, event: WorkerReturned, fact: HappenedFact, status: LeaseStatus) -> WorkerLease:
    return replace(state, status=status, last_seen=fact.time, offline_since=None)


def _freed(state: WorkerLease, status: LeaseStatus, end: GrantEnd) -> WorkerLease:
    return replace(state, status=status, worker_id=None, identity=None, process=None, offline_since=None, last_end=end)


def _lost(state: WorkerLease, event: LeaseLost, fact: HappenedFact, status: LeaseStatus) -> WorkerLease:
    return _freed(state, status, GrantEnd.LOST)


def _released(state: WorkerLease, event: LeaseReleased, fact: HappenedFact, status: LeaseStatus) -> WorkerLease:
    return _freed(state, status, GrantEnd.RELEASED)


def _revoked(state: WorkerLease, event: LeaseRevoked, fact: HappenedFact, status: LeaseStatus) -> WorkerLease:
    return _freed(state, status, GrantEnd.REVOKED)


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
        ProcessStarted: _process,
        WorkerWentOffline: _offline,
        WorkerReturned: _returned,
        LeaseLost: _lost,
        LeaseReleased: _released,
        LeaseRevoked: _revoked,
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
    commands=(
        GrantLease,
        RecordProcess,
        RecordOffline,
        RecordReturn,
        DeclareLost,
        ReleaseLease,
        RevokeLease,
        RecordStaleReport,
        AdjudicateStaleReport,
        CloseLease,
    ),
)
