"""Realtime speech to text: the WebSocket /v1/speech-to-text/realtime."""
