"""VoxCPM's protocol: a WebSocket on ``/tts``, and the HTTP calls of the VoxCPM server's page.

``messages`` and ``params`` are the wire format without a socket; ``connection`` serves one client,
``request`` one of its requests; ``http`` serves the rest; recordings come from ``remote_recordings`` and
``voice_folder``.
"""
