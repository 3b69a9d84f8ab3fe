"""Gate: what every method of the facade does first: it checks its arguments, and that the engine is open.

Invariants:

- `Core.closed` is set before the first part of the engine closes, so an error of a closed part is raised only after it.
- A method that awaits lets new subscriptions start first, so they hear what it records.
- A part may close while an admitted call runs; its errors become `EngineClosed` too.
- What is read row by row ends with `EngineClosed` once the engine is closed, even if rows are left in a buffer.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, TypeVar

from aura_contracts.errors import EngineClosed, StoreClosed, WorkerUnavailable
from aura_engine.exception_groups import unwrap_group
from aura_engine.facade.arguments import Signature
from aura_engine.facade.core import Core

C = TypeVar("C")

signature_of = functools.cache(Signature)
"""Returns the checks of a method, built when it is first called."""

_CLOSING = (EngineClosed, StoreClosed, WorkerUnavailable)


def gated(kind: type[C]) -> type[C]:
    """Put the public methods of a class of the facade behind the gate."""
    for name, member in list(vars(kind).items()):
        if inspect.isfunction(member) and not name.startswith("_"):
            setattr(kind, name, _gated(member))
    return kind


def _gated(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *given: Any, **named: Any) -> Any:
        _require_open(self._core)
        given, named = signature_of(method).check(given, named)
        return method(self, *given, **named)

    @functools.wraps(method)
    async def wait(self: Any, *given: Any, **named: Any) -> Any:
        await _enter(self._core)
        given, named = signature_of(method).check(given, named)
        try:
            return await method(self, *given, **named)
        except Exception as error:
            _raise_if_closed(self._core, error)
            raise

    @functools.wraps(method)
    async def iterate(self: Any, *given: Any, **named: Any) -> AsyncGenerator[Any, None]:
        await _enter(self._core)
        given, named = signature_of(method).check(given, named)
        try:
            async with aclosing(method(self, *given, **named)) as items:
                async for item in items:
                    yield item
                    _require_open(self._core)
        except Exception as error:
            _raise_if_closed(self._core, error)
            raise

    if inspect.isasyncgenfunction(method):
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
