"""``kani-tts mcp``: speech and recognition as tools of a coding agent, by the Model Context Protocol."""
