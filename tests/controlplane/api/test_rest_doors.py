"""REST on a running control plane; every test has a task of its own."""

import socket
from uuid import uuid4

import grpc
import pytest
from loopai.control.v1 import link_pb2 as pb

from tests.controlplane.processes import API_KEY
from tests.fakes.edge import FakeEdge

ROWS = [{"text": f"win {n}", "label": "spam"} for n in range(3)] + [
    {"text": f"hello {n}", "label": "ham"} for n in range(3)
]
PROGRAM = "def run(input_data):\n    return 'spam' if 'win' in input_data['text'] else 'ham'\n"

pytestmark = pytest.mark.processes


@pytest.fixture
def name():
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def made(rest, name):
    answer = rest.post("/api/v1/tasks", json={"name": name, "examples": ROWS})
    assert answer.status_code == 201, answer.text
    return answer.json()


def error(answer, status):
    assert answer.status_code == status, answer.text
    return answer.json()["error"]


def test_task_is_created_with_schemas_inferred_from_its_examples(rest, made, name):
    read = rest.get(f"/api/v1/tasks/{name}").json()

    assert read == made
    assert read["examples"] == 6
    assert read["output_schema"] == {"enum": ["ham", "spam"]}
    assert read["input_schema"]["required"] == ["text"]
    assert read["output_schema_is_inferred"]
    assert rest.get(f"/api/v1/tasks/{made['id']}").json() == made
    assert name in [task["name"] for task in rest.get("/api/v1/tasks").json()["tasks"]]


def test_second_task_of_the_same_name_conflicts(rest, made, name):
    assert error(rest.post("/api/v1/tasks", json={"name": name}), 409)["code"] == "task_exists"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Not A Name"}, "name"),
        ({"colour": "red"}, "colour"),
        ({"accuracy_target": 2}, "accuracy_target"),
        ({"output_schema": {"type": "nonsense"}}, "output_schema"),
        ({"examples": [{"text": "a"}]}, "label"),
    ],
)
def test_wrong_field_is_named(rest, name, change, field):
    answer = rest.post("/api/v1/tasks", json={"name": name} | change)

    assert error(answer, 422)["field"] == field


def test_revision_keeps_what_was_not_named(rest, made, name):
    answer = rest.patch(f"/api/v1/tasks/{name}", json={"description": "Is it spam?"})

    revised = answer.json()
    assert (revised["revision"], revised["description"]) == (2, "Is it spam?")
    assert revised["output_schema"] == made["output_schema"]


@pytest.mark.parametrize(
    "path",
    ["/api/v1/tasks", "/api/v1/edges", "/api/v1/artifacts/x/versions", "/api/v1/generations/x"],
)
@pytest.mark.parametrize("key", [None, "wrong"])
def test_nothing_is_told_without_a_key(plane, path, key):
    with plane.client(api_key=key) as stranger:
        answer = stranger.get(path)

    assert error(answer, 401)["code"] == "unauthenticated"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_stranger_is_turned_away_before_the_body_is_read(plane):
    with plane.client(api_key=None) as stranger:
        answer = stranger.post("/api/v1/tasks", content=b"not json at all")

    assert error(answer, 401)["code"] == "unauthenticated"


def test_body_that_is_too_large_is_refused_by_its_length(rest):
    address = rest.base_url
    with socket.create_connection((address.host, address.port)) as raw:
        head = f"Host: x\r\nAuthorization: Bearer {API_KEY}\r\nContent-Length: {10**12}\r\n\r\n"
        raw.sendall(b"POST /api/v1/tasks HTTP/1.1\r\n" + head.encode())

        assert b" 413 " in raw.recv(100)


def test_body_in_chunks_that_is_too_large_is_refused_as_it_comes(rest):
    mebibyte = b" " * 2**20

    answer = rest.post("/api/v1/tasks", content=(mebibyte for _ in range(129)))

    assert error(answer, 413)["code"] == "request_too_large"


