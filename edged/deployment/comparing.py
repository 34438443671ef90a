"""When an output counts as right: the section `comparison` of a task's validation. Pure."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from edged.deployment.addresses import is_loopback_url
from edged.deployment.section import Section


class Address(Section):
    """A web address that values are sent to."""

    url: str
    insecure: bool = False
    """Send them in clear to a machine that is not this one."""

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        # No user:password@ either: every process of the edge inherits this section.
        host = r"([^/\s:@?#\[\]]+|\[[0-9a-fA-F:.]+\])"
        found = re.fullmatch(rf"https?://{host}(:(?P<port>\d{{1,5}}))?(/[^\s#]*)?", url)
        if found is None or int(found["port"] or 0) > 65_535:
            raise ValueError("must look like http://host:port/path")
        return url

    @property
    def is_local(self) -> bool:
        """Say whether what is sent stays on this machine."""
        return is_loopback_url(self.url)


class HttpJudge(Address):
    """An endpoint of the customer's own: {task, output, truth} in, {similarity} or {match} out."""

    by: Literal["http"]
    timeout_ms: float = Field(default=5000, gt=0, le=600_000)


class EmbeddingJudge(Address):
    """Nearness of two embeddings, from any server of `POST /v1/embeddings`."""

    by: Literal["embedding"]
    model: str = Field(min_length=1)
    timeout_ms: float = Field(default=5000, gt=0, le=600_000)


class AnthropicJudge(Section):
    """A language model reads both; see section `anthropic`."""

    by: Literal["anthropic"]


Judge = Annotated[HttpJudge | EmbeddingJudge | AnthropicJudge, Field(discriminator="by")]


class Comparison(Section):
    """When an output counts as right."""

    method: Literal["exact", "fuzzy", "semantic"] = "exact"
    ignore: tuple[str, ...] = ()
    """Fields that do not count, as dotted paths."""
    tolerance: float = Field(default=0.0, ge=0)
    """For numbers, absolute."""
    threshold: float = Field(default=0.9, gt=0, le=1)
    """Of fuzzy and semantic: the similarity from which on an output is right."""
    judge: Judge | None = None
    """Of semantic: who says how similar two values are."""

    @model_validator(mode="after")
    def _check_judge(self) -> Self:
        if (self.judge is not None) != (self.method == "semantic"):
            raise ValueError("judge: method semantic needs one, and the others use none")
        return self
