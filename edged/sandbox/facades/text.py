"""Modules for text: re, json, string, textwrap, difflib, unicodedata, html, base64 and others.

Runs in: workers. Talks to: the standard library. Never: offers a module object, or anything that
opens a file.
"""

import base64
import difflib
import hashlib
import html
import json
import re
import string
import textwrap
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, AnyStr

from edged.sandbox.facades import urls
from edged.sandbox.facades.offer import Offer, pick
from edged.sandbox.facades.plain_text import plain_text

# DEBUG prints to the worker's own stdout, TEMPLATE only warns.
_SILENT_FLAGS = ~(int(re.DEBUG) | 1)
_PATTERNS_KEPT = 512  # as many as the re module keeps


def offers() -> Offer:
    """Return the members of each module here, by module name."""
    return {
        "re": _re(),
        "string": pick(
            string,
            "ascii_letters ascii_lowercase ascii_uppercase digits hexdigits octdigits printable"
            " punctuation whitespace"
            " capwords",
        )
        | {"Template": template},
        "textwrap": pick(textwrap, "dedent indent shorten") | {"fill": fill, "wrap": wrap},
        "difflib": pick(difflib, "context_diff get_close_matches ndiff unified_diff")
        | {"SequenceMatcher": sequence_matcher},
        "unicodedata": pick(
            unicodedata,
            "bidirectional category combining decimal decomposition digit east_asian_width"
            " is_normalized lookup"
            " mirrored name normalize numeric unidata_version",
        ),
        "html": pick(html, "escape unescape"),
        "urllib": {},
        "urllib.parse": urls.offered(),
        "base64": pick(
            base64,
            "b16decode b16encode b32decode b32encode b64decode b64encode standard_b64decode"
            " standard_b64encode"
            " urlsafe_b64decode urlsafe_b64encode",
        ),
        "hashlib": pick(hashlib, "blake2b blake2s md5 sha1 sha224 sha256 sha384 sha512"),
        "json": {"dumps": dumps, "loads": loads, "JSONDecodeError": json.JSONDecodeError},
    }


def template(template: str) -> string.Template:
    """Make a Template. Not the class: its methods set attributes on any `self`."""
    if type(template) is not str:
        raise TypeError("a template must be a plain str")
    return string.Template(template)


def wrap(text: str, width: int = 70, **options: Any) -> list[str]:
    return textwrap.wrap(plain_text(text), width, **options)


def fill(text: str, width: int = 70, **options: Any) -> str:
    return textwrap.fill(plain_text(text), width, **options)


def sequence_matcher(
    isjunk: Callable[[object], bool] | None = None,
    a: str = "",
    b: str = "",
    autojunk: bool = True,  # noqa: FBT001, FBT002
) -> difflib.SequenceMatcher[str]:
    """Make a SequenceMatcher. Not the class: its methods set attributes on any `self`."""
    return difflib.SequenceMatcher(isjunk, a, b, autojunk)


# The re module: its functions keep the pattern object they were given, so a pattern must be exactly
# str or bytes here; and they are a little faster than the originals.


def _re() -> dict[str, object]:
    flags = (
        "A ASCII I IGNORECASE L LOCALE M MULTILINE S DOTALL U UNICODE X VERBOSE NOFLAG RegexFlag"
    )
    offered = pick(re, f"{flags} Match Pattern error")
    del offered["RegexFlag"]
    functions = (compile_, escape, search, match, fullmatch, split, findall, finditer, sub, subn)
    return offered | {function.__name__.rstrip("_"): function for function in functions}


@lru_cache(maxsize=_PATTERNS_KEPT)
def _compiled(pattern: AnyStr, flags: int) -> re.Pattern[AnyStr]:
    return re.compile(pattern, flags & _SILENT_FLAGS)


def compile_(pattern: AnyStr | re.Pattern[AnyStr], flags: int = 0) -> re.Pattern[AnyStr]:
    if type(pattern) is str or type(pattern) is bytes:
        return _compiled(pattern, int(flags))
    if type(pattern) is not re.Pattern:
        raise TypeError("first argument must be string or compiled pattern")
    if flags:
        raise ValueError("cannot process flags argument with a compiled pattern")
    return pattern


def escape(pattern: AnyStr) -> AnyStr:
    escaped: AnyStr = re.escape(plain_text(pattern))
    return escaped


def search(
    pattern: AnyStr | re.Pattern[AnyStr], string: AnyStr, flags: int = 0
) -> re.Match[AnyStr] | None:
    return compile_(pattern, flags).search(string)


def match(
    pattern: AnyStr | re.Pattern[AnyStr], string: AnyStr, flags: int = 0
) -> re.Match[AnyStr] | None:
    return compile_(pattern, flags).match(string)


def fullmatch(
    pattern: AnyStr | re.Pattern[AnyStr], string: AnyStr, flags: int = 0
) -> re.Match[AnyStr] | None:
    return compile_(pattern, flags).fullmatch(string)


def split(
    pattern: AnyStr | re.Pattern[AnyStr], string: AnyStr, maxsplit: int = 0, flags: int = 0
) -> list[AnyStr | None]:
    return compile_(pattern, flags).split(string, maxsplit)


def findall(pattern: AnyStr | re.Pattern[AnyStr], string: AnyStr, flags: int = 0) -> list[object]:
    return compile_(pattern, flags).findall(string)


def finditer(
    pattern: AnyStr | re.Pattern[AnyStr], string: AnyStr, flags: int = 0
) -> Iterator[re.Match[AnyStr]]:
    return compile_(pattern, flags).finditer(string)


def sub(
    pattern: AnyStr | re.Pattern[AnyStr],
    repl: AnyStr | Callable[[re.Match[AnyStr]], AnyStr],
    string: AnyStr,
    count: int = 0,
    flags: int = 0,
) -> AnyStr:
    return compile_(pattern, flags).sub(repl, string, count)


def subn(
    pattern: AnyStr | re.Pattern[AnyStr],
    repl: AnyStr | Callable[[re.Match[AnyStr]], AnyStr],
    string: AnyStr,
    count: int = 0,
    flags: int = 0,
) -> tuple[AnyStr, int]:
    return compile_(pattern, flags).subn(repl, string, count)


# The json module: text only, and no encoder or decoder classes, through which a program would run
# inside the library.


def dumps(
    obj: object,
    *,
    skipkeys: bool = False,
    ensure_ascii: bool = True,
    check_circular: bool = True,
    allow_nan: bool = True,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    default: Callable[[object], object] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        obj,
        skipkeys=skipkeys,
        ensure_ascii=ensure_ascii,
        check_circular=check_circular,
        allow_nan=allow_nan,
        indent=indent,
        separators=separators,
        default=default,
        sort_keys=sort_keys,
    )


def loads(
    s: str | bytes | bytearray,
    *,
    strict: bool = True,
    object_hook: Callable[[Mapping[str, object]], object] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, object]]], object] | None = None,
    parse_float: Callable[[str], object] | None = None,
    parse_int: Callable[[str], object] | None = None,
    parse_constant: Callable[[str], object] | None = None,
) -> object:
    options = {} if strict else {"strict": False}  # any would have a decoder made for each call
    return json.loads(
        s,
        **options,  # type: ignore[arg-type]
        object_hook=object_hook,
        object_pairs_hook=object_pairs_hook,
        parse_float=parse_float,
        parse_int=parse_int,
        parse_constant=parse_constant,
    )
