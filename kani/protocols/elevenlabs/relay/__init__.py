"""The relay protocol: the speech of one ElevenLabs-like socket is broadcast to its listeners."""
