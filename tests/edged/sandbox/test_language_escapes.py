"""Attacks on the language layer alone: each must be refused or raise, and none may return what it was after."""

import pytest

from edged.sandbox.loader import load
from edged.sandbox.policy import ProgramRefused
from edged.sandbox.results import ResultRefused, encode

GLOBALS_BY_FORMAT = '"{0.__globals__}"'

ESCAPES = {
    "metaclass and match": """
class A: pass
def run(x):
    M = type(A)
    Y = M("Y", (), {"__match_args__": ("__globals__",)})
    match run:
        case Y(v): return v
""",
    "match on a dataclass that claims an instance": """
from dataclasses import dataclass
from typing import Protocol, Any
@dataclass
class P(Protocol):
    gi_frame: Any
def run(x):
    match (i for i in [1]):
        case P(f): return "PWNED"
""",
    "match reads format from str": """
def run(x):
    match "{0.__globals__}":
        case str(format=f): return "PWNED" + f(run)
""",
    "augmented assignment reads format past the guard": """
from enum import Enum
class Grab:
    def __radd__(self, other): return "PWNED" + other(run)
def run(x):
    class T(str, Enum):
        A = "{0.__globals__}"
    T.A.format += Grab()
    return T.A.format
""",
    "super leads to format": """
from enum import Enum
class T(str, Enum):
    A = "{0.__globals__}"
    def leak(self): return "PWNED" + super().format(run)
def run(x):
    return T.A.leak()
""",
    "format through getattr": f'def run(x):\n    return "PWNED" + getattr({GLOBALS_BY_FORMAT}, "format")(run)\n',
    "format through methodcaller": f"""
from operator import methodcaller
def run(x):
    return "PWNED" + methodcaller("format", run)({GLOBALS_BY_FORMAT})
""",
    "format through attrgetter": f"""
from operator import attrgetter
def run(x):
    return "PWNED" + attrgetter("format")({GLOBALS_BY_FORMAT})(run)
""",
    "format in a nested specification": """
def run(x):
    return "PWNED" + "{0:{1.__class__}}".format(1, run)
""",
    "format after an item": """
def run(x):
    return "PWNED" + "{0[0].__globals__}".format([run])
""",
    "format in a class body": f"""
class A:
    f = str.format
def run(x):
    return "PWNED" + A.f({GLOBALS_BY_FORMAT}, run)
""",
    "attrgetter with dots": """
from operator import attrgetter
def run(x):
    return "PWNED" + str(attrgetter("a.__globals__")(run))
""",
    "deepcopy keeps a guard in its memo": """
import copy
def run(x):
    memo = {}
    copy.deepcopy(getattr, memo)
    return "PWNED" + str(memo)
""",
    "copy of a module": "import copy, json\ndef run(x):\n    return ['PWNED', str(copy.copy(json))]\n",
    "guard by its name": "def run(x):\n    return ['PWNED', str(_store_)]\n",
    "guard by its folded name": "def run(x):\n    return ['PWNED', str(\u01c0_store_)]\n",
    "mark of own classes": "class A:\n    pass\ndef run(x):\n    return ['PWNED', A.__own__]\n",
    "own mark claimed": "class A:\n    __own__ = False\ndef run(x):\n    return 'PWNED'\n",
    "wide letters in a magic name": "def run(x):\n    return ['PWNED', str(run.__\uff47lobals__)]\n",
    "wide letters in eval": "def run(x):\n    return ['PWNED', \uff45val('1')]\n",
    "class cell": "class A:\n    def m(self): return __class__\ndef run(x):\n    return 'PWNED' + str(A().m())\n",
    "two-argument super": """
import re
class A:
    def m(self): return super(A, A).__init__
def run(x):
    return "PWNED" + str(A().m())
""",
    "super renamed": "class A:\n    def m(self):\n        s = super\n        return s()\ndef run(x):\n    return 'PWNED' + str(A().m())\n",
    "super replaced": """
import re
def super(): return re.error
def run(x):
    return "PWNED" + str(super().__init__)
""",
    "library constructor on a class": """
import re, collections
def run(x):
    re.error.__init__(collections.Counter, "left behind")
    return "PWNED" + collections.Counter.msg
""",
    "inherit a library constructor": """
import re, collections
class E(re.error):
    def m(self): super().__init__(collections.Counter, "left behind")
def run(x):
    E.m(E)
    return "PWNED" + collections.Counter.msg
""",
    "unbound library method": """
import difflib, collections
def run(x):
    difflib.SequenceMatcher.set_seq1(collections.Counter, "left behind")
    return "PWNED" + collections.Counter.a
""",
    "class of a library object": """
import difflib
def run(x):
    return "PWNED" + str(type(difflib.SequenceMatcher(None, "a", "b")))
""",
    "class of a module": "import json\ndef run(x):\n    return 'PWNED' + str(type(json))\n",
    "class of a function": "def run(x):\n    return 'PWNED' + str(type(run))\n",
    "module as a base": "import json\nclass A(json): pass\ndef run(x):\n    return 'PWNED'\n",
    "str as a base": "class S(str): pass\ndef run(x):\n    return 'PWNED'\n",
    "str enum with its own equality": """
from enum import Enum
class S(str, Enum):
    A = "a"
    def __eq__(self, other): return True
def run(x):
    return "PWNED"
""",
    "str enum with borrowed equality": """
from enum import Enum
class M:
    def __eq__(self, other): return True
class S(M, str, Enum):
    A = "a"
def run(x):
    return "PWNED"
""",
    "enum from text": """
from enum import Enum
def run(x):
    E = Enum("E", {"__getattribute__": lambda self, name: 1})
    return "PWNED"
""",
    "starred bases": "def run(x):\n    class A(*[type]): pass\n    return 'PWNED'\n",
    "named tuple text": """
import collections
class S:
    def __str__(self): return "a=1"
def run(x):
    return "PWNED" + str(collections.namedtuple("T", [S()]))
""",
    "abstract class registers a class": """
from collections.abc import Sequence
def run(x):
    Sequence.register(int)
    return "PWNED" + str(isinstance(1, Sequence))
""",
    "number registers a class": """
import numbers
def run(x):
    getattr(numbers.Number, "register")(str)
    return "PWNED"
""",
    "dataclass over a library class": """
import collections, dataclasses
def run(x):
    dataclasses.dataclass(collections.Counter)
    return "PWNED"
""",
    "total_ordering over a library class": """
import collections, functools
def run(x):
    functools.total_ordering(collections.Counter)
    return "PWNED"
""",
    "wraps over a library function": """
import functools, json
def run(x):
    functools.wraps(run)(json.dumps)
    return "PWNED" if json.dumps.__name__ == "run" else 1 / 0
""",
    "setattr on a module": "import json\ndef run(x):\n    setattr(json, 'dumps', 1)\n    return 'PWNED'\n",
    "store in a comprehension": "import math\ndef run(x):\n    [0 for math.pi in [3]]\n    return 'PWNED'\n",
    "store in a loop": "import math\ndef run(x):\n    for math.pi in [3]: pass\n    return 'PWNED'\n",
    "store through a star": "import math\ndef run(x):\n    *math.pi, y = [1, 2]\n    return 'PWNED'\n",
    "store on a class of Python": "import collections\ndef run(x):\n    collections.Counter.most_common = 1\n    return 'PWNED'\n",
    "exit sees the traceback": """
class C:
    def __enter__(self): return self
    def __exit__(self, kind, error, trace):
        self.trace = trace
        return True
def run(x):
    with C() as c: 1 / 0
    return "PWNED" if c.trace is not None else 1 / 0
""",
    "error hands out its object": """
def run(x):
    try: (1).nope
    except AttributeError as e: return ["PWNED", str(e.obj)]
""",
    "generator caught off guard": "def run(x):\n    g = (i for i in [1])\n    return ['PWNED', str(attr(g))]\nattr = lambda g: g.gi_frame\n",
    "import inside a call": "def run(x):\n    from json import decoder as d\n    return 'PWNED'\n",
    "import of a submodule": "import collections.abc\ndef run(x):\n    return ['PWNED', str(collections.abc.sys)]\n",
    "import of a loaded sibling": "import urllib\ndef run(x):\n    return ['PWNED', str(urllib.request)]\n",
    "relative import": "from . import policy\ndef run(x):\n    return 'PWNED'\n",
    "type parameters": "def run[T: print](x):\n    return 'PWNED'\n",
    "lambda default": "def run(x):\n    return (lambda a=().__class__: 'PWNED')()\n",
    "decorator": "def run(x):\n    @eval\n    def f(): pass\n    return 'PWNED'\n",
    "async generator": "def run(x):\n    return ['PWNED', (i async for i in x)]\n",
    "base exception class": "class E(BaseException): pass\ndef run(x):\n    return 'PWNED'\n",
    "global hook": "def run(x):\n    global __import__\n    return 'PWNED'\n",
    "keyword metaclass in disguise": "class A(**{'metaclass': type}): pass\ndef run(x):\n    return 'PWNED'\n",
    "slots with magic": "class A:\n    __slots__ = ('__dict__',)\ndef run(x):\n    return ['PWNED', str(A())]\n",
    "slots computed": "class A:\n    __slots__ = tuple(['a'])\ndef run(x):\n    return 'PWNED'\n",
    "delete a magic attribute": "def run(x):\n    del run.__defaults__\n    return 'PWNED'\n",
    "template strings of type": "def run(x):\n    return ['PWNED', getattr(run, '__globals__')]\n",
    "getattr with default": "def run(x):\n    return 'PWNED' if getattr(run, '__globals__', None) else 1 / 0\n",
    "print to a file": "class F:\n    def write(self, t): self.t = t\ndef run(x):\n    f = F()\n    print('x', file=f)\n    return 'PWNED' + f.t\n",
    "formatter by another road": "import string\ndef run(x):\n    return 'PWNED' + string.Formatter().format('{}', 1)\n",
    "json with a class": "import json\ndef run(x):\n    return 'PWNED' + json.dumps(1, cls=dict)\n",
}  # fmt: skip


@pytest.mark.parametrize("source", ESCAPES.values(), ids=ESCAPES.keys())
def test_escape_is_refused_or_fails(source: str) -> None:
    try:
        result = encode(load(source).run({"text": "x"}), max_bytes=100_000)
    except (ProgramRefused, ResultRefused, Exception) as stopped:
        assert not isinstance(stopped, RecursionError)
    else:
        assert b"PWNED" not in result
