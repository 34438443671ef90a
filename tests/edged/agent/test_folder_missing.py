"""A mistyped `--artifacts` is named in the log; the folder is still waited for."""

import asyncio

from structlog.testing import capture_logs

from edged.agent.folder import FolderSource


async def test_missing_folder_is_named_and_waited_for(tmp_path):
    with capture_logs() as logs:
        watching = asyncio.create_task(FolderSource(tmp_path / "none", None, None).run())
        await asyncio.sleep(0)
        assert not watching.done()
        watching.cancel()
    assert [(line["event"], line["folder"]) for line in logs] == [
        ("artifacts_folder_missing", str(tmp_path / "none"))
    ]
