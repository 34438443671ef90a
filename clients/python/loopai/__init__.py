"""Loopai's client SDK: call an edge from Python. Imports lazily: wire code loads without grpc."""
