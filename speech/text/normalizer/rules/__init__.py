"""Rules of the normalizer, a kind of token a module."""
