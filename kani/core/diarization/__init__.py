"""Speaker diarization of a recording: voiced stretches, speaker embeddings, their clusters, and turns."""
