"""Which names a program may use, and what its private names become.

A name in the source is a literal, so it is judged once, at compile time, and costs nothing at run
time. The few names that arrive as text while the program runs (`getattr`, format strings) are
judged here too, by the same rules.

Runs in: zygote, workers. Talks to: nobody. Never: looks at a value.
"""

import builtins

from RestrictedPython.transformer import INSPECT_ATTRIBUTES

# Prefixed to every private name of a program (`_score` becomes BAR + `_score`), so that "no leading
# underscore" holds for whatever reaches the interpreter and a hook's name cannot be spelled. A
# letter to Python, in no keyboard's reach.
BAR = "\u01c0"

OWN = "__own__"  # the mark in every class body of a program; no program can spell it

GUARDED_ATTRIBUTES = frozenset({"format", "format_map", "groupindex", "mapping", "obj", "register"})
"""Fine on a program's own objects, dangerous on some of Python's: they go through a guard.

`AttributeError.obj` hands out the object that a library stumbled over (CVE-2024-47532).
"""

BLOCKED_ATTRIBUTES = INSPECT_ATTRIBUTES | {
    "co_consts", "co_filename", "co_names", "co_varnames",
    "f_lasti", "f_lineno", "tb_lasti", "tb_lineno",
    "gi_running", "gi_suspended", "cr_running", "cr_suspended", "ag_running", "ag_suspended",
    "mro",
}  # fmt: skip

BINARY = (
    "add",
    "sub",
    "mul",
    "matmul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
)

METHODS = frozenset(
    f"__{name}__"
    for name in (
        *BINARY,
        *(f"r{name}" for name in BINARY),
        *(f"i{name}" for name in BINARY),
        *(
            "abs",
            "bool",
            "ceil",
            "complex",
            "divmod",
            "float",
            "floor",
            "index",
            "int",
            "invert",
            "neg",
            "pos",
        ),
        *("rdivmod", "round", "trunc"),
        *("eq", "ne", "lt", "le", "gt", "ge", "hash", "call", "init", "new", "post_init"),
        *(
            "len",
            "contains",
            "getitem",
            "setitem",
            "delitem",
            "missing",
            "iter",
            "next",
            "reversed",
        ),
        *("str", "repr", "format", "bytes", "enter", "exit"),
    )
)
"""Magic methods that a program may define, and reach through `super()` or on its own classes."""

NAMED_TUPLE_MEMBERS = frozenset({"_asdict", "_fields", "_make", "_replace"})
"""Not private in spite of their underscore: a named tuple's interface."""

ALIASABLE = METHODS - {"__exit__", "__init__", "__new__", "__post_init__"}
"""A class may give one of these, that it defines, a second name: `__str__ = __repr__`."""

ENUM_HOOKS = frozenset(
    {"_generate_next_value_", "_ignore_", "_missing_", "_name_", "_order_", "_value_"}
)
"""Python would call these, but folded it does not find them: refused rather than ignored."""

MODULE_LABELS = frozenset({"__all__", "__author__", "__version__"})

ADVICE = {
    "eval": "use json.loads, or write the expression out",
    "exec": "write the code out",
    "compile": "use re.compile for patterns",
    "open": "programs read no files: put constants into the source",
    "input": "the input is the argument of run",
    "globals": "pass values as arguments",
    "locals": "pass values as arguments",
    "vars": "keep values in a dict",
    "dir": "keep values in a dict",
    "delattr": "keep values in a dict",
    "id": "compare with 'is' or by value",
    "hash": "it differs between processes: use the value itself as the key; __hash__ may call it",
    "memoryview": "use bytes",
    "BaseException": "use Exception",
    "BaseExceptionGroup": "use Exception",
    "ExceptionGroup": "raise one exception",
    "SystemExit": "return a result or raise ValueError",
    "KeyboardInterrupt": "use Exception",
    "GeneratorExit": "use Exception",
    "exit": "return a result",
    "quit": "return a result",
    "__class__": "use type(x)",
    "__dict__": "keep values in a dict",
    "__import__": "use an import statement",
    "__setattr__": "assign it; __post_init__ may say object.__setattr__(self, 'name', value)",
    "__slots__": "write a tuple of plain strings in the class",
    "mro": "use isinstance",
    "_missing_": "look the value up in a classmethod of another name",
    "_generate_next_value_": "write the values out",
    "_value_": "use .value",
    "_name_": "use .name",
}
"""What to write instead, by the name that was refused."""


MEMBER_ADVICE = {
    "Flag": "write integer constants 1, 2, 4, …",
    "IntFlag": "write integer constants 1, 2, 4, …",
    "Formatter": "use str.format or an f-string",
    "singledispatch": "choose by isinstance in one function",
    "singledispatchmethod": "choose by isinstance in one method",
}
"""What to write instead of a member that its module does not offer."""


def advise(name: str) -> str:
    """Return what to write instead of a name that was refused."""
    if name in ADVICE:
        return ADVICE[name]
    if is_magic(name):
        return "Python's own attributes are closed; docs/programs.md lists the magic methods"
    if hasattr(builtins, name):
        return "docs/programs.md lists the builtins that programs have"
    return "choose another name"


def is_magic(name: str) -> bool:
    return len(name) > 4 and name.startswith("__") and name.endswith("__")


def fold(name: str, class_name: str = "") -> str:
    """Return what Python sees for a program's `name`; in a class, `__x` becomes the class's own."""
    if not name.startswith("_") or name == "_":
        return name
    if class_name and name.startswith("__") and not name.endswith("__"):
        name = f"_{class_name.lstrip('_')}{name}"
    return BAR + name


def unfold(text: str) -> str:
    """Give a message, or a name, back in the program's own spelling."""
    return text.replace(BAR, "")


def fold_attribute(name: object) -> str:
    """Return what to look up for an attribute named at run time.

    Raises TypeError unless name is exactly a str: a subclass could answer the checks with lies.
    Raises AttributeError for a name that the source could not have spelled either.
    """
    if type(name) is not str:
        raise TypeError("an attribute's name must be a plain str")
    if is_magic(name) or name in BLOCKED_ATTRIBUTES or BAR in name:
        raise AttributeError(f"the attribute {name!r} is not available to programs")
    return fold(name)
