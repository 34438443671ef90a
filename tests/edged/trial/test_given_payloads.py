"""The given corpus in real jailed workers, with and without the language layer."""

import os
import sys
from pathlib import Path

import pytest

from edged.trial.interpreters import Interpreter, lend_restricted_python
from edged.trial.payloads import read_payloads
from edged.trial.trial import Trial, try_all

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("LOOPAI_TEST_DATA", ROOT.parent / "shared" / "data"))
CORPUS = DATA / "sandbox" / "payloads.jsonl"
FIRST_LINE = Path("/etc/passwd").read_text().partition("\n")[0]
HERE = Interpreter(path=sys.executable, version="{}.{}".format(*sys.version_info))
KERNEL_LAYERS = ["seccomp", "landlock", "rlimits", "uid", "namespaces"]

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        not CORPUS.is_file(),
        reason=f"no payloads in {CORPUS}; name the data folder in LOOPAI_TEST_DATA",
    ),
]


async def trial_of_corpus(
    folder: Path, *, python: Interpreter = HERE, without: str = "", only: str = ""
) -> Trial:
    """Judge the corpus. only: just what is expected to end in this way and no other."""
    return await try_all(
        [each for each in read_payloads(CORPUS) if not only or each.expect == {only}],
        python,
        lend_restricted_python(folder),
        without=frozenset(without.split()),
        time_limit_ms=800.0,
        say=lambda _judgement: None,
    )


async def test_every_payload_ends_as_expected_on_every_python(each_python, tmp_path):
    trial = await trial_of_corpus(tmp_path, python=each_python)

    assert [judgement.as_json() for judgement in trial.differing] == []


async def test_without_the_language_no_payload_reaches_the_machine(tmp_path):
    trial = await trial_of_corpus(tmp_path, without="language")

    endings = {judgement.payload.name: judgement.ending for judgement in trial.judgements}
    assert [name for name, ending in endings.items() if FIRST_LINE in ending.detail] == []
    assert [name for name, ending in endings.items() if ending.verdict == "failed"] == []
    assert endings["open_passwd"].layer == "seccomp"
    assert endings["import_socket"].verdict == "blocked"


@pytest.mark.parametrize("layer", KERNEL_LAYERS)
async def test_with_any_one_kernel_layer_off_the_language_still_stops_them_all(tmp_path, layer):
    trial = await trial_of_corpus(tmp_path, without=layer, only="blocked")

    assert [judgement.as_json() for judgement in trial.differing] == []


@pytest.mark.parametrize("layer", KERNEL_LAYERS)
async def test_without_the_language_and_any_one_kernel_layer_no_payload_reaches_the_machine(
    tmp_path, layer
):
    trial = await trial_of_corpus(tmp_path, without=f"language {layer}", only="blocked")

    endings = {judgement.payload.name: judgement.ending for judgement in trial.judgements}
    assert [name for name, ending in endings.items() if FIRST_LINE in ending.detail] == []
    assert [name for name, ending in endings.items() if ending.verdict == "failed"] == []
