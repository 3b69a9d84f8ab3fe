"""The worker's side of the control socket: requests and their answers, over one connection after another.

Invariants, all within one event loop:

- At most one connection at a time; `listen` owns it, and clears it before it returns.
- A frame is sent whole or not at all: a cancellation in the middle would cut the stream for good.
- A request whose connection is lost counts as not done; the caller decides whether to ask again.
- After `close` nothing waits any more.
"""

import socket
from collections.abc import Callable

import anyio
from anyio.abc import SocketStream

from aura_executors.supervisor.control_protocol import DONE, GONE, Frames, numbered, split_number

Take = Callable[[int, bytes], None]


class Pulse:
    """Wakes everything that waits, again and again. Take `event` before looking, so that nothing is missed between."""

    def __init__(self) -> None:
        self.event = anyio.Event()

    def fire(self) -> None:
        event, self.event = self.event, anyio.Event()
        event.set()


class ControlClient:
    """Talks to a supervisor."""

    def __init__(self) -> None:
        self._stream: SocketStream | None = None
        self._closed = False
        self._changed = Pulse()
        """Fires when there is a connection, when it is lost, at each answer, and at the end."""
        self._sending = anyio.Lock()
        self._requests = 0
        self._answers: dict[int, bool] = {}

    async def listen(self, connection: socket.socket, take: Take) -> None:
        """Give frames to `take`, but for answers, until the supervisor closes the connection."""
        frames = Frames()
        async with await SocketStream.from_socket(connection) as stream:
            self._stream = stream
            self._changed.fire()
            try:
                while True:
                    for kind, body in frames.feed(await stream.receive()):
                        if kind in (DONE, GONE):
                            self._answers[split_number(body)[0]] = kind == DONE
                            self._changed.fire()
                        else:
                            take(kind, body)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError, ValueError):
                pass
            finally:
                self._stream = None
                self._changed.fire()

    def close(self) -> None:
        """Take in that the process has ended."""
        self._closed = True
        self._changed.fire()

    async def send(self, data: bytes) -> bool:
        """Send a frame, once there is a connection; False if that is lost, or the process has ended."""
        while self._stream is None and not self._closed:
            await self._changed.event.wait()
        async with self._sending:
            if self._stream is None:
                return False
            with anyio.CancelScope(shield=True):
                try:
                    await self._stream.send(data)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                    return False
        return True

    async def ask(self, kind: int, body: bytes = b"") -> bool:
        """Return whether the supervisor did it; False also if the connection was lost before it said so."""
        self._requests += 1
        number = self._requests
        if not await self.send(numbered(kind, number, body)):
            return False
        try:
            while number not in self._answers and self._stream is not None:
                await self._changed.event.wait()
        finally:
            answer = self._answers.pop(number, False)  # an answer that comes after a cancellation stays: one number
        return answer
