"""Two keys for encryption at rest."""

KEY, NEWER = "11" * 32, "22" * 32
