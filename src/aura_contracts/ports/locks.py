"""Locks: which engine drives a task, when several share one log."""

from typing import Protocol


class Locks(Protocol):
    """Locks that end with the process that holds them, however it ends."""

    async def acquire(self, key: str) -> bool:
        """Take the lock `key`, or return False at once when somebody else has it; taking it twice is harmless."""
        ...

    async def release(self, key: str) -> None:
        """Give the lock `key` back, if it is held."""
        ...

    async def held_elsewhere(self, key: str) -> bool:
        """Whether another engine has the lock right now."""
        ...

    async def aclose(self) -> None:
        """Give all locks back."""
        ...
