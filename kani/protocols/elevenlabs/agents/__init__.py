"""ElevenLabs Agents: the WebSocket /v1/convai/conversation, and the calls that clients make before it.

``connection`` serves one client over the core's turns, history and answers; ``output`` sends an answer,
``tools`` calls the client's functions, ``messages`` is the wire, ``config`` reads who the agent is.
"""
