"""Play: two tasks from prompt to merge. AURA is killed in the middle of the second, and resumes it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any

import anyio
import msgspec
from anyio.abc import Process

from aura_cli._call import Invocation, make_room
from aura_cli.arguments.program import parse
from aura_cli.arguments.request import run_request
from aura_cli.demonstration.presenter import Presenter
from aura_cli.rendering.errors import DemoFailed, ReplayDiffers
from aura_contracts.aggregate import State
from aura_contracts.errors import InvalidInput, LogDamaged, StoreMisconfigured
from aura_contracts.output import OutputRecorded
from aura_engine import Engine, Host, Run, open_engine

# --- The script -------------------------------------------------------------------------------------------------------

BEFORE = 'echo "Hello"\n'
FIRST = 'echo "Hello, $1"\n'
SECOND = 'echo "Hello, ${1:-world}"\n'
THIRD = 'echo "Hello, ${1:-world}!"\n'

PROMPT = "Greet people by their name"
FEEDBACK = "Greet the world when no name is given"
SECOND_PROMPT = "Greet with an exclamation mark"
HALF = "half of the work is done"
_TRIES = 600
"""Tenths of a second until the killed run has to be free."""

ROUNDS: list[list[dict[str, Any]]] = [
    [
        {"print": "reading greet.sh"},
        {"edit": {"path": "greet.sh", "old": BEFORE, "new": FIRST}},
        {"print": "greet.sh greets by name now"},
    ],
    [
        {"expect_prompt": FEEDBACK},
        {"print": f"The feedback was: {FEEDBACK}"},
        {"edit": {"path": "greet.sh", "old": FIRST, "new": SECOND}},
    ],
]
"""The agent's steps for `PROMPT`: the first round, and the round after the feedback."""

CHECK = "sh -n greet.sh && echo the script is sound"
"""The setup script of the first task."""


def slow_rounds(gate: Path) -> list[list[dict[str, Any]]]:
    """Return the agent's steps for `SECOND_PROMPT`; in the middle it waits until `gate` exists."""
    steps: list[dict[str, Any]] = [
        {"print": HALF},
        {"wait_for": str(gate)},
        {"edit": {"path": "greet.sh", "old": SECOND, "new": THIRD}},
        {"print": "the other half, too"},
    ]
    return [steps]


# --- The play ---------------------------------------------------------------------------------------------------------


async def play_and_prove(call: Invocation, store: str, folder: Path) -> None:
    """Play the demo on a store, in an empty folder. Raises `ReplayDiffers`, `LogDamaged`."""
    _require_durable(store)
    make_room(store)
    presenter = Presenter(call.terminal)
    repository = await anyio.to_thread.run_sync(_make_repository, folder / "greeter", call.settings.environment)

    def opened() -> AbstractAsyncContextManager[Engine]:
        host = Host(environment=call.settings.environment)
        return open_engine(store, user="alice", home=folder / "home", host=host, **call.settings.codec)

    async with opened() as engine:
        presenter.position = await engine.events.head()
        states = await _review(engine, repository, presenter)
        states |= await _crash(engine, call, store, folder, presenter)
        head = await engine.events.head()
    presenter.chapter("The log is the truth")
    presenter.proof("recorded", f"{head} events were recorded; the log is closed, and opened again", position=head)
    async with opened() as engine:
        await _prove(engine, states, presenter)
    presenter.end(store if call.settings.store_given else None)


def _require_durable(store: str) -> None:
    if store.startswith("memory:"):
        remedy = "use sqlite:///PATH or postgresql://USER@HOST/DATABASE"
        reason = "the demo opens its log twice, but a log in memory does not outlive its process"
        raise StoreMisconfigured(store=store, reason=reason, remedy=remedy)


def _make_repository(where: Path, environment: Mapping[str, str]) -> Path:
    """Create a repository with one commit."""
    where.mkdir()
    (where / "greet.sh").write_text(BEFORE)
    author = ("-c", "user.name=alice", "-c", "user.email=alice@localhost")
    for words in (
        ("-c", "init.defaultBranch=main", "init"),
        ("add", "greet.sh"),
        (*author, "commit", "-m", "A script that greets"),
    ):
        try:
            subprocess.run(  # noqa: S603 - fixed words
                ["git", *words],  # noqa: S607 - the one on PATH, as the worker finds it
                cwd=where,
                env={**environment},
                check=True,
                capture_output=True,
            )
        except FileNotFoundError as error:
            remedy = "install git 2.34 or newer"
            raise InvalidInput(field="PATH", reason="git was not found", remedy=remedy) from error
    return where


# --- Review -----------------------------------------------------------------------------------------------------------


