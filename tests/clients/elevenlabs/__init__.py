"""Clients of ElevenLabs' protocol: a strict one, and the libraries for it."""
