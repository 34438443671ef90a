"""`edged doctor` as a process."""

import json
import subprocess
import sys

from edged.commands.doctor import in_words, judge
from edged.pool.barriers import BARRIERS, MINIMUM
from edged.pool.report import JailReport


def doctor(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edged.commands", "doctor", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_barrier_is_named_with_what_it_stops_and_how_to_get_it():
    ended = doctor("--json")

    report = json.loads(ended.stdout)
    barriers = {barrier["name"]: barrier for barrier in report["barriers"]}
    assert (ended.returncode, report["ready"], report["missing"]) == (0, True, [])
    assert list(barriers) == [barrier.name for barrier in BARRIERS]
    assert [name for name, barrier in barriers.items() if barrier["required"]] == sorted(
        MINIMUM, key=list(barriers).index
    )
    assert all(barriers[name]["holds"] for name in MINIMUM)
    assert all(barrier["stops"] and barrier["get_it"] for barrier in barriers.values())


def test_a_barrier_that_is_required_and_missing_fails_with_the_way_out():
    worker = dict.fromkeys(("seccomp", "no_new_privs", "rlimits"), True) | {"landlock_abi": 0}
    found = JailReport(
        python="3.11.7", clean_zygote=True, namespaces_left=(), kills={"fork": True}, worker=worker
    )

    report = judge(found, (*MINIMUM, "landlock"))
    text = in_words(report)

    assert (report["ready"], report["missing"]) == (False, ["landlock"])
    assert "MISSING  required  landlock: stops reaching files" in text
    assert "to get it: Linux 5.13 or newer" in text
    assert "edged serve would refuse to start: landlock missing" in text


def test_a_filter_that_did_not_kill_is_no_seccomp():
    worker = dict.fromkeys(("seccomp", "no_new_privs", "rlimits"), True) | {"landlock_abi": 6}
    found = JailReport(
        python="3.11.7", clean_zygote=True, namespaces_left=(), kills={"fork": False}, worker=worker
    )

    assert judge(found, MINIMUM)["missing"] == ["seccomp"]


def test_an_unknown_barrier_is_a_configuration_error(tmp_path):
    config = tmp_path / "deployment.yaml"
    config.write_text("isolation: {require: [magic]}")

    ended = doctor("--config", str(config))

    assert ended.returncode == 2
    assert "isolation.require: unknown barrier magic; there are clean_zygote" in ended.stderr
