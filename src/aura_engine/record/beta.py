"""Beta distribution: its cumulative function and quantiles, to nine digits and more. Pure."""

from functools import lru_cache
from math import exp, isfinite, lgamma, log, log1p
from typing import Final

_TINY: Final = 1e-300
_PRECISE: Final = 1e-15
_STEPS: Final = 10_000
_WIDTH: Final = 1e-13


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b). `a` and `b` are above 0.

    By its continued fraction (DLMF 8.17.22) with the method of Lentz, on the side where it converges fast.
    """
    if not (a > 0 and b > 0 and isfinite(a + b)):
        raise ValueError(f"expected two finite numbers above 0, received {a} and {b}")
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    found = d
    for m in range(1, _STEPS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            found *= c * d
        if abs(c * d - 1) < _PRECISE:
            break
    return found


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


@lru_cache(maxsize=4_096)
def beta_quantile(p: float, a: float, b: float) -> float:
    """Return the x of which a share `p`, from 0 to 1, of Beta(a, b) is below, to 12 digits. By bisection: it ends."""
    low, high = 0.0, 1.0
    while high - low > _WIDTH * high:
        middle = (low + high) / 2
        if beta_cdf(middle, a, b) < p:
            low = middle
        else:
            high = middle
        if high < _TINY:
            return 0.0
    return (low + high) / 2
