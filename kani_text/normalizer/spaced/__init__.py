"""Normalization of languages that are written with spaces: each word is shown to the rules of its class."""
