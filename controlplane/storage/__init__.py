"""Database, blobs and wake-ups."""
