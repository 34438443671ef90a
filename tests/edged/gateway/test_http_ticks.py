"""What the HTTP server looks after once a second goes on, whatever fails."""

import structlog

from edged.gateway.http1 import Http1
from tests.edged.gateway.conftest import read_answer, until


class Failing(Http1):
    """A connection that cannot be looked after. It fails anew on every tick."""

    ticks = 0

    def tick(self, _now_s, **_):
        self.ticks += 1
        raise PermissionError(13, "not today")


async def test_a_failing_tick_is_logged_once_and_ends_neither_the_others_nor_the_server(
    server, connect
):
    failing = Failing(server)

    with structlog.testing.capture_logs() as logs:
        server.opened(failing)
        await until(lambda: failing.ticks == 3)
        reader, writer = await connect(server)
        writer.write(b"POST /a HTTP/1.1\r\nhost:")
        status, _, _ = await read_answer(reader)

    server._connections.discard(failing)
    assert status == 408
    assert [line["event"] for line in logs].count("http_tick_failed") == 1
