"""Who may call, and for what: API keys with names and scopes."""
