"""Speaker embeddings of recordings, by Resemblyzer's GE2E encoder in NumPy."""
