"""The relay protocol: one ElevenLabs-like socket whose speech is broadcast to its listeners."""
