"""Run this artifact alone: one JSON input a line on standard input, one JSON output a line out.

    python ARTIFACT.zip < inputs.jsonl
    python ARTIFACT.zip --confidence < inputs.jsonl    # {"output": …, "confidence": …}
    python ARTIFACT.zip --self-test                    # run the artifact's own examples

Needs Python 3.11 or later and nothing else. A line that fails answers {"error": {"type", "message"}}
and the exit code is 1. No sandbox surrounds a program run in this way.
"""

import json
import sys


def read(name):
    """Return a file of this artifact, zipped or unpacked, as text."""
    folder = __file__.rpartition("__main__.py")[0]
    return __loader__.get_data(folder + name).decode()


def encode(value):
    """Return the canonical text: the edge answers with the same bytes."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def load():
    """Return the program as a function from input to (output, confidence or None)."""
    names = {"__name__": "program"}
    exec(compile(read("program.py"), "program.py", "exec"), names)
    run = names["run"]
    if not json.loads(read("manifest.json"))["returns_confidence"]:
        return lambda value: (run(value), None)

    def split(value):
        result = run(value)
        return result["output"], result["confidence"]

    return split


def self_test(program):
    """Run the artifact's own examples; say which differ."""
    rows = [json.loads(line) for line in read("examples.jsonl").split("\n") if line]
    wrong = [row for row in rows if encode(program(row["input"])[0]) != encode(row["output"])]
    for row in wrong:
        print("differs:", encode(row), file=sys.stderr)
    print(f"{len(rows) - len(wrong)} of {len(rows)} examples as expected")
    return 1 if wrong else 0


def answer(program, line, with_confidence):
    """Return the line that answers one input, and whether it went well."""
    try:
        output, confidence = program(json.loads(line))
        shown = {"output": output, "confidence": confidence} if with_confidence else output
        return encode(shown), True
    except Exception as error:
        return encode({"error": {"type": type(error).__name__, "message": str(error)}}), False


def main(arguments):
    if set(arguments) - {"--self-test", "--confidence"}:
        print(__doc__, file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    program = load()
    if "--self-test" in arguments:
        return self_test(program)
    failures = 0
    for line in sys.stdin.buffer:
        if not line.strip():
            continue
        text, is_answered = answer(program, line, "--confidence" in arguments)
        failures += not is_answered
        sys.stdout.buffer.write(text.encode() + b"\n")
    sys.stdout.buffer.flush()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
