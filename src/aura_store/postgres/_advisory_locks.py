"""Session locks of a PostgreSQL server. See `aura_store._locks`.

Invariants:

- All locks belong to one session. When it ends, for whatever reason, all of them have ended.
- `_session`, `_held` and `_ended` are used only under `_lock`, in threads: a server that does not answer must not stop
  the event loop. What ended with a session is in `_ended` until `lost` returns it.
- A session that did not answer is closed, so the server cannot hold a lock that this side believes to be free.
"""

from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from hashlib import sha256
from threading import Lock
from typing import ClassVar, LiteralString, TypeVar

import anyio
import psycopg
from anyio import to_thread
from psycopg import Connection
from psycopg.rows import DictRow

from aura_contracts.errors import AuraError, StoreMisconfigured
from aura_store.log._patience import OUTAGE_TIMEOUT, Patience
from aura_store.log._recorder import LOCK_TIMEOUT, DatabaseAway
from aura_store.postgres._connections import POOLED, Connector, parse_url, public_url, translate

R = TypeVar("R")

_THREADS = 2
"""One uses the session; another may wait for it. Taken from no one else, so that locks never wait for other work."""

_OTHERS = 4
"""Sessions to take from a pooler: the one that it has at hand is the one used last, unless other clients use it too."""

_ACQUIRE = "SELECT pg_try_advisory_lock(%s) AS answer"
_RELEASE = "SELECT pg_advisory_unlock(%s) AS answer"
_HELD = """
SELECT EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32) | objid::bigint = %s
) AS answer
"""
"""The manual, "pg_locks": a bigint key is in classid (high half) and objid, with objsubid 1."""


class AdvisoryLocks:
    """Session locks of a PostgreSQL server (its documentation, "Advisory Locks"), which end with the session.

    While the server is away, `acquire` and `held_elsewhere` wait up to `outage_timeout` seconds.
    """

    lag: ClassVar[float] = 2.0
    """Seconds; the server ends a session when it finds that its connection was closed, usually within milliseconds."""

    def __init__(self, url: str, *, outage_timeout: float = OUTAGE_TIMEOUT) -> None:
        parameters = parse_url(url)
        self._name = public_url(parameters)
        self._connector = Connector(parameters, read_only=False, lock_timeout=LOCK_TIMEOUT)
        self._patience = Patience(outage_timeout=outage_timeout)
        self._give_up = self._patience.give_up(self._name)
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._session: Connection[DictRow] | None = None
        self._held: set[str] = set()
        self._ended: set[str] = set()
        self._lock = Lock()

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`, see the port."""
        return await self._patiently(lambda: self._acquire(key))

    async def release(self, key: str) -> None:
        """Release the lock, or end the session that has it."""
        await self._in_thread(lambda: self._release(key))

    async def lost(self) -> Collection[str]:
        """See the port. The session is asked for a sign of life."""
        return await self._in_thread(self._take_lost)

    async def held_elsewhere(self, key: str) -> bool:
        """Whether another session has the lock."""
        return await self._patiently(lambda: self._held_elsewhere(key))

    async def aclose(self) -> None:
        """Release all locks, by closing their session."""
        await self._in_thread(self._close)

    # --- In threads ---------------------------------------------------------------------------------------------------

    async def _patiently(self, work: Callable[[], bool]) -> bool:
        """Run `work` in a thread until the server answers.

        A cancellation waits for the answer to one question: it could leave a lock behind that no one knows of.
        """
        return await self._patience.run(work, limiter=self._threads, give_up=self._give_up)

    async def _in_thread(self, work: Callable[[], R]) -> R:
        answers: list[R] = []  # by its type, the scope could swallow an error
        with anyio.CancelScope(shield=True):
            answers.append(await to_thread.run_sync(work, limiter=self._threads))
        return answers[0]

    def _acquire(self, key: str) -> bool:
        with self._lock:
            if key in self._held:
                self._look_for_life()
            if key not in self._held and self._ask(_ACQUIRE, key):
                self._held.add(key)
                self._ended.discard(key)
            return key in self._held

    def _held_elsewhere(self, key: str) -> bool:
        with self._lock:
            return key not in self._held and self._ask(_HELD, key)

    def _release(self, key: str) -> None:
        with self._lock:
            if key in self._held:
                self._held.discard(key)
                with suppress(DatabaseAway, AuraError, psycopg.Error):  # then the session was closed
                    self._ask(_RELEASE, key)

    def _take_lost(self) -> Collection[str]:
        """Return the locks that have ended since the last call."""
        with self._lock:
            self._look_for_life()
            lost, self._ended = self._ended, set()
            return lost

    def _close(self) -> None:
        with self._lock:
            self._end_session()
            self._ended.clear()

    # --- Under `_lock` ------------------------------------------------------------------------------------------------

    def _look_for_life(self) -> None:
        """End the session if the server does not answer in it: what it held has ended, or ends with it."""
        if self._held and self._session is not None:
            try:
                self._session.execute("SELECT")
            except psycopg.Error:
                self._end_session()

    def _ask(self, question: LiteralString, key: str) -> bool:
        """Ask the server. Raises `DatabaseAway`, and what `translate` makes of other errors."""
        try:
            if self._session is None:
                self._session = self._connect()
            row = self._session.execute(question, (_number(key),)).fetchone()
        except psycopg.Error as error:
            self._end_session()
            raise translate(error, self._name) from error
        return row is not None and bool(row["answer"])

    def _connect(self) -> Connection[DictRow]:
        """Return a new session. Raises `StoreMisconfigured` if a pooler lends it to others between transactions."""
        session = self._connector.connect()
        try:
            self._require_own(session)
        except BaseException:
            session.close()
            raise
        return session

    def _require_own(self, session: Connection[DictRow]) -> None:
        """Take what a pooler has at hand into transactions of others, and see whether the session stays the same.

        Without a pooler, clients get the server's own process ids, and there is nothing to do.
        """
        backend = _backend_of(session)
        if backend == session.info.backend_pid:
            return
        with ExitStack() as others:
            for _ in range(_OTHERS):
                other = others.enter_context(self._connector.connect())
                others.enter_context(other.transaction())
                _backend_of(other)
                if _backend_of(session) != backend:
                    reason = "a pooler lends its sessions to others between transactions, and locks with them"
                    raise StoreMisconfigured(store=self._name, reason=reason, remedy=POOLED)

    def _end_session(self) -> None:
        session, self._session = self._session, None
        self._ended |= self._held
        self._held.clear()
        if session is not None:
            with suppress(psycopg.Error):
                session.close()


def _backend_of(session: Connection[DictRow]) -> int:
    row = session.execute("SELECT pg_backend_pid() AS pid").fetchone()
    assert row is not None, "it is one row"
    return int(row["pid"])


def _number(key: str) -> int:
    return int.from_bytes(sha256(b"aura:" + key.encode()).digest()[:8], signed=True)
