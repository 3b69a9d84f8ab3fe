"""Retries: work that is repeated after pauses, because what stopped it passes."""

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import anyio

from aura_contracts.errors import AuraError

R = TypeVar("R")


async def retrying(work: Callable[[], Awaitable[R]], pauses: Iterable[float], on: Callable[[AuraError], bool]) -> R:
    """Return what `work` returns. After an error that `on` accepts, it is repeated once after each pause, in seconds.

    Raises the last error, and any other one at once.
    """
    for pause in pauses:
        try:
            return await work()
        except AuraError as error:
            if not on(error):
                raise
        await anyio.sleep(pause)
    return await work()
