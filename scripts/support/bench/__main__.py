"""Run one benchmark and print its figures; the last line is one JSON object.

Runs in: a person's shell, as scripts/bench. Exit code 1 when a benchmark with a promise broke it.
"""

import json
import sys

from scripts.support import menu
from scripts.support.bench import execute, follow, pool, privacy, programs, rpc, streams

# A module offers add_arguments(parser), run(folder, options, say) and describe(report); one with a
# promise also is_good(report).
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
    benchmark, options = menu.choose("bench", __doc__, BENCHMARKS)
    report = menu.run("bench", benchmark, options, sys.stderr)
    if not options.json:
        print(benchmark.describe(report))
    print(json.dumps(report))
    is_good = getattr(benchmark, "is_good", None)
    return 0 if is_good is None or is_good(report) else 1


if __name__ == "__main__":
    sys.exit(main())
