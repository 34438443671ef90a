"""A data_dir and the parts that most of the agent's tests need."""

from pathlib import Path

import pytest

from edged.agent.privacy.audit import AuditLog
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.agent.releasing import Releaser
from edged.datasets.layout import Layout
from tests.fakes.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "data")
    layout.state.mkdir(parents=True)
    return layout


@pytest.fixture
def make_releaser(layout, clock):
    """Return a function that makes a releaser in a privacy mode."""

    def make(mode: Mode) -> Releaser:
        return Releaser(layout, PrivacyFilter(mode, b"k" * KEY_BYTES), AuditLog(layout, clock))

    return make


@pytest.fixture
def releaser(make_releaser) -> Releaser:
    return make_releaser(Mode.BALANCED)
