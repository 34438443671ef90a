"""Write `program.py`: the parts that every generated program shares.

A program is plain Python that a person can read: a docstring, constants, the functions of
`features.py` word for word, and `run`. Its text is the same for the same model.

Runs in: jobs. Talks to: features. Never: runs what it writes.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from controlplane.generator import features
from controlplane.generator.features import (
    features_of,
    shape_of,
    value_features,
    word_and_character_features,
    word_features,
    words_of,
)
from controlplane.generator.protocol import TaskBrief
from controlplane.generator.table import Table, canonical

WIDTH = 96
SHORT = 60  # characters of a label or a description shown in prose


def short(value: Any) -> str:
    """Return a value as a few harmless characters, fit for a comment or a docstring."""
    text = value if isinstance(value, str) else canonical(value)
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    plain = " ".join(plain.replace("\\", "/").replace('"', "'").split())
    return plain if len(plain) <= SHORT else plain[: SHORT - 1] + "…"


def docstring(task: TaskBrief, table: Table, how: str) -> str:
    """Return the module docstring: what the program decides, for whom, and how."""
    labels = ", ".join(short(label) for label in table.classes[:20])
    if len(table.classes) > 20:
        labels += f" and {len(table.classes) - 20} more"
    lines = [f"Decide {short(task.name)}: {labels}."]
    if task.description.strip():
        lines += ["", f"The task: {short(task.description)}"]
    lines += ["", how, "", "Generated from examples by Loopai; needs Python alone."]
    wrapped = [textwrap.fill(line, WIDTH) for line in lines]
    return '"""' + "\n".join(wrapped) + '\n"""\n'


def constants(table: Table, temperature: float) -> str:
    """Return the constants of every program."""
    return (
        f"MAX_CHARACTERS = {features.MAX_CHARACTERS}\n"
        f"WORD = re.compile({features.WORD.pattern!r})\n"
        f"LINK = {features.LINK!r}\n"
        f"NUMBER = re.compile({features.NUMBER.pattern!r})\n"
        f"MONEY = re.compile({features.MONEY.pattern!r})\n\n"
        "# The fields that are read, each with the prefix of its features.\n"
        f"FIELDS = {table.fields!r}\n"
        "# The answers, the most frequent first: a tie goes to the earlier.\n"
        f"CLASSES = {table.classes!r}\n"
        "# How many points apart two classes must be for the odds between them to be e to 1.\n"
        f"TEMPERATURE = {temperature:.6g}\n"
    )


def feature_functions(of_text: Callable[[str], set[str]]) -> str:
    """Return the text of the functions that read an input, of_text among them."""
    needed: list[Callable[..., Any]] = [words_of, shape_of, word_features]
    if of_text is word_and_character_features:
        needed.append(word_and_character_features)
    needed += [value_features, features_of]
    return "\n\n".join(_without_annotations(function) for function in needed)


def _without_annotations(function: Callable[..., Any]) -> str:
    """Return a function's own text with a bare header: annotations would need imports."""
    text = inspect.getsource(function)
    definition = ast.parse(text).body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise TypeError(f"{function!r} is not a plain function")
    body = text.splitlines(keepends=True)[definition.body[0].lineno - 1 :]
    names = ", ".join(argument.arg for argument in definition.args.args)
    return f"def {definition.name}({names}):\n" + "".join(body)