async def _review(engine: Engine, repository: Path, presenter: Presenter) -> dict[str, State]:
    """Play a task that is rejected once, then approved; return the states on which decisions were made."""
    presenter.chapter("Alice asks for a change, and an agent makes it in its own worktree")
    presenter.said("alice", PROMPT)
    run = await engine.run(
        PROMPT,
        executor="scripted",
        options={"rounds": ROUNDS},
        repositories=[str(repository)],
        setup=CHECK,
    )
    await _show_events(run, presenter)
    presenter.diff(await engine.approvals.diff(run.id))
    presenter.chapter("She rejects it with feedback; the agent tries again")
    presenter.said("alice", f"no, because: {FEEDBACK}")
    await engine.approvals.reject(run.id, FEEDBACK)
    await _show_events(run, presenter)
    presenter.diff(await engine.approvals.diff(run.id))
    presenter.chapter("She approves it, and AURA merges it")
    presenter.said("alice", "yes")
    await engine.approvals.approve(run.id)
    await _show_events(run, presenter)
    presenter.file("main", "greet.sh", (repository / "greet.sh").read_text().strip())
    return await _states(engine, run)


async def _show_events(run: Run, presenter: Presenter) -> None:
    """Show every event until nothing more happens."""
    async with aclosing(run.events(after=presenter.position)) as records:
        async for record in records:
            presenter.show(record)


async def _states(engine: Engine, run: Run) -> dict[str, State]:
    view = await engine.tasks.view(run.id)
    kept = [view.task, view.agent, view.execution, view.lease, view.workspace, view.approval]
    return {state.id: state for state in kept if state is not None}


# --- Crash ------------------------------------------------------------------------------------------------------------


async def _crash(engine: Engine, call: Invocation, store: str, folder: Path, presenter: Presenter) -> dict[str, State]:
    """Play a task whose AURA is killed while the agent works, then resume it with the same command."""
    presenter.chapter("AURA is killed in the middle of the next task; the agent keeps working")
    gate, repository = folder / "gate", folder / "greeter"
    rounds = msgspec.json.encode(slow_rounds(gate)).decode()
    words = [
        *("run", "--store", store, "--json", "--executor", "scripted", "--prompt", SECOND_PROMPT),
        *("--cwd", str(repository), "--approval", "auto", "--option", f"rounds={rounds}"),
    ]
    presenter.said("alice", SECOND_PROMPT)
    environment = {**call.settings.environment, "AURA_HOME": str(folder / "home"), "AURA_USER": "alice"}
    environment |= {"AURA_COMPRESSION": call.settings.compression or "none"}
    command = [sys.executable, "-m", "aura_cli", *words]
    quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    async with await anyio.open_process(command, env=environment, **quiet) as process:
        await _show_until_half(engine, presenter, process)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    presenter.killed(process.pid)
    presenter.chapter("The same command again: resumed, with the same agent")
    gate.touch()
    request = run_request(parse(words), SECOND_PROMPT)
    run = await engine.resume_interrupted(request)
    for _ in range(_TRIES):
        if run is None:  # a database notices a moment later that its client was killed
            await anyio.sleep(0.1)
            run = await engine.resume_interrupted(request)
    assert run is not None, "it was cut off"
    await _show_events(run, presenter)
    presenter.file("main", "greet.sh", (repository / "greet.sh").read_text().strip())
    return await _states(engine, run)


async def _show_until_half(engine: Engine, presenter: Presenter, process: Process) -> None:
    """Show what another process records until its agent is half done. Raises `DemoFailed` if the process ends."""
    reading = engine.events.read(since=presenter.position, follow=True)
    half = False
    async with anyio.create_task_group() as group, aclosing(reading) as records:
        group.start_soon(_cancel_at_end, process, group.cancel_scope)
        async for record in records:
            presenter.show(record)
            event = record.event
            if isinstance(event, OutputRecorded) and any(HALF.encode() in chunk.raw for chunk in event.chunks):
                half = True
                group.cancel_scope.cancel()
                break
    if not half:
        raise DemoFailed(exit_code=process.returncode)


async def _cancel_at_end(process: Process, scope: anyio.CancelScope) -> None:
    await process.wait()
    scope.cancel()


# --- The proof --------------------------------------------------------------------------------------------------------


async def _prove(engine: Engine, states: Mapping[str, State], presenter: Presenter) -> None:
    world = await engine.history.list()
    folded = {ident: state for kind in world.states.values() for ident, state in kind.items()}
    if different := differences(states, folded):
        raise ReplayDiffers(differences=tuple(different))
    count = len(states)
    presenter.proof("replay", f"{count} states that were decided on = {count} states folded from the log", states=count)
    made = await engine.audit.checkpoint()
    report = await engine.audit.verify(roots={made.upto: made.root})
    if bad := report.first_bad:
        raise LogDamaged(store=engine.store.name, stream_id=bad.stream_id, position=bad.position, reason=bad.reason)
    text = f"{report.events} seals hold, and the checkpoint {made.upto}={made.root[:12]}..."
    presenter.proof("seals", text, root=made.root)


def differences(kept: Mapping[str, State], folded: Mapping[str, State]) -> list[str]:
    """Return the fields in which the folded states differ from the ones kept."""
    return [
        f"{ident} {name}: {before.get(name)} → {after.get(name)}"
        for ident, state in kept.items()
        if (before := state.as_dict()) != (after := _fields(folded.get(ident)))
        for name in before
        if before.get(name) != after.get(name)
    ]


def _fields(state: State | None) -> dict[str, Any]:
    return {} if state is None else state.as_dict()