def test_health_and_documentation_are_open(plane):
    with plane.client(api_key=None) as stranger:
        assert stranger.get("/healthz").status_code == 200
        assert stranger.get("/readyz").json() == {"status": "ready"}
        assert stranger.get("/docs").status_code == 200
        described = stranger.get("/openapi.json").json()

    assert described["paths"]["/api/v1/tasks/{task}/generate"]["post"]["security"]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b'{"text":"a","label":"ham"}\n{"text":"b","label":"ham"}\n', "application/x-ndjson"),
        (b"text,label\na,ham\nb,ham\n", "text/csv"),
        (b'[{"text":"a","label":"ham"},{"text":"b","label":"ham"}]', "application/json"),
    ],
)
def test_raw_upload_in_every_format_is_the_same(rest, made, name, content, content_type):
    path = f"/api/v1/tasks/{name}/examples"

    answer = rest.post(path, content=content, headers={"content-type": content_type})

    assert answer.json() == {"stored": 2, "duplicates": 0, "total": 8}
    page = rest.get(path, params={"limit": 1, "offset": 6}).json()
    assert page == {"examples": [{"input": {"text": "a"}, "output": "ham"}], "total": 8}


def test_form_upload_goes_by_the_files_name(rest, made, name):
    files = {"file": ("more.csv", b"text,kind\na,ham\n", "application/octet-stream")}

    answer = rest.post(
        f"/api/v1/tasks/{name}/examples", files=files, params={"label_field": "kind"}
    )

    assert answer.json()["stored"] == 1


def test_one_bad_row_stores_nothing_and_is_named(rest, made, name):
    content = b'{"text":"a","label":"ham"}\n{"text":"b"}\n'

    answer = rest.post(f"/api/v1/tasks/{name}/examples", content=content)

    problem = error(answer, 422)
    assert problem["code"] == "examples_refused"
    assert problem["faults"] == [{"line": 2, "field": "label", "reason": "is missing"}]
    assert rest.get(f"/api/v1/tasks/{name}").json()["examples"] == 6


def test_twenty_thousand_rows_are_taken_in_one_upload(rest, name):
    rest.post("/api/v1/tasks", json={"name": name})
    lines = "".join(f'{{"text":"message {n}","label":"l{n % 7}"}}\n' for n in range(20_000))

    answer = rest.post(f"/api/v1/tasks/{name}/examples", content=lines.encode())

    assert answer.json() == {"stored": 20_000, "duplicates": 0, "total": 20_000}


def test_uploaded_program_becomes_the_next_version_and_serves_when_activated(rest, made, name):
    path = f"/api/v1/artifacts/{name}"
    first = rest.post(f"{path}/upload", content=PROGRAM.encode())
    second = rest.post(f"{path}/upload", content=PROGRAM.encode(), params={"activate": True})

    activated = rest.post(f"{path}/v1/activate")

    assert [first.status_code, second.status_code, activated.status_code] == [201, 201, 200]
    versions = rest.get(f"{path}/versions").json()["versions"]
    assert [(each["version"], each["status"]) for each in versions] == [
        (2, "deprecated"),
        (1, "active"),
    ]
    assert first.json()["scores"] == {"stored_examples": {"tried": 6, "agreed": 6}}


def test_downloaded_zip_can_be_uploaded_again(rest, made, name):
    path = f"/api/v1/artifacts/{name}"
    digest = rest.post(f"{path}/upload", content=PROGRAM.encode()).json()["digest"]

    downloaded = rest.get(f"{path}/v1/download")
    unchanged = rest.get(f"{path}/v1/download", headers={"if-none-match": f'"{digest}"'})
    again = rest.post(f"{path}/upload", files={"file": ("x.zip", downloaded.content)})

    assert downloaded.headers["content-disposition"] == f'attachment; filename="{name}-v1.zip"'
    assert downloaded.headers["etag"] == f'"{digest}"'
    assert unchanged.status_code == 304
    assert again.json()["version"] == 2


def test_refused_program_is_not_stored_and_its_place_is_named(rest, made, name):
    source = "import os\n\n\ndef run(input_data):\n    return os.getcwd()\n"

    answer = rest.post(f"/api/v1/artifacts/{name}/upload", content=source.encode())

    problem = error(answer, 422)
    assert (problem["code"], problem["gate"], problem["line"]) == ("artifact_refused", "policy", 1)
    assert problem["column"] == 1
    assert rest.get(f"/api/v1/artifacts/{name}/versions").json()["versions"] == []


