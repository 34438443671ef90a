"""The `ml` strategy: a linear classifier, shrunk and rounded until it is a small program.

Runs in: jobs. Talks to: table, search, linear, source. Never: scores itself on rows it saw.
"""

from collections.abc import Callable, Sequence

import numpy as np

from controlplane.generator.features import word_and_character_features, word_features
from controlplane.generator.linear import Linear, fit, rounded, speaking_for, strongest
from controlplane.generator.ml_source import render
from controlplane.generator.protocol import Candidate, Example, Strategy, TaskBrief
from controlplane.generator.search import WEIGHT_LIMIT, Recipe, Rows, find_recipe
from controlplane.generator.source import short
from controlplane.generator.splits import folds
from controlplane.generator.table import Design, Table, design_of, refusal, table_of

READINGS = {"words": word_features, "characters": word_and_character_features}
FOLDS = 3
RARE_ROWS = 500  # from here on a feature must be seen twice to count
CHARACTERS_AT_MOST = 2_500_000  # of input in all; beyond, words alone hold enough and memory not


class MlGenerator:
    """Proposes the best linear classifier that cross-validation finds."""

    strategy: Strategy = "ml"

    def unsuited(self, task: TaskBrief, examples: Sequence[Example]) -> str | None:  # noqa: ARG002 # the protocol's
        return refusal(examples)

    def propose(
        self, task: TaskBrief, examples: Sequence[Example], report: Callable[[float], None]
    ) -> Candidate:
        table = table_of(examples)
        designs = _designs(table)
        report(0.2)
        rows = Rows(
            readings={name: design.matrix for name, design in designs.items()},
            labels=table.labels,
            folds=np.array(folds(examples, FOLDS, salt="search"), dtype=np.int64),
            classes=len(table.classes),
        )
        recipe = find_recipe(rows, lambda done: report(0.2 + 0.7 * done))
        names, model, factor = _final(table, designs[recipe.reading], recipe)
        source = render(
            task=task,
            table=table,
            of_text=READINGS[recipe.reading],
            names=names,
            model=model,
            temperature=recipe.temperature * factor,
        )
        report(1.0)
        return Candidate(
            strategy=self.strategy,
            source=source,
            returns_confidence=True,
            complexity={
                "features": len(names),
                "weights": int(np.count_nonzero(model.weights)),
                "classes": len(table.classes),
                "source_bytes": len(source.encode()),
            },
            explanation=_explanation(table, names, model, recipe),
        )


def _designs(table: Table) -> dict[str, Design]:
    min_rows = 2 if len(table.inputs) >= RARE_ROWS else 1
    written = sum(len(str(value)) for value in table.inputs)
    affordable = [name for name in READINGS if name == "words" or written <= CHARACTERS_AT_MOST]
    return {name: design_of(table, READINGS[name], min_rows=min_rows) for name in affordable}


def _final(table: Table, design: Design, recipe: Recipe) -> tuple[list[str], Linear, float]:
    """Fit on all rows, keep the strongest features, refit, round; drop what rounded to nothing."""
    classes = len(table.classes)
    full = fit(design.matrix, table.labels, classes, recipe.fitting)
    columns = strongest(full, design.matrix, recipe.features)
    small = fit(design.matrix[:, columns], table.labels, classes, recipe.fitting)
    whole, factor = rounded(small, limit=WEIGHT_LIMIT)
    telling = np.flatnonzero(whole.weights.any(axis=0))
    return [design.names[columns[index]] for index in telling], whole.on(telling), factor


def _explanation(table: Table, names: list[str], model: Linear, recipe: Recipe) -> str:
    runs = ", runs of characters" if recipe.reading == "characters" else ""
    head = (
        f"A linear classifier over words, pairs of words{runs} and the shape of the text: "
        f"{len(names)} features, whole-number weights; scaling {recipe.fitting.scaling}, "
        f"C {recipe.fitting.softness}."
    )
    lines = [head]
    for index, label in enumerate(table.classes[:12]):
        own = speaking_for(model, index)
        best = [names[column] for column in np.argsort(-own, kind="stable")[:5]]
        lines.append(f"{short(label)}: most telling are {', '.join(map(repr, best))}.")
    return "\n".join(lines)
