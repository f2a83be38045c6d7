"""Numbers as words, in seven languages."""
