"""Tokens for LiveKit rooms."""
