"""Tables of the normalizer, a language a file, and their loader."""
