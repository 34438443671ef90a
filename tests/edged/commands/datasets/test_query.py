"""`edged datasets query`."""

import json

import pytest


def test_a_query_joins_days_and_forms(run, layout, keys):
    sql = "SELECT version, count(*) AS n, max(latency_ms) AS worst FROM executions GROUP BY 1"

    done = run("query", "spam", f"{sql} ORDER BY 1", "--json", keys=keys)

    assert json.loads(done.stdout) == {
        "columns": ["version", "n", "worst"],
        "rows": [{"version": 2, "n": 4, "worst": 9.0}, {"version": 3, "n": 2, "worst": 4.0}],
    }


def test_a_query_sees_inside_inputs_and_other_logs(run, layout, keys):
    sql = "SELECT input, error->>'type' AS type FROM executions WHERE input->>'text' = '5'"
    empty = "SELECT count(*) AS n FROM validations"

    found, none = (run("query", "spam", text, "--json", keys=keys) for text in (sql, empty))

    assert json.loads(found.stdout)["rows"] == [{"input": {"text": "5"}, "type": "Timeout"}]
    assert json.loads(none.stdout)["rows"] == [{"n": 0}]


def test_a_querys_tables_have_no_case(run, layout, keys):
    done = run("query", "spam", "SELECT count(*) AS n FROM Executions", "--json", keys=keys)

    assert json.loads(done.stdout)["rows"] == [{"n": 6}]


@pytest.mark.parametrize(
    ("sql", "row"),
    [
        ("SELECT 1 AS a, 2 AS a, 3 AS a_1", {"a": 1, "a_1": 2, "a_1_1": 3}),
        ("SELECT MAP {1: 'x', 2: 'y'} AS m", {"m": {"1": "x", "2": "y"}}),
        ("SELECT [MAP {1.5: {'s': 1}}] AS m", {"m": [{"1.5": {"s": 1}}]}),
        (f"SELECT {2**126} AS large, {2**63} AS n", {"large": 2**126, "n": 2**63}),
        ("SELECT 'NaN'::JSON AS x", {"x": "NaN"}),
    ],
)
def test_a_querys_values_are_all_there_in_json(run, layout, sql, row):
    done = run("query", "spam", sql, "--json")

    assert json.loads(done.stdout) == {"columns": list(row), "rows": [row]}


def test_without_sql_a_query_shows_the_latest(run, layout, keys):
    done = run("query", "spam", keys=keys)

    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 7


@pytest.mark.parametrize("sql", ["", ";", "/* nothing */"])
@pytest.mark.parametrize("keys", [""], indirect=True)
def test_an_empty_query_is_one_clear_line(run, layout, sql):
    done = run("query", "spam", sql)

    assert (done.returncode, done.stderr) == (2, "edged: the query is empty\n")


@pytest.mark.parametrize("keys", [""], indirect=True)
def test_a_querys_empty_result_is_json_too(run, layout):
    done = run("query", "spam", "SELECT arm FROM executions WHERE false", "--json")

    assert json.loads(done.stdout) == {"columns": ["arm"], "rows": []}
