"""Subscription: a callback on events, live or durable.

Invariants:

- A subscription ends alone: whatever its callback or the log raises stays in it, for `Subscription.wait`, except what
  ends a program (``SystemExit``, ``KeyboardInterrupt``), which closes the engine.
- `cancel` ends waits, never a callback: every wait of `_serve` is in `_wait`, every callback outside it. Any thread
  writes `_cancelled` and then has the loop interrupt the current wait; the loop opens a wait and then reads
  `_cancelled`. So no callback begins once `cancel` has returned.
- A callback that has returned has its position saved before anything else happens, cancelled or not.
- Methods of the engine wait until subscriptions made before have read the head of the log (`Core.starting`), so
  each hears what the program does after `Engine.on`.
- The other fields change only on the event loop.
"""

import inspect
import logging
import threading
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from functools import partial
from itertools import count
from typing import Any, TypeVar

import anyio
import attrs

from aura_contracts.catalogue import CATALOGUE
from aura_contracts.errors import InvalidInput, StoreReadOnly
from aura_contracts.events import Event, EventRecord
from aura_engine.exception_groups import unwrap_group
from aura_engine.facade.callbacks import Callback, LoopCallback, ThreadCallback
from aura_engine.facade.core import Core

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_PAUSES = (0.1, 1.0, 5.0, 15.0, 60.0)
"""Seconds before a callback that raised is called again; the last one repeats."""

_NAME_LENGTH = 200

RESERVED = "aura:"
"""How the names begin under which AURA itself remembers how far it read the log."""


class _Cancelled(Exception):
    """The subscription was cancelled while it waited."""


