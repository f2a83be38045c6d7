"""ElevenLabs' WebSockets, ``stream-input`` and ``multi-stream-input``."""
