"""Keep the templates of `re.sub` to themselves: no object of a program is compared with them.

The re module keeps the templates that it has parsed, and looks one up by its hash and `==`. An
object of a program that stands for a template would so be shown those of earlier calls.

Runs in: zygote (imported before anything makes a template: from Python 3.12 on, the C part keeps to
the function that it finds first), workers. Talks to: the standard library. Never: parses a
template.
"""

import re
from collections.abc import Callable
from typing import Any

_CACHES = ("_compile_repl", "_compile_template")  # of Python 3.11; of later ones
_PLAIN = frozenset({str, bytes, re.Pattern})


def _for_plain_text(cached: Any) -> Callable[..., object]:
    """Have a cache passed by where what it would look up is not exactly text."""
    uncached = cached.__wrapped__

    def compile_template(*arguments: object) -> object:
        is_plain = _PLAIN.issuperset(map(type, arguments))
        return (cached if is_plain else uncached)(*arguments)

    return compile_template


for _name in _CACHES:
    if _name in vars(re):
        vars(re)[_name] = _for_plain_text(vars(re)[_name])
