"""The strategy `llm` in the real control plane, against a server that speaks the Messages API."""

import io
import json
import sqlite3
import zipfile

import pytest

from tests.controlplane.generator.conftest import support_messages
from tests.controlplane.processes import control_plane
from tests.fakes.messages_api import declines, messages_api, writes

pytestmark = pytest.mark.processes

KEY = "sk-never-show-this-0123456789"
ROWS = [{"input": row.input, "output": row.output} for row in support_messages(120)]
PROGRAM = """\
WORDS = {
    "billing": "invoice refund charged twice payment card statement".split(),
    "delivery": "parcel courier late tracking address doorstep".split(),
    "login": "password reset locked account sign code".split(),
}


def run(input_data):
    words = input_data["text"].split()
    return max(WORDS, key=lambda topic: sum(word in WORDS[topic] for word in words))
"""


def generated(rest, strategies):
    made = rest.post("/api/v1/tasks", json={"name": "support", "examples": ROWS})
    assert made.status_code == 201, made.text
    asked = rest.post("/api/v1/tasks/support/generate", json={"strategies": strategies}).json()
    return rest.get(asked["status_url"], params={"wait_s": 25}).json()


def test_program_of_a_model_becomes_a_version_that_says_who_wrote_it(tmp_path):
    with messages_api(writes(PROGRAM)) as server:
        settings = {"LOOPAI_LLM_API_KEY": KEY, "LOOPAI_LLM_BASE_URL": server.base_url}
        with control_plane(tmp_path / "data", **settings) as plane, plane.client() as rest:
            ended = generated(rest, ["llm"])
            packed = rest.get("/api/v1/artifacts/support/v1/download").content

    archive = zipfile.ZipFile(io.BytesIO(packed))
    provenance = json.loads(archive.read("manifest.json"))["provenance"]
    assert (ended["status"], ended["strategy"]) == ("done", "rule")
    assert ended["scores"]["llm"]["final"]["accuracy"] == 1.0
    assert archive.read("program.py").decode() == PROGRAM
    assert provenance["llm_provider"] == "anthropic"
    assert provenance["llm_model"] == "claude-sonnet-5-5"
    assert provenance["generation_cost"] == pytest.approx(0.007)
    assert len(exchanges(tmp_path)) == 1
    assert "```python" in exchanges(tmp_path)[0]["answer"]
    assert KEY not in json.dumps(plane.events)
    written = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def test_declining_model_and_missing_key_are_reasons_in_words(tmp_path):
    with messages_api(declines()) as server:
        settings = {"LOOPAI_LLM_API_KEY": KEY, "LOOPAI_LLM_BASE_URL": server.base_url}
        with control_plane(tmp_path / "with", **settings) as plane, plane.client() as rest:
            declined = generated(rest, ["llm"])
        with control_plane(tmp_path / "without") as plane, plane.client() as rest:
            keyless = generated(rest, ["llm", "rule"])

    assert declined["status"] == "failed"
    assert "llm: no program was proposed: the model declined to answer" in declined["reason"]
    assert keyless["status"] == "done"
    assert "no API key" in keyless["scores"]["llm"]["reason"]


def exchanges(folder):
    database = sqlite3.connect(folder / "data" / "controlplane.sqlite")
    try:
        return [json.loads(row[0]) for row in database.execute("SELECT content FROM exchanges")]
    finally:
        database.close()
