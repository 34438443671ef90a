"""Name the positions of class patterns: `case Point(0, y)` becomes `case Point(x=0, y=y)`.

Python would read what the class says in `__match_args__` at run time, which is any attribute of any
object. Where the source shows the fields (a dataclass or a NamedTuple of the module), their names
are written out instead, and judged like every other name. What the source leaves open stays
positional, and syntax.py refuses it.

Runs in: zygote, workers. Talks to: folding.py. Never: looks at a value.
"""

import ast
from collections import Counter

from edged.sandbox.folding import bindings

Positions = dict[str, tuple[str, ...]]
"""By class, the attributes that its positions stand for."""

_MOVES_POSITIONS = frozenset({"init", "kw_only", "match_args", "**"})
"""What a dataclass or a field may be told that changes which position is whose."""
_NO_FIELDS = frozenset({"InitVar", "KW_ONLY"})


def name_positions(tree: ast.Module) -> None:
    """Rewrite the patterns of a tree with unfolded names."""
    positions = _positions(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name):
            count = len(node.patterns)
            names = positions.get(node.cls.id, ())[:count]
            if len(names) == count:
                node.kwd_attrs = [*names, *node.kwd_attrs]
                node.kwd_patterns = [*node.patterns, *node.kwd_patterns]
                node.patterns = []


def annotation_words(annotation: ast.expr) -> set[str]:
    return {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(annotation)}


def _positions(tree: ast.Module) -> Positions:
    times_bound = Counter(name for node in ast.walk(tree) for name in bindings(node))
    found: Positions = {}
    inheritable: Positions = {"ABC": ()}
    for node in tree.body:
        if not isinstance(node, ast.ClassDef) or times_bound[node.name] > 1:
            continue
        if _is_named_tuple(node):
            found[node.name] = tuple(_own_fields(node) or ())
        elif (names := _fields(node, inheritable)) is not None:
            found[node.name] = inheritable[node.name] = names
    return found


def _is_named_tuple(node: ast.ClassDef) -> bool:
    match node.bases:
        case [ast.Name(id="NamedTuple") | ast.Attribute(attr="NamedTuple")]:
            return True
    return False


def _fields(node: ast.ClassDef, inheritable: Positions) -> tuple[str, ...] | None:
    """Return the fields in their order, inherited ones first; None where that cannot be told."""
    match node.bases:
        case []:
            inherited: tuple[str, ...] = ()
        case [ast.Name(id=name)] if name in inheritable:
            inherited = inheritable[name]
        case _:
            return None
    options = next(filter(None, map(_dataclass_options, node.decorator_list)), None)
    if options is None:
        return inherited
    own = _own_fields(node)
    return None if own is None or options & _MOVES_POSITIONS else _in_order(inherited, own)


def _dataclass_options(decorator: ast.expr) -> set[str] | None:
    """Return the names of the options that a dataclass gets, and one for the decorator itself."""
    match decorator:
        case ast.Call(func=function, keywords=keywords):
            options = {keyword.arg or "**" for keyword in keywords}
        case function:
            options = set()
    match function:
        case ast.Name(id="dataclass") | ast.Attribute(attr="dataclass"):
            return options | {"dataclass"}
    return None


def _own_fields(node: ast.ClassDef) -> list[str] | None:
    names = []
    for part in node.body:
        if not (isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)):
            continue
        words = annotation_words(part.annotation)
        if words & _NO_FIELDS or _moves_positions(part.value):
            return None
        if "ClassVar" not in words:
            names.append(part.target.id)
    return names


def _moves_positions(default: ast.expr | None) -> bool:
    return isinstance(default, ast.Call) and any(
        (keyword.arg or "**") in _MOVES_POSITIONS for keyword in default.keywords
    )


def _in_order(inherited: tuple[str, ...], own: list[str]) -> tuple[str, ...]:
    """A field that is declared again keeps its place."""
    return tuple(dict.fromkeys((*inherited, *own)))
