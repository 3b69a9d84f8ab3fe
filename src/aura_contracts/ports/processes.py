"""Processes: commands that outlive the worker that started them, while nothing they start outlives them.

A process is known by its **token**, which the caller chooses. Starting a token for the second time starts nothing: it
takes over the process, running or ended, with everything it has written since. A restarted worker therefore repeats its
requests and continues as if nothing had happened.

Output is kept in numbered records until it is acknowledged; a process that writes faster than its records are
acknowledged is made to wait. Runs on asyncio and on trio.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from aura_contracts.events import Instant
from aura_contracts.execution import SupervisedProcess
from aura_contracts.output import Chunk
from aura_contracts.run_plan import OUTPUT_LIMIT

ARGUMENT_LIMIT = 131_071
"""Bytes in one argument, or in one variable with its name, on Linux (MAX_ARG_STRLEN: 32 pages, including the NUL)."""


def merged_environment(base: Mapping[str, str], *changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return `base` with `changes` applied in order; None removes a variable.

    >>> merged_environment({"LANG": "C", "EDITOR": "vi"}, {"EDITOR": None}, {"LANG": "C.UTF-8"})
    {'LANG': 'C.UTF-8'}
    """
    environment: dict[str, str | None] = dict(base)
    for change in changes:
        environment.update(change)
    return {name: value for name, value in environment.items() if value is not None}


class ExitCause(StrEnum):
    """Why a process ended."""

    OWN = "own"
    """It ended by itself, or by a signal that AURA did not send."""
    INTERRUPTED = "interrupted"
    """It was interrupted on request."""
    EXIT_GRACE = "exit_grace"
    """It reported that it was done, but did not exit."""
    TIMEOUT = "timeout"
    """It reached its wall-clock limit."""
    IDLE_TIMEOUT = "idle_timeout"
    """It was silent for too long."""
    OUTPUT_LIMIT = "output_limit"
    """It wrote more than its limit."""
    ABANDONED = "abandoned"
    """Its worker did not return within the grace period (the dead man's switch)."""
    SPOOL_FAILED = "spool_failed"
    """Its output could not be stored: the disk is full, or the folder is gone."""
    VANISHED = "vanished"
    """Its supervisor was killed, so how it ended is unknown; everything it had started was killed."""


class ProcessExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended. Has an `exit_code` or a `signal`, never both; a process that vanished has neither."""

    token: str
    cause: ExitCause
    exit_code: int | None = None
    signal: int | None = None
    message: str = ""
    """Details: a system error, or the limit that was reached."""
    cpu_seconds: float | None = None
    """User and system time of the process and all its descendants, in seconds."""
    peak_memory: int | None = None
    """Resident memory of the largest process, in bytes."""
    started_at: Instant | None = None
    ended_at: Instant | None = None
    records: int = 0
    """The total number of output records."""
    survivors: int = 0
    """The number of processes that had to be killed after the main one was gone."""


class InterruptPlan(msgspec.Struct, frozen=True):
    """How to end a process: SIGINT, then SIGTERM, then SIGKILL to all its descendants; waits in seconds in between."""

    after_interrupt: float = 5.0
    after_terminate: float = 3.0
    after_request: float = 5.0
    """Until SIGINT, for an agent that is first asked in its own protocol."""


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A process to run. `env` is its whole environment, to which AURA adds only the token."""

    token: str
    """1 to 64 letters, digits and hyphens; it names a folder."""
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str] = {}
    stdin: bytes | None = None
    """Written to standard input, which is then closed. None means /dev/null, unless `interactive`."""
    interactive: bool = False
    """Keep standard input open for `RunningProcess.write`, after writing `stdin`."""
    first_record: int = 1
    """The number of its first output record; numbers continue over all processes of an execution."""
    timeout: float | None = None
    """Seconds of wall-clock time; None means no limit. Time during which limits are paused does not count.

    The limit is for an agent that works for too long. The time a human takes to answer says nothing about that, and an
    agent that is killed while a human reads its question has worked in vain.
    """
    idle_timeout: float | None = None
    """Seconds without output; None means no limit.

    Time spent waiting for acknowledgements, and time during which limits are paused, does not count.
    """
    grace: float = 30.0
    """Seconds to keep running without its worker before it is killed."""
    output_limit: int = OUTPUT_LIMIT
    """Bytes that it may write before it is killed."""
    interrupt: InterruptPlan = InterruptPlan()


class OutputBatch(msgspec.Struct, frozen=True):
    """Output records in order; the first has the number `first`."""

    first: int
    chunks: tuple[Chunk, ...]


class RunningProcess(ABC):
    """A process that was started or taken over; it may have ended in the meantime."""

    process: SupervisedProcess

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether the process is known to have ended; if so, `wait` returns at once."""

    first_record: int
    """The number of its first output record."""

    @abstractmethod
    def output(self, after: int = 0) -> AsyncIterator[OutputBatch]:
        """Yield the output after record number `after`, until the process has ended and everything was yielded.

        Batches hold at most about 1 MiB. Output that was not acknowledged can be read again.
        """

    @abstractmethod
    async def acknowledge(self, upto: int) -> None:
        """Confirm that the records up to number `upto` are stored elsewhere, so that they may be deleted here."""

    @abstractmethod
    async def write(self, data: bytes, *, key: str = "", close: bool = False) -> None:
        """Write to standard input, then close it if `close` is true.

        Data with the same `key` is written only once, no matter who writes it. A key has at most 200 bytes.

        Raises `ProcessGone` if the process has ended or its standard input is closed.
        """

    @abstractmethod
    async def interrupt(self, reason: str = "", *, after: float = 0.0) -> None:
        """Start to end the process by its `InterruptPlan`; returns at once. A second call skips to the next step.

        `after` is the number of seconds before the first step, for a process that was asked in its own protocol and may
        exit by itself.
        """

    @abstractmethod
    async def expect_exit(self, seconds: float) -> None:
        """End the process unless it exits by itself within this time, because it reported its end. Repeatable."""

    @abstractmethod
    async def pause_limits(self, paused: bool) -> None:  # noqa: FBT001 - the only argument
        """Stop the clocks of `timeout` and `idle_timeout`, or restart them, while the process waits for a human.

        Applies until the next call, no matter who is connected. The idle time starts from zero afterwards. Deadlines
        set by `interrupt` and `expect_exit`, the grace period and the output limit are not affected.
        """

    @abstractmethod
    async def wait(self) -> ProcessExit:
        """Return how the process ended, once it and all its descendants have. Cancelling only stops the waiting."""


class ProcessRunner(ABC):
    """Starts processes and finds them again. Leaving this async context manager leaves the processes running."""

    @abstractmethod
    async def prepare(self) -> None:
        """Get ready to start a process soon, which is only faster then."""

    @abstractmethod
    async def start(self, spec: ProcessSpec) -> RunningProcess:
        """Start a process, or take it over if its token was started before.

        Raises `ExecutableNotFound`, `WorkingDirectoryMissing`, `ProcessStartFailed`; nothing is left running then.
        """

    @abstractmethod
    async def find(self, token: str) -> RunningProcess | None:
        """Take over the process with this token, running or ended; None if it does not exist or was forgotten."""

    @abstractmethod
    async def tokens(self) -> Sequence[str]:
        """Return the tokens of all processes that were started here and not forgotten."""

    @abstractmethod
    async def forget(self, token: str) -> None:
        """Delete the records of a process, after killing it if it still runs. Unknown tokens are ignored."""
