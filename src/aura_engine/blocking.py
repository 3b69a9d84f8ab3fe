"""Blocking: the engine for code that is not asynchronous, over a portal into an event loop of its own.

with open_engine_sync("sqlite:///aura.db") as engine:
    task = engine.run("Fix the login", executor="claude")
    task = engine.settled(task.id)
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from inspect import isasyncgen, iscoroutinefunction
from typing import Any, Self, cast

from anyio.from_thread import BlockingPortal, start_blocking_portal

from aura_engine.engine import Engine


class _Blocking:
    """An object whose coroutine methods block, and whose asynchronous iterators iterate."""

    def __init__(self, target: Any, portal: BlockingPortal) -> None:
        self._target = target
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return _Blocking(found, self._portal) if type(found).__module__.startswith("aura_engine.") else found

        def call(*args: Any, **options: Any) -> Any:
            if iscoroutinefunction(found):
                return self._portal.call(lambda: found(*args, **options))
            answer = found(*args, **options)
            return _iterate(cast("AsyncGenerator[Any, None]", answer), self._portal) if isasyncgen(answer) else answer

        call.__doc__ = found.__doc__
        return call


class BlockingEngine(_Blocking):
    """An `Engine` whose methods block: the same names, arguments, results and errors, without ``await``."""

    @classmethod
    @contextmanager
    def running(cls, opening: AbstractAsyncContextManager[Engine]) -> Iterator[Self]:
        """Keep the engine open, on an event loop in a thread of its own, while the body runs."""
        with start_blocking_portal() as portal, portal.wrap_async_context_manager(opening) as engine:
            yield cls(engine, portal)


def _iterate(items: AsyncGenerator[Any, None], portal: BlockingPortal) -> Iterator[Any]:
    try:
        while True:
            try:
                yield portal.call(items.__anext__)
            except StopAsyncIteration:
                return
    finally:
        portal.call(items.aclose)
