"""What workers may ask of a process: writes that arrive once, ends at an appointed time, clocks that stand still."""

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from aura_contracts.errors import ProcessGone
from aura_contracts.output import OutputSource
from aura_contracts.ports.processes import ExitCause, InterruptPlan, ProcessExit, RunningProcess
from aura_executors.runner.supervised_runner import SupervisedRunner
from aura_executors.supervisor.control_protocol import BODY_LIMIT, PIECE, keyed
from conditions import until
from supervised import first_line, make_runner, program, read, runner, shell, spec, stdout, supervisors

__all__ = ["runner"]

pytestmark = pytest.mark.anyio

STUBBORN = "trap '' INT TERM; echo ready; while :; do sleep 0.05; done"
SLEEPER = "import signal, time; signal.signal(2, signal.SIG_DFL); print('ready', flush=True); time.sleep(60)"
"""The first signal ends it wherever it is; a shell may be about to fork, a handler of Python waits for calls to end."""
PATIENT = InterruptPlan(after_interrupt=60, after_terminate=60)
FAR = 60.0


def lasted(ended: ProcessExit) -> float:
    assert ended.started_at is not None
    assert ended.ended_at is not None
    return (ended.ended_at - ended.started_at) / timedelta(seconds=1)


@asynccontextmanager
async def another_worker(home: Path, token: str) -> AsyncIterator[RunningProcess]:
    """Take the process over in a runner of its own, and leave it running."""
    async with make_runner(home) as other:
        process = await other.find(token)
        assert process is not None
        yield process


# --- Writing once -----------------------------------------------------------------------------------------------------


async def test_what_has_a_key_is_written_once(runner: SupervisedRunner) -> None:
    process = await runner.start(spec("cat", interactive=True))
    for data, key in ((b"one ", "1"), (b"other ", "1"), (b"two ", "2"), (b"one ", "1"), (b"free ", ""), (b"free ", "")):
        await process.write(data, key=key)
    await process.write(b"end", key="3", close=True)
    assert await stdout(process) == b"one two free free end"


async def test_workers_one_after_the_other_write_it_once(tmp_path: Path, runner: SupervisedRunner) -> None:
    process = await runner.start(spec("cat", interactive=True))
    token = process.process.identity.token
    for word in (b"first ", b"second ", b"third "):
        async with another_worker(tmp_path, token) as other:
            await other.write(b"hello ", key="greeting")
            await other.write(word, key=word.decode())
    await process.write(b"hello ", key="greeting", close=True)
    assert await stdout(process) == b"hello first second third "


