"""The portal: an event loop for code that blocks, however that code is left."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from textwrap import dedent

import anyio
import pytest

from aura_contracts.errors import StoreMisconfigured
from aura_engine import open_engine_sync
from aura_engine.portal import Portal
from conditions import until


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Whatever happens in a test, the loop's thread has ended with it."""
    yield
    assert [thread for thread in threading.enumerate() if thread.name == "aura-engine"] == []


@pytest.fixture(autouse=True)
def interrupts_are_handled():
    """As at a terminal; what a shell starts in the background ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def left():
    """What contexts note when they are left."""
    return []


@pytest.fixture
def opened(left):
    """A portal with a context that is kept open."""
    portal = Portal()
    portal.open(context(left))
    yield portal
    portal.close()


@asynccontextmanager
async def context(left, value="opened"):
    task = anyio.get_current_task().id
    try:
        yield value
    finally:
        left.append(anyio.get_current_task().id == task)


async def interrupt():
    """Interrupt the program, as Ctrl-C does, while it waits for the loop."""
    main = threading.main_thread().ident
    await until(lambda: sys._current_frames()[main].f_code.co_name == "wait")
    os.kill(os.getpid(), signal.SIGINT)


# --- Leaving ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ZeroDivisionError()], ids=repr)
def test_what_leaves_the_body_is_raised_as_it_is(tmp_path, error):
    with pytest.raises(type(error)) as raised, open_engine_sync(f"sqlite:///{tmp_path / 'aura.db'}", home=tmp_path):
        raise error
    assert raised.value is error


@pytest.mark.deep_but_first
@pytest.mark.parametrize("driving", [False, True])
def test_an_engine_that_is_left_by_exit_ends_the_program_with_its_code(tmp_path, driving):
    program = f"""
        import sys
        from aura_engine import open_engine_sync
        with open_engine_sync("sqlite:///aura.db", home="home", drive_all={driving}) as engine:
            assert not engine.tasks.list().rows
            sys.exit(3)
    """
    done = run(program, tmp_path)
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.deep
def test_a_program_that_forgets_to_close_still_ends_and_in_order(tmp_path):
    program = """
        from aura_engine import open_engine_sync
        engine = open_engine_sync("sqlite:///aura.db", home="home")
        print(engine.tasks.create("Think").title)
    """
    done = run(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Think\n", "")
    assert not (tmp_path / "aura.db-wal").exists(), "the store was closed"


def run(program, folder):
    environment = {**os.environ, "HOME": str(folder), "AURA_USER": "alice"}
    command = [sys.executable, "-c", dedent(program)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_closing_again_is_harmless(opened, left):
    opened.close()
    opened.close()
    assert left == [True]


def test_a_context_is_entered_and_left_by_one_task_whatever_thread_asks(left):
    """As in a notebook: opened in one cell, used in another, closed in a third."""
    portal, answers = Portal(), []

    async def answer():
        return 42

    for step in (
        lambda: answers.append(portal.open(context(left))),
        lambda: answers.append(portal.call(answer)),
        portal.close,
    ):
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
    assert answers == ["opened", 42]
    assert left == [True]


# --- Opening that fails -----------------------------------------------------------------------------------------------


def test_an_error_while_opening_is_raised_as_it_is():
    with pytest.raises(StoreMisconfigured):
        open_engine_sync("nonsense:///aura.db")


def test_an_interrupt_while_opening_leaves_the_context(left):
    @asynccontextmanager
    async def slow():
        async with context(left):
            await interrupt()
            await anyio.sleep_forever()
            yield

    with pytest.raises(KeyboardInterrupt):
        Portal().open(slow())
    assert left == [True]


# --- Calls ------------------------------------------------------------------------------------------------------------


def test_an_interrupted_call_has_ended_when_the_interrupt_is_raised(opened, left):
    ended = []

    async def work():
        try:
            await interrupt()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)  # such as an append that is recorded as a whole or not at all
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        opened.call(work)
    assert ended == [True]
    assert opened.run(lambda: "at work") == "at work"
    assert left == []


def test_a_call_raises_what_the_coroutine_raises(opened):
    async def work():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        opened.call(work)


def test_threads_call_at_once(opened):
    met = []

    async def meet():
        met.append(anyio.get_current_task().id)
        with anyio.fail_after(60):
            while len(met) < 8:
                await anyio.lowlevel.checkpoint()

    threads = [threading.Thread(target=opened.call, args=(meet,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(met)) == 8


def test_an_iteration_that_is_left_early_is_closed(opened, left):
    async def numbers():
        async with context(left):
            for number in range(10):
                yield number

    for number in opened.iterate(numbers()):
        if number == 2:
            break
    assert len(left) == 1
    assert list(opened.iterate(numbers())) == list(range(10))
