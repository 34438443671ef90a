"""How alike two texts are: the share that an edit keeps, of characters, in long texts of words.

Pure. Used by: the comparison `fuzzy`. Never: says of long texts that an edit keeps more than the
best one does, or takes longer than in proportion to their length.

An edit's time grows with the square: two texts of a megabyte would take half a minute. So long ones
are cut into words, and edited window by window, a megabyte in less than two seconds. The end of a
window is matched with whatever happens to be in it; only its first half is believed, and the next
window begins behind that, where the two texts are together. They lose each other where more than a
window is only in one of them.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

LONG: Final = 10_000  # characters
_WINDOW: Final = 4_096  # pieces
_BELIEVED: Final = _WINDOW // 2
_PART: Final = re.compile(".{1,64}", re.DOTALL)
_LONG_WORD: Final = 64


def likeness(one: str, other: str) -> float:
    """Return 0 to 1, the same both ways; case and white space do not count."""
    from rapidfuzz.distance import Indel  # only for those who compare so

    ours, theirs = one.casefold().split(), other.casefold().split()
    if ours == theirs:
        return 1.0
    if max(len(one), len(other)) <= LONG:
        return float(Indel.normalized_similarity(" ".join(ours), " ".join(theirs)))
    first, second = sorted((list(_pieces(ours)), list(_pieces(theirs))))
    return 2 * _kept(first, second) / (len(first) + len(second))


def _pieces(words: Sequence[str]) -> Iterator[str]:
    """Cut long words, or a script without spaces, where their own characters say so.

    So an edit moves no cut but its own.
    """
    for word in words:
        if len(word) <= _LONG_WORD:
            yield word
            continue
        cuts = [at for at, character in enumerate(word, 1) if not ord(character) % 8]
        for start, end in pairwise((0, *cuts, len(word))):
            yield from _PART.findall(word, start, end)


def _kept(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many pieces an edit keeps."""
    from rapidfuzz.distance import LCSseq

    kept = at = there = 0
    while at < len(one) and there < len(other):
        is_last = max(len(one) - at, len(other) - there) <= _WINDOW
        believed = _WINDOW if is_last else _BELIEVED
        edit = LCSseq.editops(one[at : at + _WINDOW], other[there : there + _WINDOW])
        reached, following = 0, believed
        for block in edit.as_matching_blocks():
            if block.a + block.size > believed:
                kept += max(0, believed - block.a)
                following = block.b + believed - block.a
                break
            kept += block.size
            reached = block.b + block.size
        at += believed
        there += max(reached, following)
    return kept
