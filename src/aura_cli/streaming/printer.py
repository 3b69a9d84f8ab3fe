"""Printer: writes to stdout without blocking the event loop, however slow the reader is.

A write blocks while the reader does not read, and must neither stop the event loop nor swallow an interrupt. So a
thread writes, bypassing the buffers of `sys.stdout`: a thread stuck in a buffer at exit crashes the interpreter. Unlike
anyio's threads it is a daemon, because the interpreter waits for other threads at exit, and the reader may never read.
The backlog is bounded: callers that print more have to wait.

Invariants: only `run` takes `_waiting` away, whole and without a copy; only the thread writes; it holds at most one
such piece, and the event loop learns of each piece by `_land` before it hands over the next. `_written` is set while
nothing waits and no piece is on its way.
"""

import os
from queue import SimpleQueue
from threading import Thread
from typing import TextIO

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

LIMIT = 1024 * 1024
"""Maximum bytes waiting to be written, in addition to those that are being written."""


class Printer:
    """Writes to stdout from an event loop. `run` must be running while it is used."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._waiting = bytearray()
        self._something = anyio.Event()
        self._room = anyio.Event()
        self._written = anyio.Event()
        self._written.set()
        self.closed = anyio.Event()
        """Set when writing has failed; later output is discarded."""
        self.error: OSError | None = None
        """Why writing failed; None if the reader went away."""
        self._patient = True
        self._pieces: SimpleQueue[bytearray | None] = SimpleQueue()
        """Pieces for the thread; None ends it."""
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
        """Stop waiting: from now on, discard output that exceeds the backlog. It is still in the log."""
        self._patient = False
        self._room.set()

    async def drain(self) -> None:
        """Wait until everything is written or the reader has gone away."""
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
                piece, self._waiting = self._waiting, bytearray()
                self._landed = anyio.Event()
                self._pieces.put(piece)
                await self._landed.wait()
                if self._failure is not None:
                    raise self._failure
                self._room.set()
            self._written.set()

    def _work(self, token: EventLoopToken) -> None:
        """In the thread, write piece by piece and report each piece to the event loop."""
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


def _write(out: TextIO, data: bytearray) -> None:
    try:
        descriptor = out.fileno()
    except OSError:  # in memory, as in tests
        out.buffer.write(data)
        return
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
