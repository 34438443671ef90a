"""Text as nothing but text, for libraries that hand containers of their own to its methods.

A member of an enum of str is a str to a library, though the program may have given it any method;
and some libraries ask no more of a text than that it has the methods they call.

Runs in: workers. Talks to: nobody. Never: calls a method of what it is given.
"""

from typing import Any


def plain_text(value: object) -> Any:
    """Return exactly a str or bytes of the same text; raises TypeError for what is no text."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bytes | bytearray):
        return bytes(memoryview(value))
    raise TypeError(f"expected text, not {type(value).__name__}")
