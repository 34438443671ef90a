"""The edges' door: Enroll and Connect."""
