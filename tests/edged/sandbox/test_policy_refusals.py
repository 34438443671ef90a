"""What a refusal says: every construct, with its line and column, and what to write instead."""

import pytest

from edged.sandbox.loader import load
from edged.sandbox.policy import ProgramRefused, Refusal, SourceLimits, compile_program

LIMITS = SourceLimits()
RUN = "def run(input_data):\n    return 1\n"


def refusals_of(source: str, limits: SourceLimits = LIMITS) -> tuple[Refusal, ...]:
    with pytest.raises(ProgramRefused) as refused:
        load(source, limits)
    return refused.value.refusals


def test_import_of_os_names_line_column_and_the_way_out() -> None:
    (refusal,) = refusals_of(f'"""Lists files."""\n\nimport os\n{RUN}')

    assert (refusal.line, refusal.column, refusal.what) == (3, 1, "import of 'os'")
    assert str(refusal).startswith(
        "line 3, column 1: import of 'os' is not allowed; programs may import "
    )
    assert "json" in refusal.instead


def test_open_names_line_and_column() -> None:
    (refusal,) = refusals_of("def run(input_data):\n    return len(open('/etc/passwd').read())\n")

    assert str(refusal) == (
        "line 2, column 16: the name 'open' is not allowed; "
        "programs read no files: put constants into the source"
    )


def test_every_refusal_is_reported_in_source_order() -> None:
    found = refusals_of(
        "import os\ndef run(x):\n    eval('1')\n    return x.__class__\nimport sys\n"
    )

    assert [(refusal.line, refusal.what) for refusal in found] == [
        (1, "import of 'os'"),
        (3, "the name 'eval'"),
        (4, "the attribute '__class__'"),
        (5, "import of 'sys'"),
    ]


def test_syntax_error_is_a_refusal_with_its_place() -> None:
    (refusal,) = refusals_of("def run(input_data):\n    return (\n")

    assert (refusal.line, refusal.column) == (2, 12)
    assert "was never closed" in str(refusal)


@pytest.mark.parametrize(
    "source",
    [
        "x = 1\n",
        "def other(input_data): return 1\n",
        "if True:\n    def run(input_data): return 1\n",
        "def run(): return 1\n",
        "def run(a, b): return 1\n",
        "def run(a, *, b): return 1\n",
        "def run(a): return 1\nrun = 3\n",
    ],
)
def test_program_without_a_run_of_one_argument_is_refused(source: str) -> None:
    assert "run" in str(refusals_of(source)[0])


@pytest.mark.parametrize("signature", ["input_data", "x, verbose=False", "*args", "x, /"])
def test_run_may_take_one_argument_in_any_way(signature: str) -> None:
    assert load(f"def run({signature}):\n    return 1\n").run({}) == 1


def test_source_beyond_the_limit_is_refused_with_both_figures() -> None:
    (refusal,) = refusals_of(RUN + "#" * 70_000)

    assert "70" in refusal.what
    assert "65536" in refusal.instead


def test_weights_in_one_string_are_allowed_by_a_higher_limit() -> None:
    source = f"BLOB = {'word 1 ' * 40_000!r}\ndef run(x):\n    return len(BLOB)\n"

    assert load(source, SourceLimits(source_bytes=400_000)).run({}) == 280_000


@pytest.mark.parametrize(
    ("expression", "limit"),
    [
        ("+".join("1" * 200), "nesting"),
        ("[" * 80 + "]" * 80, "nesting"),
        ("-" * 5_000 + "1", "nesting"),
        ("(" * 400 + "1" + ")" * 400, "nested"),
        (f"[{'1,' * 30_000}]", "nodes"),
    ],
)
def test_tree_beyond_the_limits_is_refused(expression: str, limit: str) -> None:
    (refusal,) = refusals_of(f"def run(x):\n    return {expression}\n")

    assert limit in str(refusal)


@pytest.mark.parametrize("links", [200, 600])
def test_long_chain_of_elif_is_one_level(links: int) -> None:
    chain = "".join(f"    elif x == {n}: return {n}\n" for n in range(1, links))
    program = load(f"def run(x):\n    if x == 0: return 0\n{chain}    return -1\n")

    assert program.run(links - 1) == links - 1


def test_chain_of_elif_beyond_the_compiler_is_refused_and_not_a_crash() -> None:
    chain = "".join(f"    elif x == {n}: pass\n" for n in range(3_000))

    (refusal,) = refusals_of(
        f"def run(x):\n    if x: pass\n{chain}", SourceLimits(source_bytes=10**6, nodes=10**6)
    )

    assert "nesting" in str(refusal)


def test_failing_module_body_is_refused_at_its_line() -> None:
    (refusal,) = refusals_of(f"TABLE = {{}}\n\nX = TABLE['missing']\n{RUN}")

    assert refusal.line == 3
    assert refusal.what == "a module body that fails (KeyError: missing)"


