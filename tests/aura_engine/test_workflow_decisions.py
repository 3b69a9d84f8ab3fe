"""Workflows as a user meets them: what starts when, what stands in the way, what is refused and why."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura_contracts.actors import agent, human, system
from aura_contracts.errors import (
    ActorNotAllowed,
    AggregateExists,
    AggregateNotFound,
    ImpossibleTransition,
    RuleViolated,
    TransitionRefused,
)
from aura_contracts.events import Fact
from aura_contracts.failures import Failure, FailureReason
from aura_contracts.workflow import (
    WORKFLOW,
    AwaitStepApproval,
    CancelWorkflow,
    CompleteStep,
    CompleteWorkflow,
    FailStep,
    FailWorkflow,
    PauseWorkflow,
    ResumeStep,
    ResumeWorkflow,
    RetryStep,
    SkipStep,
    StartStep,
    StartWorkflow,
    StepAwaitingApproval,
    StepCompleted,
    StepConfig,
    StepDefinition,
    StepSkipped,
    StepStarted,
    StepStatus,
    StepType,
    UpdateWorkflowContext,
    Workflow,
    WorkflowDefinition,
    WorkflowStatus,
    WorkflowStep,
    find_cycle,
    find_step,
    waits_for,
)
from aura_engine.decisions._decider import Context
from aura_engine.decisions.workflow import NAME_LIMIT, STEP_LIMIT, WORKFLOW_DECIDER

ID = "0192f0c1-2d3e-7abc-8def-000000000001"
TASK_ID = "0192f0c1-2d3e-7abc-8def-00000000000a"
APPROVAL_ID = "0192f0c1-2d3e-7abc-8def-00000000000b"
NOW = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ENGINE, ALICE, AGENT = system("engine"), human("alice"), agent(TASK_ID)
FAILURE = Failure(reason=FailureReason.AGENT_ERROR, message="no diff")


def ready_steps(workflow: Workflow) -> tuple[WorkflowStep, ...]:
    """Return the steps that may start now."""
    if workflow.status is not WorkflowStatus.ACTIVE:
        return ()
    return tuple(s for s in workflow.steps if s.status is StepStatus.PENDING and not waits_for(workflow, s.id))


def work(step_id, *dependencies, **fields):
    return StepDefinition(
        id=step_id, type=StepType.AGENT_TASK, task_template="do {{ goal }}", dependencies=dependencies, **fields
    )


def ask(step_id, *dependencies):
    return StepDefinition(id=step_id, type=StepType.HUMAN_APPROVAL, dependencies=dependencies)


def choose(step_id, *dependencies, then=(), otherwise=()):
    config = StepConfig(condition="context.risky", then=then, otherwise=otherwise)
    return StepDefinition(id=step_id, type=StepType.CONDITIONAL, dependencies=dependencies, config=config)


def together(step_id, *dependencies, children):
    config = StepConfig(children=children)
    return StepDefinition(id=step_id, type=StepType.PARALLEL, dependencies=dependencies, config=config)


def decide(state, command, actor=ENGINE):
    return WORKFLOW_DECIDER.decide(ID, state, command, Context(actor=actor, now=NOW))


def start(*steps, **fields):
    return decide(
        None,
        StartWorkflow(workflow_id=ID, definition=WorkflowDefinition(name="Build feature", steps=steps, **fields)),
        ALICE,
    ).state


def after(state, *commands, actor=ENGINE):
    """The state folded from the events of all commands, one after the other."""
    for command in commands:
        events = decide(state, command, actor).events
        state = WORKFLOW.fold((Fact(event, NOW, actor, "", "") for event in events), state)
    return state


def run(*step_ids):
    """The commands that start and complete steps for agents."""
    return [
        command
        for step_id in step_ids
        for command in (StartStep(step_id=step_id, task_id=TASK_ID), CompleteStep(step_id=step_id))
    ]


def ids(steps):
    return [step.id for step in steps]


def status_of(state, step_id):
    return find_step(state, step_id).status


def refusal(error, state, command, actor=ENGINE):
    with pytest.raises(error) as caught:
        decide(state, command, actor)
    return caught.value


# --- Definition -------------------------------------------------------------------------------------------------------


def test_a_started_workflow_has_its_steps_pending_and_the_first_ones_ready():
    state = start(work("plan"), work("build", "plan"), work("docs"), context={"goal": "x"}, project="dieta")
    assert (state.status, state.name, state.project) == (WorkflowStatus.ACTIVE, "Build feature", "dieta")
    assert (state.created_by, state.created_at, state.context) == (ALICE, NOW, {"goal": "x"})
    assert {step.status for step in state.steps} == {StepStatus.PENDING}
    assert ids(ready_steps(state)) == ["plan", "docs"]
    assert waits_for(state, "build") == ("plan",)
    assert state.current_step_index == 0


@pytest.mark.parametrize(
    ("steps", "rule", "facts"),
    [
        ((), "steps", f"1 to {STEP_LIMIT} steps, this one has 0"),
        ((work("a"), work("a")), "duplicate_step", "2 steps have the id 'a'"),
        ((work("two words"),), "step_id", "'two words' is not a step id"),
        ((work("a", "ghost"),), "unknown_step", "'a' names 'ghost'"),
        ((choose("a", then=("ghost",)),), "unknown_step", "'a' names 'ghost'"),
        ((work("a", "a"),), "cyclic_steps", "a -> a"),
        ((work("a", "c"), work("b", "a"), work("c", "b")), "cyclic_steps", "wait for one another"),
        ((together("p", children=("a",)), work("a", "p")), "cyclic_steps", "wait for one another"),
        ((choose("c", "a", then=("a",)), work("a")), "cyclic_steps", "wait for one another"),
        ((together("p", children=("a",)), together("q", children=("a",)), work("a")), "placed_twice", "'p'"),
        ((choose("c", then=("a",), otherwise=("a",)), work("a")), "placed_twice", "again in 'c'"),
        ((StepDefinition(id="a", type=StepType.AGENT_TASK),), "task_template", "'a'"),
        ((StepDefinition(id="a", type=StepType.PARALLEL),), "children", "'a' is of type parallel"),
        ((work("a", config=StepConfig(children=("b",))), work("b")), "children", "'a' is of type agent_task"),
        ((StepDefinition(id="a", type=StepType.CONDITIONAL),), "condition", "needs a condition and a branch"),
        ((work("a", config=StepConfig(condition="x")),), "condition", "no condition"),
        (
            (StepDefinition(id="c", type=StepType.PARALLEL, requires_approval=True),),
            "requires_approval",
            "'c' is of type parallel",
        ),
    ],
)
def test_a_definition_that_cannot_run_is_refused_with_the_step_that_is_wrong(steps, rule, facts):
    error = refusal(
        RuleViolated, None, StartWorkflow(workflow_id=ID, definition=WorkflowDefinition(name="x", steps=steps)), ALICE
    )
    assert error.rule == rule
    assert facts in error.reason
    assert error.aggregate_id == ID


def test_a_circle_is_named_step_by_step():
    steps = (work("start"), work("a", "start", "c"), work("b", "a"), work("c", "b"))
    cycle = find_cycle(steps)
    assert cycle[0] == cycle[-1]
    assert set(cycle) == {"a", "b", "c"}
    needs = {step.id: step.dependencies for step in steps}
    assert all(later in needs[earlier] for earlier, later in pairwise(cycle))
    error = refusal(
        RuleViolated, None, StartWorkflow(workflow_id=ID, definition=WorkflowDefinition(name="x", steps=steps)), ALICE
    )
    assert " -> ".join(cycle) in error.reason


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=6))
def test_a_workflow_either_is_refused_as_circular_or_can_run_to_its_end(needs):
    steps = tuple(
        work(f"s{n}", *dict.fromkeys(f"s{need % len(needs)}" for need in each)) for n, each in enumerate(needs)
    )
    if find_cycle(steps):
        assert (
            refusal(
                RuleViolated, None, StartWorkflow(workflow_id=ID, definition=WorkflowDefinition(name="x", steps=steps))
            ).rule
            == "cyclic_steps"
        )
        return
    state = start(*steps)
    while ready := ready_steps(state):
        state = after(state, *run(ready[0].id))
    assert after(state, CompleteWorkflow()).status is WorkflowStatus.COMPLETED


@pytest.mark.parametrize("name", ["", "  ", "x" * (NAME_LIMIT + 1)])
def test_a_name_is_one_line(name):
    assert (
        refusal(
            RuleViolated,
            None,
            StartWorkflow(workflow_id=ID, definition=WorkflowDefinition(name=name, steps=(work("a"),))),
        ).rule
        == "name"
    )


def test_a_workflow_is_started_once_and_must_exist_for_the_rest():
    state = start(work("a"))
    refusal(
        AggregateExists,
        state,
        StartWorkflow(workflow_id=ID, definition=WorkflowDefinition(name="x", steps=(work("a"),))),
    )
    refusal(AggregateNotFound, None, PauseWorkflow())


# --- Running ----------------------------------------------------------------------------------------------------------


def test_a_step_starts_only_when_what_it_depends_on_is_over():
    state = start(work("a"), work("b"), work("c", "a", "b"))
    error = refusal(RuleViolated, state, StartStep(step_id="c", task_id=TASK_ID))
    assert (error.rule, error.reason) == ("dependencies", "step 'c' waits for a, b")
    state = after(state, *run("a"))
    assert waits_for(state, "c") == ("b",)
    state = after(state, SkipStep(step_id="b", reason="done by hand"), actor=ALICE)
    assert find_step(state, "b").reason == "done by hand"
    state = after(state, StartStep(step_id="c", task_id=TASK_ID))
    assert (find_step(state, "c").status, find_step(state, "c").task_id) == (StepStatus.RUNNING, TASK_ID)


def test_the_current_step_is_the_first_that_is_not_over():
    state = start(work("a"), work("b"), work("c"))
    indexes = []
    for step_id in ("b", "a", "c"):
        state = after(state, *run(step_id))
        indexes.append(state.current_step_index)
    assert indexes == [0, 2, 3]


def test_a_result_is_kept_with_the_step():
    state = after(
        start(work("a")), StartStep(step_id="a", task_id=TASK_ID), CompleteStep(step_id="a", result={"pr": 7})
    )
    assert find_step(state, "a").result == {"pr": 7}


def test_a_workflow_completes_only_when_every_step_is_over():
    state = after(start(work("a"), work("b"), work("c")), *run("a"), StartStep(step_id="b", task_id=TASK_ID))
    error = refusal(RuleViolated, state, CompleteWorkflow())
    assert (error.rule, error.reason) == ("unfinished_steps", "these steps are not over: b (running), c (pending)")
    state = after(state, CompleteStep(step_id="b"), SkipStep(step_id="c"), CompleteWorkflow())
    assert (state.status, state.ended_at) == (WorkflowStatus.COMPLETED, NOW)
    assert refusal(TransitionRefused, state, CancelWorkflow()).status == "completed"


def test_starting_a_step_again_for_the_same_task_changes_nothing_and_for_another_is_refused():
    state = after(start(work("a")), StartStep(step_id="a", task_id=TASK_ID))
    assert decide(state, StartStep(step_id="a", task_id=TASK_ID)).events == ()
    error = refusal(TransitionRefused, state, StartStep(step_id="a", task_id=APPROVAL_ID))
    assert (error.aggregate_id, error.status, error.allowed_in) == (f"{ID}/a", "running", ("pending",))


def test_a_step_that_is_not_there_is_named_with_those_that_are():
    error = refusal(AggregateNotFound, start(work("a"), work("b")), CompleteStep(step_id="z"))
    assert error.aggregate_id == f"{ID}/z"
    assert "a, b" in str(error)


@pytest.mark.parametrize(
    ("step", "command", "needs"),
    [
        (work("s"), StartStep(step_id="s"), "a task_id"),
        (work("s"), StartStep(step_id="s", task_id=TASK_ID, approval_id=APPROVAL_ID), "a task_id"),
        (ask("s"), StartStep(step_id="s"), "an approval_id"),
        (together("s", children=("x",)), StartStep(step_id="s", task_id=TASK_ID), "no id"),
    ],
)
def test_a_step_starts_with_what_its_type_waits_for(step, command, needs):
    error = refusal(RuleViolated, start(step, work("x")), command)
    assert error.rule == "step_subject"
    assert error.reason.endswith(needs)


# --- Approvals --------------------------------------------------------------------------------------------------------


def test_a_human_approval_waits_from_its_start():
    state = start(ask("gate"), work("ship", "gate"))
    decision = decide(state, StartStep(step_id="gate", approval_id=APPROVAL_ID))
    assert [type(event) for event in decision.events] == [StepStarted, StepAwaitingApproval]
    assert status_of(decision.state, "gate") is StepStatus.AWAITING_APPROVAL
    assert ready_steps(decision.state) == ()
    assert decide(decision.state, StartStep(step_id="gate", approval_id=APPROVAL_ID)).events == ()
    assert ids(ready_steps(after(decision.state, CompleteStep(step_id="gate")))) == ["ship"]


def test_a_step_that_requires_approval_completes_only_with_it():
    state = after(start(work("a", requires_approval=True)), StartStep(step_id="a", task_id=TASK_ID))
    assert refusal(RuleViolated, state, CompleteStep(step_id="a")).rule == "approval_required"
    state = after(state, AwaitStepApproval(step_id="a", approval_id=APPROVAL_ID))
    assert (status_of(state, "a"), find_step(state, "a").approval_id) == (StepStatus.AWAITING_APPROVAL, APPROVAL_ID)
    assert refusal(RuleViolated, state, CompleteStep(step_id="a")).rule == "approval_required"
    sent_back = after(state, ResumeStep(step_id="a", approved=False))
    assert status_of(sent_back, "a") is StepStatus.RUNNING
    assert refusal(RuleViolated, sent_back, CompleteStep(step_id="a")).rule == "approval_required"
    state = after(state, ResumeStep(step_id="a", approved=True), CompleteStep(step_id="a"))
    assert status_of(state, "a") is StepStatus.COMPLETED


def test_a_step_that_has_asked_again_waits_again():
    state = after(
        start(work("a")),
        StartStep(step_id="a", task_id=TASK_ID),
        AwaitStepApproval(step_id="a", approval_id=APPROVAL_ID),
        ResumeStep(step_id="a", approved=True),
        AwaitStepApproval(step_id="a", approval_id=TASK_ID),
    )
    assert refusal(RuleViolated, state, CompleteStep(step_id="a")).rule == "approval_required"


def test_a_retried_step_needs_a_new_approval():
    state = after(
        start(work("a", requires_approval=True)),
        StartStep(step_id="a", task_id=TASK_ID),
        AwaitStepApproval(step_id="a", approval_id=APPROVAL_ID),
        ResumeStep(step_id="a", approved=True),
        FailStep(step_id="a", failure=FAILURE),
        RetryStep(step_id="a"),
        StartStep(step_id="a", task_id=TASK_ID),
    )
    assert find_step(state, "a").attempts == 2
    assert refusal(RuleViolated, state, CompleteStep(step_id="a")).rule == "approval_required"


def test_only_agent_tasks_ask_and_go_on():
    state = after(start(ask("gate"), together("p", children=("x",)), work("x")), StartStep(step_id="p"))
    assert refusal(RuleViolated, state, AwaitStepApproval(step_id="p", approval_id=APPROVAL_ID)).rule == "step_type"
    state = after(state, StartStep(step_id="gate", approval_id=APPROVAL_ID))
    assert refusal(RuleViolated, state, ResumeStep(step_id="gate", approved=True)).rule == "step_type"


def test_a_human_does_not_skip_past_an_approval_not_even_inside_a_group_but_a_policy_may():
    state = start(together("p", children=("gate",)), ask("gate"))
    error = refusal(RuleViolated, state, SkipStep(step_id="p"), ALICE)
    assert error.rule == "approval_required"
    assert "'gate'" in error.reason
    skipped = after(state, SkipStep(step_id="p", reason="nobody answered"), actor=system("policy"))
    assert {step.status for step in skipped.steps} == {StepStatus.SKIPPED}


# --- Branches and groups ----------------------------------------------------------------------------------------------


def branching():
    return after(
        start(
            choose("risky", then=("review", "gate"), otherwise=("quick",)),
            work("review"),
            ask("gate", "review"),
            work("quick"),
            work("ship", "gate", "quick"),
        ),
        StartStep(step_id="risky"),
    )


def test_nothing_of_a_branch_starts_before_the_condition_is_decided():
    state = branching()
    assert ready_steps(state) == ()
    assert waits_for(state, "quick") == ("risky",)


@pytest.mark.parametrize(
    ("outcome", "ready", "skipped"), [(True, ["review"], ["quick"]), (False, ["quick"], ["review", "gate"])]
)
def test_the_branch_not_taken_is_skipped_at_once(outcome, ready, skipped):
    decision = decide(branching(), CompleteStep(step_id="risky", outcome=outcome))
    assert [event.step_id for event in decision.events if type(event) is StepSkipped] == skipped
    assert ids(ready_steps(decision.state)) == ready
    assert find_step(decision.state, "risky").outcome is outcome
    assert find_step(decision.state, skipped[0]).reason == f"the condition of risky is {str(outcome).lower()}"


def test_branches_meet_again_in_a_step_that_depends_on_both():
    state = after(branching(), CompleteStep(step_id="risky", outcome=False), *run("quick"))
    assert ids(ready_steps(state)) == ["ship"]


def test_skipping_a_branch_skips_what_is_nested_in_it():
    state = after(
        start(
            choose("c", then=("group",)),
            together("group", children=("inner", "y")),
            choose("inner", then=("x",)),
            work("x"),
            work("y"),
        ),
        StartStep(step_id="c"),
        CompleteStep(step_id="c", outcome=False),
    )
    assert [step.id for step in state.steps if step.status is StepStatus.SKIPPED] == ["group", "inner", "x", "y"]
    assert after(state, CompleteWorkflow()).status is WorkflowStatus.COMPLETED


def test_an_outcome_belongs_to_conditions_only():
    assert refusal(RuleViolated, branching(), CompleteStep(step_id="risky")).rule == "outcome"
    state = after(start(work("a")), StartStep(step_id="a", task_id=TASK_ID))
    assert refusal(RuleViolated, state, CompleteStep(step_id="a", outcome=True)).rule == "outcome"


def test_children_start_with_their_group_and_the_group_ends_with_them():
    state = start(together("all", children=("x", "y")), work("x"), work("y"), work("end", "all"))
    assert ids(ready_steps(state)) == ["all"]
    error = refusal(RuleViolated, state, StartStep(step_id="x", task_id=TASK_ID))
    assert error.reason == "step 'x' waits for all"
    state = after(state, StartStep(step_id="all"))
    assert ids(ready_steps(state)) == ["x", "y"]
    state = after(state, *run("x"), StartStep(step_id="y", task_id=TASK_ID))
    error = refusal(RuleViolated, state, CompleteStep(step_id="all"))
    assert (error.rule, error.reason) == ("children", "step 'all' waits for its children y")
    state = after(state, CompleteStep(step_id="y"), CompleteStep(step_id="all"))
    assert ids(ready_steps(state)) == ["end"]


# --- Failure and recovery ---------------------------------------------------------------------------------------------


def failed_step():
    return after(
        start(work("a"), work("b", "a"), work("c")),
        StartStep(step_id="a", task_id=TASK_ID),
        FailStep(step_id="a", failure=FAILURE),
    )


def test_a_failed_step_stands_in_the_way_until_it_is_retried():
    state = failed_step()
    assert find_step(state, "a").failure == FAILURE
    assert (state.status, state.current_step_index) == (WorkflowStatus.ACTIVE, 0)
    assert waits_for(state, "b") == ("a",)
    state = after(state, RetryStep(step_id="a"), actor=ALICE)
    assert (status_of(state, "a"), find_step(state, "a").failure) == (StepStatus.PENDING, None)
    assert ids(ready_steps(state)) == ["a", "c"]


def test_a_failed_step_can_be_left_out():
    state = after(failed_step(), SkipStep(step_id="a", reason="not needed"), actor=ALICE)
    assert ids(ready_steps(state)) == ["b", "c"]


def test_only_failed_steps_are_retried():
    error = refusal(TransitionRefused, failed_step(), RetryStep(step_id="c"))
    assert (error.status, error.allowed_in) == ("pending", ("failed",))


def test_a_failed_workflow_lets_running_steps_end_and_comes_back_by_a_retry():
    state = after(failed_step(), StartStep(step_id="c", task_id=TASK_ID), FailWorkflow(failure=FAILURE))
    assert (state.status, state.failure, state.ended_at) == (WorkflowStatus.FAILED, FAILURE, NOW)
    assert ready_steps(state) == ()
    state = after(state, CompleteStep(step_id="c"))
    assert (state.status, status_of(state, "c")) == (WorkflowStatus.FAILED, StepStatus.COMPLETED)
    state = after(state, RetryStep(step_id="a"), actor=ALICE)
    assert (state.status, state.failure, state.ended_at) == (WorkflowStatus.ACTIVE, None, None)
    assert ids(ready_steps(state)) == ["a"]


def test_a_failed_workflow_comes_back_without_the_step_that_failed():
    state = after(failed_step(), FailWorkflow(failure=FAILURE))
    state = after(state, SkipStep(step_id="a"), ResumeWorkflow(), actor=ALICE)
    assert (state.status, state.failure) == (WorkflowStatus.ACTIVE, None)
    assert ids(ready_steps(state)) == ["b", "c"]


# --- Pause, cancel, context -------------------------------------------------------------------------------------------


def test_a_paused_workflow_lets_running_steps_end_and_starts_none():
    state = after(start(work("a"), work("b"), work("c", "a")), StartStep(step_id="a", task_id=TASK_ID))
    state = after(state, PauseWorkflow(reason="waiting for Bob"), actor=ALICE)
    assert (state.status, state.paused_because) == (WorkflowStatus.PAUSED, "waiting for Bob")
    error = refusal(TransitionRefused, state, StartStep(step_id="b", task_id=APPROVAL_ID))
    assert (error.status, error.allowed_in) == ("paused", ("active",))
    state = after(state, CompleteStep(step_id="a"))
    assert status_of(state, "a") is StepStatus.COMPLETED
    assert ready_steps(state) == ()
    assert refusal(TransitionRefused, state, CompleteWorkflow()).allowed_in == ("active",)
    state = after(state, ResumeWorkflow(), actor=ALICE)
    assert (state.paused_because, ids(ready_steps(state))) == (None, ["b", "c"])


def test_a_running_step_may_fail_or_ask_while_the_workflow_is_paused():
    state = after(start(work("a"), work("b")), *(StartStep(step_id=name, task_id=TASK_ID) for name in "ab"))
    state = after(
        state,
        PauseWorkflow(),
        FailStep(step_id="a", failure=FAILURE),
        AwaitStepApproval(step_id="b", approval_id=APPROVAL_ID),
    )
    assert [step.status for step in state.steps] == [StepStatus.FAILED, StepStatus.AWAITING_APPROVAL]
    assert state.status is WorkflowStatus.PAUSED


def test_cancelling_ends_every_step_that_had_not_ended():
    state = after(
        start(work("done"), work("bad"), work("busy"), ask("asked"), work("later", "busy")),
        *run("done"),
        StartStep(step_id="bad", task_id=TASK_ID),
        FailStep(step_id="bad", failure=FAILURE),
        StartStep(step_id="busy", task_id=TASK_ID),
        StartStep(step_id="asked", approval_id=APPROVAL_ID),
    )
    state = after(state, CancelWorkflow(reason="not wanted"), actor=ALICE)
    assert {step.id: str(step.status) for step in state.steps} == {
        "done": "completed",
        "bad": "failed",
        "busy": "cancelled",
        "asked": "cancelled",
        "later": "cancelled",
    }
    assert refusal(TransitionRefused, state, ResumeWorkflow(), ALICE).status == "cancelled"


def test_the_context_is_changed_by_key():
    state = start(work("a"), context={"goal": "x", "old": 1})
    state = after(state, UpdateWorkflowContext(values={"goal": "y", "new": [1]}, remove=("old",)), actor=ALICE)
    assert state.context == {"goal": "y", "new": [1]}
    assert decide(state, UpdateWorkflowContext(values={"goal": "y"}, remove=("old",))).events == ()
    error = refusal(RuleViolated, state, UpdateWorkflowContext(values={"goal": 1}, remove=("goal",)))
    assert (error.rule, error.reason) == ("context", "goal cannot be set and removed at once")


# --- Who --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        StartStep(step_id="c", task_id=TASK_ID),
        CompleteStep(step_id="c"),
        AwaitStepApproval(step_id="c", approval_id=APPROVAL_ID),
        ResumeStep(step_id="c", approved=True),
        FailStep(step_id="c", failure=FAILURE),
        CompleteWorkflow(),
        FailWorkflow(failure=FAILURE),
    ],
)
def test_only_aura_says_what_became_of_steps(command):
    assert refusal(ActorNotAllowed, failed_step(), command, ALICE).actor == "human:alice"


@pytest.mark.parametrize(
    "command",
    [
        RetryStep(step_id="a"),
        SkipStep(step_id="a"),
        PauseWorkflow(),
        CancelWorkflow(),
        UpdateWorkflowContext(values={"x": 1}),
    ],
)
def test_agents_do_not_steer_workflows(command):
    assert refusal(ActorNotAllowed, failed_step(), command, AGENT).actor == AGENT


def test_agents_do_not_start_or_resume_workflows():
    refusal(
        ActorNotAllowed,
        None,
        StartWorkflow(workflow_id=ID, definition=WorkflowDefinition(name="x", steps=(work("a"),))),
        AGENT,
    )
    refusal(ActorNotAllowed, after(start(work("a")), PauseWorkflow()), ResumeWorkflow(), AGENT)


# --- Replay -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [StepCompleted(step_id="a"), StepCompleted(step_id="ghost")])
def test_a_log_in_which_a_step_does_what_it_cannot_is_not_folded(event):
    with pytest.raises(ImpossibleTransition) as caught:
        WORKFLOW.evolve(start(work("a")), Fact(event, NOW, ENGINE, "", ""))
    assert (caught.value.aggregate, caught.value.event) == ("workflow step", "workflow.step_completed")
