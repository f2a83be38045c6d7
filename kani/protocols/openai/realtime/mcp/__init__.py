"""MCP servers among the tools of a Realtime session; only those that the operator has listed are asked.

``servers`` reads what a client names, ``client`` asks one server, ``tools`` holds those of a session.
"""
