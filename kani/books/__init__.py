"""Audiobooks: books are read, spoken piece by piece, and written as one file with chapters."""
