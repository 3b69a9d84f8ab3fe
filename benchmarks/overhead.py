"""Overhead: what AURA adds to a run whose agent does nothing, stage by stage, in milliseconds and in fsyncs.

The reference is what a script would do for the same: ``git worktree add``, the agent, ``git worktree remove``. The
time of a stage is that between the events that begin and end it, medians over the runs. SQL reads and durable commits
are counted over one run in an empty store, opening included. Git processes are counted by a ``git`` that comes
first on the path of the whole command. Fsyncs are counted by ``strace``, those of git included; without it the row is
left out.
"""

import os
import re
import shutil
import statistics
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

from aura_contracts.events import EventRecord
from aura_engine import open_engine
from benchmarks._counting import counting
from benchmarks._report import Row, main

RUNS = 15
CEILING = 6
"""What a run may cost, relative to a worktree, the agent and its removal without AURA."""

GIT_PROCESSES = 12
"""How many git processes one run may start at most; the reference needs 3."""
LOG = "one.db"
STAGES = (
    ("queue", "execution.queued", "execution.preparation_started"),
    ("prepare", "execution.preparation_started", "execution.workspace_prepared"),
    ("setup (none)", "execution.workspace_prepared", "execution.setup_finished"),
    ("agent", "execution.setup_finished", "execution.coding_changed_nothing"),
    ("review", "execution.coding_changed_nothing", "task.completed"),
    ("give back", "task.completed", "lease.closed"),
    ("clear away", "lease.closed", "workspace.removed"),
    ("everything", "task.created", "workspace.removed"),
)
ENVIRONMENT = {
    **os.environ,
    **{f"GIT_{who}_{what}": "bench@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def measure() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        repository = _repository(Path(folder))
        bare = statistics.median(_bare(repository) for _ in range(RUNS)) * 1000
        runs = anyio.run(_runs, Path(folder), repository)
        for name, begin, end in STAGES:
            value = statistics.median(_between(run, begin, end) for run in runs)
            ceiling = CEILING if name == "everything" else None
            yield Row(name, value, "ms", "worktree add, agent, remove", value / bare, ceiling, ceiling=True)
        processes = _git_processes(Path(folder), repository)
        yield Row(
            "git processes of one aura run", processes, "", "allowed", processes / GIT_PROCESSES, 1.0, ceiling=True
        )
        anyio.run(_create, Path(folder))
        with counting() as counts:
            anyio.run(_one, Path(folder), repository)
        yield Row(
            "SQL reads of one run",
            counts.reads(),
            "",
            "the log and its read models",
            counts.reads() / 60,
            1,
            ceiling=True,
        )
        commits = counts.commits_of(LOG)
        yield Row("commits of one run", commits, "", "durable ones, of the log", commits / 8, 1, ceiling=True)
        if shutil.which("strace"):
            counted = _fsyncs(Path(folder), repository)
            reference = _count(["git", "-C", str(repository), "worktree", "add", "-q", f"{folder}/w", "-b", "w"])
            yield Row("fsyncs of one aura run", counted, "", "git worktree add", counted / max(reference, 1), None)


def _repository(folder: Path) -> Path:
    repository = folder / "app"
    repository.mkdir()
    (repository / "README").write_text("hello\n")
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", *words], cwd=repository, check=True, env=ENVIRONMENT)
    return repository


def _bare(repository: Path) -> float:
    began = time.perf_counter()
    tree = repository.parent / "bare"
    git = ["git", "-C", str(repository)]
    subprocess.run([*git, "worktree", "add", "-q", "-b", "bare", str(tree)], check=True, env=ENVIRONMENT)
    subprocess.run(["true"], cwd=tree, check=True)
    subprocess.run([*git, "worktree", "remove", str(tree)], check=True, env=ENVIRONMENT)
    subprocess.run([*git, "branch", "-q", "-D", "bare"], check=True, env=ENVIRONMENT)
    return time.perf_counter() - began


async def _runs(folder: Path, repository: Path) -> list[list[EventRecord]]:
    runs = []
    options = {"base_command": "true"}
    async with open_engine(f"sqlite:///{folder / 'aura.db'}", home=folder / "home", user="bench") as engine:
        for number in range(RUNS + 1):
            run = await engine.run("nothing", executor="custom", repositories=[str(repository)], options=options)
            records = [record async for record in run.events(after=0)]
            if number:
                runs.append(records)
    return runs


async def _one(folder: Path, repository: Path) -> None:
    """Run one task in a store that no other run uses, as a process of its own does."""
    options = {"base_command": "true"}
    async with open_engine(f"sqlite:///{folder / LOG}", home=folder / "once", user="bench") as engine:
        run = await engine.run("nothing", executor="custom", repositories=[str(repository)], options=options)
        async for _ in run.events():
            pass


async def _create(folder: Path) -> None:
    async with open_engine(f"sqlite:///{folder / LOG}", home=folder / "once", user="bench"):
        pass


def _between(run: list[EventRecord], begin: str, end: str) -> float:
    times = {record.event.topic: record.time for record in reversed(run)}
    return (times[end] - times[begin]).total_seconds() * 1000


def _aura_run() -> list[str]:
    """Return a command that runs an agent which does nothing."""
    aura = str(Path(sysconfig.get_path("scripts")) / "aura")
    return [aura, "run", "--executor", "custom", "--prompt", "nothing", "--base-command", "true", "--no-tui"]


def _git_processes(folder: Path, repository: Path) -> int:
    """Return how many git processes one `aura run` starts."""
    log, program = folder / "git-processes", folder / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho x >> '{log}'\nexec '{shutil.which('git')}' \"$@\"\n")
    program.chmod(0o755)
    own = {"AURA_HOME": str(folder / "gits"), "AURA_USER": "bench", "PATH": f"{program.parent}:{os.environ['PATH']}"}
    subprocess.run(_aura_run(), cwd=repository, env={**ENVIRONMENT, **own}, check=True, stdout=subprocess.DEVNULL)
    return len(log.read_text().splitlines())


def _fsyncs(folder: Path, repository: Path) -> int:
    own = {"AURA_HOME": str(folder / "counted"), "AURA_USER": "bench"}
    return _count(_aura_run(), cwd=repository, env={**ENVIRONMENT, **own})


def _count(command: list[str], **more: object) -> int:
    """Return how often `command`, with everything it starts, has the disk confirm what it wrote."""
    traced = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync,sync_file_range,sync", "-o", "/dev/stderr", *command]
    done = subprocess.run(traced, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True, **more)  # type: ignore[call-overload]
    return len(re.findall(r"^(?:\d+ +)?(?:fsync|fdatasync|sync_file_range|sync)\(", done.stderr, re.MULTILINE))


if __name__ == "__main__":
    main("Overhead", measure)
