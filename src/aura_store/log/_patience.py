"""Patience: how often, how soon and for how long to retry when the database is down."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread
import attrs

from aura_contracts.errors import AuraError, StoreUnavailable
from aura_store.log._recorder import DatabaseAway

R = TypeVar("R")

GiveUp = Callable[[float, DatabaseAway, int], AuraError | None]
"""``(seconds waited, why, attempts)`` -> the error for the caller, or None to keep trying."""


OUTAGE_TIMEOUT = 30.0
"""Seconds that callers wait for the database by default."""


@attrs.frozen(kw_only=True)
class Patience:
    """How long callers wait if the database is locked or down.

    Retries start after `first_pause` seconds, doubling up to `longest_pause`; each pause varies by up to a quarter, so
    that many processes do not return at once. A caller gets `StoreUnavailable` after `outage_timeout` seconds.
    """

    outage_timeout: float = OUTAGE_TIMEOUT
    first_pause: float = 0.05
    longest_pause: float = 2.0
    random: Callable[[], float] = lambda: 0.5
    """Returns a number from 0 to 1; the edge injects real randomness."""

    def pause_after(self, attempt: int) -> float:
        """Return the seconds to wait after failed attempt number `attempt` (from 1)."""
        pause = min(self.first_pause * 2.0 ** min(attempt - 1, 30), self.longest_pause)
        return pause * (0.75 + self.random() / 2)

    def give_up(self, store: str) -> GiveUp:
        """Return what gives up after `outage_timeout`, with an error that names the store."""

        def give_up(waited: float, away: DatabaseAway, attempts: int) -> AuraError | None:
            if waited < self.outage_timeout:
                return None
            return StoreUnavailable(store=store, reason=str(away), waited=waited, attempts=attempts)

        return give_up

    async def run(self, work: Callable[[], R], *, limiter: anyio.CapacityLimiter, give_up: GiveUp) -> R:
        """Run blocking `work` in a worker thread, see `repeat`."""
        return await self.repeat(partial(anyio.to_thread.run_sync, work, limiter=limiter), give_up=give_up)

    async def repeat(self, work: Callable[[], Awaitable[R]], *, give_up: GiveUp) -> R:
        """Run `work`; retry while the database is down, until `give_up` gives an error."""
        since, attempts = anyio.current_time(), 0
        while True:
            try:
                return await work()
            except DatabaseAway as away:
                attempts += 1
                if error := give_up(anyio.current_time() - since, away, attempts):
                    raise error from away
                await anyio.sleep(self.pause_after(attempts))
