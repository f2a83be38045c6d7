"""Kyutai's protocol, that of moshi-server: speech synthesis and recognition.

``messages`` is the wire format without a socket; ``speech_out`` and ``speech_in`` serve the WebSockets,
``http`` whole texts and recordings, and the server's own data.
"""
