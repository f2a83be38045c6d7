"""The program behind `python websocket_client.py`, beside the two copyable files."""
