"""Find out, from the source alone, how far a program gives its module-level containers away.

The module's body should run once, not once a call: building 5,000 weights takes 2 ms. That is right
only if no call can change what the body built. Freezing the containers was tried first and lost: a
mapping proxy hands the dict itself to the other operand of `==` and `|` (so a program's `__eq__`
gets at it), a tuple in a list's place breaks `+`, isinstance and JSON. So the source must show that
functions only read them; then they stay what they are, at full speed. What the source does not show
is not assumed: such a program's body runs again for every call (sharing.py decides).

How far: *level* 0 is the container itself, 1 what it holds, 2 what that holds. A use that keeps the
object from our sight (an argument, a return value, an operand) gives it away at its level. A dict
of numbers given away at level 1 is harmless: numbers do not change. Local names that receive a part
are followed by name, across the whole program.

Runs in: zygote, workers. Talks to: names.py. Never: looks at a value.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from edged.sandbox.names import BINARY

NEVER = 99
"""The level of what is nowhere given away."""

_COMPARING_METHODS = frozenset({"index", "count", "isdisjoint", "issubset", "issuperset"})
"""No part of the container comes out, but to an `__eq__` of the program's."""
_GIVING_METHODS = {"get": 1, "items": -1, "values": 0, "copy": 0}
_ENDING_CALLS = frozenset({"len", "any", "all", "bool"})
_GIVING_CALLS = {
    **dict.fromkeys(("sorted", "list", "tuple", "set", "frozenset", "dict", "iter", "reversed"), 0),
    **dict.fromkeys(("enumerate", "zip"), -1),
    **dict.fromkeys(("min", "max", "sum"), 1),
}
_KEEPING_METHODS = frozenset({"union", "difference", "intersection", "update", "extend"})
_TAKING_METHODS = _KEEPING_METHODS | {"translate", "isdisjoint", "issubset", "issuperset"}
"""Methods of Python's types that only read what they are given; the first keep its parts."""

_OPERATORS = frozenset(f"__{prefix}{name}__" for prefix in ("", "r", "i") for name in BINARY) | {
    f"__{name}__" for name in ("eq", "ne", "lt", "le", "gt", "ge")
}
_CALLING_BACK = frozenset({"ChainMap", "ItemsView", "KeysView", "MappingView", "ValuesView"})
"""Of the library: their operators call methods of what they were made of."""
_THEIR_MODULES = frozenset({"abc", "collections", "collections.abc"})
_ITERATORS = frozenset({"iter", "reversed"})
_MAKES_ATTRIBUTES = frozenset({"setattr", "namedtuple", "getattr", "attrgetter", "methodcaller"})
# By these levels: a part looked up is one deeper; pairs (items, enumerate) put a tuple in between.


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


@dataclass(frozen=True, slots=True)
class _Step:
    """What becomes of a value: it goes on as `node` or under `names`, or is given away."""

    level: int
    node: ast.expr | None = None
    names: tuple[tuple[str, int], ...] = ()
    is_given_away: bool = False
    is_taken_apart: bool = False
    """Whether it is the parts that are given away; `level` is theirs."""
    is_fresh: bool = False
    """Whether `node` gives a new container with the same parts (or a view of them)."""


def find_global_uses(tree: ast.Module, bound: frozenset[str]) -> GlobalUses:
    """Examine a tree with folded names and no guards yet. bound: every name that it binds."""
    nodes = list(_inside_functions(tree))
    own = _attributes_of_its_own(tree, bound)
    has_operators = (
        bool(bound & _OPERATORS) or _has_derived_class(tree) or _may_call_back(tree, own)
    )
    trail = _Trail(nodes, bound, own=own, has_operators=has_operators)
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


