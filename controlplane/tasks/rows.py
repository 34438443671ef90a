"""Read examples as people have them: a JSON list, JSON lines or CSV.

A row is {"input": …, "output": …}, or a flat object whose field `label` (or `output`, or the one
named) is the output and whose other fields are the input. Every bad row is named by line and
field. Pure. Never: drops or repairs a row, or repeats customer text in a message.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from controlplane.tasks.specification import Example, Specification
from edged.contract.schema import Schema

Format = Literal["json", "jsonl", "csv"]
CANONICAL = {"input", "output"}
LABEL_FIELDS = ("label", "output")
MAX_ROW_BYTES = 1024 * 1024  # the largest input an edge accepts is no larger
csv.field_size_limit(MAX_ROW_BYTES)  # its default refuses long e-mails


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why one row cannot be used."""

    line: int  # in the file, from 1; in a JSON list, the item's number from 1
    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Usable rows and faults; storing is all or nothing."""

    rows: Sequence[Example]
    faults: Sequence[Fault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How to read: which field is the output, and what the rows must satisfy."""

    label_field: str | None = None
    input_schema: Schema | None = None
    output_schema: Schema | None = None

    @classmethod
    def of(cls, specification: Specification, label_field: str | None) -> "Reading":
        """Only what was specified binds an example; what was inferred follows it."""
        given = (specification.input_schema, specification.output_schema)
        compiled = [None if document is None else Schema(document) for document in given]
        return cls(label_field=label_field, input_schema=compiled[0], output_schema=compiled[1])


class _Unusable(Exception):
    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason


def parse(content: bytes, form: Format, reading: Reading) -> Parsed:
    """Read a body. A body that is no document at all is one fault."""
    try:
        values = _FORMS[form](content)
        return _collect(values, reading)
    except _Unusable as problem:
        fault = Fault(line=1, field=problem.field, reason=problem.reason)
        return Parsed(rows=(), faults=(fault,))


def from_values(values: Iterable[Any], reading: Reading) -> Parsed:
    """Read rows that are already JSON values."""
    return _collect(enumerate(values, start=1), reading)


def _collect(values: Iterable[tuple[int, Any]], reading: Reading) -> Parsed:
    rows: list[Example] = []
    faults: list[Fault] = []
    for line, value in values:
        try:
            rows.append(_example(value, reading))
        except _Unusable as problem:
            faults.append(Fault(line=line, field=problem.field, reason=problem.reason))
    return Parsed(rows=rows, faults=faults)


def _example(value: Any, reading: Reading) -> Example:
    if isinstance(value, _Unusable):
        raise value
    if not isinstance(value, dict):
        raise _Unusable("the row", "must be a JSON object")
    found_input, found_output = _split(value, reading.label_field)
    _check(found_input, reading.input_schema, "input")
    _check(found_output, reading.output_schema, "output")
    example = Example(
        input_json=_text(found_input, "input"), output_json=_text(found_output, "output")
    )
    if len(example.input_json) + len(example.output_json) > MAX_ROW_BYTES:
        raise _Unusable("the row", f"is larger than {MAX_ROW_BYTES} bytes")
    return example


def _split(value: dict[str, Any], label_field: str | None) -> tuple[Any, Any]:
    """Return (input, output)."""
    if label_field is None and value.keys() == CANONICAL:
        return value["input"], value["output"]
    candidates = LABEL_FIELDS if label_field is None else (label_field,)
    name = next((field for field in candidates if field in value), None)
    if name is None:
        raise _Unusable(candidates[0], "is missing")
    if value[name] is None or value[name] == "":
        raise _Unusable(name, "is empty")
    fields = {key: item for key, item in value.items() if key != name}
    if not fields:
        raise _Unusable("input", f"there is no field besides {name!r}")
    return fields, value[name]


def _check(value: Any, schema: Schema | None, root: str) -> None:
    breach = schema.breach(value, root=root) if schema else None
    if breach is not None:
        raise _Unusable(breach.field, breach.reason)


def _text(value: Any, field: str) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError as error:
        raise _Unusable(field, str(error)) from error


def _json_list(content: bytes) -> Iterator[tuple[int, Any]]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise _Unusable("the body", f"is not JSON: {error}") from error
    if not isinstance(document, list):
        raise _Unusable("the body", "must be a JSON list of rows")
    return iter(enumerate(document, start=1))


def _json_lines(content: bytes) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            yield line, orjson.loads(text)
        except orjson.JSONDecodeError as error:
            yield line, _Unusable("the row", f"is not JSON: {error}")


def _csv_rows(content: bytes) -> Iterator[tuple[int, Any]]:
    """Every value is text; the header names the fields."""
    reader = csv.reader(io.StringIO(_utf8(content), newline=""), strict=True)
    try:
        header = next(reader, None)
        if not header or len(set(header)) != len(header) or "" in header:
            raise _Unusable("the header", "must name every column once")
        for cells in reader:
            if cells:
                yield reader.line_num, _csv_row(header, cells)
    except csv.Error as error:
        raise _Unusable("the body", f"is not CSV: {error}") from error


def _csv_row(header: Sequence[str], cells: Sequence[str]) -> Any:
    if len(cells) != len(header):
        return _Unusable("the row", f"has {len(cells)} cells, the header {len(header)}")
    return dict(zip(header, cells, strict=True))


def _utf8(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Unusable("the body", "is not UTF-8") from error


_FORMS = {"json": _json_list, "jsonl": _json_lines, "csv": _csv_rows}
