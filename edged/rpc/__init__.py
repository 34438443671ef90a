"""The RPC server: its construction and the translation of errors into statuses."""