class _Trail:
    """Follows values.

    own: the attributes that objects of the program may have; None: any. has_operators: whether
    such an object may do something of its own as an operand.
    """

    def __init__(
        self,
        nodes: list[ast.AST],
        bound: frozenset[str],
        *,
        own: frozenset[str] | None,
        has_operators: bool,
    ) -> None:
        self._bound = bound
        self._own = own
        self._has_operators = has_operators
        self._has_contains = "__contains__" in bound
        self._parents: dict[ast.AST, ast.AST] = {}
        self.loads: dict[str, list[ast.Name]] = defaultdict(list)
        for node in nodes:
            for child in ast.iter_child_nodes(node):
                self._parents[child] = node
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                self.loads[node.id].append(node)
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                self.loads[node.target.id].append(node.target)  # it changes a list in place

    def find_level(self, name: str) -> int:
        """Return the lowest level at which the value of `name` is given away."""
        lowest, levels, pending = NEVER, {name: 0}, [name]
        while pending:
            current = pending.pop()
            for load in self.loads.get(current, ()):
                for step in self._follow(load, levels[current]):
                    if step.is_given_away:
                        lowest = min(lowest, step.level)
                    for target, level in step.names:
                        if level < levels.get(target, NEVER):
                            levels[target] = level
                            pending.append(target)
        return lowest

    def _follow(self, node: ast.expr, level: int) -> Iterator[_Step]:
        """Yield the steps of a value until it ends, gets a name or is given away."""
        at: ast.expr | None = node
        is_fresh = False
        while at is not None:
            step = self._step(at, level)
            if is_fresh and step.is_given_away and not step.is_taken_apart:
                step = replace(step, level=step.level + 1)
            yield step
            is_fresh = step.is_fresh or (is_fresh and isinstance(step.node, ast.BoolOp | ast.IfExp))
            at, level = step.node, max(step.level, -1)

    def _step(self, node: ast.expr, level: int) -> _Step:
        parent = self._parents.get(node)
        match parent:
            case ast.Subscript(value=value, ctx=ast.Load()) if value is node:
                is_slice = isinstance(parent.slice, ast.Slice)
                return _Step(level if is_slice else level + 1, parent, is_fresh=is_slice)
            case ast.Attribute(value=value, ctx=ast.Load()) if value is node:
                return self._method_step(parent, level)
            case ast.Call(args=arguments) if node in arguments:
                return self._call_step(parent, level)
            case (
                ast.For(iter=value, target=target) | ast.comprehension(iter=value, target=target)
            ) if value is node:
                return self._name_step(*_pair_part(node, target, level + 1))
            case ast.Assign(targets=[target]):
                return self._name_step(target, level)
        return self._operand_step(node, parent, level)

    def _operand_step(self, node: ast.expr, parent: ast.AST | None, level: int) -> _Step:
        """Where the program defines no operator, no other operand can keep this."""
        match parent:
            case ast.Compare() if self._has_contains and _is_looked_for(node, parent):
                return _Step(level, is_given_away=True)
            case ast.Compare(ops=[ast.In() | ast.NotIn()], left=left) if (
                self._has_operators and left is not node
            ):
                return _taken_apart(level)  # each part is compared, by __eq__
            case ast.BinOp() if not self._has_operators:
                return _Step(level, parent, is_fresh=True)
            case ast.Compare() if not self._has_operators:
                return _Step(level)
            case ast.AugAssign(value=value) if value is node and not self._has_operators:
                return _taken_apart(level)
        return _condition_step(node, parent, level)

    def _method_step(self, attribute: ast.Attribute, level: int) -> _Step:
        call = self._parents.get(attribute)
        if isinstance(call, ast.Call) and call.func is attribute:
            if attribute.attr in _COMPARING_METHODS and self._has_operators:
                return _taken_apart(level)
            if attribute.attr == "keys" or attribute.attr in _COMPARING_METHODS:
                return _Step(level)
            if attribute.attr not in _GIVING_METHODS:
                return _Step(level, is_given_away=True)
            gain = _GIVING_METHODS[attribute.attr]
            return _Step(level + gain, call, is_fresh=gain == 0)
        # `key=WEIGHTS.get` keeps the container to itself, and gives parts to whoever calls it.
        return _Step(level + (1 if attribute.attr == "get" else 0), is_given_away=True)

    def _call_step(self, call: ast.Call, level: int) -> _Step:
        name = (
            call.func.id
            if isinstance(call.func, ast.Name) and call.func.id not in self._bound
            else ""
        )
        is_alone = len(call.args) == 1 and not call.keywords
        if is_alone and self._is_taking_method(call.func):
            # A class derived from collections.abc.Set inherits methods that call its own.
            is_kept = call.func.attr in _KEEPING_METHODS or self._has_operators  # type: ignore[attr-defined]
            return _taken_apart(level) if is_kept else _Step(level)
        if is_alone and (name in _ENDING_CALLS or _is_literal_join(call.func)):
            return _Step(level)
        if name in _GIVING_CALLS and (is_alone or name == "zip"):
            gain = _GIVING_CALLS[name]
            return _Step(level + gain, call, is_fresh=gain == 0 and name not in _ITERATORS)
        return _Step(level, is_given_away=True)

    def _is_taking_method(self, function: ast.expr) -> bool:
        """Whether this is a method of Python's own types, and no namesake of the program's."""
        return (
            isinstance(function, ast.Attribute)
            and function.attr in _TAKING_METHODS
            and self._own is not None
            and function.attr not in self._own
        )

    def _name_step(self, target: ast.expr, level: int) -> _Step:
        """Bind a value of `level` to a target; a tuple takes it apart, one level deeper."""
        names: list[tuple[str, int]] = []
        pending = [(target, level)]
        while pending:
            part, depth = pending.pop()
            match part:
                case ast.Name(id=name) if not self._is_class_attribute(part):
                    names.append((name, depth))
                case ast.Tuple(elts=parts) | ast.List(elts=parts):
                    pending += [(inner, depth + 1) for inner in parts]
                case ast.Starred(value=inner):
                    pending.append((inner, depth - 1))
                case _:
                    return _Step(level, is_given_away=True)
        return _Step(level, names=tuple(names))

    def _is_class_attribute(self, target: ast.Name) -> bool:
        """Whether a name is bound in a class body, and so is read as an attribute later on."""
        at: ast.AST | None = target
        while at is not None and not isinstance(
            at, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
        ):
            if isinstance(at, ast.ClassDef):
                return True
            at = self._parents.get(at)
        return False