LARGE = b"".join(b"%07d " % number for number in range(5 * PIECE // 8)) + b"end"
"""More pieces than a pipe holds, and none like another."""


async def test_what_was_written_in_part_is_written_to_its_end(tmp_path: Path, runner: SupervisedRunner) -> None:
    go = tmp_path / "go"
    process = await runner.start(shell(f"echo ready; while ! test -e {go}; do sleep 0.01; done; cat", interactive=True))
    await first_line(process)
    async with another_worker(tmp_path, process.process.identity.token) as other:
        with anyio.move_on_after(0.3) as scope:
            await other.write(LARGE, key="large")
        assert scope.cancelled_caught, "nobody reads"
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: process.write(LARGE, key="large", close=True))
        go.touch()
    assert await stdout(process) == b"ready\n" + LARGE


async def test_a_key_is_known_when_standard_input_is_closed(runner: SupervisedRunner) -> None:
    process = await runner.start(shell("cat; exec <&-; sleep 60", interactive=True))
    await process.write(b"once\n", key="1", close=True)
    await process.write(b"once\n", key="1")
    with pytest.raises(ProcessGone):
        await process.write(b"more\n", key="2")
    await first_line(process)
    await process.interrupt()
    assert await stdout(process) == b"once\n"


def test_the_longest_key_and_piece_fit_into_a_frame() -> None:
    assert len(keyed(b"k" * 255, b"x" * PIECE)) + 8 <= BODY_LIMIT


# --- Farewell ---------------------------------------------------------------------------------------------------------


async def test_who_goes_after_a_farewell_has_gone_by_itself(runner: SupervisedRunner) -> None:
    process = await runner.start(shell("echo ready; read line; exit 4", interactive=True))
    await first_line(process)
    await process.expect_exit(FAR)
    await process.write(b"\n")
    ended = await process.wait()
    assert (ended.cause, ended.exit_code, ended.message) == (ExitCause.OWN, 4, "")


async def test_who_stays_after_a_farewell_is_ended(runner: SupervisedRunner) -> None:
    process = await runner.start(shell(STUBBORN))
    await first_line(process)
    await process.expect_exit(0.1)
    await process.expect_exit(FAR)
    ended = await process.wait()
    assert (ended.cause, ended.signal) == (ExitCause.EXIT_GRACE, signal.SIGKILL)
    assert "done" in ended.message


async def test_a_farewell_holds_when_its_worker_is_gone(tmp_path: Path, runner: SupervisedRunner) -> None:
    asked = shell(STUBBORN, grace=FAR)
    async with make_runner(tmp_path) as before:
        process = await before.start(asked)
        await first_line(process)
        await process.expect_exit(0.2)
    await until(lambda: not supervisors(tmp_path))
    found = await runner.find(asked.token)
    assert found is not None
    assert (await found.wait()).cause == ExitCause.EXIT_GRACE


async def test_an_interrupt_does_not_wait_for_the_farewell(runner: SupervisedRunner) -> None:
    process = await runner.start(shell("echo ready; sleep 60"))
    await first_line(process)
    await process.expect_exit(FAR)
    await process.interrupt("enough")
    ended = await process.wait()
    assert (ended.cause, ended.message) == (ExitCause.INTERRUPTED, "enough")


# --- Interrupts at an appointed time ----------------------------------------------------------------------------------


async def test_who_goes_when_asked_was_interrupted(runner: SupervisedRunner) -> None:
    process = await runner.start(shell("echo ready; read line; exit 5", interactive=True))
    await first_line(process)
    await process.interrupt("asked", after=FAR)
    await process.write(b"stop\n")
    ended = await process.wait()
    assert (ended.cause, ended.exit_code, ended.message) == (ExitCause.INTERRUPTED, 5, "asked")
    assert lasted(ended) < FAR / 2


async def test_who_does_not_go_when_asked_is_ended(runner: SupervisedRunner) -> None:
    process = await runner.start(shell(STUBBORN))
    await first_line(process)
    await process.interrupt("asked", after=0.3)
    ended = await process.wait()
    assert (ended.cause, ended.signal, ended.message) == (ExitCause.INTERRUPTED, signal.SIGKILL, "asked")
    assert lasted(ended) > 0.3 + 0.2 + 0.2, "what was appointed, and the steps"


async def test_an_interrupt_again_does_not_wait_for_the_appointed_time(runner: SupervisedRunner) -> None:
    process = await runner.start(program(SLEEPER, interrupt=PATIENT))
    await first_line(process)
    await process.interrupt("asked", after=FAR)
    await process.interrupt("now", after=FAR)
    ended = await process.wait()
    assert (ended.cause, ended.message) == (ExitCause.INTERRUPTED, "asked")
    assert lasted(ended) < FAR / 2


async def test_the_first_appointed_interrupt_holds_without_worker(tmp_path: Path, runner: SupervisedRunner) -> None:
    asked = shell(STUBBORN, grace=FAR)
    async with make_runner(tmp_path) as before:
        process = await before.start(asked)
        await first_line(process)
        await process.interrupt("asked", after=0.2)
    await until(lambda: not supervisors(tmp_path))
    found = await runner.find(asked.token)
    assert found is not None
    assert (await found.wait()).cause == ExitCause.INTERRUPTED


@pytest.mark.deep_but_first
@pytest.mark.parametrize("limit", [{"timeout": 0.3}, {"idle_timeout": 0.3}])
async def test_a_limit_ends_it_before_the_appointed_time(runner: SupervisedRunner, limit: dict[str, float]) -> None:
    process = await runner.start(shell("echo ready; sleep 60", **limit))
    await process.interrupt("asked", after=FAR)
    assert (await process.wait()).cause == ExitCause.INTERRUPTED, "the first cause is told"
    other = await runner.start(shell("echo ready; sleep 60", **limit))
    await other.expect_exit(FAR)
    assert (await other.wait()).cause.value == next(iter(limit))


# --- Limits that pause ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["timeout", pytest.param("idle_timeout", marks=pytest.mark.deep)])
async def test_limits_stand_still_while_they_are_paused(runner: SupervisedRunner, limit: str) -> None:
    process = await runner.start(shell("echo ready; read line; sleep 60", interactive=True, **{limit: 2.0}))
    await process.pause_limits(True)
    await process.pause_limits(True)
    paused = time.monotonic()
    await first_line(process)
    with anyio.move_on_after(2.5):
        await process.wait()
    assert not process.ended
    await process.pause_limits(False)
    waited = time.monotonic() - paused
    ended = await process.wait()
    assert ended.cause.value == limit
    assert lasted(ended) > waited


@pytest.mark.deep
async def test_a_pause_outlives_the_worker_and_another_one_ends_it(tmp_path: Path, runner: SupervisedRunner) -> None:
    asked = shell("echo ready; sleep 60", timeout=2.0, idle_timeout=2.0)
    async with make_runner(tmp_path) as before:
        process = await before.start(asked)
        await process.pause_limits(True)
    process = await runner.start(asked)
    with anyio.move_on_after(2.5):
        await process.wait()
    assert not process.ended
    await process.pause_limits(False)
    assert (await process.wait()).cause in (ExitCause.TIMEOUT, ExitCause.IDLE_TIMEOUT)


@pytest.mark.deep
async def test_what_is_paused_can_be_ended_and_writes_as_much_as_it_may(runner: SupervisedRunner) -> None:
    writer = await runner.start(shell("echo hello; sleep 60", output_limit=4, timeout=FAR))
    await writer.pause_limits(True)
    assert (await writer.wait()).cause == ExitCause.OUTPUT_LIMIT
    sleeper = await runner.start(spec("sleep", "60", idle_timeout=FAR))
    await sleeper.pause_limits(True)
    await sleeper.expect_exit(0.1)
    assert (await sleeper.wait()).cause == ExitCause.EXIT_GRACE
    await sleeper.pause_limits(False)


# --- Numbers ----------------------------------------------------------------------------------------------------------


async def test_the_number_of_the_first_record_is_known_to_all(tmp_path: Path, runner: SupervisedRunner) -> None:
    process = await runner.start(shell("echo one; read line; echo two", interactive=True, first_record=41))
    async with another_worker(tmp_path, process.process.identity.token) as other:
        assert (process.first_record, other.first_record) == (41, 41)
    assert await first_line(process, after=40) == b"one"
    await process.write(b"\n", close=True)
    written = await read(process, after=40)
    assert written[OutputSource.STDOUT] == b"one\ntwo\n"
    assert (await process.wait()).records == 2


# --- Agents that do not behave ----------------------------------------------------------------------------------------

LAUNCHER = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_DFL)
if os.fork() == 0:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        print("still here", flush=True)
        time.sleep(0.05)
