"""Binds the listeners, starts the other processes and watches them."""
