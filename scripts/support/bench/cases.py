"""Put samples of one case beside the peer's. Pure."""

import statistics
from collections.abc import Sequence

from scripts.support.bench.load import Sample


def medians(samples: Sequence[Sample]) -> dict[str, float]:
    return {
        name: round(statistics.median(getattr(sample, name) for sample in samples), 4)
        for name in ("rps", "p50_ms", "p99_ms")
    }


def compare(ours: Sequence[Sample], theirs: Sequence[Sample]) -> dict[str, float]:
    """Return medians over the rounds; a ratio is the median of the rounds' ratios.

    ratio: of calls a second. p50_ratio: below 1 is faster than the peer.
    """
    peer = {f"peer_{name}": value for name, value in medians(theirs).items()}
    return {
        **medians(ours),
        **peer,
        "ratio": _ratio([(a.rps, b.rps) for a, b in zip(ours, theirs, strict=True)]),
        "p50_ratio": _ratio([(a.p50_ms, b.p50_ms) for a, b in zip(ours, theirs, strict=True)]),
        "failed": sum(sample.failed for sample in (*ours, *theirs)),
    }


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return round(statistics.median(a / b if b else 0.0 for a, b in pairs), 3)
