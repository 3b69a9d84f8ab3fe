"""Decisions about leases.

Source: specification, "Remote Worker Model" and "Worker protocol and lease timeout semantics".

Who may do what: workers report through AURA (``system:``), humans may revoke and adjudicate; agents do not choose
where they run. The time comes with the context and the silence with the command, so nothing here waits or reads a
clock.
"""

from datetime import timedelta

from aura_contracts.clocks import is_ahead
from aura_contracts.errors import DomainRule
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.lease import (
    GRACE_LIMIT,
    OFFLINE_AFTER,
    WORKER_LEASE,
    AdjudicateStaleReport,
    CloseLease,
    DeclareLost,
    GrantLease,
    LeaseClosed,
    LeaseGranted,
    LeaseLost,
    LeaseProcessStarted,
    LeaseReleased,
    LeaseRevoked,
    LeaseStatus,
    RecordOffline,
    RecordProcess,
    RecordReturn,
    RecordStaleReport,
    ReleaseLease,
    RevokeLease,
    StaleReportAdjudicated,
    StaleReportRecorded,
    Verdict,
    WorkerLease,
    WorkerReturned,
    WorkerWentOffline,
)
from aura_engine.decisions._decider import Context, Decider, Events, RuleBroken, no_agent, require_zone

_no_agent = no_agent("agents have no say in where they run")


def _require_granted(state: WorkerLease, epoch: int) -> None:
    """Refuse an epoch that has not been granted yet (or is before the first, 1)."""
    if not 1 <= epoch <= state.epoch:
        reason = f"epoch {epoch} was never granted; the newest is {state.epoch}"
        raise RuleBroken("unknown_epoch", reason)


def _require_epoch(state: WorkerLease, epoch: int) -> None:
    """Refuse a change to the current grant under an earlier epoch."""
    _require_granted(state, epoch)
    if epoch < state.epoch:
        reason = f"epoch {epoch} is over; the epoch in force is {state.epoch}"
        raise RuleBroken(DomainRule.STALE_EPOCH, reason, "record it as a stale report, to be adjudicated")


def _require_holder(state: WorkerLease, command: RecordReturn | ReleaseLease) -> None:
    if command.worker_id != state.worker_id:
        reason = f"worker {command.worker_id} does not hold the lease; worker {state.worker_id} does"
        raise RuleBroken("other_worker", reason)


def _grant(state: WorkerLease | None, command: GrantLease, context: Context) -> Events:
    if not 0 <= command.grace <= GRACE_LIMIT:
        reason = f"a grace period is between 0 and {GRACE_LIMIT:.0f} seconds, not {command.grace}"
        raise RuleBroken("grace", reason)
    granted = LeaseGranted(
        lease_id=command.lease_id,
        execution_id=command.execution_id,
        worker_id=command.worker_id,
        identity=command.identity,
        epoch=1 if state is None else state.epoch + 1,
        grace=command.grace,
        engine_id=command.engine_id,
    )
    if state is None:
        return [granted]
    if command.execution_id != state.execution_id:
        reason = f"the lease is for execution {state.execution_id}, not for {command.execution_id}"
        raise RuleBroken("other_execution", reason, "use the lease of that execution")
    if state.worker_id is None:
        return [granted]
    if command.revoking != state.epoch:
        reason = f"worker {state.worker_id} holds it under epoch {state.epoch}"
        raise RuleBroken(DomainRule.HELD, reason, "wait until it is free, or revoke it")
    to = "another engine" if command.worker_id == state.worker_id else f"worker {command.worker_id}"
    return [LeaseRevoked(epoch=state.epoch, reason=f"handed over to {to}"), granted]


def _record_process(state: WorkerLease, command: RecordProcess, context: Context) -> Events:
    _require_epoch(state, command.epoch)
    if command.process == state.process:
        return []
    return [LeaseProcessStarted(epoch=command.epoch, process=command.process)]


def _record_offline(state: WorkerLease, command: RecordOffline, context: Context) -> Events:
    _require_epoch(state, command.epoch)
    require_zone("last_seen", command.last_seen)
    if state.offline_since is not None and not is_ahead(state.offline_since, context.now):
        return []
    silence = (context.now - command.last_seen).total_seconds()
    if silence < OFFLINE_AFTER and not is_ahead(command.last_seen, context.now):
        reason = f"worker {state.worker_id} was heard of {silence:.1f} s ago; it is offline after {OFFLINE_AFTER:g} s"
        raise RuleBroken("not_silent", reason)
    return [WorkerWentOffline(epoch=command.epoch, last_seen=command.last_seen)]


