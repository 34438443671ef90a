"""What every section of deployment.yaml is. Pure."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """One section of deployment.yaml: unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
