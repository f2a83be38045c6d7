"""Other checkpoints of Kokoro's network, each for the languages that a setting names."""
