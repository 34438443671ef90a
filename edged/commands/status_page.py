"""Lay a status out for a person's terminal. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

_WIDTH = 11


def page(found: Mapping[str, Any]) -> str:
    """Return the text of `edged status`."""
    lines = [
        *_head(found),
        *_tasks(found["agent"].get("tasks") or {}),
        *_link(found["agent"].get("link")),
        *_telemetry(found["agent"].get("telemetry") or {}),
        *_validation(found["agent"].get("validation") or {}),
        *_rest(found["agent"]),
    ]
    return "\n".join(lines)


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    edged = found["edged"]
    state = "runs" if found["running"] else "does not run"
    since = f", since {edged['started_at']}" if found["running"] and edged else ""
    yield " ".join(filter(None, ("edged", edged.get("version"), f"{state}{since}")))
    for problem in found["problems"]:
        yield _row("PROBLEM", problem)
    if edged.get("grpc"):
        yield _row("doors", f"gRPC {edged['grpc']}, HTTP {edged['http']}")
    config = edged.get("config") or {}
    if config:
        yield _row("settings", f"{config['file'] or 'no file'}, read {config['loaded_at']}")
    if config.get("waits_for_restart"):
        yield _row("", f"wait for a restart: {', '.join(config['waits_for_restart'])}")


def _tasks(tasks: Mapping[str, Any]) -> Iterator[str]:
    if not tasks:
        yield _row("tasks", "none")
    for name, task in tasks.items():
        arms = ", ".join(f"v{arm['version']} {arm['weight']:.0%}" for arm in task["arms"])
        stage = f", rollout stage {task['stage']}" if task.get("stage") else ""
        yield _row("task", f"{name}: {arms}, {task['state']}{stage}")
        if task.get("reason"):
            yield _row("", task["reason"])
        rate = task.get("failure_rate")
        if rate:
            yield _row(
                "",
                f"fails on {rate['estimate']:.1%} of all executions "
                f"({rate['low']:.1%} to {rate['high']:.1%}, from {rate['labels']} samples)",
            )


def _link(link: Mapping[str, Any] | None) -> Iterator[str]:
    if link is None:
        yield _row("link", "no control plane is configured")
        return
    if "up" not in link:
        enrolled = f"deployment {link['deployment_id']}, sequence {link['sequence']}"
        yield _row("link", enrolled if link["deployment_id"] else "not enrolled")
        return
    state = "up" if link["up"] else f"down: {link['reason']}"
    yield _row("link", f"{link['address']}{', TLS' if link['tls'] else ''}, {state}")
    retry = f", next attempt {link['retry_at']}" if link["retry_at"] else ""
    yield _row("", f"since {link['since']}{retry}, sequence {link['sequence']}")
    yield _row("", f"deployment {link['deployment_id']}, name {link['name']}")


def _telemetry(telemetry: Mapping[str, Any]) -> Iterator[str]:
    text = f"{telemetry.get('batches_pending', 0)} batches pending"
    if telemetry.get("oldest_pending_at"):
        text += f" ({telemetry['pending_bytes']:,} bytes, since {telemetry['oldest_pending_at']})"
    if "log_backlog_bytes" in telemetry:
        text += f", {telemetry['log_backlog_bytes']:,} bytes of logs not followed yet"
    if telemetry.get("enabled") is False:
        text = "off"
    yield _row("telemetry", text)


def _validation(validation: Mapping[str, Any]) -> Iterator[str]:
    for task, status in validation.items():
        counts = status["since_start"]
        yield _row(
            "validation",
            f"{task} by {status['oracle']}: {counts['validated']} validated, "
            f"{counts['mismatched']} wrong, {status.get('in_progress', 0)} in progress",
        )
        if status.get("halted"):
            yield _row("", f"halted: {status['halted']}")
        elif not status.get("oracle_answers", True):
            yield _row("", "the oracle does not answer; samples wait")
        if counts["skipped"]:
            yield _row("", "skipped: " + _counted(counts["skipped"]))
        if "today" in status:
            yield _row("", _today(status["today"]))


def _today(today: Mapping[str, Any]) -> str:
    limit = today["questions_limit"]
    of = f" of {limit}" if limit is not None else ""
    mean_ms = today["latency_ms"] / today["answers"] if today["answers"] else 0.0
    cost_limit = today["cost_usd_limit"]
    budget = f" of {cost_limit:.2f}" if cost_limit is not None else ""
    return (
        f"today: {today['questions']}{of} questions, {today['cost_usd']:.4f}{budget} USD, "
        f"{mean_ms:.0f} ms an answer"
    )


def _rest(agent: Mapping[str, Any]) -> Iterator[str]:
    privacy, disk = agent.get("privacy"), agent.get("disk")
    if privacy:
        tightened = privacy["effective"] != privacy["configured"]
        by_home = " (tightened by the control plane)" if tightened else ""
        yield _row("privacy", f"{privacy['effective']}{by_home}")
    home = agent.get("settings_from_home") or {"wanted": {}, "refused": {}}
    if home["wanted"]:
        yield _row("from home", ", ".join(sorted(home["wanted"])))
    for key, reason in home["refused"].items():
        yield _row("", f"kept out: {key}: {reason}")
    if disk:
        free = disk["free_bytes"] / 1e9
        yield _row("disk", f"{disk['data_dir']}, {free:.1f} GB free")
    if "clock" in agent:
        yield _row("clock", f"{agent['clock']}, {agent['machine']}, Python {agent['python']}")


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))


def _row(name: str, text: str) -> str:
    return f"  {name:<{_WIDTH}} {text}"
