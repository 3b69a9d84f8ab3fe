"""Group commit: concurrent appends share one transaction.

Callers join the batch that is filling; a writer thread takes it, commits it and reports to all of them. Meanwhile the
next batch fills. The cost of making appends durable is thus shared by all who wait, however many there are:

    caller A ──join──┐                    ┌─ done
    caller B ──join──┤ batch 1 ── commit ─┴─ done
    caller C ─────────join──┐                        ┌─ done
    caller D ───────────join┴ batch 2 ────── commit ─┴─ done

A batch is offered to the thread in the turn of the event loop after the one in which it began. Callers that one commit
has woken, and that append again at once, so share the next one; otherwise the thread would take the first of them
alone, and compete with the others for the interpreter.

The thread belongs to the log, not to a caller; a cancelled caller simply leaves. If its batch has not been taken yet,
its command is dropped; otherwise the command runs to completion.

Invariants:

- A command is committed at most once, and each caller receives the outcome of its command exactly once.
- Batches are committed in the order in which they were filled, one at a time; only the writer thread commits.
- `_batches`, `_closing` and a batch's `offered` change only under `_filled`. The thread takes a batch only once it was
  offered, or when the log is closing; every batch is offered, in the order in which they began.
- A `_Submission` is written by the writer thread (`outcome`) and by its caller (`abandoned`), each in its own field.
  Events of the event loop are set only in the event loop.
- After `aclose`, everything accepted has been decided and the thread has ended.

While the database is down, the thread retries with growing pauses, and the batches keep their order. A commit whose
outcome is unknown (the connection broke during the commit) is looked up before it is retried: see `Committer.commit`.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

import anyio
import anyio.lowlevel
import anyio.to_thread

from aura_contracts.errors import AuraError
from aura_store.log._recorder import DatabaseAway
from aura_store.log._seal import EncodedAppend

CommitOutcome = int | BaseException
"""The position at which a command ends, or the reason why it was not stored."""

EncodedCommand = Sequence[EncodedAppend]

BATCH_LIMIT = 1000
"""Commands in one transaction; this limits how long other processes wait for the write lock."""


class Committer(Protocol):
    """Does the work, in the writer thread."""

    def commit(self, commands: Sequence[EncodedCommand]) -> Sequence[CommitOutcome]:
        """Commit all `commands` in one transaction and return an outcome for each.

        Raises `DatabaseAway` if nothing is decided yet; a later call with the same commands must not store them twice.
        """
        ...


class WriterPatience(Protocol):
    """Decides how long to retry. Called in the writer thread."""

    def pause(self, attempt: int) -> float:
        """Return the seconds to wait after failed attempt number `attempt` (from 1)."""
        ...

    def give_up(self, waited: float, away: DatabaseAway, attempts: int) -> AuraError | None:
        """Return the error for a caller that has waited long enough, or None."""
        ...


class _Submission:
    """A command in a batch, and its outcome."""

    __slots__ = ("abandoned", "command", "outcome", "since")

    def __init__(self, command: EncodedCommand, since: float) -> None:
        self.command = command
        self.since = since
        self.outcome: CommitOutcome | None = None
        self.abandoned = False


class _Batch:
    """Entries that are committed together. `told` is set when outcomes arrive, and replaced if some are missing."""

    __slots__ = ("entries", "offered", "told")

    def __init__(self) -> None:
        self.entries: list[_Submission] = []
        self.offered = False
        self.told = anyio.Event()

    def tell(self) -> None:
        """Wake the waiting callers. Runs in the event loop."""
        told, self.told = self.told, anyio.Event()
        told.set()


class GroupCommit:
    """Batches in front of a `Committer`. Belongs to one event loop; its thread starts with the first command.

    Raises `RuntimeError` for a command from the thread of another event loop, whose caller could not be woken.
    """

    def __init__(
        self, committer: Committer, patience: WriterPatience, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._committer = committer
        self._patience = patience
        self._clock = clock
        self._batches: deque[_Batch] = deque()
        self._filled = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._loop_thread = 0
        self._in_loop: Callable[..., Any] | None = None
        self._next_turn: Callable[..., Any] | None = None

    async def submit(self, command: EncodedCommand) -> CommitOutcome:
        """Return the outcome of `command` once it is durable or refused."""
        entry = _Submission(command, self._clock())
        batch = self._join(entry)
        try:
            while entry.outcome is None:
                await batch.told.wait()
        except BaseException:
            entry.abandoned = True
            raise
        return entry.outcome

    async def aclose(self) -> None:
        """Decide everything that was accepted, then end the thread."""
        with self._filled:
            self._closing = True
            self._filled.notify()
        if self._thread is not None:
            await anyio.to_thread.run_sync(self._thread.join)

    def _join(self, entry: _Submission) -> _Batch:
        if self._next_turn is None:
            self._next_turn = self._start()
        if self._loop_thread != threading.get_ident():
            raise RuntimeError("a log belongs to the event loop it was opened in; open another for this one")
        with self._filled:
            if not self._batches or len(self._batches[-1].entries) >= BATCH_LIMIT:
                self._batches.append(_Batch())
                self._next_turn(self._offer, self._batches[-1])
            batch = self._batches[-1]
            batch.entries.append(entry)
        return batch

    def _offer(self, batch: _Batch) -> None:
        """Let the thread take a batch. Runs in the event loop."""
        with self._filled:
            batch.offered = True
            self._filled.notify()

    def _start(self) -> Callable[..., Any]:
        """Start the thread; return the function that schedules a call for the next turn of the event loop."""
        native: Any = anyio.lowlevel.current_token().native_token
        # asyncio's loop and trio's token have two names for the same thing: run this there, without waiting for it.
        in_loop: Callable[..., Any] = getattr(native, "call_soon_threadsafe", None) or native.run_sync_soon
        self._in_loop, self._loop_thread = in_loop, threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="aura-commit", daemon=True)
        self._thread.start()
        return getattr(native, "call_soon", None) or in_loop

    # --- Writer thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while batch := self._next_batch():
            waiting = [entry for entry in batch.entries if not entry.abandoned]
            attempts = 0
            while waiting:
                try:
                    outcomes = self._committer.commit([entry.command for entry in waiting])
                    waiting = self._settle(batch, waiting, outcomes)
                except DatabaseAway as away:
                    attempts += 1
                    waiting = self._refuse_impatient(batch, waiting, away, attempts)
                    if waiting:
                        time.sleep(self._patience.pause(attempts))
                except BaseException as error:  # noqa: BLE001 - waiting callers must get any error
                    waiting = self._settle(batch, waiting, [error] * len(waiting))

    def _next_batch(self) -> _Batch | None:
        """Wait for a batch and take it; None once the log is closing and no batches are left."""
        with self._filled:
            while not (self._batches and self._batches[0].offered) and not self._closing:
                self._filled.wait()
            return self._batches.popleft() if self._batches else None

    def _refuse_impatient(
        self, batch: _Batch, waiting: Sequence[_Submission], away: DatabaseAway, attempts: int
    ) -> list[_Submission]:
        """Report to the callers that have waited long enough; return the other entries."""
        now = self._clock()
        errors = [self._patience.give_up(now - entry.since, away, attempts) for entry in waiting]
        self._settle(batch, waiting, errors)
        return [entry for entry in waiting if entry.outcome is None]

    def _settle(
        self, batch: _Batch, entries: Sequence[_Submission], outcomes: Sequence[CommitOutcome | None]
    ) -> list[_Submission]:
        """Set outcomes and wake the callers; return the entries that still wait."""
        for entry, outcome in zip(entries, outcomes, strict=True):
            entry.outcome = outcome
        assert self._in_loop is not None, "the thread runs only after _start"
        if any(outcome is not None for outcome in outcomes):
            with suppress(RuntimeError):  # the loop has ended, and no callers wait
                self._in_loop(batch.tell)
        return []
