"""When a program counts as failing, and what its successor has to show. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ImprovementSettings:
    """Defaults for tasks with thousands of executions a day."""

    is_enabled: bool = True
    """Off: failure rates are still shown, but nothing is begun."""
    allowed_failure_rate: float = 0.15
    """The specification's threshold."""
    alpha: float = 0.05
    """Chance of ever alarming about a version that fails no more often than that."""
    min_labels: int = 60
    """Labelled texts before a program is made of them: fewer teach it little."""
    min_failures: int = 20
    """Of these, wrong ones: an alarm comes sooner, but a candidate made then would be wasted."""
    min_sealed: int = 15
    """Of these, held out to compare with: below, no candidate could win by a test."""
    sealed_share: float = 0.3
    """Of the audit labels; what is held out is never trained on, in any attempt."""
    max_sealed: int = 300
    """The newest count: older ones tell of traffic that is gone."""
    labels_between_attempts: int = 100
    """The same labels would make the same candidate again."""
    max_rejections: int = 3
    """In a row; then a person is asked."""

    def __post_init__(self) -> None:
        for name in ("allowed_failure_rate", "alpha", "sealed_share"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must lie between 0 and 1")
        counts = (self.min_labels, self.min_sealed, self.max_sealed, self.max_rejections)
        if min(counts) < 1 or self.labels_between_attempts < 0:
            raise ValueError("counts must be positive")