def _grace_left(state: WorkerLease, context: Context) -> timedelta:
    assert state.offline_since is not None, "a worker is offline since some moment"
    return state.offline_since + timedelta(seconds=state.grace) - context.now


def _record_return(state: WorkerLease, command: RecordReturn, context: Context) -> Events:
    _require_epoch(state, command.epoch)
    _require_holder(state, command)
    if command.identity != state.identity:
        reason = f"the lease was granted to {state.identity}, not to {command.identity}"
        raise RuleBroken("other_identity", reason, "end what still runs there")
    if command.process != state.process:
        reason = f"the lease knows {state.process or 'no process'}, the worker has {command.process or 'none'}"
        raise RuleBroken("other_process", reason, "end what still runs there")
    if (left := _grace_left(state, context)) < timedelta(0):
        reason = f"the {state.grace:g} s of grace were over {-left.total_seconds():.1f} s ago"
        raise RuleBroken("grace_over", reason, "end what still runs there")
    return [WorkerReturned(epoch=command.epoch)]


def _declare_lost(state: WorkerLease, command: DeclareLost, context: Context) -> Events:
    _require_epoch(state, command.epoch)
    if (left := _grace_left(state, context)) > timedelta(0):
        reason = f"worker {state.worker_id} has {left.total_seconds():.1f} s left to come back"
        raise RuleBroken("grace", reason, "wait, or revoke the lease")
    message = f"worker {state.worker_id} was last heard of at {state.last_seen} and did not come back"
    return [LeaseLost(epoch=command.epoch, failure=Failure(FailureReason.WORKER_LOST, message))]


def _release(state: WorkerLease, command: ReleaseLease, context: Context) -> Events:
    _require_epoch(state, command.epoch)
    _require_holder(state, command)
    return [LeaseReleased(epoch=command.epoch)]


def _revoke(state: WorkerLease, command: RevokeLease, context: Context) -> Events:
    return [LeaseRevoked(epoch=state.epoch, reason=command.reason)]


def _record_stale(state: WorkerLease, command: RecordStaleReport, context: Context) -> Events:
    report = command.report
    _require_granted(state, report.epoch)
    if report.epoch == state.epoch and state.worker_id is not None:
        reason = f"epoch {report.epoch} is in force"
        raise RuleBroken("not_stale", reason, "apply the report")
    known = next((one for one in state.stale_reports if one.report_id == report.report_id), None)
    if known is None:
        return [StaleReportRecorded(report=report)]
    if (known.epoch, known.kind, known.digest) != (report.epoch, report.kind, report.digest):
        reason = f"report {report.report_id} is recorded with other content ({known.kind}, {known.digest})"
        raise RuleBroken("report_id_reused", reason, "give each report an id of its own")
    return []


def _adjudicate(state: WorkerLease, command: AdjudicateStaleReport, context: Context) -> Events:
    known = next((report for report in state.stale_reports if report.report_id == command.report_id), None)
    if known is None:
        raise RuleBroken("unknown_report", f"no stale report {command.report_id} is recorded")
    if known.verdict is not None:
        reason = f"{known.adjudicated_by} decided to {known.verdict} report {command.report_id}"
        raise RuleBroken("already_adjudicated", reason)
    if not command.reason.strip():
        raise RuleBroken("reason_required", "say why the report counts or does not")
    return [StaleReportAdjudicated(report_id=command.report_id, verdict=command.verdict, reason=command.reason)]


def _close(state: WorkerLease, command: CloseLease, context: Context) -> Events:
    if state.status is not LeaseStatus.FREE:
        reason = f"worker {state.worker_id} holds it under epoch {state.epoch}"
        raise RuleBroken(DomainRule.HELD, reason, "release or revoke it first")
    refused = [
        StaleReportAdjudicated(report_id=r.report_id, verdict=Verdict.REFUSE, reason="the execution is over")
        for r in state.unadjudicated
    ]
    return [*refused, LeaseClosed()]


WORKER_LEASE_DECIDER = Decider(
    WORKER_LEASE,
    {
        GrantLease: (_no_agent, _grant),
        RecordProcess: (_no_agent, _record_process),
        RecordOffline: (_no_agent, _record_offline),
        RecordReturn: (_no_agent, _record_return),
        DeclareLost: (_no_agent, _declare_lost),
        ReleaseLease: (_no_agent, _release),
        RevokeLease: (_no_agent, _revoke),
        RecordStaleReport: (_no_agent, _record_stale),
        AdjudicateStaleReport: (_no_agent, _adjudicate),
        CloseLease: (_no_agent, _close),
    },
)
