"""Who is whose child, as the kernel tells it. Used by: bench, chaos and tests."""

from pathlib import Path


def children(pid: int) -> list[int]:
    """Return the processes below one; none where it is gone."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
