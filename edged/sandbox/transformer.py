# ruff: noqa: N802 -- ast.NodeVisitor names its methods after the syntax
"""The second pass over a program: put guards where only a value can tell what is safe.

Stock RestrictedPython guards every attribute, item and loop at run time, which makes a classifier
3.5 times slower. Here the names were already judged in the source (folding.py), so attributes,
items, loops and calls stay native, and a guard remains only where the source cannot tell: stores to
attributes, base classes, and a few attribute names. What RestrictedPython still gives is its closed
list of syntax (syntax.py).

Runs in: zygote, workers. Talks to: facades (what can be imported), refusals.py. Never: runs program
text.
"""

import ast
from collections.abc import Mapping

from edged.sandbox.folding import bound_names
from edged.sandbox.names import GUARDED_ATTRIBUTES, MEMBER_ADVICE, OWN, is_magic
from edged.sandbox.patterns import annotation_words
from edged.sandbox.permits import CLASS_OF, Permits
from edged.sandbox.refusals import RefusalList
from edged.sandbox.syntax import ClosedSyntax


class PolicyTransformer(ClosedSyntax):
    """Rewrites a tree whose names are folded.

    bound: every name that the program binds. functions: those that only mean a function.
    """

    def __init__(
        self,
        importable: Mapping[str, frozenset[str]],
        bound: frozenset[str],
        functions: frozenset[str],
        permits: Permits,
        refusals: RefusalList,
    ) -> None:
        super().__init__(bound, refusals)
        self._importable = importable
        self._permits = permits
        self._functions = functions
        self._is_in_class = False

    # Names, attributes, calls.

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node in self._permits:
            return self._permitted(node, self._permits[node])
        self.check_name(node, node.id)
        if node.id == "super" and "super" not in self._bound:
            self._refusals.add(node, "super other than as a call", "write super().method(...)")
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node in self._permits:
            return self._permitted(node, self._permits[node])
        is_on_super = self._is_real_super(node.value)
        node = self._native(node)
        if not isinstance(node.ctx, ast.Load):
            if isinstance(node.value, ast.Name) and node.value.id in self._functions:
                self._refusals.add(
                    node, "an attribute of a function", "keep the value in a global or an object"
                )
            node.value = _hook("_store_", node.value)
            return node
        if is_magic(node.attr):
            return self._read_magic(node, is_on_super=is_on_super)
        if node.attr in GUARDED_ATTRIBUTES:
            return _hook("_guarded_", node.value, ast.Constant(node.attr))
        return node

    def _read_magic(self, node: ast.Attribute, *, is_on_super: bool) -> ast.AST:
        if node.attr == "__name__":
            return _hook("_name_of_", node.value)
        if not is_on_super:
            return _hook("_magic_", node.value, ast.Constant(node.attr))
        return node if node.attr == "__new__" else _hook("_bound_", node)

    def _permitted(self, node: ast.Name | ast.Attribute, hook: str) -> ast.AST:
        if hook == CLASS_OF and isinstance(node, ast.Attribute):
            return _hook(hook, self.visit(node.value))
        return ast.copy_location(ast.Name(hook, ast.Load()), node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return node if self._is_real_super(node) else self._native(node)

    def _is_real_super(self, node: ast.expr) -> bool:
        """Whether this is `super()`, nothing in the brackets, and the name still Python's own."""
        return (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "super"
            and not node.args
            and not node.keywords
            and "super" not in self._bound
        )

    # Statements.

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if isinstance(node.target, ast.Attribute) and node.target.attr in GUARDED_ATTRIBUTES:
            # It reads the attribute past the guard, and the other operand may be the program's.
            name = node.target.attr
            self._refusals.add(
                node, f"augmented assignment to {name!r}", f"write x.{name} = x.{name} + …"
            )
        return self._native(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Keep an annotation only where it means something at run time: on a class's fields."""
        is_field = self._is_in_class and isinstance(node.target, ast.Name)
        node = self._native(node)
        if is_field:
            node.annotation = _field_annotation(node.annotation)
            return node
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        node = self._native(node)
        if node.type is None:
            node.type = ast.copy_location(ast.Name("_Exception_", ast.Load()), node)
        return node

    # Functions and classes.

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        was_in_class, self._is_in_class = self._is_in_class, False
        node = self._native(node)
        self._is_in_class = was_in_class
        self.check_name(node, node.name)
        node.returns = None
        if node.name == "__exit__":
            _decorate(node, "_exit_")
        elif node.name == "__new__":
            _decorate(node, "_new_")
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node = self._native(node)
        self.check_name(node, node.arg)
        node.annotation = None
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        # What a TypedDict says about its keys means nothing at run time.
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "total"]
        for keyword in node.keywords:
            instead = "write a plain class; for an abstract one inherit from abc.ABC"
            self._refusals.add(node, f"a class keyword ({keyword.arg!r})", instead)
        was_in_class, self._is_in_class = self._is_in_class, True
        node = self._native(node)
        self._is_in_class = was_in_class
        self.check_name(node, node.name)
        defined = sorted({name for name in bound_names(node) if is_magic(name)})
        names = ast.Constant(tuple(defined))  # type: ignore[arg-type]  # the compiler takes tuples
        vetted = _hook("_bases_", names, *node.bases, place=node)
        node.bases = (
            [ast.copy_location(ast.Starred(vetted, ast.Load()), node)] if node.bases else []
        )
        # Behind the docstring, which is one only in the first place.
        node.body.insert(
            1 if ast.get_docstring(node, clean=False) is not None else 0, _own_mark(node)
        )
        return node

    # Imports.

    def visit_Import(self, node: ast.Import) -> ast.AST:
        for alias in node.names:
            self._check_module(node, alias.name)
            self.check_name(node, alias.asname)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        if node.module == "__future__":
            return None
        module = "." * node.level + (node.module or "")
        if self._check_module(node, module):
            for alias in node.names:
                self._check_member(node, module, alias.name)
                self.check_name(node, alias.asname)
        return node

    def _check_module(self, node: ast.AST, module: str) -> bool:
        if module in self._importable:
            return True
        tops = sorted(name for name in self._importable if "." not in name)
        self._refusals.add(node, f"import of {module!r}", f"programs may import {', '.join(tops)}")
        return False

    def _check_member(self, node: ast.AST, module: str, name: str) -> None:
        if name not in self._importable[module]:
            offered = ", ".join(sorted(self._importable[module])[:60])
            instead = MEMBER_ADVICE.get(name, f"it offers {offered}")
            self._refusals.add(node, f"import of {name!r} from {module!r}", instead)


def _hook(name: str, *arguments: ast.expr, place: ast.AST | None = None) -> ast.Call:
    """Return a call of one of our guards, at `place` or at its first argument."""
    place = place or arguments[0]
    call = ast.Call(func=ast.Name(name, ast.Load()), args=list(arguments), keywords=[])
    for fresh in (call, call.func, *(part for part in arguments if not hasattr(part, "lineno"))):
        ast.copy_location(fresh, place)
    return call


def _decorate(node: ast.FunctionDef, hook: str) -> None:
    """Put one of our guards around a function and all its decorators."""
    node.decorator_list.insert(0, ast.copy_location(ast.Name(hook, ast.Load()), node))


def _own_mark(place: ast.ClassDef) -> ast.stmt:
    mark = ast.Assign(targets=[ast.Name(OWN, ast.Store())], value=ast.Constant(value=True))
    for fresh in (mark, mark.targets[0], mark.value):
        ast.copy_location(fresh, place)
    return mark


def _field_annotation(annotation: ast.expr) -> ast.expr:
    """Return ClassVar where it is meant, else None: at run time only a field's name matters."""
    is_class_variable = "ClassVar" in annotation_words(annotation)
    kept = ast.Name("_ClassVar_", ast.Load()) if is_class_variable else ast.Constant(None)
    return ast.copy_location(kept, annotation)
