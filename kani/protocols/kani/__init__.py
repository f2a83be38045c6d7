"""The Kani JSON protocol: a WebSocket on ``/`` and the two REST calls of Kani's original server.

``messages`` is the wire format without a socket, ``request`` one request; ``websocket`` and ``http`` serve
it.
"""
