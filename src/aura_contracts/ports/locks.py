"""Locks: which engine drives a task, if several share one log."""

from typing import Protocol


class Locks(Protocol):
    """Locks that end with the process that holds them, no matter how it ends."""

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`, or return False at once if another process holds it. Taking it twice is harmless."""
        ...

    async def release(self, key: str) -> None:
        """Release the lock `key`, if held."""
        ...

    async def held_elsewhere(self, key: str) -> bool:
        """Whether another engine holds the lock right now."""
        ...

    async def aclose(self) -> None:
        """Release all locks."""
        ...
