"""When an ended process is started again."""

import pytest

from edged.inheritance import Inheritance
from edged.supervisor.child import Child

NOTHING = Inheritance(settings="{}", descriptors={}, grpc_address="", control_path="", parent=0)


@pytest.fixture
def child():
    return Child("gateway", "edged.gateway.main", NOTHING, lambda: 100.0, keeps_standby=False)


def test_one_that_was_asked_to_end_is_replaced_at_once_however_often(child):
    delays_s = [child.schedule_restart(was_asked=True) for _ in range(20)]

    assert delays_s == [0.0] * 20


def test_one_that_keeps_dying_at_its_start_is_started_later_and_later(child):
    child._started_s = 99.9

    delays_s = [child.schedule_restart(was_asked=False) for _ in range(40)]

    assert delays_s[:3] == [0.0] * 3
    assert max(delays_s[3:]) > 1.0
