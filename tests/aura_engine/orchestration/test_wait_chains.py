"""Wait chains: from a workflow or a step down to what has to happen."""

import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from aura_contracts.actors import human
from aura_contracts.approval import Approval, ApprovalKind, ApprovalStatus
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.ids import ApprovalId, TaskId, WorkflowId
from aura_contracts.workflow import (
    AgentTaskStep,
    ApprovalStep,
    ForEachStep,
    Join,
    LoopStep,
    OnStepFailure,
    ParallelStep,
    StepStatus,
    SubWorkflowStep,
    WaitStep,
    Workflow,
    WorkflowStatus,
    WorkflowStep,
)
from aura_engine.orchestration.wait_chains import Lookups, TaskStanding, WaitKind, wait_chains
from drawn_workflows import START, definition, definitions, states, step, workflow

S = StepStatus
K = WaitKind
TASK = TaskId("0192f0c1-2d3e-7abc-8def-00000000000a")
ASKED = ApprovalId("0192f0c1-2d3e-7abc-8def-00000000000b")
CHILD = WorkflowId("0192f0c1-2d3e-7abc-8def-00000000000c")

QUESTION = Approval(
    id=ASKED,
    kind=ApprovalKind.WORKFLOW_STEP,
    status=ApprovalStatus.PENDING,
    reviewers=("alice", "bob"),
    requested_by=human("ann"),
    requested_at=START,
    waits_since=START,
    level_since=START,
    open_since=START,
    deadline=START + timedelta(hours=1),
)

CHAIN = definition(
    step("plan"), step("review", "plan", config=ApprovalStep(question="Good?")), step("deploy", "review")
)


def is_(address: str, status: StepStatus, parent: str | None = None, **fields) -> WorkflowStep:
    return WorkflowStep(id=address, status=status, parent=parent, **fields)


def ends(
    flow: Workflow, step_id: str | None = None, lookups: Lookups | None = None
) -> list[tuple[list[str], WaitKind]]:
    """Return each chain as the steps on it and the kind of its end."""
    return [
        ([link.id for link in chain.links if link.kind is K.STEP], chain.links[-1].kind)
        for chain in wait_chains(flow, step_id, lookups)
    ]


def in_review(**fields) -> Workflow:
    asked = is_("review", S.AWAITING_APPROVAL, approval_id=ASKED, started_at=START)
    return workflow(CHAIN, is_("plan", S.COMPLETED), asked, is_("deploy", S.PENDING), **fields)


def test_a_step_waits_for_its_dependency_which_waits_for_humans():
    (chain,) = wait_chains(in_review(), "deploy", Lookups(approval={ASKED: QUESTION}.get))

    assert [link.kind for link in chain.links] == [K.WORKFLOW, K.STEP, K.STEP, K.APPROVAL]
    assert chain.links[-1].people == ("alice", "bob")
    assert str(chain) == (
        "workflow release (0192f0c1-2d3e-7abc-8def-000000000001, active) waits for step deploy (pending), which waits "
        "for step review (awaiting approval), which waits for approval 0192f0c1-2d3e-7abc-8def-00000000000b of alice, "
        "bob since 2026-01-04 12:00:00Z until 2026-01-04 13:00:00Z"
    )


def test_what_is_decided_or_has_ended_waits_for_an_engine():
    decided = replace(QUESTION, status=ApprovalStatus.APPROVED)
    (chain,) = wait_chains(in_review(), "deploy", Lookups(approval={ASKED: decided}.get))
    assert str(chain).endswith(f"which waits for an engine: approval {ASKED} is approved")
    flow = workflow(definition(step("build")), is_("build", S.RUNNING, task_id=TASK))
    (chain,) = wait_chains(flow, lookups=Lookups(task={TASK: TaskStanding(status="completed", ended=True)}.get))
    assert str(chain).endswith(f"which waits for an engine: task {TASK} is completed")


def test_a_workflow_waits_for_what_is_at_its_front():
    assert ends(in_review()) == [(["review"], K.APPROVAL)]


def test_the_task_of_a_step_in_the_queue_of_the_pool():
    made = definition(step("build", config=AgentTaskStep(task_template="Build")))
    flow = workflow(made, is_("build", S.RUNNING, task_id=TASK))
    standing = TaskStanding(status="queued", since=START, reason="claude, which suits it, is busy")

    (chain,) = wait_chains(flow, lookups=Lookups(task={TASK: standing}.get))

    assert str(chain).endswith(
        f"which waits for task {TASK} (queued) since 2026-01-04 12:00:00Z: claude, which suits it, is busy"
    )


