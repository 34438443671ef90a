"""A line of the validation log, with personal data in its input, its output and its truth."""

from datetime import UTC, datetime

LINE = {
    "id": "v1",
    "execution_id": "e1",
    "task": "free",
    "version": 1,
    "arm": "stable",
    "input": {"text": "I am ann@example.com", "name": "Ann"},
    "output": {"said": "ann@example.com"},
    "oracle_output": "bob@example.com",
    "oracle": "http",
    "oracle_cost": 0.0,
    "oracle_latency_ms": 1.0,
    "match": False,
    "similarity_score": 0.0,
    "comparison_method": "exact",
    "channel": "audit",
    "inclusion_probability": 0.05,
    "status": "success",
    "executed_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
    "validated_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
}
