"""Read a request's raw body: whole, as a form's file, within a limit, and know its format.

Runs in: the server. Never: holds more than the limit in memory.
"""

from dataclasses import dataclass
from pathlib import PurePath

from fastapi import Request
from starlette.datastructures import UploadFile

from controlplane.errors import RequestInvalid, RequestTooLarge

FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What was sent; file_name is "" for a raw body."""

    content: bytes
    media_type: str  # without parameters, lower case
    file_name: str

    @property
    def suffix(self) -> str:
        return PurePath(self.file_name).suffix.lower()


async def read_body(request: Request, *, limit_bytes: int) -> Body:
    """Return the form's field `file`, or the raw body. Raises RequestTooLarge, RequestInvalid."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    declared = request.headers.get("content-length", "0")
    # A form's parts go to a temporary file as they come, so its length must be known beforehand.
    if declared.isdigit() and int(declared) > limit_bytes:
        raise RequestTooLarge(limit_bytes=limit_bytes)
    if media_type == FORM:
        return await _read_form(request, limit_bytes)
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > limit_bytes:
            raise RequestTooLarge(limit_bytes=limit_bytes)
    return Body(content=bytes(content), media_type=media_type, file_name="")


async def _read_form(request: Request, limit_bytes: int) -> Body:
    if "content-length" not in request.headers:
        raise RequestInvalid(field="content-length", reason="a form must say how long it is")
    async with request.form(max_files=1, max_fields=10) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise RequestInvalid(field="file", reason="the form must have a file of this name")
        content = await file.read(limit_bytes + 1)
        media_type = (file.content_type or "").partition(";")[0].strip().lower()
        return Body(content=content, media_type=media_type, file_name=file.filename or "")
