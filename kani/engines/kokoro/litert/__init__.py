"""Kokoro's second half in int8 on LiteRT: hand-built graphs of its layers, and what runs them."""
