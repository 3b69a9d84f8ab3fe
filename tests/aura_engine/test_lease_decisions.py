"""Leases: one worker at a time, 15 s of silence, a grace period, and nothing of an epoch that is over."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.actors import agent, human, system
from aura_contracts.clocks import CLOCK_TOLERANCE
from aura_contracts.errors import ActorNotAllowed, AggregateNotFound, RuleViolated, TransitionRefused
from aura_contracts.events import Fact
from aura_contracts.failures import FailureReason
from aura_contracts.ids import ProcessIdentity, WorkerIdentity
from aura_contracts.lease import (
    HEARTBEAT_INTERVAL,
    OFFLINE_AFTER,
    RETURN_GRACE,
    WORKER_LEASE,
    AdjudicateStaleReport,
    CloseLease,
    DeclareLost,
    GrantEnd,
    GrantLease,
    LateReport,
    LeaseClosed,
    LeaseGranted,
    LeaseLost,
    LeaseProcessStarted,
    LeaseRevoked,
    LeaseStatus,
    RecordOffline,
    RecordProcess,
    RecordReturn,
    RecordStaleReport,
    ReleaseLease,
    RevokeLease,
    StaleReportAdjudicated,
    Verdict,
)
from aura_engine.decisions import Context
from aura_engine.decisions.lease import GRACE_LIMIT, WORKER_LEASE_DECIDER

LEASE_ID = "0192f0c1-2d3e-7abc-8def-000000000001"
EXECUTION_ID = "0192f0c1-2d3e-7abc-8def-000000000002"
WORKER, OTHER_WORKER = "0192f0c1-2d3e-7abc-8def-00000000000a", "0192f0c1-2d3e-7abc-8def-00000000000b"

START = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ENGINE, ALICE, AGENT = system("engine"), human("alice"), agent("0192f0c1-2d3e-7abc-8def-00000000000c")
IDENTITY = WorkerIdentity(host="build-1", instance="k3v9")
PROCESS = ProcessIdentity(pid=4711, started="8812345", token="f00d")
REPORT = {"report_id": "r-1", "epoch": 1, "kind": "finished", "digest": "5f2c", "summary": "3 files changed"}


def grant(worker=WORKER, **fields):
    return GrantLease(
        **{"lease_id": LEASE_ID, "execution_id": EXECUTION_ID, "worker_id": worker, "identity": IDENTITY} | fields
    )


class Story:
    """The events of one lease so far, on a clock that only `later` moves."""

    def __init__(self, **fields):
        self.facts, self.now = [], START
        self.do(grant(**fields))

    @property
    def state(self):
        return WORKER_LEASE.fold(self.facts)

    def do(self, command, by=ENGINE):
        context = Context(actor=by, now=self.now)
        decision = WORKER_LEASE_DECIDER.decide(LEASE_ID, self.state, command, context)
        self.facts += [Fact(event, self.now, by, "", "") for event in decision.events]
        assert decision.state == self.state
        return list(decision.events)

    def later(self, seconds):
        self.now += timedelta(seconds=seconds)
        return self

    def offline(self, epoch=1):
        last_seen = self.now
        self.later(OFFLINE_AFTER).do(RecordOffline(epoch=epoch, last_seen=last_seen))
        return self

    def freed(self, end):
        """End the grant in force."""
        epoch = self.state.epoch
        if end is GrantEnd.RELEASED:
            self.do(ReleaseLease(epoch=epoch, worker_id=self.state.worker_id))
        elif end is GrantEnd.REVOKED:
            self.do(RevokeLease())
        else:
            self.offline(epoch).later(RETURN_GRACE).do(DeclareLost(epoch=epoch))
        return self


@contextmanager
def refused(rule):
    """Expect a rule of this name to refuse, with all facts."""
    with pytest.raises(RuleViolated) as refusal:
        yield refusal
    error = refusal.value
    assert (error.aggregate, error.aggregate_id, error.rule) == ("lease", LEASE_ID, rule)
    assert error.reason


def back(**fields):
    return RecordReturn(**{"epoch": 1, "worker_id": WORKER, "identity": IDENTITY} | fields)


every_end = pytest.mark.parametrize("end", GrantEnd)


# --- Grants -----------------------------------------------------------------------------------------------------------


def test_heartbeat_and_timeout_are_those_that_were_asked_for():
    assert (HEARTBEAT_INTERVAL, OFFLINE_AFTER) == (5.0, 15.0)


def test_the_first_grant_is_epoch_one():
    state = Story().state
    assert (state.id, state.status, state.epoch) == (LEASE_ID, LeaseStatus.HELD, 1)
    assert (state.execution_id, state.worker_id, state.identity) == (EXECUTION_ID, WORKER, IDENTITY)
    assert (state.granted_at, state.grace) == (START, RETURN_GRACE)


@every_end
def test_each_further_grant_raises_the_epoch_by_one(end):
    story = Story().freed(end)
    assert (story.state.status, story.state.worker_id, story.state.last_end) == (LeaseStatus.FREE, None, end)
    story.do(grant(OTHER_WORKER))
    assert (story.state.status, story.state.epoch, story.state.worker_id) == (LeaseStatus.HELD, 2, OTHER_WORKER)
    story.freed(end).do(grant())
    assert (story.state.epoch, story.state.worker_id) == (3, WORKER)


def test_a_lease_that_is_held_is_not_granted_to_anybody():
    for story in (Story(), Story().offline()):
        with refused("held") as refusal:
            story.do(grant(OTHER_WORKER))
        assert WORKER in refusal.value.reason


def test_a_lease_is_handed_over_in_one_step_when_asked():
    for story in (Story(), Story().offline()):
        revoked, granted = story.do(grant(OTHER_WORKER, revoking=1))
        assert (type(revoked), revoked.epoch) == (LeaseRevoked, 1)
        assert (type(granted), granted.epoch, granted.worker_id) == (LeaseGranted, 2, OTHER_WORKER)
        assert story.state.last_end is GrantEnd.REVOKED


def test_a_hand_over_names_the_epoch_that_is_in_force():
    story = Story().freed(GrantEnd.RELEASED)
    story.do(grant())
    with refused("held"):
        story.do(grant(OTHER_WORKER, revoking=1))


def test_a_lease_is_for_one_execution():
    with refused("other_execution") as refusal:
        Story().freed(GrantEnd.RELEASED).do(grant(execution_id=LEASE_ID))
    assert EXECUTION_ID in refusal.value.reason


@pytest.mark.parametrize("grace", [-1.0, GRACE_LIMIT + 1, float("inf"), float("nan")])
def test_a_grace_period_is_a_number_of_seconds_that_ends(grace):
    with refused("grace"):
        Story(grace=grace)


def test_agents_have_no_say_in_where_they_run():
    with pytest.raises(ActorNotAllowed):
        Story().do(RevokeLease(), by=AGENT)
    context = Context(actor=AGENT, now=START)
    with pytest.raises(ActorNotAllowed):
        WORKER_LEASE_DECIDER.decide(LEASE_ID, None, grant(), context)


def test_what_was_never_granted_cannot_be_released():
    context = Context(actor=ENGINE, now=START)
    with pytest.raises(AggregateNotFound):
        WORKER_LEASE_DECIDER.decide(LEASE_ID, None, ReleaseLease(epoch=1, worker_id=WORKER), context)


# --- Silence and return -----------------------------------------------------------------------------------------------


def test_a_worker_is_offline_after_15_seconds_of_silence():
    story = Story().later(60)
    last_seen = story.now - timedelta(seconds=14.9)
    with refused("not_silent") as refusal:
        story.do(RecordOffline(epoch=1, last_seen=last_seen))
    assert "14.9 s" in refusal.value.reason
    story.later(0.1).do(RecordOffline(epoch=1, last_seen=last_seen))
    assert (story.state.status, story.state.last_seen, story.state.offline_since) == ("offline", last_seen, story.now)
    assert story.state.worker_id == WORKER


@given(st.floats(0, 3600))
def test_no_shorter_silence_makes_a_worker_offline(silence):
    story = Story()
    command = RecordOffline(epoch=1, last_seen=story.now - timedelta(seconds=silence))
    if timedelta(seconds=silence) < timedelta(seconds=OFFLINE_AFTER):
        with refused("not_silent"):
            story.do(command)
    else:
        story.do(command)
        assert story.state.status is LeaseStatus.OFFLINE


def test_a_time_without_zone_says_nothing_about_silence():
    with refused("last_seen"):
        Story().do(RecordOffline(epoch=1, last_seen=START.replace(tzinfo=None)))


def test_a_worker_that_comes_back_in_time_goes_on():
    story = Story()
    story.do(RecordProcess(epoch=1, process=PROCESS))
    story.offline().later(RETURN_GRACE).do(back(process=PROCESS))
    assert (story.state.status, story.state.epoch, story.state.offline_since) == (LeaseStatus.HELD, 1, None)
    assert (story.state.worker_id, story.state.process) == (WORKER, PROCESS)


@pytest.mark.parametrize("back", [CLOCK_TOLERANCE + OFFLINE_AFTER, 365 * 86_400.0])
def test_after_the_clock_was_set_back_the_grace_period_begins_again(back):
    story = Story().later(-back)
    story.do(RecordOffline(epoch=1, last_seen=story.state.granted_at))
    assert story.state.offline_since == story.now
    assert story.do(RecordOffline(epoch=1, last_seen=story.state.granted_at)) == []
    story.later(-back).do(RecordOffline(epoch=1, last_seen=story.state.granted_at))
    assert story.state.offline_since == story.now
    with pytest.raises(RuleViolated):
        story.later(RETURN_GRACE - 1).do(DeclareLost(epoch=1))
    assert isinstance(story.later(1).do(DeclareLost(epoch=1))[0], LeaseLost)


def test_a_worker_may_be_offline_more_than_once():
    story = Story().offline()
    story.do(back())
    story.offline().later(RETURN_GRACE - 1)
    story.do(back())
    assert story.state.status is LeaseStatus.HELD


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"worker_id": OTHER_WORKER}, "other_worker"),
        ({"identity": WorkerIdentity(host="build-1", instance="new")}, "other_identity"),
        ({"process": None}, "other_process"),
        ({"process": ProcessIdentity(pid=4711, started="9999999", token="f00d")}, "other_process"),
        ({"epoch": 2}, "unknown_epoch"),
    ],
)
def test_only_the_worker_that_has_what_it_was_given_comes_back(fields, rule):
    story = Story()
    story.do(RecordProcess(epoch=1, process=PROCESS))
    story.offline()
    with refused(rule):
        story.do(back(**{"process": PROCESS} | fields))


def test_a_return_under_an_epoch_that_is_over_is_refused():
    story = Story().freed(GrantEnd.LOST)
    story.do(grant())
    story.offline(epoch=2)
    with refused("stale_epoch") as refusal:
        story.do(back(epoch=1))
    assert "stale report" in refusal.value.remedy


def test_a_return_after_the_grace_period_is_too_late():
    with refused("grace_over"):
        Story().offline().later(RETURN_GRACE + 0.1).do(back())


def test_a_worker_is_lost_only_when_its_grace_is_over():
    story = Story(grace=20.0).offline().later(19.5)
    with refused("grace") as refusal:
        story.do(DeclareLost(epoch=1))
    assert "0.5 s" in refusal.value.reason
    (lost,) = story.later(0.5).do(DeclareLost(epoch=1))
    assert isinstance(lost, LeaseLost)
    assert (lost.failure.reason, lost.failure.retryable) == (FailureReason.WORKER_LOST, True)
    assert WORKER in lost.failure.message
    assert (story.state.status, story.state.last_end, story.state.worker_id) == ("free", GrantEnd.LOST, None)


def test_without_grace_an_offline_worker_is_lost_at_once():
    story = Story(grace=0.0).offline()
    story.do(DeclareLost(epoch=1))
    assert story.state.status is LeaseStatus.FREE


def test_a_worker_that_is_heard_of_is_not_lost():
    with pytest.raises(TransitionRefused) as refusal:
        Story().later(3600).do(DeclareLost(epoch=1))
    assert (refusal.value.status, refusal.value.allowed_in) == ("held", ("offline",))


# --- Work and its end -------------------------------------------------------------------------------------------------


def test_the_process_is_recorded_when_it_changes_and_forgotten_with_the_grant():
    story = Story()
    assert story.do(RecordProcess(epoch=1, process=PROCESS)) == [LeaseProcessStarted(epoch=1, process=PROCESS)]
    assert story.do(RecordProcess(epoch=1, process=PROCESS)) == []
    assert story.freed(GrantEnd.RELEASED).state.process is None


def test_only_the_holder_releases():
    with refused("other_worker") as refusal:
        Story().do(ReleaseLease(epoch=1, worker_id=OTHER_WORKER))
    assert WORKER in refusal.value.reason


def test_a_human_revokes_with_a_reason():
    for story in (Story(), Story().offline()):
        assert story.do(RevokeLease(reason="drain"), by=ALICE) == [LeaseRevoked(epoch=1, reason="drain")]
        assert (story.state.status, story.state.last_end) == (LeaseStatus.FREE, GrantEnd.REVOKED)


@pytest.mark.parametrize(
    "command",
    [
        RecordProcess(epoch=1, process=PROCESS),
        RecordOffline(epoch=1, last_seen=START),
        ReleaseLease(epoch=1, worker_id=WORKER),
    ],
)
def test_nothing_said_under_an_epoch_that_is_over_touches_the_grant_in_force(command):
    story = Story().freed(GrantEnd.REVOKED)
    story.do(grant())
    before = story.later(60).state
    with refused("stale_epoch"):
        story.do(command)
    assert story.state == before


@pytest.mark.parametrize("epoch", [2, 0])
@pytest.mark.parametrize(
    "command",
    [
        lambda epoch: RecordProcess(epoch=epoch, process=PROCESS),
        lambda epoch: RecordOffline(epoch=epoch, last_seen=START),
        lambda epoch: ReleaseLease(epoch=epoch, worker_id=WORKER),
        lambda epoch: RecordStaleReport(report=LateReport(**REPORT | {"epoch": epoch})),
    ],
)
def test_no_report_is_taken_under_an_epoch_that_was_never_granted(command, epoch):
    with refused("unknown_epoch"):
        Story().later(60).do(command(epoch))


# --- Stale reports ----------------------------------------------------------------------------------------------------


def test_a_report_under_the_epoch_in_force_is_to_be_applied_not_recorded():
    for story in (Story(), Story().offline()):
        with refused("not_stale"):
            story.do(RecordStaleReport(report=LateReport(**REPORT)))


@every_end
def test_a_report_under_an_epoch_that_is_over_is_recorded_and_changes_nothing_else(end):
    story = Story().freed(end)
    story.do(RecordStaleReport(report=LateReport(**REPORT)))
    assert story.state.status is LeaseStatus.FREE
    story.do(grant(OTHER_WORKER))
    story.do(RecordStaleReport(report=LateReport(**REPORT | {"report_id": "r-2"})))
    assert (story.state.status, story.state.worker_id, story.state.epoch) == (LeaseStatus.HELD, OTHER_WORKER, 2)
    first, second = story.state.unadjudicated
    assert (first.report_id, first.epoch, first.kind, first.digest) == ("r-1", 1, "finished", "5f2c")
    assert (second.report_id, second.summary, second.recorded_at) == ("r-2", "3 files changed", story.now)


def test_the_same_report_twice_is_recorded_once():
    story = Story().freed(GrantEnd.LOST)
    story.do(RecordStaleReport(report=LateReport(**REPORT)))
    assert story.do(RecordStaleReport(report=LateReport(**REPORT))) == []


def test_another_report_under_the_same_id_is_not_taken_for_the_first():
    story = Story().freed(GrantEnd.LOST)
    story.do(RecordStaleReport(report=LateReport(**REPORT)))
    with refused("report_id_reused"):
        story.do(RecordStaleReport(report=LateReport(**REPORT | {"digest": "0000"})))


@pytest.mark.parametrize("verdict", Verdict)
def test_a_report_is_adjudicated_once_by_somebody_for_a_reason(verdict):
    story = Story().freed(GrantEnd.LOST)
    story.do(RecordStaleReport(report=LateReport(**REPORT)))
    story.do(AdjudicateStaleReport(report_id="r-1", verdict=verdict, reason="looked at the diff"), by=ALICE)
    (report,) = story.state.stale_reports
    assert (report.verdict, report.reason, report.adjudicated_by) == (verdict, "looked at the diff", ALICE)
    assert story.state.unadjudicated == ()
    with refused("already_adjudicated") as refusal:
        story.do(AdjudicateStaleReport(report_id="r-1", verdict=Verdict.ADOPT, reason="no"))
    assert "alice" in refusal.value.reason


def test_a_verdict_is_about_a_recorded_report():
    with refused("unknown_report"):
        Story().do(AdjudicateStaleReport(report_id="r-9", verdict=Verdict.ADOPT, reason="because"))


def test_a_verdict_has_a_reason():
    story = Story().freed(GrantEnd.LOST)
    story.do(RecordStaleReport(report=LateReport(**REPORT)))
    with refused("reason_required"):
        story.do(AdjudicateStaleReport(report_id="r-1", verdict=Verdict.REFUSE, reason=" "))


# --- The end ----------------------------------------------------------------------------------------------------------


def test_what_nobody_adjudicated_is_refused_on_the_record_when_the_execution_is_over():
    story = Story().freed(GrantEnd.LOST)
    for number in (1, 2):
        story.do(RecordStaleReport(report=LateReport(**REPORT | {"report_id": f"r-{number}"})))
    story.do(AdjudicateStaleReport(report_id="r-1", verdict=Verdict.ADOPT, reason="complete"), by=ALICE)
    refusal, closed = story.do(CloseLease())
    assert (type(refusal), refusal.report_id, refusal.verdict) == (StaleReportAdjudicated, "r-2", Verdict.REFUSE)
    assert closed == LeaseClosed()
    assert story.state.status is LeaseStatus.CLOSED
    assert [report.verdict for report in story.state.stale_reports] == ["adopt", "refuse"]


def test_a_lease_that_is_held_is_not_closed():
    for story in (Story(), Story().offline()):
        with refused("held"):
            story.do(CloseLease())


def test_a_closed_lease_is_never_granted_again():
    story = Story().freed(GrantEnd.RELEASED)
    story.do(CloseLease())
    with pytest.raises(TransitionRefused) as refusal:
        story.do(grant())
    assert refusal.value.status == "closed"
    with pytest.raises(TransitionRefused):
        story.do(RecordStaleReport(report=LateReport(**REPORT)))
