# ruff: noqa: N802, N815 -- ast.NodeVisitor names its methods after the syntax
"""The closed list of syntax that programs may use; what nobody has reviewed is refused.

The list is RestrictedPython's own. What it would rewrite into guarded calls (items, loops, stores
to names, patterns) stays native here: the names were judged in the source (folding.py). What needs
a guard for its value, transformer.py adds.

Runs in: zygote, workers. Talks to: refusals.py. Never: puts in a guard, or runs program text.
"""

import ast
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from RestrictedPython.transformer import RestrictingNodeTransformer

from edged.sandbox.names import GUARDED_ATTRIBUTES, METHODS, advise, is_magic
from edged.sandbox.refusals import RefusalList

_Node = TypeVar("_Node", bound=ast.AST)

_SELF_MATCHING: Final = frozenset(
    {
        "bool",
        "bytearray",
        "bytes",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "set",
        "str",
        "tuple",
    }
)
_PLAIN_INSTEAD: Final = "write it without async: nothing in a program waits"
_SYNTAX: Final = {
    "AsyncFunctionDef": ("an async function", _PLAIN_INSTEAD),
    "AsyncFor": ("an async loop", _PLAIN_INSTEAD),
    "AsyncWith": ("an async with", _PLAIN_INSTEAD),
    "Await": ("await", _PLAIN_INSTEAD),
    "TryStar": ("except*", "write except, and raise one exception at a time"),
    "TypeAlias": ("a type statement", "assign the type to a name"),
    "TypeVar": ("a type parameter", "leave it out, or use typing.TypeVar"),
    "TypeVarTuple": ("a type parameter", "leave it out"),
    "ParamSpec": ("a type parameter", "leave it out"),
    "TemplateStr": ("a template string", "write an f-string"),
}
"""What to call a construct that is refused, and what to write instead."""


class ClosedSyntax(RestrictingNodeTransformer):
    """Takes a tree whose names are folded. bound: every name that the program binds."""

    def __init__(self, bound: frozenset[str], refusals: RefusalList) -> None:
        super().__init__()
        self._bound = bound
        self._refusals = refusals

    # RestrictedPython's own reports, turned into refusals.

    def error(self, node: ast.AST, info: str) -> None:
        self._refusals.add(node, info, "docs/programs.md says what programs may use")

    def not_allowed(self, node: ast.AST) -> None:
        name = type(node).__name__
        known = (f"{name} syntax", "docs/programs.md lists the syntax that programs may use")
        self._refusals.add(node, *_SYNTAX.get(name, known))

    def check_name(
        self,
        node: ast.AST,
        name: str | None,
        allow_magic_methods: bool = False,  # noqa: ARG002, FBT001, FBT002 # the base class calls it
    ) -> None:
        """Hold the first pass to its promise: no underscore in front, but for known magic."""
        is_magic_known = name in METHODS or name in ("__name__", "__slots__", "_")
        if name is not None and name.startswith("_") and not is_magic_known:
            self._refusals.add(node, f"the name {name!r}", advise(name))

    def _native(self, node: _Node) -> _Node:
        visited: _Node = self.node_contents_visit(node)
        return visited

    # Statements and expressions.

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return self._native(node)

    def visit_For(self, node: ast.For) -> ast.AST:
        return self._native(node)

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        if node.is_async:
            self._refusals.add(node.target, "an async comprehension", _PLAIN_INSTEAD)
        return self._native(node)

    def visit_With(self, node: ast.With) -> ast.AST:
        return self._native(node)

    def visit_Nonlocal(self, node: ast.Nonlocal) -> ast.AST:
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        """Walk down a chain of elif in a loop: it nests in the tree, though not to its reader."""
        link = node
        while True:
            link.test = self.visit(link.test)
            link.body = self._visit_each(link.body)
            if not (len(link.orelse) == 1 and isinstance(link.orelse[0], ast.If)):
                link.orelse = self._visit_each(link.orelse)
                return node
            link = link.orelse[0]

    def _visit_each(self, statements: Iterable[ast.stmt]) -> list[ast.stmt]:
        visited = (self.visit(statement) for statement in statements)
        return [statement for statement in visited if statement is not None]

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._native(node)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        return self._native(node)

    def visit_TemplateStr(self, node: ast.AST) -> None:
        self.not_allowed(node)

    # Patterns.

    def _visit_pattern(self, node: Any) -> Any:
        return self._native(node)

    visit_Match = visit_match_case = _visit_pattern
    visit_MatchSingleton = visit_MatchSequence = visit_MatchMapping = _visit_pattern
    visit_MatchStar = visit_MatchAs = visit_MatchOr = _visit_pattern

    def visit_MatchValue(self, node: ast.MatchValue) -> ast.AST:
        self._check_pattern_reference(node.value)
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        """Refuse positional parts: they read what `__match_args__` names."""
        is_self_matching = (
            isinstance(node.cls, ast.Name) and node.cls.id in _SELF_MATCHING - self._bound
        )
        if node.patterns and not is_self_matching:
            self._refusals.add(
                node, "a class pattern with positional parts", "write Class(name=pattern)"
            )
        if any(name in GUARDED_ATTRIBUTES for name in node.kwd_attrs):
            self._refusals.add(
                node, "a class pattern on this attribute", "read the attribute in the case"
            )
        self._check_pattern_reference(node.cls)
        node.patterns = [self.visit(pattern) for pattern in node.patterns]
        node.kwd_patterns = [self.visit(pattern) for pattern in node.kwd_patterns]
        return node

    def _check_pattern_reference(self, node: ast.expr) -> None:
        """A pattern may name a constant or a dotted attribute, and takes no guard in between."""
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and (
                is_magic(part.attr) or part.attr in GUARDED_ATTRIBUTES
            ):
                self._refusals.add(
                    part, f"the attribute {part.attr!r} in a pattern", "compare in an if"
                )
            elif isinstance(part, ast.Name):
                self.check_name(part, part.id)
