"""A raw call by itself, with a connection that takes notes: its window is far too wide to watch."""

import pytest

from edged.rpc.limits import Counters, Limits
from edged.rpc.stream import RawCall


class Notes:
    """What a raw call asks of its connection."""

    def __init__(self, *, has_room: bool = True) -> None:
        self.limits = Limits(max_receive_message_bytes=1_000)
        self.counters = Counters()
        self.acknowledged = self.held = 0
        self.ended: list[int] = []
        self._has_room = has_room
        self.call: RawCall | None = None

    def acknowledge(self, _stream_id: int, count: int) -> None:
        self.acknowledged += count

    def hold(self, count: int) -> None:
        self.held += count
        if count > 0 and not self._has_room:
            self.call.shed()

    def end(self, _call: RawCall, code: int, _details: str, _trailing: object) -> None:
        self.ended.append(code)


TOO_LARGE = b"\0\x40\0\0\0" + bytes(200)
MALFORMED = b"\7\0\0\0\1" + bytes(200)
INCOMPLETE = b"\0\0\0\3\0" + bytes(200)


@pytest.mark.parametrize(
    ("data", "has_room", "code"),
    [(TOO_LARGE, True, 8), (MALFORMED, True, 13), (INCOMPLETE, False, 8)],
)
def test_refused_bytes_are_given_back_to_the_window(data, has_room, code):
    notes = Notes(has_room=has_room)
    call = notes.call = RawCall(notes, 1, {}, None, lambda _message, _call: None)

    call.take(data, is_end=False)
    call.take(bytes(100), is_end=True)

    assert notes.ended == [code]
    assert notes.acknowledged == len(data) + 100
    assert notes.held == 0
