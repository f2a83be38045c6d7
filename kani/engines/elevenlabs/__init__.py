"""ElevenLabs' own voices as an engine: its service speaks, for the holder of an API key."""
