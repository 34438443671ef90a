"""Rollouts at one edge: real logs, real pool, a stand-in for the gateway."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import orjson
import pytest

from edged.agent.applier import Target
from edged.agent.decisions_log import DecisionLog
from edged.agent.rollout_file import RolloutFolder, RolloutState
from edged.agent.rollouts import Rollouts, Trial
from edged.agent.shadow import Shadow
from edged.agent.store import ArtifactStore
from edged.artifacts.archive import pack
from edged.datasets.records import Execution, render
from edged.datasets.writer import LogWriter
from edged.decisions.plan import Plan, Stage
from edged.decisions.plan import Shadow as ShadowPlan
from edged.decisions.progress import Command, CommandKind
from edged.decisions.routing import Routes
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from tests.fakes.judge import SlowJudge

STAGES = tuple(Stage(weight=w, min_executions=50, min_duration_s=0) for w in (0.1, 0.5, 1.0))
WHISPER = 'def run(input_data):\n    return input_data["text"].lower()\n'
SPINS = "def run(input_data):\n    while True:\n        pass\n"


@pytest.fixture
def comparing():
    return {}


@pytest.fixture
def judge(comparing):
    comparing["shout"] = SlowJudge()
    return comparing["shout"]


@pytest.fixture
def start(layout, applier, clock, comparing):
    """Return a context in which rollouts run, as after a start of the agent."""

    @asynccontextmanager
    async def start():
        pool = Pool(PoolSettings(workers_per_version=1, time_limit_ms=100))
        shadow = Shadow(layout, pool, comparing)
        rollouts = Rollouts(layout, applier, shadow, DecisionLog(layout, clock), clock)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(part()) for part in (shadow.run, rollouts.run)]
            yield rollouts
            for task in running:
                task.cancel()

    return start


@pytest.fixture
def publish(layout, make_artifact):
    """Return a function that puts a version on this edge's disk."""
    store = ArtifactStore(layout)
    return lambda program, version: store.add(pack(make_artifact(program, version=version)))


@pytest.fixture
def trial(publish):
    stable = publish('def run(input_data):\n    return input_data["text"].upper()\n', 1)
    candidate = publish(WHISPER, 2)
    plan = Plan(rollout_id="r1", stages=STAGES, shadow=None)
    return Trial(stable=stable, candidate=candidate, plan=plan)


@pytest.fixture
def execute(layout, clock):
    """Return a function that writes executions of a version into the log."""
    writer = LogWriter(layout, "executions", clock)

    def execute(count: int, version: int, **fields: object) -> None:
        execution = Execution(
            execution_id="1",
            task="shout",
            version=version,
            arm="candidate" if version == 2 else "stable",
            input_json=b'{"text":"a"}',
            **{"latency_ms": 1.0, **fields},
        )
        writer.append("shout", [render(execution, "")] * count)

    yield execute
    writer.close()


@pytest.fixture
def validate(layout, clock):
    """Return a function that writes validations v0, v1, … of the stable version into the log."""
    writer = LogWriter(layout, "validations", clock, prefix="sampled-")

    def validate(count: int, *, output: str, truth: str) -> None:
        line = {
            "execution_id": "1",
            "task": "shout",
            "version": 1,
            "channel": "audit",
            "status": "success",
            "input": {"text": "Ab"},
            "output": output,
            "oracle_output": truth,
            "match": output == truth,
        }
        lines = [orjson.dumps({**line, "id": f"v{n}"}) + b"\n" for n in range(count)]
        writer.append("shout", lines)

    yield validate
    writer.close()


def decisions(layout) -> list[dict]:
    lines = []
    for path in sorted(layout.log("shout", "decisions").glob("*.jsonl")):
        lines += [orjson.loads(line) for line in path.read_bytes().splitlines()]
    return lines


def stored(layout) -> RolloutState:
    [state] = RolloutFolder(layout).read_all()
    return state


def weights(layout) -> dict[int, float]:
    route = Routes.parse(layout.routes.read_bytes()).tasks["shout"]
    return {arm.version: arm.weight for arm in route.arms}


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 files announce nothing
            await asyncio.sleep(0.02)


async def begin(rollouts, applier, trial) -> None:
    await applier.apply("home", [rollouts.target(trial)], 1)


async def serve(execute, layout, weight: float) -> None:
    """Write the traffic of a stage: enough, clean, in proportion."""
    await until(lambda: weights(layout).get(2) == weight)
    if weight < 1:
        execute(round(600 * (1 - weight) / weight), 1)
    execute(600, 2)


