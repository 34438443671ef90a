"""Numbers and time: math, statistics, random, decimal, fractions, datetime, calendar, time.

Runs in: workers. Talks to: the standard library. Never: offers the decimal context, which outlives
a call.
"""

import calendar
import datetime as dt
import decimal
import fractions
import math
import numbers
import random
import statistics
import time
from typing import Self

from edged.sandbox.facades.offer import Offer, pick

_MATH = (
    "acos acosh asin asinh atan atan2 atanh cbrt ceil comb copysign cos cosh degrees dist e erf"
    " erfc exp exp2 expm1 fabs"
    " factorial floor fmod frexp fsum gamma gcd hypot inf isclose isfinite isinf isnan isqrt lcm"
    " ldexp lgamma log log10"
    " log1p log2 modf nan nextafter perm pi pow prod radians remainder sin sinh sqrt tan tanh tau"
    " trunc ulp"
)
_DECIMAL = (
    "Decimal ROUND_05UP ROUND_CEILING ROUND_DOWN ROUND_FLOOR ROUND_HALF_DOWN ROUND_HALF_EVEN"
    " ROUND_HALF_UP ROUND_UP"
    " Clamped DecimalException DivisionByZero Inexact InvalidOperation Overflow Rounded Subnormal"
    " Underflow"
)
_STATISTICS = (
    "StatisticsError correlation covariance fmean geometric_mean harmonic_mean linear_regression"
    " mean median"
    " median_grouped median_high median_low mode multimode pstdev pvariance quantiles stdev"
    " variance"
)
_RANDOM = (
    "betavariate choice choices expovariate gammavariate gauss getrandbits lognormvariate"
    " normalvariate paretovariate"
    " randbytes randint random randrange sample shuffle triangular uniform vonmisesvariate"
    " weibullvariate"
)


def offers() -> Offer:
    """Return the members of each module here; random is made for each program (Randomness)."""
    return {
        "math": pick(math, _MATH),
        "decimal": pick(decimal, _DECIMAL),
        "fractions": pick(fractions, "Fraction"),
        "numbers": pick(numbers, "Complex Integral Number Rational Real"),
        "statistics": pick(statistics, _STATISTICS),
        "time": pick(time, "monotonic monotonic_ns perf_counter perf_counter_ns time time_ns"),
        "datetime": pick(dt, "MAXYEAR MINYEAR UTC date datetime time timedelta timezone"),
        "calendar": _calendar(),
    }


def _calendar() -> dict[str, object]:
    """Its names of days and months are objects of the library; programs get tuples."""
    names = ("day_abbr", "day_name", "month_abbr", "month_name")
    return pick(
        calendar,
        "FRIDAY MONDAY SATURDAY SUNDAY THURSDAY TUESDAY WEDNESDAY"
        " isleap leapdays monthrange weekday",
    ) | {name: tuple(getattr(calendar, name)) for name in names}


# From Python 3.12 on what a fraction consists of is kept as a key, and it may be a program's own.
_hashing = vars(fractions).get("_hash_algorithm")
if _hashing is not None:
    vars(fractions)["_hash_algorithm"] = getattr(_hashing, "__wrapped__", _hashing)

Seed = float | str | bytes | bytearray | None


class Seeded(random.Random):
    """A generator with a fixed seed where none is given: the same input gives the same output."""

    def __new__(cls, *_seed: object) -> Self:
        # Without an argument the C part would ask the kernel for entropy, which a worker cannot.
        return super().__new__(cls, 0)  # type: ignore[call-arg]  # the C part's own signature

    def seed(self, a: Seed = 0, version: int = 2) -> None:  # type: ignore[override]
        super().seed(0 if a is None else a, version)

    def __init__(self, x: Seed = 0) -> None:
        super().__init__(x)


class Randomness:
    """The random module of one program: every call starts from the same state of it."""

    def __init__(self) -> None:
        self._generator = Seeded()
        self._state = self._generator.getstate()
        self._is_offered = False

    def members(self) -> dict[str, object]:
        self._is_offered = True
        offered = {name: getattr(self._generator, name) for name in _RANDOM.split()}
        return offered | {"seed": self._generator.seed, "Random": make_generator}

    def save(self) -> None:
        """Let every later call start from the state that the module's body left."""
        self._state = self._generator.getstate()

    def restore(self) -> None:
        self._generator.setstate(self._state)


def make_generator(x: Seed = 0) -> random.Random:
    """Make a Random. Not the class: its methods set attributes on what they get as `self`."""
    return Seeded(x)
