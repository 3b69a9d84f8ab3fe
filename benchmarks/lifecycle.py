"""Lifecycle: whole tasks per second, of eight durable events with one human approval, by an executor without work.

One task after another, and 50 at a time, in turn with DBOS, LangGraph and Burr: each a program of `benchmarks.peers` in
an environment of its own, on SQLite with ``synchronous=FULL``, used as its documentation says. Eight facts are durable
before a task is done: AURA's are the events of a task and its question, recorded by the five calls of whoever creates,
assigns, proposes, approves and completes; a peer's are the beginning, the answer, and its steps, each on its own.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks._environments import python_with
from benchmarks._report import Row, alternate, main

ROUNDS = 5
TASKS = {1: 30, 50: 150}
"""Tasks of each program in a round, by how many are under way at once; before, one in each place to warm up."""

PROGRAMS = Path(__file__).parent / "peers"


class Peer(NamedTuple):
    """A library that AURA is compared with; `floors` are the least ratios, by how many tasks are under way at once."""

    name: str
    requirements: tuple[str, ...]
    floors: Mapping[int, float]


PEERS = (
    Peer("DBOS", ("dbos==3.4.0",), {50: 20}),
    Peer("LangGraph", ("langgraph==1.2.24", "langgraph-checkpoint-sqlite==3.1.2"), {50: 10}),
    Peer("Burr", ("burr==0.42.0", "aiosqlite==0.22.1"), {}),
)


def measure() -> Iterator[Row]:
    pythons = [python_with(peer.name.lower(), *peer.requirements) for peer in PEERS]
    with tempfile.TemporaryDirectory() as folder:
        for at_once, name in ((1, "one after another"), (50, "50 at a time")):
            programs = [(Path(sys.executable), "AURA"), *zip(pythons, [peer.name for peer in PEERS], strict=True)]
            cases = [_case(python, program, folder, TASKS[at_once], at_once) for python, program in programs]
            aura, *others = alternate(*cases, rounds=ROUNDS)
            for peer, theirs in zip(PEERS, others, strict=True):
                reference = f"{peer.name}: {theirs:,.0f} tasks/s"
                yield Row(name, aura, "tasks/s", reference, aura / theirs, peer.floors.get(at_once))


def _case(python: Path, name: str, folder: str, tasks: int, at_once: int) -> Callable[[], float]:
    """Return what runs a program of `benchmarks.peers` and returns its tasks per second."""
    program = PROGRAMS / f"with_{name.lower()}.py"

    def run() -> float:
        command = [str(python), str(program), folder, str(tasks), str(at_once)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return float(done.stdout.splitlines()[-1])

    return run


if __name__ == "__main__":
    main("Durable tasks with one approval", measure)
