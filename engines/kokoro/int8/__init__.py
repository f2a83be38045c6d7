"""Kokoro's decoder once more: convolutions in int8, and one pass over memory between two of them."""
