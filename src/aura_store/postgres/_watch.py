"""Watching the head of a log in PostgreSQL: LISTEN on a separate connection, and a read at intervals.

The channel is that of the library's own subscriptions. A notification only wakes the watcher, which then reads the head
from its table, so a lost, duplicate or forged notification does no harm.
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
"""Seconds after which the head is read even without a notification."""

LOOK_AGAIN_ON_STANDBY = 0.25
"""The same on a standby server, which cannot notify."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between attempts to reconnect: the first pause, which doubles each time, and the longest."""


class LogWatch:
    """Watches one log. `head_query` is the statement that reads the head."""

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
        """Make `heads` end now. May be called from any thread, any number of times."""
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
            if not _notified(connection):  # none arrived while the head was read
                self._bell.wait(look_again, connection)
                _notified(connection)


class _Bell:
    """Ends a thread's wait on a connection from another thread. Once rung, it stays rung."""

    def __init__(self) -> None:
        self._rung = False
        self._lock = threading.Lock()
        self._ends: tuple[socket.socket, socket.socket] | None = None

    @contextmanager
    def hung_up(self) -> Iterator[None]:
        """Hold the resources of `wait` while a thread may wait."""
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
        """Wait `timeout` seconds for the bell or for data on `connection`; return whether the bell has rung."""
        if timeout and not self._rung:
            assert self._ends is not None, "wait only inside hung_up()"
            with selectors.DefaultSelector() as selector:
                selector.register(self._ends[0], selectors.EVENT_READ)
                if connection is not None:
                    selector.register(connection, selectors.EVENT_READ)
                selector.select(timeout)
        return self._rung


def _notified(connection: Connection[DictRow]) -> bool:
    """Consume pending notifications; return whether there were any."""
    return bool(list(connection.notifies(timeout=0)))
