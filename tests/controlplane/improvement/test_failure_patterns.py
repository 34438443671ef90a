from controlplane.improvement.patterns import find


def test_confusion_is_told_with_the_phrase_that_sets_it_apart(label):
    rows = [label(f"what is the height of thing{n}", "DESC", "NUM") for n in range(12)]
    rows += [label(f"tell me about place{n} and why it is old", "DESC", "DESC") for n in range(20)]
    rows += [label(f"name the writer of book{n}", "HUM", "HUM") for n in range(20)]

    (pattern,) = find(rows)

    assert (pattern.output, pattern.label) == ("DESC", "NUM")
    assert pattern.phrase in "what is the height of"
    assert (pattern.failures, pattern.answers) == (12, 12)
    assert pattern.words.startswith(f"NUM predicted as DESC when the text has '{pattern.phrase}'")


def test_slices_of_one_confusion_do_not_overlap(label):
    rows = [label(f"how many apples{n}", "DESC", "NUM") for n in range(8)]
    rows += [label(f"which year did it{n}", "DESC", "NUM") for n in range(8)]
    rows += [label(f"explain the reason{n} of this", "DESC", "DESC") for n in range(30)]

    found = find(rows)

    assert len(found) == 2
    assert sum(pattern.failures for pattern in found) == 16


def test_confusion_without_a_telling_word_is_told_without_one(label):
    rows = [label("same words always", "A", "B" if n % 2 else "A") for n in range(20)]

    (pattern,) = find(rows)

    assert pattern.words == "B predicted as A: 10 of 20 answers"


def test_two_failures_are_no_pattern(label):
    assert find([label("a", "A", "B"), label("b", "A", "B"), label("c", "A", "A")]) == []


def test_executions_without_an_answer_are_a_pattern_of_their_own(label):
    rows = [label(f"t{n}", None, "A", is_failure=True) for n in range(4)]
    rows += [label(f"u{n}", "A", "A") for n in range(6)]

    (pattern,) = find(rows)

    assert pattern.words == "no answer at all: 4 of 10 executions"


def test_structured_answers_and_nested_inputs_are_read(label):
    rows = [
        label("", {"to": "x"}, {"to": "y"}, input={"mail": {"body": f"urgent call {chr(97 + n)}"}})
        for n in range(6)
    ]
    rows += [
        label("", {"to": "x"}, {"to": "x"}, input={"mail": {"body": f"weekly news {chr(97 + n)}"}})
        for n in range(9)
    ]

    (pattern,) = find(rows)

    assert pattern.phrase in "urgent call"
    assert pattern.words.startswith('{"to":"y"} predicted as {"to":"x"}')
