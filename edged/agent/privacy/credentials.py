"""Find API keys, tokens and passwords: by their makers' prefixes, or by the word before them.

Pure. Used by: detection. Never: tries one out.
"""

from collections.abc import Iterator

from edged.agent.privacy.forms import Form
from edged.agent.privacy.spans import Kind, Span

_MADE = Form(
    r"\b(?:"
    r"(?:AKIA|ASIA|AGPA|AIDA|AROA)[0-9A-Z]{16}"  # Amazon
    r"|gh[pousr]_[0-9A-Za-z]{30,}|github_pat_[0-9A-Za-z_]{30,}|glpat-[0-9A-Za-z_\-]{20,}"
    r"|xox[abeoprs]-[0-9A-Za-z\-]{10,}|xapp-[0-9A-Za-z\-]{10,}"  # Slack
    r"|hooks\.slack\.com/(?:services|triggers|workflows)/[0-9A-Za-z/]{24,}"
    r"|[sprw][kh]_(?:live|test)_[0-9A-Za-z]{16,}|whsec_[0-9A-Za-z]{16,}"  # Stripe
    r"|sk-(?:[a-z0-9]+-)*[0-9A-Za-z_\-]{20,}"  # language models
    r"|AIza[0-9A-Za-z_\-]{30,}|ya29\.[0-9A-Za-z_\-]{20,}|GOCSPX-[0-9A-Za-z_\-]{20,}"  # Google
    r"|SG\.[0-9A-Za-z_\-]{16,}\.[0-9A-Za-z_\-]{16,}|(?:AC|SK)[0-9a-f]{32}"  # SendGrid, Twilio
    r"|npm_[0-9A-Za-z]{30,}|pypi-[0-9A-Za-z_\-]{30,}|hf_[0-9A-Za-z]{20,}"
    r"|do[opr]_v1_[0-9a-f]{32,}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|dapi[0-9a-f]{32}"
    r"|eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]{8,}(?:\.[0-9A-Za-z_\-]*){1,3}"  # JSON Web Token
    r")"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^-]|-[^-])*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)
# The word, a sign or "is", and then something that is no word. A key alone opens a cache, a list.
_NAMED = Form(
    r"(?i)(?:(?:api|access|secret|private|signing|encryption|master|auth|shared|subscription)"
    r"[ _\-]?key(?:[ _\-]?id)?|secret(?:[ _\-](?:access[ _\-])?key)?"
    r"|token|credential|auth(?:orization)?)[\"']?(?: ?[:=] ?| is )[\"']?"
    r"(?:(?:bearer|basic|token) )?([0-9A-Za-z_\-./+=~]{12,})"
)
_BEARER = Form(r"(?i)\b(?:bearer|basic) ([0-9A-Za-z_\-./+=~]{12,})")
_PASSWORD = Form(
    r"(?i)(?:passw(?:or)?d|passphrase|pwd|passcode)[\"']?(?: ?[:=] ?| is )[\"']?([^\s\"',;]{4,})"
)
_IN_ADDRESS = Form(r"[a-z][a-z0-9+.\-]*://[^\s/:@]*:([^\s/@]+)@")


def find_secrets(text: str) -> Iterator[Span]:
    for start, end in _MADE.places(text):
        yield Span(start, end, Kind.SECRET)
    for form, is_one in ((_NAMED, _is_random), (_BEARER, _is_random), (_PASSWORD, _is_no_word)):
        for start, end in form.places(text, 1):
            if is_one(text[start:end]):
                yield Span(start, end, Kind.SECRET)
    for start, end in _IN_ADDRESS.places(text, 1):
        yield Span(start, end, Kind.SECRET)


def _is_random(value: str) -> bool:
    """Say whether letters and digits are mixed, or capitals stand within."""
    has_letter = any(map(str.isalpha, value))
    has_digit = any(map(str.isdigit, value))
    return has_letter and (has_digit or not (value[1:].islower() or value.isupper()))


def _is_no_word(value: str) -> bool:
    return not value.rstrip(".:!?)").isalpha()
