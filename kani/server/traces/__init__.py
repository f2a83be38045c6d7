"""Traces of requests, sent to an OpenTelemetry collector where one is configured."""
