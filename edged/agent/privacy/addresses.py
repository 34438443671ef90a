"""Find e-mail and IP addresses.

Pure. Used by: detection. Never: resolves a name.
"""

import ipaddress
from collections.abc import Iterator

import re2

from edged.agent.privacy.spans import Kind, Span

_WORD = r"\p{L}\p{M}\p{N}"
# The @ also as it stands in links and in HTML. A quoted local part and an address in brackets are
# rare but legal (RFC 5321, 4.1.2). Characters that separate in links (/ = ? &) end a local part.
_EMAIL = re2.compile(
    rf"""(?:[{_WORD}_][{_WORD}._%+'~\-]*|"[^"\n]{{1,64}}")"""
    r"(?:@|%40|&#64;|&#x40;)"
    rf"(?:(?:[{_WORD}_\-]+\.)+(?:xn--[A-Za-z0-9\-]+|\p{{L}}[\p{{L}}\p{{M}}]+)|\[[0-9A-Za-z:.]+\])"
)
_DOTTED = re2.compile(r"[0-9]+(?:\.[0-9]+){3,}")
_COLONED = re2.compile(r"[0-9A-Fa-f]*:[0-9A-Fa-f:]*:(?:[0-9]+(?:\.[0-9]+){3}|[0-9A-Fa-f]*)")
# Four-part software versions are the one thing that looks like an address and is common.
_VERSION = re2.compile(r"(?i)(?:\bv|\bver|version|release|build|firmware)[ .:=]{0,2}\z")
_VERSION_CHARS = 12


def find_emails(text: str) -> Iterator[Span]:
    for match in _EMAIL.finditer(text):
        yield Span(match.start(), match.end(), Kind.EMAIL)


def find_ips(text: str) -> Iterator[Span]:
    # Version 6 first: its last 32 bits may be written as version 4.
    taken_until = 0
    for match in _COLONED.finditer(text):
        span = _ip6(text, *match.span())
        if span:
            taken_until = span.end
            yield span
    for match in _DOTTED.finditer(text):
        start, end = match.span()
        if start >= taken_until and _is_ip4(match.group()) and not _is_version(text, start):
            yield Span(start, end, Kind.IP)


def _is_ip4(dotted: str) -> bool:
    # Zeros in front are refused by ipaddress since 3.9.5, but people and devices write them.
    parts = dotted.split(".")
    if len(parts) != 4 or any(len(part) > 3 for part in parts):
        return False
    return _is_address(".".join(str(int(part)) for part in parts))


def _is_version(text: str, start: int) -> bool:
    return _VERSION.search(text[max(0, start - _VERSION_CHARS) : start]) is not None


def _ip6(text: str, start: int, end: int) -> Span | None:
    """Return the address in a run of hexadecimal digits and colons, if there is one.

    A word before it and a port or a colon behind it join the run: `src:fe80::1`, `fe80::1:`. So
    it is tried without its first and last group too; without more, or every certificate's
    fingerprint would hold an address.
    """
    run = text[start:end]
    if "::" not in run and run.count(":") < 7:  # a time of day
        return None
    for skipped in dict.fromkeys((0, run.find(":") + 1)):
        for kept in dict.fromkeys((len(run), run.rfind(":"))):
            part = run[skipped:kept]
            if _stands_alone(text, start + skipped, start + kept) and _is_ip6(part):
                return Span(start + skipped, start + kept, Kind.IP)
    return None


def _is_ip6(part: str) -> bool:
    # `::` and `Ada::Bee` are addresses to the standard and code to everyone else.
    is_telling = part.count(":") > 3 or any(map(str.isdigit, part))
    return is_telling and _is_address(part)


def _stands_alone(text: str, start: int, end: int) -> bool:
    before, after = text[max(0, start - 1) : start], text[end : end + 1]
    return not (before.isalnum() or before == "_" or after.isalnum() or after == "_")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
