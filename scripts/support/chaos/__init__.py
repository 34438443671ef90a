"""Faults under load and what survived them, one file a scenario."""
