"""Run one scenario and print what survived; the last line is one JSON object.

Runs in: a person's shell, as scripts/chaos. Talks to: processes it started, on loopback. Never:
harms anything else, or runs longer than asked. Exit code 0 when the promise held.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.support.chaos import (
    disk,
    drain,
    edge,
    hostile,
    kill,
    mutants,
    neighbours,
    offline,
    soak,
)
from scripts.support.stack import StackError

# A module offers add_arguments(parser), run(folder, options, say) and is_good(report).
SCENARIOS = {
    "disk": disk,
    "drain": drain,
    "edge": edge,
    "hostile": hostile,
    "kill": kill,
    "mutants": mutants,
    "neighbours": neighbours,
    "offline": offline,
    "soak": soak,
}


def main() -> int:
    """Run the named scenario."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description=__doc__)
    parsers = parser.add_subparsers(dest="what", required=True)
    for name, module in SCENARIOS.items():
        one = parsers.add_parser(name, help=(module.__doc__ or "").splitlines()[0])
        module.add_arguments(one)
        one.add_argument("--json", action="store_true", help="print the JSON only")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="loopai-chaos-"))
    out = sys.stderr if options.json else sys.stdout
    scenario = SCENARIOS[options.what]
    try:
        report = scenario.run(folder, options, lambda text: print(text, file=out, flush=True))
    except StackError as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report))
    return 0 if scenario.is_good(report) else 1


if __name__ == "__main__":
    sys.exit(main())
