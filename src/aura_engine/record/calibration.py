"""Calibration: the confidence that agents state, compared with what humans decided. Pure.

The Brier score is the mean of (confidence - outcome)^2, where the outcome is 1 if approved and 0 if not (Brier, Monthly
Weather Review 78, 1950). It has parts (Murphy, Journal of Applied Meteorology 12, 1973); because confidences within a
bin differ, two more terms make the sum exact (Stephenson, Coelho and Jolliffe, Weather and Forecasting 23, 2008), which
are `within_bins` here:

    brier = reliability - resolution + uncertainty + within_bins
"""

from collections.abc import Sequence
from math import fsum
from typing import Final, Self

import msgspec

from aura_contracts.plain_data import Plain
from aura_engine.record.acceptance import Posterior

BINS: Final = 10
"""Of equal width; the upper end belongs to the next bin, 1 to the last."""

ENOUGH_ANSWERS: Final = 100
"""The answers below which no score is given: it would mostly be chance."""

Answer = tuple[float, bool]
"""A stated confidence from 0 to 1, and whether humans approved."""


class CalibrationBin(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """The answers with a confidence from `begin` to `end`, excluded. Bins without answers are left out."""

    begin: float
    end: float
    answers: int
    confidence: float
    """The mean that was stated."""
    approved: float
    """The share that was approved."""
    lower: float
    """Of that share, the lower end of the 90 % interval."""
    upper: float


class Calibration(msgspec.Struct, Plain, frozen=True, kw_only=True):
    """How well stated confidence fits. All but the first two are None, and no bins given, below `needed` answers."""

    answers: int
    needed: int = ENOUGH_ANSWERS
    brier: float | None = None
    """From 0, always certain and right, to 1."""
    reliability: float | None = None
    """0 if as many are approved as the confidence says; less is better."""
    resolution: float | None = None
    """How far the bins differ from the share of all; more is better."""
    uncertainty: float | None = None
    """Of the share of all: the score of always stating just that share."""
    within_bins: float | None = None
    calibration_error: float | None = None
    """The mean distance between confidence and share over the bins, by their answers (ECE): a summary only."""
    bins: tuple[CalibrationBin, ...] = ()

    @property
    def enough(self) -> bool:
        """Whether there are enough answers to say anything."""
        return self.answers >= self.needed

    @classmethod
    def of(cls, answers: Sequence[Answer], *, needed: int = ENOUGH_ANSWERS) -> Self:
        """Return how well the confidence of `answers` fits."""
        total = len(answers)
        if total < max(needed, 1):
            return cls(answers=total, needed=needed)
        groups = _binned(answers)
        share = fsum(approved for _, approved in answers) / total
        figures = [(len(each), _mean(each, 0), _mean(each, 1)) for each in groups.values()]
        return cls(
            answers=total,
            needed=needed,
            brier=fsum((stated - approved) ** 2 for stated, approved in answers) / total,
            reliability=fsum(n * (stated - rate) ** 2 for n, stated, rate in figures) / total,
            resolution=fsum(n * (rate - share) ** 2 for n, _, rate in figures) / total,
            uncertainty=share * (1 - share),
            within_bins=fsum(_within(each) for each in groups.values()) / total,
            calibration_error=fsum(n * abs(stated - rate) for n, stated, rate in figures) / total,
            bins=tuple(_bin(number, each) for number, each in sorted(groups.items())),
        )


def _binned(answers: Sequence[Answer]) -> dict[int, list[Answer]]:
    groups: dict[int, list[Answer]] = {}
    for answer in answers:
        if not 0 <= answer[0] <= 1:
            raise ValueError(f"expected a confidence from 0 to 1, received {answer[0]}")
        groups.setdefault(min(int(answer[0] * BINS), BINS - 1), []).append(answer)
    return groups


def _mean(answers: Sequence[Answer], field: int) -> float:
    return fsum(answer[field] for answer in answers) / len(answers)


def _within(answers: Sequence[Answer]) -> float:
    """Return the variance of confidences within a bin, less twice their covariance with outcomes, times its answers."""
    stated, rate = _mean(answers, 0), _mean(answers, 1)
    return fsum((one - stated) ** 2 - 2 * (approved - rate) * (one - stated) for one, approved in answers)


def _bin(number: int, answers: Sequence[Answer]) -> CalibrationBin:
    approved = sum(yes for _, yes in answers)
    posterior = Posterior().updated(approved, len(answers) - approved)
    return CalibrationBin(
        begin=number / BINS,
        end=(number + 1) / BINS,
        answers=len(answers),
        confidence=_mean(answers, 0),
        approved=approved / len(answers),
        lower=posterior.lower,
        upper=posterior.upper,
    )
