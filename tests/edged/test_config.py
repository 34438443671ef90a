from pathlib import Path

import pytest

from edged.config import load
from edged.deployment import Deployment
from edged.errors import ConfigInvalid

SPECIFIED = """
runtime:   {mode: edge}
cloud:     {api_url: "http://127.0.0.1:8000", api_key: "${LOOPAI_API_KEY}", realtime_enabled: true}
execution: {worker_count: 4, timeout_ms: 1000}
sampling:  {strategy: random, rate: 0.05}
telemetry: {enabled: true, upload_interval_sec: 60, batch_size: 1000, privacy_mode: balanced}
storage:   {data_dir: data, retention_days: 30, max_size_gb: 100}
retention: {executions: {keep_days: 7, compress_after: 1}, validations: {keep_days: 30}}
privacy:   {pii_detection: true, hash_inputs: false, sample_only: true}
"""


def asked(url: str, privacy_mode: str = "balanced") -> str:
    return (
        f'validation: {{spam: {{oracle: http, url: "{url}"}}}}\n'
        f"telemetry: {{privacy_mode: {privacy_mode}}}"
    )


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "deployment.yaml"
        path.write_text(text)
        return path

    return write


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in ("LOOPAI_API_KEY", "LOOPAI_TASK_ID", "LOOPAI_EXECUTION__TIMEOUT_MS"):
        monkeypatch.delenv(name, raising=False)


def test_the_specified_file_is_read_whole(write, tmp_path, monkeypatch):
    monkeypatch.setenv("LOOPAI_API_KEY", "made-up")

    deployment = load(write(SPECIFIED), {}, None)

    assert deployment.storage.data_dir == tmp_path / "data"
    assert deployment.cloud.link_address == "127.0.0.1:50052"
    assert deployment.cloud.api_key.get_secret_value() == "made-up"


def test_flags_win_over_environment_over_file(write, monkeypatch):
    path = write("execution: {timeout_ms: 1, worker_count: 1, memory_mb: 100}")
    monkeypatch.setenv("LOOPAI_EXECUTION__TIMEOUT_MS", "2")
    monkeypatch.setenv("LOOPAI_EXECUTION__WORKER_COUNT", "2")

    execution = load(path, {"execution": {"timeout_ms": 3}}, None).execution

    assert (execution.timeout_ms, execution.worker_count, execution.memory_mb) == (3, 2, 100)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("surprise: 1", "surprise: unknown key"),
        ("execution: {timeout: 5}", "execution.timeout: unknown key"),
        ("execution: {timeout_ms: soon}", "execution.timeout_ms: Input should be a valid number"),
        ("sampling: {rate: 0.5}", "sampling.rate: Input should be less than or equal to 0.2"),
        ('storage: {data_dir: "${NOT_SET}"}', "storage.data_dir: the environment has no NOT_SET"),
        ("cloud: {api_key: in-clear}", "cloud.api_key: write ${LOOPAI_API_KEY}"),
        ("storage: {encryption: {key: in-clear}}", "storage.encryption.key: write ${LOOPAI_DATA"),
        ("storage: {fsync: sometimes}", "storage.fsync: Input should be 'never', 'interval' or"),
        ("cloud: {api_url: ftp://x}", "must look like http://host:port"),
        ("listen: {grpc: 50051}", "listen.grpc"),
        (
            "runtime: {rpc_server: grpcio}\nlisten: {tls: {certificate: c.pem, key: k.pem}}",
            "runtime.rpc_server: grpcio cannot be held to TLS 1.3: use ngh2",
        ),
        ("validation: {spam: {oracle: http}}", "validation.spam.url: is missing"),
        ("validation: {spam: {oracle: tarot}}", "validation.spam: oracle must be one of"),
        (
            "validation: {spam: {url: 'http://127.0.0.1/'}}",
            "validation.spam: oracle is missing",
        ),
        ("validation: {spam: {oracle: outcome, cost: 1}}", "validation.spam.cost: unknown"),
        ("validation: {Spam: {oracle: outcome}}", "validation.Spam"),
        (asked("http://user:pass@127.0.0.1/"), "url: must look like http://host:port/path"),
        (asked("http://127.0.0.1:99999/"), "url: must look like http://host:port/path"),
        (asked("http://10.0.0.1/label"), "validation.spam.url: sends inputs in clear; use https"),
        (asked("https://label.example/", "strict"), "which privacy_mode strict forbids"),
        (asked("https://label.example/") + "\nprivacy: {hash_inputs: true}", "hash_inputs forbids"),
        ("- 1", "must be a mapping of sections"),
        ("", "is empty: write {} for the defaults"),
        ("\n \n", "is empty: write {} for the defaults"),
        ("a: [", "line 1, column 5"),
        ("a: &x [1, 1]\nb: [*x, *x]", "aliases (*name) are not allowed"),
    ],
)
def test_a_wrong_file_gets_one_clear_line(write, text, message):
    with pytest.raises(ConfigInvalid) as caught:
        load(write(text), {}, None)

    assert message in str(caught.value)
    assert "deployment.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "in-clear" not in str(caught.value)


@pytest.mark.parametrize("text", ["{}", "# privacy: {hash_inputs: true}\n", "---\n"])
def test_a_file_may_leave_all_to_the_defaults(write, text):
    assert load(write(text), {}, None) == load(None, {}, None)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigInvalid, match=r"absent\.yaml: No such file"):
        load(tmp_path / "absent.yaml", {}, None)


