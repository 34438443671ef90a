"""The beta distribution in logarithms, from the standard library alone.

Pure. Used by: the sequential tests. Never: leaves the logarithm, since after a million labels the
plain values are far below the smallest float.
"""

from math import exp, inf, lgamma, log, log1p

_TINY = 1e-300
_PRECISION = 1e-14
# Lentz's method needs about the square root of the larger parameter: enough for 1e11 labels.
_MAX_TERMS = 400_000


def log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)


def log_beta_below(x: float, a: float, b: float) -> float:
    """Return log P(B < x) for B ~ Beta(a, b), the regularised incomplete beta function I_x(a, b).

    Source: Press et al., Numerical Recipes, 3rd edition, section 6.4; continued fraction by Lentz.
    """
    if x <= 0:
        return -inf
    if x >= 1:
        return 0.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges slowly on the far side of the mean
        return log1p(-exp(log_beta_below(1 - x, b, a)))
    front = a * log(x) + b * log1p(-x) - log(a) - log_beta(a, b)
    return front + log(_fraction(x, a, b))


def log_beta_above(x: float, a: float, b: float) -> float:
    """Return log P(B > x) for B ~ Beta(a, b)."""
    return log_beta_below(1 - x, b, a)


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            value *= c * d
        if abs(c * d - 1) < _PRECISION:
            return value
    raise ArithmeticError(f"the incomplete beta function of {x}, {a}, {b} did not converge")


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
