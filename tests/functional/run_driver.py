"""A process with an engine of its own, for one run: ``python run_driver.py ORDER``; says on stdout how it went.

ORDER and what is said are JSON. ORDER: `url`, `home`, `request` (fields of `RunRequest`), `grace`; `cancel_at`, the
topic of an event, or a text among what is written, upon which the task is called off; `witness`, a file that is told
each event once it was seen; `resume`, to go on with what is unfinished instead. Said: `status`, `failure`, `error`
(with its class) when the engine raised one, and `peak`, the most memory that this process had (bytes).

The executor ``hasty`` is ``custom``, for agents that are not to be asked twice: interrupted, they have 0.2 s to leave.
"""

import json
import resource
import sys
from contextlib import aclosing, nullcontext
from pathlib import Path
from typing import Any

import anyio
import attrs
import msgspec

from aura_contracts.errors import AuraError
from aura_contracts.events import Event
from aura_contracts.output import OutputRecorded
from aura_contracts.ports.executors import AgentRun, Launch
from aura_contracts.ports.processes import InterruptPlan
from aura_contracts.task import RetryPolicy
from aura_engine import open_engine
from aura_engine.facade.engine import Engine
from aura_engine.facade.run import Run
from aura_executors.custom import CustomExecutor


class HastyExecutor(CustomExecutor):
    name = "hasty"

    def launch(self, run: AgentRun) -> Launch:
        return attrs.evolve(super().launch(run), interrupt=InterruptPlan(0.2, 0.2))


def peak_memory() -> int:
    """Return the most resident memory in bytes that this program had, not counting whoever started it."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


async def begin(engine: Engine, order: dict[str, Any]) -> Run:
    """Return the run to follow."""
    if order.get("resume"):
        (task,) = (await engine.tasks.list(unfinished=True)).rows
        return await engine.resume(task.id)
    request = order["request"]
    retry = RetryPolicy(**request.pop("retry", {"max_attempts": 1}))
    return await engine.run(request.pop("prompt", "Work"), retry=retry, **request)


def has_come(awaited: str, event: Event) -> bool:
    """Whether `event` has this topic, or is output with this text."""
    output = event.chunks if isinstance(event, OutputRecorded) else ()
    return event.topic == awaited or any(awaited.encode() in chunk.raw for chunk in output)


async def work(order: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    cancel_at = order.get("cancel_at", "")
    witness = Path(order["witness"]).open("a") if "witness" in order else nullcontext()  # noqa: ASYNC230, SIM115
    options = {"home": order["home"], "user": "alice", "grace": order.get("grace", 30.0)}
    with witness as told:
        try:
            async with open_engine(order["url"], executors=[HastyExecutor()], **options) as engine:
                run = await begin(engine, order)
                async with aclosing(run.events(after=0)) as records:
                    async for record in records:
                        if told is not None:
                            told.write(f"{record.position} {record.stream_id} {record.event.topic}\n")
                        if cancel_at and has_come(cancel_at, record.event):
                            cancel_at = ""
                            await run.cancel("enough")
                task = await run.task()
                said |= {"status": str(task.status), "failure": msgspec.to_builtins(task.failure)}
        except AuraError as error:
            said["error"] = {"type": type(error).__name__, "code": error.code, "message": str(error)}
    return said


if __name__ == "__main__":
    answer = anyio.run(work, json.loads(sys.argv[1]))
    sys.stdout.write(json.dumps({**answer, "peak": peak_memory()}) + "\n")
