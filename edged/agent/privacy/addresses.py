"""Find IP addresses of both versions, also defanged ones: `192[.]0[.]2[.]1`.

Pure. Used by: detection. Never: resolves a name.
"""

import ipaddress
import re
from collections.abc import Iterator

from edged.agent.privacy.forms import Form
from edged.agent.privacy.spans import Kind, Span, cover

_DOT = r"(?: ?\[(?:\.|dot)\] ?|\((?:\.|dot)\)| \. |\.)"
_DOTTED = Form(rf"(?i)[0-9]+(?:{_DOT}[0-9]+){{3,}}")
_COLONED = Form(r"[0-9A-Fa-f]*:[0-9A-Fa-f:]*:(?:[0-9]+(?:\.[0-9]+){3}|[0-9A-Fa-f]*)")
# Names that providers make of addresses.
_HOST = Form(r"(?i)\b(?:ip|ec2|host|client|static|dynamic|pool|dsl)-([0-9]{1,3}(?:-[0-9]{1,3}){3})")
_NUMBER = re.compile(r"[0-9]+")
# Four-part versions and numbers of chapters are what looks like an address and is common. Only
# words that leave no doubt count: a key such as `v`, `build` or `section` may hold either.
_VERSION = re.compile(
    r"(?i)(?:\bver|version|firmware)s?\.?"
    r"(?:[ _-]?(?:number|no|id|name|code|string|tag|is|was|of))?[\"']?[ :=-]{0,3}[\"'v]{0,2}\Z"
    r"|(?:(?:\b|_)(?:release|build|revision|section|chapter|clause|paragraph|article|appendix|annex)"
    r"|§)s?\.?(?:[ _-](?:number|no|id|name|code|string|tag|is|was|of))?[ _-]?[\"'v]{0,2}\Z"
    r"|(?:\b|_)v\.?\Z|\bsemver\W{0,4}\Z"
)
# Behind these stands the version of a product, or a machine.
_PRODUCT = re.compile(
    r"(?i)\b(?:upgrad|downgrad|bump)\w*(?: \w+)? (?:from|to) (?:v?[\d.]+ to )?v?\Z"
    r"|\b(?:(?:headless)?chrome|chromium|crios|edga?|edgios|opr|opera|safari|firefox|version"
    r"|electron|webkit)/\Z"
)
_REQUIREMENT = re.compile(r"(?:^|[\s,;\"'\[(])([\w.-]+)[=~<>]=\Z")
_MACHINE = re.compile(
    r"(?i)(?:\b|_)(?:\w*addr\w*|ip\w*|\w*ip|src|dst|source|dest\w*|\w*host\w*|\w*server\w*|remote"
    r"|local|client|peer|node|gateway|router|proxy|dns|net|subnet|network|from|to|origin|target"
    r"|endpoint|device|machine|user|listen|bind|via|upstream|backend)(?:\b|_)"
)
_VERSION_CHARS = 48
_MAJORS = range(32)  # of products; an address that begins so is one in eight
_PACKAGE = re.compile(r"(?i)[-.](?:tar|tgz|zip|whl|jar|deb|rpm|dll|so|exe|msi|apk|nupkg)\b")
# Times, and every second of a list: `a[::2]`. Nobody has an address below 100 but `::1`.
_CLOCKS = re.compile(r"\d{1,2}::\d{1,2}|::(?:[02-9]|\d\d)")


def find_ips(text: str) -> Iterator[Span]:
    # Version 6 first: its last 32 bits may be written as version 4.
    long = [span for place in _COLONED.places(text) if (span := _ip6(text, *place))]
    yield from long
    text = cover(text, [span.place for span in long])
    for start, end in _DOTTED.places(text):
        if _is_ip4(text[start:end]) and not _is_version(text, start, end):
            yield Span(start, end, Kind.IP)
    for start, end in _HOST.places(text, 1):
        if _is_ip4(text[start:end]):
            yield Span(start, end, Kind.IP)


def _is_ip4(written: str) -> bool:
    # Zeros in front are refused by ipaddress since 3.9.5, but people and devices write them.
    parts = _NUMBER.findall(written)
    return len(parts) == 4 and all(len(part) <= 3 and int(part) <= 255 for part in parts)


def _is_version(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - _VERSION_CHARS) : start]
    if _VERSION.search(before):
        return True
    is_product = _PRODUCT.search(before) or _is_requirement(before) or _PACKAGE.match(text, end)
    return bool(is_product) and _may_be_version(text[start:end])


def _is_requirement(before: str) -> bool:
    """Say whether `numpy==` stands there, not `ip.src==`."""
    found = _REQUIREMENT.search(before)
    return found is not None and not _MACHINE.search(found[1])


def _may_be_version(written: str) -> bool:
    """Say whether a product's version is likelier than somebody's address."""
    parts = [int(part) for part in _NUMBER.findall(written)]
    if parts[0] == 0 or parts == [127, 0, 0, 0]:  # no machine has it; Chrome 127 said so
        return True
    address = ipaddress.IPv4Address(bytes(parts))
    is_likely = parts[0] in _MAJORS or not any(parts[1:])
    return is_likely and not (address.is_private or address.is_multicast)


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
    return is_telling and not _CLOCKS.fullmatch(part) and _is_address(part)


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Say whether no word goes on beside it; in scripts without spaces one does, and is another."""
    return not any(
        beside == "_" or (beside.isascii() and beside.isalnum())
        for beside in (text[max(0, start - 1) : start], text[end : end + 1])
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
