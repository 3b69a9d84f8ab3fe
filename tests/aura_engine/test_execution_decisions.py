"""Executions: stage after stage, under one worker at a time, and what happens when something fails."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.actors import agent, human, system
from aura_contracts.entries import Finished, ToolFinished, Usage
from aura_contracts.errors import ActorNotAllowed, AggregateExists, AggregateNotFound, RuleViolated, TransitionRefused
from aura_contracts.events import Fact
from aura_contracts.execution import (
    EXECUTION,
    RUNNING_STAGES,
    AgentFinished,
    CallMade,
    CancelExecution,
    CleanupFinished,
    CodingChangedNothing,
    CodingFinished,
    CompleteExecution,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionLeased,
    ExecutionSpec,
    ExecutionStatus,
    Exit,
    FailExecution,
    FinishCleanup,
    FinishCoding,
    FinishPreparation,
    FinishSetup,
    FollowUpRequested,
    InterruptRequested,
    LeaseExecution,
    LoseWorker,
    Outcome,
    PermissionAnswered,
    PermissionAsked,
    ProcessStarted,
    ProgressReported,
    QueueExecution,
    RecordAction,
    RecordProcessExit,
    RecordProcessStart,
    RecordSession,
    RecordStageFailure,
    RecordUsage,
    RequestFollowUp,
    RequestInterrupt,
    RetryStage,
    SessionRecorded,
    StageRetried,
    StageRetryScheduled,
    StartPreparation,
    SupervisedProcess,
)
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ProcessIdentity
from aura_contracts.task import RetryPolicy
from aura_engine.decisions import Context
from aura_engine.decisions.execution import EXECUTION_DECIDER

EXECUTION_ID = "0192f0c1-2d3e-7abc-8def-000000000001"
TASK_ID = "0192f0c1-2d3e-7abc-8def-000000000002"
WORKSPACE_ID = "0192f0c1-2d3e-7abc-8def-000000000003"
LEASE_ID = "0192f0c1-2d3e-7abc-8def-000000000004"
WORKER_ID = "0192f0c1-2d3e-7abc-8def-000000000005"
OTHER_ID = "0192f0c1-2d3e-7abc-8def-000000000006"
APPROVAL_ID = "0192f0c1-2d3e-7abc-8def-00000000000a"
AGENT_ID = "0192f0c1-2d3e-7abc-8def-000000000007"

START = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ENGINE, WORKER, ALICE = system("engine"), system("worker"), human("alice")
AGENT, STRANGER = agent(AGENT_ID), agent(OTHER_ID)
PROCESS = SupervisedProcess(ProcessIdentity(pid=4711, started="8123", token="word"), "/run/aura/4711.sock")
FAILURE = Failure(FailureReason.STAGE_ERROR, "npm ci failed", exit_code=1)
THREE_FILES = Outcome(changed_files=3, lines_added=40, lines_removed=2, commits={"shop": "4f2a"})
S = ExecutionStatus


class Story:
    """The events of one execution so far; each command is decided on what they fold to."""

    def __init__(self, upto=S.QUEUED, by=ALICE, **request):
        self.facts = []
        self.now = START
        fields = {
            "task_id": TASK_ID,
            "executor": "claude",
            "prompt": "Add an index.",
            "agent_id": AGENT_ID,
            "agent_type": "database",
        }
        self.do(QueueExecution(execution_id=EXECUTION_ID, spec=ExecutionSpec(**fields | request)), by=by)
        for status, commands in WAY:
            if self.state.status is upto:
                break
            for command in commands:
                self.do(command)
            assert self.state.status is status

    @property
    def state(self):
        return EXECUTION.fold(self.facts)

    def do(self, command, by=WORKER, after=1.0):
        self.now += timedelta(seconds=after)
        if isinstance(command, RequestFollowUp | CompleteExecution) and by is WORKER:
            by = ENGINE
        decision = EXECUTION_DECIDER.decide(EXECUTION_ID, self.state, command, Context(actor=by, now=self.now))
        self.facts += [Fact(event, self.now, by, "", "") for event in decision.events]
        assert decision.state == self.state
        return list(decision.events)


def lease(epoch=1, worker_id=WORKER_ID, lease_id=LEASE_ID):
    return LeaseExecution(lease_id=lease_id, epoch=epoch, worker_id=worker_id)


WAY = [
    (S.PREPARE_WORKSPACE, [lease(), StartPreparation(epoch=1)]),
    (S.SETUP, [FinishPreparation(epoch=1, workspace_id=WORKSPACE_ID)]),
    (S.CODING_INITIAL, [FinishSetup(epoch=1)]),
    (S.CLEANUP, [FinishCoding(epoch=1, outcome=THREE_FILES)]),
    (S.REVIEW, [FinishCleanup(epoch=1)]),
    (S.CODING_FOLLOW_UP, [RequestFollowUp(feedback="Add a test.")]),
]

each_stage = pytest.mark.parametrize("stage", [status for status in S if status in RUNNING_STAGES])
each_coding_stage = pytest.mark.parametrize("stage", [S.CODING_INITIAL, S.CODING_FOLLOW_UP])


@contextmanager
def refused(rule):
    """Expect a rule of this name to refuse, with all facts."""
    with pytest.raises(RuleViolated) as refusal:
        yield refusal
    error = refusal.value
    assert (error.aggregate, error.aggregate_id, error.rule) == ("execution", EXECUTION_ID, rule)
    assert error.reason


def reports(stage):
    """A report of every kind that is possible in `stage`, under epoch 1."""
    step = {
        S.PREPARE_WORKSPACE: FinishPreparation(epoch=1, workspace_id=WORKSPACE_ID),
        S.SETUP: FinishSetup(epoch=1),
        S.CODING_INITIAL: FinishCoding(epoch=1, outcome=THREE_FILES),
        S.CLEANUP: FinishCleanup(epoch=1),
        S.REVIEW: RecordSession(epoch=1, session_id="s"),
        S.CODING_FOLLOW_UP: RecordSession(epoch=1, session_id="s"),
    }
    return [
        step[stage],
        RecordStageFailure(epoch=1, failure=FAILURE),
        RecordProcessStart(epoch=1, process=PROCESS),
        RecordProcessExit(epoch=1, exit=Exit(token="word")),
        RecordUsage(epoch=1, usage=Usage(output_tokens=1)),
        RecordAction(epoch=1, action=ProgressReported(message="half")),
        LoseWorker(epoch=1),
    ]


# --- The stages -------------------------------------------------------------------------------------------------------


def test_the_statuses_are_the_words_of_the_specification():
    way = ["Queued", "PrepareWorkspace", "Setup", "CodingInitial", "Cleanup", "Review", "CodingFollowUp"]
    assert [str(status) for status in S] == [*way, "Done", "Failed", "Cancelled"]
    assert set(way[1:]) == RUNNING_STAGES
    assert EXECUTION.final == {"Done", "Failed", "Cancelled"}


def test_a_run_goes_from_stage_to_stage():
    story = Story(S.REVIEW)
    assert story.do(CompleteExecution(), by=ALICE) == [ExecutionCompleted()]
    execution = story.state
    assert (execution.status, execution.running) == ("Done", False)
    assert (execution.workspace_id, execution.outcome) == (WORKSPACE_ID, THREE_FILES)
    assert (execution.queued_by, execution.queued_at) == (ALICE, START + timedelta(seconds=1))
    assert execution.started_at == START + timedelta(seconds=3)
    assert execution.ended_at == story.now


def test_no_stage_is_left_out():
    commands = [command for _, way in WAY for command in way[-1:]] + [CompleteExecution()]
    for at, (stage, _) in enumerate(WAY):
        possible = {at + 1} | ({at + 2} if stage is S.REVIEW else set())  # from review: once more, or done
        possible |= {3} if stage is S.CODING_FOLLOW_UP else set()  # which ends as the coding before it ended
        for number, command in enumerate(commands):
            if number not in possible:
                with pytest.raises(TransitionRefused):
                    Story(stage).do(command)


@each_coding_stage
def test_coding_that_changed_nothing_skips_cleanup(stage):
    story = Story(stage)
    assert story.do(FinishCoding(epoch=1, outcome=Outcome(changed_files=0))) == [CodingChangedNothing()]
    assert story.state.status == "Review"


def test_a_follow_up_that_changed_nothing_leaves_what_was_there():
    story = Story(S.CODING_FOLLOW_UP)
    story.do(FinishCoding(epoch=1, outcome=Outcome(changed_files=0)))
    assert story.state.outcome == THREE_FILES


@each_coding_stage
def test_coding_that_changed_something_is_cleaned_up(stage):
    story = Story(stage)
    outcome = Outcome(changed_files=1)
    assert story.do(FinishCoding(epoch=1, outcome=outcome)) == [CodingFinished(outcome=outcome)]
    assert story.state.outcome == outcome
    assert story.do(FinishCleanup(epoch=1)) == [CleanupFinished()]
    assert story.state.status == "Review"


def test_a_review_may_ask_for_more_again_and_again():
    story = Story(S.REVIEW)
    assert story.do(RequestFollowUp(feedback="Add a test."), by=ALICE) == [
        FollowUpRequested(feedback="Add a test.", prompt="Add a test.")
    ]
    story.do(FinishCoding(epoch=1, outcome=THREE_FILES))
    story.do(FinishCleanup(epoch=1))
    story.do(RequestFollowUp(feedback="Name it well.", prompt="The reviewer says: Name it well."), by=ENGINE)
    execution = story.state
    assert (execution.status, execution.follow_ups) == ("CodingFollowUp", 2)
    assert (execution.feedback, execution.prompt) == ("Name it well.", "The reviewer says: Name it well.")


@pytest.mark.parametrize(
    "command",
    [RequestFollowUp(feedback=""), RequestFollowUp(feedback=" \n"), RequestFollowUp(feedback="x", prompt=" ")],
)
def test_a_follow_up_needs_words(command):
    with refused("feedback_required"):
        Story(S.REVIEW).do(command, by=ALICE)


def test_what_git_cannot_have_counted_is_refused():
    with refused("outcome"):
        Story(S.CODING_INITIAL).do(FinishCoding(epoch=1, outcome=Outcome(changed_files=-1)))


def test_the_workspace_that_was_asked_for_is_prepared():
    story = Story(S.PREPARE_WORKSPACE, workspace_id=OTHER_ID)
    with refused("other_workspace"):
        story.do(FinishPreparation(epoch=1, workspace_id=WORKSPACE_ID))
    story.do(FinishPreparation(epoch=1, workspace_id=OTHER_ID))
    assert story.state.workspace_id == OTHER_ID


# --- Asking -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "request_"),
    [
        ("executor", {"executor": " "}),
        ("prompt", {"prompt": ""}),
        ("retry", {"retry": RetryPolicy(max_attempts=0)}),
        ("retry", {"retry": RetryPolicy(base_delay=-1)}),
        ("retry", {"retry": RetryPolicy(max_delay=float("inf"))}),
        ("retry", {"retry": RetryPolicy(jitter=float("nan"))}),
    ],
)
def test_a_run_that_cannot_be_made_is_refused(rule, request_):
    with refused(rule):
        Story(**request_)


def test_an_agent_asks_for_runs_of_its_own_only():
    assert Story(by=AGENT).state.queued_by == AGENT
    with pytest.raises(ActorNotAllowed) as refusal:
        Story(by=STRANGER)
    assert (refusal.value.actor, refusal.value.aggregate_id) == (STRANGER, EXECUTION_ID)
    assert refusal.value.remedy == "ask a human to start the other one"


def test_an_execution_is_queued_once_and_must_exist():
    with pytest.raises(AggregateExists):
        Story().do(
            QueueExecution(execution_id=EXECUTION_ID, spec=ExecutionSpec(task_id=TASK_ID, executor="codex", prompt="x"))
        )
    with pytest.raises(AggregateNotFound):
        EXECUTION_DECIDER.decide(EXECUTION_ID, None, CancelExecution(), Context(actor=ALICE, now=START))


# --- Leases -----------------------------------------------------------------------------------------------------------


def test_nothing_is_reported_before_a_worker_has_the_execution():
    with refused("no_lease"):
        Story().do(StartPreparation(epoch=1))


def test_a_worker_is_given_the_execution():
    story = Story()
    assert story.do(lease(3)) == [ExecutionLeased(lease_id=LEASE_ID, epoch=3, worker_id=WORKER_ID)]
    assert (story.state.lease_id, story.state.epoch, story.state.worker_id) == (LEASE_ID, 3, WORKER_ID)
    assert story.state.status == "Queued"
    assert story.do(lease(3)) == []


@each_stage
def test_a_report_under_an_epoch_that_is_over_is_refused(stage):
    story = Story(stage)
    story.do(RecordProcessStart(epoch=1, process=PROCESS))
    story.do(lease(2, worker_id=OTHER_ID))
    for report in reports(stage):
        with refused("stale_epoch") as refusal:
            story.do(report)
        assert "epoch 2" in refusal.value.reason
        assert "epoch 1" in refusal.value.reason
    assert story.state.status is stage


def test_a_report_under_an_epoch_to_come_is_refused():
    with refused("unknown_epoch"):
        Story(S.SETUP).do(FinishSetup(epoch=2))


def test_grants_only_move_on():
    story = Story(S.SETUP)
    story.do(lease(4))
    with refused("stale_epoch"):
        story.do(lease(3))
    with refused("stale_epoch"):
        story.do(lease(4, worker_id=OTHER_ID))
    with refused("other_lease"):
        story.do(lease(5, lease_id=OTHER_ID))
    with refused("epoch"):
        story.do(lease(0))


@pytest.mark.parametrize("actor", [ALICE, AGENT])
def test_aura_alone_gives_executions_to_workers(actor):
    with pytest.raises(ActorNotAllowed):
        Story().do(lease(), by=actor)


@each_stage
@pytest.mark.parametrize("actor", [ALICE, STRANGER])
def test_only_the_worker_and_the_agent_report(stage, actor):
    story = Story(stage)
    for report in reports(stage):
        with pytest.raises(ActorNotAllowed):
            story.do(report, by=actor)


def test_the_agent_reports_on_its_own_run():
    story = Story(S.CODING_INITIAL)
    story.do(FinishCoding(epoch=1, outcome=THREE_FILES), by=AGENT)
    assert story.state.status == "Cleanup"


# --- Failing ----------------------------------------------------------------------------------------------------------


@each_stage
def test_a_failed_stage_is_tried_three_times(stage):
    story = Story(stage)
    for attempt in (1, 2):
        assert story.state.attempt == attempt
        (event,) = story.do(RecordStageFailure(epoch=1, failure=FAILURE, delay=8.0))
        retry_at = story.now + timedelta(seconds=8)
        failure = Failure(FailureReason.STAGE_ERROR, "npm ci failed", str(stage), exit_code=1)
        assert event == StageRetryScheduled(failure=failure, attempt=attempt, retry_at=retry_at)
        assert (story.state.status, story.state.retry_at, story.state.failure) == (stage, retry_at, failure)
        assert story.do(RetryStage(), by=ENGINE, after=8.0) == [StageRetried(attempt=attempt + 1)]
        assert story.state.retry_at is None
    assert story.do(RecordStageFailure(epoch=1, failure=FAILURE)) == [ExecutionFailed(failure=failure)]
    assert (story.state.status, story.state.failure, story.state.ended_at) == ("Failed", failure, story.now)


def test_the_policy_says_how_often():
    story = Story(S.SETUP, retry=RetryPolicy(max_attempts=1))
    story.do(RecordStageFailure(epoch=1, failure=FAILURE))
    assert story.state.status == "Failed"


def test_a_failure_that_does_not_pass_by_itself_is_not_tried_again():
    story = Story(S.CODING_INITIAL)
    story.do(RecordStageFailure(epoch=1, failure=Failure(FailureReason.AUTHENTICATION)))
    assert (story.state.status, story.state.failure.stage) == ("Failed", "CodingInitial")


def test_each_stage_and_each_follow_up_has_attempts_of_its_own():
    story = Story(S.CODING_FOLLOW_UP)
    story.do(RecordStageFailure(epoch=1, failure=FAILURE))
    story.do(RetryStage(), by=ENGINE)
    assert story.state.attempt == 2
    story.do(FinishCoding(epoch=1, outcome=THREE_FILES))
    assert (story.state.attempt, story.state.failure) == (1, None)
    story.do(FinishCleanup(epoch=1))
    story.do(RequestFollowUp(feedback="more"))
    assert story.state.attempt == 1


def test_aura_waits_for_the_next_attempt_and_a_human_need_not():
    story = Story(S.SETUP)
    with refused("nothing_to_retry"):
        story.do(RetryStage(), by=ALICE)
    story.do(RecordStageFailure(epoch=1, failure=FAILURE, delay=60.0))
    with refused("not_due"):
        story.do(RetryStage(), by=ENGINE)
    with pytest.raises(ActorNotAllowed):
        story.do(RetryStage(), by=AGENT, after=60.0)
    story = Story(S.SETUP)
    story.do(RecordStageFailure(epoch=1, failure=FAILURE, delay=60.0))
    assert story.do(RetryStage(), by=ALICE) == [StageRetried(attempt=2)]


@pytest.mark.parametrize(
    "report",
    [
        FinishSetup(epoch=1),
        RecordStageFailure(epoch=1, failure=FAILURE),
        RecordProcessStart(epoch=1, process=PROCESS),
    ],
)
def test_between_two_attempts_nothing_runs(report):
    story = Story(S.SETUP)
    story.do(RecordStageFailure(epoch=1, failure=FAILURE, delay=60.0))
    with refused("retry_pending"):
        story.do(report)


@pytest.mark.parametrize("delay", [-1.0, float("nan"), float("inf"), 1e9])
def test_a_wait_that_makes_no_sense_is_refused(delay):
    with refused("delay"):
        Story(S.SETUP).do(RecordStageFailure(epoch=1, failure=FAILURE, delay=delay))


@each_stage
def test_a_lost_worker_fails_what_it_was_running(stage):
    story = Story(stage)
    story.do(RecordProcessStart(epoch=1, process=PROCESS))
    (event,) = story.do(LoseWorker(epoch=1), by=ENGINE)
    assert (event.failure.reason, event.failure.stage) == ("WorkerLost", stage)
    assert story.state.status == "Failed"


def test_a_lost_worker_takes_nothing_from_a_human_who_is_deciding():
    story = Story(S.REVIEW)
    assert story.do(LoseWorker(epoch=1), by=ENGINE) == []
    story.do(lease(2, worker_id=OTHER_ID))
    story.do(RequestFollowUp(feedback="Add a test."), by=ALICE)
    story.do(FinishCoding(epoch=2, outcome=THREE_FILES))
    assert story.state.status == "Cleanup"


def test_a_worker_that_came_back_in_time_was_not_lost():
    story = Story(S.CODING_INITIAL)
    story.do(lease(2))
    with refused("stale_epoch"):
        story.do(LoseWorker(epoch=1), by=ENGINE)


def test_an_agent_does_not_declare_its_worker_lost():
    with pytest.raises(ActorNotAllowed):
        Story(S.SETUP).do(LoseWorker(epoch=1), by=AGENT)


@each_stage
def test_every_running_stage_may_fail_for_good(stage):
    story = Story(stage)
    story.do(FailExecution(failure=Failure(FailureReason.APPROVAL_EXPIRED)), by=ENGINE)
    assert (story.state.status, story.state.failure.stage) == ("Failed", stage)


def test_a_failure_that_names_its_stage_keeps_it():
    story = Story(S.REVIEW)
    story.do(FailExecution(failure=Failure(FailureReason.CONFLICT, stage="Cleanup")), by=ENGINE)
    assert story.state.failure.stage == "Cleanup"


def test_what_has_not_begun_does_not_fail():
    with pytest.raises(TransitionRefused) as refusal:
        Story().do(FailExecution(failure=FAILURE), by=ENGINE)
    assert set(refusal.value.allowed_in) == RUNNING_STAGES


# --- Steering ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [S.QUEUED, *sorted(RUNNING_STAGES)])
def test_whatever_lives_is_cancelled(stage):
    story = Story(stage)
    story.do(CancelExecution(reason="not needed"), by=ALICE)
    assert (story.state.status, story.state.ended_at) == ("Cancelled", story.now)


def test_after_a_cancellation_it_is_known_what_has_to_be_interrupted():
    story = Story(S.CODING_INITIAL)
    story.do(RecordProcessStart(epoch=1, process=PROCESS))
    story.do(CancelExecution(), by=ALICE)
    assert story.state.processes == (PROCESS,)


@each_stage
def test_what_runs_is_interrupted_once(stage):
    story = Story(stage)
    assert story.do(RequestInterrupt(reason="wrong file"), by=ALICE) == [InterruptRequested(reason="wrong file")]
    assert (story.state.status, story.state.interrupted) == (stage, True)
    assert story.do(RequestInterrupt(), by=ALICE) == []


def test_the_next_stage_is_not_interrupted_and_neither_is_the_next_attempt():
    story = Story(S.SETUP)
    story.do(RequestInterrupt(), by=ALICE)
    story.do(RecordStageFailure(epoch=1, failure=FAILURE))
    story.do(RetryStage(), by=ENGINE)
    assert not story.state.interrupted
    story.do(RequestInterrupt(), by=ALICE)
    story.do(FinishSetup(epoch=1))
    assert not story.state.interrupted


@pytest.mark.parametrize(
    "command",
    [
        RequestFollowUp(feedback="more"),
        CompleteExecution(),
        FailExecution(failure=FAILURE),
        RequestInterrupt(),
        CancelExecution(),
    ],
)
def test_an_agent_does_not_steer_its_own_run(command):
    with pytest.raises(ActorNotAllowed) as refusal:
        Story(S.REVIEW).do(command, by=AGENT)
    assert refusal.value.actor == AGENT


# --- Within a stage ---------------------------------------------------------------------------------------------------


def test_the_session_is_recorded_when_the_agent_names_it_and_when_it_forks():
    story = Story(S.CODING_INITIAL)
    assert story.do(RecordSession(epoch=1, session_id="a1")) == [SessionRecorded(session_id="a1")]
    assert story.do(RecordSession(epoch=1, session_id="a1")) == []
    (forked,) = story.do(RecordSession(epoch=1, session_id="b2"))
    assert forked == SessionRecorded(session_id="b2", previous_session_id="a1")
    assert story.state.session_id == "b2"
    with refused("session"):
        story.do(RecordSession(epoch=1, session_id=" "))


def test_a_run_that_resumes_a_session_knows_it_from_the_start():
    story = Story(S.CODING_INITIAL, session_id="a1")
    assert story.state.session_id == "a1"
    assert story.do(RecordSession(epoch=1, session_id="a1")) == []


def test_setup_has_no_session():
    with pytest.raises(TransitionRefused):
        Story(S.SETUP).do(RecordSession(epoch=1, session_id="a1"))


@each_stage
def test_a_process_is_known_until_it_exits(stage):
    story = Story(stage)
    assert story.do(RecordProcessStart(epoch=1, process=PROCESS)) == [ProcessStarted(process=PROCESS)]
    assert story.do(RecordProcessStart(epoch=1, process=PROCESS)) == []
    assert story.state.processes == (PROCESS,)
    story.do(RecordProcessExit(epoch=1, exit=Exit(token="word", signal=9, cpu_seconds=2.5, peak_memory=1 << 30)))
    assert (story.state.processes, story.state.cpu_seconds, story.state.peak_memory) == ((), 2.5, 1 << 30)
    with refused("unknown_process"):
        story.do(RecordProcessExit(epoch=1, exit=Exit(token="word", exit_code=0)))


def test_consumption_adds_up_over_processes_and_reports():
    story = Story(S.CODING_INITIAL)
    for token, seconds, memory in (("a", 1.0, 300), ("b", 2.0, 200)):
        process = SupervisedProcess(ProcessIdentity(pid=7, started="1", token=token))
        story.do(RecordProcessStart(epoch=1, process=process))
        exited = RecordProcessExit(
            epoch=1, exit=Exit(token=token, exit_code=0, cpu_seconds=seconds, peak_memory=memory)
        )
        story.do(exited)
        story.do(RecordUsage(epoch=1, usage=Usage(input_tokens=10, output_tokens=5, cache_read_tokens=1, cost=0.25)))
    assert (story.state.cpu_seconds, story.state.peak_memory) == (3.0, 300)
    assert story.state.usage == Usage(input_tokens=20, output_tokens=10, cache_read_tokens=2, cost=0.5)


@pytest.mark.parametrize(
    "identity",
    [
        ProcessIdentity(pid=0, started="1", token="t"),
        ProcessIdentity(pid=1, started="", token="t"),
        ProcessIdentity(pid=1, started="1", token=" "),
        ProcessIdentity(pid=2, started="1", token="word"),
    ],
)
def test_a_process_that_could_not_be_recognised_is_refused(identity):
    story = Story(S.SETUP)
    story.do(RecordProcessStart(epoch=1, process=PROCESS))
    with refused("process_identity"):
        story.do(RecordProcessStart(epoch=1, process=SupervisedProcess(identity)))


@pytest.mark.parametrize(
    "facts",
    [
        {"exit_code": 0, "signal": 9},
        {"cpu_seconds": -1.0},
        {"cpu_seconds": float("nan")},
        {"peak_memory": -1},
    ],
)
def test_an_exit_that_cannot_have_been_is_refused(facts):
    story = Story(S.SETUP)
    story.do(RecordProcessStart(epoch=1, process=PROCESS))
    with refused("exit"):
        story.do(RecordProcessExit(epoch=1, exit=Exit(token="word", **facts)))


@pytest.mark.parametrize("usage", [Usage(input_tokens=-1), Usage(cost=float("inf")), Usage(cost=-0.01)])
def test_usage_is_counted_in_amounts(usage):
    with refused("usage"):
        Story(S.CODING_INITIAL).do(RecordUsage(epoch=1, usage=usage))


def test_what_the_agent_did_is_recorded_as_it_is():
    story = Story(S.CODING_INITIAL)
    made = CallMade(entry=ToolFinished(call_id="1", success=False, output="2 failed"))
    assert story.do(RecordAction(epoch=1, action=made), by=AGENT) == [made]
    assert made.error == "2 failed"
    assert CallMade(entry=ToolFinished(call_id="1", success=False)).error == "it failed"
    assert CallMade(entry=ToolFinished(call_id="1")).error is None
    with pytest.raises(ActorNotAllowed):
        story.do(RecordAction(epoch=1, action=made), by=ALICE)


def test_how_an_agent_ended_is_its_error():
    failure = Failure(FailureReason.RATE_LIMITED)
    assert AgentFinished(entry=Finished(failure=failure)).error == "RateLimited"
    assert AgentFinished(entry=Finished(failure=Failure(FailureReason.RATE_LIMITED, "slow down"))).error == "slow down"
    assert AgentFinished(entry=Finished()).error is None


# --- The end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [CompleteExecution(), FailExecution(failure=FAILURE), CancelExecution()])
def test_what_has_ended_stays_ended(last):
    story = Story(S.REVIEW)
    story.do(last, by=ENGINE)
    steering = [
        lease(2),
        RetryStage(),
        RequestFollowUp(feedback="x"),
        CompleteExecution(),
        FailExecution(failure=FAILURE),
    ]
    account = [] if isinstance(last, CompleteExecution) else [RecordProcessExit, RecordUsage]
    for command in [*reports(S.SETUP), *steering, RequestInterrupt(), CancelExecution()]:
        if type(command) in account:
            continue
        with pytest.raises(TransitionRefused) as refusal:
            story.do(command, by=ENGINE)
        assert refusal.value.status == story.state.status


@pytest.mark.parametrize("last", [FailExecution(failure=FAILURE), CancelExecution()])
def test_a_process_that_outlives_its_execution_is_still_accounted_for(last):
    story = Story(S.CODING_INITIAL)
    story.do(RecordProcessStart(epoch=1, process=PROCESS))
    story.do(last, by=ENGINE)
    ended = story.state
    story.do(RecordUsage(epoch=1, usage=Usage(output_tokens=3)))
    story.do(RecordProcessExit(epoch=1, exit=Exit(token=PROCESS.identity.token, signal=15, cpu_seconds=2.0)))
    assert (story.state.status, story.state.ended_at) == (ended.status, ended.ended_at)
    assert (story.state.usage.output_tokens, story.state.cpu_seconds, story.state.processes) == (3, 2.0, ())
    assert story.state.final


# --- A question that the agent gave up --------------------------------------------------------------------------------


def asked(automatic=False):
    event = PermissionAsked(
        approval_id=APPROVAL_ID, token="t", request_id="q", tool="Bash", fingerprint="f", automatic=automatic
    )
    return RecordAction(epoch=1, action=event)


DEADLINE = START + timedelta(days=3)
GAVE_UP = RecordStageFailure(epoch=1, failure=Failure(FailureReason.PERMISSION_DENIED), answer_by=DEADLINE)


@pytest.mark.parametrize("passed", [0.0, 2.9 * 86_400, 5 * 86_400])
def test_a_stage_waits_until_the_deadline_of_a_question_that_its_agent_gave_up(passed):
    """Not for a fixed time: else its agent would be started again while the question is open."""
    story = Story(S.CODING_INITIAL, retry=RetryPolicy(max_attempts=1))
    story.do(asked())
    (scheduled,) = story.do(GAVE_UP, after=passed)
    assert isinstance(scheduled, StageRetryScheduled)
    assert scheduled.retry_at == max(DEADLINE, story.now)
    assert story.do(RetryStage(), by=ENGINE) == [StageRetried(attempt=2)]
    assert story.state.open_question is None


@pytest.mark.parametrize("told", ["never asked", "asked a policy", "answered", "interrupted"])
def test_without_an_open_question_a_denied_stage_fails(told):
    story = Story(S.CODING_INITIAL)
    if told != "never asked":
        story.do(asked(automatic=told == "asked a policy"))
    if told == "answered":
        answer = PermissionAnswered(approval_id=APPROVAL_ID, token="t", request_id="q", granted=False)
        story.do(RecordAction(epoch=1, action=answer))
    if told == "interrupted":
        story.do(RequestInterrupt(), by=ENGINE)
    (failed,) = story.do(GAVE_UP)
    assert isinstance(failed, ExecutionFailed)
