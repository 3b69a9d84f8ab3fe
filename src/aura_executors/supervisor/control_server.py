"""The supervisor's side of the control socket: connections of workers, one at a time or several at once.

Never blocks: what a worker does not read is kept for it up to a limit, then it is cut off.

Standard library only: the supervisor loads this module.
"""

import json
import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress

from aura_executors.supervisor.control_protocol import EXIT, HELLO, OUTPUT, Frames, frame, numbered

_UNREAD_LIMIT = 1024 * 1024
_CONNECTIONS = 32

Handle = Callable[["ConnectedWorker", int, bytes], None]


def listen(path: str) -> socket.socket:
    """Return the listening socket at `path`; one that a killed supervisor left behind is replaced."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    umask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(umask)
    listener.listen(_CONNECTIONS)
    listener.settimeout(0)
    return listener


class ConnectedWorker:
    """A worker that is connected. `want` is the record number it has seen, while it waits for more."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.frames = Frames()
        self.unsent = bytearray()
        self.want: int | None = None


class ControlServer:
    """Takes connections at `listener`, hands their frames to `handle`, sends answers. Waits in `poll` of the caller."""

    def __init__(self, listener: socket.socket, poll: "select.poll", handle: Handle, hello: dict[str, object]) -> None:
        self._listener = listener
        self._poll = poll
        self._handle = handle
        self._hello = frame(HELLO, json.dumps(hello).encode())
        self._connections: dict[int, ConnectedWorker] = {}
        poll.register(listener, select.POLLIN)

    @property
    def connected(self) -> bool:
        return bool(self._connections)

    def ready(self, file: int, events: int) -> bool:
        """Do what the file is ready for; False if it is not one of the files here."""
        if file == self._listener.fileno():
            self._accept()
            return True
        connection = self._connections.get(file)
        if connection is None:
            return False
        if events & select.POLLOUT:
            self._flush(connection)
        if events & ~select.POLLOUT:
            self._receive(connection)
        return True

    def send(self, connection: ConnectedWorker, data: bytes) -> None:
        """Send as soon as the worker reads. Does nothing if it is gone."""
        if connection.stream.fileno() in self._connections:
            connection.unsent += data
            self._flush(connection)

    def announce_output(self, last: int) -> None:
        """Send `last` to the workers that wait for a record after those they have seen."""
        for connection in tuple(self._connections.values()):
            if connection.want is not None and connection.want < last:
                connection.want = None
                self.send(connection, numbered(OUTPUT, last))

    def announce_exit(self, content: dict[str, object], timeout: float) -> bool:
        """Send the exit record to all, waiting at most `timeout` seconds each; return whether any worker took it."""
        taken = False
        for connection in self._connections.values():
            with suppress(OSError):
                connection.stream.settimeout(timeout)
                connection.stream.sendall(connection.unsent + frame(EXIT, json.dumps(content).encode()))
                taken = True
        return taken

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            stream, _ = self._listener.accept()
            stream.settimeout(0)
            if len(self._connections) >= _CONNECTIONS:
                stream.close()
                return
            connection = self._connections[stream.fileno()] = ConnectedWorker(stream)
            self._poll.register(stream, select.POLLIN)
            self.send(connection, self._hello)

    def _receive(self, connection: ConnectedWorker) -> None:
        try:
            data = connection.stream.recv(256 * 1024)
            if data:
                for kind, body in connection.frames.feed(data):
                    self._handle(connection, kind, body)
            else:
                self._drop(connection)
        except BlockingIOError:
            pass
        except (OSError, ValueError):
            self._drop(connection)

    def _flush(self, connection: ConnectedWorker) -> None:
        try:
            if connection.unsent:
                del connection.unsent[: connection.stream.send(connection.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(connection)
            return
        if len(connection.unsent) > _UNREAD_LIMIT:
            self._drop(connection)
        else:
            self._poll.modify(connection.stream, select.POLLIN | (select.POLLOUT if connection.unsent else 0))

    def _drop(self, connection: ConnectedWorker) -> None:
        file = connection.stream.fileno()
        if self._connections.pop(file, None) is not None:
            self._poll.unregister(file)
            connection.stream.close()