async def test_clean_traffic_takes_a_candidate_to_all_of_it(start, applier, trial, execute, layout):
    async with start() as rollouts:
        execute(500, 1)  # what the stable version's p99 is taken from
        await begin(rollouts, applier, trial)
        for weight in (0.1, 0.5, 1.0):
            await serve(execute, layout, weight)
        await until(lambda: decisions(layout) and decisions(layout)[-1]["action"] == "promote")
        await until(lambda: weights(layout) == {2: 1.0})

    steps = [(line["action"], line["stage"]) for line in decisions(layout)]
    assert steps == [("advance", 2), ("advance", 3), ("promote", 3)]
    assert all(line["verdict"] == "PASS" and line["evidence"] for line in decisions(layout))
    assert str(layout.active("shout").readlink()) == "v2"


async def test_errors_roll_a_candidate_back_with_the_reason_in_words(
    start, applier, trial, execute, layout
):
    async with start() as rollouts:
        await begin(rollouts, applier, trial)
        execute(500, 1)
        execute(60, 2, status="error", error_type="KeyError")
        await until(lambda: decisions(layout))
        await until(lambda: weights(layout) == {1: 1.0})

    [step] = decisions(layout)
    assert (step["action"], step["verdict"]) == ("roll_back", "FAIL")
    assert "errors 100.0 % against 0.0 %, 60 of 60" in step["reason"]


async def test_a_shadow_that_is_right_more_often_gets_traffic(
    start, applier, trial, validate, layout
):
    trial = replace(trial, plan=replace(trial.plan, shadow=ShadowPlan(min_pairs=20)))
    async with start() as rollouts:
        await begin(rollouts, applier, trial)
        shadow_weights = weights(layout)
        validate(40, output="AB", truth="ab")
        await until(lambda: weights(layout).get(2) == 0.1)

    [step] = decisions(layout)
    assert shadow_weights == {1: 1.0}
    assert (step["from_phase"], step["action"]) == ("shadow", "advance")
    assert "candidate alone right in 40 of 40" in step["reason"]


@pytest.mark.parametrize(
    ("program", "words"),
    [(WHISPER, "stable alone in"), (SPINS, "candidate alone right in 0 of")],
)
async def test_a_shadow_that_is_worse_never_gets_traffic(
    start, applier, trial, publish, validate, layout, program, words
):
    plan = replace(trial.plan, shadow=ShadowPlan(min_pairs=20))
    trial = replace(trial, plan=plan, candidate=publish(program + "\n# as v3", 3))
    async with start() as rollouts:
        await begin(rollouts, applier, trial)
        validate(40, output="AB", truth="AB")
        await until(lambda: decisions(layout))

    [step] = decisions(layout)
    assert step["action"] == "roll_back"
    assert words in step["reason"]
    assert weights(layout) == {1: 1.0}


async def test_a_restart_goes_on_and_counts_nothing_twice(start, applier, trial, execute, layout):
    async with start() as rollouts:
        execute(500, 1)
        await begin(rollouts, applier, trial)
        await serve(execute, layout, 0.1)
        await until(lambda: weights(layout).get(2) == 0.5)

    async with start():
        await asyncio.sleep(1.2)  # two looks: nothing of stage 1 may count for stage 2
        after_restart = weights(layout)
        await serve(execute, layout, 0.5)
        await until(lambda: weights(layout) == {2: 1.0})

    assert after_restart == {1: 0.5, 2: 0.5}
    assert [line["stage"] for line in decisions(layout)] == [2, 3]


async def test_home_may_pause_resume_and_abort(start, applier, trial, execute, layout):
    def command(number: int, kind: CommandKind) -> Command:
        return Command(command_id=str(number), kind=kind, reason="by hand")

    kinds = (CommandKind.PAUSE, CommandKind.RESUME, CommandKind.ABORT)
    commands = tuple(command(number, kind) for number, kind in enumerate(kinds))
    async with start() as rollouts:
        await begin(rollouts, applier, trial)
        for count in (1, 2, 3):
            rollouts.target(replace(trial, commands=commands[:count]))
            await until(lambda count=count: len(decisions(layout)) == count)
        await until(lambda: weights(layout) == {1: 1.0})

    assert [line["action"] for line in decisions(layout)] == ["pause", "resume", "roll_back"]
    assert decisions(layout)[-1]["reason"] == "abort from home: by hand"


