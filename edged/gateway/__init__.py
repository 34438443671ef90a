"""The hot path: doors, routing, dispatch, log, reply."""
