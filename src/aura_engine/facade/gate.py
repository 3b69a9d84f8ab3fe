"""Gate: what every method of the facade does first. Once the engine is closed, it raises `EngineClosed`.

Invariants:

- `Core.closed` is set before the first part of the engine closes, so an error of a closed part is raised only after it.
- A method that awaits lets new subscriptions start first, so they hear what it records.
- A call that was let in may find that parts close while it runs; their errors become `EngineClosed` too.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from aura_contracts.errors import EngineClosed, StoreClosed, WorkerUnavailable
from aura_engine.facade.core import Core
from aura_engine.runtime.follower import unwrap_group

C = TypeVar("C")

_CLOSING = (EngineClosed, StoreClosed, WorkerUnavailable)


def gated(kind: type[C]) -> type[C]:
    """Put the public methods of a class of the facade behind the gate."""
    for name, member in list(vars(kind).items()):
        if inspect.isfunction(member) and not name.startswith("_"):
            setattr(kind, name, _gated(member))
    return kind


def _gated(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        _require_open(self._core)
        return method(self, *args, **options)

    @functools.wraps(method)
    async def wait(self: Any, *args: Any, **options: Any) -> Any:
        await _enter(self._core)
        try:
            return await method(self, *args, **options)
        except Exception as error:
            _raise_if_closed(self._core, error)
            raise

    @functools.wraps(method)
    async def iterate(self: Any, *args: Any, **options: Any) -> AsyncGenerator[Any, None]:
        await _enter(self._core)
        try:
            async with aclosing(method(self, *args, **options)) as items:
                async for item in items:
                    yield item
        except Exception as error:
            _raise_if_closed(self._core, error)
            raise

    if inspect.isasyncgenfunction(inspect.unwrap(method)):
        return iterate
    return wait if inspect.iscoroutinefunction(method) else call


def _require_open(core: Core) -> None:
    if core.closed:
        raise EngineClosed


async def _enter(core: Core) -> None:
    _require_open(core)
    for started in tuple(core.starting):
        await started.wait()


def _raise_if_closed(core: Core, error: Exception) -> None:
    """Raise `EngineClosed` in place of what a part that the engine has closed raises."""
    if core.closed and isinstance(unwrap_group(error), _CLOSING):
        raise EngineClosed from error
