"""The dialect of Unmute's web page and load test: Ogg Opus both ways, and an assistant that speaks first.

``connection`` serves one client over the same turns, history and answers as OpenAI's dialect, and sends its
answers; ``handshake`` tells its clients apart, ``events`` are the other events that it sends, ``opus`` is its
audio, ``instructions`` what a client configures; ``lists`` are its two HTTP calls.

Source of the wire: https://github.com/kyutai-labs/unmute, docs/browser_backend_communication.md.
"""
