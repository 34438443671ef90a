"""What asking a model costs, from the dated list beside this file.

Runs in: jobs. Talks to: prices.toml. Never: asks the network for a price.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PER_MILLION = 1_000_000
LIST = Path(__file__).parent / "prices.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    def cost_usd(self, input_tokens: int, output_tokens: int) -> float:
        return (self.input * input_tokens + self.output * output_tokens) / PER_MILLION


def price_of(model: str) -> Price | None:
    """Return the listed price; None for a model that the list does not name."""
    return _listed().get(model)


@cache
def _listed() -> dict[str, Price]:
    models = tomllib.loads(LIST.read_text(encoding="utf-8"))["models"]
    return {
        name: Price(input=float(price["input"]), output=float(price["output"]))
        for name, price in models.items()
    }
