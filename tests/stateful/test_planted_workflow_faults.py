"""The comparison can fail: each rule that the engine is made to break is found, in stories that are alike without.

Each fault has a workflow in which it can show. What happens to it is random, from a few seeds.
"""

import random
from contextlib import ExitStack
from unittest.mock import patch

import attrs
import pytest
from msgspec.structs import replace
from workflow_engine import EngineWorld
from workflow_pair import Pair
from workflow_story import Move

from aura_contracts.errors import AuraError
from aura_contracts.failures import FailureReason
from aura_contracts.workflow import StepCancelled, _timeouts, outline_of
from aura_contracts.workflow import values as v
from aura_contracts.workflow.values import Join, StepDefinition, StepRetry, WorkflowDefinition
from aura_engine.decisions import (
    _workflow_containers,
    _workflow_control,
    _workflow_end,
    _workflow_joins,
    workflow,
    workflow_settlement,
)
from aura_engine.orchestration import acts
from workflow_graphs import Outcomes, Story

SEEDS = range(30)
FINAL, AGAIN = FailureReason.REFUSED, FailureReason.AGENT_ERROR
TOLERATED = v.OnStepFailure.CONTINUE


@attrs.frozen
class Fault:
    """What is replaced in the engine, and a workflow with the answers of its world in which that shows."""

    steps: tuple
    replaced: tuple
    answers: dict = attrs.field(factory=dict)
    first: tuple = ()
    """The moves before the random ones, where chance alone would seldom make them."""

    @property
    def story(self):
        return Story(WorkflowDefinition(name="planted", steps=self.steps), Outcomes(self.answers))


def command(name, *dependencies, **options):
    return StepDefinition(id=name, config=v.CommandStep(run="true"), dependencies=dependencies, **options)


def step(name, config, *dependencies, **options):
    return StepDefinition(id=name, config=config, dependencies=dependencies, **options)


def together(*steps, **options):
    return v.ParallelStep(steps=steps, **options)


def everywhere(name, replacement):
    modules = (_workflow_joins, _workflow_containers, _workflow_end, workflow_settlement, workflow, acts)
    return tuple((module, name, replacement) for module in modules if hasattr(module, name))


JOIN, ITEMS, LOOP = _workflow_joins.join_of, _workflow_containers._of_items, _workflow_containers._of_loop
FAILED = workflow_settlement.attempt_failed


def join_after_one(state, one, definition):
    return JOIN(state, one, replace(definition, n=1))


def join_without_cancelling(state, one, definition):
    result = JOIN(state, one, definition)
    return _workflow_joins.START if result.verdict is _workflow_joins.JoinVerdict.CANCEL_OTHERS else result


def items_all_at_once(state, one, config, *, paused):
    return ITEMS(state, one, replace(config, concurrency=None), paused=paused)


def one_more_round(state, one, config, *, paused):
    return LOOP(state, one, replace(config, limit=config.limit + 1), paused=paused)


def retried_whatever_failed(one, definition, failure, now):
    if definition is not None:
        definition = replace(definition, retry=replace(definition.retry, on=tuple(FailureReason)))
    return FAILED(one, definition, failure, now)


def earliest_first(state):
    outline = outline_of(state.definition)
    undone = {one.id: one.prefix + outline[one.definition_id].definition.compensation.id for one in completed(state)}
    return next((one for one in completed(state) if undone[one.id] not in state.steps), None)


def completed(state):
    outline = outline_of(state.definition)
    done = [one for one in state.steps.values() if one.status is v.StepStatus.COMPLETED]
    return sorted(
        (one for one in done if outline[one.definition_id].definition.compensation), key=lambda one: one.number
    )


