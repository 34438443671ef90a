"""Loopai's client SDK: call an edge from Python. Imports lazily: wire code loads without grpc.

from loopai import EdgeClient
with EdgeClient("127.0.0.1:50051") as edge:
    answer = edge.execute({"text": "free prize, call now"}, task="spam")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loopai.aio import AsyncEdgeClient
    from loopai.answers import Answer, Refusal
    from loopai.client import EdgeClient
    from loopai.controlplane import ControlPlane, ControlPlaneError
    from loopai.security import Tls

__all__ = [
    "Answer",
    "AsyncEdgeClient",
    "ControlPlane",
    "ControlPlaneError",
    "EdgeClient",
    "Refusal",
    "Tls",
]

_HOMES = {
    "Answer": "answers",
    "AsyncEdgeClient": "aio",
    "ControlPlane": "controlplane",
    "ControlPlaneError": "controlplane",
    "EdgeClient": "client",
    "Refusal": "answers",
    "Tls": "security",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'loopai' has no attribute {name!r}")
    return getattr(import_module(f"loopai.{_HOMES[name]}"), name)
