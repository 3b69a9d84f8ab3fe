"""Acceptance: the share of proposals that humans approved, as a Beta posterior. Pure.

The prior is Beta(1, 1): without any verdict, every share is as likely. Asking for changes counts as no.
"""

from collections.abc import Iterable
from typing import Final, Self

import msgspec

from aura_contracts.plain_data import Plain
from aura_engine.record.beta import beta_quantile

LEVEL: Final = 0.9
"""The share of the posterior that is inside the interval; as much is below it as above."""

ENOUGH: Final = 20
"""The verdicts from which on a lower bound is known to policies."""

PRIOR_LIMIT: Final = 10.0
"""The most verdicts that what is known of others weighs as much as."""

PRIOR_SHARE: Final = 0.5
"""What a verdict about others counts for, if there are few."""


class Posterior(msgspec.Struct, frozen=True):
    """Beta(`a`, `b`), where both are above 0."""

    a: float = 1.0
    b: float = 1.0

    def updated(self, approved: int, refused: int) -> Self:
        """Return it after more verdicts."""
        return type(self)(self.a + approved, self.b + refused)

    def weakened(self) -> Self:
        """Return it with half of its verdicts, or fewer: with Beta(1, 1), the weight of at most `PRIOR_LIMIT`."""
        verdicts = self.a + self.b - 2
        if verdicts <= 0:
            return self
        share = min(PRIOR_SHARE, (PRIOR_LIMIT - 2) / verdicts)
        return type(self)(1 + (self.a - 1) * share, 1 + (self.b - 1) * share)

    @property
    def mean(self) -> float:
        """The expected share."""
        return self.a / (self.a + self.b)

    def quantile(self, p: float) -> float:
        """Return the share that the true one is below with probability `p`; of a random `p`, a draw."""
        return beta_quantile(p, self.a, self.b)

    @property
    def lower(self) -> float:
        """The lower end of the interval."""
        return self.quantile((1 - LEVEL) / 2)

    @property
    def upper(self) -> float:
        """The upper end of the interval."""
        return self.quantile((1 + LEVEL) / 2)


class Acceptance(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """How much of an agent's work humans approved. Shares are from 0 to 1."""

    approved: int
    decided: int
    """The verdicts; all but those that approved wanted changes or rejected."""
    mean: float
    """Of the posterior: without any verdict 0.5."""
    lower: float
    """The lower end of the 90 % interval."""
    upper: float

    @classmethod
    def of(cls, approved: int, decided: int) -> Self:
        """Return what so many verdicts say."""
        posterior = Posterior().updated(approved, decided - approved)
        bounds = {"lower": posterior.lower, "upper": posterior.upper}
        return cls(approved=approved, decided=decided, mean=posterior.mean, **bounds)


def pooled(counts: Iterable[tuple[int, int]]) -> Posterior:
    """Return the posterior of the last of several groups, given (approved, decided) of each, the broadest first.

    No verdict is in two groups. What the groups before say is the prior of the next, weakened, so an agent that is new
    is judged like others, and a known one by its own work.
    """
    posterior, known = Posterior(), False
    for approved, decided in counts:
        if known:
            posterior = posterior.weakened()
        known = decided > 0
        posterior = posterior.updated(approved, decided - approved)
    return posterior
