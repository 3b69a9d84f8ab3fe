"""Many threads at once, with threads switched as often as can be: nothing crashes, and nothing is lost.

Each program is a process of its own, because a race in a library may end the interpreter.
"""

import os
import subprocess
import sys
from textwrap import dedent

import pytest

STORM = """
import os, sys, threading, gc

sys.setswitchinterval(1e-6)

def storm(*works):
    go, faults = threading.Barrier(len(works)), []
    def run(work):
        go.wait()
        try:
            work()
        except BaseException as error:
            faults.append(repr(error))
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if faults:
        sys.exit("\\n".join(faults))
"""

CALLS_ON_ONE_ENGINE = """
    from aura_engine import open_engine_sync

    with open_engine_sync("sqlite:///aura.db", home="home") as engine:
        def work(number):
            def use():
                task = engine.tasks.create(f"Task {number}", priority="high")
                assert engine.tasks.get(task.id).title == f"Task {number}"
                assert any(row.id == task.id for row in engine.tasks.list(limit=100).rows)
                engine.tasks.cancel(task.id)
                assert [record.event.topic for record in engine.events.read(stream=task.id)]
                assert engine.executors.list()
            return use
        storm(*[work(number) for number in range(30)])
        assert {row.status for row in engine.tasks.list(limit=100).rows} == {"cancelled"}
        assert len(engine.tasks.list(limit=100).rows) == 30
"""

NAMES_THAT_ARE_IMPORTED_LAZILY = """
    import importlib, random
    packages = [importlib.import_module(f"aura_{name}") for name in sys.argv[1:]]
    names = [(package, name) for package in packages for name in package.__all__]
    assert len(names) > 200
    def work(seed):
        def use():
            order = names[:]
            random.Random(seed).shuffle(order)
            for package, name in order:
                assert getattr(package, name) is not None
        return use
    storm(*[work(seed) for seed in range(30)])
"""

ENGINES_THAT_MAKE_ONE_STORE = """
    from aura_engine import open_engine_sync

    def work(number):
        def use():
            with open_engine_sync("sqlite:///aura.db", home="home") as engine:
                engine.tasks.create(f"Task {number}")
        return use
    storm(*[work(number) for number in range(int(sys.argv[1]))])
    with open_engine_sync("sqlite:///aura.db", home="home") as engine:
        assert len(engine.tasks.list(limit=100).rows) == int(sys.argv[1])
        assert engine.audit.verify().first_bad is None
"""

COLLECTING_WHILE_DECODING = """
    gc.set_threshold(1, 1, 1)
    import msgspec
    from aura_contracts.catalogue import AGGREGATES, CATALOGUE
    from aura_contracts.entries import AnyEntry, Message
    from aura_contracts.first_use import convert, decode_json
    from aura_contracts.task import TaskCreated, TaskSpec
    event = TaskCreated(task_id="0192f0c1-2d3e-7abc-8def-000000000005", spec=TaskSpec(title="x", labels=("a",) * 5))
    data, entry = msgspec.json.encode(event), msgspec.json.encode(Message(text="x" * 100))
    def use():
        for _ in range(20):
            assert decode_json(data, TaskCreated) == event
            assert decode_json(entry, AnyEntry).text == "x" * 100
            assert convert(msgspec.to_builtins(event), TaskCreated) == event
    storm(*[use] * 10)
"""

TEMPLATES_MORE_THAN_ARE_KEPT = """
    from aura_engine.jinja_templates import Template, render
    def work(thread):
        def use():
            for number in range(20):
                text = "Do {{ what }}" + f" {thread}.{number}"
                assert render(Template("coding", "task", text), {"what": "it"}) == f"Do it {thread}.{number}"
                assert render(Template("coding", "task", "Do {{ what }}"), {"what": number}) == f"Do {number}"
        return use
    storm(*[work(thread) for thread in range(30)])
"""

TWO_LOOPS_ON_ONE_ENGINE = """
    import asyncio
    from aura_engine import open_engine
    async def main():
        async with open_engine("sqlite:///aura.db", home="home") as engine:
            await engine.tasks.create("One")
            def other():
                async def use():
                    return await engine.tasks.create("Two")
                try:
                    return repr(asyncio.run(asyncio.wait_for(use(), 20)).title)
                except Exception as error:
                    return f"{type(error).__name__}: {error}"
            print(await asyncio.to_thread(other))
            print((await engine.tasks.create("Three")).title)
    asyncio.run(main())
"""

LEFT_OPEN_BY_A_THREAD = """
    from aura_engine import open_engine_sync
    opened = threading.Event()
    def work():
        engine = open_engine_sync("sqlite:///aura.db", home="home", drive_all=True)
        engine.tasks.create("Think")
        opened.set()
        for _ in engine.events.read(follow=True):
            pass
    threading.Thread(target=work, daemon=True).start()
    opened.wait()
    print("left")
"""

A_CHILD_FORKED_BY_A_THREAD = """
    import multiprocessing
    from aura_engine import EngineClosed, open_engine_sync
    engine = open_engine_sync("sqlite:///aura.db", home="home")
    def child():
        try:
            engine.tasks.list()
        except EngineClosed:
            with open_engine_sync("sqlite:///aura.db", home="home") as own:
                own.tasks.create("Of the child")
                sys.exit(7)
    codes = []
    def fork():
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join()
        codes.append(process.exitcode)
    storm(fork, *[lambda: [engine.tasks.list() for _ in range(20)]] * 4)
    print(codes, len(engine.tasks.list().rows))
    engine.close()
"""

PACKAGES = ("contracts", "engine", "executors", "git", "notify", "store", "worker", "workspace")

PROGRAMS = {
    "calls on one engine": (CALLS_ON_ONE_ENGINE, ()),
    "names that are imported lazily": (NAMES_THAT_ARE_IMPORTED_LAZILY, PACKAGES),
    "engines that make one store": (ENGINES_THAT_MAKE_ONE_STORE, ("30",)),
    "collecting while decoding": (COLLECTING_WHILE_DECODING, ()),
    "templates, more than are kept": (TEMPLATES_MORE_THAN_ARE_KEPT, ()),
}

QUICK = {"names that are imported lazily", "templates, more than are kept"}


def run(program, folder, *arguments):
    environment = {**os.environ, "HOME": str(folder), "AURA_USER": "alice", "PYTHONFAULTHANDLER": "1"}
    words = [sys.executable, "-c", STORM + dedent(program), *arguments]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.deep) if name not in QUICK else name for name in PROGRAMS]
)
def test_thirty_threads_at_once(name, tmp_path):
    program, arguments = PROGRAMS[name]
    done = run(program, tmp_path, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.deep
def test_an_engine_used_from_another_loop_says_so_and_is_not_harmed(tmp_path):
    done = run(TWO_LOOPS_ON_ONE_ENGINE, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    other, own = done.stdout.splitlines()
    assert own == "Three"
    assert other.startswith(("InvalidInput", "RuntimeError")), other
    assert "loop" in other


def test_a_program_ends_though_a_daemon_thread_has_an_engine(tmp_path):
    done = run(LEFT_OPEN_BY_A_THREAD, tmp_path)
    assert (done.returncode, done.stdout) == (0, "left\n"), done.stderr
    assert "Fatal" not in done.stderr


@pytest.mark.deep
def test_a_child_forked_by_a_thread_leaves_the_engine_to_its_parent(tmp_path):
    done = run(A_CHILD_FORKED_BY_A_THREAD, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[7] 1\n", "")
