"""What is to be done next: for every way things can be there is an answer, and for the usual ones the right one."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aura_contracts.actors import human
from aura_contracts.approval import Approval, ApprovalKind, ApprovalStatus, OnExpiry
from aura_contracts.execution import Execution, ExecutionStatus, HumanMessage, Outcome
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import WorkerIdentity
from aura_contracts.lease import LeaseStatus, WorkerLease
from aura_contracts.lock_table import LockClaim, TaskLocks
from aura_contracts.run_plan import RunPlan
from aura_contracts.task import ApprovalMode, Priority, Task, TaskStatus
from aura_contracts.workspace import Repository, Workspace, WorkspaceStatus, Worktree
from aura_engine.runtime.driver import PERFORM
from aura_engine.runtime.steps import Do, next_step
from aura_engine.runtime.views import View
from strategies import EPOCH, IDS

LATER = EPOCH + timedelta(days=365)
WORKER, OTHER = IDS[0], IDS[1]
ENGINE_ID = "engine"
TREE = Worktree(repository="app", path="/w/app", base_commit="a" * 40, head="b" * 40)


def task(status=TaskStatus.IN_PROGRESS, mode=ApprovalMode.CHANGES, **more):
    fields = {"id": IDS[0], "title": "t", "description": "d", "priority": Priority.MEDIUM}
    return Task(
        **fields,
        status=status,
        approval_mode=mode,
        created_by=human("alice"),
        created_at=EPOCH,
        execution_id=IDS[1],
        **more,
    )


def execution(status, **more):
    return Execution(
        id=IDS[1],
        status=status,
        task_id=IDS[0],
        executor="custom",
        prompt="p",
        queued_by=human("alice"),
        queued_at=EPOCH,
        epoch=1,
        **more,
    )


def lease(status=LeaseStatus.HELD, worker=WORKER, engine_id=ENGINE_ID, **more):
    identity = WorkerIdentity(host="h", instance="i")
    return WorkerLease(
        id=IDS[2],
        status=status,
        execution_id=IDS[1],
        epoch=1,
        worker_id=worker,
        identity=identity,
        engine_id=engine_id,
        granted_at=EPOCH,
        **more,
    )


def workspace(status=WorkspaceStatus.IN_USE, **more):
    fields = {"worktrees": (TREE,), "holder": IDS[1] if status is WorkspaceStatus.IN_USE else None, **more}
    return Workspace(
        id=IDS[3],
        status=status,
        task_id=IDS[0],
        title="t",
        slug="t",
        branch="aura/t",
        repositories=(Repository(name="app", path="/r/app", target_branch="main"),),
        requested_at=EPOCH,
        **fields,
    )


def approval(status=ApprovalStatus.PENDING, kind=ApprovalKind.CHANGES, **more):
    return Approval(
        id=IDS[2],
        status=status,
        kind=kind,
        reviewers=("alice",),
        requested_by="system:engine",
        requested_at=EPOCH,
        waits_since=EPOCH,
        level_since=EPOCH,
        open_since=EPOCH,
        task_id=IDS[0],
        **more,
    )


def locking(status=TaskStatus.IN_PROGRESS):
    return task(status, locks=("deploy",))


def claim(**more):
    names = TaskLocks(names=("deploy",))
    return LockClaim(
        task_id=IDS[0], locks=names, priority=Priority.MEDIUM, since=EPOCH, place=EPOCH, requested_at=EPOCH, **more
    )


DONE = Outcome(changed_files=1, commits={"app": TREE.head})
E, T, A = ExecutionStatus, TaskStatus, ApprovalStatus
review = execution(E.REVIEW, outcome=DONE)
unchanged = execution(E.REVIEW)
failed = execution(E.FAILED, failure=Failure(FailureReason.WORKER_LOST))
approved_work = approval(A.APPROVED, commits={"app": TREE.head})
approved_plan = approval(A.APPROVED, ApprovalKind.PLAN)
WORDS = HumanMessage(author="alice", text="make it blue")
held = {"lease": lease(), "workspace": workspace()}
free = {"lease": lease(LeaseStatus.CLOSED, None), "workspace": workspace(WorkspaceStatus.READY)}

CASES = [
    (Do.LEASE, {"task": task(), "execution": execution(E.QUEUED)}),
    (Do.LEASE, {"task": task(), "execution": execution(E.QUEUED), "dependencies": (task(T.COMPLETED),)}),
    (Do.NOTHING, {"task": task(), "execution": execution(E.QUEUED), "dependencies": (task(T.COMPLETED), task())}),
    (Do.END_DEPENDENCY, {"task": task(), "execution": execution(E.QUEUED), "dependencies": (task(), task(T.FAILED))}),
    (Do.TAKE_LOCKS, {"task": locking(), "execution": execution(E.QUEUED)}),
    (Do.LEASE, {"task": locking(), "execution": execution(E.QUEUED), "claim": claim(held_since=EPOCH)}),
    (Do.NOTHING, {"task": locking(), "execution": execution(E.QUEUED), "claim": claim()}),
    (
        Do.RELEASE_LOCKS,  # what it waits for may wait for them
        {
            "task": locking(),
            "execution": execution(E.QUEUED),
            "claim": claim(held_since=EPOCH),
            "dependencies": (task(),),
        },
    ),
    (
        Do.LEASE,  # it only plans
        {"task": locking(), "execution": execution(E.QUEUED, plan=RunPlan(decomposes=True))},
    ),
    (
        Do.RELEASE_LOCKS,  # those of the run that this one replaced
        {
            "task": locking(),
            "execution": execution(E.QUEUED, plan=RunPlan(decomposes=True)),
            "claim": claim(),
        },
    ),
    (Do.NOTHING, {"task": task(T.BLOCKED), "execution": execution(E.QUEUED)}),
    (Do.NOTHING, {"task": locking(T.BLOCKED), "execution": execution(E.QUEUED), "claim": claim(held_since=EPOCH)}),
    (
        Do.RESOLVE_COLLISION,
        {
            "task": locking(T.BLOCKED),
            "execution": execution(E.QUEUED),
            "claim": claim(),
            "collision": approval(A.REJECTED, ApprovalKind.LOCK_CONFLICT),
        },
    ),
    (Do.PREPARE, {"task": task(), "execution": execution(E.PREPARE_WORKSPACE), **held}),
    (Do.RUN_SETUP, {"task": task(), "execution": execution(E.SETUP), **held}),
    (Do.RUN_AGENT, {"task": task(), "execution": execution(E.CODING_INITIAL), **held}),
    (Do.RUN_AGENT, {"task": task(T.APPROVED), "execution": execution(E.CODING_FOLLOW_UP), **held}),
    (Do.RUN_CLEANUP, {"task": task(), "execution": execution(E.CLEANUP), **held}),
    (Do.RETRY_STAGE, {"task": task(), "execution": execution(E.SETUP, retry_at=EPOCH), **held}),
    (Do.NOTHING, {"task": task(), "execution": execution(E.SETUP, retry_at=EPOCH + timedelta(minutes=61)), **held}),
    (Do.DELIVER_MESSAGES, {"task": task(), "execution": replace(review, messages=(WORDS,)), **held}),
    (Do.PROPOSE_CHANGES, {"task": task(), "execution": review, **held}),
    (Do.PROPOSE_CHANGES, {"task": task(), "execution": review, "approval": approval(A.REJECTED), **held}),
    (Do.PROPOSE_PLAN, {"task": task(mode=ApprovalMode.PLAN), "execution": unchanged, **held}),
    (Do.PROPOSE_PLAN, {"task": task(mode=ApprovalMode.BOTH), "execution": unchanged, **held}),
    (Do.PROPOSE_PARTS, {"task": task(), "execution": execution(E.REVIEW, plan=RunPlan(decomposes=True)), **held}),
    (Do.COMPLETE, {"task": task(), "execution": unchanged, **held}),
    (Do.COMPLETE, {"task": task(mode=ApprovalMode.AUTO), "execution": unchanged, **held}),
    (Do.MERGE, {"task": task(mode=ApprovalMode.AUTO), "execution": review, **held}),
    (Do.MERGE, {"task": task(T.APPROVED), "execution": review, "approval": approved_work, **held}),
    (Do.MERGE, {"task": task(T.APPROVED, ApprovalMode.PLAN), "execution": review, "approval": approved_plan, **held}),
    (
        Do.PROPOSE_CHANGES,
        {"task": task(T.APPROVED, ApprovalMode.BOTH), "execution": review, "approval": approved_plan, **held},
    ),
    (
        Do.PROPOSE_CHANGES,  # what was approved is not what is there any more
        {"task": task(T.APPROVED), "execution": review, "approval": approval(A.APPROVED, commits={"app": "c"}), **held},
    ),
    (
        Do.COMPLETE,
        {
            "task": task(T.APPROVED),
            "execution": review,
            "approval": approved_work,
            "lease": lease(),
            "workspace": workspace(in_place=True),
        },
    ),
    (Do.MERGE, {"task": task(T.APPROVED), "execution": review, "workspace": workspace(WorkspaceStatus.MERGING)}),
    (Do.NOTHING, {"task": task(T.AWAITING_APPROVAL), "execution": review, "approval": approval(), **held}),
    (
        Do.EXPIRE_APPROVAL,
        {"task": task(T.AWAITING_APPROVAL), "execution": review, "approval": approval(deadline=EPOCH), **held},
    ),
    (Do.APPLY_DECISION, {"task": task(T.AWAITING_APPROVAL), "execution": review, "approval": approved_work, **held}),
    (Do.NOTHING, {"task": task(T.BLOCKED), "execution": review, "conflict": approval(), **held}),
    (Do.RESOLVE_CONFLICT, {"task": task(T.BLOCKED), "execution": review, "conflict": approval(A.REJECTED), **held}),
    (Do.CANCEL_EXECUTION, {"task": task(T.CANCELLED), "execution": execution(E.SETUP), **held}),
    (Do.RELEASE, {"task": task(T.CANCELLED), "execution": execution(E.CANCELLED), **held}),
    (Do.RELEASE, {"task": task(), "execution": failed, **held}),
    (Do.RECORD_FAILURE, {"task": task(), "execution": failed, **free}),
    (Do.RUN_AGAIN, {"task": task(retry_at=EPOCH), "execution": failed, **free}),
    (Do.NOTHING, {"task": task(retry_at=EPOCH + timedelta(minutes=61)), "execution": failed, **free}),
    (Do.RUN_AGAIN, {"task": task(retry_at=EPOCH + timedelta(days=365)), "execution": failed, **free}),
    (Do.START_NEXT, {"task": task(next_execution_id=IDS[1]), "execution": execution(E.CANCELLED), **free}),
    (Do.START_NEXT, {"task": task(next_execution_id=IDS[1]), "execution": failed, **free}),
    (Do.CLEAR_WORKSPACE, {"task": task(T.COMPLETED), "execution": execution(E.DONE), **free}),
    (Do.REST, {"task": task(T.FAILED), "execution": failed, **free}),
    (Do.REST, {"task": task(T.CANCELLED)}),
    (Do.REST, {"task": task(T.PENDING, queued=True), "execution": failed, **free}),
    (Do.REST, {"task": task(T.PENDING), "execution": execution(E.CANCELLED), **free}),
    (Do.RELEASE, {"task": task(T.PENDING, queued=True), "execution": failed, **held}),
    (Do.NOTHING, {"task": task(T.PENDING)}),
    (Do.RECORD_OFFLINE, {"task": task(), "execution": execution(E.SETUP), "lease": lease(worker=OTHER)}),
    (
        Do.LOSE_WORKER,
        {
            "task": task(),
            "execution": execution(E.SETUP),
            "lease": lease(LeaseStatus.OFFLINE, OTHER, offline_since=EPOCH, last_seen=EPOCH),
        },
    ),
    (
        Do.RECORD_OFFLINE,
        {"task": task(), "execution": execution(E.SETUP), "lease": lease(worker=OTHER, last_seen=LATER)},
    ),
    (
        Do.RECORD_OFFLINE,
        {
            "task": task(),
            "execution": execution(E.SETUP),
            "lease": lease(LeaseStatus.OFFLINE, OTHER, offline_since=LATER, last_seen=EPOCH),
        },
    ),
    (
        Do.RECORD_RETURN,
        {
            "task": task(),
            "execution": execution(E.SETUP),
            "lease": lease(LeaseStatus.OFFLINE, offline_since=EPOCH, last_seen=EPOCH),
        },
    ),
    (Do.TAKE_OVER, {"task": task(), "execution": execution(E.SETUP), "lease": lease(engine_id="other")}),
    (Do.TAKE_OVER, {"task": task(T.AWAITING_APPROVAL), "execution": review, "lease": lease(engine_id="other")}),
    (Do.TAKE_OVER, {"task": task(), "execution": review, "lease": lease(LeaseStatus.OFFLINE, engine_id="other")}),
    (Do.CANCEL_EXECUTION, {"task": task(T.CANCELLED), "execution": review, "lease": lease(engine_id="other")}),
    (
        Do.RECORD_OFFLINE,
        {"task": task(), "execution": execution(E.SETUP), "lease": lease(worker=OTHER, engine_id="other")},
    ),
    (Do.LEASE_AGAIN, {"task": task(), "execution": review, "lease": lease(LeaseStatus.FREE, None)}),
    (Do.LOSE_WORKER, {"task": task(), "execution": execution(E.SETUP), "lease": lease(LeaseStatus.FREE, None)}),
]


@pytest.mark.parametrize(("do", "parts"), CASES, ids=lambda value: value.name if isinstance(value, Do) else "")
def test_the_usual_cases(do, parts):
    assert next_step(View(**parts), EPOCH + timedelta(hours=1), WORKER, ENGINE_ID).do is do


def test_every_step_is_among_the_usual_cases():
    assert {do for do, _ in CASES} == set(Do)


def test_every_step_but_waiting_has_somebody_who_performs_it():
    assert set(PERFORM) == set(Do) - {Do.NOTHING, Do.REST}


@given(
    st.builds(
        View,
        task=st.builds(
            task, st.sampled_from(TaskStatus), st.sampled_from(ApprovalMode), retry_at=st.sampled_from([None, EPOCH])
        ),
        execution=st.none()
        | st.builds(
            execution,
            st.sampled_from(ExecutionStatus),
            outcome=st.sampled_from([None, DONE]),
            retry_at=st.sampled_from([None, EPOCH]),
            failure=st.just(Failure(FailureReason.STAGE_ERROR)),
        ),
        lease=st.none()
        | st.builds(
            lease, st.sampled_from(LeaseStatus), st.sampled_from([None, WORKER, OTHER]), offline_since=st.just(EPOCH)
        ),
        workspace=st.none() | st.builds(workspace, st.sampled_from(WorkspaceStatus), in_place=st.booleans()),
        approval=st.none() | st.builds(approval, st.sampled_from(ApprovalStatus), st.sampled_from(ApprovalKind)),
        conflict=st.none() | st.builds(approval, st.sampled_from(ApprovalStatus)),
    ),
    st.sampled_from([None, WORKER]),
)
def test_there_is_an_answer_for_everything_and_it_never_changes_by_itself(view, worker):
    """Combinations that cannot be, too: an engine that stumbles over one would leave its task stuck."""
    now = EPOCH + timedelta(hours=1)
    step = next_step(view, now, worker, ENGINE_ID)
    assert step == next_step(view, now, worker, ENGINE_ID)
    assert step.until is None or step.do is Do.NOTHING
    assert step.until is None or step.until > now, "a wait that is over is no wait: the driver would spin"


def test_silence_that_was_configured_to_mean_yes_is_one():
    continued = approval(A.EXPIRED, on_expiry=OnExpiry.CONTINUE, commits={"app": TREE.head})
    view = View(task=task(T.APPROVED), execution=review, approval=continued, **held)
    assert next_step(view, EPOCH, WORKER, ENGINE_ID).do is Do.MERGE
    denied = replace(continued, on_expiry=OnExpiry.DENY)
    assert (
        next_step(View(task=task(T.APPROVED), execution=review, approval=denied, **held), EPOCH, WORKER, ENGINE_ID).do
        is not Do.MERGE
    )
