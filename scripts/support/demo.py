"""The main job, end to end, on real processes: examples in, a program serving, every call counted.

Runs in: a person's shell, as scripts/demo. Never: leaves a process behind.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from loopai.answers import Answer
from loopai.client import EdgeClient
from loopai.controlplane import ControlPlane, ControlPlaneError

from scripts.support import improve
from scripts.support.rows import Row, read_rows
from scripts.support.stack import ControlPlaneProcess, EdgeProcess, StackError, until
from scripts.support.story import Story, generate

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
HOLD_OUT = 10  # without --requests, every tenth example becomes a request instead
# A second instead of a minute, so that a person sees the counts arrive.
EDGE = {"telemetry": {"upload_interval_sec": 1}}


def main() -> int:
    """Parse, walk, report. Exit code 0 when every promise of the walk held."""
    options = _options()
    story = Story(sys.stderr if options.json else sys.stdout)
    folder = Path(tempfile.mkdtemp(prefix="loopai-demo-"))
    try:
        examples, requests = _rows(options)
        task = options.task or _task_name(options.examples)
        run = improve.walk if options.walk == "improve" else walk
        report = run(story, folder, task, examples, requests)
    except (ValueError, OSError, StackError, ControlPlaneError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        if options.keep:
            story.say(f"Everything is kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(report))
    return 0 if report["is_complete"] else 1


def walk(
    story: Story, folder: Path, task: str, examples: Path, requests: list[Row]
) -> dict[str, Any]:
    """Run the whole main job and return its figures."""
    with ExitStack() as stack:
        with story.step("Start a control plane on nothing but an empty folder"):
            server = stack.enter_context(ControlPlaneProcess(folder))
            home = stack.enter_context(ControlPlane(server.url, server.api_key))
            story.say(f"REST at {server.url}, link at {server.link}")
        with story.step(f"Describe the task {task!r} and upload its examples"):
            home.create_task(task, description=f"Label each input of {examples.name}.")
            stored = home.add_examples(task, examples)
            story.say(f"{stored['stored']} examples stored")
        with story.step("Generate a program; no language model is called"):
            made = generate(story, home, task)
        with story.step("Start an edge: it enrols, fetches the signed artifact and serves it"):
            edge = stack.enter_context(EdgeProcess(folder, EDGE, server))
            until(lambda: _serves(edge, task), f"the edge serves {task}")
            story.say(f"gRPC at {edge.grpc}, HTTP at {edge.http}")
        with story.step(f"Send {len(requests)} requests over gRPC, one at a time"):
            answers, seconds = _send(edge, task, requests)
        report = _figures(made, requests, answers, seconds)
        story.say(
            f"accuracy {report['accuracy']:.4f}, p50 {report['p50_ms']:.2f} ms, "
            f"p99 {report['p99_ms']:.2f} ms as the client saw it"
        )
        with story.step("Find every execution in the local log, and its count at home"):
            report["logged"] = _logged(edge, task, answers)
            until(lambda: _reported(home, task) >= len(answers), "the counts arrive at home")
            report["reported"] = _reported(home, task)
            story.say(f"logged {report['logged']}, counted at home {report['reported']}")
        with story.step("Download the artifact and run it alone, with nothing installed"):
            report["zip_is_identical"] = _is_identical(folder, home, made, task, requests, answers)
            story.say(f"outputs identical to the edge's: {report['zip_is_identical']}")
        story.say("")
    story.say("All processes are stopped, and the folder is removed")
    report["seconds"] = story.seconds
    counts = {report["requests"], report["logged"], report["reported"]}
    report["is_complete"] = len(counts) == 1 and report["zip_is_identical"]
    return report


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    walks = "main: the main job; improve: drift, trigger, rollout, rollback"
    parser.add_argument("walk", nargs="?", choices=["main", "improve"], default="main", help=walks)
    parser.add_argument("--examples", type=Path, default=EXAMPLES / "router.jsonl",
                        help="JSONL or CSV; label (or output) is the right answer")  # fmt: skip
    parser.add_argument("--requests", type=Path, help="what to send; the same form as --examples")
    parser.add_argument("--label-field", help="the field with the right answer, if not label")
    parser.add_argument("--task", help="the task's name; by default from the file's")
    parser.add_argument("--json", action="store_true", help="end in one JSON object on stdout")
    parser.add_argument("--keep", action="store_true", help="keep the folder with all data")
    return parser.parse_args()


def _rows(options: argparse.Namespace) -> tuple[Path, list[Row]]:
    """Return the examples' file and the requests; without requests, some examples become those."""
    if options.requests is None and options.examples == EXAMPLES / "router.jsonl":
        options.requests = EXAMPLES / "router_requests.jsonl"
        if options.walk == "improve":  # thirty texts are too few to drift and learn anew from
            both = [*read_rows(options.requests), *read_rows(options.examples)]
            return options.examples, both
    if options.requests is not None:
        return options.examples, read_rows(options.requests, options.label_field)
    rows = read_rows(options.examples, options.label_field)
    if options.walk == "improve":  # a tenth of the texts would be too few to learn anew from
        return options.examples, rows
    kept = [row for number, row in enumerate(rows) if number % HOLD_OUT]
    path = Path(tempfile.mkstemp(suffix=".jsonl", prefix="loopai-examples-")[1])
    path.write_text(
        "".join(json.dumps({"input": r.input, "output": r.output}) + "\n" for r in kept)
    )
    return path, rows[::HOLD_OUT]


