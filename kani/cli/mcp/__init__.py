"""``kani-tts mcp``: speech and recognition as tools of a coding agent, by the Model Context Protocol.

``tools`` are the tools, ``files`` the folders that a client opens to them, ``microphone`` what they hear.
"""