@attrs.define(eq=False)
class Subscription:
    """A callback on events of one type. Started by `Engine.on`; ends with the engine, or when it is cancelled."""

    name: str | None
    """The name of a durable subscription, None for a live one."""
    failure: Exception | None = attrs.field(default=None, init=False)
    """What the latest call of the callback raised, or what ended the subscription; None if all is well."""
    _core: Core = attrs.field(kw_only=True, repr=False, alias="core")
    _topic: str = attrs.field(kw_only=True, alias="topic")
    _callback: Callback = attrs.field(kw_only=True, repr=False, alias="callback")
    _cancelled: bool = attrs.field(default=False, init=False, repr=False)
    _waiting: anyio.CancelScope | None = attrs.field(default=None, init=False, repr=False)
    """The scope of the current wait."""
    _started: anyio.Event = attrs.field(factory=anyio.Event, init=False, repr=False)
    _ended: anyio.Event = attrs.field(factory=anyio.Event, init=False, repr=False)
    _error: Exception | None = attrs.field(default=None, init=False, repr=False)
    """What ended the subscription."""
    _loop: anyio.lowlevel.EventLoopToken = attrs.field(factory=anyio.lowlevel.current_token, init=False, repr=False)
    _thread: int = attrs.field(factory=threading.get_ident, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._core.require_open().start_soon(self._serve)
        self._core.subscriptions.add(self)
        self._core.starting.add(self._started)

    def cancel(self) -> None:
        """Start no more callbacks. Works from any thread, and from the callback; again, or later, is harmless.

        A callback that is running continues, and its event counts as delivered once it returns. A new durable
        subscription with the same name continues where this one stopped.
        """
        self._cancelled = True
        if self._ended.is_set():
            return
        if threading.get_ident() == self._thread:
            self._interrupt()
        else:
            with suppress(RuntimeError):  # the loop has ended, and the subscription with it
                anyio.from_thread.run_sync(self._interrupt, token=self._loop)

    async def wait(self) -> None:
        """Wait until the subscription has ended: until it was cancelled, the engine was closed, or an error ended it.

        Raises that error: one of reading the log or of saving the position. What the callback raises does not end the
        subscription; see `failure`.
        """
        await self._ended.wait()
        if self._error is not None:
            raise self._error

    def _interrupt(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _wait(self, function: Callable[[], Awaitable[T]]) -> T:
        """Await what `cancel` may interrupt. Raises `_Cancelled` if it did."""
        with anyio.CancelScope() as scope:
            self._waiting = scope
            if self._cancelled:
                scope.cancel()
            try:
                return await function()
            finally:
                self._waiting = None
        raise _Cancelled

    def _start(self) -> None:
        self._core.starting.discard(self._started)
        self._started.set()

    async def _serve(self) -> None:
        """Deliver events until cancelled; keep the error that ends it."""
        try:
            head = await self._wait(self._core.log.head)
            self._start()
            if self.name is None:
                await self._deliver_after(head)
            else:
                await self._serve_durably(self.name, head)
        except _Cancelled:
            pass
        except Exception as error:  # noqa: BLE001 - it ends this subscription, and is raised to those who wait for it
            self.failure = self._error = unwrap_group(error)
            _LOG.error("%s has ended: %s", self._label, self._error, exc_info=self._error)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - the engine raises it when it is left
            self._core.leave(error)
        finally:
            self._callback.close()
            self._start()
            self._core.subscriptions.discard(self)
            self._ended.set()

    async def _serve_durably(self, name: str, head: int) -> None:
        """Deliver events from the cursor on, or from `head` without one, once no other subscription of any engine
        serves the name.
        """
        log = self._core.log
        async with AsyncExitStack() as stack:
            turn = self._core.turn_of(f"subscription:{name}").uninterrupted()  # which ends no callback
            await self._wait(partial(stack.enter_async_context, turn))
            after = await self._wait(partial(log.load_cursor, name))
            if after is None:
                after = head
                await self._wait(partial(log.save_cursor, name, after))
            await self._deliver_after(after)

    async def _deliver_after(self, position: int) -> None:
        async with aclosing(self._core.log.tail(position, topics=(self._topic,))) as records:
            while True:
                await self._deliver(await self._wait(records.__anext__))

    async def _deliver(self, record: EventRecord[Any]) -> None:
        """Call back; retry a durable callback that raises, since order matters more than progress."""
        for attempt in count():
            if self._cancelled:
                raise _Cancelled
            try:
                await self._callback.call(record)
            except Exception as error:  # noqa: BLE001 - a callback may raise anything
                self.failure = error
                _LOG.warning("%s failed at %s: %s", self._label, record.position, error)
                if self.name is None:
                    return
                await self._wait(partial(anyio.sleep, _PAUSES[min(attempt, len(_PAUSES) - 1)]))
            else:
                self.failure = None
                break
        if self.name is not None:
            with anyio.CancelScope(shield=True):
                await self._core.log.save_cursor(self.name, record.position)

    @property
    def _label(self) -> str:
        return f"subscription {self.name or f'(live) of {self._topic}'}"


def subscribe(
    core: Core,
    event_type: type[Event],
    callback: Callable[[EventRecord[Any]], Any],
    *,
    name: str | None,
    in_thread: bool,
) -> Subscription:
    """Start a subscription; see `Engine.on`, which this implements."""
    _require_valid(event_type, callback, name, in_thread=in_thread)
    if name is not None and core.read_only:
        reason = "a durable subscription saves its position"
        raise StoreReadOnly(store=core.log.name, stream_id="", position=0, reason=reason, remedy="leave the name out")
    called = ThreadCallback(callback) if in_thread else LoopCallback(callback)
    return Subscription(name, core=core, topic=event_type.topic, callback=called)


def _require_valid(event_type: object, callback: object, name: object, *, in_thread: bool) -> None:
    """Refuse arguments that cannot work. Raises `InvalidInput`."""
    if not (isinstance(event_type, type) and issubclass(event_type, Event) and hasattr(event_type, "topic")):
        remedy = "give the class of an event, such as aura_engine.TaskCompleted"
        raise InvalidInput(field="event_type", reason=f"{event_type!r} is not a type of event", remedy=remedy)
    if CATALOGUE.types.get(event_type.topic) is not event_type:
        reason = f"{event_type.__name__} is not an event that AURA records"
        raise InvalidInput(field="event_type", reason=reason, remedy="use a type of `aura_contracts.catalogue`")
    remedy = "give a function that takes the record of an event"
    if not callable(callback):
        raise InvalidInput(field="callback", reason=f"{callback!r} cannot be called", remedy=remedy)
    if not _takes_a_record(callback):
        raise InvalidInput(field="callback", reason=f"{callback!r} does not take one argument", remedy=remedy)
    if in_thread and inspect.iscoroutinefunction(callback):
        reason = f"{callback!r} is asynchronous, but would be called in a thread"
        raise InvalidInput(field="callback", reason=reason, remedy="give a plain function")
    if name is None:
        return
    remedy = f"give up to {_NAME_LENGTH} printable characters, or no name for a live subscription"
    if not isinstance(name, str):
        raise InvalidInput(field="name", reason=f"{name!r} is not text", remedy=remedy)
    if not name.strip() or not name.isprintable() or len(name) > _NAME_LENGTH:
        raise InvalidInput(
            field="name", reason=f"{name[:_NAME_LENGTH]!a} cannot be the name of a reader", remedy=remedy
        )
    if name.startswith(RESERVED):
        reason = f"names that begin with {RESERVED!r} are those of AURA's own readers"
        raise InvalidInput(field="name", reason=reason, remedy=f"begin it otherwise: {name.replace(':', '-')!r}")


def _takes_a_record(callback: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(callback)
    except ValueError:
        return True  # some built-in functions do not tell
    try:
        signature.bind(None)
    except TypeError:
        return False
    return True
