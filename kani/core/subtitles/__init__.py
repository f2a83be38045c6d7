"""Subtitles of speech and of transcripts: words with their times, cues, SubRip and WebVTT."""