def test_columns_are_counted_in_characters() -> None:
    (refusal,) = refusals_of("def run(x):\n    return 'größer 🙂' + eval(x)\n")

    assert (refusal.line, refusal.column) == (2, 25)


def test_column_of_deep_nesting_is_counted_in_characters() -> None:
    (refusal,) = refusals_of("def run(x):\n    return 'ä' + " + "-" * 80 + "1\n")
    (plain,) = refusals_of("def run(x):\n    return 'a' + " + "-" * 80 + "1\n")

    assert (refusal.line, refusal.column) == (plain.line, plain.column)


def test_null_bytes_are_refused() -> None:
    assert refusals_of(RUN + "\0")


def test_lone_surrogate_is_refused_at_its_place() -> None:
    (refusal,) = refusals_of(f"{RUN}X = 'ä\ud800'\n")

    assert (refusal.line, refusal.column) == (3, 7)
    assert refusal.what == "text that is not valid Unicode"


class Deadline(BaseException):
    """What the worker's timer raises in the middle of a program."""


def strike() -> None:
    raise Deadline


def test_bare_except_does_not_swallow_a_deadline() -> None:
    program = load("def run(x):\n    try:\n        x()\n    except:\n        return 1\n")

    with pytest.raises(Deadline):
        program.run(strike)


def test_context_manager_does_not_see_a_deadline() -> None:
    program = load(
        "class C:\n"
        "    def __enter__(self): return 1\n"
        "    def __exit__(self, kind, error, trace): return True\n"
        "def run(x):\n"
        "    with C(): x()\n"
        "    return 1\n"
    )

    with pytest.raises(Deadline):
        program.run(strike)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("def run(x):\n    async def f(): pass\n", "an async function"),
        ("def run(x):\n    try: pass\n    except* ValueError: pass\n", "except*"),
        ("class A(metaclass=int): pass\n" + RUN, "a class keyword ('metaclass')"),
        ("class A:\n    def __del__(self): pass\n" + RUN, "the name '__del__'"),
        ("def run(x):\n    return dict(_a=1)\n", "the keyword argument '_a'"),
        ("class A:\n    _a: int = 1\n" + RUN, "the field '_a'"),
        ("from json import *\n" + RUN, "import of '*' from 'json'"),
        ("def run(x):\n    return hash(x)\n", "the name 'hash'"),
        ("def run(x):\n    raise SystemExit\n", "the name 'SystemExit'"),
    ],
)
def test_construct_is_named_in_its_refusal(source: str, what: str) -> None:
    assert what in [refusal.what for refusal in refusals_of(source)]


POSITIONAL = "class P:\n    a = 1\ndef run(x):\n    match x:\n        case P(1): return 1\n"


@pytest.mark.parametrize(
    ("source", "refusal"),
    [
        (
            f"def f(): pass\nf.calls = 0\n{RUN}",
            "line 2, column 1: an attribute of a function is not allowed; keep the value in",
        ),
        (
            f"from functools import singledispatch\n{RUN}",
            "line 1, column 1: import of 'singledispatch' from 'functools' is not allowed; choose",
        ),
        (
            f"import enum\nclass A(enum.Flag): pass\n{RUN}",
            "module 'enum' has no 'Flag' here: write integer constants 1, 2, 4, …",
        ),
        (
            POSITIONAL,
            "line 5, column 14: a class pattern with positional parts is not allowed; write Class(",
        ),
        (
            "def run(x):\n    x.obj += 1\n",
            "line 2, column 5: augmented assignment to 'obj' is not allowed; write x.obj = x.obj +",
        ),
        (
            "def run(x):\n    object.__setattr__(x, 'a', 1)\n",
            "line 2, column 5: the attribute '__setattr__' is not allowed; assign it;",
        ),
        (
            f"from enum import Enum\nColor = Enum('Color', 'RED GREEN')\n{RUN}",
            "line 2, column 1: a module body that fails (TypeError: an Enum is made by a class",
        ),
        (
            f"Point = type('Point', (), {{}})\n{RUN}",
            "line 1, column 1: a module body that fails (TypeError: type() takes one value; write",
        ),
    ],
)
def test_what_stays_refused_says_what_to_write_instead(source: str, refusal: str) -> None:
    assert refusal in str(refusals_of(source)[0])


def test_code_that_runs_only_as_a_script_is_not_judged() -> None:
    program = load(f"{RUN}if __name__ == '__main__':\n    import os\nelse:\n    X = 1\n")

    assert program.run({}) == 1
    assert refusals_of(f"{RUN}if __name__ != '__main__':\n    import os\n")


def test_compiling_never_runs_the_program() -> None:
    compile_program(f"1 / 0\n{RUN}")
