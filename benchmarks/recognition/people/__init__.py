"""People's own speech, live and recorded, beside faster-whisper."""
