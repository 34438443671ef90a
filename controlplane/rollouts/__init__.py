"""How new versions come to all traffic."""
