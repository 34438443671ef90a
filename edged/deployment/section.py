"""What every section of deployment.yaml is. Pure."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """One section of deployment.yaml: unknown keys are errors, and so are numbers without end."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _take_no_truth_for_a_number(cls, values: Any) -> Any:
        """Pydantic takes true for 1: `keep_days: yes` would keep one day."""
        for name, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, bool) and _is_number(cls, name):
                raise ValueError(f"{name} must be a number")
        return values


def _is_number(section: type[BaseModel], name: str) -> bool:
    kind = section.model_fields[name].annotation if name in section.model_fields else None
    return not {int, float}.isdisjoint((kind, *get_args(kind)))
