"""Labelled executions made on the spot."""

from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from controlplane.reviews.labels import Labelled

START = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def label():
    """Return a function that makes labelled executions, each later than the one before."""
    numbers = count(1)

    def make(text, output, truth, **facts):
        number = next(numbers)
        values = {
            "execution_id": f"e{number}",
            "input": {"text": text},
            "output": output,
            "label": truth,
            "is_human": False,
            "version": 1,
            "channel": "audit",
            "confidence": None,
            "labelled_at": START + timedelta(seconds=number),
            "is_failure": output != truth,
        }
        return Labelled(**values | facts)

    return make
