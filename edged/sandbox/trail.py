"""Follow a value through the functions of a program, from the names that it is read by.

A step is one place where it turns up: there it goes on, under the same name or another, or deeper
into itself, or is given away (readonly.py says what that means, and why it is asked). Names are
followed without regard to scope: what one function calls `part` is every function's `part`.

Runs in: zygote, workers. Talks to: nobody. Never: runs program text, or decides what may be shared.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

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
_ITERATORS = frozenset({"iter", "reversed"})
# By these levels: a part looked up is one deeper; pairs (items, enumerate) put a tuple in between.


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


class Trail:
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
