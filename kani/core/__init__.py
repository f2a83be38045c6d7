"""The speech core: text, voices, sessions and timing; no socket, no engine, no protocol."""
