"""Formulas in words: found in a text, split into parts, and said as a language does."""