time.sleep(60)
"""
"""Dies of the signal that its agent ignores: copilot, qwen."""

RELAUNCHER = """
import os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
code = "import time; print('ready', flush=True); time.sleep(60)"
sys.exit(subprocess.call([sys.executable, "-I", "-S", "-c", code]))
"""
"""Ignores all, and so does the agent that it starts: gemini."""

TOOL = """
import os, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
os.wait()
signal.signal(signal.SIGINT, lambda *_: os._exit(0))
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
"""Goes politely and leaves behind what its tool has started, in its own session, holding its output: opencode."""


@pytest.mark.deep_but_first
@pytest.mark.parametrize(
    ("source", "code", "number", "survivors"),
    [
        (LAUNCHER, None, signal.SIGINT, (1, 1)),
        (RELAUNCHER, None, signal.SIGKILL, (0, 1)),
        (TOOL, 0, None, (1, 1)),
    ],
    ids=["launcher", "relauncher", "tool"],
)
@pytest.mark.parametrize("grouped", [True, False], ids=["group", "no-group"])
async def test_who_does_not_behave_is_ended_with_all_it_started(
    tmp_path: Path,
    runner: SupervisedRunner,
    source: str,
    code: int | None,
    number: int | None,
    survivors: tuple[int, int],
    grouped: bool,
) -> None:
    async with make_runner(tmp_path / "here", control_groups=grouped) as here:
        process = await here.start(program(source))
        await first_line(process)
        began = time.monotonic()
        await process.interrupt()
        ended = await process.wait()
        await read(process)
        assert time.monotonic() - began < 40
        assert (ended.cause, ended.exit_code, ended.signal) == (ExitCause.INTERRUPTED, code, number)
        assert survivors[0] <= ended.survivors <= survivors[1]
        await here.forget(process.process.identity.token)


async def test_a_launcher_that_is_killed_does_not_leave_its_agent(runner: SupervisedRunner) -> None:
    process = await runner.start(program(LAUNCHER))
    await first_line(process)
    os.kill(process.process.identity.pid, signal.SIGKILL)
    ended = await process.wait()
    assert (ended.cause, ended.signal, ended.survivors) == (ExitCause.OWN, signal.SIGKILL, 1)


async def test_standard_input_of_an_agent_is_at_its_end(runner: SupervisedRunner) -> None:
    """Some hang for as long as a pipe is open."""
    process = await runner.start(program("import os, sys; print(os.readlink('/dev/fd/0'), repr(sys.stdin.read()))"))
    assert await stdout(process) == b"/dev/null ''\n"
