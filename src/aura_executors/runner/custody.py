"""Who is responsible for a process: found out from its folder, without waiting.

    lock            running.json    exit.json     state
    (no folder)                                   `Absent`
    held            any             any           `Alive` if its supervisor answers, else `Busy`
    free            none            none          `NeverRan`
    free            there           any           `Ended`; without exit record, its supervisor was killed

What a killed supervisor left running is ended before `Ended` is returned, and recorded as vanished.

Everything here blocks for some milliseconds and is called in threads. No lock is returned from a thread: a task that is
cancelled before it has released it would hold it until the program ends.
"""

import os
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from aura_contracts.ports import Clock
from aura_contracts.ports.processes import ExitCause
from aura_contracts.process_table import LINUX, kill_processes_with_token
from aura_executors.supervisor import run_directory
from aura_executors.supervisor.control_group import group_at
from aura_executors.supervisor.spool import SpoolReader

_TRASH = ".trash-"
_PATH_LIMIT = 100
"""Bytes of a path that every system takes for a socket (Linux: 107, macOS: 103)."""


@attrs.frozen
class Absent:
    """There is no such process."""


@attrs.frozen
class Busy:
    """It is being started or is just ending: probe again."""


@attrs.frozen
class NeverRan:
    """Its starter died before it could run."""


@attrs.frozen
class Ended:
    """It has ended."""

    running: dict[str, Any]
    exit: dict[str, Any]


@attrs.frozen
class Alive:
    """It runs; its supervisor is connected."""

    running: dict[str, Any]
    stream: socket.socket


State = Absent | Busy | NeverRan | Ended | Alive


@contextmanager
def claimed(folder: Path, clock: Clock) -> Iterator[tuple[State, int]]:
    """Yield the state of the process and the lock of its folder, which the body holds if it has ended or never ran.

    The lock is -1 in the other states. If the supervisor was killed, what it had started is ended first.
    """
    try:
        lock = run_directory.try_lock(str(folder))
    except (FileNotFoundError, NotADirectoryError):
        yield Absent(), -1
        return
    running = run_directory.read_json(str(folder / run_directory.RUNNING))
    if lock is None:
        stream = _connect(folder, running) if running else None
        yield (Alive(running or {}, stream) if stream else Busy()), -1
        return
    try:
        yield (NeverRan() if running is None else Ended(running, _exit_record(folder, running, clock))), lock
    finally:
        os.close(lock)


def probe(folder: Path, clock: Clock) -> State:
    """Return the state of the process."""
    with claimed(folder, clock) as (state, _):
        return state


def discard(folder: Path, clock: Clock) -> State:
    """Delete the folder of the process, and its socket, if it has ended or never ran; return the state before that."""
    with claimed(folder, clock) as (state, _):
        if isinstance(state, Ended | NeverRan):
            name = state.running["socket"] if isinstance(state, Ended) else run_directory.CONTROL
            with suppress(OSError):
                (folder / str(name)).unlink()
            remove_folder(folder)
        return state


def hang_up(state: State) -> None:
    """Close the connection to the supervisor that a state may have."""
    if isinstance(state, Alive):
        state.stream.close()


def record_vanished(running: dict[str, Any], records: int, clock: Clock) -> dict[str, Any]:
    """End what a killed supervisor left behind, and return the exit record."""
    session, started = running["agent"]
    group = group_at(running.get("control_group", ""), running["token"])
    members = group.members() if group else []
    if group:
        group.kill()
    survivors = kill_processes_with_token(running["token"], session=session, session_started=started)
    if group:
        group.remove()
    return {
        "token": running["token"],
        "cause": ExitCause.VANISHED.value,
        "message": "its supervisor was killed",
        "started_at": running["started_at"],
        "ended_at": int(clock().timestamp() * 1_000_000) * 1000,
        "records": records,
        "survivors": len({*survivors, *members} - {session}),
    }


def _exit_record(folder: Path, running: dict[str, Any], clock: Clock) -> dict[str, Any]:
    """Return the exit record of a process whose supervisor has ended; write it if the supervisor was killed."""
    if written := run_directory.read_json(str(folder / run_directory.EXIT)):
        return written
    reader = SpoolReader(str(folder), running["first_record"])
    while reader.read():
        pass
    exit_record = record_vanished(running, reader.next - running["first_record"], clock)
    with suppress(OSError):  # a full disk: the next probe finds out the same
        run_directory.write_exit(str(folder), exit_record)
    return exit_record


# --- The supervisor's socket ------------------------------------------------------------------------------------------


def _connect(folder: Path, running: dict[str, Any]) -> socket.socket | None:
    """Return a connection to the supervisor, or None if it does not answer."""
    path = folder / running["socket"]
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _connect_by_short_path(stream, path)
    except OSError:
        stream.close()
        return None
    stream.settimeout(0)
    return stream


def _connect_by_short_path(stream: socket.socket, path: Path) -> None:
    """Connect also where the path is longer than a socket's may be."""
    if len(os.fsencode(path)) <= _PATH_LIMIT:
        stream.connect(str(path))
    elif LINUX:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            stream.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    else:
        with tempfile.TemporaryDirectory(dir="/tmp") as short:
            link = Path(short) / "s"
            link.symlink_to(path.parent)
            stream.connect(str(link / path.name))


# --- All processes ----------------------------------------------------------------------------------------------------


def list_tokens(processes: Path) -> list[str]:
    """Return the tokens of all processes that were started, or are about to be; `processes` is the folder of all."""
    tokens = []
    for folder in sorted(processes.iterdir()):
        if not folder.name.startswith("."):
            started = (folder / run_directory.RUNNING).exists() or (folder / run_directory.EXIT).exists()
            if started or _is_locked(folder):
                tokens.append(folder.name)
    return tokens


def tidy(processes: Path, clock: Clock) -> None:
    """Make the folder of all processes; remove folders that were being removed, and those of what was never started."""
    processes.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in processes.iterdir():
        if folder.name.startswith(_TRASH):
            shutil.rmtree(folder, ignore_errors=True)
        elif not (folder / run_directory.RUNNING).exists():
            with claimed(folder, clock) as (state, _):
                if isinstance(state, NeverRan):
                    remove_folder(folder)
            hang_up(state)


def remove_folder(folder: Path) -> None:
    """Delete a folder whose lock is held, at once for every process that looks."""
    trash = folder.with_name(f"{_TRASH}{folder.name}-{os.getpid()}-{time.monotonic_ns()}")
    with suppress(FileNotFoundError):
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)


def _is_locked(folder: Path) -> bool:
    try:
        lock = run_directory.try_lock(str(folder))
    except OSError:
        return False
    if lock is None:
        return True
    os.close(lock)
    return False
