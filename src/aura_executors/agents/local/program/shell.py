"""Runs one command in a process group of its own, and ends all of the group with it."""

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from aura_executors.agents.local.program.files import ToolFailed
from aura_executors.agents.local.program.interruption import Interruption

KILL_DELAY = 1.0
"""Seconds between SIGTERM and SIGKILL to the group."""

_POLL_INTERVAL = 0.1
_PIECE = 65_536


class ShellResult(NamedTuple):
    """What a command wrote, both streams together, and how it ended; None: it was ended after its time."""

    output: str
    exit_code: int | None


class BoundedOutput:
    """The beginning and the end of what is written."""

    def __init__(self, limit: int) -> None:
        self._half = max(1, limit // 2)
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> None:
        self._size += len(data)
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[max(0, room) :]
        if len(self._tail) > self._half:
            del self._tail[: -self._half]

    @property
    def text(self) -> str:
        head, tail = (bytes(part).decode("utf-8", "replace") for part in (self._head, self._tail))
        left = self._size - len(self._head) - len(self._tail)
        return f"{head}\n[... {left} bytes left out ...]\n{tail}" if left else head + tail


def run_shell(
    command: str,
    cwd: Path,
    environment: Mapping[str, str],
    timeout: float,
    limit: int,
    interruption: Interruption,
    keep_alive: Callable[[], None],
) -> ShellResult:
    """Run `command` with bash, or sh without bash. Raises `ToolFailed` if it cannot be started.

    Processes that it leaves in its group are ended when it ends, in any case.
    """
    if "\0" in command:
        raise ToolFailed("the command contains a NUL character")
    shell = shutil.which("bash", path=environment.get("PATH")) or "/bin/sh"
    process: subprocess.Popen[bytes] | None = None
    try:
        with interruption.held():
            process = subprocess.Popen(  # noqa: S603 - what this tool is for
                (shell, "-c", command),
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        output = BoundedOutput(limit)
        in_time = _follow(process, output, time.monotonic() + timeout, keep_alive)
        return ShellResult(output.text, _exit_code(process) if in_time else None)
    except OSError as error:
        raise ToolFailed(f"the command cannot be started: {error}") from error
    finally:
        if process is not None:
            with interruption.held():
                _end(process)


def _follow(
    process: subprocess.Popen[bytes], output: BoundedOutput, deadline: float, keep_alive: Callable[[], None]
) -> bool:
    """Read until the command has ended, and all that it wrote was read. Return False if its time was over before."""
    assert process.stdout is not None
    number = process.stdout.fileno()
    os.set_blocking(number, False)
    with selectors.DefaultSelector() as selector:
        selector.register(number, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            keep_alive()
            ended = process.poll() is not None
            readable = selector.select(0 if ended else min(left, _POLL_INTERVAL))
            if readable:
                data = os.read(number, _PIECE)
                output.feed(data)
                if not data:
                    break
            elif ended:  # what is left in its group may keep the pipe open
                return True
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))
        return True
    return False


def _exit_code(process: subprocess.Popen[bytes]) -> int:
    code = process.returncode
    return code if code >= 0 else 128 - code  # as shells report signals


def _end(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the group."""
    if _signal(process.pid, signal.SIGTERM):
        deadline = time.monotonic() + KILL_DELAY
        while _signal(process.pid, 0) and time.monotonic() < deadline:
            process.poll()
            time.sleep(0.005)
        _signal(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _signal(group: int, number: int) -> bool:
    """Send a signal to a group; return False if the group no longer exists."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
