"""What is wrong with a program, construct by construct, in words that its author can act on.

The author is a person, our generator or a language model; each gets every refusal at once, with
line and column.

Runs in: zygote, workers, and whoever reads a refusal. Talks to: nobody. Never: decides what is
refused.
"""

import ast
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One rejected construct."""

    line: int
    """From 1."""
    column: int
    """From 1."""
    what: str
    """Such that "… is not allowed" reads well after it."""
    instead: str
    """What to write instead: those who write programs feed on it."""

    def __str__(self) -> str:
        place = f"line {self.line}, column {self.column}"
        return f"{place}: {self.what} is not allowed; {self.instead}"


class ProgramRefused(Exception):
    """The program cannot be run here; it holds at least one refusal, in source order."""

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        super().__init__(refusals)
        self.refusals = refusals

    def __str__(self) -> str:
        return "\n".join(map(str, self.refusals))


class RefusalList:
    """Collects the refusals of the passes over a syntax tree."""

    def __init__(self, source: str) -> None:
        # As the parser tells lines apart.
        self._lines = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        self._refusals: set[Refusal] = set()

    def add(self, node: ast.AST, what: str, instead: str) -> None:
        """Refuse `node`; one without a place of its own is refused at line 1."""
        line, column = self.place_of(node)
        self._refusals.add(Refusal(line=line, column=column, what=what, instead=instead))

    def place_of(self, node: ast.AST) -> tuple[int, int]:
        """Return line and column; the tree counts columns in bytes of UTF-8."""
        line = getattr(node, "lineno", 1)
        before = self._lines[line - 1].encode()[: getattr(node, "col_offset", 0)]
        return line, len(before.decode(errors="ignore")) + 1

    def raise_if_any(self) -> None:
        """Raise ProgramRefused with what was collected, if anything was."""
        if self._refusals:
            ordered = sorted(
                self._refusals, key=lambda refusal: (refusal.line, refusal.column, refusal.what)
            )
            raise ProgramRefused(tuple(ordered))
