"""Packs Kokoro's network for the server: once the one that ships, and those of other checkpoints."""
