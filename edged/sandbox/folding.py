"""The first pass over a program: judge every name in it and fold the private ones out of the way.

Afterwards no name in the tree starts with an underscore, but for `_` itself and the magic names
that names.py allows. The second pass (transformer.py) counts on that: whatever starts with an
underscore from then on is ours.

Runs in: zygote, workers. Talks to: names.py, refusals.py. Never: recurses, so no program is too
deep for it.
"""

import ast
import builtins
from collections.abc import Callable, Iterator
from typing import Any

from edged.sandbox.names import (
    ALIASABLE,
    BAR,
    BLOCKED_ATTRIBUTES,
    ENUM_HOOKS,
    METHODS,
    MODULE_LABELS,
    NAMED_TUPLE_MEMBERS,
    advise,
    fold,
    is_magic,
)
from edged.sandbox.permits import Permits
from edged.sandbox.refusals import RefusalList

_PYTHON_BUILTINS = frozenset(dir(builtins))
_NAMING = (
    *(ast.Name, ast.arg, ast.FunctionDef, ast.ClassDef, ast.alias, ast.ExceptHandler),
    *(ast.Attribute, ast.Global, ast.Nonlocal, ast.keyword),
    *(ast.MatchAs, ast.MatchStar, ast.MatchMapping, ast.MatchClass),
)
"""Nodes that hold a name as text; each has its rule."""


def fold_names(
    tree: ast.Module, given: frozenset[str], permits: Permits, refusals: RefusalList
) -> None:
    """Rewrite the names of `tree` in place. given: the builtins that programs may use."""
    _Folding(tree, given, permits, refusals).run(tree)


def bound_names(tree: ast.AST) -> frozenset[str]:
    """Return every name that the program binds, anywhere and in whatever way."""
    found: set[str] = set()
    for node in ast.walk(tree):
        found.update(bindings(node))
    return frozenset(found)


def function_names(tree: ast.AST) -> frozenset[str]:
    """Return the names that nothing but plain functions are bound to."""
    functions: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(tree):
        is_plain = isinstance(node, ast.FunctionDef) and not node.decorator_list
        (functions if is_plain else others).update(bindings(node))
    return frozenset(functions - others)


