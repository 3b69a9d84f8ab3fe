"""First use: types are described to msgspec by one thread at a time, in whichever package that happens."""

import ast
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

import aura_contracts
from aura_contracts import first_use
from aura_contracts.catalogue import CATALOGUE
from aura_contracts.entries import AnyEntry
from aura_executors.adapter.option_reader import read_options
from aura_executors.adapter.options import AgentOptions
from aura_store.log._decoders import Decoders, StoredFact
from aura_store.read_models._fold import decoder_of

SOURCE = Path(aura_contracts.__file__).parents[1]

DESCRIBING = {
    "facts": lambda: Decoders(CATALOGUE, StoredFact)["task.created@1"],
    "states": lambda: decoder_of.__wrapped__("task"),
    "options": lambda: read_options("agent", {}, type("Options", (AgentOptions,), {}, frozen=True)),
    "entries": lambda: first_use.json_decoder(AnyEntry),
}


@pytest.mark.parametrize("describe", DESCRIBING.values(), ids=DESCRIBING)
def test_a_type_is_described_by_one_thread_at_a_time(describe):
    done = Event()
    thread = Thread(target=lambda: (describe(), done.set()), daemon=True)
    with first_use._LOCK:
        thread.start()
        assert not done.wait(0.1)
    assert done.wait(60)
    thread.join()


def test_a_type_that_was_described_is_used_without_the_lock():
    first_use.convert({}, AgentOptions)
    with first_use._LOCK:
        assert first_use.convert({"model": "m"}, AgentOptions).model == "m"
        assert first_use.decode_json(b'{"model":"m"}', AgentOptions).model == "m"


FORKING = """
import os, sys, threading
from aura_contracts import first_use

held = threading.Event()

def describe():
    with first_use._LOCK:
        held.set()
        threading.Event().wait(0.1)

threading.Thread(target=describe).start()
held.wait()
child = os.fork()
if not child:
    first_use.convert({}, dict)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent():
    assert subprocess.run([sys.executable, "-c", FORKING], timeout=60, check=False).returncode == 0


# --- Every call of msgspec that may be the first use of a type goes by the module -------------------------------------


def first_uses(tree):
    """Yield the lines of calls that describe a type: decoders, conversions, decoding to a type."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        typed = any(keyword.arg == "type" for keyword in node.keywords) or len(node.args) > 1
        if called.startswith("msgspec.") and (
            called.endswith((".Decoder", ".convert")) or (called.endswith(".decode") and typed)
        ):
            yield node.lineno


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("msgspec.json.Decoder(T)", True),
        ("msgspec.msgpack.Decoder(T)", True),
        ("msgspec.convert(value, T)", True),
        ("msgspec.json.decode(data, type=T)", True),
        ("msgspec.json.decode(data)", False),
        ("first_use.convert(value, T)", False),
    ],
)
def test_the_search_finds_what_it_looks_for(code, found):
    assert bool([*first_uses(ast.parse(code))]) is found


@pytest.mark.deep
def test_no_module_describes_types_by_itself():
    own = SOURCE / "aura_contracts" / "first_use.py"
    files = [path for path in SOURCE.glob("aura_*/**/*.py") if path != own]
    assert len(files) > 300
    found = [f"{path}:{line}" for path in files for line in first_uses(ast.parse(path.read_text()))]
    assert found == []


@pytest.mark.deep
def test_no_module_takes_these_calls_out_of_msgspec():
    """Otherwise the search does not see them."""
    for path in SOURCE.glob("aura_*/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("msgspec"):
                assert not {"convert", "Decoder", "decode"} & {name.name for name in node.names}, path


# --- Many threads at once ---------------------------------------------------------------------------------------------

STORM = """
import importlib, pkgutil, random, sys, threading

import msgspec

from aura_contracts.catalogue import AGGREGATES, CATALOGUE
from aura_contracts.entries import AnyEntry, Message
from aura_contracts.first_use import convert, decode_json, json_decoder
from aura_executors import ExecutorRegistry
from aura_store.log._decoders import Decoders, StoredFact

facts = Decoders(CATALOGUE, StoredFact)
registry = ExecutorRegistry()
entry = msgspec.json.encode(Message(text="x"))


def a_fact(topic):
    version = CATALOGUE.types[topic].version
    try:
        facts[f"{topic}@{version}"](b'[{},"2026-01-01T00:00:00Z","system:engine","c","c"]')
    except msgspec.ValidationError:
        pass


def a_state(aggregate):
    try:
        decode_json(b"{}", aggregate.state)
    except msgspec.ValidationError:
        pass


def a_protocol(name):
    registry.get(name)


uses = [lambda topic=topic: a_fact(topic) for topic in CATALOGUE.types]
uses += [lambda aggregate=aggregate: a_state(aggregate) for aggregate in AGGREGATES]
uses += [lambda name=name: a_protocol(name) for name in registry.names()]
uses += [lambda: decode_json(entry, AnyEntry), lambda: convert({"type": "message", "text": "x"}, AnyEntry)]
uses += [lambda: importlib.import_module("aura_worker_protocol.json_codec")]

go = threading.Barrier(8)
faults = []


def work(seed):
    order = uses[:]
    random.Random(seed).shuffle(order)
    go.wait()
    try:
        for use in order:
            use()
    except BaseException as error:
        faults.append(repr(error))


sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=work, args=(f"{sys.argv[1]}:{number}",)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit("\\n".join(faults) or 0)
"""


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(6))
def test_eight_threads_that_use_every_type_first_end_well(seed):
    done = subprocess.run(
        [sys.executable, "-c", STORM, str(seed)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
