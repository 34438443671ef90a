"""What can go wrong when a program is generated.

LoopaiError (edged.errors)
├── CallerError
│   └── NoCandidate          no strategy could make a program of these examples
├── ProgramError
│   └── CandidateRefused     the sandbox will not load a program
└── PlatformError
    └── NothingProposed      a strategy that asks somebody got no program; the others go on

Runs in: jobs. Talks to: nothing. Never: catches anything.
"""

from collections.abc import Mapping, Sequence

from controlplane.generator.protocol import Exchange
from edged.errors import CallerError, PlatformError, ProgramError


class NoCandidate(CallerError):
    """No strategy could make a program of these examples; the same examples never will."""

    code = "no_candidate"
    text = "no program could be made of these examples: {listed}"

    def __init__(self, *, reasons: Mapping[str, str], exchanges: Sequence[Exchange] = ()) -> None:
        """reasons: strategy → why not, in words. exchanges: what was asked in vain."""
        self.reasons = dict(reasons)
        self.exchanges = tuple(exchanges)
        listed = "; ".join(f"{strategy}: {reason}" for strategy, reason in self.reasons.items())
        super().__init__(reasons=self.reasons, listed=listed or "there is no strategy")


class CandidateRefused(ProgramError):
    """The sandbox will not load a program."""

    code = "candidate_refused"
    text = "the sandbox refused the program: {reason}"

    def __init__(self, *, reason: str) -> None:
        self.reason = reason
        super().__init__(reason=reason)


class NothingProposed(PlatformError):
    """Somebody was asked for a program and gave none that loads."""

    code = "nothing_proposed"
    text = "no program was proposed: {reason}"

    def __init__(self, *, reason: str, exchanges: Sequence[Exchange] = ()) -> None:
        self.exchanges = tuple(exchanges)
        super().__init__(reason=reason)
