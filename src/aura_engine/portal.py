"""Portal: an event loop in its own thread, for blocking code.

Invariants:

- What the calling program raises (``SystemExit``, ``KeyboardInterrupt``) never enters the loop: a call that is left
  early is cancelled there, and the exception propagates in the caller's thread.
- One task of the loop enters and leaves the open context, whichever threads open and close it.
- The thread is a daemon and closed at exit: a program that forgets to close still ends.
"""

import atexit
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, ParamSpec, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

INTERVAL = 0.5
"""Seconds after which a waiting thread looks for signals: one that arrives just before a wait does not end it."""


class _PortalCall:
    """A coroutine that a thread waits for, and may abandon at any moment, even while the loop receives it.

    The thread writes `abandoned` and then reads `scope`; the loop writes `scope` and then reads `abandoned`. So at
    least one of them cancels an abandoned call.
    """

    def __init__(self) -> None:
        self.abandoned = False
        self.scope: anyio.CancelScope | None = None
        self.ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the body, in the loop, unless the call is abandoned."""
        try:
            with anyio.CancelScope() as scope:
                self.scope = scope
                if self.abandoned:
                    scope.cancel()
                yield
        finally:
            self.ended.set()


class Portal:
    """Runs coroutines for threads that wait for their results. Safe to use from several threads."""

    def __init__(self) -> None:
        self._ready: Future[BlockingPortal] = Future()
        self._close: Callable[[], Any] | None = None
        self._kept: Future[Any] | None = None
        self._thread = threading.Thread(target=self._serve, name="aura-engine", daemon=True)
        self._thread.start()
        self._portal = _result(self._ready)

    def _serve(self) -> None:
        async def main() -> None:
            async with BlockingPortal() as portal:
                self._ready.set_result(portal)
                await portal.sleep_until_stopped()

        try:
            anyio.run(main)
        except BaseException as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)

    def open(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context and keep it open until `close`; return its value."""

        opened = Future[T]()

        async def keep() -> None:
            closed = anyio.Event()
            self._close = closed.set
            async with context as value:
                opened.set_result(value)
                await closed.wait()

        try:
            self._kept = self._portal.start_task_soon(keep)
            while not wait((opened, self._kept), INTERVAL, FIRST_COMPLETED).done:
                pass
            if not opened.done():
                self._kept.result()  # raises what entering the context raised
            value = opened.result()
        except BaseException:
            self._kept = None
            self._stop()
            raise
        atexit.register(self.close)
        return value

    def close(self) -> None:
        """Leave the open context and end the loop; harmless when closed. Raises what leaving the context raises."""
        atexit.unregister(self.close)
        kept, self._kept = self._kept, None
        if kept is None:
            return
        try:
            if self._close is not None and not kept.done():
                _result(self._portal.start_task_soon(self._close))
            _result(kept)
        finally:
            self._stop()

    def _stop(self) -> None:
        """End the loop; calls that other threads still wait for, or that nothing waits for any more, are cancelled."""
        _result(self._portal.start_task_soon(self._portal.stop, True))  # noqa: FBT003 - takes no keywords
        self._thread.join()

    def call(self, function: Callable[P, Awaitable[R]], *args: P.args, **options: P.kwargs) -> R:
        """Run a coroutine function in the loop; return its result, or raise what it raises.

        A caller that is interrupted meanwhile cancels it, and waits until it has ended.
        """
        call = _PortalCall()

        async def run() -> R:
            with call.running():
                return await function(*args, **options)
            raise CancelledError

        try:
            return _result(self._portal.start_task_soon(run))
        except BaseException:
            call.abandoned = True
            if call.scope is not None and not call.ended.is_set():
                self._portal.start_task_soon(call.scope.cancel)
                while not call.ended.wait(INTERVAL):
                    pass
            raise

    def run(self, function: Callable[P, R], *args: P.args, **options: P.kwargs) -> R:
        """Call a plain function in the loop's thread."""

        async def run() -> R:
            return function(*args, **options)

        return self.call(run)

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """Yield what an asynchronous generator yields; leaving early closes it."""
        try:
            while True:
                try:
                    yield self.call(items.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            self.call(items.aclose)


def _result(future: Future[R]) -> R:
    """Return the result of `future` once it has one, or raise its exception; signals are handled meanwhile."""
    while not wait((future,), INTERVAL).done:
        pass
    return future.result()
