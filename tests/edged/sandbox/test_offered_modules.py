"""What programs may use gives what plain Python gives, and every offered member is there."""

import json
from typing import Any

import pytest

from edged.sandbox.facades import IMPORTABLE
from edged.sandbox.loader import load
from edged.sandbox.results import encode

REQUEST = {"text": "Free FREE hello, world! call +1 555 0100 or mail a@b.org", "items": [3, 1, 2], "n": 7}

PROGRAMS = {
    "re": "import re as _re\n_P = _re.compile(r'(?P<w>\\w+)', _re.I | _re.M)\ndef run(x):\n    m = _re.search('(?i)hello', x['text'])\n    return [m.group(), m.span(), _P.findall(x['text']), _re.sub(r'(\\d)', r'<\\1>', x['text']), _re.split(r'\\W+', x['text']), [m.group('w') for m in _re.finditer(_P, x['text'])], _re.escape('a.b'), _re.subn('e', 'E', x['text'], count=2)]\n",
    "re errors": "import re\ndef run(x):\n    try: re.compile('(')\n    except re.error as e: return [str(e), e.pos]\n",
    "json": "import json\ndef run(x):\n    try: json.loads('{')\n    except json.JSONDecodeError as e: return [e.msg, e.pos, json.dumps(x, indent=1, sort_keys=True, ensure_ascii=False, default=str), json.loads('1.5', parse_float=str)]\n",
    "string": "import string\ndef run(x):\n    return [string.punctuation, string.capwords(x['text']), x['text'].translate(str.maketrans('', '', string.punctuation))]\n",
    "math": "import math\nfrom math import log1p as l\ndef run(x):\n    return [math.pi, math.floor(2.5), math.sqrt(x['n']), l(3), math.prod(x['items']), math.isclose(1, 1.0), math.comb(5, 2)]\n",
    "statistics": "import statistics as st\ndef run(x):\n    return [st.mean(x['items']), st.median(x['items']), st.stdev(x['items']), st.mode('aab'), st.quantiles([1, 2, 3, 4])]\n",
    "random": "import random\ndef run(x):\n    random.seed(7)\n    r = random.Random('k')\n    l = list(range(9))\n    random.shuffle(l)\n    return [random.random(), random.choice('abc'), random.sample(range(99), 3), r.random(), l, random.gauss(0, 1)]\n",
    "datetime": "from datetime import datetime, timedelta, date, timezone\nimport datetime as d\ndef run(x):\n    t = datetime.strptime('2024-02-29 10:11', '%Y-%m-%d %H:%M')\n    return [t.isoformat(), (t + timedelta(days=1)).strftime('%d %b %Y'), str(date(2024, 1, 2) - date(2023, 1, 2)), f'{t:%H}', t.replace(tzinfo=timezone.utc).timestamp(), d.date.fromisoformat('2020-01-01').weekday()]\n",
    "decimal": "from decimal import Decimal, ROUND_HALF_UP, InvalidOperation\ndef run(x):\n    try: Decimal('x')\n    except InvalidOperation: return [str(Decimal('2.675').quantize(Decimal('0.01'), rounding=ROUND_HALF_UP)), str(Decimal(1) / 7)]\n",
    "fractions": "from fractions import Fraction\nimport numbers\ndef run(x):\n    return [str(Fraction(1, 3) + 1), isinstance(Fraction(1), numbers.Rational), type(Fraction(1)).__name__]\n",
    "collections": "from collections import *\n",
    "collections named": "from collections import Counter, OrderedDict, defaultdict, deque, namedtuple, ChainMap\nimport collections.abc\nPoint = namedtuple('Point', ['x', 'y'])\ndef run(x):\n    c = Counter(x['text']); c.update('aa'); c['z'] += 2\n    d = defaultdict(lambda: defaultdict(int)); d['a']['b'] += 1\n    p = Point(1, 2)._replace(y=5)\n    return [c.most_common(2), {k: dict(v) for k, v in d.items()}, list(p), p._asdict(), list(p._fields), ChainMap({'a': 1}, {'b': 2})['b'], isinstance({}, collections.abc.Mapping), type(c).__name__, repr(p)]\n",
    "itertools": "from itertools import chain, groupby, islice, product, accumulate, zip_longest, pairwise\ndef run(x):\n    return [list(chain.from_iterable([[1], [2]])), [(k, len(list(g))) for k, g in groupby('aab')], list(islice(product('ab', repeat=2), 3)), list(accumulate(x['items'])), list(zip_longest([1], [2, 3])), list(pairwise('abc'))]\n",
    "functools": "from functools import reduce, partial, lru_cache, cache, wraps, cmp_to_key, total_ordering, cached_property\n@total_ordering\nclass V:\n    def __init__(self, n): self.n = n\n    def __lt__(self, o): return self.n < o.n\n    def __eq__(self, o): return self.n == o.n\n    @cached_property\n    def twice(self): return self.n * 2\ndef loud(f):\n    @wraps(f)\n    def inner(*a, **k): return str(f(*a, **k)).upper()\n    return inner\n@loud\ndef hi(): return 'hi'\n@cache\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\ndef run(x):\n    return [hi(), hi.__name__, fib(40), reduce(lambda a, b: a * b, x['items']), partial(int, base=2)('101'), V(1) <= V(2), V(3).twice, sorted([3, 1], key=cmp_to_key(lambda a, b: a - b))]\n",
    "operator": "from operator import itemgetter, attrgetter, methodcaller, mul\nclass A:\n    def __init__(self, n): self.n = n\ndef run(x):\n    return [sorted([(2, 'a'), (1, 'b')], key=itemgetter(1)), attrgetter('n')(A(3)), list(attrgetter('n', 'n')(A(3))), methodcaller('upper')('a'), mul(2, 3)]\n",
    "heapq and bisect": "import heapq, bisect\ndef run(x):\n    h = list(x['items']); heapq.heapify(h); bisect.insort(x['items'], 9)\n    return [heapq.heappop(h), heapq.nlargest(2, h), bisect.bisect_left([1, 2, 3], 2), x['items']]\n",
    "copy": "import copy\nclass A:\n    def __init__(self): self.l = [1]\ndef run(x):\n    a = A(); b = copy.deepcopy(a); c = copy.copy(a); b.l.append(2)\n    return [a.l, b.l, c.l is a.l, copy.deepcopy(x) == x]\n",
    "dataclasses": "from dataclasses import dataclass, field, asdict, astuple, replace\nfrom typing import ClassVar, List, Optional\n@dataclass(frozen=True, order=True)\nclass P:\n    x: int\n    y: 'Optional[int]' = None\n    tags: List[str] = field(default_factory=list, compare=False)\n    limit: ClassVar[int] = 9\n    def __post_init__(self): assert self.x >= 0\n@dataclass(slots=True)\nclass S:\n    a: int = 0\ndef run(x):\n    p = P(1); s = S(); s.a += 2\n    try: p.x = 2\n    except Exception as e: kind = type(e).__name__\n    return [asdict(p), list(astuple(p)), repr(replace(p, x=3)), P(1) < P(2), P.limit, kind, repr(s)]\n",
    "enum": "from enum import Enum, IntEnum, StrEnum, auto, unique\n@unique\nclass Color(Enum):\n    RED = 'r'\n    BLUE = 'b'\n    @property\n    def loud(self): return self.value.upper()\nclass Level(IntEnum):\n    LOW = 1\n    HIGH = 2\nclass Word(StrEnum):\n    HAM = auto()\nclass Label(str, Enum):\n    SPAM = 'spam'\n    def __str__(self): return self.value\nclass Planet(Enum):\n    EARTH = (1, 2)\n    def __init__(self, mass, radius): self.mass = mass\ndef run(x):\n    return [Color('r').name, Color['BLUE'].value, Color.RED.loud, [c.name for c in Color], Level.HIGH > Level.LOW, max(Level).value, Word.HAM.value, str(Label.SPAM), f'{Label.SPAM}', Label.SPAM == 'spam', Planet.EARTH.mass, Color.RED is Color('r'), repr(Color.RED), isinstance(Level.LOW, Enum), len(Color), {Color.RED: 1}[Color.RED]]\n",
    "abc": "from abc import ABC, abstractmethod\nclass Rule(ABC):\n    @abstractmethod\n    def hit(self, t): ...\n    @property\n    @abstractmethod\n    def name(self): ...\nclass Free(Rule):\n    name = 'free'\n    def hit(self, t): return 'free' in t\ndef run(x):\n    try: Rule()\n    except TypeError: return [Free().hit('free'), isinstance(Free(), Rule)]\n",
    "contextlib": "from contextlib import contextmanager, suppress, nullcontext\n@contextmanager\ndef tag(l):\n    l.append('in')\n    try: yield 5\n    finally: l.append('out')\ndef run(x):\n    l = []\n    with tag(l) as n, nullcontext(): l.append(n)\n    with suppress(KeyError): {}['a']\n    return l\n",
    "typing": "from __future__ import annotations\nfrom typing import Any, Dict, Generic, Iterator, List, Literal, NamedTuple, Optional, Protocol, Tuple, TypedDict, TypeVar, Union, cast\nT = TypeVar('T')\nclass Box(Generic[T]):\n    def __init__(self, v: T) -> None: self.v = v\nclass Row(NamedTuple):\n    a: int\n    b: str = 'x'\nclass Doc(TypedDict):\n    text: str\nclass Has(Protocol):\n    def f(self) -> int: ...\nKind = Literal['a', 'b']\nPair = Tuple[int, 'Box[int]']\ndef f(x: Optional[Dict[str, List[int]]] = None, *y: Union[int, str]) -> Iterator[int]:\n    z: Any = 1\n    yield z\ndef run(x):\n    return [Box[int](3).v, list(Row(1)), Row(1).b, Doc(text='t'), cast(int, 'a'), list(f()), isinstance([], List)]\n",
    "text modules": "import textwrap, difflib, unicodedata, html, base64, hashlib\nfrom urllib.parse import urlparse, quote, parse_qs\ndef run(x):\n    return [textwrap.shorten(x['text'], 20), difflib.get_close_matches('helo', ['hello', 'x']), difflib.SequenceMatcher(None, 'ab', 'ac').ratio(), unicodedata.normalize('NFKD', 'é').encode('ascii', 'ignore').decode(), html.unescape('&lt;'), base64.b64encode(b'x').decode(), hashlib.sha256(x['text'].encode()).hexdigest(), urlparse('https://a.org/b?c=1').netloc, quote('a b'), parse_qs('a=1')]\n",
    "format": "class A:\n    def __init__(self): self.n = 3\n    def format(self, t): return t\n    def __format__(self, spec): return 'A' + spec\ndef run(x):\n    return ['{} {1}'.replace('{}', '{0}').format(1, 2), '{:>5.1f}|{!r}'.format(2.25, 'a'), '{a.n} {b[k]}'.format(a=A(), b={'k': 1}), '{0:{w}}'.format('x', w=4), '{x}'.format_map({'x': 1}), A().format('own'), f'{A():z}', '%s %d %(k)s'.replace('%s %d ', '') % {'k': 1}, format(3.14159, '.2f'), ', '.join(map('{:02d}'.format, [1, 2]))]\n",
    "classes": "class Base:\n    __slots__ = ('_a', 'b')\n    def __init__(self, a): self._a = a; self.b = 2\n    def __repr__(self): return f'{type(self).__name__}({self._a})'\nclass Child(Base):\n    def __init__(self, a):\n        super().__init__(a)\n        Base.__init__(self, a + 1)\n        self.__hidden = 5\n    def __len__(self): return 4\n    def __getitem__(self, i): return i * 2\n    def __add__(self, o): return 'added'\n    def __call__(self): return self.__hidden\n    def __contains__(self, o): return o == 1\n    def __bool__(self): return False\n    def __hash__(self): return 1\n    def __eq__(self, o): return True\n    def __iter__(self): return iter([1, 2])\nclass Stack(list):\n    def top(self): return self[-1]\nclass Bad(Exception):\n    def __init__(self, message, code):\n        super().__init__(message)\n        self.code = code\ndef run(x):\n    c = Child(1)\n    s = Stack([1]); s.append(2)\n    try: raise Bad('why', 3)\n    except (KeyError, Bad) as e: caught = [str(e), e.code, e.args]\n    return [repr(c), len(c), c[3], c + c, c(), 1 in c, bool(c), list(c), s.top(), caught, getattr(c, '_a'), hasattr(c, 'zz'), getattr(c, 'zz', 1), isinstance(c, Base), issubclass(Child, Base), len({c, Child(2)})]\n",
    "syntax": "def run(x):\n    total: int = 0\n    for i, (a, *b) in enumerate([(1, 2, 3), (4, 5)]):\n        total += a * i\n    d = {k: v for k, v in zip('ab', [1, 2])} | {'c': 3}\n    d['a'] += 5\n    del d['b']\n    l = [*range(3), *[9]]; l[1:2] = [7, 8]\n    while l:\n        if l.pop() == 7: break\n    else: l = None\n    g = (y for y in l if y is not None)\n    try: int('x')\n    except: r = 'bare'\n    else: r = 0\n    finally: d['f'] = 1\n    s = lambda *a, k=1, **kw: (a, k, kw)\n    match {'kind': 'p', 'at': [1, 2]}:\n        case {'kind': 'p' | 'q', 'at': [int(u), v], **rest} if u: m = [u, v, rest]\n        case _: m = None\n    return [total, d, l, list(g), r, s(1, k=2, z=3), m, (n := 5), n if n > 1 else 0, 1 < 2 <= 2, not 1, 7 // 2, -7 % 3, 2 ** 10, 5 & 3 | 8, ~1, 'a' 'b', 1_000, 0x1f, b'x'.hex()]\n",
    "iteration": "def chunks(l, n):\n    for i in range(0, len(l), n): yield l[i:i + n]\ndef flat(l):\n    for e in l:\n        if isinstance(e, list): yield from flat(e)\n        else: yield e\ndef run(x):\n    it = iter([1, 2, 3]); first = next(it)\n    return [list(chunks('abcdefg', 3)), list(flat([1, [2, [3]]])), first, next(iter([]), 'none'), sorted('bca', reverse=True), list(reversed([1, 2])), sum(x['items']), min('ba'), list(map(str, [1])), list(filter(None, [0, 1])), any([]), all([]), divmod(7, 2), round(2.567, 2), chr(65), ord('A'), bin(5), abs(-1), pow(2, 3, 5), ascii('é'), list(zip([1], [2]))]\n",
}  # fmt: skip
del PROGRAMS["collections"]


def answer_of_plain_python(source: str) -> Any:
    module: dict[str, Any] = {"__name__": "program"}
    exec(source, module)  # noqa: S102
    return module["run"](json.loads(json.dumps(REQUEST)))


@pytest.mark.parametrize("source", PROGRAMS.values(), ids=PROGRAMS.keys())
def test_program_answers_as_in_plain_python(source: str) -> None:
    expected = json.dumps(answer_of_plain_python(source), ensure_ascii=False, separators=(",", ":"))

    program = load(source)
    answers = [encode(program.run(json.loads(json.dumps(REQUEST))), max_bytes=100_000) for _ in range(2)]

    assert answers == [expected.encode()] * 2


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in IMPORTABLE.items() for name in sorted(names)]
)
def test_offered_member_can_be_imported(module: str, name: str) -> None:
    program = load(f"from {module} import {name} as member\ndef run(x):\n    return callable(member)\n")

    assert program.run({}) in (True, False)


@pytest.mark.parametrize("module", sorted(IMPORTABLE))
def test_module_can_be_imported_and_not_changed(module: str) -> None:
    program = load(f"import {module} as m\ndef run(x):\n    m.anything = 1\n")

    with pytest.raises(TypeError):
        program.run({})
