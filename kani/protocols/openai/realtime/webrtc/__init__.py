"""Calls by WebRTC: POST /v1/realtime/calls, and those of the Live API.

``routes`` answers an offer, and serves the call as a WebSocket of its dialect: ``call`` is that WebSocket,
over the call's data channel and its tracks; ``speaker`` plays the answers.
"""
