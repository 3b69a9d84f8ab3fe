"""Turns: what is done to one thing is done one after another; what is done to different things, at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio


class Turns:
    """A lock per key, for as long as somebody needs it. First come, first served."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[anyio.Lock, list[None]]] = {}

    @asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Wait until nobody else has the turn of `key`, and have it."""
        lock, present = self._locks.setdefault(key, (anyio.Lock(), []))
        present.append(None)
        try:
            async with lock:
                yield
        finally:
            present.pop()
            if not present:
                del self._locks[key]
