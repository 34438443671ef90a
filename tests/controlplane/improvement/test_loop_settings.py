import pytest

from controlplane.config import JobsSettings, load
from controlplane.errors import ConfigInvalid


def test_loop_is_set_by_the_environment_and_travels_to_the_jobs_process(tmp_path, monkeypatch):
    monkeypatch.setenv("LOOPAI_IMPROVEMENT__MIN_LABELS", "31")
    monkeypatch.setenv("LOOPAI_ROLLOUT__STAGE_MIN_DURATION_S", "2")
    monkeypatch.setenv("LOOPAI_ROLLOUT", '{"stage_weights": [0.2, 1.0]}')

    jobs = JobsSettings.inherited(load(data_dir=tmp_path).jobs.render())

    assert jobs == load(data_dir=tmp_path).jobs
    assert jobs.improvement.min_labels == 31
    assert [stage["weight"] for stage in jobs.rollout.plan()["stages"]] == [0.2, 1.0]
    assert {stage["min_duration_s"] for stage in jobs.rollout.plan()["stages"]} == {2}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOOPAI_IMPROVEMENT__MIN_LABELS", "many"),
        ("LOOPAI_IMPROVEMENT__ALPHA", "7"),
        ("LOOPAI_ROLLOUT__SHADOW_RATE", "2"),
    ],
)
def test_wrong_setting_of_the_loop_is_named(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigInvalid, match=r"LOOPAI_(IMPROVEMENT|ROLLOUT)"):
        load(data_dir=tmp_path)
