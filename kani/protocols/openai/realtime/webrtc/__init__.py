"""Realtime by WebRTC: POST /v1/realtime/calls.

``routes`` answers an offer, and serves the call as a WebSocket of /v1/realtime: ``call`` is that WebSocket,
over the call's data channel and its tracks; ``speaker`` plays the answers.
"""
