"""Group commit: concurrent appends share one transaction.

There is no writer task. The first caller that finds nobody committing leads: it commits everything queued, in a worker
thread, and while it does, others queue up. When its own append is decided it hands the lead to the first of those who
wait. So the log needs no task group, has nothing to leak, and belongs to no scope but its callers'.

    caller A ──lead──commit [A]────────hand over
    caller B    queue──────────wait────lead──commit [B C D]──hand over ...
    caller C       queue───────wait──────────────────┘ done
    caller D          queue────wait──────────────────┘ done

When the database is away the leader tries again with growing pauses; the queue keeps its order. A commit whose fate is
unknown (the connection broke while it was on its way) is looked up before it is tried again: see `Committer.commit`.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

import anyio
import anyio.to_thread

from aura_contracts.errors import AuraError
from aura_store._recorder import DatabaseAway
from aura_store._seal import EncodedAppend

Outcome = int | AuraError
"""The position a command ended at, or why it was refused."""

Command = Sequence[EncodedAppend]

BATCH_LIMIT = 1000
"""Commands in one transaction: bounds the time that other processes wait for the write lock."""


class Committer(Protocol):
    """What does the work, in a worker thread."""

    def commit(self, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Commit all `commands` in one transaction and return an outcome for each.

        Raises `DatabaseAway` when nothing is decided yet; a later call with the same commands must not repeat them.
        """
        ...


class Patience(Protocol):
    """Decides how long to try again."""

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait after failed attempt number `attempt` (from 1)."""
        ...

    def give_up(self, waiting_since: float, now: float, away: DatabaseAway, attempts: int) -> AuraError | None:
        """Return the error for a caller that has waited long enough, or None."""
        ...


class _Entry:
    """A queued command. `outcome` None and `woken` set together mean: you lead now."""

    __slots__ = ("command", "outcome", "since", "woken")

    def __init__(self, command: Command, since: float) -> None:
        self.command = command
        self.since = since
        self.outcome: Outcome | None = None
        self.woken: anyio.Event | None = None


class _Flight:
    """One commit on its way in the worker thread. Once begun it lands, whatever becomes of the task that waits for it.

    anyio's shields hold off anyio's cancellation; asyncio's own `Task.cancel`, which `asyncio.wait_for` and
    `asyncio.timeout` use, tears a task away from its thread. Nobody else may commit until the thread is done.
    """

    def __init__(self, committer: Committer, commands: Sequence[Command]) -> None:
        self._committer = committer
        self._commands = commands
        self._ticket = threading.Lock()
        self._landed = threading.Event()
        self._outcomes: Sequence[Outcome] = ()
        self._error: BaseException | None = None

    async def land(self, limiter: anyio.CapacityLimiter) -> BaseException | None:
        """Fly; return when landed, with the cancellation that came in between, if one did."""
        torn: BaseException | None = None
        work: Callable[[], object] = self._fly
        with anyio.CancelScope(shield=True):
            while not self._landed.is_set():
                try:
                    await anyio.to_thread.run_sync(work, limiter=limiter)
                except anyio.get_cancelled_exc_class() as cancelled:
                    if self._ticket.acquire(blocking=False):
                        raise  # not begun, and now it never will
                    torn, work = cancelled, self._landed.wait
        return torn

    def outcomes(self) -> Sequence[Outcome]:
        if self._error is not None:
            raise self._error
        return self._outcomes

    def _fly(self) -> None:
        if not self._ticket.acquire(blocking=False):
            return
        try:
            self._outcomes = self._committer.commit(self._commands)
        except BaseException as error:  # noqa: BLE001 - raised again by `outcomes`
            self._error = error
        finally:
            self._landed.set()


class GroupCommit:
    """Queue in front of a `Committer`. Belongs to one event loop."""

    def __init__(self, committer: Committer, patience: Patience, clock: Callable[[], float]) -> None:
        self._committer = committer
        self._patience = patience
        self._clock = clock
        self._queue: deque[_Entry] = deque()
        self._led = False
        self._thread = anyio.CapacityLimiter(1)
        self._idle: anyio.Event | None = None

    async def submit(self, command: Command) -> Outcome:
        """Return the outcome of `command` once it is durable or refused."""
        entry = _Entry(command, self._clock())
        self._queue.append(entry)
        if self._led:
            entry.woken = anyio.Event()
            try:
                await entry.woken.wait()
            except BaseException:
                self._abandon(entry)
                raise
            if entry.outcome is not None:
                return entry.outcome
        self._led = True
        try:
            await self._lead(entry)
        except BaseException:
            if entry.outcome is None:
                self._queue.remove(entry)
            raise
        finally:
            self._hand_over()
        assert entry.outcome is not None, "a leader leaves with its outcome"
        return entry.outcome

    async def drain(self) -> None:
        """Return when everything that was accepted is decided."""
        while self._led:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()

    def _abandon(self, entry: _Entry) -> None:
        """Forget a cancelled caller: what is queued is not begun; what is on its way is carried to its end."""
        if entry in self._queue:
            self._queue.remove(entry)
        if entry.woken is not None and entry.woken.is_set() and entry.outcome is None:
            self._hand_over()

    def _hand_over(self) -> None:
        self._led = bool(self._queue)
        if self._queue:
            heir = self._queue[0]
            if heir.woken is not None:
                heir.woken.set()
        elif self._idle is not None:
            self._idle.set()
            self._idle = None

    async def _lead(self, own: _Entry) -> None:
        """Commit batches until the leader's own command is decided."""
        attempts = 0
        while own.outcome is None:
            batch = list(islice(self._queue, BATCH_LIMIT))
            flight = _Flight(self._committer, [entry.command for entry in batch])
            torn = await flight.land(self._thread)
            try:
                self._settle(batch, flight.outcomes())
                attempts = 0
            except DatabaseAway as away:
                attempts += 1
                self._give_up(away, attempts)
                if torn is None and own.outcome is None:
                    await anyio.sleep(self._patience.pause(attempts))
            except AuraError as error:
                self._settle(batch, [error] * len(batch))
            if torn is not None:
                raise torn

    def _settle(self, batch: Sequence[_Entry], outcomes: Sequence[Outcome]) -> None:
        for entry, outcome in zip(batch, outcomes, strict=True):
            entry.outcome = outcome
            if entry.woken is not None:
                entry.woken.set()
            if self._queue and self._queue[0] is entry:
                self._queue.popleft()
            elif entry in self._queue:
                self._queue.remove(entry)

    def _give_up(self, away: DatabaseAway, attempts: int) -> None:
        """Tell those who have waited long enough."""
        now = self._clock()
        for entry in list(self._queue):
            if error := self._patience.give_up(entry.since, now, away, attempts):
                self._settle([entry], [error])
