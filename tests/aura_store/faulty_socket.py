"""A socket between client and server of PostgreSQL that breaks where a test wants it to."""

import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

Swallowed = Literal["", "COMMIT", "answer to COMMIT"]

_COMMIT = b"COMMIT\0"
_HEADER = 6
"""Bytes of a Parse message before its text: type, length, an empty name."""

_COMMITTED = b"C\0\0\0\x0bCOMMIT\0"
"""CommandComplete (PostgreSQL manual, "Message Formats")."""


class FaultySocket:
    """Passes everything on, until it is told to swallow something: then it breaks that connection, once.

    `swallow` is set by the test; `swallowed` tells what was, in order.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.folder = folder
        self.swallow: Swallowed = ""
        self.swallowed: list[Swallowed] = []
        self._server = server
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._start(self._accept)

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        with self._lock:
            ends = list(self._open)
        for end in ends:
            _shut(end)
        for thread in list(self._threads):
            thread.join()

    def _start(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                with self._lock:
                    self._open += [client, server]
                self._start(self._serve, client, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            server.connect(str(self._server / ".s.PGSQL.5432"))
            back = threading.Thread(target=self._pass_on, args=(server, client, _COMMITTED, "answer to COMMIT"))
            back.start()
            self._pass_on(client, server, _COMMIT, "COMMIT")
            back.join()

    def _pass_on(self, source: socket.socket, target: socket.socket, mark: bytes, name: Swallowed) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 20):
                if mark in data and self._shall_swallow(name):
                    if name == "COMMIT":
                        target.sendall(data[: data.index(mark) - _HEADER])  # the rows arrive
                    break
                target.sendall(data)
        _shut(source)
        _shut(target)

    def _shall_swallow(self, name: Swallowed) -> bool:
        with self._lock:
            if self.swallow != name:
                return False
            self.swallow = ""
            self.swallowed.append(name)
            return True


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


@contextmanager
def faulty_socket(server: Path) -> Iterator[FaultySocket]:
    """Run a `FaultySocket` in front of the server whose socket is in folder `server`."""
    folder = Path(tempfile.mkdtemp(prefix="aura-socket-"))
    faulty = FaultySocket(folder, server)
    try:
        yield faulty
    finally:
        faulty.close()
        shutil.rmtree(folder)
