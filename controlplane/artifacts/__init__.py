"""Signed immutable program versions."""
