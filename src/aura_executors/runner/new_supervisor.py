"""New supervisors: started when one is needed, or a little earlier, because Python takes a while to start.

Invariants:

- A supervisor without a request holds no lock and has no folder. It ends when its worker hangs up, or dies.
- At most one waits.
- A request that was not handed over whole has started nothing, so it may be given to another supervisor.
"""

import socket
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from aura_executors import supervisor

SUPERVISOR = Path(supervisor.__file__).with_name("__main__.py")


class NewSupervisor:
    """A supervisor that waits for its request."""

    def __init__(self, python: str, processes: Path, environment: Mapping[str, str]) -> None:
        """Raises `OSError`."""
        self._connection, its_end = socket.socketpair()
        with its_end:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - the interpreter and the program that were given
                    (python, "-I", "-S", "-X", "utf8", str(SUPERVISOR), str(processes)),
                    stdin=its_end.fileno(),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd="/",
                    env=environment,
                    start_new_session=True,
                )
            except BaseException:
                self._connection.close()
                raise

    def hand_over(self, lock: int, request: bytes) -> None:
        """Give it the lock of a folder and a request. Raises `OSError` if it was killed while it waited."""
        socket.send_fds(self._connection, [b"\0"], [lock])
        self._connection.sendall(request)
        self._connection.shutdown(socket.SHUT_WR)

    def report(self) -> tuple[bytes, bytes]:
        """Wait for its report; return that, and what it has written of its own trouble."""
        with self._connection, self._process as process:
            return process.communicate()

    def dismiss(self) -> None:
        """Let it end."""
        self._connection.close()
        with self._process:
            pass


class Supervisors:
    """Starts supervisors with `python`; `processes` is the folder of all processes. Safe to use from threads."""

    def __init__(self, python: str, processes: Path, environment: Mapping[str, str]) -> None:
        self._settings = python, processes, environment
        self._lock = threading.Lock()
        """Guards `_waiting`; held while a supervisor is started, so that no two are."""
        self._waiting: NewSupervisor | None = None

    def start_ahead(self) -> None:
        """Have a supervisor wait for a request. An `OSError` is raised to the caller that needs the supervisor."""
        with self._lock, suppress(OSError):
            if self._waiting is None:
                self._waiting = NewSupervisor(*self._settings)

    def start(self, lock: int, request: bytes) -> tuple[bytes, bytes]:
        """Give a supervisor a request and return `NewSupervisor.report`. Raises `OSError` where none can be started."""
        if (waiting := self._take()) is not None:
            try:
                waiting.hand_over(lock, request)
            except OSError:
                waiting.dismiss()
            else:
                return waiting.report()
        new = NewSupervisor(*self._settings)
        with suppress(OSError):  # it has failed, and its report says why
            new.hand_over(lock, request)
        return new.report()

    def dismiss(self) -> None:
        """Let go of the one that waits."""
        if (waiting := self._take()) is not None:
            waiting.dismiss()

    def _take(self) -> NewSupervisor | None:
        with self._lock:
            waiting, self._waiting = self._waiting, None
            return waiting