def test_only_the_agent_inherits_the_key(monkeypatch):
    monkeypatch.setenv("LOOPAI_API_KEY", "made-up")
    deployment = load(None, {}, None)

    agents, gateways = (deployment.render(with_key=flag) for flag in (True, False))

    assert Deployment.inherited(agents).cloud.api_key.get_secret_value() == "made-up"
    assert b"made-up" not in gateways
    assert "made-up" not in repr(deployment)


def test_a_key_comes_from_a_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("from-file\n")

    deployment = load(None, {}, path)

    assert deployment.cloud.api_key.get_secret_value() == "from-file"


def test_keys_for_the_logs_come_from_a_file_and_reach_both_children(write, tmp_path):
    (tmp_path / "keys").write_text("11" * 32 + "\n" + "22" * 32 + "\n")

    deployment = load(write("storage: {encryption: {key_file: keys}}"), {}, None)

    for with_key in (True, False):
        inherited = Deployment.inherited(deployment.render(with_key=with_key))
        assert inherited.storage.layout.keyring is not None
    assert "11" * 32 not in repr(deployment)


def test_a_missing_file_of_keys_is_named(write):
    with pytest.raises(ConfigInvalid, match="absent: No such file"):
        load(write("storage: {encryption: {key_file: absent}}"), {}, None)


def test_a_key_for_the_logs_that_is_none_is_refused_without_showing_it(write, monkeypatch):
    monkeypatch.setenv("LOOPAI_DATA_KEY", "secret-but-short")

    with pytest.raises(ConfigInvalid, match="64 hex digits") as caught:
        load(write('storage: {encryption: {key: "${LOOPAI_DATA_KEY}"}}'), {}, None)

    assert "secret" not in str(caught.value)


def test_the_environment_names_the_task(monkeypatch):
    monkeypatch.setenv("LOOPAI_TASK_ID", "spam")

    assert load(None, {}, None).tasks == ("spam",)


def test_what_nothing_obeys_yet_is_listed(write):
    unheeded = load(write("cloud: {realtime_enabled: true}"), {}, None).without_effect

    assert unheeded == ["cloud.realtime_enabled"]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9000/label",
        "http://[::1]:80/",
        "http://localhost",
        "http://127.1.2.3/?x=1",
    ],
)
def test_an_oracle_on_this_machine_is_permitted_in_every_mode(write, url):
    validation = load(write(asked(url, "strict")), {}, None).validation

    assert validation["spam"].url == url


def test_every_child_inherits_the_oracles(write, tmp_path):
    text = "validation: {spam: {oracle: program, artifact: reference.zip}, news: {oracle: outcome}}"
    deployment = load(write(text), {}, None)

    inherited = Deployment.inherited(deployment.render(with_key=False))

    assert inherited.validation == deployment.validation
    assert inherited.validation["spam"].artifact == tmp_path / "reference.zip"


@pytest.mark.parametrize(
    ("text", "names"),
    [("temporal", ("temporal",)), ("[uncertainty, stratified]", ("uncertainty", "stratified"))],
)
def test_strategies_may_be_one_or_several(write, text, names):
    assert load(write(f"sampling: {{strategy: {text}}}"), {}, None).sampling.strategies == names


def test_strategies_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("LOOPAI_SAMPLING__STRATEGY", '["uncertainty", "temporal"]')

    assert load(None, {}, None).sampling.strategies == ("uncertainty", "temporal")


def test_one_strategy_may_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("LOOPAI_SAMPLING__STRATEGY", "active")

    assert load(None, {}, None).sampling.strategies == ("active",)


def test_isolation_reaches_the_gateways_pool_whole(write, monkeypatch):
    path = write(
        "isolation: {class: per_program, tasks: {spam: per_request}}\n"
        "execution: {min_workers: 1, task_calls: {topic: 7}}"
    )
    monkeypatch.setenv("LOOPAI_ISOLATION__CLASS", "per_request")

    deployment = Deployment.inherited(load(path, {}, None).render(with_key=False))

    assert (deployment.pool.isolation, deployment.pool.workers_min) == ("per_request", 1)
    assert deployment.placements["spam"].isolation == "per_request"
    assert deployment.placements["topic"].calls_limit == 7


def test_a_task_names_its_class_and_its_backend(write):
    path = write("isolation: {tasks: {spam: {class: shared, backend: monty}, topic: {}}}")

    deployment = Deployment.inherited(load(path, {}, None).render(with_key=False))

    spam, topic = (deployment.placements[task] for task in ("spam", "topic"))
    assert (spam.isolation, spam.backend) == ("shared", "monty")
    assert (topic.isolation, topic.backend) == (None, "python")
    assert deployment.pool.has_monty


def test_a_backend_that_is_not_installed_is_refused_with_what_to_install(write, monkeypatch):
    monkeypatch.setattr("edged.sandbox.backend.MONTY_VERSION", "0.0.0")

    with pytest.raises(ConfigInvalid) as refused:
        load(write("isolation: {tasks: {spam: {backend: monty}}}"), {}, None)

    assert "isolation.tasks.spam.backend: backend monty needs" in str(refused.value)
    assert "pip install 'loopai[monty]'" in str(refused.value)
    load(write("isolation: {tasks: {spam: {backend: python}}}"), {}, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("isolation: {class: lofty}", "isolation.class"),
        ("isolation: {tasks: {spam: lofty}}", "isolation.tasks.spam"),
        ("isolation: {tasks: {spam: {backend: lua}}}", "isolation.tasks.spam.backend"),
        ("execution: {task_calls: {spam: 0}}", "execution.task_calls.spam"),
        ("execution: {min_workers: 5, worker_count: 4}", "min_workers must not exceed"),
    ],
)
def test_terms_that_cannot_be_kept_are_named(write, text, message):
    with pytest.raises(ConfigInvalid, match=message):
        load(write(text), {}, None)
