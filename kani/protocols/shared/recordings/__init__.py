"""Recordings that clients send to be transcribed: uploads, transcripts, subtitles."""
