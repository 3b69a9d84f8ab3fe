"""The folder of a process: what is stored of it, and the lock that says who is responsible.

    <home>/processes/<token>/       0700
        lock            held by the worker that starts the process, then by its supervisor as long as that lives
        spec.json       what was asked for, without environment, input and arguments
        running.json    who runs: pids, start times, control group (or why not); written just before the agent
                    may run
        spool-NNN       its output, see `aura_executors.supervisor.spool`
        exit.json       how it ended
        control         the socket at which the supervisor answers, if no other folder was given for it
        supervisor.log  errors of the supervisor itself; normally empty

The files say what happened, the lock whether it is still happening:

    lock held                            it is being started, or it runs
    lock free, exit.json                 it has ended
    lock free, running.json, no exit     its supervisor was killed
    lock free, neither                   its starter was killed before the agent could run

Standard library only: the supervisor loads this module.
"""

import fcntl
import json
import os

LOCK = "lock"
SPEC = "spec.json"
RUNNING = "running.json"
EXIT = "exit.json"
CONTROL = "control"
LOG = "supervisor.log"

FORMAT = 1
"""The number of this layout, in `SPEC` and `RUNNING`."""

EXIT_ROOM = 4096
"""Bytes set aside for the exit record when the process starts, so that it can be written when the disk is full."""

_RESERVE = ".exit.json"


def try_lock(folder: str) -> int | None:
    """Return a descriptor that holds the lock of `folder`, or None while another process holds it.

    Raises `FileNotFoundError` when there is no such folder.
    """
    path = os.path.join(folder, LOCK)
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_lock_of(lock, folder):
                return lock
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)  # the folder was removed between opening and locking, and perhaps made again: try again


def is_lock_of(lock: int, folder: str) -> bool:
    """Whether the open file `lock` is still the lock of `folder`: not if the folder was removed or moved."""
    try:
        there = os.stat(os.path.join(folder, LOCK))
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(lock))


def write_json(path: str, content: dict[str, object]) -> None:
    """Write a file that is there completely or not at all, as far as other processes can see."""
    temporary = f"{path}.{os.getpid()}"
    with open(temporary, "w", opener=_private) as file:
        json.dump(content, file)
    os.replace(temporary, path)


def read_json(path: str) -> dict[str, object] | None:
    """Return what `write_json` wrote, or None if there is nothing (or nothing whole)."""
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def reserve_exit(folder: str) -> None:
    """Set room aside for the exit record."""
    with open(os.path.join(folder, _RESERVE), "wb", opener=_private) as file:
        file.write(b" " * EXIT_ROOM)


def write_exit(folder: str, content: dict[str, object]) -> None:
    """Write the exit record so that it survives a power cut; in the room set aside, where there is some.

    The message is cut to what fits.
    """
    encoded = json.dumps(content).encode()
    if len(encoded) > EXIT_ROOM:
        message = str(content.get("message", ""))
        encoded = json.dumps({**content, "message": message[: EXIT_ROOM // 24]}).encode()
    reserve = os.path.join(folder, _RESERVE)
    file = os.open(reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, encoded.ljust(EXIT_ROOM))
        os.fsync(file)
    finally:
        os.close(file)
    os.replace(reserve, os.path.join(folder, EXIT))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
