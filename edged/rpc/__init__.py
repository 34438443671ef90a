"""A gRPC server on libnghttp2, and the reference one; made to be swapped for each other.

`from edged.rpc import server` is called like `grpc.aio.server`.
"""

from edged.rpc.server import server

__all__ = ["server"]
