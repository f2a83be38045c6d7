"""Times of words and characters: spans, forced alignment, the reference voice."""
