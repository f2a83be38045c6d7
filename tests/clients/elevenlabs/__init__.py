"""Clients of ElevenLabs' protocol: its wire, strictly read, and the libraries that speak it."""
