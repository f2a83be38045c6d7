"""Descriptions of HTTP calls, from which the server builds its OpenAPI document."""
