"""Text before an engine: languages, markup, normalization, segments, lexicon."""
