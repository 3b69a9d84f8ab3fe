"""Watching the head of a log in PostgreSQL: LISTEN on a connection of its own, and a look from time to time.

The channel is the one that the library's own subscriptions use. A notification only wakes; the head is read from its
table. So one that is lost, doubled or forged does no harm.
"""

import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import LiteralString

import psycopg
from psycopg import Connection
from psycopg.errors import ReadOnlySqlTransaction
from psycopg.rows import DictRow, tuple_row

from aura_store.postgres._connections import Connector

LOOK_AGAIN = 5.0
"""Seconds after which the head is read although nobody has notified."""

LOOK_AGAIN_ON_STANDBY = 0.25
"""The same on a standby server, which cannot notify."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two attempts to connect again: the first pause, which doubles, and the longest."""


class Watch:
    """One watch over one log. `head_query` is the statement that reads the head."""

    def __init__(self, connector: Connector, head_query: LiteralString) -> None:
        self._connector = connector
        self._head_query: LiteralString = head_query
        self._bell = _Bell()

    def heads(self) -> Iterator[int]:
        """See `Recorder.heads`."""
        pause = 0.0
        with self._bell.hung_up():
            while not self._bell.wait(pause):
                try:
                    with closing(self._connector.connect()) as connection:
                        for head in self._heads(connection):
                            pause = 0.0
                            yield head
                except psycopg.Error:
                    pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)

    def stop(self) -> None:
        """Have `heads` end now. May be called from any thread, any number of times."""
        self._bell.ring()

    def _heads(self, connection: Connection[DictRow]) -> Iterator[int]:
        look_again = LOOK_AGAIN
        try:
            connection.execute("LISTEN stored_events")
        except ReadOnlySqlTransaction:
            look_again = LOOK_AGAIN_ON_STANDBY
        cursor = connection.cursor(row_factory=tuple_row)
        while not self._bell.wait():
            row = cursor.execute(self._head_query, prepare=True).fetchone()
            if row is not None:
                yield row[0]
            if not _notified(connection):  # while the head was read
                self._bell.wait(look_again, connection)
                _notified(connection)


class _Bell:
    """Ends one thread's wait on a connection from another thread. Rung once, it stays so."""

    def __init__(self) -> None:
        self._rung = False
        self._lock = threading.Lock()
        self._ends: tuple[socket.socket, socket.socket] | None = None

    @contextmanager
    def hung_up(self) -> Iterator[None]:
        """Hold what `wait` needs, for as long as somebody may wait."""
        near, far = socket.socketpair()
        with near, far:
            with self._lock:
                self._ends = near, far
            try:
                yield
            finally:
                with self._lock:
                    self._ends = None

    def ring(self) -> None:
        with self._lock:
            if not self._rung and self._ends is not None:
                self._ends[1].send(b".")
            self._rung = True

    def wait(self, timeout: float = 0.0, connection: Connection[DictRow] | None = None) -> bool:
        """Wait `timeout` seconds for the bell or for something to read on `connection`; return whether it has rung."""
        if timeout and not self._rung:
            assert self._ends is not None, "waiting happens where the bell hangs"
            with selectors.DefaultSelector() as selector:
                selector.register(self._ends[0], selectors.EVENT_READ)
                if connection is not None:
                    selector.register(connection, selectors.EVENT_READ)
                selector.select(timeout)
        return self._rung


def _notified(connection: Connection[DictRow]) -> bool:
    """Take the notifications that are there; return whether there were any."""
    return bool(list(connection.notifies(timeout=0)))
