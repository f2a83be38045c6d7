"""ElevenLabs' HTTP API: speech, voices, lists."""
