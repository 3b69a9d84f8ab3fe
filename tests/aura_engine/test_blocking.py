"""The blocking twin: subscriptions in threads of their own, the end of a program, and calls after closing."""

import os
import subprocess
import sys
import threading
from textwrap import dedent

import pytest

from aura_contracts.errors import EngineClosed, InvalidInput
from aura_contracts.task import TaskCreated
from aura_engine import BlockingSubscription, open_engine_sync
from aura_engine.facade import core as module


@pytest.fixture(autouse=True)
def no_thread_is_left():
    """Threads of callbacks end with their subscription."""
    yield
    for thread in threading.enumerate():
        if thread.name == "aura-callback":
            thread.join(60)
    assert not {thread.name for thread in threading.enumerate()} & {"aura-engine", "aura-callback"}


@pytest.fixture
def opened(tmp_path):
    return lambda **options: open_engine_sync(f"sqlite:///{tmp_path / 'aura.db'}", home=tmp_path, **options)


def run(program, folder):
    environment = {**os.environ, "HOME": str(folder), "AURA_USER": "alice"}
    command = [sys.executable, "-c", dedent(program)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("name", [None, "mail"])
def test_a_subscription_can_be_cancelled_and_the_engine_left(opened, name):
    with opened() as engine:
        subscription = engine.on(TaskCreated, print, name=name)
        assert isinstance(subscription, BlockingSubscription)
        assert subscription.name == name
        subscription.cancel()
        subscription.wait()
        assert subscription.failure is None
    subscription.cancel()


def test_callbacks_have_a_thread_of_their_own_and_may_use_the_engine(opened):
    heard = []

    def hear(record):
        heard.append((engine.tasks.get(record.stream_id).title, threading.get_ident()))
        if len(heard) == 2:
            subscription.cancel()

    with opened() as engine:
        subscription = engine.on(TaskCreated, hear, name="mail")
        engine.tasks.create("one")
        engine.tasks.create("two")
        subscription.wait()
    assert [title for title, _ in heard] == ["one", "two"]
    assert len({thread for _, thread in heard} | {threading.get_ident()}) == 2


def test_a_callback_that_blocks_holds_up_nothing_else(opened):
    begun, freed, heard = threading.Event(), threading.Event(), threading.Event()

    def block(record):
        begun.set()
        freed.wait(60)

    with opened() as engine:
        engine.on(TaskCreated, block)
        engine.on(TaskCreated, lambda _: heard.set())
        engine.tasks.create("one")
        assert begun.wait(60)
        assert heard.wait(20)
        assert len(engine.tasks.list().rows) == 1
        freed.set()


def test_an_asynchronous_callback_is_refused(opened):
    async def hear(record): ...

    with opened() as engine, pytest.raises(InvalidInput):
        engine.on(TaskCreated, hear)


def test_a_callback_may_close_the_engine(opened, monkeypatch):
    monkeypatch.setattr(module, "CLOSING_PATIENCE", 0.05)
    closed = threading.Event()

    def close(record):
        engine.close()
        closed.set()

    engine = opened()
    engine.on(TaskCreated, close)
    engine.tasks.create("Close")
    assert closed.wait(20)
    with pytest.raises(EngineClosed):
        engine.tasks.list()


@pytest.mark.deep
def test_a_callback_that_exits_ends_the_program_with_its_code(tmp_path):
    program = """
        import sys, threading
        from aura_engine import EngineClosed, TaskCreated, open_engine_sync
        with open_engine_sync("sqlite:///aura.db", home="home") as engine:
            subscription = engine.on(TaskCreated, lambda record: sys.exit(5))
            engine.tasks.create("Leave")
            try:
                subscription.wait()
                while True:
                    engine.tasks.list()
            except EngineClosed:
                print("closed")
    """
    done = run(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (5, "closed\n", "")


def test_a_call_that_waits_while_another_thread_closes_says_that_it_is_closed(opened):
    engine, begun, told = opened(), threading.Event(), []

    def follow():
        try:
            for _ in engine.events.read(follow=True):
                begun.set()
        except EngineClosed:
            told.append(True)

    engine.tasks.create("Begin")
    thread = threading.Thread(target=follow)
    thread.start()
    assert begun.wait(60)
    engine.close()
    thread.join(60)
    assert told == [True]


def test_every_call_after_closing_says_so(opened):
    with opened() as engine:
        task = engine.tasks.create("Think")
        handle = engine.attach(task.id)
        events = handle.events(after=0)
        next(events)
    for call in (engine.tasks.list, engine.executors.list, engine.doctor.list, handle.result, lambda: next(events)):
        with pytest.raises(EngineClosed):
            call()
    with pytest.raises(EngineClosed):
        engine.on(TaskCreated, print)
    events.close()
    engine.close()
    assert handle.id == task.id


@pytest.mark.deep
def test_a_forked_child_ends_and_leaves_the_engine_to_its_parent(tmp_path):
    program = """
        import os, sys
        from aura_engine import EngineClosed, open_engine_sync
        engine = open_engine_sync("sqlite:///aura.db", home="home")
        child = os.fork()
        if not child:
            try:
                engine.tasks.list()
            except EngineClosed:
                sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), engine.tasks.create("Go on").title)
    """
    done = run(program, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "7 Go on\n", "")