FAULTS = {
    "a tolerated failure blocks": Fault(
        (command("a", on_failure=TOLERATED), command("b", "a", join=Join.ALL_DONE)),
        everywhere("tolerated", lambda *_: False),
        {"work a": [FINAL]},
    ),
    "one is enough for a join of two": Fault(
        (command("a"), command("b"), command("c"), command("d", "a", "b", "c", join=Join.N_OF, n=2)),
        everywhere("join_of", join_after_one),
    ),
    "the first does not cancel the others": Fault(
        (command("a"), command("b"), command("c", "a", "b", join=Join.FIRST, n=1)),
        everywhere("join_of", join_without_cancelling),
    ),
    "all items at once": Fault(
        (step("each", v.ForEachStep(items="inputs.list", steps=(command("a"),), concurrency=1)),),
        ((_workflow_containers, "_of_items", items_all_at_once),),
        {"items each": [3]},
    ),
    "one round too many": Fault(
        (step("loop", v.LoopStep(steps=(command("a"),), until="inputs.go", limit=2)),),
        ((_workflow_containers, "_of_loop", one_more_round),),
        {"until loop": [False]},
    ),
    "a group fails while something in it runs": Fault(
        (
            step(
                "group",
                together(command("a"), step("early", together(command("b"), command("c"), join=Join.ANY_SUCCEEDED))),
            ),
        ),
        everywhere("goes_on_below", lambda *_: False),
        {"work a": [FINAL]},
    ),
    "the whole completes while something runs": Fault(
        (step("early", together(command("a"), command("b"), join=Join.ANY_SUCCEEDED)),),
        (
            (
                _workflow_end,
                "_end",
                lambda state: _workflow_joins.block_end(state, (state.steps[one.id] for one in state.definition.steps)),
            ),
        ),
    ),
    "a pause holds nothing back": Fault(
        (step("first", together(command("a"))), step("second", together(command("b")), "first")),
        ((workflow_settlement._Settling, "_paused", False),),
    ),
    "every failure is tried again": Fault(
        (command("a", retry=StepRetry(attempts=2, on=(AGAIN,))),),
        everywhere("attempt_failed", retried_whatever_failed),
        {"work a": [FINAL]},
    ),
    "timeouts go on in a pause": Fault(
        (command("a", timeout=7.0), command("b"), step("wait", v.WaitStep(seconds=3.0))),
        ((_timeouts, "stopped", lambda one, _now: one),),
        first=(("start", "a"), ("pause",), ("advance", 3.0), ("resume",)),
    ),
    "what was skipped while it ran is cancelled": Fault(
        (command("a"), command("b", "a", join=Join.ALL_DONE)),
        everywhere("ended_by_cancel", lambda one, *_: StepCancelled(step_id=one.id)),
        first=(("start", "a"), ("skip", "a")),
    ),
    "locks hold nothing back": Fault(
        (command("a", locks=("db",)), command("b", locks=("db",))),
        everywhere("is_locked", lambda *_: False),
    ),
    "a retry forgets what was skipped": Fault(
        (command("a", on_failure=TOLERATED), command("b", "a"), command("c")),
        ((_workflow_control, "_skipped_because", lambda *_: ()),),
        {"work a": [FINAL, None]},
        first=(("start", "a"), ("end", "a"), ("retry", "a")),
    ),
    "compensation from the first on": Fault(
        (
            command("a", compensation=command("undo-a")),
            command("b", "a", compensation=command("undo-b")),
            command("c", "b"),
        ),
        ((_workflow_end, "_to_compensate", earliest_first),),
    ),
}


def differs(fault, seed):
    """Play the workflow with random moves; return what the engine does that the reference does not."""
    chance = random.Random(seed)
    try:
        pair = Pair(fault.story, EngineWorld(fault.story.definition, fault.story.outcomes))
        for move in fault.first:
            pair.make(Move(*move))
        pair.play([chance.randrange(200) for _ in range(25)])
    except (AssertionError, AuraError) as found:
        return str(found) or type(found).__name__
    return None


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found(name):
    fault = FAULTS[name]
    assert not any(differs(fault, seed) for seed in SEEDS), "without the fault they are alike"
    with ExitStack() as stack:
        for owner, attribute, replacement in fault.replaced:
            stack.enter_context(patch.object(owner, attribute, replacement))
        assert any(differs(fault, seed) for seed in SEEDS), "the fault is found"
