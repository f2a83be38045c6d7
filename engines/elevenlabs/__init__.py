"""ElevenLabs' own voices, for those who have a key: an engine that is somebody else's service."""
