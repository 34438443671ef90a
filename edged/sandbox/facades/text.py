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
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, AnyStr

from edged.sandbox.facades.offer import Offer, pick

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
        "textwrap": pick(textwrap, "dedent fill indent shorten wrap"),
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
        "urllib.parse": _urls(),
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


def sequence_matcher(
    isjunk: Callable[[object], bool] | None = None,
    a: str = "",
    b: str = "",
    autojunk: bool = True,  # noqa: FBT001, FBT002
) -> difflib.SequenceMatcher[str]:
    """Make a SequenceMatcher. Not the class: its methods set attributes on any `self`."""
    return difflib.SequenceMatcher(isjunk, a, b, autojunk)


# The urllib.parse module keeps what it was given, as a key: such text must be exactly str or bytes.


def _urls() -> dict[str, object]:
    module = urllib.parse
    return pick(module, "parse_qs parse_qsl unquote unquote_plus urlunparse urlunsplit") | {
        "quote": _quoting(module.quote, "/"),
        "quote_plus": _quoting(module.quote_plus, ""),
        "urlencode": urlencode,
        "urljoin": urljoin,
        "urlparse": _splitting(module.urlparse),
        "urlsplit": _splitting(module.urlsplit),
    }


def _check_text(*texts: object) -> None:
    if any(type(text) not in (str, bytes) for text in texts):
        raise TypeError("a URL must be text")


def _splitting(split: Callable[..., object]) -> Callable[..., object]:
    def checked(
        url: str | bytes,
        scheme: str | bytes | None = None,
        allow_fragments: bool = True,  # noqa: FBT001, FBT002
    ) -> object:
        _check_text(url, scheme or "")
        return split(url, scheme or url[:0], bool(allow_fragments))

    return checked


def urljoin(
    base: AnyStr,
    url: AnyStr,
    allow_fragments: bool = True,  # noqa: FBT001, FBT002
) -> AnyStr:
    _check_text(base, url)
    return urllib.parse.urljoin(base, url, bool(allow_fragments))


def _quoting(quote: Callable[..., str], usual: str) -> Callable[..., str]:
    def checked(
        string: str | bytes,
        safe: str | bytes = usual,
        encoding: str | None = None,
        errors: str | None = None,
    ) -> str:
        _check_text(safe)
        return quote(string, safe, encoding, errors)

    return checked


def urlencode(
    query: Any,
    doseq: bool = False,  # noqa: FBT001, FBT002
    safe: str | bytes = "",
    encoding: str | None = None,
    errors: str | None = None,
    quote_via: Callable[..., str] = urllib.parse.quote_plus,
) -> str:
    _check_text(safe)
    return urllib.parse.urlencode(query, doseq, safe, encoding, errors, quote_via)


# The re module: its functions keep the pattern object they were given, so a pattern must be exactly
# str or bytes here; and they are a little faster than the originals.


def _re() -> dict[str, object]:
    flags = (
        "A ASCII I IGNORECASE L LOCALE M MULTILINE S DOTALL U UNICODE X VERBOSE NOFLAG RegexFlag"
    )
    offered = pick(re, f"{flags} Match Pattern error escape")
    del offered["RegexFlag"]
    functions = (compile_, search, match, fullmatch, split, findall, finditer, sub, subn)
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
    value: object,
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
        value,
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
    text: str | bytes | bytearray,
    *,
    object_hook: Callable[[Mapping[str, object]], object] | None = None,
    object_pairs_hook: Callable[[list[tuple[str, object]]], object] | None = None,
    parse_float: Callable[[str], object] | None = None,
    parse_int: Callable[[str], object] | None = None,
    parse_constant: Callable[[str], object] | None = None,
) -> object:
    return json.loads(
        text,
        object_hook=object_hook,
        object_pairs_hook=object_pairs_hook,
        parse_float=parse_float,
        parse_int=parse_int,
        parse_constant=parse_constant,
    )
