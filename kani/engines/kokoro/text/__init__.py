"""Text to Kokoro's symbols: espeak-ng's phonemes, lexicon entries, the words they belong to."""
