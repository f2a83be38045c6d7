"""Kokoro's generator once more: static int8 convolutions, and one pass over memory between two of them."""
