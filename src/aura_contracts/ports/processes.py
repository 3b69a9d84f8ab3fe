"""Processes: run a command so that it outlives whoever asked for it, and nothing it started outlives it.

A process is known by its **token**, which whoever asks chooses. Starting a token that was started before starts
nothing: it takes the process over, running or ended, with everything it has written since. So a restarted worker simply
asks again, and goes on as if nothing had happened.

What a process writes is kept in numbered records until it is acknowledged; a process that writes faster than its
records are acknowledged is made to wait. Runs on asyncio and on trio.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum

import msgspec

from aura_contracts.events import Instant
from aura_contracts.execution import OUTPUT_LIMIT, SupervisedProcess
from aura_contracts.output import Chunk


def merged_environment(base: Mapping[str, str], *changes: Mapping[str, str | None]) -> dict[str, str]:
    """Return `base` with `changes` made, the last one over the others; None removes a variable.

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
    """By itself, or by a signal that AURA did not send."""
    INTERRUPTED = "interrupted"
    """Somebody asked for it."""
    FAREWELL = "farewell"
    """It had said that it was done, and did not go."""
    TIMEOUT = "timeout"
    """Its wall-clock limit."""
    IDLE_TIMEOUT = "idle_timeout"
    """It wrote nothing for too long."""
    OUTPUT_LIMIT = "output_limit"
    """It wrote more than is kept."""
    ABANDONED = "abandoned"
    """Its worker did not come back within the grace period (the dead man's switch)."""
    SPOOL_FAILED = "spool_failed"
    """What it wrote could not be kept: the disk is full, or the folder is gone."""
    VANISHED = "vanished"
    """Its supervisor was killed, and with it the knowledge of how it ended; what it had started was ended."""


class ProcessExit(msgspec.Struct, frozen=True, kw_only=True):
    """How a process ended. `exit_code` or `signal`, or neither when it vanished; never both."""

    token: str
    cause: ExitCause
    exit_code: int | None = None
    signal: int | None = None
    message: str = ""
    """What there is to say about it: an error of the system, which limit was reached."""
    cpu_seconds: float | None = None
    """User and system time of everything that was started, in seconds."""
    peak_memory: int | None = None
    """Resident memory in bytes of the process that took the most."""
    started_at: Instant | None = None
    ended_at: Instant | None = None
    records: int = 0
    """How many records of output there are in all."""
    survivors: int = 0
    """Processes that had to be ended after the main one was gone."""


class InterruptPlan(msgspec.Struct, frozen=True):
    """How a process is ended: SIGINT, then SIGTERM, then SIGKILL to everything it started; waits in seconds between."""

    after_interrupt: float = 5.0
    after_terminate: float = 3.0
    after_request: float = 5.0
    """For an agent that is asked in its own protocol first: until SIGINT."""


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `env` is the whole environment; AURA adds the token to it and nothing else."""

    token: str
    """1 to 64 letters, digits and hyphens; the name of a folder."""
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str] = {}
    stdin: bytes | None = None
    """Written to its standard input, which is then closed; None: it gets /dev/null, unless `interactive`."""
    interactive: bool = False
    """Keep standard input open, for `RunningProcess.write`; `stdin` is what is written first."""
    first_record: int = 1
    """The number of its first record of output, so that numbers go on over all processes of an execution."""
    timeout: float | None = None
    """Seconds of wall-clock time; None: no limit. Time in which its limits are paused counts not.

    A limit is there for an agent that works for too long. How long a human takes to answer says nothing about that, and
    an agent that is ended while somebody reads its question has worked for nothing.
    """
    idle_timeout: float | None = None
    """Seconds without output; None: no limit.

    Time in which it waits for its output to be acknowledged, or in which its limits are paused, counts not.
    """
    grace: float = 30.0
    """Seconds for which it runs on when its worker is gone, before it is ended."""
    output_limit: int = OUTPUT_LIMIT
    """Bytes that it may write before it is ended."""
    interrupt: InterruptPlan = InterruptPlan()


class OutputBatch(msgspec.Struct, frozen=True):
    """Records of output in order; the first has the number `first`."""

    first: int
    chunks: tuple[Chunk, ...]


class RunningProcess(ABC):
    """A process that was started or taken over; it may have ended meanwhile."""

    process: SupervisedProcess

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether it is known to have ended; `wait` returns at once then."""

    first_record: int
    """The number of its first record of output."""

    @abstractmethod
    def output(self, after: int = 0) -> AsyncIterator[OutputBatch]:
        """Yield what it writes, from the record after number `after` on, until it has ended and all was yielded.

        Batches hold at most about 1 MiB. Read again from anywhere that was not acknowledged.
        """

    @abstractmethod
    async def acknowledge(self, upto: int) -> None:
        """Say that the records up to number `upto` are kept elsewhere; they may be deleted here."""

    @abstractmethod
    async def write(self, data: bytes, *, key: str = "", close: bool = False) -> None:
        """Write to its standard input, and with `close` close it then.

        What was written under a `key` is not written again under the same one, whoever asks (at most 200 bytes).

        Raises `ProcessGone` when the process has ended or it is closed.
        """

    @abstractmethod
    async def interrupt(self, reason: str = "", *, after: float = 0.0) -> None:
        """Begin to end it by its `InterruptPlan`; returns at once. Doing so twice skips to the next step at once.

        `after` is how many seconds it has before that: it was asked in its own words, and may go by itself.
        """

    @abstractmethod
    async def farewell(self, seconds: float) -> None:
        """End it unless it goes by itself within that time: it has said that it is done. Again changes nothing."""

    @abstractmethod
    async def pause_limits(self, paused: bool) -> None:  # noqa: FBT001 - what it says
        """Stop the clocks of `timeout` and `idle_timeout`, or let them run again: it waits for a human, not for itself.

        Holds until somebody says otherwise, whoever is connected. The idle time begins anew afterwards. What was
        appointed by `interrupt` and `farewell`, the grace period and the limit of the output are as ever.
        """

    @abstractmethod
    async def wait(self) -> ProcessExit:
        """Return how it ended, once it and everything it started have ended. Cancelling only stops the waiting."""


class ProcessRunner(ABC):
    """Starts processes and finds them again. An async context manager: leaving it leaves the processes running."""

    @abstractmethod
    async def start(self, spec: ProcessSpec) -> RunningProcess:
        """Start it, or take it over if its token was started before.

        Raises `ExecutableNotFound`, `WorkingDirectoryMissing`, `ProcessStartFailed`; nothing is left then.
        """

    @abstractmethod
    async def find(self, token: str) -> RunningProcess | None:
        """Take over the process with this token, running or ended; None if there is none (or it was forgotten)."""

    @abstractmethod
    async def tokens(self) -> Sequence[str]:
        """Return the tokens of all processes that were started here and not forgotten."""

    @abstractmethod
    async def forget(self, token: str) -> None:
        """Delete what is kept of a process that has ended; one that runs is ended first. Unknown tokens are well."""
