"""A gateway that applies every route at once, and refuses the versions it is told to refuse."""

import asyncio

import orjson

from edged.decisions.routing import Routes


class FakeGateway:
    """Answers the nudge for every route, refusing the versions it is told to refuse."""

    def __init__(self, layout, path):
        self.layout, self.path = layout, path
        self.refused: set[int] = set()
        self.reason = "line 1, column 1: refused"
        self.serving: dict[str, int] = {}
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __aenter__(self):
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        while await reader.readline():
            await self.may_answer.wait()
            routes = Routes.parse(self.layout.routes.read_bytes())
            tasks = [self._apply(name, route) for name, route in routes.tasks.items()]
            writer.write(orjson.dumps({"sequence": routes.sequence, "tasks": tasks}) + b"\n")
        writer.close()

    def _apply(self, name, route):
        version = route.arms[0].version
        is_refused = any(arm.version in self.refused for arm in route.arms)
        if not is_refused:
            self.serving[name] = version
        return {
            "task": name,
            "state": "FAILED" if is_refused else "APPLIED",
            "serving_version": self.serving.get(name, 0),
            "target_version": version,
            "reason": self.reason if is_refused else "",
        }
