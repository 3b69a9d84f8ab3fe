"""Agents: one task at a time, paused while a human decides, never taken out of the pool in the middle of work."""

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from aura_contracts.actors import agent, human, system
from aura_contracts.agent import (
    AGENT,
    AgentChanges,
    AgentDisabled,
    AgentEdited,
    AgentLimits,
    AgentReleased,
    AgentSpec,
    AgentStatus,
    DisableAgent,
    EditAgent,
    EnableAgent,
    PauseAgent,
    RegisterAgent,
    ReleaseAgent,
    ResumeAgent,
    TakeTask,
    TaskOutcome,
)
from aura_contracts.errors import ActorNotAllowed, AggregateExists, AggregateNotFound, RuleViolated, TransitionRefused
from aura_contracts.events import Fact
from aura_contracts.permission import PermissionRules
from aura_engine.decisions import Context
from aura_engine.decisions.agent import AGENT_DECIDER, AGENT_PROMPT_LIMIT, NAME_LIMIT

AGENT_ID = "0192f0c1-2d3e-7abc-8def-000000000001"
TASK_ID = "0192f0c1-2d3e-7abc-8def-000000000002"
OTHER_TASK = "0192f0c1-2d3e-7abc-8def-000000000003"
APPROVAL_ID = "0192f0c1-2d3e-7abc-8def-000000000004"

START = datetime(2026, 1, 4, 12, 0, tzinfo=UTC)
ENGINE, ALICE, SELF, OTHER_AGENT = system("engine"), human("alice"), agent(AGENT_ID), agent(TASK_ID)
TAKE, RESUME = TakeTask(task_id=TASK_ID), ResumeAgent(task_id=TASK_ID)
PAUSE = PauseAgent(task_id=TASK_ID, approval_id=APPROVAL_ID)
RELEASE = ReleaseAgent(task_id=TASK_ID, outcome=TaskOutcome.COMPLETED)


class Story:
    """The events of one agent so far; each command is decided, a minute after the last, on what they fold to."""

    def __init__(self, *commands, by=ALICE, **registration):
        self.facts = []
        fields = {"name": "Ada", "type": "developer", "executor": "claude"}
        self.do(by, RegisterAgent(agent_id=AGENT_ID, spec=AgentSpec(**fields | registration)))
        for command in commands:
            self.do(ENGINE, command)

    @property
    def state(self):
        return AGENT.fold(self.facts)

    def do(self, actor, command):
        now = START + timedelta(minutes=len(self.facts))
        decision = AGENT_DECIDER.decide(AGENT_ID, self.state, command, Context(actor=actor, now=now))
        self.facts += [Fact(event, now, actor, "", "") for event in decision.events]
        assert decision.state == self.state
        return list(decision.events)


@contextmanager
def refused(rule):
    """Expect a rule of this name to refuse, with all facts."""
    with pytest.raises(RuleViolated) as refusal:
        yield refusal
    error = refusal.value
    assert (error.aggregate, error.aggregate_id, error.rule) == ("agent", AGENT_ID, rule)
    assert error.reason


# --- The pool ---------------------------------------------------------------------------------------------------------


def test_a_registered_agent_is_idle_and_says_who_it_is_and_what_runs_it():
    state = Story(variant="plan", options={"model": "opus"}, capabilities=("python", "sql")).state
    assert (state.id, state.status, state.name, state.type) == (AGENT_ID, "idle", "Ada", "developer")
    assert (state.executor, state.variant, state.options) == ("claude", "plan", {"model": "opus"})
    assert (state.capabilities, state.current_task_id) == (("python", "sql"), None)
    assert (state.registered_by, state.created_at, state.updated_at) == (ALICE, START, START)


@pytest.mark.parametrize(
    "name", ["", "   ", "x" * (NAME_LIMIT + 1), "a\nb", "a\x1b[2K", "a\u202eb", "agent:x", "human:alice"]
)
def test_a_name_is_not_blank_and_fits_a_line(name):
    with refused("name"):
        Story(name=name)
    with refused("name"):
        Story().do(ALICE, EditAgent(changes=AgentChanges(name=name)))


def test_capabilities_are_named_once_each():
    with refused("capabilities") as refusal:
        Story(capabilities=("sql", "python", "sql"))
    assert "sql" in refusal.value.reason
    assert "python" not in refusal.value.reason
    with refused("capabilities"):
        Story().do(ALICE, EditAgent(changes=AgentChanges(capabilities=("sql", "sql"))))
    with refused("capabilities"):
        Story(capabilities=("sql", " "))


