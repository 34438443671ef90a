"""Say whether an address is on this machine.

Pure. Never: resolves a name; only `localhost` and loopback addresses count.
"""

import ipaddress
from urllib.parse import urlsplit


def is_web_address(url: str) -> bool:
    """Say whether a client will read the same host in it as we do."""
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def is_on_this_machine(url: str) -> bool:
    if not is_web_address(url):
        return False
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
