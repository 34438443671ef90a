"""`/api/v1/tasks/{task}/examples`: add by JSON list or upload, and read.

Runs in: the server. Talks to: tasks. Never: stores a part of an upload.
"""

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from controlplane.api.bodies import Body, read_body
from controlplane.api.parts import Authenticated, Parts
from controlplane.errors import ExamplesRefused
from controlplane.tasks.rows import Format, Parsed, Reading, parse

router = APIRouter(prefix="/tasks/{task}/examples", tags=["examples"])

MAX_UPLOAD_BYTES = 128 * 1024 * 1024
FAULTS_SHOWN = 100
CSV_TYPES = {"text/csv", "application/csv", "application/vnd.ms-excel"}
BODY_SCHEMA = {
    "requestBody": {
        "required": True,
        "description": "A JSON list of rows, JSON lines or CSV; raw, or as a form's `file`.",
        "content": {
            "application/json": {"schema": {"type": "array", "items": {"type": "object"}}},
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


class AddedView(BaseModel):
    """What became of an upload."""

    stored: int
    duplicates: int
    total: int


class ExampleView(BaseModel):
    input: Any
    output: Any


class ExamplePage(BaseModel):
    examples: list[ExampleView]
    total: int


@router.post("", status_code=201, openapi_extra=BODY_SCHEMA)
async def add_examples(
    task: str,
    request: Request,
    parts: Parts,
    caller: Authenticated,
    label_field: Annotated[str | None, Query(min_length=1)] = None,
) -> AddedView:
    """Add rows: all of them, or none and every bad one named."""
    found = await parts.tasks.find(caller.organisation_id, task)
    body = await read_body(request, limit_bytes=MAX_UPLOAD_BYTES)
    reading = Reading.of(found.specification, label_field)
    parsed = await asyncio.to_thread(parse, body.content, _format(body), reading)
    refuse_faults(parsed)
    added = await parts.examples.add(found.id, parsed.rows)
    return AddedView(stored=added.stored, duplicates=added.duplicates, total=added.total)


@router.get("")
async def read_examples(
    task: str,
    parts: Parts,
    caller: Authenticated,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> ExamplePage:
    """Read a page, in the order in which they came."""
    found = await parts.tasks.find(caller.organisation_id, task)
    rows = await parts.examples.page(found.id, limit=limit, offset=offset)
    views = [
        ExampleView(input=orjson.loads(row.input_json), output=orjson.loads(row.output_json))
        for row in rows
    ]
    return ExamplePage(examples=views, total=found.examples)


def refuse_faults(parsed: Parsed) -> None:
    """Raise ExamplesRefused when any row cannot be used."""
    if not parsed.faults:
        return
    first = parsed.faults[0]
    raise ExamplesRefused(
        count=len(parsed.faults),
        rows=len(parsed.rows) + len(parsed.faults),
        first=f"line {first.line}: {first.field} {first.reason}",
        line=first.line,
        field=first.field,
        faults=[asdict(fault) for fault in parsed.faults[:FAULTS_SHOWN]],
    )


def _format(body: Body) -> Format:
    """Go by type, then by name, then by the first character: a list, or lines."""
    if body.media_type in CSV_TYPES or body.suffix == ".csv":
        return "csv"
    return "json" if body.content[:64].lstrip().startswith(b"[") else "jsonl"