def test_something_runs_the_agent():
    with refused("executor"):
        Story(executor=" ")


def test_an_agent_is_registered_once():
    with pytest.raises(AggregateExists):
        Story().do(ALICE, RegisterAgent(agent_id=AGENT_ID, spec=AgentSpec(name="Eve", type="tester", executor="codex")))


def test_who_is_not_registered_takes_no_task():
    with pytest.raises(AggregateNotFound):
        AGENT_DECIDER.decide(AGENT_ID, None, TAKE, Context(actor=ENGINE, now=START))


def test_an_edit_records_only_what_changes():
    story = Story(capabilities=("python",), variant="plan")
    assert story.do(ALICE, EditAgent(changes=AgentChanges(name="Ada", capabilities=("python", "sql"), variant=""))) == [
        AgentEdited(changes=AgentChanges(capabilities=("python", "sql"), variant=""))
    ]
    assert (story.state.name, story.state.capabilities, story.state.variant) == ("Ada", ("python", "sql"), "")
    assert story.do(ALICE, EditAgent(changes=AgentChanges(name="Ada"))) == []


def test_editing_a_busy_agent_does_not_disturb_its_task():
    story = Story(TAKE)
    story.do(ALICE, EditAgent(changes=AgentChanges(executor="codex")))
    assert (story.state.status, story.state.executor, story.state.current_task_id) == ("working", "codex", TASK_ID)


@pytest.mark.parametrize("actor", [SELF, OTHER_AGENT])
@pytest.mark.parametrize("command", [EditAgent(changes=AgentChanges(name="Eve")), DisableAgent()])
def test_agents_do_not_manage_the_pool(actor, command):
    with pytest.raises(ActorNotAllowed) as refusal:
        Story().do(actor, command)
    assert (refusal.value.actor, refusal.value.remedy) == (actor, "ask a human to do it")
    with pytest.raises(ActorNotAllowed):
        Story(by=actor)


# --- One task at a time -----------------------------------------------------------------------------------------------


def test_a_task_from_taking_it_to_being_free_again():
    story = Story(TAKE)
    assert (story.state.status, story.state.current_task_id) == (AgentStatus.WORKING, TASK_ID)
    assert story.state.busy_since == START + timedelta(minutes=1)
    story.do(SELF, PAUSE)
    assert (story.state.status, story.state.approval_id) == (AgentStatus.WAITING_FOR_APPROVAL, APPROVAL_ID)
    assert story.state.current_task_id == TASK_ID
    story.do(ENGINE, RESUME)
    assert (story.state.status, story.state.approval_id) == (AgentStatus.WORKING, None)
    story.do(SELF, RELEASE)
    assert (story.state.status, story.state.current_task_id, story.state.busy_since) == ("idle", None, None)
    assert story.state.last_outcome is TaskOutcome.COMPLETED


@pytest.mark.parametrize("before", [[TAKE], [TAKE, PAUSE]])
def test_a_busy_agent_takes_no_second_task(before):
    story = Story(*before)
    with refused("capacity") as refusal:
        story.do(ENGINE, TakeTask(task_id=OTHER_TASK))
    assert TASK_ID in refusal.value.reason
    assert (story.state.current_task_id, story.state.room) == (TASK_ID, 0)


def test_an_agent_with_capacity_takes_that_many_tasks():
    story = Story(TAKE, capacity=2)
    assert story.do(ENGINE, TAKE) == []
    story.do(ENGINE, TakeTask(task_id=OTHER_TASK))
    assert ([task.task_id for task in story.state.tasks], story.state.room) == ([TASK_ID, OTHER_TASK], 0)
    with refused("capacity"):
        story.do(ENGINE, TakeTask(task_id=APPROVAL_ID))
    story.do(ALICE, EditAgent(changes=AgentChanges(capacity=1)))
    story.do(ENGINE, RELEASE)
    assert (story.state.status, story.state.current_task_id, story.state.room) == ("working", OTHER_TASK, 0)


def test_an_agent_waits_when_it_waits_in_all_of_its_tasks():
    story = Story(TAKE, TakeTask(task_id=OTHER_TASK), capacity=3)
    story.do(ENGINE, PAUSE)
    assert (story.state.status, story.state.approval_id) == ("working", APPROVAL_ID)
    story.do(ENGINE, ReleaseAgent(task_id=OTHER_TASK, outcome=TaskOutcome.COMPLETED))
    assert story.state.status == "waiting_for_approval"
    story.do(ENGINE, TakeTask(task_id=OTHER_TASK))
    assert story.state.status == "working"
    story.do(ENGINE, PauseAgent(task_id=OTHER_TASK, approval_id=APPROVAL_ID))
    story.do(ENGINE, RELEASE)
    assert (story.state.status, story.state.current_task_id) == ("waiting_for_approval", OTHER_TASK)
    assert story.do(ENGINE, ResumeAgent(task_id=OTHER_TASK)) != []
    assert story.do(ENGINE, ResumeAgent(task_id=OTHER_TASK)) == []


