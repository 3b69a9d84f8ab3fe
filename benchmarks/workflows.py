"""Workflows: steps per second where steps do nothing, 50 workflows of 20 steps at a time; restart with 1,000 that wait.

**Steps per second.** A workflow of 20 steps one after another in AURA, DBOS, LangGraph and Prefect: each a program of
`benchmarks.workflow_peers`, in an environment of its own, used as its documentation says. A workflow counts once its
result is there; by then the beginning and the end of each step are durable: with ``synchronous=FULL`` on SQLite and
``synchronous_commit=on`` on PostgreSQL. Prefect, which keeps results in files besides, gets fewer steps and one round.

A step without work is in DBOS, LangGraph and Prefect a function that returns at once. AURA has no functions: its steps
`by conditions` are waits of no time, each with a condition that reads the output of the step before. So an expression
is evaluated for each, and three events are recorded: decided, started, completed. An expression has no effect outside,
so AURA records in one append what follows from one another, up to 50 conditions at a time; the others commit after each
step, because they cannot know what it has done. The steps `by signals` show AURA where it cannot know either: each is
completed by a call from outside, which returns once that is durable, and only then the next call is made; so there is a
commit for each step, as with the others.

**Restart.** 1,000 workflows of 20 steps, half of which are done; the next one waits. Their engine was killed. From the
start of a new process until it drives all of them and ten of them, told to, have gone on to their end: seconds, and the
greatest memory of that process. All that the read models have to catch up with is part of it.

How long drawings of 500 steps take: `benchmarks.workflow_graphs`.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from benchmarks._environments import python_with
from benchmarks._postgres import postgres
from benchmarks._report import Row, alternate, main

ROUNDS = 3
AT_ONCE = 50
STEPS = 20
FLOOR = 15
"""Times as fast as DBOS, on the same database."""

WAITING = 1_000
RESTART_SECONDS = 3
RESTART_MEGABYTES = 200

PROGRAMS = Path(__file__).parent / "workflow_peers"


class Program(NamedTuple):
    """A program of `benchmarks.workflow_peers`, and how much it has to do."""

    name: str
    requirements: tuple[str, ...] = ()
    workflows: int = AT_ONCE
    steps: int = STEPS
    options: tuple[str, ...] = ()

    def case(self, store: Callable[[], str]) -> Callable[[], float]:
        """Return what runs it on a new store, and returns steps per second."""
        file = PROGRAMS / f"with_{self.name.lower()}.py"
        python = python_with(self.name.lower(), *self.requirements) if self.requirements else Path(sys.executable)

        def run() -> float:
            amounts = (str(self.workflows), str(AT_ONCE), str(self.steps))
            command = [str(python), str(file), store(), *amounts, *self.options]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode or not done.stdout:
                raise RuntimeError(f"{file.name} failed: {done.stderr[-2000:]}")
            return float(done.stdout.splitlines()[-1])

        return run


AURA = Program("AURA", workflows=500)
SIGNALS = Program("AURA", workflows=100, options=("signals",))
DBOS = Program("DBOS", ("dbos==3.4.0",))
LANGGRAPH = Program("LangGraph", ("langgraph==1.2.24", "langgraph-checkpoint-sqlite==3.1.2"))
PREFECT = Program("Prefect", ("prefect==3.8.8", "fastapi==0.139.0"), steps=4)


def measure() -> Iterator[Row]:
    with _stores() as (on_sqlite, on_postgres, folder):
        cases = [program.case(on_postgres) for program in (AURA, SIGNALS, DBOS)]
        aura, signals, dbos = alternate(*cases, rounds=ROUNDS)
        yield _row("PostgreSQL, by conditions", aura, "DBOS", dbos, FLOOR)
        yield _row("PostgreSQL, by signals", signals, "DBOS", dbos)
        cases = [program.case(on_sqlite) for program in (AURA, SIGNALS, DBOS, LANGGRAPH)]
        aura, signals, dbos, langgraph = alternate(*cases, rounds=ROUNDS)
        yield _row("SQLite, by conditions", aura, "DBOS", dbos, FLOOR)
        yield _row("SQLite, by conditions", aura, "LangGraph", langgraph)
        yield _row("SQLite, by signals", signals, "DBOS", dbos)
        yield from _restart(on_sqlite)
        prefect = PREFECT.case(lambda: tempfile.mkdtemp(dir=folder))()
        yield _row("SQLite, by conditions", aura, "Prefect", prefect)


def _row(name: str, aura: float, peer: str, theirs: float, floor: float | None = None) -> Row:
    return Row(name, aura, "steps/s", f"{peer}: {theirs:,.0f} steps/s", aura / theirs, floor)


@contextmanager
def _stores() -> Iterator[tuple[Callable[[], str], Callable[[], str], str]]:
    """Yield what returns the URL of a new store, on SQLite and on PostgreSQL, and a folder."""
    numbers = count()
    names = [f"benchmark{number}" for number in range(3 * (ROUNDS + 1))]
    with tempfile.TemporaryDirectory() as folder, postgres(*names) as url_of:
        unused = iter(names)
        yield (
            lambda: f"sqlite:///{folder}/store{next(numbers)}.db",
            lambda: url_of(next(unused)),
            folder,
        )


def _restart(store: Callable[[], str]) -> Iterator[Row]:
    megabytes: list[float] = []

    def restarted() -> float:
        url = store()
        program = [sys.executable, "-m", "benchmarks.workflow_restart"]
        subprocess.run([*program, "fill", url, str(WAITING), str(STEPS)], check=True)
        began = time.perf_counter()
        done = subprocess.run(
            [*program, "restart", url, str(WAITING), str(STEPS)], stdout=subprocess.PIPE, text=True, check=True
        )
        ended, memory = map(float, done.stdout.split())
        megabytes.append(memory)
        return ended - began

    (seconds,) = alternate(restarted, rounds=ROUNDS)
    limit = f"{WAITING:,} workflows in {RESTART_SECONDS} s"
    yield Row("restart", seconds * 1000, "ms", limit, seconds / RESTART_SECONDS, 1, ceiling=True)
    memory = max(megabytes)
    yield Row("memory then", memory, "MB", f"{RESTART_MEGABYTES} MB", memory / RESTART_MEGABYTES, 1, ceiling=True)


if __name__ == "__main__":
    main("Workflows", measure)
