"""Tokens: what codex consumed, out of the sums that ``codex app-server`` tells again and again. Pure."""

import msgspec

from aura_contracts.execution import Usage

THREADS_LIMIT = 1_000
"""Threads whose tokens are counted."""


class Tokens(msgspec.Struct, frozen=True, gc=False):
    inputTokens: int = 0  # noqa: N815 - codex's name
    cachedInputTokens: int = 0  # noqa: N815 - codex's name
    cacheWriteInputTokens: int = 0  # noqa: N815 - codex's name
    outputTokens: int = 0  # noqa: N815 - codex's name


class TokenUsage(msgspec.Struct, frozen=True):
    total: Tokens
    last: Tokens = Tokens()


class Consumption:
    """Adds up what was consumed in all threads since it was last told."""

    def __init__(self) -> None:
        self._totals: dict[str, Tokens] = {}
        self._used = Usage()

    def begin(self, thread: str) -> None:
        """Take in that `thread` is new: all that it consumes counts."""
        self._totals[thread] = Tokens()

    def take(self, usage: TokenUsage, thread: str, *, own: bool) -> bool:
        """Take in what a thread consumed in all its time; say whether it has consumed something since.

        A thread that is gone on with begins by telling what it consumed before, under the id of an old turn (not
        `own`). If it did not, the sum is of no use the first time, and what the last answer consumed counts.
        """
        before = self._totals.get(thread)
        if before is None and len(self._totals) >= THREADS_LIMIT:
            return False
        self._totals[thread] = usage.total
        if before is None and not own:
            return False
        consumed = _difference(usage.last, Tokens()) if before is None else _difference(usage.total, before)
        self._used += consumed
        return consumed != Usage()

    def told(self) -> Usage:
        """Return what was consumed since the last time."""
        used, self._used = self._used, Usage()
        return used


def _difference(now: Tokens, before: Tokens) -> Usage:
    """Return what was consumed in between; `inputTokens` has the cached ones in it."""
    cached = max(0, now.cachedInputTokens - before.cachedInputTokens)
    return Usage(
        input_tokens=max(0, now.inputTokens - before.inputTokens - cached),
        output_tokens=max(0, now.outputTokens - before.outputTokens),
        cache_read_tokens=cached,
        cache_write_tokens=max(0, now.cacheWriteInputTokens - before.cacheWriteInputTokens),
    )
