"""How the language model is reached and what it may cost.

Runs in: jobs. Talks to: nothing. Never: shows the key, also not in a repr.
"""

from dataclasses import dataclass, field

from controlplane.generator.prices import Price, price_of

PROVIDER = "anthropic"


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmSettings:
    """One model of one provider."""

    api_key: str = field(default="", repr=False)
    """Empty: the strategy stands aside and says so."""
    base_url: str = "https://api.anthropic.com"
    """A proxy or a gateway of the customer's, or a server of a test."""
    model: str = "claude-sonnet-5-5"
    """Writes programs as long as these as well as dearer ones do."""
    price: Price | None = None
    """For a model that the price list does not name."""
    budget_usd: float = 1.0
    """Of one generation, all rounds; four answers of the greatest length cost about 0.7."""
    max_answer_tokens: int = 16_000
    """A long program with the thinking before it; the SDK refuses far more without streaming."""
    request_timeout_s: float = 180.0
    """Without a byte; an answer of the greatest length takes two to three minutes."""
    max_retries: int = 3
    """Of one question, by the SDK: 408, 409, 429, 5xx and lost connections, backing off."""
    deadline_s: float = 600.0
    """Of one question with its retries: a server may ask to come back in hours."""
    repair_rounds: int = 2
    """More were not worth their cost."""

    def __post_init__(self) -> None:
        positive = (
            self.budget_usd,
            self.max_answer_tokens,
            self.request_timeout_s,
            self.deadline_s,
        )
        if min(positive) <= 0 or min(self.max_retries, self.repair_rounds) < 0:
            raise ValueError("budget, lengths and times must be positive, counts not negative")

    @property
    def known_price(self) -> Price | None:
        return self.price or price_of(self.model)
