"""Portal: an event loop in its own thread, for blocking code.

Invariants:

- What the calling program raises (``SystemExit``, ``KeyboardInterrupt``) never enters the loop: a call that is left
  early is cancelled there, and the exception propagates in the caller's thread. What a coroutine raises of these never
  ends the loop: it travels to the caller as a value (`_outcome`).
- Nothing is submitted to a loop that ends: `_ended` is set, and submissions are made, under `_submitting`. Callers get
  `EngineClosed` afterwards, and when the end of the loop cancels their call.
- A forked child has no loop: there, `close` does nothing, and calls raise `EngineClosed`.
- One task of the loop enters and leaves the open context, whichever threads open and close it.
- The thread is a daemon and closed at exit: a program that forgets to close still ends.
"""

import atexit
import os
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from typing import Any, Generic, ParamSpec, TypeVar, cast

import anyio
import attrs
from anyio.from_thread import BlockingPortal

from aura_contracts.errors import EngineClosed

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


@attrs.frozen
class _Outcome(Generic[R]):
    """What a coroutine returned or raised."""

    value: R | None = None
    error: BaseException | None = None

    def get(self) -> R:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("R", self.value)


async def _outcome(awaitable: Awaitable[R]) -> _Outcome[R]:
    """Await; keep what would end the loop. Other exceptions are raised."""
    try:
        return _Outcome(await awaitable)
    except (Exception, anyio.get_cancelled_exc_class()):
        raise
    except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
        return _Outcome(error=error)


class Portal:
    """Runs coroutines for threads that wait for their results. Safe to use from several threads."""

    def __init__(self) -> None:
        self._ready: Future[BlockingPortal] = Future()
        self._close: Callable[[], Awaitable[None]] | None = None
        self._kept: Future[_Outcome[None]] | None = None
        self._process = os.getpid()
        self._submitting = threading.Lock()
        self._ended = False
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

    def _submit(self, function: Callable[[], Awaitable[R]]) -> Future[R]:
        """Start a coroutine function in the loop. Raises `EngineClosed` if the loop has ended, or is the parent's."""
        if os.getpid() != self._process:
            raise EngineClosed
        if threading.get_ident() == self._thread.ident:
            raise RuntimeError("the engine's own thread cannot wait for the engine: call this from another thread")
        with self._submitting:
            if self._ended:
                raise EngineClosed
            return self._portal.start_task_soon(function)

    def open(self, context: AbstractAsyncContextManager[T]) -> T:
        """Enter a context and keep it open until `close`; return its value."""

        opened = Future[T]()

        async def keep() -> None:
            closed = anyio.Event()

            async def close() -> None:
                closed.set()

            self._close = close
            async with context as value:
                opened.set_result(value)
                await closed.wait()

        try:
            self._kept = kept = self._submit(lambda: _outcome(keep()))
            either: list[Future[Any]] = [opened, kept]
            while not wait(either, INTERVAL, FIRST_COMPLETED).done:
                pass
            if not opened.done():
                kept.result().get()  # raises what entering the context raised
            value = opened.result()
        except BaseException:
            self._kept = None
            self._stop()
            raise
        atexit.register(self.close)
        return value

    def close(self) -> None:
        """Leave the open context and end the loop; harmless when closed. Raises what leaving the context raises.

        Also raises what the context raised by itself meanwhile.
        """
        if os.getpid() != self._process:
            return
        atexit.unregister(self.close)
        kept, self._kept = self._kept, None
        if kept is None:
            return
        try:
            if self._close is not None and not kept.done():
                _result(self._submit(self._close))
            _result(kept).get()
        finally:
            self._stop()

    def _stop(self) -> None:
        """End the loop; calls that other threads still wait for, or that nothing waits for any more, are cancelled."""
        with self._submitting:
            self._ended = True
            stopping = self._portal.start_task_soon(self._portal.stop, True)  # noqa: FBT003 - takes no keywords
        _result(stopping)
        self._thread.join()

    def call(self, function: Callable[P, Awaitable[R]], *args: P.args, **options: P.kwargs) -> R:
        """Run a coroutine function in the loop; return its result, or raise what it raises.

        A caller that is interrupted meanwhile cancels it, and waits until it has ended. Raises `EngineClosed` once the
        loop has ended.
        """
        call = _PortalCall()

        async def run() -> _Outcome[R]:
            with call.running():
                return await _outcome(function(*args, **options))
            raise CancelledError

        try:
            return _result(self._submit(run)).get()
        except BaseException as error:
            self._abandon(call)
            if self._ended and isinstance(error, CancelledError):
                raise EngineClosed from None
            raise

    def _abandon(self, call: _PortalCall) -> None:
        """Cancel a call, if it still runs, and wait until it has ended."""
        call.abandoned = True
        if (scope := call.scope) is not None and not call.ended.is_set():

            async def cancel() -> None:
                scope.cancel()

            with suppress(EngineClosed):  # then the end of the loop cancels it
                self._submit(cancel)
            while not call.ended.wait(INTERVAL):
                pass

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
            with suppress(EngineClosed):  # which has closed it
                self.call(items.aclose)


def _result(future: Future[R]) -> R:
    """Return the result of `future` once it has one, or raise its exception; signals are handled meanwhile."""
    while not wait((future,), INTERVAL).done:
        pass
    return future.result()
