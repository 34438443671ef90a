"""Time the privacy filter on texts of 1,500 characters, with and without personal data.

Runs in: scripts/bench privacy. Talks to: nothing. Never: asserts.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import orjson

from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from scripts.support import menu

CHARS = 1_500
WARM = 50
WORDS = (
    *("the", "parcel", "has", "not", "arrived", "yet", "please", "look", "into", "order", "9184"),
    *("from", "2026-11-02", "at", "14:30", "I", "paid", "$1,249.00", "for", "version", "2.4.1"),
)
SECRETS = (
    *("ann.lee@example.com", "+1 415-555-0132", "536-90-4399", "4111 1111 1111 1111"),
    *("203.0.113.9", "2001:db8::ff00:42:8329", "DE89 3704 0044 0532 0130 00"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--texts", type=menu.count, default=1_000)
    parser.add_argument("--file", type=Path, help="real texts: JSON lines with a `text`")


def describe(report: dict[str, Any]) -> str:
    """Return the figures as people read them."""
    return "\n".join(
        f"{name:8} p50 {figures['p50_ms']:.3f} ms  p99 {figures['p99_ms']:.3f} ms  "
        f"{figures['with_findings']} of {figures['texts']} texts altered"
        for name, figures in report["kinds"].items()
    )


def run(folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:  # noqa: ARG001 every benchmark's signature
    """Filter each text as an execution's input, from JSON to JSON."""
    chance = Random(7)
    kinds = {
        "plain": [_text(chance, ()) for _ in range(options.texts)],
        "personal": [_text(chance, SECRETS) for _ in range(options.texts)],
    }
    if options.file:
        kinds["file"] = _from_file(options.file, options.texts)
    return {"chars": CHARS, "kinds": {name: _timed(texts) for name, texts in kinds.items()}}


def _timed(texts: list[str]) -> dict[str, Any]:
    privacy = PrivacyFilter(Mode.BALANCED, bytes(KEY_BYTES))
    times_ms: list[float] = []
    found: list[bool] = []
    for text in texts[:WARM] + texts:
        source = orjson.dumps({"text": text})
        begun_s = time.perf_counter()
        released = privacy.release(source, None, {})
        times_ms.append((time.perf_counter() - begun_s) * 1000)
        found.append(bool(released.erased))
    times_ms = sorted(times_ms[WARM:])
    return {
        "texts": len(texts),
        "with_findings": sum(found[WARM:]),
        "p50_ms": round(median(times_ms), 4),
        "p99_ms": round(times_ms[int(len(times_ms) * 0.99)], 4),
    }


def _text(chance: Random, secrets: tuple[str, ...]) -> str:
    text = ""
    while len(text) < CHARS:
        text += " ".join(chance.choices(WORDS, k=12)) + ". "
        text += f"{chance.choice(secrets)} " if secrets else ""
    return text[:CHARS]


def _from_file(path: Path, count: int) -> list[str]:
    whole = " ".join(json.loads(line)["text"] for line in path.read_text().splitlines() if line)
    return [whole[at : at + CHARS] for at in range(0, len(whole) - CHARS, CHARS)][:count]
