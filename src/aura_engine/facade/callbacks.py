"""Callbacks: the functions that subscriptions call, on the event loop or in a thread of their own.

Invariants:

- At most one call of a callback runs at a time, so a thread's queue holds at most one call.
- What a callback raises reaches the subscription that awaits the call, as `Exception` or as an exception that ends a
  program (``SystemExit``, ``KeyboardInterrupt``); it never ends the thread, nor cancels a task of the loop.
- The thread is a daemon and outlives a call that is no longer awaited, but not its subscription: `close` ends it after
  the current call.
"""

import inspect
import threading
from asyncio import CancelledError
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Protocol

import anyio
import attrs

from aura_contracts.events import EventRecord

Function = Callable[[EventRecord[Any]], Any]


class Callback(Protocol):
    """A function to call with records, one after another."""

    async def call(self, record: EventRecord[Any]) -> None:
        """Return when the function has returned; raise what it raises."""
        ...

    def close(self) -> None:
        """Release what the calls needed. Called once, after the last call."""
        ...


@attrs.frozen
class LoopCallback:
    """A function that is called on the event loop, and may be asynchronous."""

    _function: Function

    async def call(self, record: EventRecord[Any]) -> None:
        """See `Callback`. Cancelling the call cancels an asynchronous function."""
        try:
            answer = self._function(record)
            if inspect.isawaitable(answer):
                await answer
        except (anyio.get_cancelled_exc_class(), CancelledError) as error:
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            if cancelled and anyio.get_current_task().has_pending_cancellation():
                raise
            raise _stray(error) from error

    def close(self) -> None:
        """See `Callback`."""


@attrs.define(eq=False)
class _ThreadCall:
    record: EventRecord[Any]
    loop: anyio.lowlevel.EventLoopToken
    ended: anyio.Event = attrs.field(factory=anyio.Event)
    error: BaseException | None = None


class ThreadCallback:
    """A plain function that is called in a thread of its own, the same one each time, and may block."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._calls: SimpleQueue[_ThreadCall | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def call(self, record: EventRecord[Any]) -> None:
        """See `Callback`. Cancelling the call only stops waiting: a function in a thread cannot be interrupted."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="aura-callback", daemon=True)
            self._thread.start()
        call = _ThreadCall(record, anyio.lowlevel.current_token())
        self._calls.put(call)
        await call.ended.wait()
        if call.error is not None:
            raise call.error

    def close(self) -> None:
        """See `Callback`."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                if inspect.isawaitable(self._function(call.record)):
                    call.error = TypeError("the callback is asynchronous, but is called in a thread")
            except CancelledError as error:
                call.error = _stray(error)
            except BaseException as error:  # noqa: BLE001 - raised to the subscription
                call.error = error
            with suppress(RuntimeError):  # the loop has ended, and with it everyone who waited
                anyio.from_thread.run_sync(call.ended.set, token=call.loop)


def _stray(error: BaseException) -> RuntimeError:
    """Return what is raised in place of a cancellation that the engine did not ask for."""
    return RuntimeError(f"the callback raised {type(error).__name__}, but the engine did not cancel it")
