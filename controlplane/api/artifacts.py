"""`/api/v1/artifacts/{task}`: list, download, upload and activate versions.

Runs in: the server. Talks to: artifacts. Never: hands out bytes that are not the digest's.
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

from controlplane.api.bodies import read_body
from controlplane.api.parts import ApiParts, Authenticated, Parts
from controlplane.artifacts.gate import Program
from controlplane.storage.models import ArtifactRow
from controlplane.tasks.specification import Task
from edged.artifacts.archive import MAX_ARCHIVE_BYTES, read

router = APIRouter(prefix="/artifacts/{task}", tags=["artifacts"])

Version = Annotated[int, Path(ge=1, le=2**31 - 1)]
BODY_SCHEMA = {
    "requestBody": {
        "required": True,
        "description": "An artifact's ZIP or the text of a program; raw, or as a form's `file`.",
        "content": {
            "application/zip": {"schema": {"type": "string", "format": "binary"}},
            "text/x-python": {"schema": {"type": "string"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


class VersionView(BaseModel):
    """A ProgramArtifact without its code."""

    id: str
    task_id: str
    task: str
    version: int
    status: str
    digest: str
    size_bytes: int
    synthesis_strategy: str
    origin: str
    confidence_score: float
    is_low_evidence: bool
    scores: dict[str, Any]
    complexity_metrics: dict[str, Any]
    task_revision: int
    generation_id: str | None
    download_url: str
    created_at: datetime
    activated_at: datetime | None


class VersionList(BaseModel):
    versions: list[VersionView]


@router.get("/versions")
async def list_versions(task: str, parts: Parts, caller: Authenticated) -> VersionList:
    """List all versions, newest first."""
    found = await parts.tasks.find(caller.organisation_id, task)
    rows = await parts.versions.list(found.id)
    return VersionList(versions=[_view(row, found.name) for row in rows])


@router.get("/v{version}/download", response_class=Response)
async def download(
    task: str, version: Version, request: Request, parts: Parts, caller: Authenticated
) -> Response:
    """Download the ZIP."""
    found, row = await _find(parts, caller.organisation_id, task, version)
    headers = {
        "ETag": f'"{row.digest}"',
        "Content-Disposition": f'attachment; filename="{found.name}-v{row.version}.zip"',
    }
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    content = await parts.versions.content(row)
    return Response(content, media_type="application/zip", headers=headers)


@router.post("/upload", status_code=201, openapi_extra=BODY_SCHEMA)
async def upload(
    task: str,
    request: Request,
    parts: Parts,
    caller: Authenticated,
    returns_confidence: Annotated[bool, Query()] = False,  # noqa: FBT002 a query parameter
    activate: Annotated[bool, Query()] = False,  # noqa: FBT002 a query parameter
) -> VersionView:
    """Publish a program as the next version, if it passes every gate; else 422 says which not.

    returns_confidence: of a program's text; a ZIP says it in its manifest.
    """
    found = await parts.tasks.find(caller.organisation_id, task)
    body = await read_body(request, limit_bytes=MAX_ARCHIVE_BYTES)
    row = await parts.uploading.upload(
        found, body.content, returns_confidence=returns_confidence, activate=activate
    )
    return _view(row, found.name)


@router.post("/v{version}/activate")
async def activate(task: str, version: Version, parts: Parts, caller: Authenticated) -> VersionView:
    """Make this version the active one, once more past the policy of today; edges are told."""
    found, row = await _find(parts, caller.organisation_id, task, version)
    artifact = read(await parts.versions.content(row))
    program = Program(
        source=artifact.program, returns_confidence=artifact.manifest.returns_confidence
    )
    await parts.gate.check_policy(program)
    return _view(await parts.versions.activate(row, found.name), found.name)


async def _find(
    parts: ApiParts, organisation_id: str, task: str, version: int
) -> tuple[Task, ArtifactRow]:
    found = await parts.tasks.find(organisation_id, task)
    return found, await parts.versions.find(found.id, found.name, version)


def _view(row: ArtifactRow, task: str) -> VersionView:
    return VersionView(
        id=row.id,
        task_id=row.task_id,
        task=task,
        version=row.version,
        status=row.status,
        digest=row.digest,
        size_bytes=row.size_bytes,
        synthesis_strategy=row.synthesis_strategy,
        origin=row.origin,
        confidence_score=row.confidence_score,
        is_low_evidence=row.is_low_evidence,
        scores=row.scores,
        complexity_metrics=row.complexity_metrics,
        task_revision=row.task_revision,
        generation_id=row.generation_id,
        download_url=f"/api/v1/artifacts/{task}/v{row.version}/download",
        created_at=row.created_at,
        activated_at=row.activated_at,
    )
