"""Make programs that nobody wrote: grow and cripple known ones, by their grammar and by their text.

Most parts are grafts: an expression or a statement of one program in the place of one of another,
so that what comes out is deep in the language and not just noise for the parser. Names that attacks
live on are sown in between. Runs in: scripts/chaos mutants, the tests. Never: runs a program.
"""

import ast
import random
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
SEED_FILES: Final = (
    "tests/edged/trial/programs/attacks.txt",
    "tests/edged/trial/programs/ordinary.txt",
    "tests/edged/sandbox/programs/escapes.txt",
    "tests/edged/sandbox/programs/ordinary.txt",
    "tests/edged/sandbox/programs/counters.txt",
)
# They exhaust the stack of C on purpose; their kin would drown what is not known yet.
_KNOWN_CRASHES: Final = frozenset({"deep recursion in C", "deep chain of maps"})
_NAMES: Final = (
    "run", "input_data", "x", "print", "type", "getattr", "super", "str", "object", "format", "_",
    "__class__", "__globals__", "__dict__", "gi_frame", "obj", "mapping", "register", "mro", "args",
    "func", "fget", "name", "value", "update", "append", "cache_info", "exec", "eval", "open", "id",
)  # fmt: skip
_CONSTANTS: Final = (
    0, -1, 10**6, 2**63, 0.5, float("inf"), "", "{0.__class__}", "{a[b]:{c}}", "__globals__", b"\0",
    None, True, "é\ud800",
)  # fmt: skip
_TOKENS: Final = (*"()[]{}:=.,*'\"\\#@\n\t", "lambda ", "yield ", "await ", "\x00", "…")
_GRAMMAR_SHARE: Final = 0.85
_MOST_CHANGES: Final = 6


def seeds() -> list[str]:
    """Return the programs that everything grows from."""
    found = []
    for file in SEED_FILES:
        for part in (ROOT / file).read_text().split("\n### ")[1:]:
            head, _, code = part.partition("\n")
            if head.partition(" | ")[0] not in _KNOWN_CRASHES:
                found.append(code)
    return found


def mutants(count: int, seed: int) -> Iterator[str]:
    """Yield `count` programs, the same ones for the same seed."""
    chance = random.Random(seed)
    texts = seeds()
    trees = [tree for text in texts if (tree := _parsed(text)) is not None]
    for _ in range(count):
        if chance.random() < _GRAMMAR_SHARE:
            yield _grafted(trees, chance)
        else:
            yield _scratched(chance.choice(texts), chance)


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _grafted(trees: Sequence[ast.Module], chance: random.Random) -> str:
    source = ast.unparse(chance.choice(trees))
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        tree = _parsed(source)
        if tree is None:
            break
        _change(tree, chance.choice(trees), chance)
        try:
            source = ast.unparse(ast.fix_missing_locations(tree))
        except (ValueError, RecursionError, AttributeError, TypeError):
            break  # no longer a tree that has a text
    return source


def _change(tree: ast.Module, donor: ast.Module, chance: random.Random) -> None:
    """Change one place of the tree."""
    node = chance.choice(list(ast.walk(tree)))
    match node:
        case ast.Name() if chance.random() < 0.5:
            node.id = chance.choice(_NAMES)
        case ast.Attribute() if chance.random() < 0.5:
            node.attr = chance.choice(_NAMES)
        case ast.Constant():
            node.value = chance.choice(_CONSTANTS)
        case ast.arg():
            node.arg = chance.choice(_NAMES)
        case ast.FunctionDef() | ast.ClassDef() if chance.random() < 0.2:
            node.name = chance.choice(_NAMES)
        case _:
            _graft(node, donor, chance)


def _graft(node: ast.AST, donor: ast.Module, chance: random.Random) -> None:
    """Put a part of the donor into a field of `node` that holds parts of its kind."""
    fields = [name for name, value in ast.iter_fields(node) if isinstance(value, ast.expr | list)]
    if not fields:
        return
    name = chance.choice(fields)
    value = getattr(node, name)
    if isinstance(value, ast.expr):
        setattr(node, name, _part(donor, ast.expr, chance) or value)
    elif value and isinstance(value[0], ast.stmt | ast.expr):
        kind = ast.stmt if isinstance(value[0], ast.stmt) else ast.expr
        part = _part(donor, kind, chance)
        at = chance.randrange(len(value))
        if part is None or (chance.random() < 0.2 and len(value) > 1):
            del value[at]
        elif chance.random() < 0.5:
            value[at] = part
        else:
            value.insert(at, part)


def _part(donor: ast.Module, kind: type[ast.AST], chance: random.Random) -> ast.AST | None:
    parts = [node for node in ast.walk(donor) if isinstance(node, kind)]
    return chance.choice(parts) if parts else None


def _scratched(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, _MOST_CHANGES)):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(3):
            case 0:
                text = text[:at] + text[at + chance.randint(1, 20) :]
            case 1:
                text = text[:at] + chance.choice(_TOKENS) + text[at:]
            case _:
                start = chance.randrange(len(text) + 1)
                text = text[:at] + text[start : start + chance.randint(1, 60)] + text[at:]
    return text