async def test_a_candidate_the_gateway_refuses_is_rolled_back(
    start, applier, gateway, trial, layout
):
    plan = replace(trial.plan, shadow=ShadowPlan(min_pairs=20))
    force = Command(command_id="1", kind=CommandKind.FORCE)
    gateway.refused = {2}
    async with start() as rollouts:
        await begin(rollouts, applier, replace(trial, plan=plan))
        rollouts.target(replace(trial, plan=plan, commands=(force,)))
        await until(lambda: len(decisions(layout)) == 2)

    last = decisions(layout)[-1]
    assert last["action"] == "roll_back"
    assert "the candidate cannot be served: line 1, column 1: refused" in last["reason"]
    assert weights(layout) == {1: 1.0}


async def test_a_withdrawn_candidate_is_forgotten(start, applier, trial, layout):
    async with start() as rollouts:
        await begin(rollouts, applier, trial)

        rollouts.retire([])
        await applier.apply("home", [Target.of(trial.stable)], 2)

    assert weights(layout) == {1: 1.0}
    assert list((layout.state / "rollouts").iterdir()) == []


async def test_a_candidate_that_was_quarantined_is_rolled_back(start, applier, trial, layout):
    async with start() as rollouts:
        await begin(rollouts, applier, trial)

        rollouts.refuse(trial.candidate.digest, "quarantined: it crashed its process 10 times")
        await until(lambda: any(d["action"] == "roll_back" for d in decisions(layout)))

        assert "quarantined: it crashed" in decisions(layout)[-1]["reason"]
        await until(lambda: weights(layout) == {1: 1.0})


async def test_a_command_that_comes_during_a_look_is_carried_out(
    start, applier, trial, validate, judge, layout
):
    trial = replace(trial, plan=replace(trial.plan, shadow=ShadowPlan(min_pairs=20)))
    abort = Command(command_id="1", kind=CommandKind.ABORT, reason="by hand")
    async with start() as rollouts:
        await begin(rollouts, applier, trial)
        validate(1, output="AB", truth="AB")
        await judge.asked.wait()

        rollouts.target(replace(trial, commands=(abort,)))
        judge.may_answer.set()
        await until(lambda: decisions(layout))

    assert decisions(layout)[-1]["reason"] == "abort from home: by hand"


async def test_a_candidate_that_is_withdrawn_during_a_look_stays_withdrawn(
    start, applier, trial, validate, judge, layout
):
    trial = replace(trial, plan=replace(trial.plan, shadow=ShadowPlan(min_pairs=20)))
    async with start() as rollouts:
        await begin(rollouts, applier, trial)
        validate(1, output="AB", truth="AB")
        await judge.asked.wait()

        rollouts.retire([])
        judge.may_answer.set()
        for _ in range(20):  # turns of the loop: the look ends without waiting for anything more
            await asyncio.sleep(0)

    assert list((layout.state / "rollouts").iterdir()) == []


async def test_a_refusal_by_the_gateway_keeps_what_home_said_meanwhile(
    start, applier, gateway, trial, layout
):
    force = Command(command_id="1", kind=CommandKind.FORCE)
    pause = Command(command_id="2", kind=CommandKind.PAUSE)
    async with start() as rollouts:
        await begin(rollouts, applier, trial)
        gateway.refused = {2}
        gateway.may_answer.clear()
        rollouts.target(replace(trial, commands=(force,)))
        await until(lambda: decisions(layout))
        rollouts.target(replace(trial, commands=(force, pause)))
        gateway.may_answer.set()
        await until(lambda: len(decisions(layout)) == 2)

    assert stored(layout).commands == (force, pause)


async def test_what_is_read_again_after_a_judge_was_away_counts_once(
    start, applier, trial, execute, validate, judge, layout
):
    trial = replace(trial, plan=replace(trial.plan, shadow=ShadowPlan(min_pairs=20)))
    judge.away_for = 2
    judge.may_answer.set()
    async with start() as rollouts:
        await begin(rollouts, applier, trial)
        execute(10, 1)
        validate(1, output="ab", truth="ab")
        await until(lambda: stored(layout).progress.pairs.agreed)

    progress = stored(layout).progress
    assert (progress.stable.executions, progress.pairs.agreed) == (10, 1)


async def test_a_validation_that_is_written_again_counts_once(
    start, applier, trial, validate, layout
):
    async with start() as rollouts:
        await begin(rollouts, applier, trial)
        validate(2, output="AB", truth="AB")
        await until(lambda: stored(layout).progress.stable.labels)
    async with start():
        validate(3, output="AB", truth="AB")
        await until(lambda: stored(layout).progress.stable.labels > 2)

    assert stored(layout).progress.stable.labels == 3
