"""Rules of the normalizer, one module for each kind of token."""
