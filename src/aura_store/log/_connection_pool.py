"""Idle connections, lent to one caller at a time, in any thread.

The caller connects, so it gets the database's own answer at once, only the log's patience decides when to retry, and
there are no threads to leak. The number of connections is limited by the number of callers that the log admits.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class ConnectionPool(Generic[C]):
    """Connections that `connect` makes. `is_broken` says of one whether the others will not work either."""

    def __init__(self, connect: Callable[[], C], is_broken: Callable[[C], bool] = lambda _: False) -> None:
        self._connect = connect
        self._is_broken = is_broken
        self._idle: list[C] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def lent(self) -> Iterator[C]:
        """Lend a connection. One that is not returned intact is closed, which rolls it back."""
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        connection = connection or self._connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            if self._is_broken(connection):
                self._close_idle()
            raise
        with self._lock:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        """Close the idle connections now, and the others when they are returned."""
        self._closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
