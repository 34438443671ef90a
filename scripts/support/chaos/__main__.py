"""Run one scenario and print what survived; the last line is one JSON object.

Runs in: a person's shell, as scripts/chaos. Talks to: processes it started, on loopback. Never:
harms anything else, or runs longer than asked. Exit code 0 when the promise held.
"""

import json
import sys

from scripts.support import menu
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
    scenario, options = menu.choose("chaos", __doc__, SCENARIOS)
    try:
        report = menu.run("chaos", scenario, options, sys.stderr if options.json else sys.stdout)
    except StackError as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report))
    return 0 if scenario.is_good(report) else 1


if __name__ == "__main__":
    sys.exit(main())
