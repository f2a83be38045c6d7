"""Speaker diarization: recordings with known speakers, and the error rate."""
