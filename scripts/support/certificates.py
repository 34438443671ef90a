"""Make certificates for servers on loopback.

Runs in: bench, chaos. Never: makes one that anybody else would trust.
"""

from pathlib import Path

import trustme


def write_certificates(folder: Path) -> str:
    """Write server.pem and server.key of localhost; return the path of their authority's PEM."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.pem").write_bytes(b"".join(p.bytes() for p in issued.cert_chain_pems))
    path = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)