def test_unknown_things_are_404(rest, made, name):
    assert error(rest.get("/api/v1/tasks/no-such"), 404)["code"] == "task_unknown"
    assert error(rest.get("/api/v1/generations/none"), 404)["code"] == "generation_unknown"
    missing = rest.get(f"/api/v1/artifacts/{name}/v9/download")
    assert error(missing, 404)["code"] == "version_unknown"
    assert error(rest.get("/api/v1/nothing"), 404)["code"] == "not_found"


def test_generation_needs_examples_and_known_strategies(rest, made, name):
    rest.post("/api/v1/tasks", json={"name": f"{name}-empty"})
    empty = rest.post(f"/api/v1/tasks/{name}-empty/generate")
    strange = rest.post(f"/api/v1/tasks/{name}/generate", json={"strategies": ["magic"]})

    assert error(empty, 409)["code"] == "examples_missing"
    assert error(strange, 422)["field"] == "strategies.0"


def test_telemetry_of_a_task_that_never_ran_is_nothing(rest, made, name):
    answer = rest.get(f"/api/v1/tasks/{name}/telemetry").json()

    assert (answer["executions"], answer["arms"], answer["latency_ms"]) == (0, [], None)


def test_an_edges_question_is_listed_and_answered_by_a_person(rest, made, name, plane):
    execution_id = str(uuid4())
    with grpc.insecure_channel(plane.link) as channel:
        edge = FakeEdge(channel, API_KEY)
        with edge.connected():
            asked = pb.OracleQuestion(
                execution_id=execution_id,
                task=name,
                version=1,
                input_json=b'{"text": "win"}',
                channel="audit",
                inclusion_probability=0.05,
            )
            edge.ask(asked)
            path = f"/api/v1/questions/{execution_id}"
            [listed] = rest.get("/api/v1/questions", params={"task": name}).json()["questions"]
            wrong = rest.post(f"{path}/answer", json={"output": "eggs"})
            given = rest.post(f"{path}/answer", json={"output": "spam"}).json()
            answer = edge.wait_for_answer(execution_id)
    again = rest.post(f"{path}/answer", json={"output": "ham"})
    unknown = rest.get(f"/api/v1/questions/{uuid4()}")

    assert (listed["input"], listed["output"]) == ({"text": "win"}, None)
    assert error(wrong, 422)["code"] == "request_invalid"
    assert given["output"] == "spam"
    assert answer.output_json == b'"spam"'
    assert error(again, 409)["code"] == "question_answered"
    assert error(unknown, 404)["code"] == "question_unknown"


def test_settings_of_an_edge_are_wanted_listed_and_pushed(rest, plane):
    with grpc.insecure_channel(plane.link) as channel:
        edge = FakeEdge(channel, API_KEY)
        path = f"/api/v1/edges/{edge.deployment_id}/settings"
        wanted = {"settings": {"sampling": {"rate": 0.1}}, "privacy_floor": "balanced"}
        put = rest.put(path, json=wanted)
        with edge.connected():
            state = edge.wait_for_state(lambda state: state.settings_json)
    edges = {each["deployment_id"]: each for each in rest.get("/api/v1/edges").json()["edges"]}
    looser = rest.put(path, json={"privacy_floor": "permissive"})
    shapeless = rest.put(path, json={"settings": {"sampling": 3}})
    unknown = rest.put(f"/api/v1/edges/{uuid4()}/settings", json=wanted)

    assert put.status_code == 200, put.text
    assert state.settings_json == b'{"sampling":{"rate":0.1}}'
    assert state.privacy_floor == pb.PRIVACY_MODE_BALANCED
    assert edges[edge.deployment_id]["settings"] == wanted["settings"]
    assert error(looser, 422)["code"] == "request_invalid"
    assert error(shapeless, 422)["code"] == "request_invalid"
    assert error(unknown, 404)["code"] == "edge_unknown"
