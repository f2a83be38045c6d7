"""OpenAI's audio API: speech, transcriptions and Realtime.

``speech`` makes speech of whole texts, ``transcription`` text of recordings, ``realtime`` serves the
WebSocket; ``lists`` names models and voices, ``errors`` holds the answers to invalid requests.
"""