def test_the_question_of_a_task():
    flow = workflow(definition(step("build")), is_("build", S.RUNNING, task_id=TASK))
    standing = TaskStanding(status="awaiting_approval", approvals=(QUESTION,))

    (chain,) = wait_chains(flow, lookups=Lookups(task={TASK: standing}.get))

    assert [link.kind for link in chain.links] == [K.WORKFLOW, K.STEP, K.TASK, K.APPROVAL]


def test_a_sub_workflow_is_followed_to_its_own_chains():
    made = definition(step("publish", config=SubWorkflowStep(workflow="publish")))
    flow = workflow(made, is_("publish", S.RUNNING, child_id=CHILD))
    child = in_review(id=CHILD)

    (chain,) = wait_chains(flow, lookups=Lookups(workflow={CHILD: child}.get, approval={ASKED: QUESTION}.get))

    assert [(link.kind, link.id) for link in chain.links][1:] == [
        (K.STEP, "publish"),
        (K.WORKFLOW, CHILD),
        (K.STEP, "review"),
        (K.APPROVAL, ASKED),
    ]


def test_a_workflow_that_is_its_own_child_has_an_end():
    made = definition(step("again", config=SubWorkflowStep(workflow="release")))
    flow = workflow(made, is_("again", S.RUNNING, child_id=CHILD))

    (chain,) = wait_chains(flow, lookups=Lookups(workflow={CHILD: flow}.get))

    assert len(chain.links) < 100


@pytest.mark.parametrize(
    ("config", "fields", "text"),
    [
        (WaitStep(seconds=5), {"due_at": START}, "which waits for 2026-01-04 12:00:00Z"),
        (WaitStep(signal="go"), {"started_at": START}, "which waits for signal go since 2026-01-04 12:00:00Z"),
        (AgentTaskStep(task_template="x"), {"task_id": TASK}, f"which waits for task {TASK}"),
        (SubWorkflowStep(workflow="x"), {"child_id": CHILD}, "which waits for workflow (0192f0c1"),
        (ForEachStep(items="x", steps=(step("lint"),)), {}, "which waits for an engine"),
    ],
)
def test_what_a_running_step_waits_for(config, fields, text):
    flow = workflow(definition(step("one", config=config)), is_("one", S.RUNNING, **fields))

    (chain,) = wait_chains(flow)

    assert text in str(chain)


def test_a_retry_says_when_and_why():
    failure = Failure(FailureReason.RATE_LIMITED, "too many requests")
    flow = workflow(definition(step("one")), is_("one", S.RETRYING, due_at=START, failure=failure))

    (chain,) = wait_chains(flow)

    assert str(chain).endswith("2026-01-04 12:00:00Z: its next attempt, after too many requests")


def test_a_failed_step_waits_for_a_human_and_blocks_what_depends_on_it():
    failure = Failure(FailureReason.STAGE_ERROR, "exit 1")
    failed = is_("plan", S.FAILED, failure=failure)
    flow = workflow(CHAIN, failed, is_("review", S.PENDING), is_("deploy", S.PENDING), status=WorkflowStatus.FAILED)

    assert ends(flow) == [(["plan"], K.REPAIR)]
    assert ends(flow, "deploy") == [(["deploy", "review", "plan"], K.REPAIR)]
    assert "a human, who retries or skips step plan: exit 1" in str(wait_chains(flow)[0])


def test_a_tolerated_failure_holds_nothing_up():
    made = definition(step("lint", on_failure=OnStepFailure.CONTINUE), step("z", "lint", join=Join.ALL_DONE))
    flow = workflow(made, is_("lint", S.FAILED), is_("z", S.PENDING))

    assert ends(flow) == [(["z"], K.ENGINE)]


def test_in_a_pause_ready_steps_wait_for_whoever_resumes_and_running_ones_for_their_end():
    made = definition(step("a"), step("b"))
    flow = workflow(
        made,
        is_("a", S.RUNNING, task_id=TASK),
        is_("b", S.PENDING),
        status=WorkflowStatus.PAUSED,
        paused_because="lunch",
    )

    assert ends(flow) == [(["a"], K.TASK), (["b"], K.RESUME)]
    assert str(wait_chains(flow, "b")[0]).endswith("which waits for a human, who resumes it: lunch")


