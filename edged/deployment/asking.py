"""Section anthropic: the language model that oracles and judges may ask. Pure."""

from pydantic import Field, SecretStr

from edged.deployment.comparing import Address


class Anthropic(Address):
    """A server of the Messages API. url: a gateway of the customer's own, perhaps."""

    url: str = "https://api.anthropic.com"
    api_key: SecretStr | None = None
    """Only as a reference to the environment: ${ANTHROPIC_API_KEY}."""
    model: str = "claude-sonnet-5-5"
    input_usd_per_mtok: float = Field(default=2.0, ge=0)
    """The model's price as of November 2026; keep it current, for budgets are reckoned with it."""
    output_usd_per_mtok: float = Field(default=10.0, ge=0)
    max_answer_tokens: int = Field(default=1024, ge=16, le=64_000)
    timeout_ms: float = Field(default=30_000, gt=0, le=600_000)

    @property
    def needs(self) -> str:
        """Return what is missing to ask it, or nothing."""
        return "" if self.api_key is not None else "anthropic.api_key"
