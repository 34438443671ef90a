"""Closed names that are open in one place each, where an open one would do the same.

`hash(…)` inside of `__hash__`, `x.__class__.__name__`, and `object.__setattr__(self, "name", …)`
where a frozen dataclass sets itself up are how people write these things. Anywhere else the same
names are refused.

Runs in: zygote, workers. Talks to: nobody. Never: changes a tree.
"""

import ast
from collections.abc import Iterator, Mapping
from typing import Final

HASH: Final = "_hash_"
CLASS_OF: Final = "_class_of_"
SET: Final = "_set_"

Permits = Mapping[ast.AST, str]
"""By node, the hook that stands in for it."""


def find_permits(tree: ast.Module, bound: frozenset[str]) -> Permits:
    """Examine a tree with unfolded names. bound: every name that it binds."""
    found = {
        node: hook
        for part in ast.walk(tree)
        for node, hook in (*_of_class_names(part), *_of_methods(part))
    }
    hidden = {hook for name, hook in (("hash", HASH), ("object", SET)) if name in bound}
    return {node: hook for node, hook in found.items() if hook not in hidden}


def _of_class_names(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    match node:
        case ast.Attribute(
            value=ast.Attribute(value=ast.Name(), attr="__class__") as of_class,
            attr="__name__",
            ctx=ast.Load(),
        ):
            yield of_class, CLASS_OF


def _of_methods(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    if not isinstance(node, ast.ClassDef):
        return
    for method in node.body:
        match method:
            case ast.FunctionDef(name="__hash__"):
                yield from _hash_calls(method)
            case ast.FunctionDef(name="__init__" | "__post_init__"):
                yield from _stores_on_self(method)


def _hash_calls(method: ast.FunctionDef) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(method):
        match node:
            case ast.Call(func=ast.Name(id="hash") as function):
                yield function, HASH


def _stores_on_self(method: ast.FunctionDef) -> Iterator[tuple[ast.AST, str]]:
    arguments = [*method.args.posonlyargs, *method.args.args]
    for node in ast.walk(method):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="object"), attr="__setattr__") as function,
                args=[ast.Name(id=owner), ast.Constant(value=str()), _],
                keywords=[],
            ) if arguments and owner == arguments[0].arg:
                yield function, SET
