"""Kyutai's protocol, that of moshi-server: speech synthesis and recognition.

``messages`` is the wire format without a socket; ``speech_out`` and ``speech_in`` serve the WebSockets,
``http_out`` and ``http_in`` whole texts and recordings by HTTP, ``server_info`` the server's own data.
"""
