"""No call may see what another call of the same program did, whether its module's body is shared or runs again."""

import pytest

from edged.sandbox.loader import load

COUNTERS = {
    "list": "N = []\ndef run(x):\n    N.append(1)\n    return len(N)\n",
    "list item": "N = [0]\ndef run(x):\n    N[0] += 1\n    return N[0]\n",
    "dict update": "N = {}\ndef run(x):\n    N.update({len(N): 1})\n    return len(N)\n",
    "unbound method": "N = {}\ndef run(x):\n    dict.update(N, {len(N): 1})\n    return len(N)\n",
    "alias in a function": "N = []\ndef run(x):\n    m = N\n    m.append(1)\n    return len(N)\n",
    "alias at the top": "N = []\nM = N\ndef run(x):\n    M.append(1)\n    return len(N)\n",
    "argument": "N = []\ndef add(a):\n    a.append(1)\ndef run(x):\n    add(N)\n    return len(N)\n",
    "walrus": "N = []\ndef run(x):\n    (m := N).append(1)\n    return len(N)\n",
    "class attribute alias": "N = []\ndef run(x):\n    class C:\n        m = N\n    C.m.append(1)\n    return len(N)\n",
    "conditional alias": "N = []\ndef run(x):\n    m = N or []\n    (N if x else N).append(1)\n    return len(N)\n",
    "loop variable": "N = {'a': []}\ndef run(x):\n    for k, v in N.items():\n        v.append(1)\n    return len(N['a'])\n",
    "nested by index": "N = {'a': {}}\ndef run(x):\n    N['a'][len(N['a'])] = 1\n    return len(N['a'])\n",
    "nested by get": "N = {'a': {}}\ndef run(x):\n    d = N.get('a')\n    d[len(d)] = 1\n    return len(d)\n",
    "nested in a tuple": "N = ([],)\ndef run(x):\n    N[0].append(1)\n    return len(N[0])\n",
    "nested in a list": "N = [[]]\nclass E:\n    def __eq__(self, other):\n        other.append(1)\n        return False\ndef run(x):\n    E() in N\n    return len(N[0])\n",
    "reflected equality": "N = {}\nclass E:\n    def __eq__(self, other):\n        other[len(other)] = 1\n        return True\ndef run(x):\n    N == E()\n    return len(N)\n",
    "reflected or": "N = {}\nclass E:\n    def __ror__(self, other):\n        other[len(other)] = 1\n        return 1\ndef run(x):\n    N | E()\n    return len(N)\n",
    "reflected addition by sum": "N = []\nclass E:\n    def __radd__(self, other):\n        other.append(1)\n        return []\ndef run(x):\n    sum([E()], N)\n    return len(N)\n",
    "key function": "N = {'a': []}\ndef run(x):\n    max(N.values(), key=lambda v: v.append(1) or 1)\n    return len(N['a'])\n",
    "mutable default": "def f(a=[]):\n    a.append(1)\n    return len(a)\ndef run(x):\n    return f()\n",
    "keyword default": "def f(*, a={}):\n    a[len(a)] = 1\n    return len(a)\ndef run(x):\n    return f()\n",
    "default that is a global": "N = []\ndef f(a=N):\n    a.append(1)\n    return len(a)\ndef run(x):\n    return f()\n",
    "lambda default": "f = lambda a=[]: a.append(1) or len(a)\ndef run(x):\n    return f()\n",
    "global statement": "N = 0\ndef run(x):\n    global N\n    N += 1\n    return N\n",
    "closure": "def make():\n    n = 0\n    def add():\n        nonlocal n\n        n += 1\n        return n\n    return add\nADD = make()\ndef run(x):\n    return ADD()\n",
    "closure over a list": "def make(l):\n    def add():\n        l.append(1)\n        return len(l)\n    return add\nADD = make([])\ndef run(x):\n    return ADD()\n",
    "bound method": "N = []\nADD = N.append\ndef run(x):\n    ADD(1)\n    return len(N)\n",
    "partial": "from functools import partial\nN = []\nADD = partial(list.append, N)\ndef run(x):\n    ADD(1)\n    return len(N)\n",
    "iterator": "IT = iter(range(9))\ndef run(x):\n    return next(IT) + 1\n",
    "generator": "G = (i + 1 for i in range(9))\ndef run(x):\n    return next(G)\n",
    "counter": "from itertools import count\nC = count(1)\ndef run(x):\n    return next(C)\n",
    "class attribute": "class A:\n    n = 0\ndef run(x):\n    A.n = A.n + 1\n    return A.n\n",
    "class container": "class A:\n    n = []\ndef run(x):\n    A.n.append(1)\n    return len(A.n)\n",
    "class method": "class A:\n    n = 0\n    @classmethod\n    def add(cls):\n        cls.n += 1\n        return cls.n\ndef run(x):\n    return A.add()\n",
    "instance": "class A:\n    def __init__(self): self.n = 0\nO = A()\ndef run(x):\n    O.n += 1\n    return O.n\n",
    "enum member": "from enum import Enum\nclass E(Enum):\n    A = 0\ndef run(x):\n    n = getattr(E.A, 'n', 0) + 1\n    E.A.n = n\n    return n\n",
    "enum value": "from enum import Enum\nclass E(Enum):\n    A = []\ndef run(x):\n    E.A.value.append(1)\n    return len(E.A.value)\n",
    "enum attribute": "from enum import Enum\nclass E(Enum):\n    A = 1\n    def __init__(self, v): self.l = []\ndef run(x):\n    E.A.l.append(1)\n    return len(E.A.l)\n",
    "cache": "from functools import lru_cache\n@lru_cache\ndef f(): return []\ndef run(x):\n    f().append(1)\n    return len(f())\n",
    "cache of a method": "from functools import cache\nclass A:\n    @staticmethod\n    @cache\n    def f(): return []\ndef run(x):\n    A.f().append(1)\n    return len(A.f())\n",
    "field factory": "from dataclasses import dataclass, field\nN = [0, 1, 2, 3]\n@dataclass\nclass A:\n    n: int = field(default_factory=N.pop)\ndef run(x):\n    A()\n    return 4 - len(N)\n",
    "named tuple default": "from collections import namedtuple\nT = namedtuple('T', 'a', defaults=[[]])\ndef run(x):\n    T().a.append(1)\n    return len(T().a)\n",
    "default dict": "from collections import defaultdict\nN = defaultdict(int)\ndef run(x):\n    N[len(N)]\n    return len(N)\n",
    "deque": "from collections import deque\nN = deque()\ndef run(x):\n    N.append(1)\n    return len(N)\n",
    "cached property of a class": "from functools import cached_property\nclass A:\n    @cached_property\n    def l(self): return []\nO = A()\ndef run(x):\n    O.l.append(1)\n    return len(O.l)\n",
    "descriptor of an instance": "class A:\n    pass\nclass B:\n    a = A()\ndef run(x):\n    n = getattr(B.a, 'n', 0) + 1\n    B.a.n = n\n    return n\n",
    "nested class": "class A:\n    class B:\n        n = []\ndef run(x):\n    A.B.n.append(1)\n    return len(A.B.n)\n",
    "inherited container": "class A:\n    n = []\nclass B(A):\n    pass\ndel A\ndef run(x):\n    B.n.append(1)\n    return len(B.n)\n",
    "view": "N = {}\nclass E:\n    def __ror__(self, other):\n        other[len(other)] = 1\n        return 1\ndef run(x):\n    try:\n        N.keys().mapping | E()\n    except AttributeError:\n        pass\n    return len(N) + 1 if not N else len(N)\n",
    "pattern capture": "N = {'a': []}\ndef run(x):\n    match N:\n        case {'a': l}: l.append(1)\n    return len(N['a'])\n",
    "del": "N = [1, 2, 3]\ndef run(x):\n    del N[0]\n    return 3 - len(N)\n",
    "return to itself": "N = []\ndef get(): return N\ndef run(x):\n    get().append(1)\n    return len(N)\n",
    "starred parts": "N = {'a': []}\ndef run(x):\n    [l] = [*N.values()]\n    l.append(1)\n    return len(l)\n",
    "pair taken whole": "N = {'a': []}\ndef run(x):\n    for pair in N.items():\n        pair[1].append(1)\n    return len(N['a'])\n",
    "enumerate": "N = {'a': []}\ndef run(x):\n    for i, v in enumerate(N.values()):\n        v.append(1)\n    return len(N['a'])\n",
    "lambda body": "N = []\nf = lambda: N\ndef run(x):\n    f().append(1)\n    return len(N)\n",
    "copy keeps parts": "N = {'a': []}\ndef run(x):\n    d = N.copy()\n    d['a'].append(1)\n    return len(N['a'])\n",
}  # fmt: skip


