"""Run one benchmark and print its figures; the last line is one JSON object.

Runs in: a person's shell, as scripts/bench. Never: asserts.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.support.bench import execute, follow, pool, privacy, programs, rpc, streams

# A module offers add_arguments(parser), run(folder, options, say) and describe(report).
BENCHMARKS = {
    "execute": execute,
    "follow": follow,
    "pool": pool,
    "privacy": privacy,
    "programs": programs,
    "rpc": rpc,
    "streams": streams,
}


def main() -> int:
    """Run the named benchmark."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parsers = parser.add_subparsers(dest="what", required=True)
    for name, module in BENCHMARKS.items():
        one = parsers.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        module.add_arguments(one)
        one.add_argument("--json", action="store_true", help="print the JSON only")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="loopai-bench-"))
    try:
        benchmark = BENCHMARKS[options.what]
        report = benchmark.run(
            folder, options, lambda text: print(text, file=sys.stderr, flush=True)
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not options.json:
        print(benchmark.describe(report))
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
