"""The workflow of the benchmark `workflows` in AURA: choices, whose condition reads the output of the step before.

``with_aura.py STORE WORKFLOWS AT_ONCE STEPS [KIND]`` prints steps per second. A workflow is over when its result is
there, and each of its steps has an event on disk for its beginning, its outcome and its end. Of `KIND` ``signals`` the
steps wait, each for a signal which is sent once the step waits, so that every one is committed by itself.
"""

import sys
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from aura_contracts.workflow import StepDefinition, WaitStep, WorkflowDefinition
from aura_engine import Engine, open_engine

warnings.simplefilter("ignore")


def conditions(steps: int) -> WorkflowDefinition:
    """Return steps one after another, each but the first of which reads the output of the one before."""
    texts = ["true", *(f"steps.s{number}.output == {{}}" for number in range(steps - 1))]
    return _chain([WaitStep(seconds=0)] * steps, texts)


def signals(steps: int) -> WorkflowDefinition:
    """Return steps one after another that wait for a signal."""
    return _chain([WaitStep(signal="go")] * steps, [""] * steps)


def _chain(configs, conditions) -> WorkflowDefinition:
    steps = [
        StepDefinition(id=f"s{number}", config=config, when=when, dependencies=(f"s{number - 1}",) if number else ())
        for number, (config, when) in enumerate(zip(configs, conditions, strict=True))
    ]
    return WorkflowDefinition(name="chain", steps=tuple(steps))


async def by_conditions(engine: Engine, definition: WorkflowDefinition) -> None:
    run = await engine.workflows.start(definition)
    assert (await run.result()).completed_steps == len(definition.steps)


async def by_signals(engine: Engine, definition: WorkflowDefinition) -> None:
    run = await engine.workflows.start(definition)
    for _ in definition.steps:
        workflow = await engine.workflows.signal(run.id, "go")
    assert workflow.ended
    assert workflow.completed_steps == len(definition.steps)


async def main(store: str, workflows: int, at_once: int, steps: int, kind: str = "conditions") -> None:
    live, definition = (by_signals, signals(steps)) if kind == "signals" else (by_conditions, conditions(steps))
    with TemporaryDirectory() as home:
        async with open_engine(store, user="alice", home=Path(home)) as engine:

            async def lives(number: int) -> None:
                for _ in range(number):
                    await live(engine, definition)

            async def all_lives(number: int) -> None:
                async with anyio.create_task_group() as group:
                    for _ in range(at_once):
                        group.start_soon(lives, number)

            await all_lives(1)
            began = time.perf_counter()
            await all_lives(workflows // at_once)
            print(workflows * steps / (time.perf_counter() - began))


anyio.run(main, sys.argv[1], *map(int, sys.argv[2:5]), *sys.argv[5:])