@pytest.mark.parametrize("source", COUNTERS.values(), ids=COUNTERS.keys())
def test_every_call_starts_from_what_the_module_bound(source: str) -> None:
    program = load(source)

    answers = []
    for _ in range(3):
        try:
            answers.append(program.run({}))
        except TypeError as refused:
            answers.append(str(refused))

    assert answers == [answers[0]] * 3
    assert answers[0] == 1 or "outlives the call" in str(answers[0])


def test_random_starts_every_call_from_the_same_state() -> None:
    program = load("import random\ndef run(x):\n    return [random.random(), random.gauss(0, 1)]\n")

    assert program.run({}) == program.run({})


def test_random_starts_from_the_seed_that_the_module_set() -> None:
    program = load(
        "import random\nrandom.seed(42)\ndef run(x):\n    return random.randint(1, 100)\n"
    )

    assert [program.run({}), program.run({})] == [82, 82]


def test_two_programs_do_not_share_random() -> None:
    source = "import random\ndef run(x):\n    random.seed(x)\n    return random.random()\n"
    one, other = load(source), load("import random\ndef run(x):\n    return random.random()\n")
    before = other.run(1)

    one.run(99)

    assert other.run(1) == before


def test_pattern_cache_hands_out_no_object_of_another_call() -> None:
    program = load(
        "import re\nfrom enum import Enum\n"
        "def run(x):\n"
        "    class S(str, Enum):\n        A = 'a'\n"
        "    S.A.note = x\n"
        "    return re.compile(S.A).pattern.note\n"
    )

    with pytest.raises(TypeError):
        program.run(1)


