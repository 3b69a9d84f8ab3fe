"""Tokens: the usage of codex, computed from the running totals of codex. Pure."""

import msgspec

from aura_contracts.entries import Usage

THREADS_LIMIT = 1_000
"""Threads whose tokens are counted."""


class Tokens(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    output_tokens: int = 0


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    total: Tokens
    last: Tokens = Tokens()


_NONE = Tokens()


def increase(total: Usage, before: Usage) -> Usage:
    """Return what was added to a running total; one that has decreased was reset.

    >>> increase(Usage(input_tokens=20, output_tokens=6), Usage(input_tokens=15, output_tokens=4))
    Usage(input_tokens=5, output_tokens=2, cache_read_tokens=0, cache_write_tokens=0, cost=0.0)
    """
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    added = {name: getattr(total, name) - getattr(before, name) for name in names}
    return total if min(added.values()) < 0 else Usage(**added)


class Consumption:
    """Adds up the usage of all threads since the last `drain`."""

    def __init__(self) -> None:
        self._totals: dict[str, Tokens] = {}
        self._used = Usage()

    def begin(self, thread: str) -> None:
        """Record that `thread` is new, so all of its usage counts."""
        self._totals[thread] = _NONE

    def take(self, usage: TokenUsage, thread: str, *, own: bool) -> bool:
        """Process the total usage of a thread; return whether it has grown.

        A resumed thread begins by reporting what it consumed before, under the id of an old turn (not `own`). If it did
        not, its first total is unusable, and what the last answer consumed counts.
        """
        before = self._totals.get(thread)
        if before is None and len(self._totals) >= THREADS_LIMIT:
            return False
        self._totals[thread] = usage.total
        if before is None and not own:
            return False
        return self._add(usage.last, _NONE) if before is None else self._add(usage.total, before)

    def total(self, thread: str) -> Usage | None:
        """Return what a thread consumed since it began, None if it has not reported that."""
        counted = self._totals.get(thread)
        if counted is None or counted == _NONE:
            return None
        return Usage(
            input_tokens=max(0, counted.input_tokens - counted.cached_input_tokens),
            output_tokens=counted.output_tokens,
            cache_read_tokens=counted.cached_input_tokens,
            cache_write_tokens=counted.cache_write_input_tokens,
        )

    def drain(self) -> Usage:
        """Return the usage since the last call."""
        used, self._used = self._used, Usage()
        return used

    def _add(self, now: Tokens, before: Tokens) -> bool:
        """Add what was consumed in between, if anything was; `inputTokens` has the cached ones in it."""
        cached = max(0, now.cached_input_tokens - before.cached_input_tokens)
        given = max(0, now.input_tokens - before.input_tokens - cached)
        answered = max(0, now.output_tokens - before.output_tokens)
        written = max(0, now.cache_write_input_tokens - before.cache_write_input_tokens)
        if not (given or answered or cached or written):
            return False
        used = self._used  # field by field: this comes after every answer of the model, and ``+`` takes its time
        self._used = Usage(
            used.input_tokens + given,
            used.output_tokens + answered,
            used.cache_read_tokens + cached,
            used.cache_write_tokens + written,
        )
        return True
