"""Waiting for a condition, where no event tells of it: it holds in another process, or in a thread."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable

import anyio


async def until(condition: Callable[[], Awaitable[object] | object], patience: float = 60) -> None:
    """Return when `condition` holds, looking less and less often; after `patience` seconds call it hanging."""
    pause = 0.002
    with anyio.fail_after(patience):
        while True:
            holds = condition()
            if await holds if isawaitable(holds) else holds:
                return
            await anyio.sleep(pause)
            pause = min(1.5 * pause, 0.05)
