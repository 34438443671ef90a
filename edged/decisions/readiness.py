"""Has a candidate shown what its present phase asks for?

Pure. Used by: the rollout. Never: says what to do about it.
"""

from edged.decisions.evidence import Evidence, Verdict, percent
from edged.decisions.guardrails import compare, judge_slow_calls
from edged.decisions.mixtures import Tally
from edged.decisions.plan import Plan, Stage
from edged.decisions.progress import Phase, Progress

SHADOW = "shadow"
WRONG_ANSWERS = "wrong_answers"


def weigh(plan: Plan, progress: Progress) -> tuple[Evidence, ...]:
    """Return every test's evidence as of now; a FAIL of any of them ends the rollout."""
    guardrails = _guardrails(plan, progress)
    if progress.phase is not Phase.SHADOW or plan.shadow is None:
        return guardrails
    return (plan.shadow.test.judge(progress.pairs), *guardrails)


def judge(
    plan: Plan, progress: Progress, evidence: tuple[Evidence, ...], now_s: float
) -> tuple[Verdict, str]:
    """Return the phase's verdict, PASS or INCONCLUSIVE, and the reason in words.

    evidence: from `weigh`, with no FAIL among it.
    """
    if progress.phase is Phase.SHADOW:
        missing = _missing_in_shadow(plan, progress, evidence)
    else:
        missing = _missing_in_stage(plan.stage(progress.stage), progress, evidence, now_s)
    if missing:
        return Verdict.INCONCLUSIVE, "; ".join(missing)
    shown = [each.words for each in evidence if each.verdict is Verdict.PASS]
    return Verdict.PASS, "; ".join(shown) or "nothing to show before traffic"


def is_futile(plan: Plan, progress: Progress, evidence: tuple[Evidence, ...]) -> bool:
    """Return whether the shadow's labels are spent and the two versions still look alike."""
    if plan.shadow is None or progress.phase is not Phase.SHADOW:
        return False
    is_open = _of(SHADOW, evidence).verdict is Verdict.INCONCLUSIVE
    return is_open and progress.pairs.labels >= plan.shadow.max_labels


def _guardrails(plan: Plan, progress: Progress) -> tuple[Evidence, ...]:
    allowed, candidate, stable = plan.tolerances, progress.candidate, progress.stable
    return (
        compare(
            "errors",
            Tally(hits=candidate.errors, trials=candidate.executions),
            Tally(hits=stable.errors, trials=stable.executions),
            margin=allowed.error_margin,
            alpha=allowed.alpha,
        ),
        compare(
            "timeouts",
            Tally(hits=candidate.timeouts, trials=candidate.executions),
            Tally(hits=stable.timeouts, trials=stable.executions),
            margin=allowed.timeout_margin,
            alpha=allowed.alpha,
        ),
        judge_slow_calls(
            progress.slow,
            slow_above_ms=progress.slow_above_ms,
            share=allowed.slow_share,
            alpha=allowed.alpha,
        ),
        compare(
            WRONG_ANSWERS,
            Tally(hits=candidate.failures, trials=candidate.labels),
            Tally(hits=stable.failures, trials=stable.labels),
            margin=allowed.wrong_margin,
            alpha=allowed.alpha,
        ),
    )


def _missing_in_shadow(plan: Plan, progress: Progress, evidence: tuple[Evidence, ...]) -> list[str]:
    """Guardrails only fail here: shadow runs are a sample, too few to clear them."""
    if plan.shadow is None:
        return []
    missing, shadow = [], _of(SHADOW, evidence)
    if progress.pairs.pairs < plan.shadow.min_pairs:
        missing.append(f"{progress.pairs.pairs:,} of {plan.shadow.min_pairs:,} inputs compared")
    if shadow.verdict is not Verdict.PASS:
        missing.append(f"not shown yet: {shadow.words}")
    return missing


def _missing_in_stage(
    stage: Stage, progress: Progress, evidence: tuple[Evidence, ...], now_s: float
) -> list[str]:
    executions, remaining_s = progress.candidate.executions, _remaining_s(stage, progress, now_s)
    missing = []
    if not executions:
        missing.append(f"no traffic yet at {percent(stage.weight)}")
    elif executions < stage.min_executions:
        missing.append(f"{executions:,} of {stage.min_executions:,} executions")
    if remaining_s > 0:
        missing.append(f"{remaining_s:,.0f} s more of this stage")
    # Labels are few: the shadow test has judged the answers, here they are only a net.
    open_tests = [
        each.words
        for each in evidence
        if each.test != WRONG_ANSWERS and each.verdict is not Verdict.PASS
    ]
    return missing + ([f"not shown yet: {', '.join(open_tests)}"] if open_tests else [])


def _remaining_s(stage: Stage, progress: Progress, now_s: float) -> float:
    return progress.started_at_s + stage.min_duration_s - now_s


def _of(test: str, evidence: tuple[Evidence, ...]) -> Evidence:
    return next(each for each in evidence if each.test == test)
