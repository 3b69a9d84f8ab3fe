"""Usage: what agents consumed is counted once, whatever they count themselves and however they end."""

import sys
from contextlib import aclosing
from functools import partial

import anyio
import pytest

from aura_contracts.entries import Usage, UsageReported
from aura_contracts.execution import ExecutionStatus, ProcessExited
from aura_contracts.ports.executors import Conversation, Executor, Launch
from aura_contracts.task import TaskStatus
from conditions import until
from engines import events_of, settled

pytestmark = pytest.mark.anyio

SESSION = "0199a213-81c0-7800-8aa1-bbab2a035a53"

CODEX = """\
#!{python}
import json, sys
from pathlib import Path

turns = Path({turns!r})
number = len(turns.read_text()) + 1
turns.write_text("x" * number)
Path(f"c{{number}}.txt").write_text("x")


def out(**message):
    print(json.dumps(message), flush=True)


out(type="thread.started", thread_id={session!r})
out(type="turn.started")
out(type="item.completed", item={{"id": "item_0", "type": "agent_message", "text": "done"}})
if "break off" in sys.stdin.read():
    sys.exit(3)
used = {{"input_tokens": 10_000, "cached_input_tokens": 8_000, "output_tokens": 500}}
out(type="turn.completed", usage={{name: number * tokens for name, tokens in used.items()}})
"""
"""A codex whose session consumes the same in each turn, and which tells the sum of all turns so far."""


@pytest.fixture
def codex(tmp_path):
    """Return how to run it."""
    program, turns = tmp_path / "codex", tmp_path / "turns"
    turns.touch()
    program.write_text(CODEX.format(python=sys.executable, turns=str(turns), session=SESSION))
    program.chmod(0o755)
    return {"executor": "codex", "options": {"protocol": "exec", "executable": str(program), "model": "gpt-5-codex"}}


async def sums(engine):
    (line,) = await engine.usage.costs(by="model")
    return line.input_tokens, line.cache_read_tokens, line.output_tokens, line.incomplete


@pytest.mark.deep
async def test_a_follow_up_counts_what_it_added_to_its_session(opened, repository, codex):
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], **codex)
        await settled(engine, run.id)
        assert await sums(engine) == (2_000, 8_000, 500, 0)
        await engine.approvals.reject(run.id, feedback="more")
        await settled(engine, run.id)
        assert await sums(engine) == (4_000, 16_000, 1_000, 0)


@pytest.mark.deep
async def test_another_task_in_the_session_counts_what_it_added(opened, repository, codex):
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], **codex)
        await settled(engine, run.id)
        await engine.tasks.cancel(run.id)
    async with opened() as engine:
        run = await engine.run("Do more", repositories=[str(repository)], session_id=SESSION, **codex)
        await settled(engine, run.id)
        assert await sums(engine) == (4_000, 16_000, 1_000, 0)


async def test_a_turn_that_broke_off_is_incomplete_until_the_session_counts_again(opened, repository, codex):
    async with opened() as engine:
        retry = {"retry": {"max_attempts": 1}}
        run = await engine.run("Now break off", repositories=[str(repository)], **codex, **retry)
        assert (await settled(engine, run.id)).status is TaskStatus.FAILED
        assert await sums(engine) == (0, 0, 0, 1)


@pytest.mark.deep
async def test_a_session_that_began_elsewhere_is_incomplete_once(opened, repository, codex, tmp_path):
    (tmp_path / "turns").write_text("xxx")
    async with opened() as engine:
        run = await engine.run("Do it", repositories=[str(repository)], session_id=SESSION, **codex)
        await settled(engine, run.id)
        assert await sums(engine) == (0, 0, 0, 1)
        await engine.approvals.reject(run.id, feedback="more")
        await settled(engine, run.id)
        assert await sums(engine) == (2_000, 8_000, 500, 1)


class _Counting(Conversation):
    """Counts at the end only, as some agents do."""

    def end(self, exit):
        yield UsageReported(usage=Usage(input_tokens=7), model="m")


class _Endless(Executor):
    name = "endless"

    def launch(self, run):
        return Launch(argv=("sh", "-c", "echo begun; exec sleep 300"))

    def converse(self, run):
        return _Counting()


async def is_over(engine, task_id):
    execution = (await engine.tasks.view(task_id)).execution
    return execution.final and not execution.processes


async def check_counted(engine, task_id):
    execution = (await engine.tasks.view(task_id)).execution
    assert execution.status is ExecutionStatus.CANCELLED
    assert execution.usage.input_tokens == 7
    (exited,) = [event for event in await events_of(engine, execution.id) if isinstance(event, ProcessExited)]
    assert (exited.exit.exit_code, exited.exit.signal) != (None, None)
    assert (await engine.usage.get(task_id)).input_tokens == 7


async def has_begun(engine, task_id):
    execution = (await engine.tasks.view(task_id)).execution
    return execution is not None and execution.processes


async def test_a_cancelled_run_counts_its_usage_and_its_exit(opened, repository):
    async with opened(executors=[_Endless()]) as engine:
        run = await engine.run("Do it", repositories=[str(repository)], executor="endless")
        with anyio.fail_after(60):
            async with aclosing(run.events(after=0, until_end=True)) as records:
                async for record in records:
                    if record.event.topic == "output.recorded":
                        break
        await engine.tasks.cancel(run.id)
        with anyio.fail_after(60):
            await until(partial(is_over, engine, run.id))
        await check_counted(engine, run.id)


async def test_a_run_that_is_cancelled_while_no_engine_drives_it_counts_too(opened, repository):
    async with opened(executors=[_Endless()]) as engine:
        run = await engine.run("Do it", repositories=[str(repository)], executor="endless")
        with anyio.fail_after(60):
            await until(partial(has_begun, engine, run.id))
    async with opened(executors=[_Endless()]) as engine:
        await engine.tasks.cancel(run.id)
        with anyio.fail_after(60):
            await until(partial(is_over, engine, run.id))
        await check_counted(engine, run.id)
