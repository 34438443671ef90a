"""Who knows what is right: an endpoint, a reference program, or the caller, later."""
