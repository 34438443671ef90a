"""Figures beside a peer in the same run, one file a benchmark."""
