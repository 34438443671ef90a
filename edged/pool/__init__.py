"""A process's side of its workers."""