def _task_name(examples: Path) -> str:
    return re.sub(r"[^a-z0-9]+", "-", examples.name.split(".")[0].lower()).strip("-")[:63]


def _serves(edge: EdgeProcess, task: str) -> bool:
    with EdgeClient(edge.grpc) as client:
        return any(served.name == task for served in client.list_tasks())


def _send(edge: EdgeProcess, task: str, requests: list[Row]) -> tuple[list[Answer], list[float]]:
    answers, seconds = [], []
    with EdgeClient(edge.grpc) as client:
        for row in requests:
            begun_s = time.perf_counter()
            answers.append(client.execute(row.input, task=task))
            seconds.append(time.perf_counter() - begun_s)
    return answers, seconds


def _figures(
    made: dict[str, Any], requests: list[Row], answers: list[Answer], seconds: list[float]
) -> dict[str, Any]:
    right = sum(a.output == row.output for a, row in zip(answers, requests, strict=True))
    ordered = sorted(seconds)
    return {
        "version": made["version"],
        "digest": made["digest"],
        "strategy": made["strategy"],
        "confidence_score": made["confidence_score"],
        "requests": len(answers),
        "accuracy": round(right / len(answers), 4),
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 3),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 3),
    }


def _logged(edge: EdgeProcess, task: str, answers: list[Answer]) -> int:
    """Count the answers whose execution stands in the log exactly once."""
    lines: dict[str, int] = {}
    for line in edge.logged(task):
        lines[line["execution_id"]] = lines.get(line["execution_id"], 0) + 1
    return sum(lines.get(answer.execution_id) == 1 for answer in answers)


def _reported(home: ControlPlane, task: str) -> int:
    return sum(arm["executions"] for arm in home.telemetry(task)["arms"])


def _is_identical(
    folder: Path,
    home: ControlPlane,
    made: dict[str, Any],
    task: str,
    requests: list[Row],
    answers: list[Answer],
) -> bool:
    archive = folder / f"{task}-v{made['version']}.zip"
    archive.write_bytes(home.download(task, made["version"]))
    inputs = "".join(json.dumps(row.input) + "\n" for row in requests)
    done = subprocess.run(
        [sys.executable, "-I", str(archive)], input=inputs.encode(), capture_output=True, check=True
    )
    return done.stdout == b"".join(answer.output_json + b"\n" for answer in answers)


if __name__ == "__main__":
    sys.exit(main())
