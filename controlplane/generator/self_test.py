"""Choose the examples that travel with a program, so that an edge can check its copy works.

Runs in: jobs. Talks to: nothing. Never: claims that the outputs are right; they are the program's.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from controlplane.generator.protocol import Example, Run
from controlplane.generator.table import canonical

MAX_TESTS = 20
MAX_INPUT_BYTES = 4_000  # of one input; twenty e-mails would outweigh the program


def self_test_of(rows: Sequence[Example], runs: Sequence[Run]) -> tuple[Example, ...]:
    """Return at most twenty inputs with the program's own outputs, every output in turn.

    rows, runs: the inputs and how the program fared on them, in the same order.
    """
    by_output: dict[bytes, list[Any]] = defaultdict(list)
    for row, run in zip(rows, runs, strict=True):
        if run.output_json is not None and len(canonical(row.input)) <= MAX_INPUT_BYTES:
            by_output[run.output_json].append(row.input)
    chosen: list[Example] = []
    for turn in range(MAX_TESTS):
        for output_json in sorted(by_output):
            if turn < len(by_output[output_json]) and len(chosen) < MAX_TESTS:
                value = by_output[output_json][turn]
                chosen.append(Example(input=value, output=json.loads(output_json)))
    return tuple(chosen)
