"""Blocking: calls of libraries that block, in threads of the channel.

A channel has few threads of its own, so that one which hangs takes none from the engine. A call that is cancelled is
left to end by itself, and counts until then.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import attrs

R = TypeVar("R")

THREADS = 2
"""The most calls of a channel at a time."""


@attrs.define(eq=False)
class Threads:
    """The threads of a channel."""

    _limiter: anyio.CapacityLimiter | None = attrs.field(default=None, init=False)

    async def run(self, function: Callable[[], R]) -> R:
        """Call a function in a thread and return its result. Raises what it raises."""
        if self._limiter is None:
            self._limiter = anyio.CapacityLimiter(THREADS)
        outcome = await anyio.to_thread.run_sync(
            partial(_outcome, function), limiter=self._limiter, abandon_on_cancel=True
        )
        if isinstance(outcome, _Raised):
            raise outcome.error
        return outcome


@attrs.frozen
class _Raised:
    error: Exception


def _outcome(function: Callable[[], R]) -> R | _Raised:
    """Return what a function returns or raises: no one is left to take an error of a call that was cancelled."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - raised again by `run`
        return _Raised(error)
