"""Judge a program's source and compile it: parse, measure, fold names, transform, compile.

Runs in: zygote, workers (compile only inside the jail: a parser is attack surface too). Talks to:
folding.py, transformer.py, readonly.py. Never: executes program text.
"""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType

from edged.sandbox.facades import IMPORTABLE
from edged.sandbox.folding import bound_names, fold_names, function_names
from edged.sandbox.given import GIVEN_NAMES
from edged.sandbox.methods import PROGRAM_FILE
from edged.sandbox.names import unfold
from edged.sandbox.patterns import name_positions
from edged.sandbox.permits import find_permits
from edged.sandbox.readonly import GlobalUses, find_global_uses
from edged.sandbox.refusals import ProgramRefused, Refusal, RefusalList
from edged.sandbox.transformer import PolicyTransformer

__all__ = ["CompiledProgram", "ProgramRefused", "Refusal", "SourceLimits", "compile_program"]

ENTRY = "run"

_MAIN_GUARDS = frozenset(
    ast.dump(ast.parse(test, mode="eval").body)
    for test in ("__name__ == '__main__'", "'__main__' == __name__")
)

# What the parser and the compiler raise for text they cannot take: deep nesting comes as any of the
# last three.
_PARSER_ERRORS = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """How much program there may be."""

    source_bytes: int = 65_536
    """A program with weights asks for more in its manifest."""
    nodes: int = 20_000
    """Of the syntax tree; a blob of weights is one."""
    depth: int = 60
    """Of the syntax tree; a chain of elif counts as one level."""


DEFAULT_LIMITS = SourceLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledProgram:
    """A program that may run, and what its source says about its module-level names."""

    code: CodeType
    uses: GlobalUses
    leaves_generators: bool
    """Whether one that was not finished may run code of the program when it is collected."""


def compile_program(source: str, limits: SourceLimits = DEFAULT_LIMITS) -> CompiledProgram:
    """Compile `source`; raises ProgramRefused with everything that is wrong with it."""
    check_size(source, limits)
    tree = _parse(source)
    refusals = RefusalList(source)
    _check_tree(tree, limits, refusals)
    _check_entry(tree, refusals)
    _leave_main_guard_out(tree)
    name_positions(tree)
    permits = find_permits(tree, bound_names(tree))
    fold_names(tree, GIVEN_NAMES, permits, refusals)
    bound = bound_names(tree)
    uses = find_global_uses(tree, bound)
    functions = function_names(tree)
    PolicyTransformer(IMPORTABLE, bound, functions, permits, refusals).visit(tree)
    refusals.raise_if_any()
    return CompiledProgram(
        code=_compile(tree), uses=uses, leaves_generators=_leaves_generators(tree)
    )


def _leaves_generators(tree: ast.Module) -> bool:
    nodes = list(ast.walk(tree))
    blocks = [node for node in nodes if isinstance(node, ast.Try | ast.With)]
    return any(isinstance(node, ast.YieldFrom) for node in nodes) or any(
        isinstance(node, ast.Yield) for block in blocks for node in ast.walk(block)
    )


def _refuse(what: str, instead: str, *, line: int = 1, column: int = 1) -> ProgramRefused:
    return ProgramRefused((Refusal(line=line, column=column, what=what, instead=instead),))


def check_size(source: str, limits: SourceLimits) -> None:
    """Raise ProgramRefused for text that is too long, or none."""
    try:
        size_bytes = len(source.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise _refuse(
            "text that is not valid Unicode",
            "save the source as UTF-8",
            line=source.count("\n", 0, error.start) + 1,
            column=error.start - source.rfind("\n", 0, error.start),
        ) from None
    if size_bytes > limits.source_bytes:
        raise _refuse(f"a source of {size_bytes} bytes", f"at most {limits.source_bytes}")


def _parse(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, PROGRAM_FILE)
    except _PARSER_ERRORS as error:
        raise _syntax_refusal(error) from None


def _compile(tree: ast.Module) -> CodeType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _unfolded(compile(tree, PROGRAM_FILE, "exec", dont_inherit=True))
    except _PARSER_ERRORS as error:
        raise _syntax_refusal(error) from None


def _unfolded(code: CodeType) -> CodeType:
    """Name functions as their author did, for the texts of errors; nothing looks them up by it."""
    return code.replace(
        co_name=unfold(code.co_name),
        co_qualname=unfold(code.co_qualname),
        co_consts=tuple(
            _unfolded(part) if isinstance(part, CodeType) else part for part in code.co_consts
        ),
    )


def _syntax_refusal(error: BaseException) -> ProgramRefused:
    if isinstance(error, SyntaxError):
        return _refuse(
            f"this syntax ({error.msg})",
            "write what Python can parse",
            line=error.lineno or 1,
            column=error.offset or 1,
        )
    if isinstance(error, RecursionError | MemoryError):
        return _refuse("such deep nesting", "split it into statements")
    return _refuse(f"this source ({error})", "save it as plain UTF-8 text")


def _check_tree(tree: ast.Module, limits: SourceLimits, refusals: RefusalList) -> None:
    """Count nodes and depth, without recursion: the tree may be deeper than Python's own stack."""
    count = 0
    pending: list[tuple[ast.AST, int]] = [(tree, 0)]
    while pending:
        node, depth = pending.pop()
        count += 1
        if count > limits.nodes:
            raise _refuse(
                f"a program of more than {limits.nodes} syntax nodes",
                "move constants into one string",
            )
        if depth > limits.depth:
            line, column = refusals.place_of(node)
            raise _refuse(
                f"nesting deeper than {limits.depth}",
                "split it into statements",
                line=line,
                column=column,
            )
        pending += _children(node, depth)


def _children(node: ast.AST, depth: int) -> Iterator[tuple[ast.AST, int]]:
    is_elif = (
        isinstance(node, ast.If) and len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)
    )
    for child in ast.iter_child_nodes(node):
        if not isinstance(
            child, ast.expr_context | ast.operator | ast.unaryop | ast.cmpop | ast.boolop
        ):
            yield child, depth + (0 if is_elif and child in node.orelse else 1)  # type: ignore[attr-defined]


def _check_entry(tree: ast.Module, refusals: RefusalList) -> None:
    entries = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == ENTRY
    ]
    if not entries:
        refusals.add(
            tree, "a program without a function run", "define run(input_data) at the top level"
        )
    elif not _takes_one(entries[-1].args):
        refusals.add(entries[-1], "this signature of run", "write run(input_data)")


def _leave_main_guard_out(tree: ast.Module) -> None:
    """Drop what runs only where the file is a script; here it is a module by another name."""
    for at, statement in reversed(list(enumerate(tree.body))):
        if isinstance(statement, ast.If) and ast.dump(statement.test) in _MAIN_GUARDS:
            tree.body[at : at + 1] = statement.orelse


def _takes_one(arguments: ast.arguments) -> bool:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required = positional - len(arguments.defaults)
    has_required_keyword = any(default is None for default in arguments.kw_defaults)
    return (
        required <= 1
        and (positional >= 1 or arguments.vararg is not None)
        and not has_required_keyword
    )
