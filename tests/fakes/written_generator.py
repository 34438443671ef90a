"""A Generator whose program is written by a function that the test gives."""

from collections.abc import Callable, Sequence

from controlplane.generator.protocol import Candidate, Example, Strategy, TaskBrief


class WrittenGenerator:
    """Proposes what `write` makes of the examples; remembers how many it was given."""

    def __init__(self, strategy: Strategy, write: Callable[[Sequence[Example]], str]) -> None:
        self.strategy = strategy
        self.rows_given: list[int] = []
        self._write = write

    def unsuited(self, task: TaskBrief, examples: Sequence[Example]) -> str | None:  # noqa: ARG002 # the protocol's
        return None

    def propose(
        self,
        task: TaskBrief,  # noqa: ARG002 # the protocol's
        examples: Sequence[Example],
        report: Callable[[float], None],
    ) -> Candidate:
        self.rows_given.append(len(examples))
        report(1.0)
        return Candidate(
            strategy=self.strategy,
            source=self._write(examples),
            returns_confidence=False,
            complexity={},
            explanation="",
        )


def knowing_by_heart(fallback: str) -> Callable[[Sequence[Example]], str]:
    """Write a program that knows its examples and says the fallback to anything else."""

    def write(examples: Sequence[Example]) -> str:
        known = {row.input["text"]: row.output for row in examples}
        return (
            f"KNOWN = {known!r}\n\n\n"
            f"def run(value):\n    return KNOWN.get(value['text'], {fallback!r})\n"
        )

    return write
