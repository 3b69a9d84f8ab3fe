"""Beta distribution: its cumulative function and quantiles, to nine digits and more. Pure."""

from functools import lru_cache
from math import exp, isfinite, lgamma, log, log1p
from typing import Final

_TINY: Final = 1e-300
_PRECISE: Final = 1e-15
_STEPS: Final = 10_000
_WIDTH: Final = 1e-13
_LARGE: Final = 700.0


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
    """Return the x of which a share `p`, from 0 to 1, of Beta(a, b) is below, to 12 digits.

    By Newton's method, or where that would leave the interval that holds x, by halving it: so it always ends. An x
    above one half is looked for from the other end, where its distance to 1 has as many digits.
    """
    if p > beta_cdf(0.5, a, b) and 1 - p <= beta_cdf(0.5, b, a):  # about one half, both ends may see it beyond
        return 1 - beta_quantile(1 - p, b, a)
    low, high, x = 0.0, 1.0, a / (a + b)
    while high - low > _WIDTH * high and high > _TINY:
        missed = beta_cdf(x, a, b) - p
        low, high = (x, high) if missed < 0 else (low, x)
        slope = _density(x, a, b)
        after = x - missed / slope if slope > 0 else low
        if not low < after < high:
            after = (low + high) / 2
        if abs(after - x) <= _WIDTH * x:
            return after
        x = after
    return (low + high) / 2


def _density(x: float, a: float, b: float) -> float:
    if not 0 < x < 1:
        return 0.0
    exponent = lgamma(a + b) - lgamma(a) - lgamma(b) + (a - 1) * log(x) + (b - 1) * log1p(-x)
    return exp(exponent) if exponent < _LARGE else 0.0
