"""The process around the protocols: access, connections, settings, logs, metrics."""
