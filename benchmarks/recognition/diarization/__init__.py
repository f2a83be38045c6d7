"""Who speaks when: recordings whose speakers are known, and the diarization error rate."""
