"""Printer: writes on stdout beside everything else that goes on, however slow whoever reads it is.

Writing may block for as long as nobody reads, and must neither stop the event loop nor swallow an interrupt. So a
thread writes, past the buffers of `sys.stdout`: a thread that is stuck in one when the process ends would bring the
interpreter down. It is a daemon, unlike those of anyio, for whose end the interpreter waits: nobody may ever read. What
waits to be written is bounded: whoever prints more has to wait.
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
"""Bytes that are written at once, at most."""


class Printer:
    """Stdout, from an event loop. `run` has to run while it is used."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._waiting = bytearray()
        self._something = anyio.Event()
        self._room = anyio.Event()
        self._written = anyio.Event()
        self.closed = anyio.Event()
        """Set when nothing can be written any more; what is printed from then on goes nowhere."""
        self.error: OSError | None = None
        """Why; None where it is only that nobody reads any more."""
        self._patient = True
        self._pieces: SimpleQueue[bytes | None] = SimpleQueue()
        """For the thread; None ends it."""
        self._landed = anyio.Event()
        self._failure: OSError | None = None

    async def put(self, data: bytes) -> None:
        """Print `data`, after what was printed before. Waits while there is too much to be written."""
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
        """Let nobody wait any more: from now on, what there is no room for is not printed. The log has it."""
        self._patient = False
        self._room.set()

    async def drain(self) -> None:
        """Wait until everything is written, or nobody reads any more."""
        if self._waiting and not self.closed.is_set():
            await self._written.wait()

    async def run(self) -> None:
        """Write until cancelled, or until that is not possible any more."""
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
        """Write piece by piece, in the thread, and tell the event loop of each while it is there."""
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
