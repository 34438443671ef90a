"""Task specifications, their revisions and examples."""