@pytest.mark.parametrize(
    ("rule", "fields"),
    [
        ("capacity", {"capacity": 0}),
        ("capacity", {"capacity": 1001}),
        ("prompt", {"prompt": "x" * (AGENT_PROMPT_LIMIT + 1)}),
        ("limits", {"limits": AgentLimits(timeout=0.0)}),
        ("limits", {"limits": AgentLimits(output_limit=0)}),
        ("permissions", {"permissions": PermissionRules(allow=("git status",))}),
    ],
)
def test_a_profile_is_one_that_can_be_run(rule, fields):
    with refused(rule):
        Story(**fields)
    with refused(rule):
        Story().do(ALICE, EditAgent(changes=AgentChanges(**fields)))


def test_a_task_that_ends_while_a_human_is_asked_frees_the_agent():
    story = Story(TAKE, PAUSE)
    story.do(ENGINE, ReleaseAgent(task_id=TASK_ID, outcome=TaskOutcome.CANCELLED))
    assert (story.state.status, story.state.approval_id, story.state.last_outcome) == ("idle", None, "cancelled")
    story.do(ENGINE, TakeTask(task_id=OTHER_TASK))
    assert story.state.current_task_id == OTHER_TASK


@pytest.mark.parametrize(
    ("before", "command"),
    [
        ([TAKE], PauseAgent(task_id=OTHER_TASK, approval_id=APPROVAL_ID)),
        ([TAKE, PAUSE], ResumeAgent(task_id=OTHER_TASK)),
        ([TAKE], ReleaseAgent(task_id=OTHER_TASK, outcome=TaskOutcome.FAILED)),
    ],
)
def test_what_is_said_about_another_task_is_refused(before, command):
    story = Story(*before)
    with refused("other_task") as refusal:
        story.do(ENGINE, command)
    assert TASK_ID in refusal.value.reason
    assert OTHER_TASK in refusal.value.reason


@pytest.mark.parametrize(("before", "command"), [([], TAKE), ([TAKE], PAUSE), ([TAKE], RELEASE)])
def test_an_agent_acts_for_itself_alone(before, command):
    story = Story(*before)
    with pytest.raises(ActorNotAllowed):
        story.do(OTHER_AGENT, command)
    story.do(SELF, command)


def test_an_agent_that_waits_for_a_human_does_not_resume_itself():
    with pytest.raises(ActorNotAllowed):
        Story(TAKE, PAUSE).do(SELF, RESUME)


# --- Out of the pool and back -----------------------------------------------------------------------------------------


def test_a_disabled_agent_gets_no_task_until_it_is_enabled():
    story = Story()
    story.do(ALICE, DisableAgent(reason="rate limit"))
    assert (story.state.status, story.state.disabled_reason) == (AgentStatus.DISABLED, "rate limit")
    with pytest.raises(TransitionRefused):
        story.do(ENGINE, TAKE)
    story.do(ALICE, EnableAgent())
    assert (story.state.status, story.state.disabled_reason) == (AgentStatus.IDLE, "")
    story.do(ENGINE, TAKE)


@pytest.mark.parametrize("before", [[TAKE], [TAKE, PAUSE]])
def test_a_busy_agent_is_not_disabled(before):
    story = Story(*before)
    with refused("busy") as refusal:
        story.do(ALICE, DisableAgent())
    assert TASK_ID in refusal.value.reason
    assert refusal.value.remedy


@pytest.mark.parametrize("before", [[TAKE], [TAKE, PAUSE]])
def test_a_busy_agent_may_be_made_to_drop_its_task(before):
    story = Story(*before)
    assert story.do(ALICE, DisableAgent(reason="runs wild", drop_task=True)) == [
        AgentReleased(task_id=TASK_ID, outcome=TaskOutcome.UNASSIGNED),
        AgentDisabled(reason="runs wild"),
    ]
    assert (story.state.status, story.state.current_task_id) == (AgentStatus.DISABLED, None)


def test_an_idle_agent_has_no_task_to_drop():
    assert Story().do(ALICE, DisableAgent(drop_task=True)) == [AgentDisabled()]
