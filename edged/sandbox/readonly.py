"""Find out, from the source alone, how far a program gives its module-level containers away.

The module's body should run once, not once a call: building 5,000 weights takes 2 ms. That is right
only if no call can change what the body built. Freezing the containers was tried first and lost: a
mapping proxy hands the dict itself to the other operand of `==` and `|` (so a program's `__eq__`
gets at it), a tuple in a list's place breaks `+`, isinstance and JSON. So the source must show that
functions only read them; then they stay what they are, at full speed. What the source does not show
is not assumed: such a program's body runs again for every call (sharing.py decides).

How far: *level* 0 is the container itself, 1 what it holds, 2 what that holds. A use that keeps the
object from our sight (an argument, a return value, an operand) gives it away at its level. A dict
of numbers given away at level 1 is harmless: numbers do not change. trail.py follows the values.

Runs in: zygote, workers. Talks to: names.py, trail.py. Never: looks at a value.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edged.sandbox.names import BINARY
from edged.sandbox.trail import Trail

_OPERATORS = frozenset(f"__{prefix}{name}__" for prefix in ("", "r", "i") for name in BINARY) | {
    f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge")
}
_CALLING_BACK = frozenset({"ChainMap", "ItemsView", "KeysView", "MappingView", "ValuesView"})
"""Of the library: their operators call methods of what they were made of."""
_THEIR_MODULES = frozenset({"abc", "collections", "collections.abc"})
_MAKES_ATTRIBUTES = frozenset({"setattr", "namedtuple", "getattr", "attrgetter", "methodcaller"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalUses:
    """What the functions of a program do with module-level names."""

    has_global_statement: bool
    has_nonlocal_statement: bool
    has_class_store: bool
    """Whether one sets an attribute of a class of the module."""
    has_class_statement: bool
    given_away: Mapping[str, int]
    """The lowest level at which a name's value is given away; missing: no function uses it."""


def find_global_uses(tree: ast.Module, bound: frozenset[str]) -> GlobalUses:
    """Examine a tree with folded names and no guards yet. bound: every name that it binds."""
    nodes = list(_inside_functions(tree))
    own = _attributes_of_its_own(tree, bound)
    has_operators = (
        bool(bound & _OPERATORS) or _has_derived_class(tree) or _may_call_back(tree, own)
    )
    trail = Trail(nodes, bound, own=own, has_operators=has_operators)
    return GlobalUses(
        has_global_statement=any(isinstance(node, ast.Global) for node in nodes),
        has_nonlocal_statement=any(isinstance(node, ast.Nonlocal) for node in nodes),
        has_class_store=_has_class_store(tree, nodes),
        has_class_statement=any(isinstance(node, ast.ClassDef) for node in nodes),
        given_away={name: trail.find_level(name) for name in trail.loads},
    )


def _has_class_store(tree: ast.Module, inside: list[ast.AST]) -> bool:
    """Whether a function says `Class.x = …`, or a method of classes `cls.x = …`.

    What is not seen here fails at run time: classes that outlive the call are sealed.
    """
    passing = {node for node in inside if isinstance(node, ast.ClassDef)}
    classes = [
        node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node not in passing
    ]
    names = {cls.name for cls in classes}
    return any(_stores_on(node, names) for node in inside) or any(
        _stores_on(node, {name})
        for cls in classes
        for method in cls.body
        for name in _class_parameter(method)
        for node in ast.walk(method)
    )


def _stores_on(node: ast.AST, names: set[str]) -> bool:
    match node:
        case (
            ast.Attribute(value=ast.Name(id=name), ctx=ast.Store() | ast.Del())
            | ast.Call(func=ast.Name(id="setattr"), args=[ast.Name(id=name), *_])
        ):
            return name in names
        case ast.Attribute(value=ast.Call(func=ast.Name(id="type")), ctx=ast.Store() | ast.Del()):
            return True
    return False


def _class_parameter(method: ast.stmt) -> Iterator[str]:
    if not isinstance(method, ast.FunctionDef):
        return
    decorators = {node.id for node in method.decorator_list if isinstance(node, ast.Name)}
    if method.name == "__new__" or "classmethod" in decorators:
        yield from [part.arg for part in (*method.args.posonlyargs, *method.args.args)][:1]


def _inside_functions(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield every node of every function, its signature included."""
    pending: list[tuple[ast.AST, bool]] = [(tree, False)]
    while pending:
        node, is_inside = pending.pop()
        is_inside = is_inside or isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        )
        if is_inside:
            yield node
        pending += [(child, is_inside) for child in ast.iter_child_nodes(node)]


def _has_derived_class(tree: ast.Module) -> bool:
    # OrderedDict, defaultdict and Set hand the other operand to the constructor of a subclass.
    return any(isinstance(node, ast.ClassDef) and node.bases for node in ast.walk(tree))


def _may_call_back(tree: ast.Module, own: frozenset[str] | None) -> bool:
    """Whether the source names one of _CALLING_BACK, or has the module and can make up names."""
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return bool(names & _CALLING_BACK) or (own is None and bool(names & _THEIR_MODULES))


def _attributes_of_its_own(tree: ast.Module, bound: frozenset[str]) -> frozenset[str] | None:
    """Return every attribute that the source can put on an object; None if it can make up names."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    if _MAKES_ATTRIBUTES & (names | {node.attr for node in attributes}):
        return None
    return bound | {node.attr for node in attributes if not isinstance(node.ctx, ast.Load)}
