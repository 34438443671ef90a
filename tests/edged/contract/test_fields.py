import pytest

from edged.contract.fields import Action, Rule, Trail, path_to

VALUE = {
    "name": "Ann",
    "items": [{"note": "a", "n": 1}, {"note": "b"}],
    "deep": {"er": {"password": "x"}},
    "odd name": 3,
}


def members(value: object) -> list[tuple[str | int, object]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def fields(path: str, root: str = "input") -> list[str]:
    """Return the paths in VALUE that a rule with this path is for."""
    found: list[str] = []

    def walk(value: object, at: str, trail: Trail) -> None:
        if trail.action is not None:
            found.append(at)
            return
        for key, inner in members(value):
            walk(inner, path_to(at, key), trail.to(key))

    walk(VALUE, root, Trail.begin([Rule.parse(path, Action.DROP)], root))
    return found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$.name", ["input.name"]),
        ("input.name", ["input.name"]),
        ("output.name", []),
        ("$.items[*].note", ["input.items[0].note", "input.items[1].note"]),
        ("$.items[1]", ["input.items[1]"]),
        ("$..password", ["input.deep.er.password"]),
        ("$..note", ["input.items[0].note", "input.items[1].note"]),
        ('$["odd name"]', ['input["odd name"]']),
        ("$['odd name']", ['input["odd name"]']),
        ("$.*", ["input.name", "input.items", "input.deep", 'input["odd name"]']),
        ("$", ["input"]),
        ("$.missing", []),
        ("$.Name", []),
    ],
)
def test_a_path_leads_to_its_fields(path, found):
    assert fields(path) == found


@pytest.mark.parametrize("path", ["", "name", "$.", "$name", "$.a[", "$.a[x]", "$.a b", "inputs.a"])
def test_a_path_that_is_not_understood_is_refused_in_words(path):
    with pytest.raises(ValueError, match=r"must|not understood"):
        Rule.parse(path, Action.HASH)


def test_of_several_rules_the_first_counts():
    rules = [Rule.parse("$.a", Action.HASH), Rule.parse("$..a", Action.DROP)]

    assert Trail.begin(rules, "input").to("a").action is Action.HASH
