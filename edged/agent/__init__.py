"""The cold path: link, artifact store, telemetry."""