def bindings(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
            yield name
        case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(name=name, asname=asname):
            yield asname or name.partition(".")[0]
        case (
            ast.ExceptHandler(name=str(name))
            | ast.MatchAs(name=str(name))
            | ast.MatchStar(name=str(name))
        ):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name


class _Folding:
    def __init__(
        self, tree: ast.Module, given: frozenset[str], permits: Permits, refusals: RefusalList
    ) -> None:
        self._refusals = refusals
        self._permits = permits
        self._bound = bound_names(tree)
        self._parameters = frozenset(
            node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)
        )
        stored = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load)
        }
        self._named_tuple_members = NAMED_TUPLE_MEMBERS - self._bound - stored
        self._second_names: set[ast.AST] = set()  # both sides of `__str__ = __repr__`
        self._slots: set[ast.AST] = set()  # where they are written out
        self._withheld = _PYTHON_BUILTINS - given - self._bound
        self._rules: dict[type[ast.AST], Callable[[Any, str], None]] = {
            kind: getattr(self, f"_fold_{kind.__name__.lower()}") for kind in _NAMING
        }

    def run(self, tree: ast.Module) -> None:
        pending: list[tuple[ast.AST, str]] = [(tree, "")]
        while pending:
            node, class_name = pending.pop()
            rule = self._rules.get(type(node))
            inner = node.name if isinstance(node, ast.ClassDef) else class_name
            if isinstance(node, ast.ClassDef):
                self._check_class_body(node)
                pending += [(child, inner) for child in node.body]
                pending += [
                    (child, class_name)
                    for child in (*node.bases, *node.keywords, *node.decorator_list)
                ]
            else:
                pending += [(child, class_name) for child in ast.iter_child_nodes(node)]
            if rule is not None:
                rule(node, class_name)

    def _check_class_body(self, node: ast.ClassDef) -> None:
        """Look at what only a class body may say: fields, slots, second names."""
        defined = {part.name for part in node.body if isinstance(part, ast.FunctionDef)}
        for child in node.body:
            if isinstance(child, ast.Assign) and _is_second_name(child, defined & ALIASABLE):
                self._second_names.update((*child.targets, child.value))
            if isinstance(child, ast.AnnAssign) and isinstance(child.target, ast.Name):
                self._refuse_private_field(child.target)
            if isinstance(child, ast.Assign) and (slots := _slots_targets(child)):
                self._slots.update(slots)
                self._fold_slots(child, node.name)

    def _refuse_private_field(self, target: ast.Name) -> None:
        # A field's name is seen at run time (repr, asdict), where folding would show.
        if target.id.startswith("_"):
            self._refusals.add(
                target, f"the field {target.id!r}", "name it without the leading underscore"
            )

    def _fold_slots(self, node: ast.Assign, class_name: str) -> None:
        for constant in ast.walk(node.value):
            if not isinstance(constant, ast.Tuple | ast.List | ast.Constant | ast.expr_context):
                self._refusals.add(
                    node, "__slots__ that is computed", "write a tuple of plain strings"
                )
            elif isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                constant.value = self._attribute(constant, constant.value, class_name)

    # One rule for each kind of node that carries a name.

    def _fold_name(self, node: Any, class_name: str) -> None:
        is_load = isinstance(node.ctx, ast.Load)
        if node in self._second_names or node in self._permits:
            return
        if (is_load and node.id == "__name__") or node in self._slots:
            return
        if is_load and node.id in self._withheld:
            self._refuse(node, f"the name {node.id!r}", node.id)
            return
        node.id = self._variable(node, node.id, class_name)

    def _fold_arg(self, node: Any, class_name: str) -> None:
        node.arg = self._variable(node, node.arg, class_name)

    def _fold_functiondef(self, node: Any, class_name: str) -> None:
        if not (class_name and node.name in METHODS):
            node.name = self._variable(node, node.name, class_name)

    def _fold_classdef(self, node: Any, class_name: str) -> None:
        node.name = self._variable(node, node.name, class_name)

    def _fold_alias(self, node: Any, class_name: str) -> None:
        if node.asname is not None:
            node.asname = self._variable(node, node.asname, class_name)

    def _fold_excepthandler(self, node: Any, class_name: str) -> None:
        if node.name is not None:
            node.name = self._variable(node, node.name, class_name)

    def _fold_attribute(self, node: Any, class_name: str) -> None:
        is_known_magic = node.attr == "__name__" or node.attr in METHODS
        is_plain = is_known_magic or node.attr in self._named_tuple_members or node in self._permits
        if not (is_plain and isinstance(node.ctx, ast.Load)):
            node.attr = self._attribute(node, node.attr, class_name)

    def _fold_global(self, node: Any, class_name: str) -> None:
        node.names = [self._variable(node, name, class_name) for name in node.names]

    _fold_nonlocal = _fold_global

    def _fold_keyword(self, node: Any, class_name: str) -> None:
        if node.arg is None or not node.arg.startswith("_"):
            return
        if node.arg not in self._parameters:
            # It may land in **kwargs, where the program would see the folded name.
            self._refusals.add(
                node, f"the keyword argument {node.arg!r}", "name it without the leading underscore"
            )
            return
        node.arg = self._variable(node, node.arg, class_name)

    def _fold_matchas(self, node: Any, class_name: str) -> None:
        if node.name is not None:
            node.name = self._variable(node, node.name, class_name)

    _fold_matchstar = _fold_matchas

    def _fold_matchmapping(self, node: Any, class_name: str) -> None:
        if node.rest is not None:
            node.rest = self._variable(node, node.rest, class_name)

    def _fold_matchclass(self, node: Any, class_name: str) -> None:
        node.kwd_attrs = [self._attribute(node, name, class_name) for name in node.kwd_attrs]

    # What the rules share.

    def _variable(self, node: ast.AST, name: str, class_name: str) -> str:
        if name in MODULE_LABELS:
            return fold(name)
        if is_magic(name) or BAR in name or (class_name and name in ENUM_HOOKS):
            self._refuse(node, f"the name {name!r}", name)
        return fold(name, class_name)

    def _attribute(self, node: ast.AST, name: str, class_name: str) -> str:
        is_closed = is_magic(name) or name in BLOCKED_ATTRIBUTES or name in ENUM_HOOKS
        if is_closed or BAR in name:
            self._refuse(node, f"the attribute {name!r}", name)
        return fold(name, class_name)

    def _refuse(self, node: ast.AST, what: str, name: str) -> None:
        self._refusals.add(node, what, advise(name))


def _slots_targets(node: ast.Assign) -> list[ast.expr]:
    return [part for part in node.targets if isinstance(part, ast.Name) and part.id == "__slots__"]


def _is_second_name(node: ast.Assign, defined: set[str]) -> bool:
    """Whether a class gives a magic method of its own a second name, or says `__hash__ = None`."""
    names = [target.id for target in node.targets if isinstance(target, ast.Name)]
    if len(names) < len(node.targets) or not ALIASABLE.issuperset(names):
        return False
    if isinstance(node.value, ast.Constant):
        return node.value.value is None and names == ["__hash__"]
    return isinstance(node.value, ast.Name) and node.value.id in defined
