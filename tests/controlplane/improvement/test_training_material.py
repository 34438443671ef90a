import random

from controlplane.generator.protocol import Example
from controlplane.improvement.patterns import find
from controlplane.improvement.settings import ImprovementSettings
from controlplane.improvement.training import assemble, permitting

SETTINGS = ImprovementSettings()
WORDS = {
    "billing": ["invoice", "refund"],
    "login": ["password", "locked"],
    "bug": ["crash", "error"],
}
FILLERS = ["my", "the", "again", "today", "please", "quickly", "since", "help", "why", "now"]


def text_of(topic, drawn, number):
    return " ".join([drawn.choice(WORDS[topic]), *drawn.sample(FILLERS, 4), f"n{number}"])


def originals(count=300):
    drawn = random.Random(1)
    topics = [sorted(WORDS)[number % 3] for number in range(count)]
    return [
        Example(input={"text": text_of(topic, drawn, number)}, output=topic)
        for number, topic in enumerate(topics)
    ]


def traffic(label, truth, count=150, seed=2, change=lambda text: text, answer=lambda topic: topic):
    drawn = random.Random(seed)
    topics = [sorted(WORDS)[number % 3] for number in range(count)]
    return [
        label(change(text_of(topic, drawn, number)), answer(topic), truth(topic))
        for number, topic in enumerate(topics)
    ]


def material(originals, rows, permits=lambda _: True):
    return assemble(originals, rows, find(rows), permits, SETTINGS)


def labels_of(made, word):
    return {row.output for row in made.examples if word in row.input["text"].split()}


def test_examples_of_a_relabelled_class_are_left_out(label):
    rows = traffic(label, lambda topic: "bug" if topic == "billing" else topic)

    made = material(originals(), rows)

    assert labels_of(made, "invoice") == {"bug"}
    assert labels_of(made, "password") == {"login"}
    assert made.stale == 100


def test_older_labels_of_a_relabelled_class_are_left_out_too(label):
    rows = traffic(label, lambda topic: topic)
    rows += traffic(
        label,
        lambda topic: "bug" if topic == "billing" else topic,
        seed=3,
    )

    assert labels_of(material(originals(), rows), "invoice") == {"bug"}


def test_new_wording_does_not_cost_a_class_its_examples(label):
    """The old program calls all that it cannot read "billing"; its examples are true still."""
    rows = traffic(
        label,
        lambda topic: topic,
        change=lambda text: " ".join(f"{word}x" for word in text.split()),
        answer=lambda _: "billing",
    )

    made = material(originals(), rows)

    assert made.stale == 0
    assert labels_of(made, "invoice") == {"billing"}


def test_sealed_rows_are_audited_newest_labels_and_never_learnt(label):
    rows = traffic(label, lambda topic: topic)
    hunted = [label(f"hunted {n}", "bug", "login", channel="uncertainty") for n in range(100)]

    made = material(originals(), rows + hunted)
    more = material(originals(), rows + hunted + traffic(label, lambda _: "bug", count=60))

    learnt = {row.input["text"] for row in made.examples}
    sealed = {row.input["text"] for row in made.sealed}
    assert 25 <= len(sealed) <= 65
    assert not learnt & sealed
    assert not [row for row in made.sealed if row.channel != "audit"]
    assert not sealed & {row.input["text"] for row in more.examples}


def test_newest_label_of_an_input_counts_and_a_person_before_any_oracle(label):
    first = originals()
    known = first[0].input["text"]
    rows = [
        label(known, "billing", "login"),
        label(known, "billing", "bug"),
        label(first[1].input["text"], "x", "login", is_human=True),
        label(first[1].input["text"], "x", "bug"),
    ]

    made = material(first, rows)

    found = {row.input["text"]: row.output for row in made.examples}
    assert (found[known], found[first[1].input["text"]]) == ("bug", "login")
    assert (made.overruled, made.learnt) == (2, 2)


def test_labels_that_the_schema_does_not_permit_are_counted_and_left_out(label):
    rows = traffic(label, lambda topic: "new" if topic == "bug" else topic)

    made = material(originals(), rows, permitting({}, {"enum": ["billing", "login", "bug"]}))

    assert made.unfit == 50
    assert "50 labels against the schema" in made.words
