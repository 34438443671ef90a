import pytest

from controlplane.config import JobsSettings, StorageSettings, child_environment, load
from controlplane.errors import ConfigInvalid


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    names = ("DATA_DIR", "HOST", "PORT", "LINK_PORT", "DATABASE_URL", "API_KEY", "INSECURE")
    models = ("LLM_API_KEY", "LLM_BASE_URL", "LLM_MODEL", "LLM_BUDGET_USD")
    for name in names + models:
        monkeypatch.delenv(f"LOOPAI_{name}", raising=False)


def test_nothing_but_a_folder_is_needed(tmp_path):
    settings = load(data_dir=tmp_path)

    assert settings.doors.host == "127.0.0.1"
    assert (settings.doors.port, settings.doors.link_port) == (8000, 50052)
    assert settings.storage.database_url.startswith("sqlite+aiosqlite:////")


def test_flag_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOPAI_PORT", "1234")
    monkeypatch.setenv("LOOPAI_LINK_PORT", "1235")

    settings = load(data_dir=tmp_path, port=0)

    assert (settings.doors.port, settings.doors.link_port) == (0, 1235)


def test_address_for_others_is_refused_unless_asked_for_twice(tmp_path):
    with pytest.raises(ConfigInvalid, match="insecure"):
        load(data_dir=tmp_path, host="0.0.0.0")  # noqa: S104 the point

    assert load(data_dir=tmp_path, host="0.0.0.0", insecure=True).doors.is_insecure  # noqa: S104


def test_wrong_setting_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOPAI_PORT", "many")

    with pytest.raises(ConfigInvalid, match="LOOPAI_PORT"):
        load(data_dir=tmp_path)


def test_child_gets_no_key(monkeypatch):
    monkeypatch.setenv("LOOPAI_API_KEY", "secret")

    assert not [name for name in child_environment() if name.startswith("LOOPAI")]


def test_storage_settings_travel_to_the_child(tmp_path):
    settings = load(data_dir=tmp_path).storage

    assert StorageSettings.inherited(settings.render()) == settings


def test_model_settings_travel_to_the_child_by_its_pipe_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOPAI_LLM_API_KEY", "do-not-print-me")
    monkeypatch.setenv("LOOPAI_LLM_MODEL", "claude-opus-5-5")
    loaded = load(data_dir=tmp_path)
    settings = JobsSettings(storage=loaded.storage, llm=loaded.llm)

    inherited = JobsSettings.inherited(settings.render())

    assert inherited == settings
    assert (inherited.llm.api_key, inherited.llm.model) == ("do-not-print-me", "claude-opus-5-5")
    assert "do-not-print-me" not in repr(loaded) + repr(settings)


def test_key_does_not_show_when_settings_are_printed(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOPAI_API_KEY", "do-not-print-me")

    assert "do-not-print-me" not in repr(load(data_dir=tmp_path))
