"""How many appends workflows need: what is evaluated without the world is recorded together, in bounded parts."""

import pytest
from workflow_steps import defined, ends, start, step

from aura_contracts.workflow import LoopStep, StepDecided, WaitStep
from aura_engine.orchestration.workflow_driver import TOGETHER

pytestmark = pytest.mark.anyio

_NOTHING = WaitStep(seconds=0)


def _chain(count):
    yield step("s0", _NOTHING)
    for number in range(1, count):
        yield step(f"s{number}", _NOTHING, f"s{number - 1}", when=f"steps.s{number - 1}.output == {{}}")


async def _appends(engine, workflow_id):
    """Return the events of each append, by the command that caused them."""
    found = {}
    for record in await engine._core.log.stream(workflow_id):
        found.setdefault(record.correlation_id, []).append(record.event)
    return list(found.values())


async def test_a_chain_of_conditions_is_recorded_together(opened):
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(*_chain(20))))
        assert workflow.completed_steps == 20
        assert len(await _appends(engine, workflow.id)) == 2


async def test_a_long_chain_is_recorded_in_parts(opened):
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(*_chain(3 * TOGETHER))))
        assert workflow.completed_steps == 3 * TOGETHER
        decided = [
            sum(isinstance(event, StepDecided) for event in part) for part in await _appends(engine, workflow.id)
        ]
        assert max(decided) <= TOGETHER + 1
        assert sum(decided) == 3 * TOGETHER - 1


async def test_rounds_of_a_loop_are_recorded_together(opened):
    loop = step("loop", LoopStep(steps=(step("turn", _NOTHING),), until="round == 5", limit=9))
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(loop)))
        assert workflow.steps["loop"].round == 5
        assert len(await _appends(engine, workflow.id)) == 2


async def test_a_condition_that_fails_leaves_what_was_before_it(opened):
    steps = [*_chain(3), step("bad", _NOTHING, "s2", when="steps.s2.output"), step("after", _NOTHING, "bad")]
    async with opened() as engine:
        workflow = await ends(engine, await start(engine, defined(*steps)))
        assert workflow.status == "failed"
        assert workflow.completed_steps == 3
        assert "a condition is true or false" in workflow.steps["bad"].failure.message
        assert workflow.steps["after"].status == "pending"
