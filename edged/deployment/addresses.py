"""Whether an address stays on this machine. Pure."""

import ipaddress
from urllib.parse import urlsplit


def is_loopback(address: str) -> bool:
    """Say whether host:port or unix:/path stays on this machine.

    A name other than localhost does not count.
    """
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_loopback_url(url: str) -> bool:
    """Say the same of an http URL, with or without a port."""
    parts = urlsplit(url)
    return is_loopback(f"[{parts.hostname}]:{parts.port or 0}" if parts.hostname else "")
