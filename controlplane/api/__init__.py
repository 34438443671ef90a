"""REST doors, one file a noun."""