def test_containers_wait_for_their_members():
    inner = LoopStep(steps=(step("fix"), step("check", "fix")), until="ok", limit=3)
    made = definition(step("group", config=ParallelStep(steps=(step("rework", config=inner), step("other")))))
    flow = workflow(
        made,
        is_("group", S.RUNNING),
        is_("rework", S.RUNNING, "group", round=2),
        is_("other", S.COMPLETED, "group"),
        is_("rework[1]/fix", S.COMPLETED, "rework"),
        is_("rework[1]/check", S.COMPLETED, "rework"),
        is_("rework[2]/fix", S.RUNNING, "rework", task_id=TASK),
        is_("rework[2]/check", S.PENDING, "rework"),
    )

    assert ends(flow) == [(["group", "rework", "rework[2]/fix"], K.TASK)]
    assert ends(flow, "rework[2]/check") == [(["rework[2]/check", "rework[2]/fix"], K.TASK)]


def test_a_join_that_holds_waits_for_none_of_its_dependencies():
    made = definition(step("a"), step("b"), step("z", "a", "b", join=Join.ANY_SUCCEEDED))
    flow = workflow(made, is_("a", S.COMPLETED), is_("b", S.RUNNING, task_id=TASK), is_("z", S.PENDING))

    assert ends(flow, "z") == [(["z"], K.ENGINE)]


def test_a_lock_is_waited_for_at_the_step_that_holds_it():
    made = definition(step("one", locks=("staging",)), step("two", locks=("staging", "db")))
    flow = workflow(made, is_("one", S.RUNNING, task_id=TASK), is_("two", S.PENDING))

    (chain,) = wait_chains(flow, "two")

    assert ends(flow, "two") == [(["two", "one"], K.TASK)]
    assert "step two (pending): needs staging, db, which waits for step one (running)" in str(chain)


def test_what_outlives_its_container_is_waited_for():
    config = ParallelStep(steps=(step("fast"), step("slow")), join=Join.ANY_SUCCEEDED)
    flow = workflow(
        definition(step("group", config=config)),
        is_("group", S.COMPLETED),
        is_("fast", S.COMPLETED, "group"),
        is_("slow", S.RUNNING, "group", task_id=TASK),
    )

    assert ends(flow) == [(["slow"], K.TASK)]


def test_a_failed_container_waits_for_the_repair_of_the_member_that_failed():
    flow = workflow(
        definition(step("group", config=ParallelStep(steps=(step("a"), step("b"))))),
        is_("group", S.FAILED),
        is_("a", S.COMPLETED, "group"),
        is_("b", S.FAILED, "group"),
        status=WorkflowStatus.FAILED,
    )

    assert ends(flow) == [(["group", "b"], K.REPAIR)]


def test_a_step_whose_block_has_not_begun_waits_for_what_it_is_in():
    made = definition(step("a"), step("each", "a", config=ForEachStep(items="x", steps=(step("lint"),))))
    flow = workflow(made, is_("a", S.RUNNING, task_id=TASK), is_("each", S.PENDING))

    assert ends(flow, "each[0]/lint") == [(["each[0]/lint", "each", "a"], K.TASK)]


def test_a_handler_and_a_compensation_are_waited_for():
    made = definition(step("build", handler=(step("repair"),), compensation=step("undo")))
    handling = workflow(made, is_("build", S.HANDLING), is_("repair", S.RUNNING, "build", task_id=TASK))
    undoing = workflow(
        made,
        is_("build", S.COMPLETED),
        is_("undo", S.RUNNING, "build", task_id=TASK),
        status=WorkflowStatus.COMPENSATING,
    )

    assert ends(handling) == [(["build", "repair"], K.TASK)]
    assert ends(undoing) == [(["undo"], K.TASK)]


@pytest.mark.parametrize("status", [WorkflowStatus.COMPLETED, WorkflowStatus.CANCELLED])
def test_what_has_ended_waits_for_nothing(status):
    assert wait_chains(in_review(status=status)) == ()
    assert wait_chains(in_review(), "plan") == ()


def test_an_unknown_step():
    with pytest.raises(KeyError):
        wait_chains(in_review(), "gone")


@given(definitions(25), st.randoms(use_true_random=False), st.sampled_from([*WorkflowStatus]))
def test_every_chain_leads_from_the_workflow_to_something_that_has_to_happen(made, chance: random.Random, status):
    """Whatever the states are, also ones that no workflow gets into."""
    parents = {}
    for one in made.walk():
        for inner in [*(member for block in one.blocks for member in block), *filter(None, [one.compensation])]:
            parents[inner.id] = one.id
    steps = [is_(one.id, one.status, parents.get(one.id)) for one in states(made, chance)]

    for chain in wait_chains(workflow(made, *steps, status=status)):
        assert chain.links[0].kind is K.WORKFLOW
        assert chain.links[-1].kind not in (K.WORKFLOW, K.STEP)
        assert len({link.id for link in chain.links if link.kind is K.STEP}) == len(chain.links) - 2
        assert str(chain)
