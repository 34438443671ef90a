"""Enrolled edges and the state each one should reach."""
