"""Speaker embeddings of recordings (the GE2E encoder of Resemblyzer, in NumPy)."""
