import pytest

from controlplane.errors import RequestInvalid, TaskExists, TaskUnknown
from controlplane.tasks.catalog import Tasks
from controlplane.tasks.examples import Examples
from controlplane.tasks.specification import Example, Specification


def example(text, label):
    return Example(input_json=f'{{"text":"{text}"}}', output_json=f'"{label}"')


async def test_task_is_found_by_name_and_by_uuid(database, clock, task):
    tasks = Tasks(database, clock)

    assert await tasks.find("default", "spam") == await tasks.find("default", task.id)


async def test_another_organisations_task_is_unknown(database, clock, task):
    with pytest.raises(TaskUnknown):
        await Tasks(database, clock).find("somebody-else", "spam")


async def test_second_task_of_the_same_name_is_refused_and_leaves_nothing(database, clock, task):
    tasks = Tasks(database, clock)

    with pytest.raises(TaskExists):
        await tasks.create("default", "spam", Specification(), [example("a", "x")])

    assert (await tasks.find("default", "spam")).examples == 0


async def test_name_that_looks_like_an_id_is_refused(database, clock, task):
    with pytest.raises(RequestInvalid, match="name"):
        await Tasks(database, clock).create("default", task.id, Specification(), [])


async def test_unusable_schema_is_named(database, clock):
    specification = Specification(output_schema={"type": "nonsense"})

    with pytest.raises(RequestInvalid, match="output_schema"):
        await Tasks(database, clock).create("default", "bad", specification, [])


async def test_revision_changes_what_was_named_and_keeps_the_rest(database, clock, task):
    tasks = Tasks(database, clock)
    await tasks.revise("default", "spam", {"description": "first"})
    clock.advance(60)

    revised = await tasks.revise("default", "spam", {"accuracy_target": 0.99})

    assert revised.revision == 3
    assert revised.specification.description == "first"
    assert revised.updated_at - revised.created_at == clock() - task.created_at


async def test_example_is_stored_once_however_often_it_comes(database, clock, task):
    examples = Examples(database, clock)
    await examples.add(task.id, [example("a", "x"), example("a", "x"), example("b", "x")])

    added = await examples.add(task.id, [example("b", "x"), example("b", "y")])

    assert (added.stored, added.duplicates, added.total) == (1, 1, 3)
    assert len(await examples.all(task.id)) == 3


async def test_inferred_schema_follows_later_examples(database, clock, task):
    examples = Examples(database, clock)
    await examples.add(task.id, [example("a", "x")])

    await examples.add(task.id, [example("b", "y")])

    found = await Tasks(database, clock).find("default", "spam")
    assert found.output_schema == {"enum": ["x", "y"]}
    assert found.input_schema["required"] == ["text"]


async def test_given_schema_wins_over_the_inferred_one(database, clock):
    tasks = Tasks(database, clock)
    given = Specification(output_schema={"type": "string"})

    created = await tasks.create("default", "given", given, [example("a", "x")])

    assert created.output_schema == {"type": "string"}
    assert created.inferred_output_schema == {"enum": ["x"]}
