"""The restart of the benchmark `workflows`: an engine that finds 1,000 workflows of 20 steps, which wait.

``python -m benchmarks.workflow_restart fill STORE WORKFLOWS STEPS`` starts them in an engine that drives them and ends
as if it was killed: half of the steps of each are done, and the next one waits for a signal. ``... restart STORE
WORKFLOWS STEPS`` opens an engine that takes on all that was left and sends a signal to the ten that come last. Once
these have completed and all are driven, it prints the clock (`time.perf_counter`), and the greatest memory of the
process in MB.
"""

import os
import resource
import sys
import time
from pathlib import Path

import anyio

from aura_contracts.workflow import StepDefinition, WaitStep, WorkflowDefinition, WorkflowStatus
from aura_engine import open_engine

WOKEN = 10


def waiting(steps: int) -> WorkflowDefinition:
    """Return steps one after another, the one in the middle of which waits for a signal."""
    middle = steps // 2
    configs = [WaitStep(signal="go") if number == middle else WaitStep(seconds=0) for number in range(steps)]
    chain = [
        StepDefinition(id=f"s{number}", config=config, dependencies=(f"s{number - 1}",) if number else ())
        for number, config in enumerate(configs)
    ]
    return WorkflowDefinition(name="waiting", steps=tuple(chain))


def home_of(store: str) -> Path:
    """Return the folder of the engine's data, beside the store."""
    return Path(store.removeprefix("sqlite:///")).with_suffix(".home")


async def fill(store: str, workflows: int, steps: int) -> None:
    async with open_engine(store, user="alice", home=home_of(store)) as engine:
        for number in range(workflows):
            await engine.workflows.start(waiting(steps), key=str(number))
        os._exit(0)


async def restart(store: str, workflows: int, steps: int) -> None:
    async with open_engine(store, user="alice", home=home_of(store), drive_all=True) as engine:
        runs = [
            await engine.workflows.start(waiting(steps), key=str(number))
            for number in range(workflows - WOKEN, workflows)
        ]
        for run in runs:
            await engine.workflows.signal(run.id, "go")
            assert (await run.result()).status is WorkflowStatus.COMPLETED
        drivers = engine._core.follower.drivers  # noqa: SLF001 - to know that it is done
        while sum(1 for driver in drivers if driver.streams) != workflows - WOKEN:
            await anyio.lowlevel.checkpoint()
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(time.perf_counter(), memory)


if __name__ == "__main__":
    anyio.run({"fill": fill, "restart": restart}[sys.argv[1]], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
