"""How long to wait before trying again. Pure."""

import random


def full_jitter_s(attempt: int, *, base_s: float, cap_s: float) -> float:
    """Return seconds to wait before attempt number `attempt`, counted from 0.

    Uniform between 0 and the exponential bound, so that a fleet does not return all at once.
    Source: Brooker, "Exponential backoff and jitter", 2015.
    """
    return random.uniform(0, min(cap_s, base_s * 2 ** min(attempt, 30)))  # noqa: S311 not a secret