SHARED = {
    "keywords": "WORDS = ['a', 'b']\ndef run(x):\n    return any(w in x for w in WORDS)\n",
    "weights": "W = {'a': 1}\ndef run(x):\n    s = 0\n    for t in x.split():\n        s += W.get(t, 0)\n    return s\n",
    "weights by alias": "W = {'a': 1}\ndef run(x):\n    get = W.get\n    return sum(get(t, 0) for t in x.split())\n",
    "weights by index": "W = {'a': 1}\ndef run(x):\n    return sum(W[t] for t in x.split() if t in W)\n",
    "tuple weights": "W = {'a': (1, 2)}\ndef run(x):\n    s = [0, 0]\n    for t in x.split():\n        r = W.get(t)\n        if r:\n            for i, v in enumerate(r): s[i] += v\n    return s\n",
    "weights of classes": "W = {'spam': {'a': 1}, 'ham': {'b': 2}}\ndef run(x):\n    best = {}\n    for label, weights in W.items():\n        best[label] = sum(weights.get(t, 0) for t in x.split())\n    return best\n",
    "weights by class": "W = {'spam': {'a': 1}}\ndef run(x):\n    w = W['spam']\n    return w.get('a', 0) + w['a']\n",
    "rules": "import re\nRULES = [(re.compile('a'), 'A'), (re.compile('b'), 'B')]\ndef run(x):\n    for pattern, label in RULES:\n        if pattern.search(x): return label\n",
    "functions": "def f(x): return x\nTABLE = {'f': f}\ndef run(x):\n    return TABLE['f'](x)\n",
    "classes": "class A:\n    k = 3\n    def __init__(self): self.n = self.k\ndef run(x):\n    return A().n\n",
    "dataclass": "from dataclasses import dataclass, field\n@dataclass\nclass P:\n    x: int\n    tags: list = field(default_factory=list)\ndef run(x):\n    return P(1).x\n",
    "enum": "from enum import Enum, IntEnum, auto\nclass E(Enum):\n    A = 'a'\n    B = 'b'\nclass L(IntEnum):\n    LOW = auto()\nclass T(str, Enum):\n    X = 'x'\ndef run(x):\n    return [E.A.value, L.LOW + 1, T.X.value]\n",
    "named tuple": "from typing import NamedTuple\nfrom collections import namedtuple\nQ = namedtuple('Q', 'a b')\nclass P(NamedTuple):\n    x: int\n    y: int = 2\ndef run(x):\n    return [P(1).y, Q(1, 2).b]\n",
    "cache": "from functools import lru_cache\n@lru_cache(maxsize=None)\ndef f(n): return n if n < 2 else f(n - 1) + f(n - 2)\ndef run(x):\n    return f(30)\n",
    "imports": "import re, math, json\nfrom collections import Counter\nfrom math import sqrt\ndef run(x):\n    return sqrt(4) + len(Counter(x))\n",
    "abstract": "from abc import ABC, abstractmethod\nclass A(ABC):\n    @abstractmethod\n    def f(self): ...\nclass B(A):\n    def f(self): return 1\ndef run(x):\n    return B().f()\n",
    "property": "class A:\n    @property\n    def p(self): return 1\n    @staticmethod\n    def s(): return 2\n    @classmethod\n    def c(cls): return 3\ndef run(x):\n    return [A().p, A.s(), A.c()]\n",
    "context": "class C:\n    def __enter__(self): return 1\n    def __exit__(self, *a): return True\ndef run(x):\n    with C() as c: return c\n",
    "typing": "from typing import List, Optional\nVector = List[float]\nMaybe = Optional[str]\ndef run(x) -> Vector:\n    return [1.0]\n",
}  # fmt: skip


@pytest.mark.parametrize("source", SHARED.values(), ids=SHARED.keys())
def test_ordinary_program_runs_its_module_body_once(source: str) -> None:
    program = load(source)

    answers = [program.run("a b"), program.run("a b")]

    plain: dict[str, object] = {"__name__": "program"}
    exec(source, plain)  # noqa: S102
    assert program.is_shared
    assert answers == [plain["run"]("a b")] * 2  # type: ignore[operator]


def test_program_that_ran_in_the_module_body_only_is_shared_with_what_it_built() -> None:
    program = load(
        "W = {}\n"
        "for line in 'a=1;b=2'.split(';'):\n"
        "    name, value = line.split('=')\n"
        "    W[name] = int(value)\n"
        "def run(x):\n"
        "    return W.get(x, 0)\n"
    )

    assert program.is_shared
    assert [program.run("a"), program.run("c")] == [1, 0]
