"""Kyutai's text-to-speech by its makers' package, in a process and an environment of its own."""
