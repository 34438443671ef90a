"""The urllib.parse module as programs see it.

It keeps what it was given, as a key: such text must be exactly str or bytes.

Runs in: workers. Talks to: the standard library. Never: opens a URL.
"""

import urllib.parse
from collections.abc import Callable
from typing import Any, AnyStr

from edged.sandbox.facades.offer import pick
from edged.sandbox.facades.plain_text import plain_text


def offered() -> dict[str, object]:
    """Return the members of the urllib.parse module."""
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


# What quotes single bytes keeps each one it has met, and members of an enum of bytes may say
# themselves what they consist of.
_quote_bytes = urllib.parse.quote_from_bytes


def quote_from_bytes(bs: bytes | bytearray, safe: str | bytes = "/") -> str:
    return _quote_bytes(plain_text(bs), safe)


vars(urllib.parse)["quote_from_bytes"] = quote_from_bytes
