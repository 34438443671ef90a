"""Trying payload programs in real jailed workers: what `edged sandbox try` does."""
