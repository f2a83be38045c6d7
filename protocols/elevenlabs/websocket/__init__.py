"""ElevenLabs' stream-input sockets, of one context and of several."""
