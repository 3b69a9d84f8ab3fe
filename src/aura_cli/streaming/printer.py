"""Printer: writes on stdout without blocking the event loop, however slow the reader is.

A write blocks for as long as the reader does not read, and must neither stop the event loop nor swallow an interrupt.
So a thread writes, bypassing the buffers of `sys.stdout`: a thread that is stuck in a buffer when the process exits
crashes the interpreter. It is a daemon thread, unlike those of anyio, because the interpreter waits for the others at
its exit, and the reader may never read. The backlog is bounded: callers that print more have to wait.

Invariants: only `run` removes bytes from `_waiting`; only the thread writes; it holds at most one piece, and the event
loop learns of each piece by `_land` before it hands over the next.
"""

import os
from queue import SimpleQueue
from threading import Thread
from typing import TextIO

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

LIMIT = 2 * 1024 * 1024
"""Bytes that may wait to be written."""

PIECE = 1024 * 1024
"""Most bytes that are written at once."""


class Printer:
    """Stdout, from an event loop. `run` has to run while it is used."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._waiting = bytearray()
        self._something = anyio.Event()
        self._room = anyio.Event()
        self._written = anyio.Event()
        self.closed = anyio.Event()
        """Set when nothing can be written any more; later output is discarded."""
        self.error: OSError | None = None
        """Why; None if the reader has only gone away."""
        self._patient = True
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        """For the thread; None ends it."""
        self._landed = anyio.Event()
        self._failure: OSError | None = None

    async def put(self, data: bytes) -> None:
        """Print `data` after everything before it. Waits while the backlog is full."""
        full = len(self._waiting) > LIMIT
        if not data or self.closed.is_set() or (full and not self._patient):
            return
        self._waiting += data
        self._written = anyio.Event() if self._written.is_set() else self._written
        self._something.set()
        while len(self._waiting) > LIMIT and self._patient and not self.closed.is_set():
            self._room = anyio.Event()
            await self._room.wait()

    def hurry(self) -> None:
        """Stop waiting: from now on, output that exceeds the backlog is discarded. The log has it."""
        self._patient = False
        self._room.set()

    async def drain(self) -> None:
        """Wait until everything is written, or the reader has gone away."""
        if self._waiting and not self.closed.is_set():
            await self._written.wait()

    async def run(self) -> None:
        """Write until cancelled, or until writing fails."""
        Thread(target=self._work, args=(current_token(),), name="aura printer", daemon=True).start()
        try:
            await self._write_all()
        except OSError as error:
            self.error = None if isinstance(error, BrokenPipeError) else error
            self._waiting.clear()
            self.closed.set()
            self._room.set()
            self._written.set()
        finally:
            self._pieces.put(None)

    async def _write_all(self) -> None:
        self._out.flush()
        while True:
            await self._something.wait()
            self._something = anyio.Event()
            while self._waiting:
                piece = bytes(self._waiting[:PIECE])
                self._landed = anyio.Event()
                self._pieces.put(piece)
                await self._landed.wait()
                if self._failure is not None:
                    raise self._failure
                del self._waiting[: len(piece)]
                self._room.set()
            self._written.set()

    def _work(self, token: EventLoopToken) -> None:
        """Write piece by piece, in the thread, and report each to the event loop while it runs."""
        while (piece := self._pieces.get()) is not None:
            failure: OSError | None = None
            try:
                _write(self._out, piece)
            except OSError as error:
                failure = error
            try:
                from_thread.run_sync(self._land, failure, token=token)
            except RuntimeError:  # the event loop is closed
                return

    def _land(self, failure: OSError | None) -> None:
        self._failure = failure
        self._landed.set()


def _write(out: TextIO, data: bytes) -> None:
    try:
        descriptor = out.fileno()
    except OSError:  # in memory, as in tests
        out.buffer.write(data)
        return
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
