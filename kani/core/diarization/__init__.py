"""Who speaks when in a recording: voiced stretches, their speaker embeddings, clusters of them, and turns."""
