"""The speech core: what is said, by which voice, when; no socket, no engine, no protocol."""