def _is_looked_for(node: ast.expr, comparison: ast.Compare) -> bool:
    """Whether this is what stands before an `in`."""
    operands = (comparison.left, *comparison.comparators)
    return any(
        operand is node and isinstance(operator, ast.In | ast.NotIn)
        for operand, operator in zip(operands, comparison.ops, strict=False)
    )


def _taken_apart(level: int) -> _Step:
    return _Step(level + 1, is_given_away=True, is_taken_apart=True)


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


def _pair_part(node: ast.expr, target: ast.expr, level: int) -> tuple[ast.expr, int]:
    """Of the pairs that items() and enumerate() give, follow the second: the first is a key."""
    match node, target:
        case (
            ast.Call(func=ast.Attribute(attr="items") | ast.Name(id="enumerate")),
            ast.Tuple(elts=[ast.Name(), part]),
        ):
            return part, level + 1
    return target, level


def _condition_step(node: ast.expr, parent: ast.AST | None, level: int) -> _Step:
    match parent:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if test is node:
            return _Step(level)
        case ast.UnaryOp(op=ast.Not()) | ast.Compare(ops=[ast.In() | ast.NotIn()]) if (
            isinstance(parent, ast.UnaryOp) or parent.left is not node
        ):
            return _Step(level)
        case ast.BoolOp() | ast.IfExp():
            return _Step(level, parent)
        case _:
            return _Step(level, is_given_away=True)


def _is_literal_join(function: ast.expr) -> bool:
    """Whether this is `", ".join`, on a string in the source."""
    return (
        isinstance(function, ast.Attribute)
        and function.attr == "join"
        and isinstance(function.value, ast.Constant)
        and isinstance(function.value.value, str)
    )
