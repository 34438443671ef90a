from collections import Counter

from controlplane.generator.plan import plan_for
from controlplane.generator.protocol import Example
from controlplane.generator.splits import folds, seal


def test_open_and_sealed_rows_share_no_input(messages):
    examples = messages(300) + messages(150)

    open_rows, sealed = seal(examples)

    texts = [example.input["text"] for example in examples]
    assert sorted(open_rows + sealed) == list(range(450))
    assert not {texts[row] for row in open_rows} & {texts[row] for row in sealed}


def test_sealed_rows_keep_the_shares_of_the_classes(messages):
    examples = messages(1_200)

    _, sealed = seal(examples)

    assert Counter(examples[row].output for row in sealed) == {
        "billing": 40,
        "delivery": 40,
        "login": 40,
    }


def test_sides_depend_on_the_rows_and_not_on_their_order(messages):
    examples = messages(200)

    _, sealed = seal(examples)
    _, sealed_reversed = seal(examples[::-1])

    assert {199 - row for row in sealed_reversed} == set(sealed)


def test_many_small_classes_still_seal_rows_and_keep_one_to_learn_from():
    examples = [Example(input={"text": f"row {row}"}, output=row % 50) for row in range(100)]

    open_rows, sealed = seal(examples)

    assert len(sealed) >= 25
    assert {examples[row].output for row in open_rows} == set(range(50))


def test_every_fold_has_every_class(messages):
    examples = messages(60)

    fold_of = folds(examples, 3, salt="a")

    seen = Counter(zip(fold_of, (example.output for example in examples), strict=True))
    assert len(seen) == 9
    assert max(seen.values()) - min(seen.values()) <= 1


def test_few_examples_are_dealt_for_repeated_cross_validation(messages):
    plan = plan_for(messages(60))

    chosen_by = Counter(row for trial in plan.trials for row in trial.choosing)
    assert plan.is_low_evidence
    assert plan.sealed == ()
    assert set(chosen_by.values()) == {plan.rounds}
    assert all(not set(trial.training) & set(trial.choosing) for trial in plan.trials)


def test_sealed_rows_are_in_no_trial(messages):
    plan = plan_for(messages(400))

    used = {row for trial in plan.trials for row in trial.training + trial.choosing}
    assert len(plan.sealed) >= 30
    assert not used & set(plan.sealed)
    assert used == set(plan.open)
