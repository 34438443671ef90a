"""Notice that a program fails, make a better one, prove it, and ask a person when that fails."""
