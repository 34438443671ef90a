"""Find e-mail addresses, also as people spell them to hide them from machines.

Pure. Used by: detection. Never: resolves a name.
"""

import re
from collections.abc import Iterator

from edged.agent.privacy.forms import Form
from edged.agent.privacy.spans import Kind, Span

_WORD = r"\p{L}\p{M}\p{N}"
# A quoted local part and an address in brackets are rare but legal (RFC 5321, 4.1.2). Characters
# that separate in links (/ = ? &) end a local part.
_LOCAL = rf"""(?:[{_WORD}_][{_WORD}._%+'~\-]*|"[^"\n]{{1,64}}")"""
_TOP = r"(?:xn--[A-Za-z0-9\-]+|\p{L}[\p{L}\p{M}]+)"
_DOT = r"(?:\.|\[\.\]|\(\.\))"
_LABEL = rf"[{_WORD}_\-]+"
# The @ also as it stands in links and in HTML.
_PLAIN = Form(
    rf"{_LOCAL}(?:@|%40|&#64;|&#x40;|&commat;)"
    rf"(?:(?:{_LABEL}{_DOT})+{_TOP}|\[[0-9A-Za-z:.]+\]|[0-9]+(?:\.[0-9]+){{3}}|localhost\b)"
)
_OPEN, _CLOSE = r" ?[\[({<] ?", r" ?[\])}>] ?"
_SPELLED_DOT = rf"(?:\.|{_OPEN}(?:dot|\.|punkt|punto){_CLOSE}|_dot_)"
_BRACKETED = Form(
    rf"(?i){_LOCAL}(?:{_OPEN}(?:at|@|arroba){_CLOSE})(?:{_LABEL}{_SPELLED_DOT})+{_TOP}"
)
# With spaces or bare words only before a known end: "meet @ noon. it rained" is no address.
_KNOWN_TOP = (
    r"(?:com|org|net|edu|gov|info|biz|io|ai|dev|app|de|uk|fr|nl|ch|eu|es|pl|ru|jp|cn|br|au|ca|se)\b"
)
_SPACED = Form(rf"(?i){_LOCAL} ?@ ?(?:[{_WORD}\-]+ ?\. ?)+{_KNOWN_TOP}")
_SPOKEN = Form(
    rf"(?i)[{_WORD}._%+\-]+(?: at | ?_at_ ?)(?:[{_WORD}\-]+(?: dot |_dot_))+{_KNOWN_TOP}"
)
_FORMS = (_PLAIN, _BRACKETED, _SPACED, _SPOKEN)
# Nobody's mailbox: repositories by ssh, and images for dense screens. Bounded, for every address
# looks as far as it may.
_NOBODY = re.compile(
    r"(?:git|hg|svn)@[\w.\-]{1,255}[:/]|[^@]{1,255}@[1-4]x\.(?:png|jpe?g|webp|gif|svg)\b"
)


def find_emails(text: str) -> Iterator[Span]:
    """Spans may overlap: a spaced address holds a plain one."""
    for form in _FORMS:
        for start, end in form.places(text):
            if not _NOBODY.match(text, start):
                yield Span(start, end, Kind.EMAIL)
