"""Kokoro's student beside Kokoro: costs, judges, and a blind comparison for ears."""
