"""`str.format` for programs: a template may read attributes only as far as the source itself could.

A template is text, so the compiler cannot see what `"{0.__globals__}"` asks for. Most templates ask
for no attribute at all: those run natively once they were looked through.

Runs in: workers. Talks to: nobody. Never: takes a template that is not exactly a str.
"""

import string
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

_FORMATTER = string.Formatter()


class TemplateFormatter(string.Formatter):
    """Python's own formatter, with attributes read through `read_attribute`."""

    def __init__(self, read_attribute: Callable[[object, object], object]) -> None:
        self._read_attribute = read_attribute

    def format_text(
        self, template: str, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> str:
        """Do what str.format does."""
        template = str.__str__(template)
        if _reads_no_attribute(template):
            return template.format(*args, **kwargs)
        return self.vformat(template, args, kwargs)

    def format_text_map(self, template: str, mapping: Mapping[str, object]) -> str:
        """Do what str.format_map does."""
        template = str.__str__(template)
        if _reads_no_attribute(template):
            return template.format_map(mapping)
        return self.vformat(template, (), mapping)

    def get_field(
        self, field_name: str, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> tuple[object, str | int]:
        first, rest = string._string.formatter_field_name_split(field_name)  # type: ignore[attr-defined]  # noqa: SLF001
        value = self.get_value(first, args, kwargs)
        for is_attribute, key in rest:
            value = self._read_attribute(value, key) if is_attribute else value[key]
        return value, first


@lru_cache(maxsize=256)
def _reads_no_attribute(template: str) -> bool:
    # A dot in a nested field ("{:{0.x}}") is one in the outer field's specification.
    for _, field_name, specification, _ in _FORMATTER.parse(template):
        if "." in (field_name or ""):
            return False
        if specification and "{" in specification and not _reads_no_attribute(specification):
            return False
    return True
